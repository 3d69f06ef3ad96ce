"""Types every statement with ksqlite's analyser, in memory, against the schemas of schemas/."""

from __future__ import annotations

import json
import re

from ksql.files import FileStatement, Pipeline
from ksql.lint.context import Finding, TypedObject
from ksql.settings import Settings
from ksqlite import ast
from ksqlite.engine import Engine
from ksqlite.engine.api import Environment
from ksqlite.errors import KsqlError, UnsupportedError
from ksqlite.testing.memory import MemoryTopics, memory_environment
from schemas.files import read_schemas


def analyse(settings: Settings, pipeline: Pipeline) -> tuple[dict[str, TypedObject], list[Finding]]:
    """The columns of every object, and a finding for each statement that means nothing."""
    environment = memory_environment()
    _declare(environment, settings, pipeline)
    engine = Engine(environment)
    typed: dict[str, TypedObject] = {}
    found: list[Finding] = []
    broken: set[str] = set()
    for statement in pipeline.statements:
        name = _name(statement)
        if any(source in broken for source in _reads(statement, pipeline)):
            broken.add(name)  # what it reads means nothing: one finding is enough
            continue
        try:
            engine.execute(ast.Located(statement.node, statement.text, at=ast.Place(1, 0)), dict(statement.settings))
        except KsqlError as error:
            broken.add(name)
            found.append(_finding(statement, error))
            continue
        source = engine.catalog.sources.get(name)
        if source is not None:
            typed[name] = TypedObject(
                keys={column.name: column.type for column in source.schema.key},
                values={column.name: column.type for column in source.schema.value},
                windowed=source.window_type is not None,
            )
    return typed, found


def _declare(environment: Environment, settings: Settings, pipeline: Pipeline) -> None:
    """Every topic that something outside writes, with the schema that its records have."""
    topics = environment.topics
    assert isinstance(topics, MemoryTopics)  # noqa: S101 - for the type checker
    for local in read_schemas(settings.schemas_dir):
        topics.declare(local.subject.removesuffix("-value"))
        environment.registry.register(local.subject, json.dumps(local.schema))
    for one in pipeline:
        if not one.writes and pipeline.writer_of(one.topic) is None and one.topic:
            topics.declare(one.topic)


def _name(statement: FileStatement) -> str:
    node = statement.node
    if isinstance(node, ast.InsertInto):
        return node.target
    assert isinstance(node, ast.CreateSource | ast.CreateAsSelect | ast.CreateType)  # noqa: S101 - see files.py
    return node.name


def _reads(statement: FileStatement, pipeline: Pipeline) -> list[str]:
    node = statement.node
    if isinstance(node, ast.CreateAsSelect | ast.InsertInto):
        return [node.query.source.name, *(join.source.name for join in node.query.joins)]
    return [one.name for one in pipeline.sources_of(pipeline.objects[_name(statement)])]


_PLACE = re.compile(r"^Line: (\d+), Col: (\d+): ")


def _finding(statement: FileStatement, error: KsqlError) -> Finding:
    line = error.line
    message = error.message
    match = _PLACE.match(message)
    if match:
        line, message = int(match[1]), message[match.end() :]
    rule = "unsupported" if isinstance(error, UnsupportedError) else "error"
    return Finding(statement.file, line or statement.line, rule, message, "")
