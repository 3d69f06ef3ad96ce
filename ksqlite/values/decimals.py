"""DECIMAL arithmetic: result types as ksqlDB derives them, and exact operations whatever the thread's context.

Python's operators round to the context's 28 digits, silently. They are used only where the result's type cannot have
more digits; beyond that the operations of ``EXACT`` are.
"""

from __future__ import annotations

from decimal import (
    ROUND_HALF_UP,
    Context,
    Decimal,
    DivisionByZero,
    InvalidOperation,
    Overflow,
    Rounded,
)
from functools import cache
from typing import TYPE_CHECKING

from ksqlite.ast import ArithmeticOperator
from ksqlite.errors import AnalysisError, EvaluationError
from ksqlite.types import BIGINT, INTEGER, DecimalType, SqlType, decimal

if TYPE_CHECKING:
    from collections.abc import Callable

NATIVE_DIGITS = 28
EXACT = Context(prec=2000, rounding=ROUND_HALF_UP, traps=[InvalidOperation, DivisionByZero, Overflow])

_INTEGER_DIGITS = {INTEGER: 10, BIGINT: 19}


def to_decimal(sql_type: SqlType) -> DecimalType:
    """The DECIMAL that holds every value of a whole-number type; a DECIMAL itself."""
    if isinstance(sql_type, DecimalType):
        return sql_type
    return decimal(_INTEGER_DIGITS[sql_type], 0)


def literal_type(value: Decimal) -> DecimalType:
    """The type of a literal: as many digits as are written."""
    _, digits, exponent = value.as_tuple()
    scale = max(0, -int(exponent))
    precision = len(digits) + max(0, int(exponent))
    return decimal(max(precision, scale, 1), scale)


def widen(first: DecimalType, second: DecimalType) -> DecimalType:
    """The smallest DECIMAL that holds the values of both."""
    scale = max(first.scale, second.scale)
    whole = max(first.precision - first.scale, second.precision - second.scale)
    return decimal(whole + scale, scale)


def result_type(operator: ArithmeticOperator, left: DecimalType, right: DecimalType) -> DecimalType:
    """The type of left operator right."""
    p1, s1, p2, s2 = left.precision, left.scale, right.precision, right.scale
    if operator in {ArithmeticOperator.ADD, ArithmeticOperator.SUBTRACT}:
        scale = max(s1, s2)
        return decimal(max(p1 - s1, p2 - s2) + scale + 1, scale)
    if operator is ArithmeticOperator.MULTIPLY:
        return decimal(p1 + p2 + 1, s1 + s2)
    if operator is ArithmeticOperator.DIVIDE:
        scale = max(6, s1 + p2 + 1)
        return decimal(p1 - s1 + s2 + scale, scale)
    scale = max(s1, s2)
    return decimal(min(p1 - s1, p2 - s2) + scale, scale)


@cache
def quantum(scale: int) -> Decimal:
    """1 in the last of ``scale`` digits behind the point."""
    return Decimal((0, (1,), -scale))


@cache
def divider(precision: int, scale: int) -> Callable[[Decimal, Decimal], Decimal]:
    """Division to that type, rounded half up."""
    context = Context(prec=max(1, precision), rounding=ROUND_HALF_UP, traps=[InvalidOperation, DivisionByZero])
    unit = quantum(scale)

    def divide(left: Decimal, right: Decimal) -> Decimal:
        return context.divide(left, right).quantize(unit, ROUND_HALF_UP, EXACT)

    return divide


@cache
def adder(precision: int) -> Callable[[Decimal, Decimal], Decimal]:
    """Addition of values of one DECIMAL(precision, s) that raises ``decimal.Rounded`` when the sum has more digits."""
    return Context(prec=precision, traps=[Rounded, InvalidOperation, Overflow]).add


@cache
def subtracter(precision: int) -> Callable[[Decimal, Decimal], Decimal]:
    """Subtraction, with the same check as ``adder``."""
    return Context(prec=precision, traps=[Rounded, InvalidOperation, Overflow]).subtract


@cache
def fitter(precision: int, scale: int) -> Callable[[Decimal | int], Decimal]:
    """Rounds half up to that type's scale; raises EvaluationError when there are too many digits before the point."""
    unit = quantum(scale)
    limit = Decimal((0, (1,), precision - scale))

    def fit(value: Decimal | int) -> Decimal:
        if not isinstance(value, Decimal):
            value = Decimal(value)
        if not value.is_finite():
            raise EvaluationError(f"Not a number: {value}")
        rounded = value.quantize(unit, ROUND_HALF_UP, EXACT)
        if -limit < rounded < limit:
            return rounded or abs(rounded)  # there is no negative zero
        raise EvaluationError(
            f"Numeric field overflow: A field with precision {precision} and scale {scale} must round to an absolute "
            f"value less than 10^{precision - scale}. Got {value:f}"
        )

    return fit


@cache
def rescaler(scale: int) -> Callable[[Decimal], Decimal]:
    """Gives more digits behind the point to a value that has fewer."""
    unit = quantum(scale)

    def rescale(value: Decimal) -> Decimal:
        return value.quantize(unit, ROUND_HALF_UP, EXACT)

    return rescale


def from_double(value: float) -> Decimal:
    """The decimal that is written like the double, as Java's BigDecimal.valueOf gives it."""
    result = Decimal(repr(value))
    if not result.is_finite():
        raise EvaluationError(f"Not a number: {value}")
    return result


def parse(text: str) -> Decimal:
    """A number written as Java's BigDecimal takes it. Raises EvaluationError for anything else."""
    stripped = text.strip()
    try:
        value = Decimal(stripped)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or "_" in stripped:
        raise EvaluationError(f"Not a number: '{text}'")
    return value


def check_type(precision: int, scale: int) -> None:
    """Refuses a DECIMAL type that cannot be. Raises AnalysisError."""
    if precision < 1:
        raise AnalysisError(f"DECIMAL precision must be >= 1: DECIMAL({precision},{scale})")
    if scale < 0:
        raise AnalysisError(f"DECIMAL scale must be >= 0: DECIMAL({precision},{scale})")
    if scale > precision:
        raise AnalysisError(f"DECIMAL precision must be >= scale: DECIMAL({precision},{scale})")


def describe_error(error: BaseException) -> str:
    """The processing log's words for an exception from generated code."""
    if isinstance(error, Rounded):
        return "Numeric field overflow"
    if isinstance(error, InvalidOperation):
        return "/ by zero" if "Division" in str(error) else "Numeric field overflow"
    if isinstance(error, ZeroDivisionError):
        return "/ by zero"
    return str(error) or type(error).__name__
