"""Values as text, written as Java (and so ksqlDB) writes them."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ksqlite.types import ArrayType, Base, DecimalType, MapType, SqlType, StructType
from ksqlite.values import times

if TYPE_CHECKING:
    from collections.abc import Callable


def double_to_text(value: float) -> str:
    """The shortest digits that read back to the same double, with Java's rules for the exponent: ``1.0E10``."""
    if math.isfinite(value):
        size = abs(value)
        if 1e-3 <= size < 1e7:
            return repr(value)
        if size == 0:
            return "-0.0" if math.copysign(1, value) < 0 else "0.0"
        sign, digits, exponent = Decimal(repr(value)).as_tuple()
        figures = "".join(map(str, digits))
        power = int(exponent) + len(figures) - 1
        figures = figures.rstrip("0") or "0"
        return f"{'-' if sign else ''}{figures[0]}.{figures[1:] or '0'}E{power}"
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def decimal_to_text(value: Decimal) -> str:
    """All digits, never an exponent."""
    return f"{value:f}" if value else f"{abs(value):f}"


def boolean_to_text(value: bool) -> str:  # noqa: FBT001 - the value itself, no switch
    """True or false."""
    return "true" if value else "false"


def bytes_to_text(value: bytes) -> str:
    """What Java's ByteBuffer says of itself; ksqlDB has no better text for bytes inside other values."""
    return f"java.nio.HeapByteBuffer[pos=0 lim={len(value)} cap={len(value)}]"


_SIMPLE: dict[Base, Callable[[Any], str]] = {
    Base.BOOLEAN: boolean_to_text,
    Base.INTEGER: str,
    Base.BIGINT: str,
    Base.DOUBLE: double_to_text,
    Base.STRING: str,
    Base.DATE: times.format_date,
    Base.TIME: times.format_time,
    Base.TIMESTAMP: times.format_timestamp,
    Base.BYTES: bytes_to_text,
}


def formatter(sql_type: SqlType) -> Callable[[Any], str]:
    """The function that writes a value (not None) of that type as CAST(… AS STRING) does."""
    if isinstance(sql_type, DecimalType):
        return decimal_to_text
    if isinstance(sql_type, ArrayType):
        return _array_formatter(nested(sql_type.element))
    if isinstance(sql_type, MapType):
        return _map_formatter(nested(sql_type.key), nested(sql_type.value))
    if isinstance(sql_type, StructType):
        return _struct_formatter(sql_type)
    return _SIMPLE[sql_type.base]


def nested(sql_type: SqlType) -> Callable[[Any], str]:
    """The same for a value inside another, where NULL is the word null."""
    write = formatter(sql_type)
    return lambda value: "null" if value is None else write(value)


def _array_formatter(element: Callable[[Any], str]) -> Callable[[Any], str]:
    return lambda values: f"[{', '.join(map(element, values))}]"


def _map_formatter(key: Callable[[Any], str], value: Callable[[Any], str]) -> Callable[[Any], str]:
    return lambda entries: "{" + ", ".join(f"{key(k)}={value(v)}" for k, v in entries.items()) + "}"


def _struct_formatter(sql_type: StructType) -> Callable[[Any], str]:
    fields = [(field.name, formatter(field.type)) for field in sql_type.fields]

    def write(values: tuple[Any, ...]) -> str:
        parts = [
            f"{name}={text(value)}" for (name, text), value in zip(fields, values, strict=True) if value is not None
        ]
        return "Struct{" + ",".join(parts) + "}"

    return write
