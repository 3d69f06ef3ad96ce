"""What a query selects: stars taken apart, columns named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ksqlite import ast
from ksqlite.errors import AnalysisError
from ksqlite.planner.sources import SYSTEM_COLUMNS, Kind, NameGenerator, SourceRef, Sources
from ksqlite.types import SqlType, StructType


@dataclass(frozen=True, slots=True)
class Selected:
    """A column of the result: its name and its resolved expression. ``written`` is the expression as it was given."""

    name: str
    expression: ast.Expression
    written: ast.Expression
    aliased: bool = False
    starred: bool = False


class Selector:
    """Expands one query's SELECT list."""

    def __init__(self, query: ast.Query, sources: Sources, *, persistent: bool, synthetic_key: str | None) -> None:
        self.query = query
        self.sources = sources
        self.persistent = persistent
        self.synthetic_key = synthetic_key
        self.names = NameGenerator(
            [sources.name_of(ref, column) for ref in sources.refs for column in ref.columns]
            + [column for ref in sources.refs for column in ref.columns]
        )

    def expand(self, partition_by: list[tuple[ast.Expression, str | None]]) -> list[Selected]:
        """The result's columns in order. With a new key (``partition_by``) SELECT * begins with it."""
        selected: list[Selected] = []
        for item in self.query.select:
            if isinstance(item, ast.SelectAll):
                selected += self._star(item, partition_by)
            elif isinstance(item.expression, ast.AllFields):
                selected += self._fields(item.expression)
            else:
                selected.append(self._item(item))
        return selected

    def _star(self, item: ast.SelectAll, partition_by: list[tuple[ast.Expression, str | None]]) -> Iterator[Selected]:
        refs = self.sources.refs
        if item.source is not None:
            ref = self.sources.by_alias.get(item.source)
            if ref is None:
                raise AnalysisError(f"'{item.source}' is not a valid stream/table name or alias.")
            refs = [ref]
        elif self.synthetic_key is not None:
            key = ast.ColumnRef(self.synthetic_key)
            yield Selected(self.synthetic_key, key, key, starred=True)
        taken: set[ast.Expression] = set()
        if partition_by and not self.sources.joined:
            for expression, name in partition_by:
                taken.add(expression)
                yield Selected(name or self.named(expression), expression, expression, starred=True)
        for ref in refs:
            for name in self._columns(ref, repartitioned=bool(taken)):
                expression = ast.ColumnRef(self.sources.name_of(ref, name))
                if expression not in taken:
                    yield Selected(self.sources.name_of(ref, name), expression, expression, starred=True)

    def _columns(self, ref: SourceRef, *, repartitioned: bool) -> Iterator[str]:
        columns = list(ref.declared())
        if repartitioned:  # the old key goes behind the values
            columns.sort(key=lambda column: column.kind is Kind.KEY)
        bounds = (not self.persistent or self.sources.joined) and "WINDOWSTART" in ref.columns
        for column in columns:
            if bounds and column.kind is not Kind.KEY:
                yield from ("WINDOWSTART", "WINDOWEND")
                bounds = False
            yield column.name
        if bounds:
            yield from ("WINDOWSTART", "WINDOWEND")

    def _fields(self, item: ast.AllFields) -> Iterator[Selected]:
        base = self.sources.resolve(item.base, "SELECT")
        base_type = self.type_of(base)
        if not isinstance(base_type, StructType):
            raise AnalysisError(f"Cannot select all fields of a non-struct: {base_type}")
        for field in base_type.fields:
            expression = ast.FieldAccess(base, field.name)
            yield Selected(self.named(expression), expression, expression)

    def type_of(self, expression: ast.Expression) -> SqlType | None:
        """Replaced by the planner, which knows how to type expressions."""
        raise NotImplementedError

    def _item(self, item: ast.SelectItem) -> Selected:
        if (
            isinstance(item.expression, ast.ColumnRef)
            and item.expression.source is None
            and (item.expression.name == self.synthetic_key)
        ):
            resolved: ast.Expression = ast.ColumnRef(item.expression.name)
        else:
            resolved = self.sources.resolve(item.expression, "SELECT")
        if item.alias is not None:
            itself = isinstance(item.expression, ast.ColumnRef) and item.expression.name == item.alias
            if item.alias in SYSTEM_COLUMNS and not itself:
                raise reserved_alias(item.alias)
            return Selected(item.alias, resolved, item.expression, aliased=True)
        if isinstance(item.expression, ast.ColumnRef):
            name = item.expression.name
            if self.sources.joined and name != self.synthetic_key and self.sources.clashes(name):
                source, column = self.sources.locate(item.expression, "SELECT")
                name = self.sources.name_of(source, column.name)
            return Selected(name, resolved, item.expression)
        return Selected(self.named(item.expression), resolved, item.expression)

    def named(self, expression: ast.Expression) -> str:
        """A name for an expression without alias: a field's own, otherwise KSQL_COL_n."""
        if isinstance(expression, ast.ColumnRef):
            return expression.name
        if isinstance(expression, ast.FieldAccess):
            return self.names.unique(expression.name)
        return self.names.column()


def reserved_alias(name: str) -> AnalysisError:
    """The refusal of a system column's name as an alias."""
    return AnalysisError(f"`{name}` is a reserved column name. You cannot use it as an alias for a column.")
