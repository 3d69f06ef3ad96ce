"""Comparisons, BETWEEN and IN: which types compare, and their code. A comparison with NULL is false, never NULL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import TYPE_CHECKING

from ksqlite import ast
from ksqlite.ast import ComparisonOperator as Op
from ksqlite.errors import AnalysisError, EvaluationError
from ksqlite.expressions import coercion
from ksqlite.expressions.api import Compiled
from ksqlite.expressions.text import text_of
from ksqlite.types import BIGINT, BOOLEAN, BYTES, DOUBLE, Base, DecimalType, SqlType
from ksqlite.values import Value, casts, decimals, times

if TYPE_CHECKING:
    from ksqlite.expressions.compiler import Compiler

_NAMES = {
    Op.EQUAL: "EQUAL",
    Op.NOT_EQUAL: "NOT_EQUAL",
    Op.LESS: "LESS_THAN",
    Op.LESS_OR_EQUAL: "LESS_THAN_OR_EQUAL",
    Op.GREATER: "GREATER_THAN",
    Op.GREATER_OR_EQUAL: "GREATER_THAN_OR_EQUAL",
    Op.IS_DISTINCT_FROM: "IS_DISTINCT_FROM",
    Op.IS_NOT_DISTINCT_FROM: "IS_NOT_DISTINCT_FROM",
}
_PYTHON = {
    Op.EQUAL: "==",
    Op.NOT_EQUAL: "!=",
    Op.IS_DISTINCT_FROM: "!=",
    Op.IS_NOT_DISTINCT_FROM: "==",
}
_EQUALITY = frozenset(_PYTHON)
_ORDERED = frozenset({Base.STRING, Base.TIMESTAMP, Base.DATE, Base.TIME, Base.BYTES})
_MIXED = (
    frozenset({Base.STRING, Base.TIMESTAMP}),
    frozenset({Base.STRING, Base.DATE}),
    frozenset({Base.STRING, Base.TIME}),
    frozenset({Base.DATE, Base.TIMESTAMP}),
)
_TIME_COLUMNS = frozenset({"ROWTIME", "WINDOWSTART", "WINDOWEND"})
_EXACT_DIGITS = 15  # a double keeps so many decimal digits


def read_times(node: Value) -> Value:
    """Replaces text that is compared with ROWTIME, WINDOWSTART or WINDOWEND by the time it stands for."""
    if isinstance(node, ast.Comparison):
        if _is_time(node.left) and isinstance(node.right, ast.StringLiteral):
            return replace(node, right=_millis(node.right))
        if _is_time(node.right) and isinstance(node.left, ast.StringLiteral):
            return replace(node, left=_millis(node.left))
    if isinstance(node, ast.Between) and _is_time(node.operand):
        return replace(node, low=_millis(node.low), high=_millis(node.high))
    if isinstance(node, tuple):
        return tuple(read_times(item) for item in node)
    if isinstance(node, ast.Node):
        changed = {
            field.name: new
            for field in fields(node)
            if field.init
            and isinstance(old := getattr(node, field.name), ast.Node | tuple)
            and (new := read_times(old)) is not old
            and new != old
        }
        return replace(node, **changed) if changed else node
    return node


def _is_time(node: ast.Expression) -> bool:
    return isinstance(node, ast.ColumnRef) and node.name in _TIME_COLUMNS


def _millis(node: ast.Expression) -> ast.Expression:
    if not isinstance(node, ast.StringLiteral):
        return node
    try:
        value = times.parse_timestamp(node.value)
    except EvaluationError as error:
        raise AnalysisError(str(error)) from error
    literal = ast.IntegerLiteral(abs(value), at=node.at)
    return literal if value >= 0 else ast.Sign(negative=True, operand=literal, at=node.at)


def comparison(compiler: Compiler, node: ast.Comparison) -> Compiled:
    """Compiles left operator right."""
    left, right = compiler.visit(node.left), compiler.visit(node.right)
    return compare(compiler, node.operator, (left, node.left), (right, node.right))


def compare(
    compiler: Compiler, operator: Op, left: tuple[Compiled, ast.Expression], right: tuple[Compiled, ast.Expression]
) -> Compiled:
    """Compiles a comparison of two compiled operands. Raises AnalysisError when their types do not compare."""
    first, second = left[0], right[0]
    _check(operator, left, right)
    first, second = _align(compiler, operator, first, second)
    constant = first.constant and second.constant
    fallible = first.fallible or second.fallible
    python = _PYTHON.get(operator, operator.value)
    if operator in {Op.IS_DISTINCT_FROM, Op.IS_NOT_DISTINCT_FROM}:
        return _boolean(f"({first.source} {python} {second.source})", fallible=fallible, constant=constant)
    if operator is Op.EQUAL and not (first.nullable and second.nullable):
        return _boolean(f"({first.source} == {second.source})", fallible=fallible, constant=constant)
    checks: list[str] = []
    sources: list[str] = []
    for operand in (first, second):
        if not operand.nullable:
            sources.append(operand.source)
        elif operand.simple:
            checks.append(f"{operand.source} is not None and ")
            sources.append(operand.source)
        else:
            name = compiler.temporary()
            checks.append(f"({name} := {operand.source}) is not None and ")
            sources.append(name)
    if operator is Op.EQUAL:
        checks = checks[:1] if second.simple else checks
    return _boolean(f"({''.join(checks)}{sources[0]} {python} {sources[1]})", fallible=fallible, constant=constant)


def _boolean(source: str, *, fallible: bool, constant: bool) -> Compiled:
    return Compiled(source, BOOLEAN, nullable=False, fallible=fallible, constant=constant)


def _check(operator: Op, left: tuple[Compiled, ast.Expression], right: tuple[Compiled, ast.Expression]) -> None:
    first, second = left[0].type, right[0].type
    if first is None or second is None:
        names = ["NULL" if found is None else found.base.value for found in (first, second)]
        raise AnalysisError(
            f"Comparison with NULL not supported: {names[0]} {operator.value} {names[1]}\n"
            "Use 'IS NULL' or 'IS NOT NULL' instead."
        )
    if not _comparable(operator, first, second):
        raise AnalysisError(
            f"Cannot compare {text_of(left[1])} ({first}) to {text_of(right[1])} ({second}) with {_NAMES[operator]}."
        )


def _comparable(operator: Op, first: SqlType, second: SqlType) -> bool:
    if casts.is_number(first) and casts.is_number(second):
        return True
    if first.base is second.base:
        return first.base in _ORDERED or operator in _EQUALITY
    return frozenset({first.base, second.base}) in _MIXED


def _align(compiler: Compiler, operator: Op, first: Compiled, second: Compiled) -> tuple[Compiled, Compiled]:
    """Converts the operands to what Python compares as ksqlDB would."""
    a, b = first.type, second.type
    assert a is not None  # noqa: S101 - checked before
    assert b is not None  # noqa: S101 - checked before
    if a.base is not b.base:
        if a.base is Base.STRING:
            return compiler.convert(first, b), second
        if b.base is Base.STRING:
            return first, compiler.convert(second, a)
        if a.base is Base.DATE:
            return compiler.convert(first, b), second
        if b.base is Base.DATE:
            return first, compiler.convert(second, a)
        if DOUBLE in {a, b}:
            return _align_doubles(compiler, first, second)
    elif a == BYTES and operator not in _EQUALITY:
        return _signed(compiler, first), _signed(compiler, second)
    return first, second


def _align_doubles(compiler: Compiler, first: Compiled, second: Compiled) -> tuple[Compiled, Compiled]:
    """A double beside another number: beside a decimal it is compared as the decimal that it is written like."""
    pair = [first, second]
    for position, other in ((0, 1), (1, 0)):
        operand = pair[position]
        if operand.type == BIGINT:
            pair[position] = compiler.convert(operand, DOUBLE)
        elif isinstance(operand.type, DecimalType):
            if operand.constant and operand.type.precision <= _EXACT_DIGITS:
                pair[position] = compiler.convert(operand, DOUBLE)
            elif pair[other].type == DOUBLE:
                name = compiler.constant(decimals.from_double, "from_double")
                pair[other] = compiler.null_safe(
                    [pair[other]],
                    lambda sources: f"{name}({sources[0]})",  # noqa: B023 - called before the next turn
                    operand.type,
                )
    return pair[0], pair[1]


def _signed(compiler: Compiler, operand: Compiled) -> Compiled:
    """Bytes are ordered as Java's signed bytes are."""
    table = compiler.constant(_SIGNED, "signed")
    return compiler.null_safe([operand], lambda sources: f"{sources[0]}.translate({table})", BYTES, fallible=False)


_SIGNED = bytes((byte + 128) % 256 for byte in range(256))


def between(compiler: Compiler, node: ast.Between) -> Compiled:
    """Compiles operand BETWEEN low AND high."""
    operand = compiler.visit(node.operand)
    low, high = compiler.visit(node.low), compiler.visit(node.high)
    bound = operand
    prefix = ""
    if not operand.simple:
        name = compiler.temporary()
        prefix = f"False if ({name} := {operand.source}) is None else "
        bound = Compiled(name, operand.type, nullable=False, fallible=False, simple=True)
    lower = compare(compiler, Op.GREATER_OR_EQUAL, (bound, node.operand), (low, node.low))
    upper = compare(compiler, Op.LESS_OR_EQUAL, (bound, node.operand), (high, node.high))
    source = f"({prefix}({lower.source} and {upper.source}))"
    return _boolean(
        f"(not {source})" if node.negated else source,
        fallible=operand.fallible or lower.fallible or upper.fallible,
        constant=operand.constant and low.constant and high.constant,
    )


def in_list(compiler: Compiler, node: ast.In) -> Compiled:
    """Compiles operand IN (options): all are brought to one type; NULL is in no list."""
    every = [node.operand, *node.options]
    try:
        common = coercion.common_type(compiler, every)
        if common is None:
            raise AnalysisError("IN needs a value that is not NULL")
        operand, *options = (coercion.coerce(compiler, part, common) for part in every)
    except coercion.MismatchError as error:
        raise compiler.invalid(error.message) from error
    options = [option for option in options if option.source != "None"]
    hashable = common.base not in {Base.ARRAY, Base.MAP, Base.STRUCT}
    if hashable and all(option.constant and option.simple for option in options):
        values = frozenset(eval(option.source, compiler.env) for option in options)  # noqa: S307 - generated here
        source = f"({operand.source} in {compiler.constant(values, 'options')})"
    else:
        name, prefix = operand.source, ""
        if not operand.simple:
            name = compiler.temporary()
            prefix = f"({name} := {operand.source}) is not None and "
        elif operand.nullable:
            prefix = f"{name} is not None and "
        tests = " or ".join(f"{name} == {option.source}" for option in options) or "False"
        source = f"({prefix}({tests}))"
    return _boolean(
        f"(not {source})" if node.negated else source,
        fallible=operand.fallible or any(option.fallible for option in options),
        constant=operand.constant and all(option.constant for option in options),
    )


VISITORS: dict[type[ast.Expression], Callable[..., Compiled]] = {
    ast.Comparison: comparison,
    ast.Between: between,
    ast.In: in_list,
}
