"""DROP STREAM, DROP TABLE, and ALTER of both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ksqlite import ast
from ksqlite.catalog import Catalog, SourceInfo
from ksqlite.errors import AnalysisError
from ksqlite.formats import check_spec
from ksqlite.types import Column, Schema


def check_drop(statement: ast.DropSource, catalog: Catalog) -> SourceInfo | None:
    """The source to drop, or None where there is none and IF EXISTS allows that.

    Raises AnalysisError where others still need it, in ksqlDB's words.
    """
    name = statement.name
    source = catalog.get(name)
    kind = "TABLE" if statement.is_table else "STREAM"
    if source is None:
        if statement.if_exists:
            return None
        raise AnalysisError(f"{kind.capitalize()} {name} does not exist.")
    if source.kind != kind:
        raise AnalysisError(f"Incompatible data source type is {source.kind}, but statement was DROP {kind}")
    if statement.delete_topic and source.is_read_only:
        raise AnalysisError(f"Cannot delete topic for read-only source: {name}")
    dependants = sorted(catalog.dependants(name))
    if dependants:
        raise AnalysisError(
            f"Cannot drop {name}.\nThe following streams and/or tables read from this source: "
            f"[{', '.join(dependants)}].\nYou need to drop them before dropping {name}."
        )
    # what keeps a source table's rows goes with it
    readers = sorted(query.query_id for query in catalog.readers(name) if query.sink is not None)
    writers = sorted(query.query_id for query in catalog.writers(name) if query.kind == "INSERT")
    if readers or writers:
        parts = []
        if readers:
            parts.append(f"The following queries read from this source: [{', '.join(readers)}].\n")
        if writers:
            parts.append(f"The following queries write into this source: [{', '.join(writers)}].\n")
        raise AnalysisError(f"Cannot drop {name}.\n{''.join(parts)}You need to terminate them before dropping {name}.")
    return source


def drop(source: SourceInfo, catalog: Catalog, terminate: Callable[[str], None]) -> None:
    """Forgets a source that `check_drop` let go, and ends the query that made it."""
    keepers = [query for query in catalog.readers(source.name) if query.sink is None]
    for query in (*catalog.writers(source.name), *keepers):
        terminate(query.query_id)
    catalog.remove(source.name)


def altered(statement: ast.AlterSource, catalog: Catalog) -> SourceInfo:
    """The source with the columns added. Raises AnalysisError in ksqlDB's words."""
    name = statement.name
    kind = "TABLE" if statement.is_table else "STREAM"
    source = catalog.get(name)
    if source is None:
        raise AnalysisError(f"Source {name} does not exist.")
    if source.kind != kind:
        raise AnalysisError(f"Incompatible data source type is {source.kind}, but statement was ALTER {kind}")
    refusal = f"Cannot alter {kind.lower()} '{name}': "
    if source.is_read_only:
        raise AnalysisError(f"{refusal}ALTER operations are not supported on source {kind.lower()}s.")
    if source.reads or catalog.writers(name):
        raise AnalysisError(f"ALTER command is not supported for CREATE ... AS statements: '{name}'.")
    columns = list(source.schema.columns)
    for definition in statement.columns:
        if any(column.name == definition.name for column in columns):
            raise AnalysisError(f"{refusal}Column `{definition.name}` already exists.")
        columns.append(Column(definition.name, catalog.resolve_type(definition.type)))
    schema = Schema(tuple(columns))
    check_spec(source.value_format, schema.value, is_key=False)
    return replace(source, schema=schema)
