"""The sources of a query, and what its column names mean."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from ksqlite import ast
from ksqlite.errors import AnalysisError
from ksqlite.expressions import Binding
from ksqlite.planner import walk
from ksqlite.types import BIGINT, INTEGER, Namespace, SqlType

PSEUDO_COLUMNS: Mapping[str, SqlType] = {"ROWTIME": BIGINT, "ROWPARTITION": INTEGER, "ROWOFFSET": BIGINT}
WINDOW_BOUNDS: Mapping[str, SqlType] = {"WINDOWSTART": BIGINT, "WINDOWEND": BIGINT}
SYSTEM_COLUMNS = frozenset(PSEUDO_COLUMNS) | frozenset(WINDOW_BOUNDS)


class Kind(Enum):
    """Where a source's column comes from."""

    KEY = "key"
    VALUE = "value"
    HEADER = "header"
    PSEUDO = "pseudo"
    BOUND = "bound"


@dataclass(frozen=True, slots=True)
class SourceColumn:
    """A column of a source. ``source`` is its Python source over the source's own events."""

    name: str
    type: SqlType
    kind: Kind
    source: str


class SourceRef:
    """A stream or table in FROM or JOIN, under its alias."""

    def __init__(self, alias: str, info: Any) -> None:  # noqa: ANN401 - a catalog SourceInfo
        self.alias = alias
        self.info = info
        columns = []
        for position, column in enumerate(info.schema.key):
            columns.append(SourceColumn(column.name, column.type, Kind.KEY, f"k[{position}]"))
        keys = len(columns)
        values = 0
        for column in info.schema.columns:
            if column.namespace is Namespace.VALUE:
                columns.append(SourceColumn(column.name, column.type, Kind.VALUE, f"v[{values}]"))
                values += 1
        self.width = values
        for column in info.schema.headers:
            columns.append(SourceColumn(column.name, column.type, Kind.HEADER, f"v[{values}]"))
            values += 1
        columns.append(SourceColumn("ROWTIME", BIGINT, Kind.PSEUDO, "ts"))
        columns.append(SourceColumn("ROWPARTITION", INTEGER, Kind.PSEUDO, f"v[{values}]"))
        columns.append(SourceColumn("ROWOFFSET", BIGINT, Kind.PSEUDO, f"v[{values + 1}]"))
        self.pseudo_width = values + 2
        if info.window_type is not None:
            columns.append(SourceColumn("WINDOWSTART", BIGINT, Kind.BOUND, f"k[{keys}]"))
            columns.append(SourceColumn("WINDOWEND", BIGINT, Kind.BOUND, f"k[{keys + 1}]"))
        self.columns = {column.name: column for column in columns}

    @property
    def is_table(self) -> bool:
        """Whether it is a table."""
        return bool(self.info.is_table)

    @property
    def key(self) -> list[SourceColumn]:
        """The key columns."""
        return [column for column in self.columns.values() if column.kind is Kind.KEY]

    def declared(self) -> Iterator[SourceColumn]:
        """The columns of SELECT *: keys, then the others in order of declaration."""
        yield from self.key
        for column in self.info.schema.columns:
            if column.namespace is not Namespace.KEY:
                yield self.columns[column.name]


def unresolved(clause: str, ref: ast.ColumnRef, hint: str = "") -> AnalysisError:
    """The refusal of an unknown column."""
    name = f"{ref.source}.{ref.name}" if ref.source else ref.name
    line, column = (ref.at.line, ref.at.column) if ref.at else (None, None)
    return AnalysisError(f"{clause} column '{name}' cannot be resolved.{hint}", line=line, column=column)


class Sources:
    """All sources of a query.

    Every column gets one name within the query: its own where there is one source, alias_name where there are more.
    Expressions are rewritten to these names (``resolve``) before anything else looks at them.
    """

    def __init__(self, refs: Sequence[SourceRef]) -> None:
        self.refs = list(refs)
        self.joined = len(self.refs) > 1
        self.by_alias = {ref.alias: ref for ref in self.refs}
        self.names: dict[str, tuple[SourceRef, SourceColumn]] = {}
        for ref in self.refs:
            for column in ref.columns.values():
                self.names[self.name_of(ref, column.name)] = (ref, column)
        self.extra: dict[str, SqlType] = {}

    def name_of(self, ref: SourceRef, column: str) -> str:
        """The column's name within the query."""
        return f"{ref.alias}_{column}" if self.joined else column

    def clashes(self, column: str) -> bool:
        """Whether more than one source has a column of that name."""
        return sum(column in ref.columns for ref in self.refs) > 1

    def locate(self, ref: ast.ColumnRef, clause: str) -> tuple[SourceRef, SourceColumn]:
        """The source and column that a written reference means."""
        if ref.source is not None:
            source = self.by_alias.get(ref.source)
            column = source.columns.get(ref.name) if source else None
            if source is None or column is None:
                raise unresolved(clause, ref)
            return source, column
        found = [(source, source.columns[ref.name]) for source in self.refs if ref.name in source.columns]
        if not found:
            raise unresolved(clause, ref)
        if len(found) > 1:
            places = " or ".join(f"{source.alias}.{ref.name}" for source, _ in found)
            at = f"Line: {ref.at.line}, Col: {ref.at.column + 1}: " if ref.at else ""
            raise AnalysisError(f"{at}Column '{ref.name}' is ambiguous. Could be {places}.")
        return found[0]

    def resolve(self, expression: ast.Expression, clause: str) -> ast.Expression:
        """The expression over the query's own column names. Raises AnalysisError for what is no column."""

        def visit(node: ast.Expression, bound: frozenset[str]) -> ast.Expression | None:
            if not isinstance(node, ast.ColumnRef) or (node.source is None and node.name in bound):
                return None
            if node.name in self.extra and (node.source is None or node.source in self.by_alias):
                return ast.ColumnRef(node.name, at=node.at)
            source, column = self.locate(node, clause)
            return ast.ColumnRef(self.name_of(source, column.name), at=node.at)

        return walk.rewrite(expression, visit)

    def qualified(self, expression: ast.Expression) -> ast.Expression:
        """A resolved expression with its columns written as alias.column, for messages."""

        def visit(node: ast.Expression, bound: frozenset[str]) -> ast.Expression | None:
            if isinstance(node, ast.ColumnRef) and node.name not in bound and node.name in self.names:
                source, column = self.names[node.name]
                return ast.ColumnRef(column.name, source.alias)
            return None

        return walk.rewrite(expression, visit)

    def sources_of(self, expression: ast.Expression) -> list[SourceRef]:
        """The sources whose columns a resolved expression names, in order of first mention."""
        found: list[SourceRef] = []
        for ref in walk.column_refs(expression):
            if ref.name in self.names and self.names[ref.name][0] not in found:
                found.append(self.names[ref.name][0])
        return found


class NamedScope:
    """The columns of one point of a query, by their names within it."""

    def __init__(self, bindings: Mapping[str, Binding], clause: str = "SELECT") -> None:
        self.bindings = dict(bindings)
        self.clause = clause

    def resolve(self, ref: ast.ColumnRef) -> Binding:
        """The column's binding. Raises AnalysisError when there is no such column."""
        binding = self.bindings.get(ref.name) if ref.source is None else None
        if binding is None:
            raise unresolved(self.clause, ref)
        return binding


class NameGenerator:
    """Makes up column names that no source uses: KSQL_COL_0, ROWKEY, ROWKEY_1 and so on."""

    def __init__(self, taken: Sequence[str]) -> None:
        self.used: dict[str, set[int]] = {}
        for name in taken:
            base, number = _split(name)
            self.used.setdefault(base, set()).add(number)
            if base != name:
                self.used.setdefault(name, set()).add(0)

    def unique(self, name: str) -> str:
        """``name`` itself when it is free, otherwise name_1, name_2 and so on."""
        used = self.used.setdefault(name, set())
        number = _first_free(used, 0)
        used.add(number)
        return name if number == 0 else f"{name}_{number}"

    def column(self) -> str:
        """The next KSQL_COL_n."""
        used = self.used.setdefault("KSQL_COL", set())
        shifted = {number - 1 for number in used}
        number = _first_free(shifted, 0)
        used.add(number + 1)
        return f"KSQL_COL_{number}"


def _first_free(used: set[int], start: int) -> int:
    while start in used:
        start += 1
    return start


def _split(name: str) -> tuple[str, int]:
    """A name and its trailing number; KSQL_COL's numbers are kept one higher, so that 0 stays 'no number'."""
    base, mark, digits = name.rpartition("_")
    if mark and digits.isdecimal():
        return base, int(digits) + (1 if base == "KSQL_COL" else 0)
    return name, 0
