"""Analyses a query and lays out its steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ksqlite import ast
from ksqlite.errors import AnalysisError
from ksqlite.expressions import Binding
from ksqlite.functions import REGISTRY
from ksqlite.functions.registry import UnknownFunctionError
from ksqlite.planner import walk
from ksqlite.planner.aggregates import aggregates_in
from ksqlite.planner.grouped import plan_grouped
from ksqlite.planner.joins import JoinPlanner
from ksqlite.planner.plain import plan_plain
from ksqlite.planner.relation import Expressions, Relation
from ksqlite.planner.result import Context, Result
from ksqlite.planner.select import Selected, Selector
from ksqlite.planner.sides import single
from ksqlite.planner.sources import SYSTEM_COLUMNS, WINDOW_BOUNDS, SourceRef, Sources
from ksqlite.types import SqlType


class QueryPlanner:
    """Plans one query. ``sink`` is the target's name, None for a transient (push) query."""

    def __init__(self, query: ast.Query, catalog: Any, settings: Mapping[str, Any], sink: str | None) -> None:  # noqa: ANN401
        self.query = query
        self.catalog = catalog
        self.settings = settings
        self.sink = sink
        self.expressions = Expressions(dict(catalog.types))
        self.sources = Sources(self._refs())
        self.context = Context(query, settings, sink, self.sources, self.expressions)
        self.windowed = query.window is not None
        if self.windowed:
            self.sources.extra = dict(WINDOW_BOUNDS)

    # ---------------------------------------------------------------------------------------------------------- sources

    def _refs(self) -> list[SourceRef]:
        written = [self.query.source, *(join.source for join in self.query.joins)]
        names = [source.name for source in written]
        for position, name in enumerate(names):
            if name in names[:position]:
                if len(names) > 2:
                    raise AnalysisError(
                        f"N-way joins do not support multiple occurrences of the same source. Source: '{name}'."
                    )
                raise AnalysisError(f"Can not join '{name}' to '{name}': self joins are not yet supported.")
        return [SourceRef(source.alias, self._info(source)) for source in written]

    def _info(self, source: ast.Source) -> Any:  # noqa: ANN401 - a catalog SourceInfo
        info = self.catalog.get(source.name)
        if info is None:
            line, column = (source.at.line, source.at.column) if source.at else (None, None)
            raise AnalysisError(
                f"{source.name} does not exist.{self._did_you_mean(source.name)}", line=line, column=column
            )
        return info

    def _did_you_mean(self, name: str) -> str:
        similar = [known for known in self.catalog.sources if known.upper() == name.upper()]
        if not similar:
            return ""
        if name == name.upper():
            hint = "Hint: wrap the source name in double quotes to make it case-sensitive."
            return f'\nDid you mean "{similar[0]}"? {hint}'
        return f"\nDid you mean {similar[0]}? Hint: try removing double quotes from the source name."

    # ------------------------------------------------------------------------------------------------------------- plan

    def plan(self) -> Result:
        """The query's steps."""
        query = self.query
        self._check_shape()
        where = self._resolve(query.where, "WHERE") if query.where is not None else None
        group_by = [self._resolve(each, "GROUP BY") for each in query.group_by]
        partition_by = self._partition_by()
        having = self._resolve_having()
        selector = _Selector(query, self.sources, persistent=self.sink is not None, synthetic_key=self._synthetic())
        if not self.sources.joined:
            probe = single(self.sources.refs[0], self.sources, set(), store=False)
            selector.typing = lambda expression: self.expressions.type_of(expression, probe.bindings)
        else:
            everything = {
                self.sources.name_of(ref, column.name): Binding("None", column.type)
                for ref in self.sources.refs
                for column in ref.columns.values()
            }
            selector.typing = lambda expression: self.expressions.type_of(expression, everything)
        named_keys = [
            (expression, None if isinstance(expression, ast.ColumnRef) else self._alias_of(expression))
            for expression in partition_by
            if not isinstance(expression, ast.NullLiteral)
        ]
        selected = selector.expand(named_keys)
        for expression in [*group_by, *(item.expression for item in selected), *([having] if having else [])]:
            self._check_functions(expression)
        if self.sink is None and not group_by and any(aggregates_in(item.expression) for item in selected):
            group_by = [ast.IntegerLiteral(0)]  # a push query over everything: one group
        aggregated = bool(group_by) or any(aggregates_in(item.expression) for item in selected)
        relation = self._relation(where, group_by, partition_by, having, selected)
        self._check_names(selected)
        if aggregated:
            return plan_grouped(self.context, relation, where, group_by, having, selected)
        return plan_plain(self.context, relation, where, partition_by, selected)

    def _check_shape(self) -> None:
        query = self.query
        if query.emit is ast.Refinement.FINAL and query.window is None:
            raise AnalysisError("EMIT FINAL is only supported for windowed aggregations.")
        if query.window is not None and not query.group_by:
            raise AnalysisError("WINDOW clause requires a GROUP BY clause.")
        if query.having is not None and not query.group_by:
            raise AnalysisError("HAVING clause requires a GROUP BY clause.")
        if query.partition_by and query.group_by:
            raise AnalysisError("PARTITION BY and GROUP BY cannot be used together in one query.")
        kafka = [ref.alias for ref in self.sources.refs if ref.info.value_format.name == "KAFKA"]
        if kafka and (query.group_by or query.joins):
            what = "GROUP BY" if query.group_by else "JOIN"
            raise AnalysisError(
                f"Source(s) {', '.join(kafka)} are using the 'KAFKA' value format. This format does not yet "
                f"support {what}."
            )

    def _resolve(self, expression: ast.Expression, clause: str) -> ast.Expression:
        if self.windowed:
            self._check_bounds(expression, clause)
        return self.sources.resolve(expression, clause)

    def _check_bounds(self, expression: ast.Expression, clause: str) -> None:
        for ref in walk.column_refs(expression):
            if ref.name in WINDOW_BOUNDS and not any(ref.name in source.columns for source in self.sources.refs):
                if clause == "WHERE":
                    raise AnalysisError(f"Error in WHERE expression: Unknown column {ref.name}.")
                raise AnalysisError(
                    f"Window bounds column {ref.name} can only be used in the SELECT clause of windowed aggregations"
                )

    def _resolve_having(self) -> ast.Expression | None:
        return self._resolve(self.query.having, "HAVING") if self.query.having is not None else None

    def _partition_by(self) -> list[ast.Expression]:
        resolved = []
        for expression in self.query.partition_by:
            try:
                resolved.append(self.sources.resolve(expression, "PARTITION BY"))
            except AnalysisError as problem:
                if (
                    isinstance(expression, ast.ColumnRef)
                    and "cannot be resolved" in problem.message
                    and (
                        any(
                            isinstance(item, ast.SelectItem) and item.alias == expression.name
                            for item in self.query.select
                        )
                    )
                ):
                    problem.message += (
                        f" '{expression.name}' must be a column in the source schema since PARTITION BY is "
                        "applied on the input."
                    )
                    problem.args = (problem.message,)
                raise
        if len(resolved) > 1 and any(isinstance(each, ast.NullLiteral) for each in resolved):
            raise AnalysisError("Cannot PARTITION BY multiple columns including NULL")
        return resolved

    def _alias_of(self, expression: ast.Expression) -> str | None:
        """The alias under which the query selects the expression."""
        for item in self.query.select:
            if isinstance(item, ast.SelectItem) and item.alias is not None:
                try:
                    if self.sources.resolve(item.expression, "SELECT") == expression:
                        return item.alias
                except AnalysisError:
                    continue
        return None

    def _synthetic(self) -> str | None:
        """The name of the made-up join key, found by a trial of the joins."""
        if not self.sources.joined:
            return None
        planner = JoinPlanner(self.query, self.sources, set(self.sources.names), self.expressions, self.settings)
        return planner.plan().synthetic

    def _relation(
        self,
        where: ast.Expression | None,
        group_by: list[ast.Expression],
        partition_by: list[ast.Expression],
        having: ast.Expression | None,
        selected: list[Selected],
    ) -> Relation:
        expressions = [item.expression for item in selected] + group_by + partition_by
        expressions += [each for each in (where, having) if each is not None]
        used = {ref.name for expression in expressions for ref in walk.column_refs(expression)}
        if not self.sources.joined:
            ref = self.sources.refs[0]
            return single(ref, self.sources, used, store=ref.is_table and bool(group_by))
        for join in self.query.joins:
            used |= {ref.name for ref in walk.column_refs(self.sources.resolve(join.condition, "JOIN ON"))}
        planner = JoinPlanner(self.query, self.sources, used, self.expressions, self.settings)
        relation = planner.plan()
        self.context.internal += planner.internal
        return relation

    def _check_names(self, selected: list[Selected]) -> None:
        if self.sink is None:
            return
        for item in selected:
            if item.name in SYSTEM_COLUMNS and not item.starred:
                raise AnalysisError(
                    f"Reserved column name in select: `{item.name}`. Please remove or alias the column."
                )

    def _check_functions(self, expression: ast.Expression) -> None:
        """Raises the refusal of a function that there is not, before anything else is looked at."""
        for call in walk.function_calls(expression):
            if REGISTRY.kind(call.name) is None:
                raise UnknownFunctionError(f"Can't find any functions with the name '{call.name}'")


class _Selector(Selector):
    """A selector that types struct expansions by the query's sources."""

    typing: Any = None

    def type_of(self, expression: ast.Expression) -> SqlType | None:
        result: SqlType | None = self.typing(expression)
        return result
