"""KAFKA bodies: what Kafka's own serializers of single values write."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from ksqlite.formats.api import DeserializationError, Row
from ksqlite.types import Base, SqlType

_BINARY = {Base.INTEGER: struct.Struct(">i"), Base.BIGINT: struct.Struct(">q"), Base.DOUBLE: struct.Struct(">d")}


def encoder(sql: SqlType) -> Callable[[Row], bytes | None]:
    """A row of one column to bytes; NULL to None."""
    if sql.base is Base.STRING:

        def encode_text(row: Row) -> bytes | None:
            (value,) = row
            return None if value is None else value.encode(errors="replace")

        return encode_text
    if sql.base is Base.BYTES:
        return lambda row: row[0]
    pack = _BINARY[sql.base].pack

    def encode(row: Row) -> bytes | None:
        (value,) = row
        return None if value is None else pack(value)

    return encode


def decoder(sql: SqlType) -> Callable[[bytes], Row | None]:
    """Bytes to a row of one column."""
    if sql.base is Base.STRING:
        return lambda data: (data.decode(errors="replace"),)
    if sql.base is Base.BYTES:
        return lambda data: (data,)
    layout = _BINARY[sql.base]

    def decode(data: bytes) -> Row:
        if len(data) != layout.size:
            raise DeserializationError(f"Size of data received by {_NAMES[sql.base]} is not {layout.size}")
        value: tuple[Any, ...] = layout.unpack(data)
        return value

    return decode


_NAMES = {Base.INTEGER: "IntegerDeserializer", Base.BIGINT: "LongDeserializer", Base.DOUBLE: "DoubleDeserializer"}
