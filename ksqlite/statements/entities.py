"""The pieces of which the answers of ksqlDB's REST API consist."""

from __future__ import annotations

from typing import Any

from ksqlite.engine.api import QueryInfo, QueryState
from ksqlite.types import ArrayType, Column, DecimalType, MapType, Namespace, Schema, SqlType, StructType

Entity = dict[str, Any]


def current_status(command_id: str, message: str, *, query_id: str | None = None, text: str | None = None) -> Entity:
    """The answer to a statement that changes something; the server adds where its command stands.

    ``text`` is the statement as it was understood, where that is more than what was written.
    """
    entity: Entity = {
        "@type": "currentStatus",
        "commandId": command_id,
        "commandStatus": {"status": "SUCCESS", "message": message, "queryId": query_id},
        "commandSequenceNumber": -1,
        "warnings": [],
    }
    return entity if text is None else {"@type": entity.pop("@type"), "statementText": text, **entity}


def warning(message: str) -> Entity:
    """The answer to a statement that had nothing to do, such as IF NOT EXISTS."""
    return {"@type": "warning_entity", "message": message, "warnings": []}


def schema_of(sql_type: SqlType) -> Entity:
    """A type as the API describes it."""
    entity: Entity = {"type": sql_type.base.value, "fields": None, "memberSchema": None}
    if isinstance(sql_type, StructType):
        entity["fields"] = [{"name": part.name, "schema": schema_of(part.type)} for part in sql_type.fields]
    elif isinstance(sql_type, ArrayType):
        entity["memberSchema"] = schema_of(sql_type.element)
    elif isinstance(sql_type, MapType):
        entity["memberSchema"] = schema_of(sql_type.value)
    elif isinstance(sql_type, DecimalType):
        entity["parameters"] = {"precision": sql_type.precision, "scale": sql_type.scale}
    return entity


def field_of(column: Column) -> Entity:
    """A column as the API describes it."""
    entity: Entity = {"name": column.name, "schema": schema_of(column.type)}
    if column.namespace is Namespace.KEY:
        entity["type"] = "KEY"
    elif column.namespace is Namespace.HEADERS:
        entity["type"] = "HEADER"
        entity["headerKey"] = column.header_key
    return entity


def fields_of(schema: Schema) -> list[Entity]:
    """The columns of a source or query as the API describes them, keys first."""
    others = [column for column in schema.columns if column.namespace is not Namespace.KEY]
    return [field_of(column) for column in (*schema.key, *others)]


def schema_text(schema: Schema) -> str:
    """A schema on one line, as the header of a query's answer shows it."""
    return ", ".join(
        f"`{column.name}` {column.type}{' KEY' if column.namespace is Namespace.KEY else ''}"
        for column in schema.columns
    )


def query_of(query: QueryInfo, state: QueryState) -> Entity:
    """A persistent query as SHOW QUERIES lists it."""
    return {
        "queryString": query.text,
        "sinks": [query.sink] if query.sink else [],
        "sinkKafkaTopics": [query.sink_topic] if query.sink_topic else [],
        "id": query.query_id,
        "statusCount": {state.value: 1},
        "queryType": "PERSISTENT",
        "state": state.value,
    }


def push_query_of(query_id: str, text: str) -> Entity:
    """A running push query as SHOW QUERIES lists it."""
    return {
        "queryString": text,
        "sinks": [],
        "sinkKafkaTopics": [],
        "id": query_id,
        "statusCount": {"RUNNING": 1},
        "queryType": "PUSH",
        "state": "RUNNING",
    }


def with_text(entity: Entity, text: str) -> Entity:
    """The entity with its statement's text, behind ``@type`` as ksqlDB has it, unless it has one already."""
    if "statementText" in entity:
        return entity
    return {"@type": entity["@type"], "statementText": text, **entity}
