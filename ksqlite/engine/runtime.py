"""A query as it runs: its operators wired up, in as many lanes as its partitions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ksqlite.engine.api import Environment, StateStore, StoreKind, StoreSpec
from ksqlite.engine.feed import KeyBytes, has_array, hashable
from ksqlite.engine.murmur import Partitions
from ksqlite.engine.operators.aggregate import Aggregate
from ksqlite.engine.operators.base import Event, Lane, Operator, Process, Tally
from ksqlite.engine.operators.joins import ForeignKeyJoin, StreamTableJoin, TableTableJoin
from ksqlite.engine.operators.rows import KeyedOnly, Materialise, Pick, TableGroup, Transform
from ksqlite.engine.operators.stream_joins import StreamStreamJoin
from ksqlite.formats import FormatSpec
from ksqlite.planner.model import (
    AggregateStep,
    ForeignKeyJoinStep,
    QueryPlan,
    RepartitionStep,
    SinkStep,
    SourceStep,
    Step,
    StreamStreamJoinStep,
    StreamTableJoinStep,
    TableGroupStep,
    TableTableJoinStep,
    TransformStep,
)
from ksqlite.types import BIGINT, STRING, Column, Namespace, Schema

_TIMES = StoreSpec("Times", StoreKind.KEY_VALUE, (STRING,), (BIGINT,))


@dataclass(slots=True)
class Port:
    """Where a source's events enter a query."""

    source: str
    segment: int
    pseudo: bool
    keyed: bool = True
    """Whether it matters in which partition an event comes in: not where a repartition stands before all state."""


@dataclass(slots=True)
class Segment:
    """Operators that follow one another in one lane. ``target`` is where their events go on, None for the sink."""

    operators: list[Operator] = field(default_factory=list)
    inputs: int = 1
    target: tuple[int, int, Repartition | None] | None = None


class Repartition:
    """Knows the partition of each key."""

    def __init__(self, step: RepartitionStep, plan: QueryPlan, env: Environment) -> None:
        spec = step.key_format
        if step.topic.startswith("Aggregate") and plan.sink is not None:
            spec = plan.sink.key_format
        if spec is None or spec.name == "NONE":
            spec = FormatSpec("KAFKA" if len(step.key_types) == 1 else "JSON")
        columns = tuple(
            Column(name, sql, Namespace.KEY) for name, sql in zip(step.key_names, step.key_types, strict=True)
        )
        info = _Keyed(f"{plan.query_id}-{step.topic}", Schema(columns), spec)
        self.keys = KeyBytes(info, env)  # type: ignore[arg-type] # all that it looks at is there
        self.partitions = Partitions(plan.partitions)
        self.freeze = any(has_array(sql) for sql in step.key_types)
        self.lane_of: Callable[[Any], int] = self._lane
        if self.keys.exact:
            self.lane_of = _Lanes(self._lane).__getitem__

    def _lane(self, key: Any) -> int:  # noqa: ANN401 - key columns
        data = self.keys.base(key)
        return 0 if data is None else self.partitions[data]

    def split(self, events: list[Event]) -> dict[int, list[Event]]:
        """The events by the partition of their key."""
        lanes: dict[int, list[Event]] = {}
        lane_of = self.lane_of
        for event in events:
            lane = lane_of(event[0])
            part = lanes.get(lane)
            if part is None:
                lanes[lane] = [event]
            else:
                part.append(event)
        return lanes


class _Lanes(dict[Any, int]):
    """Keys to lanes, remembered for keys that come again."""

    __slots__ = ("_find",)
    LIMIT = 100_000

    def __init__(self, find: Callable[[Any], int]) -> None:
        super().__init__()
        self._find = find

    def __missing__(self, key: Any) -> int:  # noqa: ANN401 - key columns
        lane = self._find(key)
        if len(self) >= self.LIMIT:
            self.clear()
        self[key] = lane
        return lane


@dataclass(frozen=True, slots=True)
class _Keyed:
    """What KeyBytes looks at of a source, for an internal topic."""

    topic: str
    schema: Schema
    key_format: FormatSpec
    window_type: None = None


class LaneRuntime:
    """A query in one partition."""

    def __init__(self, query: Query, number: int) -> None:
        self.number = number
        stores: dict[str, StateStore] = {
            spec.name: query.env.stores.open(query.plan.query_id, spec, number) for spec in query.specs
        }
        self.times_store = stores.get(_TIMES.name)
        times: dict[str, int] = {}
        if self.times_store is not None:
            times = {key[0]: value[0] for key, value in self.times_store.items()}
        self.saved = dict(times)
        self.lane = Lane(stores, times, query.tally)
        self.chains: list[list[list[Process]]] = []
        self.flushes: list[tuple[int, int, Callable[[], list[Event]]]] = []
        for number_of, segment in enumerate(query.segments):
            bound = [operator.bind(self.lane) for operator in segment.operators]
            if bound:
                rest = [functions[0] for functions in bound[1:]]
                self.chains.append([[function, *rest] for function in bound[0]])
            else:
                self.chains.append([[]])
            for position, operator in enumerate(segment.operators):
                flush = operator.flush(self.lane)
                if flush is not None:
                    self.flushes.append((number_of, position, flush))

    def save_times(self) -> None:
        """Keeps stream times, so that what was late stays late after a restart."""
        if self.times_store is None:
            return
        for name, value in self.lane.times.items():
            if self.saved.get(name) != value:
                self.times_store.put((name,), (value,))
                self.saved[name] = value


class Query:
    """A running query.

    ``output`` is called with the lane and the last step's events. ``lanes`` is how many partitions are told apart, None
    for as many as the query has.
    """

    def __init__(
        self, plan: QueryPlan, env: Environment, output: Callable[[int, list[Event]], None], *, cache: bool
    ) -> None:
        self.plan = plan
        self.env = env
        self.output = output
        self.cache = cache
        self.tally = Tally()
        self.segments: list[Segment] = []
        self.ports: list[Port] = []
        self.aggregate: Aggregate | None = None
        self.single = env.lanes == 1
        self.timed = False
        assert isinstance(plan.step, SinkStep)  # noqa: S101 - the planner ends every plan with one
        self.sink_step = plan.step
        self._build(plan.step.input, materialise=True)
        self.specs = [spec for segment in self.segments for op in segment.operators for spec in op.stores]
        self.freeze = any(has_array(column.type) for column in plan.schema.key)
        if self.sink_step.store is not None:
            self.specs.append(self.sink_step.store)
        if self.timed:
            self.specs.append(_TIMES)
        for port in self.ports:
            port.keyed = self._keeps_state(port.segment)
        self.lanes: dict[int, LaneRuntime] = {}

    # ------------------------------------------------------------------------------------------------------------ build

    def _build(self, step: Step, *, materialise: bool) -> int:
        """The number of the segment that the step ends in."""
        env = self.plan.env
        if isinstance(step, SourceStep):
            number = self._segment(step, materialise=materialise)
            self.ports.append(Port(step.name, number, step.pseudo))
            return number
        if isinstance(step, TransformStep):
            number = self._build(step.input, materialise=True)
            if not self._is_identity(step):
                self.segments[number].operators.append(Transform(step, env))
            return number
        if isinstance(step, TableGroupStep):
            number = self._build(step.input, materialise=True)
            self.segments[number].operators.append(TableGroup(step, env))
            return number
        if isinstance(step, RepartitionStep):
            before = self._build(step.input, materialise=True)
            self.segments.append(Segment())
            number = len(self.segments) - 1
            self.segments[before].target = (number, 0, Repartition(step, self.plan, self.env))
            return number
        if isinstance(step, AggregateStep):
            number = self._build(step.input, materialise=True)
            self.aggregate = Aggregate(step, env, cache=self.cache)
            self.timed = self.timed or step.window is not None
            self.segments[number].operators.append(self.aggregate)
            return number
        return self._build_join(step)

    def _segment(self, step: SourceStep, *, materialise: bool) -> int:
        segment = Segment()
        if step.picks is not None:
            segment.operators.append(Pick(step, self.plan.env))
        if step.store is not None and materialise:
            segment.operators.append(Materialise(step.store))
        elif step.is_table and materialise:
            segment.operators.append(KeyedOnly())
        self.segments.append(segment)
        return len(self.segments) - 1

    def _build_join(self, step: Step) -> int:
        operator: Operator
        if isinstance(step, StreamTableJoinStep):
            first, second = step.stream, step.table
            assert isinstance(second, SourceStep)  # noqa: S101 - tables are joined as they are
            assert second.store is not None  # noqa: S101 - tables have one
            operator = StreamTableJoin(step, second.store)
        elif isinstance(step, TableTableJoinStep):
            first, second = step.left, step.right
            operator = TableTableJoin(step)
        elif isinstance(step, ForeignKeyJoinStep):
            first, second = step.left, step.right
            operator = ForeignKeyJoin(step, self.plan.env)
            self.single = True
        elif isinstance(step, StreamStreamJoinStep):
            first, second = step.left, step.right
            operator = StreamStreamJoin(step)
            self.timed = True
        else:
            raise TypeError(f"No operator for {type(step).__name__}")
        left = self._build(first, materialise=not isinstance(first, SourceStep))
        right = self._build(second, materialise=not isinstance(second, SourceStep))
        self.segments.append(Segment([operator], inputs=2))
        number = len(self.segments) - 1
        for side, before in enumerate((left, right)):
            there = self.segments[before]
            # a repartition ends in an empty segment, which goes on to the join within its lane
            there.target = (number, side, None)
        return number

    @staticmethod
    def _is_identity(step: TransformStep) -> bool:
        return step.where is None and step.keys is None and step.values is None and not step.tables and not step.changes

    def _keeps_state(self, number: int) -> bool:
        """Whether there is state between a segment and the next repartition."""
        segment = self.segments[number]
        if any(operator.stores for operator in segment.operators):
            return True
        if segment.target is None:
            return self.sink_step.store is not None or self.plan.window is not None
        return segment.target[2] is None and self._keeps_state(segment.target[0])

    # -------------------------------------------------------------------------------------------------------------- run

    def lane(self, number: int) -> LaneRuntime:
        """The lane of a partition, opened when it is first needed."""
        lane = self.lanes.get(number)
        if lane is None:
            lane = self.lanes[number] = LaneRuntime(self, number)
        return lane

    def push(self, port: Port, number: int, events: list[Event]) -> None:
        """Events of a source, in one partition."""
        self.tally.records_in += len(events)
        self._run(port.segment, 0, 0 if self.single else number, events)

    def _run(self, segment: int, side: int, number: int, events: list[Event]) -> None:
        for function in self.lane(number).chains[segment][side]:
            events = function(events)
            if not events:
                return
        self._leave(segment, number, events)

    def _leave(self, segment: int, number: int, events: list[Event]) -> None:
        target = self.segments[segment].target
        if target is None:
            self.tally.records_out += len(events)
            self.output(number, events)
            return
        following, side, repartition = target
        if repartition is None:
            self._run(following, side, number, events)
            return
        if repartition.freeze:
            events = [(hashable(event[0]), *event[1:]) for event in events]
        if self.single:
            self._run(following, side, number, events)
            return
        for lane, part in repartition.split(events).items():
            self._run(following, side, lane, part)

    def flush(self) -> None:
        """Brings out what was held back, and keeps stream times."""
        for lane in list(self.lanes.values()):
            for segment, position, function in lane.flushes:
                events = function()
                for following in lane.chains[segment][0][position + 1 :]:
                    if not events:
                        break
                    events = following(events)
                if events:
                    self._leave(segment, lane.number, events)
            lane.save_times()

    def expire(self) -> None:
        """Tells window stores how late it is."""
        for lane in self.lanes.values():
            clock = lane.lane.times.get("aggregate")
            if clock is not None:
                for spec in self.specs:
                    if spec.retention_ms is not None:
                        lane.lane.stores[spec.name].expire(clock)

    # ------------------------------------------------------------------------------------------------------------ state

    def rows(self) -> Iterable[tuple[Any, Any, int]]:
        """All rows of the table that the query keeps: key with window, values, ROWTIME."""
        for number in self._partitions():
            lane = self.lane(number)
            if self.aggregate is not None:
                store = lane.lane.stores[self.aggregate.step.store.name]
                for key, state in store.items():
                    yield from (row for row in self.aggregate.rows(key, state) if row[1] is not None)
            elif self.sink_step.store is not None:
                for key, value in lane.lane.stores[self.sink_step.store.name].items():
                    yield key, value[:-1], value[-1]

    def rows_of(self, key: Any) -> Iterable[tuple[Any, Any, int]]:  # noqa: ANN401 - key columns
        """The rows of one key, windows in order."""
        for number in self._partitions():
            lane = self.lane(number)
            if self.aggregate is not None:
                store = lane.lane.stores[self.aggregate.step.store.name]
                if self.aggregate.step.store.kind is StoreKind.WINDOW:
                    entries = list(store.prefix(key))
                else:
                    state = store.get(key)
                    entries = [] if state is None else [(key, state)]
                for found, state in entries:
                    yield from (row for row in self.aggregate.rows(found, state) if row[1] is not None)
            elif self.sink_step.store is not None:
                store = lane.lane.stores[self.sink_step.store.name]
                if self.plan.window is not None:
                    for found, value in store.prefix(key):
                        yield found, value[:-1], value[-1]
                else:
                    row = store.get(key)
                    if row is not None:
                        yield key, row[:-1], row[-1]

    def _partitions(self) -> Sequence[int]:
        return (0,) if self.single else range(self.plan.partitions)

    @property
    def materialised(self) -> bool:
        """Whether pull queries can read its result."""
        return self.aggregate is not None or self.sink_step.store is not None
