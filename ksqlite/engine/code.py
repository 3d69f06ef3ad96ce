"""Writes and compiles the Python functions that queries run as."""

from __future__ import annotations

import itertools
import linecache
from collections.abc import Callable, Sequence
from typing import Any

from ksqlite.expressions import Compiled, Environment

_numbers = itertools.count()


class Code:
    """Source text in the making, with its indentation."""

    def __init__(self, depth: int = 0) -> None:
        self.lines: list[str] = []
        self.depth = depth

    def __call__(self, line: str) -> Code:
        """Add a line."""
        self.lines.append("    " * self.depth + line)
        return self

    def block(self, head: str) -> _Block:
        """Add a line that opens a block; use with ``with``."""
        self(head)
        return _Block(self)

    def text(self) -> str:
        """All lines."""
        return "\n".join(self.lines) + "\n"


class _Block:
    def __init__(self, code: Code) -> None:
        self.code = code

    def __enter__(self) -> None:
        self.code.depth += 1

    def __exit__(self, *_: object) -> None:
        self.code.depth -= 1


def define(name: str, source: str, env: Environment, label: str) -> Callable[..., Any]:
    """Compile a function's source in the environment and give the function. Tracebacks show its lines."""
    filename = f"<ksqlite {label} {next(_numbers)}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    scope: dict[str, Any] = {}
    exec(compile(source, filename, "exec"), env, scope)  # noqa: S102 - generated here from an analysed query
    function: Callable[..., Any] = scope[name]
    return function


def evaluate(code: Code, target: str, compiled: Compiled, what: str) -> None:
    """``target = expression``; an expression that fails is None and is reported, as ksqlDB does."""
    if not compiled.fallible:
        code(f"{target} = {compiled.source}")
        return
    with code.block("try:"):
        code(f"{target} = {compiled.source}")
    with code.block("except Exception as problem:"):
        code(f"_report({what!r}, problem)")
        code(f"{target} = None")


def condition(code: Code, compiled: Compiled, what: str, otherwise: str = "continue") -> None:
    """Leave the row unless the condition is true; one that fails counts as not true."""
    if compiled.fallible:
        evaluate(code, "passes", compiled, what)
        with code.block("if not passes:"):
            code(otherwise)
    else:
        with code.block(f"if not ({compiled.source}):"):
            code(otherwise)


def values(code: Code, expressions: Sequence[Compiled], prefix: str, what: str) -> list[str]:
    """The sources of the expressions' values; those that may fail are computed into names first."""
    sources = []
    for position, compiled in enumerate(expressions):
        if compiled.fallible:
            name = f"{prefix}{position}"
            evaluate(code, name, compiled, what)
            sources.append(name)
        else:
            sources.append(compiled.source)
    return sources


def tuple_of(sources: Sequence[str]) -> str:
    """The source of a tuple."""
    return f"({', '.join(sources)}{',' if len(sources) == 1 else ''})"
