"""What the planner hands to the engine: the steps of a query, their expressions compiled to Python source.

Events flow between steps as tuples: ``(k, v, ts)`` in streams, and in tables that tell their changes ``(k, v, ts,
old)``. ``k`` holds the key columns (of windowed sources followed by window start and end), ``v`` the columns that
later steps need, None for a tombstone. Sources of expressions name these variables; what else they name is in the
plan's ``env``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ksqlite import ast
from ksqlite.engine.api import StoreSpec
from ksqlite.expressions import Compiled, Environment
from ksqlite.functions import BoundAggregate, BoundTable
from ksqlite.types import Schema, SqlType


@dataclass(frozen=True, slots=True)
class WindowInfo:
    """The window of a windowed key. ``size_ms`` is None for sessions."""

    type: ast.WindowType
    size_ms: int | None


@dataclass(slots=True)
class Step:
    """A step of a query."""


@dataclass(slots=True)
class SourceStep(Step):
    """Reads a source. ``pseudo`` appends header columns, ROWPARTITION and ROWOFFSET to the value columns.

    ``picks`` are the sources (over k, v, ts) of the columns that go on, None for the value as it is. A table with
    ``store`` keeps its rows and tells changes.
    """

    name: str
    is_table: bool
    pseudo: bool
    width: int
    picks: list[str] | None = None
    store: StoreSpec | None = None


@dataclass(slots=True)
class TransformStep(Step):
    """Filters, computes new keys and values, takes rows apart.

    ``keys`` and ``values`` are None where they stay. ``tables`` are table functions with their arguments; their results
    are called u0, u1, … in ``values``. ``changes``: events carry the old value too. ``table``: what WHERE leaves out
    becomes a tombstone.
    """

    input: Step
    where: Compiled | None = None
    keys: list[Compiled] | None = None
    values: list[Compiled] | None = None
    tables: list[tuple[BoundTable, list[Compiled]]] = field(default_factory=list)
    width: int = 0
    changes: bool = False
    table: bool = False


@dataclass(slots=True)
class RepartitionStep(Step):
    """Sends each event to the partition of its key."""

    input: Step
    topic: str
    key_types: tuple[SqlType, ...]
    key_names: tuple[str, ...]
    key_format: Any


@dataclass(slots=True)
class TableGroupStep(Step):
    """Takes a table's changes apart by group: each says what left a group and what came to it.

    Its events are ``(group key, new arguments, ts, old arguments)``; one of the two is None where a row moved from one
    group to another.
    """

    input: Step
    where: Compiled | None
    keys: list[Compiled]
    values: list[Compiled]


@dataclass(slots=True)
class WindowSpec:
    """A windowed aggregation's window, in ms."""

    type: ast.WindowType
    size_ms: int
    advance_ms: int
    grace_ms: int
    retention_ms: int


@dataclass(slots=True)
class AggregateStep(Step):
    """Groups and aggregates.

    ``keys`` are compiled over the input's events, as are ``arguments`` (one list for each aggregate). ``outputs`` and
    ``having`` are over g0… (group key), r0… (results), ws, we (window bounds) and ts. ``out_keys`` says which g the
    sink's key columns are. ``table`` aggregates changes with undo.
    """

    input: Step
    keys: list[Compiled]
    aggregates: list[BoundAggregate]
    arguments: list[list[Compiled]]
    outputs: list[Compiled]
    having: Compiled | None
    store: StoreSpec
    window: WindowSpec | None
    table: bool
    final: bool
    where: Compiled | None = None
    width: int = 0
    pending: StoreSpec | None = None


@dataclass(slots=True)
class StreamTableJoinStep(Step):
    """Looks up the table's row for each stream event. ``left``: no match gives nulls instead of nothing."""

    stream: Step
    table: SourceStep | Step
    left: bool
    right_width: int
    reverse: bool = False


@dataclass(slots=True)
class TableTableJoinStep(Step):
    """Joins two tables on their primary keys."""

    left: Step
    right: Step
    type: ast.JoinType
    left_width: int
    right_width: int
    left_store: StoreSpec
    right_store: StoreSpec


@dataclass(slots=True)
class ForeignKeyJoinStep(Step):
    """Joins a table to another one's primary key by an expression over the first's row."""

    left: Step
    right: Step
    foreign: Compiled
    left_outer: bool
    left_width: int
    right_width: int
    left_store: StoreSpec
    right_store: StoreSpec
    index_store: StoreSpec


@dataclass(slots=True)
class StreamStreamJoinStep(Step):
    """Joins two streams within a window.

    ``grace_ms`` None: ksqlDB's older behaviour, where rows without a match come out at once (``eager``), with a day of
    grace.
    """

    left: Step
    right: Step
    type: ast.JoinType
    before_ms: int
    after_ms: int
    grace_ms: int
    eager: bool
    left_width: int
    right_width: int
    left_store: StoreSpec
    right_store: StoreSpec
    outer_store: StoreSpec | None


@dataclass(slots=True)
class SinkStep(Step):
    """Writes the result. ``store`` keeps a table's rows (tables that no aggregation keeps) for pull queries.

    ``timestamp`` is the column that the records' timestamps come from. ``filtered``: rows may be missing because of
    WHERE, so that a tombstone only follows a row that was there.
    """

    input: Step
    timestamp: str | None
    store: StoreSpec | None
    filtered: bool
    changes: bool


@dataclass(slots=True)
class QueryPlan:
    """A query, analysed and compiled.

    ``schema`` is the result's: keys first, in a transient query the columns as selected (``columns``: sources of the
    output row over the last event's k, v, ts). ``window`` is the result's window, if windowed.
    """

    query_id: str
    kind: str
    text: str
    query: ast.Query
    env: Environment
    sink: Any
    step: Step
    schema: Schema
    window: WindowInfo | None
    sources: list[Any]
    partitions: int
    internal_topics: list[tuple[str, Any, Any]]
    is_table: bool
    limit: int | None = None
    description: str = ""
    properties: dict[str, Any] = field(default_factory=dict)
    report: Any = None
    key_places: list[int | None] = field(default_factory=list)
