"""CAST: which casts there are, and the code of each."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ksqlite.errors import AnalysisError, EvaluationError
from ksqlite.types import ArrayType, Base, DecimalType, MapType, SqlType, StructType
from ksqlite.values import decimals, text, times

if TYPE_CHECKING:
    from collections.abc import Callable

_INT_MIN, _INT_MAX = -(2**31), 2**31 - 1
_LONG_MIN, _LONG_MAX = -(2**63), 2**63 - 1


def wrap_int(value: int) -> int:
    """Keeps the low 32 bits, as Java's int does."""
    return (value + 0x8000_0000 & 0xFFFF_FFFF) - 0x8000_0000


def wrap_long(value: int) -> int:
    """Keeps the low 64 bits, as Java's long does."""
    return (value + 0x8000_0000_0000_0000 & 0xFFFF_FFFF_FFFF_FFFF) - 0x8000_0000_0000_0000


def double_to_int(value: float) -> int:
    """Cuts the fraction; what is too large becomes the largest, not-a-number becomes 0."""
    return _saturate(value, _INT_MIN, _INT_MAX)


def double_to_long(value: float) -> int:
    """Cuts the fraction; what is too large becomes the largest, not-a-number becomes 0."""
    return _saturate(value, _LONG_MIN, _LONG_MAX)


def _saturate(value: float, low: int, high: int) -> int:
    if math.isnan(value):
        return 0
    if math.isinf(value):
        return high if value > 0 else low
    return min(max(int(value), low), high)


def decimal_to_int(value: Decimal) -> int:
    """Cuts the fraction."""
    return wrap_int(int(value))


def decimal_to_long(value: Decimal) -> int:
    """Cuts the fraction."""
    return wrap_long(int(value))


def _text_to_whole(value: str, low: int, high: int) -> int:
    stripped = value.strip()
    digits = stripped[1:] if stripped[:1] in {"+", "-"} else stripped
    if digits.isdecimal() and low <= (number := int(stripped)) <= high:
        return number
    raise EvaluationError(f'For input string: "{value}"')


def text_to_int(value: str) -> int:
    """Raises EvaluationError when it is no INTEGER."""
    return _text_to_whole(value, _INT_MIN, _INT_MAX)


def text_to_long(value: str) -> int:
    """Raises EvaluationError when it is no BIGINT."""
    return _text_to_whole(value, _LONG_MIN, _LONG_MAX)


def text_to_double(value: str) -> float:
    """Raises EvaluationError when it is no finite number."""
    try:
        if "_" not in value and math.isfinite(number := float(value)):
            return number
    except ValueError:
        pass
    raise EvaluationError(f'For input string: "{value}"')


def text_to_boolean_exact(value: str) -> bool | None:
    """TRUE for true, yes and their beginnings, FALSE for false, no and theirs, in any case; None for anything else."""
    word = value.strip().lower()
    if not word:
        return None
    if "true".startswith(word) or "yes".startswith(word):
        return True
    if "false".startswith(word) or "no".startswith(word):
        return False
    return None


def text_to_boolean(value: str) -> bool:
    """TRUE for true, yes and their beginnings, FALSE for everything else."""
    return text_to_boolean_exact(value) is True


def timestamp_to_date(value: int) -> int:
    """The day in UTC."""
    return value // times.DAY_MS


def timestamp_to_time(value: int) -> int:
    """The time of day in UTC."""
    return value % times.DAY_MS


def date_to_timestamp(value: int) -> int:
    """Midnight in UTC."""
    return value * times.DAY_MS


_CASTS: dict[tuple[Base, Base], Callable[[Any], Any]] = {
    (Base.BIGINT, Base.INTEGER): wrap_int,
    (Base.INTEGER, Base.DOUBLE): float,
    (Base.BIGINT, Base.DOUBLE): float,
    (Base.DECIMAL, Base.INTEGER): decimal_to_int,
    (Base.DECIMAL, Base.BIGINT): decimal_to_long,
    (Base.DECIMAL, Base.DOUBLE): float,
    (Base.DOUBLE, Base.INTEGER): double_to_int,
    (Base.DOUBLE, Base.BIGINT): double_to_long,
    (Base.STRING, Base.BOOLEAN): text_to_boolean,
    (Base.STRING, Base.INTEGER): text_to_int,
    (Base.STRING, Base.BIGINT): text_to_long,
    (Base.STRING, Base.DOUBLE): text_to_double,
    (Base.STRING, Base.TIMESTAMP): times.parse_timestamp,
    (Base.STRING, Base.DATE): times.parse_date,
    (Base.STRING, Base.TIME): times.parse_time,
    (Base.DATE, Base.TIMESTAMP): date_to_timestamp,
    (Base.TIMESTAMP, Base.DATE): timestamp_to_date,
    (Base.TIMESTAMP, Base.TIME): timestamp_to_time,
}

_NUMBERS = (Base.INTEGER, Base.BIGINT, Base.DECIMAL, Base.DOUBLE)


def unsupported(source: SqlType, target: SqlType) -> AnalysisError:
    """The refusal of a cast that does not exist."""
    return AnalysisError(f"Cast of {source} to {target} is not supported")


def caster(source: SqlType, target: SqlType) -> Callable[[Any], Any] | None:
    """The function that casts a value (not None); None where the value is the same. Raises AnalysisError."""
    if source == target:
        return None
    if isinstance(target, DecimalType):
        return _to_decimal(source, target)
    if isinstance(source, ArrayType) and isinstance(target, ArrayType):
        return _array_caster(nested(source.element, target.element))
    if isinstance(source, MapType) and isinstance(target, MapType):
        return _map_caster(nested(source.key, target.key), nested(source.value, target.value))
    if isinstance(source, StructType) and isinstance(target, StructType):
        return _struct_caster(source, target)
    if target.base is Base.STRING and source.base is not Base.BYTES:
        return text.formatter(source)
    if (source.base, target.base) == (Base.INTEGER, Base.BIGINT):
        return None
    cast = _CASTS.get((source.base, target.base))
    if cast is None:
        raise unsupported(source, target)
    return cast


def nested(source: SqlType, target: SqlType) -> Callable[[Any], Any] | None:
    """The cast of a value inside another, where NULL stays NULL."""
    cast = caster(source, target)
    if cast is None:
        return None
    return lambda value: None if value is None else cast(value)


def _to_decimal(source: SqlType, target: DecimalType) -> Callable[[Any], Any] | None:
    fit = decimals.fitter(target.precision, target.scale)
    whole = target.precision - target.scale
    if isinstance(source, DecimalType):
        if whole >= source.precision - source.scale and target.scale >= source.scale:
            return None if target.scale == source.scale else decimals.rescaler(target.scale)
        return fit
    if source.base in {Base.INTEGER, Base.BIGINT}:
        return fit
    if source.base is Base.DOUBLE:
        return lambda value: fit(decimals.from_double(value))
    if source.base is Base.STRING:
        return lambda value: fit(decimals.parse(value))
    raise unsupported(source, target)


def _array_caster(element: Callable[[Any], Any] | None) -> Callable[[Any], Any] | None:
    return None if element is None else lambda values: [element(value) for value in values]


def _map_caster(key: Callable[[Any], Any] | None, value: Callable[[Any], Any] | None) -> Callable[[Any], Any] | None:
    if key is None and value is None:
        return None
    return lambda entries: {
        (k if key is None else key(k)): (v if value is None else value(v)) for k, v in entries.items()
    }


def _struct_caster(source: StructType, target: StructType) -> Callable[[Any], Any]:
    """Fields are matched by name; what the source has not is NULL."""
    parts: list[tuple[int | None, Callable[[Any], Any] | None]] = []
    for field in target.fields:
        position = source.index(field.name)
        parts.append((position, None if position is None else nested(source.fields[position].type, field.type)))

    def cast(values: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(
            None if position is None else values[position] if convert is None else convert(values[position])
            for position, convert in parts
        )

    return cast


def can_implicitly_cast(source: SqlType, target: SqlType) -> bool:
    """Whether ksqlDB converts without CAST: numbers to wider ones, text to dates and times."""
    if source.base in _NUMBERS and target.base in _NUMBERS:
        return _NUMBERS.index(source.base) <= _NUMBERS.index(target.base)
    if source.base is Base.STRING and target.base in {Base.TIMESTAMP, Base.DATE, Base.TIME}:
        return True
    return source.base is target.base and source.base not in {Base.ARRAY, Base.MAP, Base.STRUCT}


def common_number(first: SqlType, second: SqlType) -> SqlType:
    """The wider of two number types; for DECIMAL, one that holds both."""
    low, high = sorted((first, second), key=lambda t: _NUMBERS.index(t.base))
    if high.base is not Base.DECIMAL:
        return high
    return decimals.widen(decimals.to_decimal(low), decimals.to_decimal(high))


def is_number(sql_type: SqlType) -> bool:
    """INTEGER, BIGINT, DECIMAL or DOUBLE."""
    return sql_type.base in _NUMBERS
