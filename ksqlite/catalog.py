"""What is declared: streams, tables, queries, types, variables and session properties."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ksqlite import ast
from ksqlite.errors import AnalysisError
from ksqlite.types import ArrayType, Field, MapType, Schema, SqlType, StructType

if TYPE_CHECKING:
    from ksqlite.engine.api import QueryInfo
    from ksqlite.formats import FormatSpec

_N = TypeVar("_N")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceInfo:
    """A stream or table.

    ``window_size_ms`` is None for session windows and where there is no window. ``statement`` is the statement that
    made it, as ksqlDB would show it, with its semicolon. ``is_read_only`` marks CREATE SOURCE. ``sequence`` orders
    sources by their making. ``written`` holds the WITH properties as they stand in the statement. ``reads`` names the
    sources that a CREATE … AS was made from: they cannot be dropped before this one, even when its query has ended.
    """

    name: str
    is_table: bool
    schema: Schema
    topic: str
    key_format: FormatSpec
    value_format: FormatSpec
    partitions: int
    replicas: int = 1
    window_type: ast.WindowType | None = None
    window_size_ms: int | None = None
    timestamp_column: str | None = None
    timestamp_format: str | None = None
    is_read_only: bool = False
    made_by_query: bool = False
    reads: tuple[str, ...] = ()
    statement: str = ""
    sequence: int = 0
    written: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """STREAM or TABLE."""
        return "TABLE" if self.is_table else "STREAM"


class Catalog:
    """All that is declared. Every value in it is immutable, so that a snapshot is a copy of some dictionaries.

    ``queries`` holds the persistent queries in the order of their making; the engine keeps it. ``properties`` and
    ``variables`` are the session's (SET, DEFINE).
    """

    def __init__(self) -> None:
        self.sources: dict[str, SourceInfo] = {}
        self.types: dict[str, SqlType] = {}
        self.variables: dict[str, str] = {}
        self.properties: dict[str, str] = {}
        self.queries: dict[str, QueryInfo] = {}
        self.replaying = False
        """Statements are those that were accepted before, as ksqlDB shows them, and come with all that it adds."""
        self._numbers = count()
        self._given_number: int | None = None

    # ------------------------------------------------------------------------------------------------------- snapshots

    def snapshot(self) -> Catalog:
        """A copy that later changes leave alone."""
        copy = Catalog()
        copy._numbers = self._numbers
        copy._given_number = self._given_number
        copy.replaying = self.replaying
        copy._take(self)
        return copy

    def restore(self, snapshot: Catalog) -> None:
        """Everything as it was when the snapshot was made."""
        self._take(snapshot)

    def _take(self, other: Catalog) -> None:
        self.sources = dict(other.sources)
        self.types = dict(other.types)
        self.variables = dict(other.variables)
        self.properties = dict(other.properties)
        self.queries = dict(other.queries)

    # --------------------------------------------------------------------------------------------------------- queries

    def query_number(self) -> int:
        """The number in the next query's id: the one that was given, otherwise counted from 0."""
        return next(self._numbers) if self._given_number is None else self._given_number

    def give_query_number(self, number: int | None) -> None:
        """Fixes the number of the next query's id: a server takes it from the place of its command."""
        self._given_number = number

    def readers(self, name: str) -> list[QueryInfo]:
        """The queries that read a source."""
        return [query for query in self.queries.values() if name in query.sources]

    def dependants(self, name: str) -> list[str]:
        """The names of the sources that were made from a source by CREATE … AS."""
        return [source.name for source in self.sources.values() if name in source.reads]

    def writers(self, name: str) -> list[QueryInfo]:
        """The queries that write into a source."""
        return [query for query in self.queries.values() if query.sink == name]

    # --------------------------------------------------------------------------------------------------------- sources

    def get(self, name: str) -> SourceInfo | None:
        """The stream or table of that name, or None."""
        return self.sources.get(name)

    def require(self, name: str) -> SourceInfo:
        """The stream or table of that name.

        Raises AnalysisError when there is none, as for a query's FROM.
        """
        found = self.sources.get(name)
        if found is None:
            raise AnalysisError(f"Exception while preparing statement: {name} does not exist.")
        return found

    def add(self, source: SourceInfo, *, or_replace: bool = False) -> SourceInfo:
        """Declares a source; gives it as it then stands in the catalog.

        Raises AnalysisError when one of that name is there and may not be replaced by this one.
        """
        there = self.sources.get(source.name)
        if there is not None:
            self.check_free(source.name, is_table=source.is_table, or_replace=or_replace)
            check_replacement(there, source)
        added = replace(source, sequence=there.sequence if there else len(self.sources))
        self.sources[source.name] = added
        return added

    def check_free(self, name: str, *, is_table: bool, or_replace: bool = False) -> None:
        """Raises AnalysisError where a source of that name stands in the way."""
        there = self.sources.get(name)
        if there is None or (or_replace and there.is_table == is_table):
            return
        new = "table" if is_table else "stream"
        old = there.kind.lower()
        raise AnalysisError(f"Cannot add {new} '{name}': A {old} with the same name already exists")

    def remove(self, name: str) -> None:
        """Forgets a source."""
        del self.sources[name]

    # ----------------------------------------------------------------------------------------------------------- types

    def resolve_type(self, sql_type: SqlType | ast.TypeName) -> SqlType:
        """The type with every CREATE TYPE name in it replaced by what it stands for. Raises AnalysisError."""
        if isinstance(sql_type, ast.TypeName):
            found = self.types.get(sql_type.name)
            if found is None:
                place = sql_type.at
                raise AnalysisError(
                    f"Cannot resolve unknown type: {sql_type.name}",
                    line=place.line if place else None,
                    column=place.column if place else None,
                )
            return found
        if isinstance(sql_type, ArrayType):
            return replace(sql_type, element=self.resolve_type(sql_type.element))
        if isinstance(sql_type, MapType):
            return replace(sql_type, key=self.resolve_type(sql_type.key), value=self.resolve_type(sql_type.value))
        if isinstance(sql_type, StructType):
            parts = tuple(Field(part.name, self.resolve_type(part.type)) for part in sql_type.fields)
            return replace(sql_type, fields=parts)
        return sql_type

    def prepare(self, located: ast.Located) -> ast.Located:
        """The statement with every custom type put in. Raises AnalysisError for types that nobody created."""
        if not located.custom_types:
            return located
        return replace(located, statement=self._resolved(located.statement), custom_types=False)

    def _resolved(self, node: _N) -> _N:
        """The node with all types within it resolved."""
        if isinstance(node, (SqlType, ast.TypeName)):
            return cast("_N", self.resolve_type(node))
        if isinstance(node, tuple) and not isinstance(node, ast.Place):
            return cast("_N", tuple(self._resolved(item) for item in node))
        if isinstance(node, ast.Node) and is_dataclass(node):
            changed = {
                part.name: self._resolved(getattr(node, part.name)) for part in fields(node) if part.name != "at"
            }
            return cast("_N", replace(cast("Any", node), **changed))
        return node


def check_replacement(old: SourceInfo, new: SourceInfo) -> None:
    """Raises AnalysisError where CREATE OR REPLACE would change what readers of the old source rely on.

    Columns may be added at the end; nothing else of a source may change.
    """

    def refuse(what: str) -> None:
        raise AnalysisError(f"Cannot add {old.kind.lower()} '{old.name}': {what}")

    if old.is_read_only:
        refuse(f"CREATE OR REPLACE is not supported on source {old.kind.lower()}s.")
    if old.topic != new.topic:
        refuse(f"Topics differ: '{old.topic}' and '{new.topic}' (the topic of a source cannot change)")
    if (old.key_format, old.window_type, old.window_size_ms) != (new.key_format, new.window_type, new.window_size_ms):
        refuse("Key formats differ (the key format and window of a source cannot change)")
    if old.value_format != new.value_format:
        refuse("Value formats differ (the value format of a source cannot change)")
    if old.schema.key != new.schema.key:
        refuse(
            f"Key columns must be identical. The following key columns are changed, missing or reordered: "
            f"{_missing(old.schema.key, new.schema.key)}"
        )
    if old.schema.value != new.schema.value[: len(old.schema.value)]:
        refuse(
            f"The following columns are changed, missing or reordered: {_missing(old.schema.value, new.schema.value)}"
        )


def _missing(old: Iterable[Any], new: Iterable[Any]) -> str:
    kept = list(new)
    gone = [
        f"`{column.name}` {column.type}"
        for position, column in enumerate(old)
        if position >= len(kept) or kept[position] != column
    ]
    return "[" + ", ".join(gone) + "]"
