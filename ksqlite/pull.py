"""Pull queries: a table's rows as they stand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import Any

from ksqlite import ast
from ksqlite.catalog import SourceInfo
from ksqlite.engine.api import EngineApi, Key, MaterialisedTable, Row
from ksqlite.engine.feed import hashable
from ksqlite.errors import AnalysisError, EvaluationError, UnsupportedError
from ksqlite.expressions import Binding, Compiler, Environment, evaluate, to_function
from ksqlite.planner import walk
from ksqlite.printer import format_expression
from ksqlite.statements.insert import coerce
from ksqlite.types import BIGINT, Column, Namespace, Schema, SqlType

TABLE_SCAN = "ksql.query.pull.table.scan.enabled"
RANGE_SCAN = "ksql.query.pull.range.scan.enabled"
MAX_ROWS = 1_000_000
_HELP = "See https://cnfl.io/queries for more info.\nAdd EMIT CHANGES if you intended to issue a push query."
_BOUNDS = ("WINDOWSTART", "WINDOWEND")
_REFUSED = ("ROWPARTITION", "ROWOFFSET")
_RANGES = frozenset(
    {
        ast.ComparisonOperator.LESS,
        ast.ComparisonOperator.LESS_OR_EQUAL,
        ast.ComparisonOperator.GREATER,
        ast.ComparisonOperator.GREATER_OR_EQUAL,
    }
)
_FLIPPED = {
    ast.ComparisonOperator.LESS: ast.ComparisonOperator.GREATER,
    ast.ComparisonOperator.LESS_OR_EQUAL: ast.ComparisonOperator.GREATER_OR_EQUAL,
    ast.ComparisonOperator.GREATER: ast.ComparisonOperator.LESS,
    ast.ComparisonOperator.GREATER_OR_EQUAL: ast.ComparisonOperator.LESS_OR_EQUAL,
}
# A row is worked on as three Python variables: k (key columns, window bounds), v (value columns), ts (ROWTIME).
_PARAMETERS = ("k", "v", "ts")


@dataclass(frozen=True, slots=True)
class PullPlan:
    """A pull query, analysed and compiled. ``keys`` is None for a scan."""

    schema: Schema
    table: MaterialisedTable
    keys: tuple[Key, ...] | None
    matches: Callable[[Key, Row, int], bool] | None
    project: Callable[[Key, Row, int], Row]
    limit: int | None

    def rows(self) -> Iterator[Row]:
        """The rows as selected.

        Raises UnsupportedError when there are more than a server should hold in memory for one client.
        """
        for number, row in enumerate(islice(self._rows(), self.limit)):
            if number >= MAX_ROWS:
                raise UnsupportedError(
                    f"A pull query of more than {MAX_ROWS:,} rows is not supported: "
                    "name keys in WHERE, set a LIMIT, or read the table's topic with EMIT CHANGES"
                )
            yield row

    def _found(self) -> Iterable[tuple[Key, Row, int]]:
        if self.keys is None:
            return self.table.scan()
        return (row for key in self.keys for row in self.table.get(key))

    def _rows(self) -> Iterator[Row]:
        matches, project = self.matches, self.project
        for key, value, rowtime in self._found():
            if matches is None or matches(key, value, rowtime):
                yield project(key, value, rowtime)


def check_shape(query: ast.Query) -> None:
    """Raises AnalysisError for clauses that pull queries do not have."""
    clauses = (
        ("JOIN", bool(query.joins)),
        ("WINDOW", query.window is not None),
        ("GROUP BY", bool(query.group_by)),
        ("PARTITION BY", bool(query.partition_by)),
        ("HAVING", query.having is not None),
    )
    for name, given in clauses:
        if given:
            raise AnalysisError(f"Pull queries don't support {name} clauses. {_HELP}")
    if query.limit is not None and query.limit < 0:
        raise AnalysisError(
            "Pull queries don't support negative integers in the LIMIT clause. "
            "See https://cnfl.io/queries for more info."
        )
    for where, expressions in (
        ("SELECT", [item.expression for item in query.select if isinstance(item, ast.SelectItem)]),
        ("WHERE", [query.where] if query.where is not None else []),
    ):
        named = [ref.name for each in expressions for ref in walk.column_refs(each) if ref.name in _REFUSED]
        if named:
            listed = ", ".join(f"`{name}`" for name in dict.fromkeys(named))
            raise AnalysisError(f"Pull queries don't support the following columns in {where} clauses: {listed}")


def plan_pull(query: ast.Query, engine: EngineApi, settings: Mapping[str, Any]) -> PullPlan:
    """The plan of a pull query on a table. Raises AnalysisError in ksqlDB's words."""
    check_shape(query)
    source = engine.catalog.get(query.source.name)
    if source is None:
        raise AnalysisError(f"{query.source.name} does not exist.")
    planner = _Planner(query, source, engine.catalog.types, settings)
    schema, project = planner.select()
    table = engine.table(source.name)
    if table is None:
        raise AnalysisError(f"Can't pull from `{source.name}` as it's not a materialized table. {_HELP}")
    matches, keys = planner.where()
    return PullPlan(schema, table, keys, matches, project, query.limit)


class _Scope:
    """The columns of the table, for one clause."""

    def __init__(self, bindings: Mapping[str, Binding], alias: str, clause: str) -> None:
        self._bindings = bindings
        self._alias = alias
        self._clause = clause

    def resolve(self, ref: ast.ColumnRef) -> Binding:
        """The column's binding. Raises AnalysisError when there is none of that name."""
        binding = self._bindings.get(ref.name) if ref.source in {None, self._alias} else None
        if binding is None:
            place = f"Line: {ref.at.line}, Col: {ref.at.column + 1}: " if ref.at else ""
            raise AnalysisError(f"{place}{self._clause} column '{ref.name}' cannot be resolved.")
        return binding


class _Planner:
    """Plans one pull query."""

    def __init__(
        self,
        query: ast.Query,
        source: SourceInfo,
        types: Mapping[str, SqlType],
        settings: Mapping[str, Any],
    ) -> None:
        self.query = query
        self.source = source
        self.types = types
        self.scans = _is_on(settings.get(TABLE_SCAN), default=True)
        self.ranges = _is_on(settings.get(RANGE_SCAN), default=True)
        self.key = source.schema.key
        self.env: Environment = {}
        self.bindings: dict[str, Binding] = {}
        for position, column in enumerate(self.key):
            self.bindings[column.name] = Binding(f"k[{position}]", column.type)
        for position, column in enumerate(source.schema.value):
            self.bindings[column.name] = Binding(f"v[{position}]", column.type)
        self.bindings["ROWTIME"] = Binding("ts", BIGINT)
        self.windowed = source.window_type is not None
        if self.windowed:
            for offset, name in enumerate(_BOUNDS):
                self.bindings[name] = Binding(f"k[{len(self.key) + offset}]", BIGINT)

    def where(self) -> tuple[Callable[[Key, Row, int], bool] | None, tuple[Key, ...] | None]:
        """The condition on rows, and the keys that alone can match."""
        matches, keys = None, None
        if self.query.where is not None:
            where = self.query.where
            compiler = Compiler(
                _Scope(self.bindings, self.query.source.alias, "WHERE"), self.env, custom_types=self.types
            )
            self._check_key_types(where, compiler)
            compiled = compiler.compile_predicate(where, prefix="Invalid expression: ")
            keys = self._keys(where)
            matches = to_function(_PARAMETERS, compiled.source, self.env)
        elif not self.scans:
            raise AnalysisError(f"Missing WHERE clause. {self._scan_help()}")
        return matches, keys

    @staticmethod
    def _scan_help() -> str:
        return (
            f"Query requires table scan to be enabled. Table scans can be enabled by setting {TABLE_SCAN}=true. {_HELP}"
        )

    # ----------------------------------------------------------------------------------------------------------- SELECT

    def select(self) -> tuple[Schema, Callable[[Key, Row, int], Row]]:
        """The columns, and the function that makes them of a row."""
        columns: list[Column] = []
        sources: list[str] = []
        scope = _Scope(self.bindings, self.query.source.alias, "SELECT")
        for name, expression in self._items():
            compiled = Compiler(scope, self.env, custom_types=self.types).compile(expression)
            if compiled.type is None:
                raise AnalysisError(f"Could not determine the type of {format_expression(expression)}")
            columns.append(Column(name, compiled.type, self._namespace(expression)))
            sources.append(compiled.source)
        values = [column for column in columns if column.namespace is Namespace.VALUE]
        twice = [column for column in values if [other.name for other in values].count(column.name) > 1]
        if twice:
            raise AnalysisError(f"Duplicate value columns found in schema: `{twice[0].name}` {twice[0].type}")
        project = to_function(_PARAMETERS, f"({', '.join(sources)},)", self.env)
        return Schema(tuple(columns)), project

    def _items(self) -> Iterator[tuple[str, ast.Expression]]:
        generated = (f"KSQL_COL_{number}" for number in range(10**6))
        for item in self.query.select:
            if isinstance(item, ast.SelectAll):
                yield from ((name, ast.ColumnRef(name)) for name in self._all())
                continue
            expression = item.expression
            if walk_has_aggregate(expression):
                raise AnalysisError(f"Pull queries don't support aggregate functions. {_HELP}")
            if isinstance(expression, ast.AllFields):
                yield from self._fields(expression)
            elif item.alias is not None:
                yield item.alias, expression
            elif isinstance(expression, (ast.ColumnRef, ast.FieldAccess)):
                yield expression.name, expression
            else:
                yield next(name for name in generated if name not in self.bindings), expression

    def _all(self) -> list[str]:
        bounds = list(_BOUNDS) if self.windowed else []
        return [c.name for c in self.key] + bounds + [c.name for c in self.source.schema.value]

    def _fields(self, expression: ast.AllFields) -> Iterator[tuple[str, ast.Expression]]:
        scope = _Scope(self.bindings, self.query.source.alias, "SELECT")
        compiled = Compiler(scope, {}, custom_types=self.types).compile(expression.base)
        for field in getattr(compiled.type, "fields", ()):
            yield field.name, ast.FieldAccess(expression.base, field.name)

    def _namespace(self, expression: ast.Expression) -> Namespace:
        is_key = isinstance(expression, ast.ColumnRef) and (
            any(expression.name == column.name for column in self.key) or (self.windowed and expression.name in _BOUNDS)
        )
        return Namespace.KEY if is_key else Namespace.VALUE

    # ------------------------------------------------------------------------------------------------------------ WHERE

    def _keys(self, where: ast.Expression) -> tuple[Key, ...] | None:
        """The keys that alone can match, or None where every row must be looked at."""
        keys: dict[Key, None] = {}
        for disjunct in _disjuncts(where):
            found = self._keys_of(disjunct)
            if found is None:
                return None
            keys.update(dict.fromkeys(found))
        return tuple(keys)

    def _check_key_types(self, where: ast.Expression, compiler: Compiler) -> None:
        """Comparisons of key columns are looked at before everything else, and refused in words of their own."""
        for conjuncts in _disjuncts(where):
            for conjunct in conjuncts:
                if isinstance(conjunct, ast.Comparison) and (
                    self._key_column(conjunct.left) or self._key_column(conjunct.right)
                ):
                    try:
                        compiler.compile(conjunct)
                    except AnalysisError as error:
                        raise AnalysisError(
                            f"Error in WHERE expression: {error.message}\nStatement: {format_expression(conjunct)}"
                        ) from error

    def _keys_of(self, conjuncts: Sequence[ast.Expression]) -> list[Key] | None:
        """The keys that one disjunct names; None for a scan. Raises AnalysisError where scans are off."""
        options: dict[str, list[Any]] = {}
        ranged: set[str] = set()
        for conjunct in conjuncts:
            self._constrain(conjunct, options, ranged)
        names = [column.name for column in self.key]
        if all(name in options for name in names):
            return [tuple(values) for values in product(*(options[name] for name in names))]
        if self.scans:
            return None
        specified = [name for name in names if name in options or name in ranged]
        whole = " AND ".join(format_expression(each) for each in conjuncts)
        if not specified:
            raise AnalysisError(f"WHERE clause missing key column for disjunct: {whole}. {self._scan_help()}")
        if len(specified) < len(names):
            raise AnalysisError(
                "Multi-column sources must specify every key in the WHERE clause. "
                f"Specified: [{', '.join(f'`{name}`' for name in specified)}] Expected: {_listed(self.key)}. "
                f"{self._scan_help()}"
            )
        by_text = len(names) == 1 and self.key[0].type.base.value == "STRING"
        if self.ranges and by_text:
            return None
        raise AnalysisError(self._scan_help())

    def _constrain(self, conjunct: ast.Expression, options: dict[str, list[Any]], ranged: set[str]) -> None:
        """Notes what a conjunct says of a key column."""
        if isinstance(conjunct, ast.In) and not conjunct.negated:
            column = self._key_column(conjunct.operand)
            if column is not None:
                self._set(column, [self._value(column, option) for option in conjunct.options], options)
            return
        if not isinstance(conjunct, ast.Comparison):
            return
        operator, left, right = conjunct.operator, conjunct.left, conjunct.right
        column = self._key_column(left)
        if column is None:
            column, right = self._key_column(right), left
            operator = _FLIPPED.get(operator, operator)
        if column is None:
            return
        if operator is ast.ComparisonOperator.EQUAL:
            if any(walk.column_refs(right)):
                if not self.scans:
                    raise AnalysisError("A comparison must be between a key column and a resolvable expression.")
                return
            self._set(column, [self._value(column, right)], options)
        elif operator in _RANGES:
            ranged.add(column.name)
        elif not self.scans:
            raise AnalysisError(
                f"Bound on key columns '{_listed(self.key)}' must currently be '='. {self._scan_help()}"
            )

    def _set(self, column: Column, values: list[Any], options: dict[str, list[Any]]) -> None:
        there = options.get(column.name)
        if there is None:
            options[column.name] = values
            return
        if not self.scans:
            raise AnalysisError(
                "A comparison condition on the key column cannot be combined with other comparisons such as an IN "
                "predicate"
            )
        options[column.name] = [value for value in there if value in values]

    def _key_column(self, expression: ast.Expression) -> Column | None:
        if not isinstance(expression, ast.ColumnRef):
            return None
        return next((column for column in self.key if column.name == expression.name), None)

    def _value(self, column: Column, expression: ast.Expression) -> Any:  # noqa: ANN401 - a key of any type
        value, found = evaluate(expression, custom_types=self.types)
        try:
            return hashable(coerce(value, found, column.type))
        except EvaluationError as error:
            raise AnalysisError(str(error)) from error


def _is_on(value: object, *, default: bool) -> bool:
    return default if value is None else str(value).lower() == "true"


def _listed(columns: Sequence[Column]) -> str:
    return "[" + ", ".join(f"`{column.name}` {column.type} KEY" for column in columns) + "]"


def _disjuncts(expression: ast.Expression) -> list[list[ast.Expression]]:
    """The expression as an OR of ANDs, as far as AND and OR go."""
    if isinstance(expression, ast.Logical):
        left, right = _disjuncts(expression.left), _disjuncts(expression.right)
        if expression.operator is ast.LogicalOperator.OR:
            return left + right
        return [one + other for one in left for other in right]
    return [[expression]]


def walk_has_aggregate(expression: ast.Expression) -> bool:
    """Whether an aggregate or table function is called."""
    from ksqlite.functions import REGISTRY  # noqa: PLC0415 - loaded with the compiler
    from ksqlite.functions.api import Kind  # noqa: PLC0415

    return any(REGISTRY.kind(call.name) in {Kind.AGGREGATE, Kind.TABLE} for call in walk.function_calls(expression))
