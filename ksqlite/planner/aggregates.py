"""Takes grouped queries apart: what is grouped by, what is aggregated, what is computed from the results."""

from __future__ import annotations

from dataclasses import dataclass

from ksqlite import ast
from ksqlite.errors import AnalysisError
from ksqlite.expressions import Binding, Compiled
from ksqlite.functions import REGISTRY, BoundAggregate, Kind
from ksqlite.functions.order import share
from ksqlite.planner import walk
from ksqlite.planner.relation import Expressions, Relation
from ksqlite.planner.select import Selected
from ksqlite.planner.sources import WINDOW_BOUNDS
from ksqlite.planner.wording import and_list, shown
from ksqlite.types import BIGINT, SqlType


def is_aggregate(node: ast.Node) -> bool:
    """Whether the node is a call of an aggregate function."""
    return isinstance(node, ast.FunctionCall) and REGISTRY.kind(node.name) is Kind.AGGREGATE


def is_table_function(node: ast.Node) -> bool:
    """Whether the node is a call of a table function."""
    return isinstance(node, ast.FunctionCall) and REGISTRY.kind(node.name) is Kind.TABLE


def aggregates_in(expression: ast.Node) -> list[ast.FunctionCall]:
    """The aggregate calls in an expression."""
    return [call for call in walk.function_calls(expression) if is_aggregate(call)]


@dataclass(slots=True)
class Aggregation:
    """The parts of a grouped query, compiled."""

    keys: list[Compiled]
    key_types: list[SqlType]
    aggregates: list[BoundAggregate]
    arguments: list[list[Compiled]]
    bindings: dict[str, Binding]


class AggregatePlanner:
    """Analyses one grouped query over a relation."""

    def __init__(self, relation: Relation, expressions: Expressions, group_by: list[ast.Expression]) -> None:
        self.relation = relation
        self.expressions = expressions
        self.group_by = group_by
        self.calls: list[ast.FunctionCall] = []
        self.ungrouped: list[ast.ColumnRef] = []

    def rewrite(self, expression: ast.Expression) -> ast.Expression:
        """The expression over group keys (KSQL_INTERNAL_COL_n) and results (KSQL_AGG_VARIABLE_n).

        Columns that are neither are collected in ``ungrouped``.
        """

        def visit(node: ast.Expression, bound: frozenset[str]) -> ast.Expression | None:
            if isinstance(node, ast.FunctionCall) and is_aggregate(node):
                return ast.ColumnRef(f"KSQL_AGG_VARIABLE_{self._call(node)}", at=node.at)
            if node in self.group_by:
                return ast.ColumnRef(f"KSQL_INTERNAL_COL_{self.group_by.index(node)}", at=node.at)
            if isinstance(node, ast.ColumnRef) and node.name not in bound and node.name not in WINDOW_BOUNDS:
                self.ungrouped.append(node)
            return None

        return walk.rewrite(expression, visit)

    def _call(self, call: ast.FunctionCall) -> int:
        for argument in call.arguments:
            if aggregates_in(argument):
                raise AnalysisError(f"Aggregate functions can not be nested: {shown(call).replace('(*)', '()')}")
        if call not in self.calls:
            self.calls.append(call)
        return self.calls.index(call)

    def select(self, selected: list[Selected]) -> list[ast.Expression]:
        """The selected expressions rewritten. Raises AnalysisError for columns that are not grouped by."""
        rewritten, wrong = [], []
        for item in selected:
            self.ungrouped = []
            rewritten.append(self.rewrite(item.expression))
            if self.ungrouped:
                wrong.append(shown(item.expression))
        if wrong:
            raise AnalysisError(
                f"Non-aggregate SELECT expression(s) not part of GROUP BY: {', '.join(wrong)}\n"  # noqa: S608 - a message
                "Either add the column(s) to the GROUP BY or remove them from the SELECT."
            )
        return rewritten

    def having(self, expression: ast.Expression) -> ast.Expression:
        """HAVING rewritten. Raises AnalysisError for columns that are not grouped by."""
        self.ungrouped = []
        rewritten = self.rewrite(expression)
        if self.ungrouped:
            names = ", ".join(dict.fromkeys(shown(ref) for ref in self.ungrouped))
            raise AnalysisError(f"Non-aggregate HAVING expression not part of GROUP BY: {names}")
        return rewritten

    def compile(self, *, table: bool, merges: bool) -> Aggregation:
        """Keys and arguments over the relation, and the bindings of what is rewritten over them.

        ``merges``: states may be merged (sessions).
        """
        named = self.expressions.shown
        keys, key_types = [], []
        bindings: dict[str, Binding] = {}
        for position, expression in enumerate(self.group_by):
            compiled = self.expressions.compile(expression, self.relation.bindings, "GROUP BY")
            if compiled.type is None:
                raise AnalysisError("GROUP BY NULL is not supported")
            keys.append(compiled)
            key_types.append(compiled.type)
            name = f"KSQL_INTERNAL_COL_{position}"
            bindings[name] = Binding(f"g{position}", compiled.type, nullable=False)
            named[name] = shown(expression)
        aggregates, arguments = [], []
        for position, call in enumerate(self.calls):
            types = [self.expressions.type_of(argument, self.relation.bindings) for argument in call.arguments]
            bound = REGISTRY.aggregate(call.name, call.arguments, types, merges=merges)
            aggregates.append(bound)
            arguments.append(
                [
                    self.expressions.compile(call.arguments[index], self.relation.bindings, "SELECT", expected)
                    for index, expected in zip(bound.inputs, bound.input_types, strict=True)
                ]
            )
            name = f"KSQL_AGG_VARIABLE_{position}"
            bindings[name] = Binding(f"r{position}", bound.udaf.result_type)
            named[name] = shown(call)
        if table:
            self._check_undo(aggregates)
        if merges:
            firsts = [bound.input_types[0] if bound.input_types else BIGINT for bound in aggregates]
            aggregates, shared = share(aggregates, firsts)
            if shared:
                arguments.append([arguments[position][0] for position in shared])
        bindings["WINDOWSTART"] = Binding("ws", BIGINT, nullable=False)
        bindings["WINDOWEND"] = Binding("we", BIGINT, nullable=False)
        return Aggregation(keys, key_types, aggregates, arguments, bindings)

    def _check_undo(self, aggregates: list[BoundAggregate]) -> None:
        names = [call.name for call, bound in zip(self.calls, aggregates, strict=True) if bound.udaf.undo is None]
        if names:
            raise AnalysisError(
                f"The aggregation function{'s' if len(names) > 1 else ''} {and_list(names)} cannot be applied "
                "to a table "
                "source, only to a stream source."
            )
