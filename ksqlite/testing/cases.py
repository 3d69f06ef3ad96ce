"""Cases as files have them: JSON with a list ``tests``, each case once for each of its formats."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Case:
    """A case as written. ``file`` is its path below the folder that was read, ``folder`` the folder it lies in."""

    file: str
    name: str
    body: dict[str, Any] = field(compare=False)
    folder: Path = field(default=Path(), compare=False)

    @property
    def formats(self) -> list[str | None]:
        """What ``{FORMAT}`` stands for, one after the other; [None] where the case has no formats."""
        return list(self.body.get("format") or [None])

    def expanded(self, format_name: str | None) -> dict[str, Any]:
        """The case's body for one of its formats."""
        if format_name is None:
            return self.body
        body: dict[str, Any] = _replaced(self.body, format_name)
        return body


def _replaced(value: Any, format_name: str) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, str):
        return value.replace("{FORMAT}", format_name)
    if isinstance(value, dict):
        return {key: _replaced(item, format_name) for key, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item, format_name) for item in value]
    return value


def read(path: Path) -> Iterator[Case]:
    """The cases of a file, or of all .json files below a folder, in order of their paths."""
    files = [path] if path.is_file() else sorted(path.rglob("*.json"))
    root = path.parent if path.is_file() else path
    for file in files:
        content = json.loads(file.read_text("utf-8"), parse_float=Decimal)
        tests = content.get("tests", []) if isinstance(content, dict) else content
        for body in tests:
            if isinstance(body, dict) and "name" in body:
                yield Case(str(file.relative_to(root)), body["name"], body, file.parent)
