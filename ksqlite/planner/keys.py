"""Finds a sink's key columns among the selected ones; refuses in ksqlDB's words what is missing or there twice."""

from __future__ import annotations

from ksqlite import ast
from ksqlite.errors import AnalysisError
from ksqlite.planner.relation import Relation
from ksqlite.planner.result import Context
from ksqlite.planner.select import Selected
from ksqlite.planner.wording import and_list, or_list, shown

_HEAD = "Key missing from projection (ie, SELECT). See https://cnfl.io/2LV7ouS."


def key_positions(
    context: Context,
    relation: Relation,
    key_columns: list[list[ast.Expression]],
    selected: list[Selected],
    *,
    repartitioned: bool,
) -> list[int]:
    """Where each key column stands in the selection. Raises AnalysisError when one is missing or there twice."""
    positions: list[int] = []
    missing = False
    for viable in key_columns:
        for expression in viable:
            found = [position for position, item in enumerate(selected) if item.expression == expression]
            if len(found) > 1:
                names = and_list([selected[position].name for position in found])
                raise AnalysisError(
                    f"The projection contains a key column (`{selected[found[0]].name}`) more than once, "
                    f"aliased as: {names}."
                )
            if found:
                positions.append(found[0])
                break
        else:
            missing = True
    if missing:
        raise AnalysisError(_missing_key(context, relation, key_columns, selected, repartitioned=repartitioned))
    return positions


def _missing_key(
    context: Context,
    relation: Relation,
    key_columns: list[list[ast.Expression]],
    selected: list[Selected],
    *,
    repartitioned: bool,
) -> str:
    qualified = [[shown(context.sources.qualified(each)) for each in viable] for viable in key_columns]
    if repartitioned:
        names = [viable[0] for viable in qualified]
        what = f"the partitioning expression{'s' if len(names) > 1 else ''} {and_list(names)}"
        example = ", ".join(names)
    elif relation.foreign:
        selected_expressions = [item.expression for item in selected]
        absent = [
            shown(viable[0]) for viable in key_columns if not any(each in selected_expressions for each in viable)
        ]
        columns = [context.sources.names[name][1].name if name in context.sources.names else name for name in absent]
        return (
            "Primary key column missing in projection. For foreign-key table-table joins, the projection "
            f"must include all primary key columns from the left input table (`{relation.left_alias}`). Missing "
            f"column{'s' if len(columns) > 1 else ''}: {', '.join(f'`{column}`' for column in columns)}."
        )
    elif context.sources.joined:
        names = qualified[0]
        what = f"the join expression{'s' if len(names) > 1 else ''} {or_list(names)}"
        example = names[0]
    else:
        names = [shown(viable[0]) for viable in key_columns]
        what = f"the key column{'s' if len(names) > 1 else ''} {and_list(names)}"
        example = ", ".join(names)
    text = (
        f"{_HEAD}\nThe query used to build `{context.sink}` must include {what} in its projection "
        f"(eg, SELECT {example}...)."
    )
    if relation.synthetic is not None:
        text += (
            f"\n{relation.synthetic} was added as a synthetic key column because the join criteria did not match "
            "any source column. This expression must be included in the projection and may be aliased."
        )
    return text


def grouping_positions(context: Context, group_by: list[ast.Expression], selected: list[Selected]) -> list[int]:
    """Where each grouping expression stands in the selection. Raises AnalysisError as `key_positions` does."""
    positions, missing = [], []
    for expression in group_by:
        found = [position for position, item in enumerate(selected) if item.expression == expression]
        if len(found) > 1:
            names = and_list([f"`{selected[position].name}`" for position in found])
            raise AnalysisError(f"The projection contains a key column more than once: {names}.")
        if found:
            positions.append(found[0])
        else:
            missing.append(shown(expression))
    if missing:
        raise AnalysisError(
            f"{_HEAD}\n"
            f"The query used to build `{context.sink}` must include the grouping expression"
            f"{'s' if len(missing) > 1 else ''} {and_list(missing)} in its projection (eg, SELECT "
            f"{', '.join(missing)}...)."
        )
    return positions
