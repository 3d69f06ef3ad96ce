r"""What the planner and the expression compiler agree on.

An expression is compiled to the *source* of one Python expression. The caller puts such sources into functions that it
generates itself, so that a row goes through a query without a call for each operator. How to use it::

    env: dict[str, object] = {}
    compiler = Compiler(scope, env)
    compiled = compiler.compile(expression)          # compiled.source, compiled.type
    code = f"def project(row):\n return ({compiled.source},)"
    exec(code, env)                                   # env holds all that the source refers to

The source may assign temporaries (names that begin with ``_t``) with ``:=``: it must stand inside a function's body,
not in a class body, a default value or the iterable of a comprehension. It raises whatever the evaluation raised (any
``Exception``) when ``compiled.fallible``; ksqlDB then takes NULL for a selected column, drops the row for a filter, and
tells the processing log.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from ksqlite import ast
from ksqlite.types import SqlType

Environment = dict[str, Any]
"""The globals of generated code: compiled sources refer to constants and functions in it by name."""

ErrorReporter = Callable[[str, BaseException], None]
"""Told of an error that the expression itself survives (an item of ARRAY[…] that fails is NULL): message and cause."""


@dataclass(frozen=True, slots=True)
class Binding:
    """A column as generated code sees it: ``source`` is evaluated as often as the column is used, so keep it cheap."""

    source: str
    type: SqlType
    nullable: bool = True


class Scope(Protocol):
    """The columns that an expression may name."""

    def resolve(self, ref: ast.ColumnRef) -> Binding:
        """The column's binding.

        Raises AnalysisError when there is no such column or the name is ambiguous.
        """
        ...


@dataclass(frozen=True, slots=True)
class Compiled:
    """A compiled expression.

    ``type`` is None for the bare NULL literal. ``nullable`` is False where the value is never None; ``fallible`` is
    False where the evaluation cannot raise. ``constant`` is True when the source refers to no column.
    """

    source: str
    type: SqlType | None
    nullable: bool = True
    fallible: bool = True
    constant: bool = False
    simple: bool = False  # a name or a literal: may be repeated without being evaluated twice


class NoColumns:
    """The scope of an expression that may name no columns (INSERT VALUES, constants)."""

    def resolve(self, ref: ast.ColumnRef) -> Binding:
        """Refuses every column."""
        from ksqlite.errors import AnalysisError  # noqa: PLC0415 - keeps this module free of cycles

        line, column = (ref.at.line, ref.at.column) if ref.at else (None, None)
        raise AnalysisError(f"Column '{ref.name}' cannot be resolved.", line=line, column=column)


def bind(env: Environment, value: object, hint: str) -> str:
    """Puts a value into the environment and gives its name there; the same object gets the same name again."""
    name = f"_k_{hint}"
    number = 0
    while name in env:
        if env[name] is value:
            return name
        number += 1
        name = f"_k_{hint}_{number}"
    env[name] = value
    return name
