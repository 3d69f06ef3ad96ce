"""What the engine offers to those around it, and what it asks of them.

The engine knows no Kafka. It is given records of source topics, runs them through all queries as one graph in
memory, and hands out the records of sink topics. State stands behind ``StateStore``; whoever runs the engine decides
where it is kept.

How one runs it::

    engine = Engine(env)                    # env: where registry, topics, stores and settings come from
    engine.execute(located_statement)       # DDL, CSAS, CTAS, INSERT INTO … : one entity (a dict) as ksqlDB's /ksql
    answers engine.source_topics()                  # what must be consumed
    engine.process("checks", 0, records)    # as often as wanted …
    engine.flush()                          # … and before every commit: coalesced updates come out, time-outs are
    looked at outputs = engine.take_outputs()         # {topic: [Output, …]} in the order in which they came about

Ownership of a statement: ``ksqlite.statements.execute(engine, located, properties)`` (KSQL's DDL and SHOW/DESCRIBE)
does all that starts no query; ``ksqlite.planner.plan`` analyses a query; ``Engine.execute`` is the one entry that
dispatches between them. A failing ``execute`` raises KsqlError and leaves catalog and engine as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple, Protocol

from ksqlite import ast
from ksqlite.types import Schema, SqlType

# The columns of a row in order of declaration, see ksqlite.types for the Python value of each type.
Row = tuple[Any, ...]

# Key columns; of a windowed table or stream followed by window start and window end (ms since 1970; a session's end is
# the time of its last record, any other window's is exclusive).
Key = tuple[Any, ...]


class Tombstone(tuple[Any, ...]):
    """A row of a push query that says that a table's row is gone: the selected key columns, None for the others."""

    __slots__ = ()
    tombstone = True


class Input(NamedTuple):
    """One record of a source topic; any tuple of this shape will do. ``timestamp`` in ms."""

    key: bytes | None
    value: bytes | None
    timestamp: int
    offset: int
    headers: Sequence[tuple[str, bytes | None]] = ()


# One record for a sink topic: key, value, timestamp (ms), headers or None, partition or None. A plain tuple, for
# there are many. Where the partition is None the producer chooses it by murmur2 of the key, as Kafka's own does
# (``partitioner=murmur2_random``): the engine reckons with the same. Windowed keys go by the key without its window.
Output = tuple[bytes | None, bytes | None, int, "Sequence[tuple[str, bytes | None]] | None", int | None]


# ---------------------------------------------------------------------------------------------------------------- state


class StoreKind(Enum):
    """How a store's keys are laid out, for whoever expires them."""

    KEY_VALUE = "key-value"
    """key: the key columns."""
    WINDOW = "window"
    """key: the key columns, then the window's start."""
    SESSION = "session"
    """key: the key columns; value: one ARRAY column of STRUCT<start BIGINT, end BIGINT, …>, oldest first."""
    TIMED = "timed"
    """key: a time (ms) first, then anything: buffers of suppress and of stream-stream joins."""


@dataclass(frozen=True, slots=True)
class StoreSpec:
    """A state store of one query: one instance for each partition of its input.

    ``key_types`` and ``value_types`` are the SQL types of the parts, in which the store may encode them. Values are
    tuples, never None. ``retention_ms``: entries whose window ended longer ago than this before the stream time
    given to ``StateStore.expire`` may be forgotten; None keeps for ever. ``name`` is unique within the query and as
    ksqlDB names it (``Aggregate-Materialize``), so that the changelog is ``_confluent-ksql-<service>query_<query
    id>-<name>-changelog``.
    """

    name: str
    kind: StoreKind
    key_types: tuple[SqlType, ...]
    value_types: tuple[SqlType, ...]
    window_size_ms: int | None = None
    retention_ms: int | None = None


class StateStore(Protocol):
    """State of one query, one partition. Keys and values are tuples of the types that its StoreSpec names.

    A value given by ``get`` is not changed in place. Methods are hot: the engine binds them once.
    """

    def get(self, key: Key) -> Row | None:
        """The value at ``key``, or None."""

    def put(self, key: Key, value: Row) -> None:
        """Set the value at ``key``."""

    def delete(self, key: Key) -> None:
        """Forget ``key``; fine when it is not there."""

    def items(self) -> Iterator[tuple[Key, Row]]:
        """All entries; order is open. Not to be used while the store changes."""

    def prefix(self, prefix: Key) -> Iterator[tuple[Key, Row]]:
        """The entries whose key begins with these parts, in ascending order of the part that follows."""

    def until(self, limit: int) -> Iterator[tuple[Key, Row]]:
        """TIMED stores: the entries whose time is <= ``limit``, ascending; the store may change meanwhile."""

    def expire(self, stream_time_ms: int) -> None:
        """Told once a batch: what retention allows may be forgotten."""


class StoreFactory(Protocol):
    """Gives a query its state."""

    def open(self, query_id: str, spec: StoreSpec, partition: int) -> StateStore:
        """The store of this query, spec and partition: restored when it was there before, empty otherwise."""

    def drop(self, query_id: str) -> None:
        """Forget all stores of a query, changelogs included."""


# ---------------------------------------------------------------------------------------------------------- environment


class Topics(Protocol):
    """What the engine needs to know of topics, and have made."""

    def partitions(self, topic: str) -> int | None:
        """How many partitions the topic has; None when there is no such topic."""

    def create(self, topic: str, partitions: int, replicas: int, settings: Mapping[str, str]) -> None:
        """Make the sink topic of a query; ``settings`` as ksqlDB would (cleanup.policy, retention.ms)."""

    def delete(self, topic: str) -> None:
        """DROP … DELETE TOPIC."""

    def configs(self, topic: str) -> Mapping[str, str]:
        """The topic's settings; retention.ms is looked at."""


class ProcessingLog(Protocol):
    """Where records that cannot be read or worked out are told."""

    def deserialization_error(
        self, query_id: str, topic: str, partition: int, offset: int, *, is_key: bool, message: str, record: Input
    ) -> None:
        """A source record that cannot be read; it is skipped."""

    def record_error(self, query_id: str, message: str, record: Row | None) -> None:
        """An expression that failed on a row; it became NULL, or the row was dropped, as ksqlDB does."""


class Counters(Protocol):
    """Per query figures for metrics; called once a batch."""

    def add(self, query_id: str, *, records_in: int, records_out: int, late: int, errors: int) -> None:
        """Add to a query's counters; ``late`` counts records whose window was closed."""


@dataclass(slots=True)
class Environment:
    """All that the engine asks of those around it.

    ``settings`` are server settings (``ksql.…`` and streams names), overridden by SET properties of each statement.
    ``registry`` is a ksqlite.formats.api.SchemaRegistry. ``lanes`` is how many partitions state is told apart by: None
    for as many as the topics have, 1 in tests, as ksqlDB's own tests do. ``offsets_known``: nobody else writes the
    topics that queries here write, so that the engine can count their offsets itself (in memory; Kafka's
    transactions take offsets of their own).
    """

    topics: Topics
    stores: StoreFactory
    registry: Any
    log: ProcessingLog
    counters: Counters | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    clock_ms: Callable[[], int] | None = None
    lanes: int | None = None
    offsets_known: bool = False


# ----------------------------------------------------------------------------------------------------------------- plan


class QueryState(Enum):
    """A persistent query's state, named as ksqlDB's API does."""

    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    ERROR = "ERROR"
    TERMINATED = "TERMINATED"


@dataclass(frozen=True, slots=True)
class QueryError:
    """What set a query to ERROR."""

    at_ms: int
    """When, in milliseconds since 1970."""
    message: str


@dataclass(frozen=True, slots=True)
class QueryInfo:
    """A persistent query as others may see it.

    ``sources``: names of the streams and tables it reads, ``topics`` their topics (each once). ``kind`` is CSAS,
    CTAS or INSERT. ``cache`` says whether updates of a key are coalesced between two flushes. ``properties``: the SET
    properties in force when it was made. ``offset_reset`` is "earliest" or "latest". ``internal_topics``: the
    repartition topics that ksqlDB would have (name behind the query's id, key format, value format); here nothing is
    written to them.
    """

    query_id: str
    kind: str
    text: str
    sources: tuple[str, ...]
    topics: tuple[str, ...]
    sink: str | None
    sink_topic: str | None
    schema: Schema
    stores: tuple[StoreSpec, ...]
    partitions: int
    cache: bool
    offset_reset: str
    properties: Mapping[str, Any]
    description: str = ""
    internal_topics: tuple[tuple[str, Any, Any], ...] = ()


class MaterialisedTable(Protocol):
    """The state of a CTAS as pull queries see it, over all partitions."""

    schema: Schema
    windowed: bool
    window_size_ms: int | None

    def get(self, key: Key) -> Iterable[tuple[Key, Row, int]]:
        """Rows of exactly these key columns (without window parts): key with window, value columns, ROWTIME.

        One row for a plain table, any number in order of time for a windowed one.
        """

    def scan(self) -> Iterable[tuple[Key, Row, int]]:
        """All rows."""


class Subscription(Protocol):
    """A running transient (push) query."""

    schema: Schema

    def take(self) -> list[Row]:
        """The rows that came about since last asked, in order; a Tombstone where a table's row went."""

    @property
    def finished(self) -> bool:
        """Its LIMIT is reached: nothing will follow."""

    def close(self) -> None:
        """End it."""


# --------------------------------------------------------------------------------------------------------------- engine


class EngineApi(Protocol):
    """The engine (``ksqlite.engine.Engine``) as the runner, the REST server and the test runner use it."""

    catalog: Any  # ksqlite.catalog.Catalog
    env: Environment

    def execute(self, located: ast.Located, properties: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Run one statement; gives the entity that ksqlDB's ``/ksql`` answers (``@type``, …).

        SET and DEFINE act on the catalog's session. Raises KsqlError; nothing is half done then.
        """

    def plan(self, located: ast.Located, properties: Mapping[str, Any] | None = None) -> QueryInfo:
        """What a CSAS, CTAS or INSERT INTO … SELECT would run, without starting it (EXPLAIN, lint)."""

    def queries(self) -> Sequence[QueryInfo]:
        """The persistent queries in the order of their creation."""

    def state(self, query_id: str) -> QueryState:
        """A query's state."""

    def error(self, query_id: str) -> QueryError | None:
        """What set a query to ERROR; None in any other state."""

    def fail(self, query_id: str, message: str) -> None:
        """The query is in ERROR and gets nothing until RESUME; ``message`` says why."""

    def pause(self, query_id: str) -> None:
        """PAUSE: the runner stops feeding its topics to it."""

    def resume(self, query_id: str) -> None:
        """RESUME."""

    def detach(self, query_ids: frozenset[str]) -> None:
        """These queries read on their own: they get what ``process`` is told to feed them by name, and nothing else."""

    def terminate(self, query_id: str) -> None:
        """TERMINATE: the query leaves the graph and its state is dropped."""

    def source_topics(self) -> frozenset[str]:
        """Topics that some running query reads and none of the running queries writes: to be consumed."""

    def readers(self, topic: str) -> Sequence[str]:
        """Ids of the queries that read this topic."""

    def process(
        self, topic: str, partition: int, records: Sequence[Input], queries: frozenset[str] | None = None
    ) -> None:
        """Run records of one topic partition, in order of offset, through the queries that read the topic.

        Their outputs go on in memory to the queries that read those topics, unless ``queries`` limits the feed to
        these ids (a new query reading history: only its own outputs and, behind it, those of queries that read its
        sink).
        """

    def flush(self) -> None:
        """Bring out coalesced updates and everything that waits for time; called before each commit."""

    def take_outputs(self) -> dict[str, list[Output]]:
        """Sink topic → records since last asked."""

    def table(self, source: str) -> MaterialisedTable | None:
        """The state behind a table that a CTAS materialises; None for others."""

    def subscribe(self, query: ast.Query, text: str, properties: Mapping[str, Any] | None = None) -> Subscription:
        """Start a push query over the running graph: it sees what is processed from now on.

        With ``auto.offset.reset`` = earliest the caller feeds history by ``feed``.
        """

    def feed(self, subscription: Subscription, topic: str, partition: int, records: Sequence[Input]) -> None:
        """History for one push query."""
