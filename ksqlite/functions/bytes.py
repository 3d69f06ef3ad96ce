"""Bytes from and to text and numbers."""

from __future__ import annotations

import base64
import binascii
import struct

from ksqlite.errors import EvaluationError
from ksqlite.functions.registry import scalar


def encode(text: str, encoding: str) -> bytes:
    """The bytes that a text stands for in hex, utf8, ascii or base64. Raises EvaluationError."""
    try:
        match encoding.lower():
            case "hex":
                return bytes.fromhex(text)
            case "utf8":
                return text.encode("utf-8", "replace")
            case "ascii":
                return text.encode("ascii", "replace")
            case "base64":
                return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error) as error:
        raise EvaluationError(f"Cannot decode '{text}' as {encoding}: {error}") from error
    raise EvaluationError(f"Unknown encoding: {encoding}. Supported formats are hex, utf8, ascii and base64.")


def decode(value: bytes, encoding: str) -> str:
    """Bytes as text in hex, utf8, ascii or base64. Raises EvaluationError."""
    match encoding.lower():
        case "hex":
            return value.hex().upper()
        case "utf8":
            return value.decode("utf-8", "replace")
        case "ascii":
            return value.decode("ascii", "replace")
        case "base64":
            return base64.b64encode(value).decode("ascii")
    raise EvaluationError(f"Unknown encoding: {encoding}. Supported formats are hex, utf8, ascii and base64.")


@scalar("TO_BYTES", "STRING, STRING -> BYTES", never_null=True)
def to_bytes(text: str, encoding: str) -> bytes:
    """The bytes that a text stands for in hex, utf8, ascii or base64."""
    return encode(text, encoding)


@scalar("FROM_BYTES", "BYTES, STRING -> STRING", never_null=True)
def from_bytes(value: bytes, encoding: str) -> str:
    """Bytes as text in hex, utf8, ascii or base64."""
    return decode(value, encoding)


def _order(order: str) -> str:
    if order not in {"BIG_ENDIAN", "LITTLE_ENDIAN"}:
        raise EvaluationError("Byte order must be BIG_ENDIAN or LITTLE_ENDIAN")
    return ">" if order == "BIG_ENDIAN" else "<"


def _sized(value: bytes, size: int) -> bytes:
    if len(value) != size:
        raise EvaluationError(f"Number of bytes must be equal to {size}, but found {len(value)}")
    return value


@scalar("INT_FROM_BYTES", "BYTES -> INTEGER", "BYTES, STRING -> INTEGER", never_null=True)
def int_from_bytes(value: bytes, order: str = "BIG_ENDIAN") -> int:
    """The INTEGER of 4 bytes, BIG_ENDIAN or LITTLE_ENDIAN."""
    return int(struct.unpack(f"{_order(order)}i", _sized(value, 4))[0])


@scalar("BIGINT_FROM_BYTES", "BYTES -> BIGINT", "BYTES, STRING -> BIGINT", never_null=True)
def bigint_from_bytes(value: bytes, order: str = "BIG_ENDIAN") -> int:
    """The BIGINT of 8 bytes, BIG_ENDIAN or LITTLE_ENDIAN."""
    return int(struct.unpack(f"{_order(order)}q", _sized(value, 8))[0])


@scalar("DOUBLE_FROM_BYTES", "BYTES -> DOUBLE", "BYTES, STRING -> DOUBLE", never_null=True)
def double_from_bytes(value: bytes, order: str = "BIG_ENDIAN") -> float:
    """The DOUBLE of 8 bytes, BIG_ENDIAN or LITTLE_ENDIAN."""
    return float(struct.unpack(f"{_order(order)}d", _sized(value, 8))[0])
