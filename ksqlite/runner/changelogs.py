"""State stores whose changes go to changelog topics: the engine's StoreFactory over RocksDB and Kafka."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ksqlite.engine.api import Key, Row, StoreKind, StoreSpec
from ksqlite.runner.reading import Place, read_to_end
from ksqlite.runner.settings import RunnerSettings
from ksqlite.runner.topics import KafkaTopics
from ksqlite.state.database import Database, DatabaseSlice
from ksqlite.state.store import Change, PersistentStore
from ksqlite.types import BIGINT, STRING

SWEEP_ENTRIES = 2000
Wanted = tuple[str, StoreSpec, int]
"""Query id, store, partition."""


@dataclass(slots=True)
class Opened:
    """A store in use. ``name`` (query and store) is unique in the server; ``topic`` is the changelog."""

    query_id: str
    name: str
    partition: int
    topic: str
    store: PersistentStore
    part: DatabaseSlice


Drained = list[tuple[Opened, list[Change]]]

_CLOCKS = StoreSpec("clocks", StoreKind.KEY_VALUE, (STRING, BIGINT, STRING), (BIGINT,))
_SERVER = "ksqlite"
CLOCKS = "Times"
"""The name of the stores in which queries keep their stream times."""


class Clocks:
    """A query's store of stream times in one partition: a part of one store for all of them.

    They are a few numbers each. In changelogs of their own they would be half of what a commit writes to.
    """

    def __init__(self, shared: PersistentStore, query_id: str, partition: int) -> None:
        self._shared = shared
        self._head = (query_id, partition)

    def get(self, key: Key) -> Row | None:
        """The value at a key, or None."""
        return self._shared.get((*self._head, *key))

    def put(self, key: Key, value: Row) -> None:
        """Sets the value at a key."""
        self._shared.put((*self._head, *key), value)

    def delete(self, key: Key) -> None:
        """Forgets a key."""
        self._shared.delete((*self._head, *key))

    def items(self) -> Iterator[tuple[Key, Row]]:
        """All entries."""
        return ((key[2:], value) for key, value in self._shared.prefix(self._head))

    def prefix(self, prefix: Key) -> Iterator[tuple[Key, Row]]:
        """The entries whose key begins with these parts."""
        return ((key[2:], value) for key, value in self._shared.prefix((*self._head, *prefix)))

    def until(self, limit: int) -> Iterator[tuple[Key, Row]]:
        """They are not in the order of time."""
        raise TypeError(f"stream times are not scanned up to {limit}")

    def expire(self, stream_time_ms: int) -> None:
        """They are kept."""


class ChangelogStores:
    """Opens stores, restores them, and hands their changes to a transaction and then to the database.

    The place of a slice counts this server's own records and the commit marker behind each transaction. Markers of
    transactions that were aborted make it too low, which costs reading some records again and nothing else.
    """

    def __init__(self, settings: RunnerSettings, topics: KafkaTopics, database: Database) -> None:
        self._settings = settings
        self._topics = topics
        self._database = database
        self._opened: dict[tuple[str, str, int], Opened] = {}
        self._ends: dict[Place, int] = {}
        self._doomed: dict[str, None] = {}

    def topic(self, query_id: str, spec: StoreSpec) -> str:
        """The name of a store's changelog."""
        if query_id == _SERVER:
            return f"{self._settings.prefix}ksqlite-{spec.name}-changelog"
        name = "Aggregate-Aggregate-Materialize" if spec.name == "Aggregate-Materialize" else spec.name  # as ksqlDB's
        return f"{self._settings.prefix}query_{query_id}-{name}-changelog"

    def open(self, query_id: str, spec: StoreSpec, partition: int) -> PersistentStore | Clocks:
        """The store of this query, spec and partition, restored. ``prepare`` does the same faster for many."""
        if spec.name == CLOCKS:
            self.prepare([(query_id, spec, partition)])
            return Clocks(self._opened[_SERVER, _CLOCKS.name, 0].store, query_id, partition)
        key = (query_id, spec.name, partition)
        if key not in self._opened:
            self.prepare([(query_id, spec, partition)])
        return self._opened[key].store

    def drop(self, query_id: str) -> None:
        """Lets go of all stores of a query; ``bury`` deletes them, once it is written down that the query is gone."""
        self._doomed[query_id] = None

    def bury(self) -> None:
        """Deletes dropped stores, changelogs included."""
        if not self._doomed:
            return
        gone = [key for key in self._opened if key[0] in self._doomed]
        for key in gone:
            opened = self._opened.pop(key)
            self._ends.pop((opened.topic, opened.partition), None)
        clocks = self._opened.get((_SERVER, _CLOCKS.name, 0))
        if clocks is not None:
            for query_id in self._doomed:
                for entry, _ in list(clocks.store.prefix((query_id,))):
                    clocks.store.delete(entry)
        for name in self._database.stores():
            if name.rpartition("/")[0] in self._doomed:
                self._database.drop(name)
        begin = tuple(f"{self._settings.prefix}query_{query_id}-" for query_id in self._doomed)
        topics = [topic for topic in self._topics.names() if topic.startswith(begin) and topic.endswith("-changelog")]
        if topics:
            self._topics.delete_all(topics)
        self._doomed.clear()

    def prepare(self, wanted: Sequence[Wanted]) -> int:
        """Opens stores, makes their changelogs, and reads what the database lacks of them.

        Gives the number of records read.
        """
        wanted = [(_SERVER, _CLOCKS, 0) if spec.name == CLOCKS else (query_id, spec, p) for query_id, spec, p in wanted]
        fresh = [
            Opened(
                query_id,
                f"{query_id}/{spec.name}",
                partition,
                self.topic(query_id, spec),
                PersistentStore(spec, part, memory_entries=self._settings.memory_entries),
                part,
            )
            for query_id, spec, partition in dict.fromkeys(wanted)
            if (query_id, spec.name, partition) not in self._opened
            for part in (self._database.slice(f"{query_id}/{spec.name}", partition),)
        ]
        if not fresh:
            return 0
        count = self._restore({(each.topic, each.partition): each for each in fresh})
        for each in fresh:
            each.store.load()
            self._opened[each.query_id, each.store.spec.name, each.partition] = each
        return count

    def _restore(self, fresh: dict[Place, Opened]) -> int:
        partitions: dict[str, int] = {}
        for topic, partition in fresh:
            partitions[topic] = max(partitions.get(topic, 0), partition + 1)
        new = self._topics.create_all(
            [(topic, count, self._settings.replicas, _changelog_settings()) for topic, count in partitions.items()]
        )
        ends = dict.fromkeys(fresh, 0)
        ends.update(self._topics.end_offsets([place for place in fresh if place[0] not in new]))
        firsts = self._topics.end_offsets([place for place, end in ends.items() if end], earliest=True)
        starts: dict[Place, int] = {}
        for place, each in fresh.items():
            kept = self._database.place(each.name, each.partition)
            if kept is None or kept > ends[place]:
                # nothing kept, or of another topic of this name: what is there counts for nothing
                self._database.clear(each.name, each.partition)
                starts[place] = firsts.get(place, 0)
            else:
                starts[place] = kept
        count = 0
        for messages in read_to_end(self._settings, starts, ends):
            changes: dict[Place, list[Change]] = {}
            for message in messages:
                changes.setdefault((message.topic(), message.partition()), []).append((message.key(), message.value()))
            count += len(messages)
            self._database.write([(fresh[place].part.head, entries) for place, entries in changes.items()], {})
        self._database.write([], {(each.name, each.partition): ends[place] for place, each in fresh.items()})
        self._ends.update(ends)
        return count

    # --------------------------------------------------------------------------------------------------------- commits

    def sweep(self, budget: int = SWEEP_ENTRIES) -> None:
        """Looks for expired entries, a few at a time."""
        for opened in self._opened.values():
            if budget <= 0:
                return
            budget -= opened.store.sweep(budget)

    def drain(self) -> Drained:
        """The changes since last time, to be produced to ``topic`` and ``partition`` of each, then to be settled."""
        made = []
        for opened in self._opened.values():
            changes = opened.store.drain()
            if changes:
                made.append((opened, changes))
        return made

    def settle(self, drained: Drained) -> None:
        """Writes drained changes to the database: Kafka has committed them."""
        places = {}
        for opened, changes in drained:
            place = (opened.topic, opened.partition)
            end = self._ends.get(place, 0) + len(changes) + 1
            self._ends[place] = end
            places[opened.name, opened.partition] = end
        if drained:
            self._database.write([(opened.part.head, changes) for opened, changes in drained], places)
        for opened in self._opened.values():
            opened.store.settle()

    # --------------------------------------------------------------------------------------------------------- figures

    def sizes(self) -> Iterator[tuple[str, str, int]]:
        """Query id, store and bytes on disk of each store."""
        seen: dict[str, Opened] = {opened.name: opened for opened in self._opened.values()}
        for name, opened in seen.items():
            yield opened.query_id, opened.store.spec.name, self._database.size_bytes(name)

    def queries(self) -> Iterable[str]:
        """Ids of queries that have stores open."""
        return {opened.query_id for opened in self._opened.values()}


def _changelog_settings() -> dict[str, str]:
    """Changelogs are compacted; expired entries are deleted by tombstones, not by age.

    Small segments, so that compaction, which leaves the newest one alone, has something to do.
    """
    return {"cleanup.policy": "compact", "segment.bytes": str(64 << 20), "message.timestamp.type": "CreateTime"}
