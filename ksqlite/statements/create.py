"""CREATE STREAM and CREATE TABLE over an existing or new topic, with columns declared or read from the registry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ksqlite import ast, properties
from ksqlite.catalog import Catalog, SourceInfo
from ksqlite.engine.api import Topics
from ksqlite.errors import AnalysisError, TopicError
from ksqlite.formats import (
    FormatSpec,
    SchemaRegistry,
    check_properties,
    check_spec,
    format_info,
    infer_columns,
    subject_of,
)
from ksqlite.printer import format_statement
from ksqlite.types import BIGINT, BYTES, STRING, TIMESTAMP, Column, Namespace, Schema, SqlType, array, struct

HEADERS_TYPE = array(struct(("KEY", STRING), ("VALUE", BYTES)))
SYSTEM_COLUMNS = frozenset({"ROWTIME", "ROWPARTITION", "ROWOFFSET", "WINDOWSTART", "WINDOWEND"})
_DEFAULT_KEY_FORMAT = "KAFKA"


@dataclass(frozen=True, slots=True)
class NewTopic:
    """A topic that must be made before the source can be used."""

    name: str
    partitions: int
    replicas: int
    settings: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Created:
    """A source that a CREATE statement describes, and the topic that it needs made, if any."""

    source: SourceInfo
    topic: NewTopic | None


def create(
    statement: ast.CreateSource,
    *,
    catalog: Catalog,
    topics: Topics,
    registry: SchemaRegistry,
    settings: Mapping[str, Any],
) -> Created:
    """What the statement describes; nothing is changed. The statement's types are resolved already.

    Raises AnalysisError, ParseError, UnsupportedError and TopicError in ksqlDB's words.
    """
    clause = properties.read_create(statement.properties, shown=catalog.replaying)
    assert clause.topic is not None  # noqa: S101 - read_create refuses a statement without one
    columns = _declared(statement, catalog)
    key_name = clause.key_format or settings.get(properties.DEFAULT_KEY_FORMAT) or _DEFAULT_KEY_FORMAT
    value_name = clause.value_format or settings.get(properties.DEFAULT_VALUE_FORMAT)
    if value_name is None:
        raise AnalysisError(
            "Statement is missing the 'VALUE_FORMAT' property from the WITH clause. "
            f"Either provide one or set a default via the '{properties.DEFAULT_VALUE_FORMAT}' config."
        )
    key_spec = clause.key_spec(str(key_name))
    for spec in (key_spec, clause.value_spec(str(value_name), {}, columns=0)):
        check_properties(spec)
    if not (catalog.replaying and columns):
        columns = _inferred(columns, clause, key_spec, clause.value_spec(str(value_name), {}, columns=0), registry)
    value_spec = clause.value_spec(
        str(value_name), settings, columns=sum(column.namespace is Namespace.VALUE for column in columns)
    )
    partitions, new_topic = _topic(statement, clause, topics, settings, replaying=catalog.replaying)
    schema = Schema(tuple(columns))
    catalog.check_free(statement.name, is_table=statement.is_table, or_replace=statement.or_replace)
    if statement.is_source and statement.or_replace:
        raise AnalysisError(
            f"Cannot add {_kind(statement)} '{statement.name}': "
            f"CREATE OR REPLACE is not supported on source {_kind(statement)}s."
        )
    _check_schema(statement, schema, clause)
    check_spec(key_spec, schema.key, is_key=True)
    check_spec(value_spec, schema.value, is_key=False)
    timestamp = _timestamp(clause, schema)
    source = SourceInfo(
        name=statement.name,
        is_table=statement.is_table,
        schema=schema,
        topic=clause.topic,
        key_format=key_spec,
        value_format=value_spec,
        partitions=partitions,
        replicas=new_topic.replicas if new_topic else 1,
        window_type=clause.window_type,
        window_size_ms=clause.window_size_ms,
        timestamp_column=timestamp,
        timestamp_format=clause.timestamp_format,
        is_read_only=statement.is_source,
        statement=format_statement(_shown(statement, columns, key_spec, value_spec, clause)),
        written=clause.written,
    )
    return Created(source, new_topic)


def _kind(statement: ast.CreateSource) -> str:
    return "table" if statement.is_table else "stream"


# -------------------------------------------------------------------------------------------------------------- columns


def _declared(statement: ast.CreateSource, catalog: Catalog) -> list[Column]:
    """The columns as the statement lists them."""
    columns: list[Column] = []
    for definition in statement.columns:
        sql_type = catalog.resolve_type(definition.type)
        if definition.name in SYSTEM_COLUMNS:
            raise AnalysisError(
                f"'`{definition.name}`' is a reserved column name. You cannot use it as a name for a column."
            )
        columns.append(Column(definition.name, sql_type, _namespace(definition, sql_type), definition.header_key))
    names = [column.name for column in columns]
    duplicates = sorted({name for name in names if names.count(name) > 1})
    if duplicates:
        raise AnalysisError(f"Duplicate column names: {', '.join(duplicates)}")
    headers = [column for column in columns if column.namespace is Namespace.HEADERS]
    if len(headers) > 1 and any(column.header_key is None for column in headers):
        raise AnalysisError("Schema already contains a HEADERS column.")
    header_keys = [column.header_key for column in headers]
    for key in header_keys:
        if header_keys.count(key) > 1:
            raise AnalysisError(f"Schema already contains a HEADER('{key}') column.")
    return columns


def _namespace(definition: ast.ColumnDefinition, sql_type: SqlType) -> Namespace:
    if definition.constraint in {ast.Constraint.KEY, ast.Constraint.PRIMARY_KEY}:
        return Namespace.KEY
    if definition.constraint is ast.Constraint.HEADERS:
        if sql_type != HEADERS_TYPE:
            raise AnalysisError(f"Invalid type for HEADERS column: expected {HEADERS_TYPE}, got {sql_type}")
        return Namespace.HEADERS
    if definition.constraint is ast.Constraint.HEADER:
        if sql_type != BYTES:
            raise AnalysisError(
                f"Invalid type for HEADER('{definition.header_key}') column: expected BYTES, got {sql_type}"
            )
        return Namespace.HEADERS
    return Namespace.VALUE


def _inferred(
    declared: list[Column],
    clause: properties.WithClause,
    key_spec: FormatSpec,
    value_spec: FormatSpec,
    registry: SchemaRegistry,
) -> list[Column]:
    """The columns with those of the registry where the statement leaves that to it."""
    topic = clause.topic or ""
    keys = [column for column in declared if column.namespace is Namespace.KEY]
    values = [column for column in declared if column.namespace is Namespace.VALUE]
    headers = [column for column in declared if column.namespace is Namespace.HEADERS]
    if _infers(keys, key_spec, "KEY"):
        keys = list(_from_registry(topic, replace(key_spec, wrap=False), registry, is_key=True))
    inferred = _infers(values, value_spec, "VALUE")
    if inferred:
        values = list(_from_registry(topic, value_spec, registry, is_key=False))
    elif declared:
        return [*keys, *(column for column in declared if column.namespace is not Namespace.KEY)]
    return [*keys, *values, *headers]


def _infers(declared: Sequence[Column], spec: FormatSpec, side: str) -> bool:
    """Whether the columns of that side come from the registry."""
    info = format_info(spec.name)
    if spec.schema_id is not None:
        if not info.inference:
            raise AnalysisError(
                f"{side}_FORMAT should support schema inference when {side}_SCHEMA_ID is provided. "
                f"Current format is {spec.name}."
            )
        if declared:
            raise AnalysisError(f"Table elements and {side}_SCHEMA_ID cannot both exist for create statement.")
        return True
    return not declared and info.inference


def _from_registry(topic: str, spec: FormatSpec, registry: SchemaRegistry, *, is_key: bool) -> tuple[Column, ...]:
    subject = subject_of(topic, is_key=is_key)
    side = "keys" if is_key else "values"
    found = registry.latest(subject) if spec.schema_id is None else registry.by_id(spec.schema_id)
    if found is None:
        by_id = "" if spec.schema_id is None else f" Schema ID: {spec.schema_id}"
        raise AnalysisError(
            f"Schema for message {side} on topic '{topic}' does not exist in the Schema Registry.\n"
            f"Subject: {subject}{by_id}\n"
            "Possible causes include:\n"
            "- The topic itself does not exist\n"
            "\t-> Use SHOW TOPICS; to check\n"
            f"- Messages on the topic are not serialized using a format Schema Registry supports\n"
            "\t-> Use PRINT '" + topic + "' FROM BEGINNING; to verify\n"
            "- The schema is registered under another subject"
        )
    return infer_columns(found, is_key=is_key, wrap=spec.wrap, upper=spec.schema_id is None)


def _check_schema(statement: ast.CreateSource, schema: Schema, clause: properties.WithClause) -> None:
    if not schema.columns:
        raise AnalysisError("No columns supplied.")
    if statement.is_table and not schema.key:
        raise AnalysisError("Tables require a PRIMARY KEY. Please define the PRIMARY KEY.")
    if clause.window_type is not None and not schema.key:
        raise AnalysisError("Windowed sources require a key column.")


def _timestamp(clause: properties.WithClause, schema: Schema) -> str | None:
    """The TIMESTAMP column, checked against the schema."""
    if clause.timestamp_column is None:
        return None
    check_timestamp(clause.timestamp_column, clause.timestamp_format, schema)
    return clause.timestamp_column


def check_timestamp(name: str, pattern: str | None, schema: Schema) -> None:
    """Raises AnalysisError where a column cannot be the event time, in ksqlDB's words."""
    column = schema.find(name)
    if column is None:
        raise AnalysisError(f"The TIMESTAMP column set in the WITH clause does not exist in the schema: '{name}'")
    fits = column.type == STRING if pattern is not None else column.type in {BIGINT, TIMESTAMP}
    if not fits:
        raise AnalysisError(
            f"Timestamp column, `{name}`, should be LONG(INT64), TIMESTAMP, or a String "
            "with a timestamp_format specified"
        )


# ---------------------------------------------------------------------------------------------------------------- topic


def _topic(
    statement: ast.CreateSource,
    clause: properties.WithClause,
    topics: Topics,
    settings: Mapping[str, Any],
    *,
    replaying: bool,
) -> tuple[int, NewTopic | None]:
    """How many partitions the topic has, and whether it must be made."""
    name = clause.topic or ""
    there = topics.partitions(name)
    if there is not None:
        if clause.partitions is not None and clause.partitions != there:
            raise AnalysisError(
                f"A Kafka topic with the name '{name}' already exists, with different partition/replica configuration "
                f"than required. KSQL expects {clause.partitions} partitions (topic has {there})."
            )
        return there, None
    if clause.partitions is None and replaying:
        return 1, None  # it was dropped since, as a later statement will tell
    if clause.partitions is None:
        example = replace(
            statement,
            properties=properties.rewritten(statement.properties, KEY_FORMAT=_DEFAULT_KEY_FORMAT, PARTITIONS=2),
        )
        raise TopicError(
            f"Topic '{name}' does not exist. If you want to create a new topic for the stream/table please re-run the "
            "statement providing the required 'PARTITIONS' configuration in the WITH clause "
            "(and optionally 'REPLICAS'). "
            f"For example: {format_statement(example)}"
        )
    replicas = clause.replicas or int(settings.get("ksql.internal.topic.replicas", 1))
    policy = cleanup_policy(is_table=statement.is_table, windowed=clause.window_type is not None)
    topic_settings = {"cleanup.policy": policy}
    if clause.retention_ms is not None:
        if policy == "compact":
            raise AnalysisError(
                "Invalid config variable in the WITH clause: RETENTION_MS. Non-windowed tables do not "
                "support retention."
            )
        topic_settings["retention.ms"] = str(clause.retention_ms)
    return clause.partitions, NewTopic(name, clause.partitions, replicas, topic_settings)


def cleanup_policy(*, is_table: bool, windowed: bool) -> str:
    """The cleanup.policy that ksqlDB gives to a source's topic."""
    if not is_table:
        return "delete"
    return "compact,delete" if windowed else "compact"


def _shown(
    statement: ast.CreateSource,
    columns: Sequence[Column],
    key_spec: FormatSpec,
    value_spec: FormatSpec,
    clause: properties.WithClause,
) -> ast.CreateSource:
    """The statement as ksqlDB shows it: with every column and the properties that it adds."""
    definitions = tuple(_definition(column, is_table=statement.is_table) for column in columns)
    policy = cleanup_policy(is_table=statement.is_table, windowed=clause.window_type is not None)
    more: dict[str, str | None] = {"CLEANUP_POLICY": policy}
    if "FORMAT" not in clause.written:
        more |= {"KEY_FORMAT": key_spec.name, "VALUE_FORMAT": value_spec.name}
    return replace(statement, columns=definitions, properties=properties.rewritten(statement.properties, **more))


def _definition(column: Column, *, is_table: bool) -> ast.ColumnDefinition:
    constraint = None
    if column.namespace is Namespace.KEY:
        constraint = ast.Constraint.PRIMARY_KEY if is_table else ast.Constraint.KEY
    elif column.namespace is Namespace.HEADERS:
        constraint = ast.Constraint.HEADERS if column.header_key is None else ast.Constraint.HEADER
    return ast.ColumnDefinition(column.name, column.type, constraint, column.header_key)
