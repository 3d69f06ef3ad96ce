"""The order in which Java's HashMap gives its entries, on which the result of REDUCE over a map may depend."""

from __future__ import annotations

from typing import Any

from ksqlite.values import Value


def _hash(key: Value) -> int:
    if isinstance(key, str):
        hashed = 0
        units = key.encode("utf-16-be", "surrogatepass")
        for position in range(0, len(units), 2):
            hashed = (31 * hashed + (units[position] << 8 | units[position + 1])) & 0xFFFFFFFF
        return hashed
    if isinstance(key, int):
        return (key ^ key >> 32) & 0xFFFFFFFF
    return 0


def in_order(entries: dict[Any, Any]) -> list[tuple[Any, Any]]:
    """The entries as a HashMap made for that many would give them."""
    capacity = 1
    while capacity < len(entries):
        capacity *= 2
    if len(entries) * 4 > capacity * 3 and len(entries) > 3:
        capacity *= 2

    def bucket(entry: tuple[Any, Any]) -> int:
        hashed = _hash(entry[0])
        return (hashed ^ hashed >> 16) & (capacity - 1)

    return sorted(entries.items(), key=bucket)
