"""Rules about what leaves for PostgreSQL: keys, columns, and who reads what."""

from __future__ import annotations

from collections.abc import Iterator

from connectors.files import SinkConnector
from ksql.files import PipelineObject
from ksql.lint.context import Context, Finding, TypedObject, finding, walk
from ksql.lint.tables import PostgresTable
from ksqlite import ast
from ksqlite.types import Base, SqlType

_FITS = {
    Base.BOOLEAN: {"boolean"},
    Base.INTEGER: {"integer", "bigint", "numeric", "smallint"},
    Base.BIGINT: {"bigint", "numeric"},
    Base.DOUBLE: {"double", "numeric"},
    Base.DECIMAL: {"numeric"},
    Base.STRING: {"text", "varchar"},
    Base.BYTES: {"bytea"},
    Base.DATE: {"date"},
    Base.TIME: {"time"},
    Base.TIMESTAMP: {"timestamptz", "timestamp"},
}


def sink_findings(context: Context) -> Iterator[Finding]:
    """Findings where ksql, connectors and tables meet."""
    for connector in context.connectors:
        yield from _connector(context, connector)
    read_by_sinks = {connector.topic for connector in context.connectors}
    for one in context.pipeline:
        readers = [other for other in context.pipeline if one.name in other.reads or _declares(other, one)]
        if one.kind == "TABLE" and one.writes and one.topic not in read_by_sinks and not readers:
            yield finding(
                one.create, None, "table-that-nobody-reads",
                f"No connector reads topic {one.topic}, and no query either: the table costs state and shows nowhere.",
                f"Add connectors/{one.topic}.json (copy one that is there), or remove the table.",
            )  # fmt: skip


def _declares(other: PipelineObject, one: PipelineObject) -> bool:
    return not other.writes and other.topic == one.topic


def _connector(context: Context, connector: SinkConnector) -> Iterator[Finding]:
    writer = context.pipeline.writer_of(connector.topic)
    table = context.tables.get(connector.table)
    file = f"connectors/{connector.file}"
    if table is None:
        yield Finding(
            file, 1, "no-such-table",
            f"No migration makes a table {connector.table}: the connector would fail at its first record.",
            f"Add a migration that creates pipeline_template.{connector.table}.",
        )  # fmt: skip
    if writer is None:
        if connector.topic not in context.outside:
            yield Finding(
                file, _line(connector, "topics"), "topic-that-nobody-writes",
                f"No query writes topic {connector.topic}, and schemas/ knows no other writer: the table stays empty.",
                "Name the topic of a query, or add its schema to schemas/subjects.json.",
            )  # fmt: skip
        elif table is not None:
            names = [str(part["name"]) for part in context.outside[connector.topic]["fields"]]
            yield from _missing_columns(connector, table, names, file, 1)
        return
    typed = context.typed.get(writer.name)
    if typed is None:
        return
    yield from _keys(context, connector, writer, typed, table)
    if table is not None:
        yield from _columns(connector, writer, typed, table)


def _keys(
    context: Context,
    connector: SinkConnector,
    writer: PipelineObject,
    typed: TypedObject,
    table: PostgresTable | None,
) -> Iterator[Finding]:
    del context
    statement = writer.create
    for name in connector.key_fields:
        if name not in typed.values:
            yield finding(
                statement, None, "key-not-in-value",
                f"The sink takes {name} for its primary key from the value, and there it is not: a Kafka key"
                f"{' of a window' if typed.windowed else ''} cannot be mapped.",
                f"Select AS_VALUE(<key column>) AS {name.lower()}.",
            )  # fmt: skip
    if typed.windowed and statement.node and not _has_window_column(writer, connector):
        yield finding(
            statement, None, "windows-overwrite-each-other",
            f"{writer.name} is windowed, and no field of the sink's primary key ({', '.join(connector.key_fields)}) "
            f"tells its windows apart: each overwrites the one before.",
            "Select FROM_UNIXTIME(WINDOWSTART) AS hour_start and add HOUR_START to primary.key.fields.",
        )  # fmt: skip
    if table is not None and {name.lower() for name in connector.key_fields} != set(table.key):
        yield Finding(
            f"connectors/{connector.file}", _line(connector, "primary.key.fields"), "key-differs-from-table",
            f"primary.key.fields is {', '.join(connector.key_fields)}, the table's key is "
            f"{', '.join(sorted(table.key))}: no ON CONFLICT matches and the task fails.",
            "Make them the same.",
        )  # fmt: skip


def _has_window_column(writer: PipelineObject, connector: SinkConnector) -> bool:
    node = writer.create.node
    if not isinstance(node, ast.CreateAsSelect):
        return True
    for item in node.query.select:
        if isinstance(item, ast.SelectItem) and item.alias in connector.key_fields:
            names = {part.name for part in walk(item.expression) if isinstance(part, ast.ColumnRef)}
            if names & {"WINDOWSTART", "WINDOWEND"}:
                return True
    return False


def excluded_fields(connector: SinkConnector) -> set[str]:
    """Fields that the connector's transforms leave out."""
    names: set[str] = set()
    for key, value in connector.config.items():
        if key.startswith("transforms.") and key.endswith(".exclude"):
            names |= {name.strip() for name in value.split(",")}
    return names


def _columns(
    connector: SinkConnector, writer: PipelineObject, typed: TypedObject, table: PostgresTable
) -> Iterator[Finding]:
    statement = writer.create
    excluded = excluded_fields(connector)
    names = [name for name in typed.values if name not in excluded]
    yield from _missing_columns(connector, table, names, statement.file, statement.line)
    for name in names:
        column = table.columns.get(name.lower())
        if column is not None and not _fits(typed.values[name], column):
            yield finding(
                statement, None, "type-differs-from-table",
                f"{name} is {typed.values[name]}, column {name.lower()} of {connector.table} is {column}: the task "
                f"fails at the first record.",
                f"Cast it, exclude it in connectors/{connector.file}, or change the column by a migration.",
            )  # fmt: skip


def _missing_columns(
    connector: SinkConnector, table: PostgresTable, names: list[str], file: str, line: int
) -> Iterator[Finding]:
    for name in names:
        if name.lower() not in table.columns:
            yield Finding(
                file, line, "no-such-column",
                f"Table {connector.table} has no column {name.lower()}: the connector would fail at its first record.",
                f"Add the column by a migration, or exclude {name} in connectors/{connector.file}.",
            )  # fmt: skip


def _fits(kind: SqlType, column: str) -> bool:
    allowed = _FITS.get(kind.base)
    return allowed is not None and column.split("(", maxsplit=1)[0].lower() in allowed


def _line(connector: SinkConnector, setting: str) -> int:
    """The line of a setting in a connector's file: one setting a line, the brace first."""
    return list(connector.config).index(setting) + 2
