"""What the rules look at, and what they give."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

from connectors.files import SinkConnector, read_connectors
from ksql.errors import ToolError
from ksql.files import FileStatement, Pipeline, PipelineObject
from ksql.lint.tables import PostgresTable, read_tables
from ksql.settings import ROOT, Settings
from ksql.topics import Topics, read_topics
from ksqlite import ast
from ksqlite.types import SqlType
from schemas.files import read_schemas


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to mend."""

    file: str
    line: int
    rule: str
    why: str
    """What hurts."""
    instead: str
    """What to write."""

    def __str__(self) -> str:
        """On one line, as compilers do."""
        return f"{self.file}:{self.line}: {self.rule}: {self.why}" + (f" {self.instead}" if self.instead else "")


@dataclass(frozen=True, slots=True)
class TypedObject:
    """The columns of a stream or table, keys apart."""

    keys: Mapping[str, SqlType]
    values: Mapping[str, SqlType]
    windowed: bool


@dataclass(frozen=True, slots=True)
class Context:
    """The pipeline and everything around it."""

    pipeline: Pipeline
    typed: Mapping[str, TypedObject]
    """By object; one that could not be typed is missing."""
    connectors: tuple[SinkConnector, ...]
    topics: Topics
    tables: Mapping[str, PostgresTable]
    outside: Mapping[str, Mapping[str, Any]]
    """Avro schemas of topics that something outside the files writes, by topic."""

    @staticmethod
    def load(settings: Settings, pipeline: Pipeline, typed: Mapping[str, TypedObject]) -> Context:
        """Read what is around; raises FileError for what cannot be read."""
        outside = {
            one.subject.removesuffix("-value"): one.schema
            for one in read_schemas(settings.schemas_dir)
            if one.subject.endswith("-value")
        }
        migrations = ROOT / "analytics_api" / "migrations" / "versions"
        return Context(
            pipeline=pipeline,
            typed=typed,
            connectors=tuple(_connectors(settings.connectors_dir)),
            topics=read_topics(settings),
            tables=read_tables(migrations),
            outside=outside,
        )

    def selects(self) -> Iterator[tuple[PipelineObject, FileStatement, ast.Query]]:
        """Every query with its statement and the object that it writes."""
        for one in self.pipeline:
            for statement in one.statements:
                if isinstance(statement.node, ast.CreateAsSelect | ast.InsertInto):
                    yield one, statement, statement.node.query


def _connectors(folder: Path) -> list[SinkConnector]:
    try:
        return read_connectors(folder)
    except ToolError:
        if any(folder.glob("*.json")):
            raise
        return []


def finding(statement: FileStatement, at: ast.Node | None, rule: str, why: str, instead: str) -> Finding:
    """A finding at a node, or at its statement's beginning."""
    line = at.at.line if at is not None and at.at is not None else statement.line
    return Finding(statement.file, line, rule, why, instead)


def walk(node: Any) -> Iterator[ast.Node]:  # noqa: ANN401 - nodes, tuples and values
    """Every node of a tree, outermost first."""
    if isinstance(node, tuple | list):
        for part in node:
            yield from walk(part)
    elif isinstance(node, ast.Node):
        yield node
        if is_dataclass(node):
            for one in fields(node):
                if one.name != "at":
                    yield from walk(getattr(node, one.name))
