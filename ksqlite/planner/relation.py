"""A point within a query while it is planned: what flows there, and how its columns are reached."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ksqlite import ast
from ksqlite.errors import AnalysisError, KsqlError
from ksqlite.expressions import Binding, Compiled, Compiler, Environment
from ksqlite.planner.model import Step, WindowInfo
from ksqlite.planner.sources import NamedScope, SourceRef
from ksqlite.types import SqlType


@dataclass(slots=True)
class KeyColumn:
    """A column of a relation's key. ``viable`` are the expressions that are this column, best first."""

    type: SqlType
    viable: list[ast.Expression]


@dataclass(slots=True)
class Relation:
    """What flows at a point of a query. ``changes``: table events carry the old value too."""

    step: Step
    is_table: bool
    changes: bool
    key: list[KeyColumn]
    bindings: dict[str, Binding]
    width: int
    window: WindowInfo | None
    key_format: Any
    refs: list[SourceRef]
    partitions: int
    foreign: bool = False
    synthetic: str | None = None
    left_alias: str = ""
    notes: list[str] = field(default_factory=list)


class ErrorReport:
    """Told at run time of errors in expressions; the engine points ``target`` at the processing log."""

    def __init__(self) -> None:
        self.target: Callable[[str], None] | None = None
        self.count = 0

    def __call__(self, message: str, problem: BaseException | None = None) -> None:
        """Count and tell one error."""
        self.count += 1
        if self.target is not None:
            self.target(f"{message}: {problem}" if problem is not None else message)


class Expressions:
    """Compiles a query's expressions into its one environment."""

    def __init__(self, custom_types: dict[str, SqlType]) -> None:
        self.env: Environment = {}
        self.custom_types = custom_types
        self.report = ErrorReport()
        self.env["_report"] = self.report
        self.shown: dict[str, str] = {}

    def compile(
        self,
        expression: ast.Expression,
        bindings: dict[str, Binding],
        clause: str,
        expected: SqlType | None = None,
        *,
        prefix: str | None = None,
    ) -> Compiled:
        """Compile over the bindings. ``prefix`` stands before the message of a refusal."""
        compiler = Compiler(
            NamedScope(bindings, clause), self.env, custom_types=self.custom_types, on_error=self.report
        )
        try:
            return compiler.compile(expression, expected)
        except KsqlError as problem:
            problem.message = self.readable(problem.message)
            if prefix is not None and type(problem) is AnalysisError:
                problem.message = f"{prefix}{problem.message}"
            problem.args = (problem.message,)
            raise

    def compile_predicate(self, expression: ast.Expression, bindings: dict[str, Binding], clause: str) -> Compiled:
        """Compile a condition; text beside ROWTIME and window bounds is read as a time."""
        compiler = Compiler(
            NamedScope(bindings, clause), self.env, custom_types=self.custom_types, on_error=self.report
        )
        try:
            return compiler.compile_predicate(expression, clause)
        except KsqlError as problem:
            problem.message = self.readable(problem.message)
            problem.args = (problem.message,)
            raise

    def type_of(
        self, expression: ast.Expression, bindings: dict[str, Binding], clause: str = "SELECT"
    ) -> SqlType | None:
        """The expression's type."""
        return self.compile(expression, bindings, clause).type

    def readable(self, message: str) -> str:
        """The message with made-up names replaced by what they stand for."""
        for name, text in sorted(self.shown.items(), key=lambda item: -len(item[0])):
            message = message.replace(name, text)
        return message
