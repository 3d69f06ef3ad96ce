"""Plans queries without GROUP BY: filters, projections, table functions, PARTITION BY."""

from __future__ import annotations

import re
from typing import Any

from ksqlite import ast
from ksqlite.errors import AnalysisError
from ksqlite.expressions import Binding, Compiled
from ksqlite.functions import REGISTRY
from ksqlite.planner import walk
from ksqlite.planner.aggregates import aggregates_in, is_table_function
from ksqlite.planner.keys import key_positions
from ksqlite.planner.model import Step, TransformStep
from ksqlite.planner.relation import Relation
from ksqlite.planner.result import Context, Result, check_duplicates, typed
from ksqlite.planner.select import Selected
from ksqlite.planner.wording import shown

_NEW_PLANNER = "ksql.new.query.planner.enabled"


def plan_plain(
    context: Context,
    relation: Relation,
    where: ast.Expression | None,
    partition_by: list[ast.Expression],
    selected: list[Selected],
) -> Result:
    """The steps of a query without GROUP BY."""
    tables, bindings = _table_functions(context, relation, selected)
    condition = context.expressions.compile_predicate(where, relation.bindings, "WHERE") if where is not None else None
    if partition_by and relation.is_table:
        raise AnalysisError("PARTITION BY clause is not supported for tables: it applies to streams only.")
    rekeyed = _rekeyed(context, relation, partition_by)
    key_format, window = relation.key_format, relation.window
    if rekeyed is None:
        key_columns = [column.viable for column in relation.key]
        key_types = [column.type for column in relation.key]
        keys = None
    else:
        key_columns = [[expression] for expression in partition_by if not isinstance(expression, ast.NullLiteral)]
        keys = rekeyed
        key_types = [compiled.type for compiled in rekeyed if compiled.type is not None]
    compiled = [context.expressions.compile(item.expression, bindings, "SELECT") for item in selected]
    key_names: list[str] = []
    values = list(zip(selected, compiled, strict=True))
    if context.sink is not None:
        positions = key_positions(context, relation, key_columns, selected, repartitioned=bool(partition_by))
        if str(context.settings.get(_NEW_PLANNER)).lower() == "true" and keys is None and relation.window is None:
            # the planner to come orders key columns as they are selected
            order = sorted(range(len(positions)), key=positions.__getitem__)
            positions = [positions[number] for number in order]
            key_types = [key_types[number] for number in order]
            if order != list(range(len(order))):
                keys = [Compiled(f"k[{number}]", relation.key[number].type, fallible=False) for number in order]
        key_names = [selected[position].name for position in positions]
        values = [pair for position, pair in enumerate(values) if position not in positions]
    check_duplicates(context, values, key_names)
    step: Step = TransformStep(
        relation.step,
        where=condition,
        keys=keys,
        values=_unless_identity([each for _, each in values], relation.width, flattened=bool(tables)),
        tables=tables,
        width=relation.width,
        changes=relation.changes,
        table=relation.is_table,
    )
    return Result(
        step=step,
        is_table=relation.is_table,
        changes=relation.changes,
        filtered=condition is not None,
        keys=list(zip(key_names, key_types, strict=True)) if context.sink is not None else [],
        values=[(item.name, typed(item, each)) for item, each in values],
        window=window,
        key_format=key_format,
        value_format=context.sources.refs[0].info.value_format,
        partitions=relation.partitions,
        aggregated=False,
        internal_topics=context.internal,
        sources=context.sources.refs,
        expressions=context.expressions,
        key_places=[_key_place(each.source) for _, each in values],
    )


def _table_functions(
    context: Context, relation: Relation, selected: list[Selected]
) -> tuple[list[tuple[Any, list[Compiled]]], dict[str, Binding]]:
    """The table functions of the SELECT, which are replaced in ``selected`` by columns of their own."""
    calls: list[ast.FunctionCall] = []

    def visit(node: ast.Expression, _bound: frozenset[str]) -> ast.Expression | None:
        if not is_table_function(node):
            return None
        assert isinstance(node, ast.FunctionCall)  # noqa: S101 - is_table_function says so
        if any(is_table_function(inner) for argument in node.arguments for inner in walk.walk(argument)):
            raise AnalysisError(f"Table functions cannot be nested: {shown(node)}")
        calls.append(node)
        name = f"KSQL_SYNTH_{len(calls) - 1}"
        context.expressions.shown[name] = shown(node)
        return ast.ColumnRef(name, at=node.at)

    for position, item in enumerate(selected):
        replaced = walk.rewrite(item.expression, visit)
        if replaced is not item.expression:
            selected[position] = Selected(item.name, replaced, item.written, item.aliased, item.starred)
    if not calls:
        return [], relation.bindings
    if relation.is_table:
        raise AnalysisError("Table source is not supported with table functions")
    bindings = dict(relation.bindings)
    tables = []
    for position, call in enumerate(calls):
        types = [context.expressions.type_of(argument, relation.bindings) for argument in call.arguments]
        bound = REGISTRY.table(call.name, types)
        arguments = [
            context.expressions.compile(argument, relation.bindings, "SELECT", expected)
            for argument, expected in zip(call.arguments, bound.input_types, strict=True)
        ]
        bindings[f"KSQL_SYNTH_{position}"] = Binding(f"u{position}", bound.returns)
        tables.append((bound, arguments))
    return tables, bindings


def _rekeyed(context: Context, relation: Relation, partition_by: list[ast.Expression]) -> list[Compiled] | None:
    """The new key, None where PARTITION BY changes nothing."""
    if not partition_by:
        return None
    if isinstance(partition_by[0], ast.NullLiteral):
        return []
    same = len(partition_by) == len(relation.key) and all(
        expression in column.viable for expression, column in zip(partition_by, relation.key, strict=True)
    )
    if same:
        return None
    if relation.window is not None:
        raise AnalysisError(
            "Implicit repartitioning of windowed sources is not supported. See "
            "https://github.com/confluentinc/ksql/issues/4385."
        )
    rekeyed = []
    for expression in partition_by:
        if aggregates_in(expression):
            raise AnalysisError(f"PARTITION BY does not support aggregate functions: {shown(expression)}")
        rekeyed.append(context.expressions.compile(expression, relation.bindings, "PARTITION BY"))
    return rekeyed


def _key_place(source: str) -> int | None:
    """Which part of the key a selected column is, if it is one."""
    found = re.fullmatch(r"k\[(\d+)\]", source)
    return int(found[1]) if found else None


def _unless_identity(values: list[Compiled], width: int, *, flattened: bool) -> list[Compiled] | None:
    """None where the values are the input's values in their order."""
    same = not flattened and [each.source for each in values] == [f"v[{n}]" for n in range(width)]
    return None if same else values
