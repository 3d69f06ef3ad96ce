"""A state store of one query and partition: a write-back memory over a slice of the database.

What was put since the last commit is ``dirty``; ``drain`` gives it as bytes for the changelog and for the database, and
``settle`` says that it is in the database, which the runner writes after Kafka has committed. Reads see what was put at
once. Up to ``memory_entries`` values that were read or written stay in memory.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from ksqlite.engine.api import Key, Row, StoreKind, StoreSpec
from ksqlite.state.keys import KeyCodec
from ksqlite.state.values import ValueCodec

_ABSENT: Any = object()
Change = tuple[bytes, bytes | None]
"""Key (without the store's own prefix) and value, None for a deletion."""


class Slice(Protocol):
    """The part of a database that belongs to one store."""

    def get(self, key: bytes, /) -> bytes | None:
        """The value at a key, or None."""

    def range(self, first: bytes, behind: bytes | None, /) -> Iterator[tuple[bytes, bytes]]:
        """Entries from ``first`` up to, not including, ``behind`` (None: to the end), ascending."""


def behind(prefix: bytes) -> bytes | None:
    """The first key behind all that begin with a prefix; None when there is none."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes((stripped[-1] + 1,)) if stripped else None


class _Dirty(dict[Key, Any]):
    """What was put since the last commit; reading anything else reads through."""

    __slots__ = ("read",)
    read: Callable[[Key], Row | None]

    def __missing__(self, key: Key) -> Row | None:
        return self.read(key)


class PersistentStore:
    """StateStore over a Slice; see the module.

    ``get`` and ``put`` are attributes, not methods: of most stores they are a dictionary's own, which makes them fast.
    Whoever binds them may go on using them as long as the store lives.
    """

    get: Callable[[Key], Row | None]
    """The value at a key, or None."""
    put: Callable[[Key, Row], None]
    """Sets the value at a key."""

    def __init__(self, spec: StoreSpec, part: Slice, *, memory_entries: int = 20_000) -> None:
        self.spec = spec
        self._slice = part
        self._keys = KeyCodec(spec.key_types)
        self._values = ValueCodec(spec.value_types)
        self._limit = memory_entries
        self._clean: dict[Key, Row | None] = {}
        self.dirty = _Dirty()
        self.dirty.read = self._read
        self._draining: dict[Key, Row | None] = {}
        # keys that are not in the database yet by their first parts, once somebody has scanned by so many
        self._group_size = 0
        self._groups: dict[Key, dict[Key, None]] | None = None
        self._draining_groups: dict[Key, dict[Key, None]] = {}
        self._heap: list[tuple[bytes, Key]] | None = [] if spec.kind is StoreKind.TIMED else None
        self._queued: set[Key] = set()
        self._swept_to: bytes | None = b""
        self.stream_time_ms: int | None = None
        self._swept_at: int | None = None
        self.get = self.dirty.__getitem__
        self.put = self.dirty.__setitem__ if _is_looked_up(spec) else self._put

    def load(self) -> None:
        """Reads what must be in memory at all times (a TIMED store's queue); called when the slice is restored."""
        if self._heap is not None:
            self._heap.clear()
            self._queued.clear()
            for raw, _ in self._slice.range(b"", None):
                key = self._keys.decode(raw)
                self._heap.append((raw, key))
                self._queued.add(key)

    # ------------------------------------------------------------------------------------------------- the hot part

    def _read(self, key: Key) -> Row | None:
        value = self._clean.get(key, _ABSENT)
        if value is _ABSENT:
            raw = self._slice.get(self._keys.encode(key))
            value = self._clean[key] = None if raw is None else self._values.decode(raw)
        return value  # type: ignore[no-any-return] # the database's values are those of this store

    def _put(self, key: Key, value: Row) -> None:
        self.dirty[key] = value
        if self._groups is not None:
            self._groups.setdefault(key[: self._group_size], {})[key] = None
        if self._heap is not None and key not in self._queued:
            self._queued.add(key)
            heapq.heappush(self._heap, (self._keys.encode(key), key))

    def delete(self, key: Key) -> None:
        """Forget ``key``; fine when it is not there."""
        self.dirty[key] = None
        if self._groups is not None:
            self._groups.setdefault(key[: self._group_size], {})[key] = None

    # ------------------------------------------------------------------------------------------------------- scans

    def items(self) -> Iterator[tuple[Key, Row]]:
        """All entries."""
        return self._scan(b"", None, {**self._draining, **self.dirty})

    def prefix(self, prefix: Key) -> Iterator[tuple[Key, Row]]:
        """The entries whose key begins with these parts, ascending."""
        size = len(prefix)
        if _is_looked_up(self.spec):  # scanned by pull queries now and then: no index is kept for them
            overlay = {key: value for key, value in self._draining.items() if key[:size] == prefix}
            overlay.update((key, value) for key, value in self.dirty.items() if key[:size] == prefix)
        else:
            if self._groups is None or self._group_size != size:
                self._group_size = size
                self._groups, self._draining_groups = self._grouped(self.dirty), self._grouped(self._draining)
            overlay = {key: self._draining[key] for key in self._draining_groups.get(prefix, ())}
            overlay.update((key, self.dirty[key]) for key in self._groups.get(prefix, ()))
        raw = self._keys.encode(prefix) if prefix else b""
        return self._scan(raw, behind(raw), overlay)

    def _grouped(self, keys: dict[Key, Row | None]) -> dict[Key, dict[Key, None]]:
        made: dict[Key, dict[Key, None]] = {}
        for key in keys:
            made.setdefault(key[: self._group_size], {})[key] = None
        return made

    def _scan(self, first: bytes, end: bytes | None, overlay: dict[Key, Row | None]) -> Iterator[tuple[Key, Row]]:
        ahead = iter(sorted(((self._keys.encode(key), key) for key in overlay), key=lambda pair: pair[0]))
        next_raw, next_key = next(ahead, (None, ()))
        for raw, data in self._slice.range(first, end):
            while next_raw is not None and next_raw <= raw:
                value = overlay[next_key]
                if value is not None:
                    yield next_key, value
                if next_raw == raw:
                    next_raw, next_key = next(ahead, (None, ()))
                    break
                next_raw, next_key = next(ahead, (None, ()))
            else:
                yield self._keys.decode(raw), self._values.decode(data)
        while next_raw is not None:
            value = overlay[next_key]
            if value is not None:
                yield next_key, value
            next_raw, next_key = next(ahead, (None, ()))

    def until(self, limit: int) -> Iterator[tuple[Key, Row]]:
        """TIMED stores: the entries whose time is <= ``limit``, ascending; the store may change meanwhile."""
        heap = self._heap
        if heap is None:
            raise TypeError(f"store {self.spec.name} is not ordered by time")
        kept: list[tuple[bytes, Key]] = []
        try:
            while heap and heap[0][1][0] <= limit:
                entry = heapq.heappop(heap)
                key = entry[1]
                value = self.get(key)
                if value is None:
                    self._queued.discard(key)
                    continue
                kept.append(entry)
                yield key, value
        finally:
            for entry in kept:
                if self.get(entry[1]) is None:
                    self._queued.discard(entry[1])
                else:
                    heapq.heappush(heap, entry)

    # ---------------------------------------------------------------------------------------------- retention, commits

    def expire(self, stream_time_ms: int) -> None:
        """Told once a batch; ``sweep`` does the work."""
        if self.stream_time_ms is None or stream_time_ms > self.stream_time_ms:
            self.stream_time_ms = stream_time_ms

    def sweep(self, budget: int) -> int:
        """Deletes expired entries among the next ``budget`` ones; gives how many it looked at.

        A full round is made when stream time has moved on by a twentieth of the retention since the last.
        """
        retention = self.spec.retention_ms
        if retention is None or self.stream_time_ms is None:
            return 0
        if self._swept_to == b"":
            if self._swept_at is not None and self.stream_time_ms - self._swept_at < retention // 20:
                return 0
            self._swept_at = self.stream_time_ms
        horizon = self.stream_time_ms - retention
        looked = 0
        for raw, data in self._slice.range(self._swept_to or b"", None):
            if looked >= budget:
                self._swept_to = raw
                return looked
            looked += 1
            key = self._keys.decode(raw)
            if key not in self.dirty and key not in self._draining and self._ended(key, data, horizon):
                self.delete(key)
        self._swept_to = b""
        return looked

    def _ended(self, key: Key, data: bytes, horizon: int) -> bool:
        if self.spec.kind is StoreKind.WINDOW:
            size = self.spec.window_size_ms
            # aggregations have the window's start last, joins a number behind the time
            return bool(key[-2] <= horizon if size is None else key[-1] + size <= horizon)
        if self.spec.kind is StoreKind.SESSION:
            (sessions,) = self._values.decode(data)
            return all(session[1] < horizon for session in sessions)
        return False

    def drain(self) -> list[Change]:
        """What was put since the last time, as bytes; the store counts as clean then."""
        if not self.dirty:
            return []
        key_bytes, value_bytes = self._keys.encode, self._values.encode
        made = [(key_bytes(key), None if value is None else value_bytes(value)) for key, value in self.dirty.items()]
        self._draining = dict(self.dirty)
        self._clean.update(self._draining)
        self.dirty.clear()
        if self._groups is not None:
            self._draining_groups, self._groups = self._groups, {}
        return made

    def settle(self) -> None:
        """The drained changes are in the database: what is in memory may go now."""
        self._draining = {}
        self._draining_groups = {}
        if len(self._clean) > self._limit:
            self._clean.clear()


def _is_looked_up(spec: StoreSpec) -> bool:
    """Whether queries look up its keys one by one, and never scan them: aggregations and plain tables of one key."""
    if spec.kind is StoreKind.WINDOW:
        return spec.window_size_ms is not None
    return spec.kind is StoreKind.SESSION or (spec.kind is StoreKind.KEY_VALUE and len(spec.key_types) == 1)
