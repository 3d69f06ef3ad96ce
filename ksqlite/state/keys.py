"""Keys of state stores as bytes whose order is the order of their values, part by part.

Each part is self-delimiting, so that the bytes of a key's first parts are a prefix of the key's bytes. NULL comes
first. Arrays, maps and structs keep no order; DOUBLE, DECIMAL, numbers, texts and byte strings do.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from ksqlite.formats.primitives import WIDE, Memory
from ksqlite.state.values import ValueCodec
from ksqlite.types import Base, DecimalType, SqlType

_LONG = struct.Struct(">Q")
_DOUBLE = struct.Struct(">d")
_BIAS = 1 << 63
_WIDE_BIAS = 1 << 135
_WIDE_SIZE = 17
_NULL = b"\x00"


def _escape(raw: bytes) -> bytes:
    """Bytes with an end: a zero inside becomes 00 FF, the end is 00 00."""
    return b"\x01" + raw.replace(b"\x00", b"\x00\xff") + b"\x00\x00"


def _unescape(data: bytes, at: int) -> tuple[bytes, int]:
    """The bytes behind the marker at ``at`` and the position behind their end."""
    start = at + 1
    end = data.index(b"\x00\x00", start)
    # 00 FF 00 00 ends one zero later: an escaped zero before the end
    raw = data[start:end]
    return raw.replace(b"\x00\xff", b"\x00"), end + 2


class _Long(Memory):
    __slots__ = ()

    def __missing__(self, value: int) -> bytes:
        return self.keep(value, b"\x01" + _LONG.pack(value + _BIAS))  # type: ignore[no-any-return] # keep gives back what it is given


class _Text(Memory):
    __slots__ = ()

    def __missing__(self, value: str) -> bytes:
        return _escape(value.encode("utf-8", "surrogatepass"))


def _decimal(scale: int) -> Callable[[Decimal], bytes]:
    def write(value: Decimal) -> bytes:
        number = int(WIDE.scaleb(value, scale))
        return b"\x01" + (number + _WIDE_BIAS).to_bytes(_WIDE_SIZE, "big")

    return write


def _double(value: float) -> bytes:
    (bits,) = _LONG.unpack(_DOUBLE.pack(value))
    return b"\x01" + _LONG.pack(bits ^ (_BIAS if bits < _BIAS else 0xFFFFFFFFFFFFFFFF))


_LONGS = _Long({None: _NULL})
_TEXTS = _Text({None: _NULL})

Write = Callable[[Any], bytes]
Read = Callable[[bytes, int], tuple[Any, int]]


def _writer(sql: SqlType) -> Write:
    base = sql.base
    if base in (Base.INTEGER, Base.BIGINT, Base.DATE, Base.TIME, Base.TIMESTAMP):
        return _LONGS.__getitem__
    if base is Base.STRING:
        return _TEXTS.__getitem__
    if base is Base.BOOLEAN:
        return {None: _NULL, False: b"\x01\x00", True: b"\x01\x01"}.__getitem__
    write: Write
    if base is Base.BYTES:
        write = _escape
    elif base is Base.DOUBLE:
        write = _double
    elif isinstance(sql, DecimalType):
        write = _decimal(sql.scale)
    else:
        encode = ValueCodec([sql]).encode

        def write(value: Any) -> bytes:  # noqa: ANN401 - any value
            return _escape(encode((value,)))

    return lambda value: _NULL if value is None else write(value)


def _reader(sql: SqlType) -> Read:
    base = sql.base
    read: Read
    if base in (Base.INTEGER, Base.BIGINT, Base.DATE, Base.TIME, Base.TIMESTAMP):

        def read(data: bytes, at: int) -> tuple[Any, int]:
            return _LONG.unpack_from(data, at + 1)[0] - _BIAS, at + 9

    elif base is Base.STRING:

        def read(data: bytes, at: int) -> tuple[Any, int]:
            raw, end = _unescape(data, at)
            return raw.decode("utf-8", "surrogatepass"), end

    elif base is Base.BOOLEAN:

        def read(data: bytes, at: int) -> tuple[Any, int]:
            return data[at + 1] != 0, at + 2

    elif base is Base.BYTES:
        read = _unescape
    elif base is Base.DOUBLE:

        def read(data: bytes, at: int) -> tuple[Any, int]:
            (bits,) = _LONG.unpack_from(data, at + 1)
            bits ^= _BIAS if bits >= _BIAS else 0xFFFFFFFFFFFFFFFF
            return _DOUBLE.unpack(_LONG.pack(bits))[0], at + 9

    elif isinstance(sql, DecimalType):
        scale = sql.scale

        def read(data: bytes, at: int) -> tuple[Any, int]:
            end = at + 1 + _WIDE_SIZE
            return WIDE.scaleb(int.from_bytes(data[at + 1 : end], "big") - _WIDE_BIAS, -scale), end

    else:
        decode = ValueCodec([sql]).decode

        def read(data: bytes, at: int) -> tuple[Any, int]:
            raw, end = _unescape(data, at)
            return decode(raw)[0], end

    return lambda data, at: (None, at + 1) if data[at] == 0 else read(data, at)


class KeyCodec:
    """Keys of certain types to bytes and back."""

    def __init__(self, types: Sequence[SqlType]) -> None:
        self._writers = [_writer(sql) for sql in types]
        self._readers = [_reader(sql) for sql in types]
        self.encode: Callable[[Sequence[Any]], bytes] = self._encode
        if len(types) == 1:
            (write,) = self._writers
            self.encode = lambda key: write(key[0])
        elif len(types) == 2:
            first, second = self._writers
            self.encode = lambda key: first(key[0]) + second(key[1]) if len(key) == 2 else self._encode(key)

    def _encode(self, key: Sequence[Any]) -> bytes:
        return b"".join([write(part) for write, part in zip(self._writers, key, strict=False)])

    def decode(self, data: bytes, at: int = 0) -> tuple[Any, ...]:
        """The key whose bytes begin at ``at``."""
        made = []
        for read in self._readers:
            part, at = read(data, at)
            made.append(part)
        return tuple(made)
