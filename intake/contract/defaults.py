"""The Avro bytes of a schema's default values, written as Avro's JSON form of them."""

from __future__ import annotations

import struct

from intake.contract.avro import (
    AvroType,
    Boolean,
    Choice,
    Day,
    Decimals,
    Field,
    Floating,
    Integer,
    Listing,
    Mapped,
    Moment,
    Optional,
    Record,
    SchemaUnsupportedError,
    Text,
)
from intake.contract.errors import Json
from intake.contract.numbers import sized, zigzag


def _blocks(parts: list[bytes]) -> bytes:
    return b"".join([zigzag(len(parts)), *parts, b"\0"]) if parts else b"\0"


def default_bytes(kind: AvroType, value: Json) -> bytes:
    """A default as it stands in an encoded record. Raises SchemaUnsupportedError where it does not fit its type."""
    try:
        return _encode(kind, value)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError, struct.error) as error:
        raise SchemaUnsupportedError(f"default {value!r} does not fit its type") from error


def _encode(kind: AvroType, value: Json) -> bytes:
    match kind:
        case Text():
            return sized(value.encode())
        case Boolean():
            return b"\1" if value else b"\0"
        case Integer() | Moment() | Day():
            return zigzag(int(value))
        case Floating():
            return struct.pack("<d" if kind.bits == 64 else "<f", float(value))
        case Decimals():
            return sized(value.encode("latin-1"))
        case Choice():
            return zigzag(kind.symbols.index(value))
        case Listing():
            return _blocks([_encode(kind.items, item) for item in value])
        case Mapped():
            return _blocks([sized(key.encode()) + _encode(kind.values, item) for key, item in value.items()])
        case Optional():
            if value is None:
                return zigzag(kind.null_index)
            return zigzag(1 - kind.null_index) + _encode(kind.inner, value)
        case Record():
            return b"".join(_encode(field.type, _member(field, value)) for field in kind.fields)


def _member(field: Field, value: dict[str, Json]) -> Json:
    if field.name not in value and not field.has_default:
        raise KeyError(field.name)
    return value.get(field.name, field.default)
