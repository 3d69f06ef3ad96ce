"""Keys of windowed tables: the key's bytes, then the window as Kafka Streams appends it."""

from __future__ import annotations

import struct

from ksqlite.formats.api import DeserializationError

_TIME = struct.Struct(">q")
_SESSION = struct.Struct(">qq")

pack_time = _TIME.pack
"""Window start in ms to the eight bytes that follow a time-windowed key."""


def time_key(key: bytes, start_ms: int) -> bytes:
    """The key of a tumbling or hopping window."""
    return key + _TIME.pack(start_ms)


def session_key(key: bytes, start_ms: int, end_ms: int) -> bytes:
    """The key of a session: its end comes first."""
    return key + _SESSION.pack(end_ms, start_ms)


def split_time_key(data: bytes) -> tuple[bytes, int]:
    """The key's bytes and the window's start. Raises DeserializationError."""
    if len(data) < 8:
        raise DeserializationError(f"A windowed key has at least 8 bytes, not {len(data)}")
    return data[:-8], _TIME.unpack_from(data, len(data) - 8)[0]


def split_session_key(data: bytes) -> tuple[bytes, int, int]:
    """The key's bytes, the session's start and end. Raises DeserializationError."""
    if len(data) < 16:
        raise DeserializationError(f"A session's key has at least 16 bytes, not {len(data)}")
    end, start = _SESSION.unpack_from(data, len(data) - 16)
    return data[:-16], start, end
