"""Compiles an expression to the source of one Python expression.

Types and their rules follow ksqlDB: comparisons with NULL are false, arithmetic with NULL is NULL, a condition that is
NULL makes the whole expression fail (and so NULL). Each kind of node is compiled by a function of one of the modules
beside this one; the compiler holds what they share.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ksqlite import ast
from ksqlite.errors import AnalysisError, EvaluationError
from ksqlite.expressions import (
    arithmetic,
    calls,
    coercion,
    comparisons,
    conditions,
    constructors,
    literals,
)
from ksqlite.expressions.api import Binding, Compiled, Environment, ErrorReporter, NoColumns, Scope, bind
from ksqlite.expressions.text import text_of
from ksqlite.types import BOOLEAN, Base, DecimalType, SqlType
from ksqlite.values import Value, casts, decimals


class Compiler:
    """Compiles expressions over one scope into one environment.

    ``custom_types`` are the CREATE TYPE types by name; ``on_error`` is told of errors that an expression survives.
    """

    def __init__(
        self,
        scope: Scope,
        env: Environment,
        *,
        custom_types: Mapping[str, SqlType] | None = None,
        on_error: ErrorReporter | None = None,
    ) -> None:
        self.scope = scope
        self.env = env
        self.custom_types = custom_types or {}
        self.on_error = on_error
        self._temporaries = 0
        self.lambda_parameters: list[dict[str, Binding]] = []
        self._guards: dict[str, str] = {}
        self._clause = "Select"

    # ------------------------------------------------------------------------------------------------------- public

    def compile(self, expression: ast.Expression, expected: SqlType | None = None) -> Compiled:
        """Compiles; with ``expected``, converts to that type as ksqlDB does implicitly.

        Raises AnalysisError when the types do not fit, UnsupportedError for what ksqlite leaves out.
        """
        compiled = self.visit(expression)
        if expected is None or compiled.type == expected:
            return compiled
        if compiled.type is not None and not casts.can_implicitly_cast(compiled.type, expected):
            coerced = self.coerce_to(expression, expected)
            if coerced is None:
                raise self.error(expression, f"Expected {expected} but {text_of(expression)} is {compiled.type}")
            return coerced
        return self.convert(compiled, expected)

    def compile_predicate(
        self, expression: ast.Expression, clause: str = "WHERE", *, prefix: str | None = None
    ) -> Compiled:
        """Compiles a condition: a row passes when the value is true (neither false nor None).

        Text beside ROWTIME, WINDOWSTART or WINDOWEND is read as a time. Raises AnalysisError, also when the expression
        is not BOOLEAN; ``prefix`` stands before the message when its types do not fit.
        """
        self._clause = "Predicate"
        try:
            compiled = self.visit(comparisons.read_times(expression))
        except InvalidExpressionError:
            raise
        except AnalysisError as error:
            if type(error) is not AnalysisError or error.line is not None:
                raise
            words = f"Error in {clause} expression: " if prefix is None else prefix
            raise self.error(expression, f"{words}{error.message}") from error
        finally:
            self._clause = "Select"
        if compiled.type != BOOLEAN:
            found = "NULL" if compiled.type is None else compiled.type
            raise self.error(
                expression,
                f"Type error in {clause} expression: Should evaluate to boolean but is "
                f"{text_of(expression)} ({found}) instead.",
            )
        return compiled

    # ----------------------------------------------------------------------------------------------- tools of the parts

    def error(self, expression: ast.Expression, message: str) -> AnalysisError:
        """A refusal, at the expression's place where that is known."""
        if expression.at is None:
            return AnalysisError(message)
        return AnalysisError(message, line=expression.at.line, column=expression.at.column)

    def invalid(self, message: str) -> AnalysisError:
        """A refusal that ksqlDB makes only when it generates code, after all types are known."""
        return InvalidExpressionError(f"Invalid {self._clause}: {message}")

    def temporary(self) -> str:
        """A new name for a temporary."""
        self._temporaries += 1
        return f"_t{self._temporaries}"

    def constant(self, value: object, hint: str) -> str:
        """The source of a constant or function, put into the environment."""
        return bind(self.env, value, hint)

    def convert(self, compiled: Compiled, target: SqlType) -> Compiled:
        """Casts. Raises AnalysisError when there is no such cast."""
        if compiled.type is None:
            return Compiled(
                compiled.source, target, nullable=compiled.nullable, fallible=False, constant=True, simple=True
            )
        cast = casts.caster(compiled.type, target)
        if cast is None:
            return Compiled(
                compiled.source,
                target,
                nullable=compiled.nullable,
                fallible=compiled.fallible,
                constant=compiled.constant,
                simple=compiled.simple,
            )
        if compiled.constant and compiled.simple and not compiled.nullable:
            folded = self._fold(compiled, cast, target)
            if folded is not None:
                return folded
        safe = (compiled.type.base, target.base) in _SAFE_CASTS
        name = "float" if cast is float else "str" if cast is str else self.constant(cast, _cast_name(target))
        return self.null_safe([compiled], lambda sources: f"{name}({sources[0]})", target, fallible=not safe)

    def _fold(self, compiled: Compiled, cast: Callable[[Any], Any], target: SqlType) -> Compiled | None:
        try:
            value = cast(eval(compiled.source, self.env))  # noqa: S307 - the source was generated here
        except (EvaluationError, ArithmeticError, ValueError):
            return None  # fails again for each row, as it does in ksqlDB
        return self.literal(value, target)

    def literal(self, value: object, sql_type: SqlType) -> Compiled:
        """The source of a value."""
        plain = value is None or isinstance(value, bool | int | str | bytes)
        if plain or (isinstance(value, float) and math.isfinite(value)):
            source = repr(value)
        else:
            source = self.constant(value, "literal")
        return Compiled(source, sql_type, nullable=value is None, fallible=False, constant=True, simple=True)

    def null_safe(
        self,
        operands: Sequence[Compiled],
        build: Callable[[list[str]], str],
        result: SqlType | None,
        *,
        fallible: bool = True,
        nullable: bool = False,
        reused: bool = False,
    ) -> Compiled:
        """A source that is None when an operand is None, otherwise what ``build`` makes of the operands' sources.

        ``reused``: ``build`` uses a source more than once. ``nullable``: also the built source may be None.
        """
        checks: list[str] = []
        sources: list[str] = []
        for operand in operands:
            if operand.simple:
                sources.append(operand.source)
                if operand.nullable:
                    checks.append(f"{operand.source} is None")
            elif operand.nullable or reused:
                name = self.temporary()
                checks.append(f"({name} := {operand.source}) is None")
                sources.append(name)
            else:
                sources.append(operand.source)
        built = build(sources)
        may_be_null = nullable or any(operand.nullable for operand in operands)
        if any(operand.source == "None" for operand in operands):
            return Compiled("None", result, nullable=True, fallible=False, constant=True, simple=True)
        source = f"(None if {' or '.join(dict.fromkeys(checks))} else {built})" if checks else built
        return Compiled(
            source,
            result,
            nullable=may_be_null,
            fallible=fallible or any(operand.fallible for operand in operands),
            constant=all(operand.constant for operand in operands),
        )

    def truth(self, compiled: Compiled) -> str:
        """The source of a condition that must not be None; where it may be, evaluation fails."""
        if not compiled.nullable:
            return compiled.source
        return f"{self.constant(require_truth, 'truth')}({compiled.source})"

    def guarded(self, compiled: Compiled, what: str) -> str:
        """The source of a part whose failure is told to the processing log and makes only the part NULL."""
        if not compiled.fallible:
            return compiled.source
        guard = self._guards.get(what)
        if guard is None:
            guard = self._guards[what] = self.constant(_guard(what, self.on_error), "guard")
        return f"{guard}(lambda: {compiled.source})"

    @contextmanager
    def parameters(self, bindings: Mapping[str, Binding]) -> Iterator[None]:
        """A lambda's parameters, known while its body is compiled."""
        self.lambda_parameters.append(dict(bindings))
        try:
            yield
        finally:
            self.lambda_parameters.pop()

    def coerce_to(self, expression: ast.Expression, target: SqlType) -> Compiled | None:
        """A literal or constructor converted to the target as lists' elements are; None where that is not possible."""
        try:
            return coercion.coerce(self, expression, target)
        except coercion.MismatchError:
            return None

    def visit(self, node: ast.Expression) -> Compiled:
        """Compiles any expression."""
        visitor = _VISITORS.get(type(node))
        if visitor is None:
            raise AnalysisError(f"{type(node).__name__} cannot be used here: {text_of(node)}")
        return visitor(self, node)

    def type_named(self, sql_type: SqlType | ast.TypeName) -> SqlType:
        """The type that was written; a CREATE TYPE type is looked up. Raises AnalysisError."""
        if isinstance(sql_type, ast.TypeName):
            found = self.custom_types.get(sql_type.name)
            if found is None:
                raise AnalysisError(f"Cannot resolve unknown type: {sql_type.name}")
            return found
        if isinstance(sql_type, DecimalType):
            decimals.check_type(sql_type.precision, sql_type.scale)
        return sql_type


class InvalidExpressionError(AnalysisError):
    """A refusal that already carries its clause."""


def require_truth(value: bool | None) -> bool:  # noqa: FBT001 - the value itself, no switch
    """The condition's value. Raises EvaluationError for NULL, which is neither true nor false."""
    if value is None:
        raise EvaluationError("A condition is NULL")
    return value


def _guard(what: str, report: ErrorReporter | None) -> Callable[[Callable[[], Any]], Any]:
    def guard(evaluate_part: Callable[[], Any]) -> Value:
        try:
            return evaluate_part()
        except Exception as error:  # noqa: BLE001 - whatever fails in a part
            if report is not None:
                report(f"Error processing {what}: {decimals.describe_error(error)}", error)
            return None

    return guard


def _cast_name(target: SqlType) -> str:
    return f"to_{target.base.value.lower()}"


# Casts that no value can make fail.
_SAFE_CASTS = frozenset(
    {
        (Base.INTEGER, Base.DOUBLE),
        (Base.BIGINT, Base.DOUBLE),
        (Base.BIGINT, Base.INTEGER),
        (Base.DECIMAL, Base.DOUBLE),
        (Base.DECIMAL, Base.INTEGER),
        (Base.DECIMAL, Base.BIGINT),
        (Base.DOUBLE, Base.INTEGER),
        (Base.DOUBLE, Base.BIGINT),
        (Base.STRING, Base.BOOLEAN),
        (Base.DATE, Base.TIMESTAMP),
        (Base.TIMESTAMP, Base.DATE),
        (Base.TIMESTAMP, Base.TIME),
        *((base, Base.STRING) for base in Base),
    }
)

_VISITORS: dict[type[ast.Expression], Callable[[Compiler, Any], Compiled]] = {
    **literals.VISITORS,
    **arithmetic.VISITORS,
    **comparisons.VISITORS,
    **conditions.VISITORS,
    **constructors.VISITORS,
    **calls.VISITORS,
}


def infer_type(
    expression: ast.Expression, scope: Scope, custom_types: Mapping[str, SqlType] | None = None
) -> SqlType | None:
    """The expression's type; None for NULL. Raises what ``Compiler.compile`` raises."""
    return Compiler(scope, {}, custom_types=custom_types).compile(expression).type


def to_function(parameters: Sequence[str], source: str, env: Environment) -> Callable[..., Any]:
    """A function of the named parameters that gives the source's value."""
    code = f"lambda {', '.join(parameters)}: {source}"
    return eval(code, env)  # type: ignore[no-any-return] # noqa: S307 - the source is generated here


def evaluate(
    expression: ast.Expression, expected: SqlType | None = None, custom_types: Mapping[str, SqlType] | None = None
) -> tuple[Any, SqlType | None]:
    """The value and type of an expression without columns. Raises EvaluationError when it cannot be computed."""
    env: Environment = {}
    compiled = Compiler(NoColumns(), env, custom_types=custom_types).compile(expression, expected)
    try:
        return to_function((), compiled.source, env)(), compiled.type
    except EvaluationError:
        raise
    except Exception as error:
        raise EvaluationError(decimals.describe_error(error)) from error
