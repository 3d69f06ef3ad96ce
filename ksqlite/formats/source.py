"""Lines of generated Python with the names that they refer to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Source:
    """Collects generated lines; ``env`` becomes the globals of the generated function."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.env: dict[str, Any] = {}
        self._count = 0

    def name(self, stem: str) -> str:
        """A name not used before."""
        self._count += 1
        return f"{stem}{self._count}"

    def bind(self, value: Any, stem: str = "k") -> str:  # noqa: ANN401 - any global
        """A global name for a value."""
        name = self.name(f"_{stem}")
        self.env[name] = value
        return name

    def add(self, depth: int, *lines: str) -> None:
        """Adds lines at a depth of indentation."""
        self.lines.extend("    " * depth + line for line in lines)

    def build(self, function: str, label: str) -> Callable[..., Any]:
        """Compiles the lines and gives the function of that name. ``label`` stands in tracebacks."""
        exec(compile("\n".join(self.lines), f"<{label}>", "exec"), self.env)  # noqa: S102 - text made here, of names checked
        made: Callable[..., Any] = self.env[function]
        return made
