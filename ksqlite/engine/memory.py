"""State in memory, for tests and for queries that live no longer than the process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ksqlite.engine.api import Key, Row, StateStore, StoreKind, StoreSpec


class MemoryStore:
    """A state store in a dictionary; ranges are found by looking at every entry."""

    def __init__(self, spec: StoreSpec) -> None:
        self.spec = spec
        self.data: dict[Key, Row] = {}
        self.get = self.data.get
        self.put = self.data.__setitem__

    def delete(self, key: Key) -> None:
        """Forget ``key``."""
        self.data.pop(key, None)

    def items(self) -> Iterator[tuple[Key, Row]]:
        """All entries, by key where keys can be compared."""
        return iter(sorted(self.data.items(), key=lambda item: _order(item[0])))

    def prefix(self, prefix: Key) -> Iterator[tuple[Key, Row]]:
        """The entries whose key begins with these parts."""
        size = len(prefix)
        found = [item for item in self.data.items() if item[0][:size] == prefix]
        found.sort(key=lambda item: _order(item[0][size:]))
        return iter(found)

    def until(self, limit: int) -> Iterator[tuple[Key, Row]]:
        """The entries whose time is not after the limit, ascending."""
        found = [item for item in self.data.items() if item[0][0] <= limit]
        found.sort(key=lambda item: _order(item[0]))
        return iter(found)

    def expire(self, stream_time_ms: int) -> None:
        """Forgets windows out of retention."""
        retention = self.spec.retention_ms
        if retention is None or self.spec.kind is not StoreKind.WINDOW:
            return
        # aggregations have the window's start last, joins a number behind the time
        place = -1 if self.spec.window_size_ms is not None else -2
        oldest = stream_time_ms - retention - (self.spec.window_size_ms or 0)
        for key in [key for key in self.data if key[place] < oldest]:
            del self.data[key]


def _order(key: Any) -> Any:  # noqa: ANN401 - values of any SQL type
    """A sort key for parts of any type; NULL first, numbers before texts."""
    if isinstance(key, tuple | list):
        return (3, tuple(_order(part) for part in key))
    if key is None:
        return (0, 0)
    if isinstance(key, str):
        return (2, key)
    if isinstance(key, bytes):
        return (2, key.decode("latin-1"))
    return (1, key)


class MemoryStores:
    """Gives queries their stores, and remembers them by query and partition."""

    def __init__(self) -> None:
        self.stores: dict[tuple[str, str, int], MemoryStore] = {}

    def open(self, query_id: str, spec: StoreSpec, partition: int) -> StateStore:
        """The store of that query, spec and partition; the same one when it was opened before."""
        return self.stores.setdefault((query_id, spec.name, partition), MemoryStore(spec))

    def drop(self, query_id: str) -> None:
        """Forget a query's stores."""
        for key in [key for key in self.stores if key[0] == query_id]:
            del self.stores[key]
