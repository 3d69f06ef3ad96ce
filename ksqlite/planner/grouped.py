"""Plans queries with GROUP BY: windows, aggregates, HAVING."""

from __future__ import annotations

import re

from ksqlite import ast
from ksqlite.engine.api import StoreKind, StoreSpec
from ksqlite.errors import AnalysisError, UnsupportedError
from ksqlite.expressions import Compiled
from ksqlite.planner import walk
from ksqlite.planner.aggregates import AggregatePlanner, Aggregation, aggregates_in, is_table_function
from ksqlite.planner.durations import DAY_MS, milliseconds
from ksqlite.planner.keys import grouping_positions
from ksqlite.planner.model import (
    AggregateStep,
    RepartitionStep,
    Step,
    TableGroupStep,
    TransformStep,
    WindowInfo,
    WindowSpec,
)
from ksqlite.planner.relation import Relation
from ksqlite.planner.result import Context, Result, check_duplicates, typed
from ksqlite.planner.select import Selected
from ksqlite.planner.wording import shown
from ksqlite.types import BIGINT, SqlType, array, struct


def plan_grouped(  # noqa: PLR0917 - one call
    context: Context,
    relation: Relation,
    where: ast.Expression | None,
    group_by: list[ast.Expression],
    having: ast.Expression | None,
    selected: list[Selected],
) -> Result:
    """The steps of a query with GROUP BY."""
    _check_grouped(context, group_by, having, selected)
    planner = AggregatePlanner(relation, context.expressions, group_by)
    condition = context.expressions.compile_predicate(where, relation.bindings, "WHERE") if where is not None else None
    rewritten = planner.select(selected)
    rewritten_having = planner.having(having) if having is not None else None
    sessions = context.query.window is not None and context.query.window.type is ast.WindowType.SESSION
    aggregation = planner.compile(table=relation.is_table, merges=sessions)
    having_condition = (
        context.expressions.compile_predicate(rewritten_having, aggregation.bindings, "HAVING")
        if rewritten_having is not None
        else None
    )
    window = _window(context)
    outputs = [context.expressions.compile(expression, aggregation.bindings, "SELECT") for expression in rewritten]
    key_names: list[str] = []
    values = list(zip(selected, outputs, strict=True))
    if context.sink is not None:
        positions = grouping_positions(context, group_by, selected)
        key_names = [selected[position].name for position in positions]
        values = [pair for position, pair in enumerate(values) if position not in positions]
    check_duplicates(context, values, key_names)
    step = _aggregate_step(context, relation, group_by, aggregation, condition, window)
    step.outputs = [each for _, each in values]
    step.having = having_condition
    step.final = context.query.emit is ast.Refinement.FINAL
    info = None
    if window is not None:
        session = window.type is ast.WindowType.SESSION
        info = WindowInfo(window.type, None if session else window.size_ms)
    return Result(
        step=step,
        is_table=True,
        changes=False,
        filtered=having_condition is not None,
        keys=list(zip(key_names, aggregation.key_types, strict=True)) if context.sink is not None else [],
        values=[(item.name, typed(item, each)) for item, each in values],
        window=info,
        key_format=relation.key_format,
        value_format=context.sources.refs[0].info.value_format,
        partitions=relation.partitions,
        aggregated=True,
        internal_topics=context.internal,
        sources=context.sources.refs,
        expressions=context.expressions,
        key_places=[_group_place(each.source, len(group_by)) for _, each in values],
    )


def _check_grouped(
    context: Context, group_by: list[ast.Expression], having: ast.Expression | None, selected: list[Selected]
) -> None:
    for expression in group_by:
        for call in aggregates_in(expression):
            raise AnalysisError(f"GROUP BY does not support aggregate functions: {call.name} is an aggregate function.")
    calls = [call for item in selected for call in aggregates_in(item.expression)]
    calls += aggregates_in(having) if having is not None else []
    if any(is_table_function(node) for item in selected for node in walk.walk(item.expression)):
        raise AnalysisError("Table functions cannot be used with aggregations.")
    if not group_by:
        names = ", ".join(shown(call).replace("COUNT(*)", "COUNT(ROWTIME)") for call in calls)
        what = "CREATE TABLE AS SELECT" if context.sink is not None else "SELECT"
        raise AnalysisError(
            f"{what} statement does not support aggregate function [{names}] without a GROUP BY clause."
        )
    if not calls:
        raise AnalysisError("GROUP BY requires aggregate functions in either the SELECT or HAVING clause.")


def _window(context: Context) -> WindowSpec | None:
    window = context.query.window
    if window is None:
        return None
    size = milliseconds(window.size)
    advance = milliseconds(window.advance) if window.advance is not None else size
    if window.grace is not None:
        grace = milliseconds(window.grace)
    else:
        # as Kafka Streams did before a grace period became mandatory, and ksqlDB still does
        grace = 0 if context.query.emit is ast.Refinement.FINAL else max(DAY_MS - size, 0)
    retention = milliseconds(window.retention) if window.retention is not None else size + grace
    if retention < size + grace:
        raise AnalysisError(
            "The retention period of the window store must be no smaller than its window size plus the "
            f"grace period. Got size=[{size}], grace=[{grace}], retention=[{retention}]"
        )
    if not 0 < advance <= size:
        raise AnalysisError(
            "Window advance interval should be more than zero and less than window duration which is "
            f"{size}ms, but given advance interval is: {advance}ms"
        )
    return WindowSpec(window.type, size, advance, grace, retention)


def _aggregate_step(  # noqa: PLR0917 - one call
    context: Context,
    relation: Relation,
    group_by: list[ast.Expression],
    aggregation: Aggregation,
    condition: Compiled | None,
    window: WindowSpec | None,
) -> AggregateStep:
    if relation.window is not None:
        raise UnsupportedError(
            "GROUP BY over a windowed source is not supported: read its topic as a stream without WINDOW_TYPE"
        )
    stays = len(group_by) == len(relation.key) and all(
        expression in column.viable for expression, column in zip(group_by, relation.key, strict=True)
    )
    keys, arguments, step, where = aggregation.keys, aggregation.arguments, relation.step, condition
    if not stays or relation.is_table:
        context.internal.append(("Aggregate-GroupBy-repartition", relation.key_format, None))
        step, keys, arguments = _regrouped(relation, aggregation, condition)
        where = None
    states = [bound.udaf.state_type for bound in aggregation.aggregates]
    key_types = tuple(aggregation.key_types)
    if window is None:
        kind, store_keys, store_values = StoreKind.KEY_VALUE, key_types, (*states, BIGINT)
    elif window.type is ast.WindowType.SESSION:
        kind, store_keys, store_values = StoreKind.SESSION, key_types, (_session_type(states),)
    else:
        kind, store_keys, store_values = StoreKind.WINDOW, (*key_types, BIGINT), (*states, BIGINT)
    store = StoreSpec(
        "Aggregate-Materialize",
        kind,
        store_keys,
        store_values,
        window_size_ms=window.size_ms if window else None,
        retention_ms=window.retention_ms if window else None,
    )
    pending = None
    if window is not None and context.query.emit is ast.Refinement.FINAL:
        pending = StoreSpec("Aggregate-Pending", StoreKind.TIMED, (BIGINT, *key_types, BIGINT), (BIGINT,))
    return AggregateStep(
        input=step,
        keys=keys,
        aggregates=aggregation.aggregates,
        arguments=arguments,
        outputs=[],
        having=None,
        store=store,
        window=window,
        table=relation.is_table,
        final=False,
        where=where,
        width=relation.width,
        pending=pending,
    )


def _regrouped(
    relation: Relation, aggregation: Aggregation, condition: Compiled | None
) -> tuple[Step, list[Compiled], list[list[Compiled]]]:
    """Group keys and arguments computed before the repartition, and how they are found behind it."""
    flat: list[Compiled] = [each for arguments in aggregation.arguments for each in arguments]
    before: Step
    if relation.is_table:
        before = TableGroupStep(relation.step, condition, aggregation.keys, flat)
    else:
        before = TransformStep(relation.step, where=condition, keys=aggregation.keys, values=flat, width=relation.width)
    names = tuple(f"KSQL_COL_{position}" for position in range(len(aggregation.keys)))
    step = RepartitionStep(
        before, "Aggregate-GroupBy-repartition", tuple(aggregation.key_types), names, relation.key_format
    )
    keys = [
        Compiled(f"k[{position}]", key_type, fallible=False, simple=True)
        for position, key_type in enumerate(aggregation.key_types)
    ]
    arguments, position = [], 0
    for each in aggregation.arguments:
        arguments.append(
            [
                Compiled(f"v[{position + offset}]", compiled.type, compiled.nullable, fallible=False, simple=True)
                for offset, compiled in enumerate(each)
            ]
        )
        position += len(each)
    return step, keys, arguments


def _group_place(source: str, keys: int) -> int | None:
    """Which part of a group's key a selected column is, if it is one."""
    if source in {"ws", "we"}:
        return keys + (source == "we")
    found = re.fullmatch(r"g(\d+)", source)
    return int(found[1]) if found else None


def _session_type(states: list[SqlType]) -> SqlType:
    fields = [("START", BIGINT), ("END", BIGINT), *((f"S{n}", state) for n, state in enumerate(states))]
    return array(struct(*fields))
