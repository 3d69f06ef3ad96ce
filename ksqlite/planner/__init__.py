"""Plans queries: analyses them as ksqlDB does, in its words where they are refused, and lays out their steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ksqlite import ast, properties
from ksqlite.catalog import Catalog
from ksqlite.engine.api import Environment, StoreKind, StoreSpec
from ksqlite.errors import AnalysisError
from ksqlite.planner.describe import describe
from ksqlite.planner.model import QueryPlan, SinkStep
from ksqlite.planner.query import QueryPlanner
from ksqlite.planner.result import Result
from ksqlite.planner.sink import Sink, check_insert, create_sink, result_schema
from ksqlite.types import BIGINT, Column, Namespace, Schema

__all__ = ["QueryPlan", "Sink", "plan_persistent", "plan_table", "plan_transient"]


def plan_persistent(
    statement: ast.CreateAsSelect | ast.InsertInto,
    text: str,
    *,
    catalog: Catalog,
    env: Environment,
    settings: Mapping[str, Any],
    query_id: str,
    shown: str = "",
) -> tuple[QueryPlan, Sink]:
    """The plan of a CSAS, CTAS or INSERT INTO … SELECT, and its sink. Raises KsqlError; changes nothing."""
    if isinstance(statement, ast.InsertInto):
        target = catalog.get(statement.target)
        if target is None:
            raise AnalysisError(f"Sink does not exist for the INSERT INTO statement: `{statement.target}`")
        result = QueryPlanner(statement.query, catalog, settings, statement.target).plan()
        check_insert(target, result)
        sink = Sink(target, {})
        kind = "INSERT"
    else:
        properties.read_create_as(statement.properties)
        result = QueryPlanner(statement.query, catalog, settings, statement.name).plan()
        sink = create_sink(statement, result, env, settings, shown or text)
        kind = "CTAS" if statement.is_table else "CSAS"
    plan = _plan(statement.query, text, result, sink, query_id, kind, settings)
    return plan, sink


def plan_transient(
    query: ast.Query, text: str, *, catalog: Catalog, settings: Mapping[str, Any], query_id: str
) -> QueryPlan:
    """The plan of a push query, whose rows are the columns as selected. Raises KsqlError."""
    result = QueryPlanner(query, catalog, settings, None).plan()
    return _plan(query, text, result, None, query_id, "TRANSIENT", settings)


def plan_table(query: ast.Query, *, catalog: Catalog, settings: Mapping[str, Any], query_id: str) -> QueryPlan:
    """The plan that keeps the rows of a CREATE SOURCE TABLE (``SELECT *`` of it)."""
    result = QueryPlanner(query, catalog, settings, query.source.name).plan()
    info = catalog.require(query.source.name)
    return _plan(query, info.statement, result, Sink(info, {}), query_id, "CST", settings)


def _plan(  # noqa: PLR0917 - one call
    query: ast.Query,
    text: str,
    result: Result,
    sink: Sink | None,
    query_id: str,
    kind: str,
    settings: Mapping[str, Any],
) -> QueryPlan:
    schema = result_schema(result)
    if sink is None:
        schema = Schema(tuple(Column(name, sql, Namespace.VALUE) for name, sql in result.values))
    store = None
    if result.is_table and not result.aggregated and sink is not None:
        key_types = tuple(sql for _, sql in result.keys)
        if result.window is not None:
            key_types += (BIGINT, BIGINT)
        store = StoreSpec("Project", StoreKind.KEY_VALUE, key_types, (*(sql for _, sql in result.values), BIGINT))
    step = SinkStep(
        input=result.step,
        timestamp=sink.info.timestamp_column if sink is not None else None,
        store=store,
        filtered=result.filtered,
        changes=result.changes,
    )
    return QueryPlan(
        query_id=query_id,
        kind=kind,
        text=text,
        query=query,
        env=result.expressions.env,
        sink=sink.info if sink is not None else None,
        step=step,
        schema=schema,
        window=result.window,
        sources=[ref.info for ref in result.sources],
        partitions=result.partitions,
        internal_topics=result.internal_topics,
        is_table=result.is_table,
        limit=query.limit,
        properties=dict(settings),
        report=result.expressions.report,
        key_places=result.key_places,
        description=describe(step, schema, query_id, sink=sink is not None),
    )
