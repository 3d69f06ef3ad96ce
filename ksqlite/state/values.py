"""Values of state stores as bytes: MessagePack, read back into the Python values of their SQL types.

State is written once for each change and read seldom, and nobody else reads it: what counts is how fast it is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Optional

from msgspec.msgpack import Decoder, Encoder

from ksqlite.types import ArrayType, Base, DecimalType, MapType, SqlType, StructType

_KINDS: dict[Base, Any] = {Base.BOOLEAN: bool, Base.DOUBLE: float, Base.STRING: str, Base.BYTES: bytes}
_encode = Encoder().encode


def _type(sql: SqlType) -> Any:  # noqa: ANN401 - a type
    """What a value of a SQL type, or NULL, is decoded as."""
    made: Any
    if isinstance(sql, DecimalType):
        made = Decimal
    elif isinstance(sql, ArrayType):
        made = list[_type(sql.element)]  # type: ignore[misc] # a type in the making
    elif isinstance(sql, MapType):
        made = dict[_type(sql.key), _type(sql.value)]  # type: ignore[misc] # a type in the making
    elif isinstance(sql, StructType):
        made = _tuple([field.type for field in sql.fields])
    else:
        made = _KINDS.get(sql.base, int)
    return Optional[made]  # noqa: UP045 - made of a type that is known only here


def _tuple(types: Sequence[SqlType]) -> Any:  # noqa: ANN401 - a type
    return tuple[tuple(_type(sql) for sql in types)]  # type: ignore[misc] # a type in the making


def _writable(value: Any) -> Any:  # noqa: ANN401 - values of any SQL type
    """The value with texts that UTF-8 cannot express replaced as Java's encoder does (a lone surrogate)."""
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, tuple | list):
        return [_writable(part) for part in value]
    if isinstance(value, dict):
        return {_writable(key): _writable(part) for key, part in value.items()}
    return value


def encode(value: Any) -> bytes:  # noqa: ANN401 - values of any SQL type
    """The bytes of a value."""
    try:
        return _encode(value)
    except UnicodeEncodeError:
        return _encode(_writable(value))


class ValueCodec:
    """Values (tuples) of certain types to bytes and back: ``encode(row)``, ``decode(bytes)``."""

    def __init__(self, types: Sequence[SqlType]) -> None:
        self.encode = encode
        self.decode = Decoder(_tuple(types)).decode
