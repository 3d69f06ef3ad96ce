"""Kafka's partitioner: murmur2 of the key's bytes."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

_MASK = 0xFFFFFFFF
_M = 0x5BD1E995
_SEED = 0x9747B28C


def murmur2(data: bytes) -> int:
    """The hash that Kafka's clients partition by, made positive as they make it."""
    size = len(data)
    h = _SEED ^ size
    whole = size & ~3
    for word in memoryview(data[:whole]).cast("I") if whole else ():
        k = word * _M & _MASK
        h = (h * _M ^ (k ^ k >> 24) * _M) & _MASK
    rest = size & 3
    if rest:
        tail = data[whole:]
        if rest == 3:
            h ^= tail[2] << 16
        if rest >= 2:
            h ^= tail[1] << 8
        h = (h ^ tail[0]) * _M & _MASK
    h = (h ^ h >> 13) * _M & _MASK
    return (h ^ h >> 15) & 0x7FFFFFFF


class Partitions(dict[bytes, int]):
    """Key bytes to partition of a topic with so many partitions, remembered for keys that come again."""

    __slots__ = ("count",)
    LIMIT = 100_000

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def __missing__(self, key: bytes) -> int:
        partition = murmur2(key) % self.count
        if len(self) >= self.LIMIT:
            self.clear()
        self[key] = partition
        return partition


def murmur2_many(keys: Sequence[bytes]) -> list[int]:
    """``murmur2`` of each key, of many at once.

    Keys of one length are hashed together: each stands in a lane of 64 bits of one long integer, where a product of two
    numbers of 32 bits has room, so that an operation on the integer is one on all keys.
    """
    made = [0] * len(keys)
    by_size: dict[int, list[int]] = {}
    for index, key in enumerate(keys):
        by_size.setdefault(len(key), []).append(index)
    for size, indexes in by_size.items():
        if len(indexes) < _FEW:
            for index in indexes:
                made[index] = murmur2(keys[index])
        else:
            chosen = keys if len(indexes) == len(keys) else [keys[index] for index in indexes]
            for index, value in zip(indexes, _hash_lanes(chosen, size), strict=True):
                made[index] = value
    return made


_FEW = 16
"""So many keys of one length, and fewer, are faster one by one."""


def _hash_lanes(keys: Sequence[bytes], size: int) -> array[int]:
    count = len(keys)
    rest = size & 3
    pad = bytes(4 - rest) if rest else b""
    joined = array("I", pad.join(keys) + pad)
    words = -(-size // 4)
    ones = int.from_bytes(b"\x01\x00\x00\x00\x00\x00\x00\x00" * count, "little")
    low, byte = ones * _MASK, ones * 0xFF
    h = ones * (_SEED ^ size)
    lanes = array("I", bytes(8 * count))
    for number in range(words):
        lanes[0::2] = joined[number::words]
        k = int.from_bytes(lanes.tobytes(), "little")
        if number == size // 4:  # the bytes that make no whole word
            h = (h ^ k) * _M & low
            continue
        k = k * _M & low
        h = (h * _M & low) ^ ((k ^ k >> 24 & byte) * _M & low)
    h = (h ^ h >> 13 & ones * (_MASK >> 13)) * _M & low
    h = (h ^ h >> 15 & ones * (_MASK >> 15)) & ones * 0x7FFFFFFF
    return array("I", h.to_bytes(8 * count, "little"))[0::2]
