"""A source as the beginning of a query, or as one side of a join."""

from __future__ import annotations

from ksqlite import ast
from ksqlite.engine.api import StoreKind, StoreSpec
from ksqlite.expressions import Binding
from ksqlite.planner.model import SourceStep, WindowInfo
from ksqlite.planner.relation import KeyColumn, Relation
from ksqlite.planner.sources import Kind, SourceRef, Sources
from ksqlite.types import BIGINT, SqlType


def single(ref: SourceRef, sources: Sources, used: set[str], *, store: bool) -> Relation:
    """The relation of one source that is not joined."""
    if store:
        return side_of(ref, sources, used, "KsqlTopic-Reduce")
    pseudo = _needs_pseudo(ref, sources, used)
    bindings = {
        sources.name_of(ref, column.name): Binding(column.source, column.type, nullable=column.name != "ROWTIME")
        for column in ref.columns.values()
    }
    width = ref.pseudo_width if pseudo else ref.width
    step = SourceStep(ref.info.name, ref.is_table, pseudo, width)
    return _source_relation(ref, sources, step, bindings, width)


def side_of(ref: SourceRef, sources: Sources, used: set[str], store: str) -> Relation:
    """A source with the columns that the query needs of it, each in its place; tables keep their rows in ``store``."""
    pseudo = _needs_pseudo(ref, sources, used)
    picks: list[str] = []
    types: list[SqlType] = []
    bindings: dict[str, Binding] = {}
    for column in ref.columns.values():
        name = sources.name_of(ref, column.name)
        if name in used:
            bindings[name] = Binding(f"v[{len(picks)}]", column.type)
            picks.append(column.source)
            types.append(column.type)
    step = SourceStep(ref.info.name, ref.is_table, pseudo, len(picks), picks)
    if ref.is_table:
        step.store = _table_store(store, ref, types)
    return _source_relation(ref, sources, step, bindings, len(picks))


def _needs_pseudo(ref: SourceRef, sources: Sources, used: set[str]) -> bool:
    return any(
        sources.name_of(ref, column.name) in used
        for column in ref.columns.values()
        if column.kind is Kind.HEADER or column.name in ("ROWPARTITION", "ROWOFFSET")
    )


def _source_relation(
    ref: SourceRef, sources: Sources, step: SourceStep, bindings: dict[str, Binding], width: int
) -> Relation:
    info = ref.info
    window = WindowInfo(info.window_type, info.window_size_ms) if info.window_type is not None else None
    key = [KeyColumn(column.type, [ast.ColumnRef(sources.name_of(ref, column.name))]) for column in ref.key]
    return Relation(
        step=step,
        is_table=ref.is_table,
        changes=step.store is not None,
        key=key,
        bindings=bindings,
        width=width,
        window=window,
        key_format=info.key_format,
        refs=[ref],
        partitions=info.partitions,
        left_alias=ref.alias,
    )


def _table_store(name: str, ref: SourceRef, value_types: list[SqlType]) -> StoreSpec:
    key_types = [column.type for column in ref.key]
    if ref.info.window_type is not None:
        key_types += [BIGINT, BIGINT]
    return StoreSpec(name, StoreKind.KEY_VALUE, tuple(key_types), (*value_types, BIGINT))
