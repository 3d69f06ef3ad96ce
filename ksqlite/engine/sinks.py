"""Where a query's results go: records of its topic, rows kept for pull queries, rows of a push query."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Any

from ksqlite.catalog import SourceInfo
from ksqlite.engine.api import Environment, Output, Row, Tombstone
from ksqlite.engine.feed import KeyBytes, TimestampColumn, hashable
from ksqlite.engine.murmur import Partitions, murmur2_many
from ksqlite.engine.operators.base import Event, is_null
from ksqlite.formats import RegistryError, SchemaRegistry, format_info, serde, subject_of
from ksqlite.planner.model import QueryPlan, SinkStep

if TYPE_CHECKING:
    from ksqlite.engine.graph import Graph
    from ksqlite.engine.runtime import Query


class TopicSink:
    """Writes a query's events to its topic, and passes them on to the queries that read it."""

    def __init__(self, plan: QueryPlan, env: Environment, graph: Graph) -> None:
        assert isinstance(plan.step, SinkStep)  # noqa: S101 - the planner ends every plan with one
        self.plan = plan
        self.step = plan.step
        self.graph = graph
        self.query: Query | None = None
        self.info: SourceInfo = plan.sink
        self.topic = self.info.topic
        self.registry: SchemaRegistry = env.registry
        self.keys = KeyBytes(self.info, env)
        self.value_serde = serde(
            self.info.value_format,
            self.info.schema.value,
            is_key=False,
            registry=env.registry,
            subject=subject_of(self.topic, is_key=False),
        )
        self.stamp = TimestampColumn(self.info, self.step.timestamp) if self.step.timestamp is not None else None
        self.tombstone = not self.info.schema.value
        self.partitions = Partitions(self.info.partitions)
        self.lanes = env.lanes
        self.encode: Callable[[Any], bytes | None] | None = None

    def register(self) -> None:
        """Puts the schemas of key and value into the registry."""
        if self.info.schema.key:
            self.keys.serde.register()
        self.value_serde.register()

    def new_subjects(self) -> list[str]:
        """The subjects that ``register`` would make."""
        sides = ((True, self.info.key_format), (False, self.info.value_format))
        named = [subject_of(self.topic, is_key=is_key) for is_key, spec in sides if format_info(spec.name).inference]
        return [subject for subject in named if self.registry.latest(subject) is None]

    def unregister(self, subjects: Iterable[str]) -> None:
        """Takes subjects out of the registry, as far as it answers."""
        for subject in subjects:
            with contextlib.suppress(RegistryError):
                self.registry.delete(subject)

    def write(self, lane: int, events: list[Event]) -> None:
        """Events of one lane of the query."""
        if self.step.store is not None:
            events = self._keep(lane, events)
        if self.stamp is not None:
            events = self._stamped(events)
        if not events:
            return
        headers = self.graph.headers
        records: list[Output]
        encode = self.encode or self._encoder()
        if not self.keys.windowed:
            base = self.keys.base
            records = [
                (base(event[0]), None if event[1] is None else encode(event[1]), event[2], headers, None)
                for event in events
            ]
        else:
            records = self._windowed(events, encode)
        self.graph.written(self, lane, events, records)

    def _windowed(self, events: list[Event], encode: Callable[[Any], bytes | None]) -> list[Output]:
        """Records whose partition goes by the key without its window, as it is written: the producer cannot tell."""
        headers = self.graph.headers
        keys = [self.keys.full(event[0]) for event in events]
        places: Iterable[int | None] = repeat(None, len(keys))
        if self.lanes != 1:
            if self.keys.session and all(inner is not None for _, inner in keys):
                # ids that hardly ever come again
                count = self.partitions.count
                places = [value % count for value in murmur2_many([inner for _, inner in keys if inner is not None])]
            else:
                partitions = self.partitions
                places = [None if inner is None else partitions[inner] for _, inner in keys]
        return [
            (key, None if event[1] is None else encode(event[1]), event[2], headers, place)
            for event, (key, _), place in zip(events, keys, places, strict=True)
        ]

    def _encoder(self) -> Callable[[Any], bytes | None]:
        """What turns a row into bytes, found when the first row is there: it may register the schema."""
        direct = getattr(self.value_serde, "encoder", None)
        self.encode = direct() if direct is not None and self.info.value_format.wrap is not False else None
        if self.encode is None:
            self.encode = self.value_serde.serialize
        return self.encode

    def _keep(self, lane: int, events: list[Event]) -> list[Event]:
        """Keeps a table's rows; a row that WHERE leaves out is a tombstone only where there was one before."""
        assert self.query is not None  # noqa: S101 - the graph puts it in
        assert self.step.store is not None  # noqa: S101 - the caller looks
        store = self.query.lane(lane).lane.stores[self.step.store.name]
        kept: list[Event] = []
        filtered = self.step.filtered
        for event in events:
            k, v = event[0], event[1]
            if self.query.freeze:
                k = hashable(k)
            if k[0] is None and is_null(k):
                continue
            if v is None:
                if filtered and store.get(k) is None:
                    continue
                store.delete(k)
            else:
                store.put(k, (*v, event[2]))
            kept.append(event)
        return kept

    def _stamped(self, events: list[Event]) -> list[Event]:
        """Events with their time from the sink's TIMESTAMP column; those that have none are left out, and told."""
        assert self.stamp is not None  # noqa: S101 - the caller looks
        stamp, report = self.stamp, self.plan.report
        out: list[Event] = []
        for event in events:
            v = event[1]
            if v is None:
                out.append(event)
                continue
            try:
                ts = stamp(event[0], v)
            except Exception as problem:  # noqa: BLE001 - whatever a date may be wrong by
                report("Error extracting timestamp", problem)
                continue
            if ts is None:
                report("Error extracting timestamp: the column has no valid time", None)
                continue
            out.append((event[0], v, ts))
        return out

    def partition_of(self, record: Output, event: Event, lane: int) -> int:
        """The partition that a record goes to."""
        if record[4] is not None:
            return record[4]
        if record[0] is None:
            return 0
        if self.keys.windowed:
            base = self.keys.full(event[0])[1]
            return lane if base is None else self.partitions[base]
        return self.partitions[record[0]]


class TableSink:
    """Keeps the rows of a CREATE SOURCE TABLE for pull queries; nothing is written."""

    def __init__(self, plan: QueryPlan) -> None:
        assert isinstance(plan.step, SinkStep)  # noqa: S101 - the planner ends every plan with one
        self.step = plan.step
        self.query: Query | None = None

    def write(self, lane: int, events: list[Event]) -> None:
        """Events of one lane of the query."""
        assert self.query is not None  # noqa: S101 - the graph puts it in
        assert self.step.store is not None  # noqa: S101 - such plans have one
        store = self.query.lane(lane).lane.stores[self.step.store.name]
        for event in events:
            k, v = event[0], event[1]
            if k[0] is None and is_null(k):
                continue
            if v is None:
                store.delete(k)
            else:
                store.put(k, (*v, event[2]))


class RowSink:
    """Collects the rows of a push query, up to its LIMIT."""

    def __init__(self, plan: QueryPlan) -> None:
        self.schema = plan.schema
        self.limit = plan.limit
        self.is_table = plan.is_table
        self.key_places = plan.key_places
        self.rows: list[Row] = []
        self.given = 0
        self.query: Query | None = None

    def write(self, _lane: int, events: Sequence[Event]) -> None:
        """Events of one lane of the query."""
        for event in events:
            if self.finished:
                return
            row = event[1]
            if row is None:
                if not self.is_table:
                    continue
                if event[0][0] is None and is_null(event[0]):
                    continue
                row = Tombstone([None if place is None else event[0][place] for place in self.key_places])
            self.rows.append(row)
            self.given += 1

    @property
    def finished(self) -> bool:
        """Whether LIMIT is reached."""
        return self.limit is not None and self.given >= self.limit

    def take(self) -> list[Row]:
        """The rows that came since last asked."""
        rows, self.rows = self.rows, []
        return rows


def sink_of(value: Any) -> TopicSink | None:  # noqa: ANN401 - any sink
    """The sink when it writes a topic."""
    return value if isinstance(value, TopicSink) else None
