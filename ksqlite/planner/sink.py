"""The sink of a persistent query: its name, schema, formats and topic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ksqlite import ast, properties
from ksqlite.catalog import SourceInfo
from ksqlite.engine.api import Environment
from ksqlite.errors import AnalysisError
from ksqlite.formats import FormatSpec, check_spec, format_info, infer_columns
from ksqlite.planner.model import AggregateStep
from ksqlite.planner.result import Result
from ksqlite.statements.create import check_timestamp, cleanup_policy
from ksqlite.types import Column, Namespace, Schema

_PREFIX = "ksql.output.topic.name.prefix"
_DEFAULT_KEY_FORMAT = "KAFKA"


@dataclass(frozen=True, slots=True)
class Sink:
    """A sink to be, and the settings its topic is to have."""

    info: SourceInfo
    settings: Mapping[str, str]


def result_schema(result: Result) -> Schema:
    """The schema of a query's result, keys first."""
    keys = [Column(name, sql, Namespace.KEY) for name, sql in result.keys]
    values = [Column(name, sql, Namespace.VALUE) for name, sql in result.values]
    return Schema((*keys, *values))


def create_sink(
    statement: ast.CreateAsSelect, result: Result, env: Environment, settings: Mapping[str, Any], text: str
) -> Sink:
    """The sink of CREATE STREAM AS or CREATE TABLE AS. Raises AnalysisError in ksqlDB's words."""
    clause = properties.read_create_as(statement.properties)
    _check_kind(statement, result)
    schema = result_schema(result)
    key_format = _key_format(clause, result, settings, keyed=bool(schema.key))
    value_format = _value_format(clause, result, settings, len(schema.value))
    if clause.timestamp_column is not None:
        check_timestamp(clause.timestamp_column, clause.timestamp_format, schema)
    check_spec(key_format, schema.key, is_key=True)
    _check_states(result, value_format)
    check_spec(value_format, schema.value, is_key=False)
    _check_registered(key_format, schema.key, env, is_key=True)
    _check_registered(value_format, schema.value, env, is_key=False)
    topic = clause.topic or f"{settings.get(_PREFIX) or ''}{statement.name}"
    window = result.window
    info = SourceInfo(
        name=statement.name,
        is_table=statement.is_table,
        schema=schema,
        topic=topic,
        key_format=key_format,
        value_format=value_format,
        partitions=clause.partitions or env.topics.partitions(topic) or result.partitions,
        replicas=clause.replicas or result.sources[0].info.replicas,
        window_type=window.type if window else None,
        window_size_ms=window.size_ms if window else None,
        timestamp_column=clause.timestamp_column,
        timestamp_format=clause.timestamp_format,
        made_by_query=True,
        reads=tuple(dict.fromkeys(ref.info.name for ref in result.sources)),
        statement=text,
        written=clause.written,
    )
    return Sink(info, _topic_settings(clause, info, result, env))


def _check_states(result: Result, value_format: FormatSpec) -> None:
    """The states of aggregates are kept in the sink's format, too."""
    if not isinstance(result.step, AggregateStep):
        return
    states = [
        Column(f"KSQL_AGG_VARIABLE_{number}", bound.intermediate) for number, bound in enumerate(result.step.aggregates)
    ]
    try:
        check_spec(value_format, states, is_key=False)
    except AnalysisError as refusal:
        raise AnalysisError(
            "One of the functions used in the statement has an intermediate type that the value format can not handle. "
            "Please remove the function or change the format."
        ) from refusal


def _check_kind(statement: ast.CreateAsSelect, result: Result) -> None:
    if statement.query.limit is not None:
        kind = "TABLE" if statement.is_table else "STREAM"
        raise AnalysisError(f"CREATE {kind} AS SELECT statements don't support LIMIT clause.")
    if statement.is_table and not result.is_table:
        raise AnalysisError(
            "Invalid result type. Your SELECT query produces a STREAM. "
            "Please use CREATE STREAM AS SELECT statement instead."
        )
    if not statement.is_table and result.is_table:
        raise AnalysisError(
            "Invalid result type. Your SELECT query produces a TABLE. "
            "Please use CREATE TABLE AS SELECT statement instead."
        )


def _key_format(
    clause: properties.WithClause, result: Result, settings: Mapping[str, Any], *, keyed: bool
) -> FormatSpec:
    if clause.key_format is not None:
        return clause.key_spec(clause.key_format)
    inherited = result.key_format
    if not keyed:
        return FormatSpec("NONE")
    if inherited is None or inherited.name == "NONE":
        return clause.key_spec(str(settings.get(properties.DEFAULT_KEY_FORMAT) or _DEFAULT_KEY_FORMAT))
    made = clause.key_spec(inherited.name)
    if made.delimiter is None and inherited.delimiter is not None:
        made = replace(made, delimiter=inherited.delimiter)
    return made


def _value_format(
    clause: properties.WithClause, result: Result, settings: Mapping[str, Any], columns: int
) -> FormatSpec:
    inherited = result.value_format
    made = clause.value_spec(clause.value_format or inherited.name, settings, columns=columns)
    if clause.value_format is None and made.delimiter is None and inherited.delimiter is not None:
        made = replace(made, delimiter=inherited.delimiter)
    return made


def _check_registered(spec: FormatSpec, columns: Sequence[Column], env: Environment, *, is_key: bool) -> None:
    """With KEY_SCHEMA_ID or VALUE_SCHEMA_ID the result must fit the schema of that id."""
    if spec.schema_id is None:
        return
    side = "key" if is_key else "value"
    if not format_info(spec.name).inference:
        raise AnalysisError(
            f"{side.upper()}_FORMAT should support schema inference when {side.upper()}_SCHEMA_ID is provided. "
            f"Current format is {spec.name}."
        )
    found = env.registry.by_id(spec.schema_id)
    if found is None:
        raise AnalysisError(f"Schema id {spec.schema_id} does not exist in the Schema Registry.")
    there = infer_columns(found, is_key=is_key, wrap=spec.wrap, upper=False)
    if is_key and len(there) == len(columns) == 1 and there[0].name == "ROWKEY":
        there = (replace(there[0], name=columns[0].name),)
    wrong = [
        column
        for position, column in enumerate(columns)
        if position >= len(there) or (there[position].name, there[position].type) != (column.name, column.type)
    ]
    if wrong:
        raise AnalysisError(
            f"The following {side} columns are changed, missing or reordered: {_listed(wrong)}. Schema from schema "
            f"registry is {_listed(there)}"
        )


def _listed(columns: Sequence[Column]) -> str:
    return "[" + ", ".join(f"`{c.name}` {c.type}{' KEY' * (c.namespace is Namespace.KEY)}" for c in columns) + "]"


def _topic_settings(
    clause: properties.WithClause, info: SourceInfo, result: Result, env: Environment
) -> dict[str, str]:
    windowed = info.window_type is not None
    settings = {"cleanup.policy": cleanup_policy(is_table=info.is_table, windowed=windowed)}
    if info.is_table and not windowed:
        if clause.retention_ms is not None:
            raise AnalysisError(
                "Invalid config variable in the WITH clause: RETENTION_MS. Non-windowed tables do not support "
                "retention."
            )
        return settings
    if windowed and info.is_table:
        step: Any = result.step
        window = getattr(step, "window", None)
        if window is not None:
            settings["retention.ms"] = str(window.retention_ms)
    elif clause.retention_ms is not None:
        settings["retention.ms"] = str(clause.retention_ms)
    else:
        inherited = env.topics.configs(result.sources[0].info.topic).get("retention.ms")
        if inherited is not None:
            settings["retention.ms"] = inherited
    return settings


def check_insert(target: SourceInfo, result: Result) -> None:
    """INSERT INTO … SELECT: the result must have the target's columns. Raises AnalysisError in ksqlDB's words."""
    if target.is_table:
        raise AnalysisError(f"INSERT INTO can only be used to insert into a stream. {target.name} is a table.")
    if target.is_read_only:
        raise AnalysisError(f"Cannot insert into read-only stream: {target.name}")
    if any(column.namespace is Namespace.HEADERS for column in target.schema.columns):
        names = ", ".join(column.name for column in target.schema.headers)
        raise AnalysisError(f"Cannot insert into {target.name} because it has header columns: {names}")
    if result.is_table:
        raise AnalysisError("Incompatible data sink types: the query produces a TABLE, but the target is a STREAM.")
    schema = result_schema(result)
    window = result.window.type if result.window else None
    if (schema.key, schema.value) != (target.schema.key, target.schema.value) or window is not target.window_type:
        raise AnalysisError(
            "Incompatible schema between results and sink.\n"
            f"Result schema is {_schema(schema)}\nSink schema is {_schema(target.schema)}"
        )


def _schema(schema: Schema) -> str:
    return ", ".join(
        f"`{column.name}` {column.type}{' KEY' * (column.namespace is Namespace.KEY)}"
        for column in (*schema.key, *schema.value)
    )
