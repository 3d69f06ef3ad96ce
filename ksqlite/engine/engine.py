"""The engine: statements in, records in, records out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ksqlite import ast, planner, statements
from ksqlite.catalog import Catalog, SourceInfo
from ksqlite.engine.api import Environment, Input, Key, Output, QueryError, QueryInfo, QueryState, Row, Subscription
from ksqlite.engine.feed import hashable
from ksqlite.engine.graph import Graph, Node
from ksqlite.engine.runtime import Query
from ksqlite.engine.sinks import RowSink, TableSink, TopicSink
from ksqlite.errors import AnalysisError, KsqlError, UnsupportedError
from ksqlite.formats import format_info
from ksqlite.planner.model import QueryPlan, SinkStep
from ksqlite.properties import read_create_as, read_insert
from ksqlite.statements.shown import shown_create_as, shown_insert
from ksqlite.types import Schema

_CACHE = ("cache.max.bytes.buffering", "statestore.cache.max.bytes")
_DEFAULT_CACHE = 10_000_000


class Engine:
    """See ``ksqlite.engine.api.EngineApi``."""

    def __init__(self, env: Environment, catalog: Catalog | None = None) -> None:
        self.env = env
        self.catalog = catalog if catalog is not None else Catalog()
        self.graph = Graph(env)
        self._states: dict[str, QueryState] = {}
        self._errors: dict[str, QueryError] = {}

    # ------------------------------------------------------------------------------------------------------- statements

    def execute(self, located: ast.Located, properties: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Run one statement; gives the entity that ksqlDB's ``/ksql`` answers."""
        snapshot = self.catalog.snapshot()
        try:
            prepared = self.catalog.prepare(located)
            statement = prepared.statement
            if isinstance(statement, ast.CreateAsSelect | ast.InsertInto):
                try:
                    return self._start(statement, prepared.text, self.settings(properties))
                except KsqlError as error:
                    if error.statement is None:
                        error.statement = f"{located.text};"
                    raise
            entity = statements.execute(self, prepared, properties)
            if isinstance(statement, ast.CreateSource) and statement.is_source and statement.is_table:
                self._keep_table(statement.name, self.settings(properties))
        except BaseException:
            self.catalog.restore(snapshot)
            raise
        return entity if entity is not None else {}

    def settings(self, properties: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Server settings, overridden by SET, overridden by a request's properties."""
        return {**self.env.settings, **self.catalog.properties, **(properties or {})}

    def plan(self, located: ast.Located, properties: Mapping[str, Any] | None = None) -> QueryInfo:
        """What a CSAS, CTAS, INSERT INTO … SELECT or push query would run."""
        statement = self.catalog.prepare(located).statement
        if isinstance(statement, ast.QueryStatement):
            transient = planner.plan_transient(
                statement.query,
                located.text,
                catalog=self.catalog,
                settings=self.settings(properties),
                query_id=f"transient_{statement.query.source.name}",
            )
            return self._info(Query(transient, self.env, lambda _lane, _events: None, cache=False), None)
        if not isinstance(statement, ast.CreateAsSelect | ast.InsertInto):
            raise AnalysisError("Only CREATE … AS SELECT and INSERT INTO … SELECT run a query")
        plan, sink = planner.plan_persistent(
            statement,
            located.text,
            catalog=self.catalog,
            env=self.env,
            settings=self.settings(properties),
            query_id="PLAN",
        )
        query = Query(plan, self.env, lambda _lane, _events: None, cache=False)
        return self._info(query, sink.info)

    def _start(
        self, statement: ast.CreateAsSelect | ast.InsertInto, text: str, settings: Mapping[str, Any]
    ) -> dict[str, Any]:
        if isinstance(statement, ast.CreateAsSelect):
            return self._create_as(statement, text, settings)
        number = self.catalog.query_number()
        query_id = read_insert(statement.properties).query_id or f"INSERTQUERY_{number}"
        self._check_id(query_id)
        plan, _ = planner.plan_persistent(
            statement, text, catalog=self.catalog, env=self.env, settings=settings, query_id=query_id
        )
        sources = {ref.alias: info for ref, info in zip(_sources(statement.query), plan.sources, strict=True)}
        shown = f"{shown_insert(statement, sources).removesuffix(';')};"
        self._run(replace_text(plan, shown), plan.sink, settings)
        return statements.current_status(
            f"stream/`{statement.target}`/create", f"Created query with ID {query_id}", query_id=query_id, text=shown
        )

    def _create_as(self, statement: ast.CreateAsSelect, text: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        kind = "table" if statement.is_table else "stream"
        there = self.catalog.get(statement.name)
        if there is not None and statement.if_not_exists:
            return {
                "@type": "warning_entity",
                "message": f"Cannot add {kind} `{statement.name}`: A {there.kind.lower()} with the same name "
                "already exists.",
                "warnings": [],
            }
        self.catalog.check_free(statement.name, is_table=statement.is_table, or_replace=statement.or_replace)
        read_create_as(statement.properties)
        old = self._replaced(there) if there is not None else None
        if old is not None:
            query_id = old.query_id
        else:
            query_id = f"C{'T' if statement.is_table else 'S'}AS_{statement.name}_{self.catalog.query_number()}"
        plan, sink = planner.plan_persistent(
            statement, text, catalog=self.catalog, env=self.env, settings=settings, query_id=query_id
        )
        info = sink.info
        sources = {ref.alias: source for ref, source in zip(_sources(statement.query), plan.sources, strict=True)}
        topic_settings = {
            "partitions": info.partitions,
            "replicas": info.replicas,
            "cleanup_policy": sink.settings.get("cleanup.policy"),
            "retention_ms": _whole(sink.settings.get("retention.ms")),
        }
        shown = shown_create_as(statement, sources=sources, topic=info.topic, settings=topic_settings)
        shown = f"{shown.removesuffix(';')};"
        added = self.catalog.add(replace(info, statement=shown), or_replace=old is not None)
        plan.sink = added
        if old is not None:
            self._check_replacement(old, plan)

        def make_topic() -> None:
            self.env.topics.create(info.topic, info.partitions, info.replicas, sink.settings)

        self._run(replace_text(plan, shown), added, settings, make_topic)
        return statements.current_status(
            f"{kind}/`{statement.name}`/create", f"Created query with ID {query_id}", query_id=query_id, text=shown
        )

    def _replaced(self, there: SourceInfo) -> QueryInfo:
        """The query that CREATE OR REPLACE is to take the place of. Raises UnsupportedError."""
        writers = self.catalog.writers(there.name)
        if len(writers) != 1 or not there.made_by_query:
            raise UnsupportedError(
                f"CREATE OR REPLACE of {there.name} by a query is not supported, because no query, or more than one, "
                "writes it now: drop it and create it anew"
            )
        return writers[0]

    def _check_replacement(self, old: QueryInfo, plan: QueryPlan) -> None:
        """A query without state may be replaced by another over the same sources, and goes on where it is.

        Raises UnsupportedError for all others.
        """
        stores = Query(plan, self.env, lambda _lane, _events: None, cache=False).specs
        if old.stores or stores or old.sources != tuple(info.name for info in plan.sources):
            raise UnsupportedError(
                f"CREATE OR REPLACE of {old.sink} is not supported, because its query keeps state or would read other "
                "sources: drop it and create it anew"
            )

    def _check_id(self, query_id: str) -> None:
        if query_id in self.catalog.queries:
            raise AnalysisError(f"Query ID '{query_id}' already exists.")

    def _run(
        self,
        plan: QueryPlan,
        sink: SourceInfo,
        settings: Mapping[str, Any],
        make_topic: Callable[[], None] | None = None,
    ) -> None:
        """Starts a query; when something fails, nothing of it stays.

        The topic is made last, for it cannot be taken back.
        """
        self._check_pseudo(plan)
        writer = TopicSink(plan, self.env, self.graph)
        query = Query(plan, self.env, writer.write, cache=_caches(settings))
        query_id = plan.query_id
        old, old_state = self.graph.nodes.get(query_id), self._states.get(query_id)
        subjects = [] if self.catalog.replaying else writer.new_subjects()
        try:
            if not self.catalog.replaying:  # they were registered when the statement first ran
                writer.register()
            self._add(query, writer, self._info(query, sink))
            if make_topic is not None:
                make_topic()
        except BaseException:
            writer.unregister(subjects)
            self.graph.remove(query_id)
            self._states.pop(query_id, None)
            if old is not None and old_state is not None:
                self.graph.add(old)
                self._states[query_id] = old_state
            raise

    def _keep_table(self, name: str, settings: Mapping[str, Any]) -> None:
        """A CREATE SOURCE TABLE keeps its rows, so that pull queries can read them."""
        query_id = f"CST_{name}_{self.catalog.query_number()}"
        select = ast.Query((ast.SelectAll(),), ast.Source(name, name))
        plan = planner.plan_table(select, catalog=self.catalog, settings=settings, query_id=query_id)
        sink = TableSink(plan)
        query = Query(plan, self.env, sink.write, cache=False)
        self._add(query, sink, self._info(query, None))

    def _add(self, query: Query, sink: TopicSink | TableSink, info: QueryInfo) -> None:
        query_id = info.query_id
        log = self.env.log
        query.plan.report.target = lambda message: self._tell(query, log, message)
        self.graph.add(Node(query, sink, query.plan.sources))
        self.catalog.queries[query_id] = info
        self._states[query_id] = QueryState.RUNNING

    @staticmethod
    def _tell(query: Query, log: Any, message: str) -> None:  # noqa: ANN401 - a ProcessingLog
        query.tally.errors += 1
        log.record_error(query.plan.query_id, message, None)

    def _check_pseudo(self, plan: QueryPlan) -> None:
        """ROWOFFSET of what is passed on in memory is not known before it is written."""
        if self.env.offsets_known:
            return
        written = {node.sink.topic for node in self.graph.nodes.values() if isinstance(node.sink, TopicSink)}
        probe = Query(plan, self.env, lambda _lane, _events: None, cache=False)
        names = {port.source for port in probe.ports if port.pseudo}
        for info in plan.sources:
            if info.name in names and info.topic in written:
                raise UnsupportedError(
                    f"ROWPARTITION, ROWOFFSET and headers of {info.name} are not supported, because a query "
                    "here writes its "
                    "topic"
                )

    def _info(self, query: Query, sink: SourceInfo | None) -> QueryInfo:
        plan = query.plan
        offset_reset = str(
            plan.properties.get("auto.offset.reset")
            or plan.properties.get("ksql.streams.auto.offset.reset")
            or "latest"
        )
        return QueryInfo(
            query_id=plan.query_id,
            kind=plan.kind,
            text=plan.text,
            sources=tuple(info.name for info in plan.sources),
            topics=tuple(dict.fromkeys(info.topic for info in plan.sources)),
            sink=sink.name if sink is not None else None,
            sink_topic=sink.topic if sink is not None else None,
            schema=plan.schema,
            stores=tuple(query.specs),
            partitions=plan.partitions,
            cache=query.cache,
            offset_reset=offset_reset.lower(),
            properties=dict(self.catalog.properties),
            description=plan.description,
            internal_topics=tuple(
                (name, key_format or _sink_key(plan), value_format or plan.sources[0].value_format)
                for name, key_format, value_format in plan.internal_topics
            ),
        )

    # ---------------------------------------------------------------------------------------------------------- queries

    def queries(self) -> Sequence[QueryInfo]:
        """The persistent queries in the order of their creation."""
        return list(self.catalog.queries.values())

    def state(self, query_id: str) -> QueryState:
        """A query's state."""
        return self._states.get(query_id, QueryState.TERMINATED)

    def error(self, query_id: str) -> QueryError | None:
        """What set a query to ERROR; None in any other state."""
        return self._errors.get(query_id) if self.state(query_id) is QueryState.ERROR else None

    def fail(self, query_id: str, message: str) -> None:
        """Marks a query as failed: it gets nothing until RESUME."""
        self.graph.nodes[query_id].paused = True
        self._states[query_id] = QueryState.ERROR
        self._errors[query_id] = QueryError(int(time.time() * 1000), message)

    def pause(self, query_id: str) -> None:
        """PAUSE: the query gets nothing until RESUME."""
        self.graph.nodes[query_id].paused = True
        self._states[query_id] = QueryState.PAUSED

    def resume(self, query_id: str) -> None:
        """RESUME."""
        self.graph.nodes[query_id].paused = False
        self._states[query_id] = QueryState.RUNNING

    def detach(self, query_ids: frozenset[str]) -> None:
        """These queries read on their own: they get what ``process`` is told to feed them by name, and nothing else."""
        for query_id, node in self.graph.nodes.items():
            node.detached = query_id in query_ids

    def terminate(self, query_id: str) -> None:
        """TERMINATE: the query leaves the graph and its state is dropped."""
        self.graph.remove(query_id)
        self.catalog.queries.pop(query_id, None)
        self._states.pop(query_id, None)
        self._errors.pop(query_id, None)
        self.env.stores.drop(query_id)

    # ------------------------------------------------------------------------------------------------------------- data

    def source_topics(self) -> frozenset[str]:
        """Topics that some running query reads and none of the running queries writes."""
        return self.graph.source_topics()

    def readers(self, topic: str) -> Sequence[str]:
        """Ids of the queries that read this topic."""
        return self.graph.readers(topic)

    def process(
        self, topic: str, partition: int, records: Sequence[Input], queries: frozenset[str] | None = None
    ) -> None:
        """Run records of one topic partition through the queries that read the topic."""
        self.graph.process(topic, partition, records, queries)

    def flush(self) -> None:
        """Bring out coalesced updates and everything that waits for time."""
        self.graph.flush()

    def take_outputs(self) -> dict[str, list[Output]]:
        """Sink topic to records since last asked."""
        return self.graph.take_outputs()

    def table(self, source: str) -> Table | None:
        """The state behind a table that a query materialises; None for others."""
        info = self.catalog.get(source)
        if info is None or not info.is_table:
            return None
        for node in self.graph.nodes.values():
            plan = node.query.plan
            mine = plan.sink is not None and plan.sink.name == source
            kept = isinstance(node.sink, TableSink) and plan.sources[0].name == source
            if (mine or kept) and node.query.materialised:
                return Table(info, node.query)
        return None

    def subscribe(self, query: ast.Query, text: str, properties: Mapping[str, Any] | None = None) -> PushQuery:
        """Start a push query over the running graph."""
        number = len(self._states) + len(self.graph.nodes)
        query_id = f"transient_{number}_{id(query)}"
        plan = planner.plan_transient(
            query, text, catalog=self.catalog, settings=self.settings(properties), query_id=query_id
        )
        self._check_pseudo(plan)
        sink = RowSink(plan)
        running = Query(plan, self.env, sink.write, cache=False)
        plan.report.target = lambda message: self._tell(running, self.env.log, message)
        node = Node(running, sink, plan.sources)
        self.graph.add(node)
        return PushQuery(self, node, sink)

    def feed(self, subscription: Subscription, topic: str, partition: int, records: Sequence[Input]) -> None:
        """History for one push query."""
        assert isinstance(subscription, PushQuery)  # noqa: S101 - it came from subscribe
        self.graph.process(topic, partition, records, frozenset((subscription.query_id,)))


class PushQuery:
    """A running push query."""

    def __init__(self, engine: Engine, node: Node, sink: RowSink) -> None:
        self.engine = engine
        self.query_id = node.query.plan.query_id
        self.schema: Schema = node.query.plan.schema
        self.topics = tuple(dict.fromkeys(info.topic for info in node.query.plan.sources))
        self._sink = sink

    def take(self) -> list[Row]:
        """The rows that came about since last asked, in order."""
        return self._sink.take()

    @property
    def finished(self) -> bool:
        """Its LIMIT is reached: nothing will follow."""
        return self._sink.finished

    def close(self) -> None:
        """End it."""
        self.engine.graph.remove(self.query_id)
        self.engine.env.stores.drop(self.query_id)


class Table:
    """A table's rows for pull queries."""

    def __init__(self, info: SourceInfo, query: Query) -> None:
        self.schema = info.schema
        self.windowed = info.window_type is not None
        self.window_size_ms = info.window_size_ms
        self._query = query

    def get(self, key: Key) -> Iterable[tuple[Key, Row, int]]:
        """Rows of exactly these key columns: key with window, value columns, ROWTIME."""
        return self._query.rows_of(hashable(tuple(key)))

    def scan(self) -> Iterable[tuple[Key, Row, int]]:
        """All rows."""
        return self._query.rows()


def _sources(query: ast.Query) -> list[ast.Source]:
    return [query.source, *(join.source for join in query.joins)]


def _caches(settings: Mapping[str, Any]) -> bool:
    for name in _CACHE:
        for key in (name, f"ksql.streams.{name}"):
            value = settings.get(key)
            if value is not None:
                return int(value) > 0
    return _DEFAULT_CACHE > 0


def _whole(text: str | None) -> int | None:
    return None if text is None else int(text)


def _sink_key(plan: QueryPlan) -> Any:  # noqa: ANN401 - a FormatSpec
    return plan.sink.key_format if plan.sink is not None else format_info("KAFKA")


def replace_text(plan: QueryPlan, text: str) -> QueryPlan:
    """The plan with the statement as it is shown."""
    plan.text = text
    assert isinstance(plan.step, SinkStep)  # noqa: S101 - the planner ends every plan with one
    return plan
