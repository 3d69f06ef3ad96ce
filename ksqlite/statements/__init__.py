"""Everything that a statement does short of running a query: declaring, dropping, inserting, showing, describing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ksqlite import ast
from ksqlite.engine.api import EngineApi
from ksqlite.errors import AnalysisError, KsqlError, UnsupportedError
from ksqlite.statements import asserts, inspect
from ksqlite.statements.create import NewTopic, create
from ksqlite.statements.drop import altered, check_drop, drop
from ksqlite.statements.entities import Entity, current_status, warning, with_text
from ksqlite.statements.insert import NewRecord, insert_row, insert_values
from ksqlite.statements.inspect import Inspector, NoInspector

__all__ = [
    "Entity",
    "Inspector",
    "NewRecord",
    "NewTopic",
    "changes",
    "current_status",
    "execute",
    "insert_row",
    "insert_values",
    "with_text",
]

# Statements that change what there is: a server keeps them, so that a restart brings everything back.
_CHANGES = (
    ast.CreateSource,
    ast.CreateAsSelect,
    ast.InsertInto,
    ast.DropSource,
    ast.CreateType,
    ast.DropType,
    ast.AlterSource,
    ast.QueryControl,
)


def changes(statement: ast.Statement) -> bool:
    """Whether a statement must be kept, so that a restart brings its effect back."""
    return isinstance(statement, _CHANGES)


def execute(
    engine: EngineApi,
    located: ast.Located,
    properties: Mapping[str, Any] | None = None,
    inspector: Inspector | None = None,
) -> Entity | None:
    """Does what a statement says and gives the entity that ksqlDB's ``/ksql`` answers; None for SET and the like.

    Statements that start a query are the engine's own and are refused here, as is INSERT … VALUES, which
    `insert_values` turns into a record for the caller to write. Raises KsqlError; nothing is half done then.
    """
    statement = engine.catalog.prepare(located).statement
    settings = {**engine.env.settings, **engine.catalog.properties, **(properties or {})}
    try:
        entity = _execute(engine, statement, located.text, settings, inspector or NoInspector())
    except KsqlError as error:
        if error.statement is None:
            error.statement = f"{located.text};"
        raise
    return None if entity is None else with_text(entity, f"{located.text};")


def _execute(
    engine: EngineApi, statement: ast.Statement, text: str, settings: Mapping[str, Any], inspector: Inspector
) -> Entity | None:
    catalog = engine.catalog
    match statement:
        case ast.CreateSource():
            return _create(engine, statement, settings)
        case ast.DropSource():
            return _drop(engine, statement)
        case ast.AlterSource():
            source = altered(statement, catalog)
            catalog.sources[source.name] = source
            kind = source.kind.lower()
            return current_status(f"{kind}/`{source.name}`/alter", f"{kind.capitalize()} altered")
        case ast.CreateType() | ast.DropType():
            return _type(engine, statement)
        case ast.QueryControl():
            return _control(engine, statement)
        case ast.SetProperty() | ast.UnsetProperty() | ast.DefineVariable() | ast.UndefineVariable():
            _session(engine, statement)
            return None
        case ast.Show():
            return inspect.show(statement, engine, inspector)
        case ast.Describe():
            return inspect.describe(statement, engine, inspector)
        case ast.DescribeFunction():
            return inspect.describe_function(statement)
        case ast.Explain():
            return inspect.explain(statement, text, engine, settings)
        case ast.AssertTopic():
            return asserts.assert_topic(statement, engine.env.topics)
        case ast.AssertSchema():
            return asserts.assert_schema(statement, engine.env.registry)
        case ast.AlterSystem():
            raise UnsupportedError("ALTER SYSTEM is not supported by ksqlite: restart it with the setting changed")
        case ast.AssertValues() | ast.AssertSource():
            raise UnsupportedError("ASSERT of values and sources belongs into test files (ksqlite test)")
        case _:
            raise AnalysisError(f"{type(statement).__name__} does not belong here")


def _create(engine: EngineApi, statement: ast.CreateSource, settings: Mapping[str, Any]) -> Entity:
    catalog = engine.catalog
    kind = "table" if statement.is_table else "stream"
    if statement.if_not_exists and statement.name in catalog.sources:
        there = catalog.sources[statement.name].kind.lower()
        return warning(f"Cannot add {kind} `{statement.name}`: A {there} with the same name already exists.")
    created = create(
        statement,
        catalog=catalog,
        topics=engine.env.topics,
        registry=engine.env.registry,
        settings=settings,
    )
    # the catalog goes first: it may still refuse, and a topic cannot be taken back
    source = catalog.add(created.source, or_replace=statement.or_replace)
    if created.topic is not None:
        topic = created.topic
        engine.env.topics.create(topic.name, topic.partitions, topic.replicas, topic.settings)
    message = f"{kind.capitalize()} created"
    return current_status(f"{kind}/`{statement.name}`/create", message, text=source.statement)


def _drop(engine: EngineApi, statement: ast.DropSource) -> Entity:
    source = check_drop(statement, engine.catalog)
    kind = "table" if statement.is_table else "stream"
    command = f"{kind}/{statement.name}/drop"
    if source is None:
        return current_status(command, f"Source `{statement.name}` does not exist.")
    drop(source, engine.catalog, engine.terminate)
    if statement.delete_topic:
        engine.env.topics.delete(source.topic)
        for side in ("key", "value"):
            engine.env.registry.delete(f"{source.topic}-{side}")
    return current_status(
        command,
        f"Source `{source.name}` (topic: {source.topic}) was dropped.",
        text=f"DROP {source.kind} {source.name};",
    )


def _type(engine: EngineApi, statement: ast.CreateType | ast.DropType) -> Entity:
    types = engine.catalog.types
    name = statement.name
    if isinstance(statement, ast.DropType):
        if name not in types:
            if statement.if_exists:
                return current_status(f"type/{name}/drop", f"Type '{name}' does not exist")
            raise AnalysisError(f"Type {name} does not exist.")
        del types[name]
        return current_status(f"type/{name}/drop", f"Dropped type '{name}'")
    if name in types:
        if statement.if_not_exists:
            return current_status(f"type/{name}/create", f"{name} is already registered with type {types[name]}")
        raise AnalysisError(
            f"Cannot register custom type '{name}' since it is already registered with type: {types[name]}"
        )
    types[name] = engine.catalog.resolve_type(statement.type)
    return current_status(
        f"type/{name}/create", f"Registered custom type with name '{name}' and SQL type {types[name]}"
    )


_DONE = {"TERMINATE": "terminated", "PAUSE": "paused", "RESUME": "resumed"}


def _control(engine: EngineApi, statement: ast.QueryControl) -> Entity:
    queries = engine.catalog.queries
    act = {"TERMINATE": engine.terminate, "PAUSE": engine.pause, "RESUME": engine.resume}[statement.action]
    done = _DONE[statement.action]
    verb = statement.action.lower()
    if statement.query_id is None:
        for query_id in list(queries):
            act(query_id)
        return current_status(f"{verb}/*/execute", f"All queries {done}.")
    if statement.query_id not in queries:
        raise AnalysisError(f"Unknown queryId: {statement.query_id}")
    act(statement.query_id)
    return current_status(f"{verb}/{statement.query_id}/execute", f"Query {done}.")


def _session(
    engine: EngineApi,
    statement: ast.SetProperty | ast.UnsetProperty | ast.DefineVariable | ast.UndefineVariable,
) -> None:
    catalog = engine.catalog
    match statement:
        case ast.SetProperty():
            catalog.properties[statement.name] = statement.value
        case ast.UnsetProperty():
            catalog.properties.pop(statement.name, None)
        case ast.DefineVariable():
            catalog.variables[statement.name] = statement.value
        case ast.UndefineVariable():
            catalog.variables.pop(statement.name, None)
