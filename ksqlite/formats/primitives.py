"""The bytes of single Avro values, remembered: a value that was seen before costs one dictionary look-up.

Each ``…Writer`` maps a value to its bytes, ``None`` to those of null (or refuses it); each ``…Reader`` maps raw bytes
to a value. They are dictionaries that work out what they miss, and start over when they have grown too big.
"""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Any

from ksqlite.formats.api import DeserializationError, SerializationError

LIMIT = 8_192
"""Entries a memory of this kind may have before it starts over."""
SHORT = 128
"""Values of so many bytes, or more, are not remembered."""

WIDE = Context(prec=100)
"""Exact for every DECIMAL, whatever the thread's context is."""


def varint(value: int) -> bytes:
    """Zigzag variable-length bytes of a 64-bit number."""
    rest = (value << 1) ^ (value >> 63)
    if rest < 16384:
        return _LAST[rest]
    if rest < 1 << 28:
        return _MORE[rest & 16383] + _LAST[rest >> 14]
    if rest < 1 << 42:  # times of our days in ms
        return _MORE[rest & 16383] + _MORE[rest >> 14 & 16383] + _LAST[rest >> 28]
    return _MORE[rest & 16383] + _MORE[rest >> 14 & 16383] + _MORE[rest >> 28 & 16383] + _rest(rest >> 42)


def _rest(rest: int) -> bytes:
    return _LAST[rest] if rest < 16384 else _MORE[rest & 16383] + _LAST[rest >> 14]


_LAST = [bytes((i,)) if i < 128 else bytes((i & 127 | 128, i >> 7)) for i in range(16384)]
"""The bytes of numbers below 2^14."""
_MORE = [bytes((i & 127 | 128, i >> 7 | 128)) for i in range(16384)]
"""The same, where more bytes follow."""


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The number at a position, and the position behind it."""
    byte = data[at]
    at += 1
    value = byte & 127
    shift = 7
    while byte > 127:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if shift > 70:
            raise DeserializationError("Invalid long encoding")
    return (value >> 1) ^ -(value & 1), at


class Memory(dict[Any, Any]):
    """A dictionary that works out what it misses."""

    __slots__ = ("fixed",)

    def __init__(self, fixed: dict[Any, Any] | None = None) -> None:
        super().__init__(fixed or {})
        self.fixed = fixed or {}

    def keep(self, key: Any, value: Any) -> Any:  # noqa: ANN401 - any value
        """Remembers and gives ``value``."""
        if len(self) > LIMIT:
            self.restart()
        self[key] = value
        return value

    def restart(self) -> None:
        """Forgets all but what was there from the beginning."""
        self.clear()
        self.update(self.fixed)


_NO_NULL = "null is not allowed by the registered schema"


class Writer(Memory):
    """Values to bytes. ``null`` is what None is written as; without it None is refused."""

    __slots__ = ("heads", "prefix")

    def __init__(self, prefix: bytes, null: bytes | None) -> None:
        super().__init__({} if null is None else {None: null})
        self.prefix = prefix
        self.heads = [prefix + varint(size) for size in range(SHORT)]
        """What stands before a value of so many bytes."""


class IntWriter(Writer):
    """Numbers (int, long, and the logical types over them)."""

    __slots__ = ()

    def __missing__(self, value: int | None) -> bytes:
        if value is None:
            raise SerializationError(_NO_NULL)
        made = self.prefix + varint(value)
        if len(self) > LIMIT:
            self.restart()
        self[value] = made
        return made

    def tell(self, value: int, raw: bytes) -> None:
        """What a value's bytes are, from where they were read."""
        if len(self) > LIMIT:
            self.restart()
        self[value] = self.prefix + raw


class TextWriter(Writer):
    """Strings."""

    __slots__ = ()

    def __missing__(self, value: str | None) -> bytes:
        if value is None:
            raise SerializationError(_NO_NULL)
        try:
            raw = value.encode()
        except UnicodeEncodeError:
            raw = value.encode(errors="replace")  # as Java's encoder does with a lone surrogate
        size = len(raw)
        if size >= SHORT:
            return self.prefix + varint(size) + raw  # long texts are rarely seen twice, and would fill the memory
        made = self.heads[size] + raw
        if len(self) > LIMIT:
            self.restart()
        self[value] = made
        return made


class BytesWriter(Writer):
    """Byte strings."""

    __slots__ = ()

    def __missing__(self, value: bytes | None) -> bytes:
        if value is None:
            raise SerializationError(_NO_NULL)
        return self.prefix + varint(len(value)) + value


class DecimalWriter(Writer):
    """Decimals of one scale: two's complement, big-endian, as short as it gets."""

    __slots__ = ("scale", "size")

    def __init__(self, prefix: bytes, null: bytes | None, scale: int, size: int = 0) -> None:
        super().__init__(prefix, null)
        self.scale = scale
        self.size = size

    def __missing__(self, value: Decimal | None) -> bytes:
        if value is None:
            raise SerializationError(_NO_NULL)
        scaled = WIDE.scaleb(value, self.scale)
        number = int(scaled)
        if number != scaled:
            raise SerializationError(f"{value} has more than {self.scale} digits behind the point")
        if self.size:
            made = self.prefix + number.to_bytes(self.size, "big", signed=True)
        else:
            # one bit for the sign; of a negative number the two's complement of -2^n fits where 2^n does not
            size = ((number if number >= 0 else ~number).bit_length() >> 3) + 1
            made = self.heads[size] + number.to_bytes(size, "big", signed=True)
        if len(self) > LIMIT:
            self.restart()
        self[value] = made
        return made


_SHARED: dict[Any, Any] = {}


def shared(kind: Any, *arguments: Any) -> Any:  # noqa: ANN401 - a Writer of any kind
    """The one memory of its kind and arguments: what one encoder has written, the others need not work out again."""
    key = (kind, *arguments)
    found = _SHARED.get(key)
    if found is None:
        found = _SHARED[key] = kind(*arguments)
    return found


class TextReader(Memory):
    """UTF-8 to strings. What is read is told to those who write it as a nullable string, as ksqlDB does."""

    __slots__ = ("misses", "writer")

    def __init__(self) -> None:
        super().__init__()
        self.writer: TextWriter = shared(TextWriter, b"\x02", b"\x00")
        self.misses = 0

    def __missing__(self, raw: bytes) -> str:
        value = raw.decode()
        size = len(raw)
        if size < SHORT:
            writer = self.writer
            if len(writer) > LIMIT:
                writer.restart()
            writer[value] = writer.heads[size] + raw
            if len(self) < LIMIT:
                self[raw] = value
            else:
                # ever new values are not worth remembering; but once in a while others are in fashion
                self.misses += 1
                if self.misses > 100 * LIMIT:
                    self.misses = 0
                    self.clear()
        return value


_SIGNS = (0, 255)


class DecimalReader(Memory):
    """Two's complement bytes to decimals of one scale; told to those who write such decimals."""

    __slots__ = ("misses", "scale", "writer")

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.writer: DecimalWriter = shared(DecimalWriter, b"\x02", b"\x00", scale, 0)
        self.misses = 0

    def __missing__(self, raw: bytes) -> Decimal:
        value = WIDE.scaleb(int.from_bytes(raw, "big", signed=True), -self.scale)
        size = len(raw)
        if size == 1 or (1 < size < SHORT and not (raw[0] in _SIGNS and raw[0] ^ raw[1] < 128)):
            # as short as it gets, that is: the same as what would be written
            writer = self.writer
            if len(writer) > LIMIT:
                writer.restart()
            writer[value] = writer.heads[size] + raw
        if len(self) < LIMIT:
            self[raw] = value
        else:
            self.misses += 1
            if self.misses > 100 * LIMIT:
                self.misses = 0
                self.clear()
        return value


class LowReader(dict[bytes, int]):
    """The lowest 14 bits of a number of more than two bytes, halved; only of numbers that are not negative."""

    __slots__ = ()


LOW = LowReader(
    (bytes((low, high)), ((high & 127) << 7 | low & 127) >> 1) for low in range(128, 256, 2) for high in range(128, 256)
)


class HighReader(Memory):
    """Bytes 3 to 6 of a number of exactly six bytes (a time of our days in ms) to its higher bits; None for others."""

    __slots__ = ()

    def __missing__(self, raw: bytes) -> int | None:
        if len(raw) == 4 and raw[0] > 127 and raw[1] > 127 and raw[2] > 127 and raw[3] < 128:
            value = (raw[3] << 21 | (raw[2] & 127) << 14 | (raw[1] & 127) << 7 | raw[0] & 127) << 13
            return self.keep(raw, value)  # type: ignore[no-any-return]
        return None


HIGH = HighReader()

LENGTH = [(size >> 1) + 1 if size < 128 and not size & 1 else 0 for size in range(256)]
"""One plus the length that a single length byte stands for; 0 where the length takes more bytes or is negative."""

SMALL = [(value >> 1) ^ -(value & 1) if value < 128 else None for value in range(256)]
"""The number that a single byte stands for; None where it takes more bytes."""
