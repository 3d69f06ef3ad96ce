"""All state of a server in one RocksDB: a slice for each store, with the place in the changelog that it stands for.

Changes of a commit and the places are written in one batch, after Kafka has committed them: after a crash the database
is behind the changelogs by what was committed last, never ahead, and a restart reads only that tail.
"""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ksqlite.state import FORMAT
from ksqlite.state.store import Change

_HEAD = struct.Struct(">HH")
_META = b"\x00\x00"  # store numbers begin at 1
_PLACE = struct.Struct(">q")


def _behind(head: bytes) -> bytes:
    """The first key behind a slice."""
    return (int.from_bytes(head, "big") + 1).to_bytes(len(head), "big")


class StateLockedError(Exception):
    """Another process has the database open."""


class DatabaseSlice:
    """One store's part of the database."""

    def __init__(self, database: Database, head: bytes) -> None:
        self._get = database.get
        self._range = database.range
        self.head = head

    def get(self, key: bytes) -> bytes | None:
        """The value at a key, or None."""
        return self._get(self.head + key)

    def range(self, first: bytes, behind: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        """Entries from ``first`` up to, not including, ``behind``, ascending."""
        end = self.head + behind if behind is not None else _behind(self.head)
        size = len(self.head)
        for key, value in self._range(self.head + first, end):
            yield key[size:], value


class Database:
    """The RocksDB of a server's state folder. Raises StateLockedError when another process has it."""

    def __init__(self, folder: Path, *, cache_bytes: int = 64 << 20, buffer_bytes: int = 32 << 20) -> None:
        self.folder = folder
        self._cache_bytes = cache_bytes
        self._buffer_bytes = buffer_bytes
        self._open()
        if self.meta("format") != FORMAT:
            self.wipe()

    def _open(self) -> None:
        import rocksdict as rocks  # noqa: PLC0415 - only a server with state needs it

        self._rocks = rocks
        self.folder.mkdir(parents=True, exist_ok=True)
        options = rocks.Options(raw_mode=True)
        options.create_if_missing(True)  # noqa: FBT003 - its only parameter
        table = rocks.BlockBasedOptions()
        table.set_block_cache(rocks.Cache(self._cache_bytes))
        table.set_bloom_filter(10, False)  # noqa: FBT003 - whole filters, not one a block
        table.set_cache_index_and_filter_blocks(True)
        table.set_pin_l0_filter_and_index_blocks_in_cache(True)
        table.set_block_size(16 << 10)
        table.set_format_version(5)
        options.set_block_based_table_factory(table)
        options.set_compression_type(rocks.DBCompressionType.lz4())
        options.set_write_buffer_size(self._buffer_bytes)
        options.set_max_write_buffer_number(3)
        options.set_memtable_whole_key_filtering(True)
        options.set_memtable_prefix_bloom_ratio(0.05)
        options.set_max_background_jobs(2)
        options.set_max_open_files(512)
        options.set_keep_log_file_num(2)
        options.set_max_total_wal_size(128 << 20)
        try:
            self._db: Any = rocks.Rdict(str(self.folder), options)
        except Exception as problem:
            if "lock" in str(problem).lower():
                raise StateLockedError(f"{self.folder} is in use by another process") from None
            raise
        self._numbers: dict[str, int] = self.meta("stores") or {}

    def close(self) -> None:
        """Writes what is in memory and lets go of the folder."""
        self._db.close()

    def wipe(self) -> None:
        """Forgets everything."""
        self._db.close()
        shutil.rmtree(self.folder)
        self._open()
        self._numbers = {}
        self.set_meta("format", FORMAT)

    # ----------------------------------------------------------------------------------------------------------- meta

    def meta(self, name: str) -> Any:  # noqa: ANN401 - any JSON
        """A named JSON document of the database itself, or None."""
        raw = self._db.get(_META + name.encode())
        return None if raw is None else json.loads(raw)

    def set_meta(self, name: str, document: Any) -> None:  # noqa: ANN401 - any JSON
        """Sets a named JSON document."""
        self._db.put(_META + name.encode(), json.dumps(document).encode())

    # --------------------------------------------------------------------------------------------------------- slices

    def slice(self, store: str, partition: int) -> DatabaseSlice:
        """The slice of a store (a name unique in the server) and partition."""
        number = self._numbers.get(store)
        if number is None:
            number = max(self._numbers.values(), default=0) + 1
            self._numbers[store] = number
            self.set_meta("stores", self._numbers)
        return DatabaseSlice(self, _HEAD.pack(number, partition))

    def stores(self) -> list[str]:
        """The names of all stores."""
        return [name for name in self._numbers if not name.startswith("(")]

    def drop(self, store: str) -> None:
        """Deletes all of a store. Its number is not used again before a wipe."""
        number = self._numbers.get(store)
        if number is None:
            return
        self._db.delete_range(_HEAD.pack(number, 0), _HEAD.pack(number + 1, 0))
        self._db.delete_range(_META + b"place:" + store.encode() + b":", _META + b"place:" + store.encode() + b";")
        # the number stays taken: a later store must not see what a compaction has not removed yet
        self._numbers[f"(dropped {number})"] = self._numbers.pop(store)
        self.set_meta("stores", self._numbers)

    def place(self, store: str, partition: int) -> int | None:
        """The changelog offset up to which a slice is complete (the next one to read), or None."""
        raw = self._db.get(self._place_key(store, partition))
        return None if raw is None else _PLACE.unpack(raw)[0]

    @staticmethod
    def _place_key(store: str, partition: int) -> bytes:
        return _META + b"place:" + f"{store}:{partition}".encode()

    def clear(self, store: str, partition: int) -> None:
        """Empties one slice, its place included."""
        head = self.slice(store, partition).head
        self._db.delete_range(head, _behind(head))
        self._db.delete(self._place_key(store, partition))

    # ---------------------------------------------------------------------------------------------------- reads, writes

    def get(self, key: bytes) -> bytes | None:
        """The value at a full key, or None."""
        return self._db.get(key)  # type: ignore[no-any-return] # rocksdict has no types

    def range(self, first: bytes, behind: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Entries from ``first`` up to, not including, ``behind``, ascending."""
        options = self._rocks.ReadOptions()
        options.set_iterate_upper_bound(behind)
        yield from self._db.items(from_key=first, read_opt=options)

    def write(self, changes: Sequence[tuple[bytes, Sequence[Change]]], places: Mapping[tuple[str, int], int]) -> None:
        """Writes the changes of slices (head, changes) and their places in one batch."""
        batch = self._rocks.WriteBatch(raw_mode=True)
        put, delete = batch.put, batch.delete
        for head, entries in changes:
            for key, value in entries:
                if value is None:
                    delete(head + key)
                else:
                    put(head + key, value)
        for (store, partition), offset in places.items():
            put(self._place_key(store, partition), _PLACE.pack(offset))
        self._db.write(batch)

    def size_bytes(self, store: str) -> int:
        """About how many bytes a store takes on disk; 0 when it is not there."""
        number = self._numbers.get(store)
        if number is None:
            return 0
        first, last = _HEAD.pack(number, 0), _HEAD.pack(number + 1, 0)
        return sum(
            int(file["size"])
            for file in self._db.live_files()
            if bytes(file["end_key"] or b"") >= first and bytes(file["start_key"] or b"") < last
        )
