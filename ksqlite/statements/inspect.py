"""SHOW, LIST, DESCRIBE and EXPLAIN: what there is, as ksqlDB's REST API describes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ksqlite import ast
from ksqlite.catalog import SourceInfo
from ksqlite.engine.api import EngineApi, QueryInfo
from ksqlite.errors import AnalysisError, UnsupportedError
from ksqlite.statements.entities import Entity, field_of, fields_of, push_query_of, query_of, schema_of
from ksqlite.types import Schema

# Topics that ksqlDB hides from SHOW TOPICS.
_HIDDEN = ("_", "connect-")


class Inspector(Protocol):
    """What only the server around the engine knows."""

    def topics(self) -> Mapping[str, Sequence[int]]:
        """Every topic, and the number of replicas of each of its partitions."""

    def consumers(self, topic: str) -> tuple[int, int]:
        """How many consumers and consumer groups read a topic."""

    def offsets(self, query: QueryInfo) -> Sequence[Entity]:
        """A query's consumer group and how far it is, as DESCRIBE … EXTENDED shows it."""

    def statistics(self, source: SourceInfo) -> Sequence[Entity]:
        """Figures of a source: name, host, value, timestamp."""

    def push_queries(self) -> Mapping[str, str]:
        """The text of each running push query, by its id."""

    def settings(self) -> Mapping[str, Any]:
        """The server's settings."""


class NoInspector:
    """An engine without a server around it."""

    def topics(self) -> Mapping[str, Sequence[int]]:
        """None."""
        return {}

    def consumers(self, topic: str) -> tuple[int, int]:  # noqa: ARG002 - the interface
        """None."""
        return 0, 0

    def offsets(self, query: QueryInfo) -> Sequence[Entity]:  # noqa: ARG002 - the interface
        """None."""
        return []

    def statistics(self, source: SourceInfo) -> Sequence[Entity]:  # noqa: ARG002 - the interface
        """None."""
        return []

    def push_queries(self) -> Mapping[str, str]:
        """None."""
        return {}

    def settings(self) -> Mapping[str, Any]:
        """None."""
        return {}


# ----------------------------------------------------------------------------------------------------------------- SHOW


def show(statement: ast.Show, engine: EngineApi, inspector: Inspector) -> Entity:
    """The answer to SHOW and LIST. Raises UnsupportedError for connectors."""
    catalog = engine.catalog
    what = statement.what
    if what in {"STREAMS", "TABLES"}:
        return show_sources(engine, inspector, is_table=what == "TABLES", extended=statement.extended)
    if what in {"TOPICS", "ALL TOPICS"}:
        return _topics(inspector, every=what == "ALL TOPICS", extended=statement.extended)
    if what == "QUERIES":
        return _queries(engine, inspector, extended=statement.extended)
    if what == "FUNCTIONS":
        return _functions()
    if what == "PROPERTIES":
        return _properties(engine, inspector)
    if what == "TYPES":
        types = {name: schema_of(sql_type) for name, sql_type in sorted(catalog.types.items())}
        return {"@type": "type_list", "types": types, "warnings": []}
    if what == "VARIABLES":
        variables = [{"name": name, "value": value} for name, value in sorted(catalog.variables.items())]
        return {"@type": "variables", "variables": variables, "warnings": []}
    raise UnsupportedError(
        f"SHOW {what} is not supported by ksqlite: ask Kafka Connect's own REST API (scripts/connectors)."
    )


def show_sources(engine: EngineApi, inspector: Inspector, *, is_table: bool, extended: bool) -> Entity:
    """The answer to SHOW STREAMS and SHOW TABLES, and to DESCRIBE of all of either."""
    sources = [source for source in engine.catalog.sources.values() if source.is_table == is_table]
    if extended:
        return {
            "@type": "source_descriptions",
            "sourceDescriptions": [_source(source, engine, inspector, extended=True) for source in sources],
            "warnings": [],
        }
    kind = "tables" if is_table else "streams"
    listed = [
        {
            "type": source.kind,
            "name": source.name,
            "topic": source.topic,
            "keyFormat": source.key_format.name,
            "valueFormat": source.value_format.name,
            "isWindowed": source.window_type is not None,
        }
        for source in sources
    ]
    return {"@type": kind, kind: listed, "warnings": []}


def _topics(inspector: Inspector, *, every: bool, extended: bool) -> Entity:
    shown = []
    for name, replicas in sorted(inspector.topics().items()):
        if not every and name.startswith(_HIDDEN):
            continue
        topic: Entity = {"name": name, "replicaInfo": list(replicas)}
        if extended:
            consumers, groups = inspector.consumers(name)
            topic |= {"consumerCount": consumers, "consumerGroupCount": groups}
        shown.append(topic)
    kind = "kafka_topics_extended" if extended else "kafka_topics"
    return {"@type": kind, "topics": shown, "warnings": []}


def _queries(engine: EngineApi, inspector: Inspector, *, extended: bool) -> Entity:
    if extended:
        described = [describe_query(query, engine) for query in engine.queries()]
        return {"@type": "queryDescriptions", "queryDescriptions": described, "warnings": []}
    listed = [query_of(query, engine.state(query.query_id)) for query in engine.queries()]
    listed += [push_query_of(query_id, text) for query_id, text in inspector.push_queries().items()]
    return {"@type": "queries", "queries": listed, "warnings": []}


def _functions() -> Entity:
    from ksqlite.functions import REGISTRY  # noqa: PLC0415 - slow to load, and rarely asked for

    listed = []
    for name in REGISTRY.names():
        kind = REGISTRY.kind(name)
        listed.append({"name": name, "type": kind.value if kind else "SCALAR", "category": "OTHER"})
    return {"@type": "function_names", "functions": listed, "warnings": []}


def _properties(engine: EngineApi, inspector: Inspector) -> Entity:
    own = engine.catalog.properties
    values = {name: str(value) for name, value in inspector.settings().items()} | own
    listed = [
        {
            "name": name,
            "scope": "KSQL" if name.startswith("ksql.") else "EXTERNAL",
            "value": value,
            "editable": not name.startswith("ksql."),
            "level": "QUERY" if name in own else "SERVER",
        }
        for name, value in sorted(values.items())
    ]
    return {
        "@type": "properties",
        "properties": listed,
        "overwrittenProperties": sorted(own),
        "defaultProperties": sorted(set(values) - set(own)),
        "warnings": [],
    }


# ------------------------------------------------------------------------------------------------------------- DESCRIBE


def describe(statement: ast.Describe, engine: EngineApi, inspector: Inspector) -> Entity:
    """The answer to DESCRIBE of one source, or of all. Raises AnalysisError when there is none of that name."""
    if statement.name is None:
        return show_sources(engine, inspector, is_table=statement.what == "TABLES", extended=True)
    source = engine.catalog.get(statement.name)
    if source is None:
        raise AnalysisError(f"Could not find STREAM/TABLE '{statement.name}' in the Metastore")
    return {
        "@type": "sourceDescription",
        "sourceDescription": _source(source, engine, inspector, extended=statement.extended),
        "warnings": [],
    }


def _source(source: SourceInfo, engine: EngineApi, inspector: Inspector, *, extended: bool) -> Entity:
    catalog = engine.catalog
    writers = catalog.writers(source.name)

    def listed(queries: Sequence[QueryInfo]) -> list[Entity]:
        return [query_of(query, engine.state(query.query_id)) for query in queries]

    return {
        "name": source.name,
        "windowType": source.window_type.value if source.window_type else None,
        "readQueries": listed(catalog.readers(source.name)),
        "writeQueries": listed(writers),
        "fields": fields_of(source.schema),
        "type": source.kind,
        "timestamp": source.timestamp_column or "",
        "statistics": "",
        "errorStats": "",
        "extended": extended,
        "keyFormat": source.key_format.name,
        "valueFormat": source.value_format.name,
        "topic": source.topic,
        "partitions": engine.env.topics.partitions(source.topic) or source.partitions,
        "replication": source.replicas,
        "statement": source.statement,
        "queryOffsetSummaries": [summary for query in writers for summary in inspector.offsets(query)]
        if extended
        else [],
        "sourceConstraints": catalog.dependants(source.name),
        "clusterStatistics": list(inspector.statistics(source)),
        "clusterErrorStats": [],
    }


def describe_function(statement: ast.DescribeFunction) -> Entity:
    """The answer to DESCRIBE FUNCTION. Raises AnalysisError when there is none of that name."""
    from ksqlite.functions import REGISTRY  # noqa: PLC0415 - slow to load, and rarely asked for

    name = statement.name.upper()
    function = REGISTRY.find(name)
    if function is None:
        raise AnalysisError(f"Can't find any functions with the name '{name}'")
    variants = [
        {
            "arguments": [
                {
                    "name": f"arg{position + 1}",
                    "type": str(parameter),
                    "description": "",
                    "isVariadic": position == variant.signature.variadic,
                }
                for position, parameter in enumerate(variant.signature.parameters)
            ],
            "returnType": str(variant.signature.returns),
            "description": function.description,
        }
        for variant in function.variants
    ]
    return {
        "@type": "describe_function",
        "name": name,
        "description": function.description,
        "author": "",
        "version": "",
        "path": "internal",
        "type": function.kind.value,
        "functions": variants,
        "warnings": [],
    }


# -------------------------------------------------------------------------------------------------------------- EXPLAIN


def describe_query(query: QueryInfo, engine: EngineApi) -> Entity:
    """A persistent query in full."""
    state, error = engine.state(query.query_id).value, engine.error(query.query_id)
    return {
        **_explained(query.query_id, query.text, query.schema, query.sources, query.description),
        "sinks": [query.sink] if query.sink else [],
        "overriddenProperties": dict(query.properties),
        "ksqlHostQueryStatus": {},
        "queryType": "PERSISTENT",
        "queryErrors": []
        if error is None
        else [{"timestamp": error.at_ms, "errorMessage": error.message, "type": "UNKNOWN"}],
        "state": state,
    }


def _explained(query_id: str, text: str, schema: Schema, sources: Sequence[str], plan: str) -> Entity:
    return {
        "id": query_id,
        "statementText": text,
        "windowType": None,
        "fields": fields_of(schema),
        "sources": list(sources),
        "sinks": [],
        "topology": plan,
        "executionPlan": plan,
        "overriddenProperties": {},
        "ksqlHostQueryStatus": {},
        "queryType": "PUSH",
        "queryErrors": [],
        "tasksMetadata": [],
        "consumerGroupId": query_id,
        "state": None,
    }


def explain(statement: ast.Explain, text: str, engine: EngineApi, properties: Mapping[str, Any]) -> Entity:
    """The answer to EXPLAIN of a query's id or of a statement. Raises AnalysisError, UnsupportedError."""
    if statement.statement is None:
        query = engine.catalog.queries.get(statement.query_id or "")
        if query is None:
            raise AnalysisError(
                f"Query with id:{statement.query_id} does not exist, use SHOW QUERIES to view the full set of queries."
            )
        description = describe_query(query, engine)
    else:
        description = _explain_statement(statement.statement, text, engine, properties)
    return {"@type": "queryDescription", "queryDescription": description, "warnings": []}


def _explain_statement(statement: ast.Statement, text: str, engine: EngineApi, properties: Mapping[str, Any]) -> Entity:
    inner = text[len("EXPLAIN") :].strip()
    if not isinstance(statement, (ast.QueryStatement, ast.CreateAsSelect, ast.InsertInto)):
        raise AnalysisError("The provided statement does not run a ksql query")
    plan = engine.plan(ast.Located(statement, inner), properties)
    described = _explained(plan.query_id, f"{inner};", plan.schema, plan.sources, plan.description)
    if isinstance(statement, ast.QueryStatement):
        described["fields"] = [*_unselected_keys(statement.query, plan.schema, engine), *described["fields"]]
    else:
        described |= {"queryType": "PERSISTENT", "sinks": [plan.sink] if plan.sink else []}
    return described


def _unselected_keys(query: ast.Query, schema: Schema, engine: EngineApi) -> list[Entity]:
    """The key of a push query's source, which its rows have though they do not show it."""
    source = engine.catalog.get(query.source.name)
    if source is None or query.joins or query.group_by or query.partition_by:
        return []
    return [field_of(column) for column in source.schema.key if schema.find(column.name) is None]
