"""Functions over numbers. What has no value is not-a-number or an infinity, as IEEE 754 has it."""

from __future__ import annotations

import math
import random as random_numbers
from collections.abc import Callable, Sequence
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_DOWN, ROUND_HALF_UP, Decimal
from typing import Any

from ksqlite.errors import EvaluationError
from ksqlite.functions.registry import scalar
from ksqlite.types import BYTES, DecimalType, SqlType, decimal
from ksqlite.values import Value, decimals
from ksqlite.values.casts import caster, double_to_long

_SIGNED = bytes((byte + 128) % 256 for byte in range(256))
_Types = Sequence[SqlType | None]


def _same(types: _Types) -> SqlType:
    return types[0] or decimal(38, 0)


def _whole(types: _Types) -> SqlType:
    first = types[0]
    return decimal(max(first.precision - first.scale, 1), 0) if isinstance(first, DecimalType) else decimal(38, 0)


@scalar("ABS", "DOUBLE -> DOUBLE", inline="abs({0})", never_null=True, fallible=False)
@scalar("ABS", "DECIMAL -> DECIMAL", inline="{0}.copy_abs()", result=_same, never_null=True, fallible=False)
@scalar("ABS", "INTEGER -> INTEGER", "BIGINT -> BIGINT", inline="abs({0})", never_null=True, fallible=False)
def absolute(value: Value) -> Value:
    """The value without its sign."""
    return abs(value)


def _unchanged(value: Value) -> Value:
    return value


for _name, _text in (("CEIL", "The next whole number above."), ("FLOOR", "The next whole number below.")):
    scalar(
        _name,
        "INTEGER -> INTEGER",
        "BIGINT -> BIGINT",
        description=_text,
        inline="{0}",
        never_null=True,
        fallible=False,
    )(_unchanged)


def _double_to_whole(function: Callable[[float], int]) -> Callable[[float], float]:
    def whole(value: float) -> float:
        if not math.isfinite(value):
            return value
        return math.copysign(float(function(value)), value)

    return whole


scalar("CEIL", "DOUBLE -> DOUBLE", never_null=True, fallible=False)(_double_to_whole(math.ceil))
scalar("FLOOR", "DOUBLE -> DOUBLE", never_null=True, fallible=False)(_double_to_whole(math.floor))


def _rounded(value: Decimal, places: int, rounding: str, scale: int) -> Decimal:
    """Rounded to a number of places, which may be negative, written with ``scale`` digits behind the point."""
    if places <= scale:
        value = value.quantize(Decimal((0, (1,), -places)), rounding, decimals.EXACT)
    return _unsigned_zero(value.quantize(decimals.quantum(scale), ROUND_HALF_UP, decimals.EXACT))


def _unsigned_zero(value: Decimal) -> Decimal:
    """The same value; there is no negative zero in SQL."""
    return value or abs(value)


@scalar("CEIL", "DECIMAL -> DECIMAL", result=_same, make=True, never_null=True, fallible=False)
def ceil_decimal(types: Sequence[SqlType], returns: Value) -> Callable[[Decimal], Decimal]:  # noqa: ARG001
    """The next whole number above."""
    return lambda value: _rounded(value, 0, ROUND_CEILING, returns.scale)


@scalar("FLOOR", "DECIMAL -> DECIMAL", result=_same, make=True, never_null=True, fallible=False)
def floor_decimal(types: Sequence[SqlType], returns: Value) -> Callable[[Decimal], Decimal]:  # noqa: ARG001
    """The next whole number below."""
    return lambda value: _rounded(value, 0, ROUND_FLOOR, returns.scale)


def _half(value: Decimal) -> str:
    """Halves go up: away from zero above it, towards zero below."""
    return ROUND_HALF_UP if value > 0 else ROUND_HALF_DOWN


@scalar("ROUND", "DOUBLE -> BIGINT", never_null=True, fallible=False)
def round_double(value: float) -> int:
    """Rounded to a whole number or to a number of decimal places (tens and so on when negative), halves up."""
    if not math.isfinite(value):
        return double_to_long(value)
    exact = Decimal(value)
    return double_to_long(float(exact.quantize(Decimal(1), _half(exact), decimals.EXACT)))


@scalar("ROUND", "INTEGER -> BIGINT", "BIGINT -> BIGINT", inline="{0}", never_null=True, fallible=False)
def round_whole(value: int) -> int:
    """A whole number is round."""
    return value


@scalar("ROUND", "DOUBLE, INTEGER -> DOUBLE", never_null=True)
def round_double_to(value: float, places: int) -> float:
    """Rounded to a number of decimal places."""
    exact = decimals.from_double(value)
    return float(exact.quantize(Decimal((0, (1,), -places)), _half(exact), decimals.EXACT))


@scalar("ROUND", "DECIMAL -> DECIMAL", result=_whole, never_null=True, fallible=False)
def round_decimal(value: Decimal) -> Decimal:
    """Rounded to a whole number."""
    return _rounded(value, 0, _half(value), 0)


@scalar("ROUND", "DECIMAL, INTEGER -> DECIMAL", result=_same, make=True, never_null=True, fallible=False)
def round_decimal_to(types: Sequence[SqlType], returns: Value) -> Callable[[Decimal, int], Decimal]:  # noqa: ARG001
    """Rounded to a number of decimal places."""
    return lambda value, places: _rounded(value, places, _half(value), returns.scale)


@scalar("TRUNC", "DOUBLE -> BIGINT", never_null=True, fallible=False)
def trunc_double(value: float) -> int:
    """Cut to a whole number or to a number of decimal places (tens and so on when negative)."""
    return double_to_long(value)


@scalar("TRUNC", "INTEGER -> BIGINT", "BIGINT -> BIGINT", inline="{0}", never_null=True, fallible=False)
def trunc_whole(value: int) -> int:
    """A whole number has nothing to cut."""
    return value


@scalar("TRUNC", "DOUBLE, INTEGER -> DOUBLE", never_null=True)
def trunc_double_to(value: float, places: int) -> float:
    """Cut to a number of decimal places."""
    exact = decimals.from_double(value).quantize(Decimal((0, (1,), -places)), ROUND_DOWN, decimals.EXACT)
    return float(_unsigned_zero(exact))


@scalar("TRUNC", "DECIMAL -> DECIMAL", result=_whole, never_null=True, fallible=False)
def trunc_decimal(value: Decimal) -> Decimal:
    """Cut to a whole number."""
    return _rounded(value, 0, ROUND_DOWN, 0)


@scalar("TRUNC", "DECIMAL, INTEGER -> DECIMAL", result=_same, make=True, never_null=True, fallible=False)
def trunc_decimal_to(types: Sequence[SqlType], returns: Value) -> Callable[[Decimal, int], Decimal]:  # noqa: ARG001
    """Cut to a number of decimal places."""
    return lambda value, places: _rounded(value, places, ROUND_DOWN, returns.scale)


@scalar("SIGN", "DOUBLE -> INTEGER", "INTEGER -> INTEGER", "BIGINT -> INTEGER", never_null=True, fallible=False)
def sign(value: float) -> int:
    """1, 0 or -1."""
    return (value > 0) - (value < 0)


def _or_nan(function: Callable[[float], float], at_zero: float = math.nan) -> Callable[[float], float]:
    def safe(value: float) -> float:
        try:
            return function(value)
        except ValueError:
            return at_zero if value == 0 else math.nan
        except OverflowError:
            return math.inf

    return safe


def _odd_overflow(function: Callable[[float], float]) -> Callable[[float], float]:
    def safe(value: float) -> float:
        try:
            return function(value)
        except OverflowError:
            return math.copysign(math.inf, value)

    return safe


def radians(degrees_: float) -> float:
    """Degrees in radians, rounded as Java's library rounds."""
    return degrees_ / 180.0 * math.pi


def degrees(radians_: float) -> float:
    """Radians in degrees, rounded as Java's library rounds."""
    return radians_ * 180.0 / math.pi


def _cot(value: float) -> float:
    tangent = math.tan(value)
    return 1 / tangent if tangent else math.copysign(math.inf, tangent)


for _name, _function, _text in (
    ("SQRT", _or_nan(math.sqrt), "The square root."),
    ("CBRT", math.cbrt, "The cube root."),
    ("EXP", _or_nan(math.exp), "e to the power of the value."),
    ("LN", _or_nan(math.log, -math.inf), "The natural logarithm."),
    ("LOG", _or_nan(math.log, -math.inf), "The natural logarithm, or that of a value to a base given first."),
    ("ACOS", _or_nan(math.acos), "The arc cosine, in radians."),
    ("ASIN", _or_nan(math.asin), "The arc sine, in radians."),
    ("ATAN", math.atan, "The arc tangent, in radians."),
    ("COS", _or_nan(math.cos), "The cosine of radians."),
    ("COSH", _or_nan(math.cosh), "The hyperbolic cosine."),
    ("COT", _or_nan(_cot), "The cotangent of radians."),
    ("SIN", _or_nan(math.sin), "The sine of radians."),
    ("SINH", _odd_overflow(math.sinh), "The hyperbolic sine."),
    ("TAN", _or_nan(math.tan), "The tangent of radians."),
    ("TANH", math.tanh, "The hyperbolic tangent."),
    ("DEGREES", degrees, "Radians in degrees."),
    ("RADIANS", radians, "Degrees in radians."),
):
    scalar(
        _name,
        "DOUBLE -> DOUBLE",
        "INTEGER -> DOUBLE",
        "BIGINT -> DOUBLE",
        description=_text,
        never_null=True,
        fallible=False,
    )(_function)


@scalar("LOG", "INTEGER, INTEGER -> DOUBLE", "BIGINT, BIGINT -> DOUBLE", "DOUBLE, DOUBLE -> DOUBLE", never_null=True)
def log(base: float, value: float) -> float:
    """The logarithm of the second to the base of the first."""
    if base <= 0 or base == 1 or value < 0:
        return math.nan
    return -math.inf if value == 0 else math.log(value) / math.log(base)


@scalar("ATAN2", "DOUBLE, DOUBLE -> DOUBLE", "BIGINT, BIGINT -> DOUBLE", "INTEGER, INTEGER -> DOUBLE", never_null=True)
def atan2(y: float, x: float) -> float:
    """The arc tangent of y / x, in radians, with the quadrant of the point."""
    return math.atan2(y, x)


@scalar("POWER", "DOUBLE, DOUBLE -> DOUBLE", "BIGINT, BIGINT -> DOUBLE", "INTEGER, INTEGER -> DOUBLE", never_null=True)
def power(base: float, exponent: float) -> float:
    """The first to the power of the second."""
    try:
        return math.pow(base, exponent)
    except OverflowError:
        odd = exponent == math.trunc(exponent) and math.fmod(exponent, 2) != 0
        return -math.inf if base < 0 and odd else math.inf
    except ValueError:
        if base == 0:
            odd = exponent == math.trunc(exponent) and math.fmod(exponent, 2) != 0
            return math.copysign(math.inf, base) if odd else math.inf
        return math.nan


@scalar("PI", "-> DOUBLE", never_null=True, fallible=False)
def pi() -> float:
    """3.141592653589793."""
    return math.pi


@scalar("RANDOM", "-> DOUBLE", never_null=True, fallible=False)
def random() -> float:
    """A random number from 0 up to, but not including, 1."""
    return random_numbers.random()  # noqa: S311 - no secret hangs on it


_ORDERED = ("TIME", "DATE", "BYTES", "TIMESTAMP", "DECIMAL", "INTEGER", "BIGINT", "DOUBLE", "STRING")


def _widest(types: _Types) -> SqlType:
    widest: SqlType | None = None
    for found in types:
        if not isinstance(found, DecimalType):
            if found is not None:
                return found
            continue
        widest = decimals.widen(widest, found) if isinstance(widest, DecimalType) else found
    if widest is None:
        raise EvaluationError("No type")
    return widest


def _extreme(best: Callable[..., Any]) -> Callable[[Sequence[SqlType], SqlType], Callable[..., Any]]:
    def make(types: Sequence[SqlType], returns: SqlType) -> Callable[..., Any]:
        converts = [caster(found, returns) for found in types]
        key = (lambda value: value.translate(_SIGNED)) if returns == BYTES else None

        def extreme(*values: Value) -> Value:
            there = [
                value if convert is None else convert(value)
                for value, convert in zip(values, converts, strict=True)
                if value is not None
            ]
            return best(there, key=key) if there else None

        return extreme

    return make


for _name, _best, _text in (
    ("GREATEST", max, "The largest of the values that are not NULL."),
    ("LEAST", min, "The smallest of the values that are not NULL."),
):
    for _type in _ORDERED:
        scalar(
            _name,
            f"{_type}, {_type}... -> {_type}",
            description=_text,
            make=True,
            skip_nulls=False,
            fallible=False,
            **({"result": _widest} if _type == "DECIMAL" else {}),
        )(_extreme(_best))
