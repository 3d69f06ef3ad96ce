"""Reads the numbered .sql files into a pipeline: streams and tables, what each reads, and the settings in force."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ksql.errors import FileError, ToolError
from ksqlite import ast
from ksqlite.errors import KsqlError
from ksqlite.parser import parse

_PLACE = re.compile(r"^line \d+:\d+: ")
"""What the parser's messages begin with; a FileError names the place itself."""
VERSION_VARIABLE = "version"
"""``${version}`` in a file is the number of the version that is being applied."""


@dataclass(frozen=True, slots=True)
class FileStatement:
    """One statement of a file, with its place as an editor counts it and the settings in force there."""

    file: str
    line: int
    column: int
    text: str
    node: ast.Statement
    settings: Mapping[str, str]

    def error(self, reason: str, at: ast.Node | None = None) -> FileError:
        """A mistake in this statement, at the node where it lies."""
        place = at.at if at is not None and at.at is not None else None
        if place is None:
            return FileError(self.file, self.line, self.column, reason)
        return FileError(self.file, place.line, place.column + 1, reason)


@dataclass(frozen=True, slots=True)
class PipelineObject:
    """A stream or a table: the statement that creates it and those that insert into it."""

    name: str
    kind: str
    """STREAM, TABLE or TYPE."""
    statements: tuple[FileStatement, ...]
    reads: tuple[str, ...]
    topic: str
    writes: bool
    """Whether its own queries write the topic, or others do."""

    @property
    def create(self) -> FileStatement:
        """The statement that creates it."""
        return self.statements[0]

    @property
    def settings(self) -> Mapping[str, str]:
        """The SET properties in force where it is created."""
        return self.create.settings

    @property
    def checksum(self) -> str:
        """Of what it says: the same whatever its comments, white space and place in the file."""
        return checksum([statement.node for statement in self.statements])


@dataclass(frozen=True, slots=True)
class Pipeline:
    """All objects in the order in which they must be created."""

    objects: Mapping[str, PipelineObject]
    statements: tuple[FileStatement, ...] = field(default=())

    def __iter__(self) -> Iterator[PipelineObject]:
        return iter(self.objects.values())

    def writer_of(self, topic: str) -> PipelineObject | None:
        """The object whose queries write a topic."""
        return next((one for one in self if one.topic == topic and one.writes), None)

    def sources_of(self, one: PipelineObject) -> list[PipelineObject]:
        """What an object depends on: the objects it reads, and for one declared over a topic, that topic's writer."""
        found = [self.objects[name] for name in one.reads]
        if not one.writes and one.kind != "TYPE":
            writer = self.writer_of(one.topic)
            if writer is not None and writer.name != one.name:
                found.append(writer)
        return found

    def downstream(self, names: set[str]) -> set[str]:
        """These objects and everything that depends on them."""
        found = set(names)
        for one in self:
            if any(source.name in found for source in self.sources_of(one)):
                found.add(one.name)
        return found


def checksum(nodes: list[ast.Statement]) -> str:
    """Of statements, however they are written."""
    return hashlib.sha256("\n".join(repr(node) for node in nodes).encode()).hexdigest()


def read_pipeline(folder: Path, version: int = 1) -> Pipeline:
    """Read every .sql file of the folder in order of name; raises FileError for the first mistake, with its place."""
    files = sorted(folder.glob("*.sql"))
    if not files:
        raise ToolError(f"{folder} holds no .sql files.")
    variables = {VERSION_VARIABLE: str(version)}
    settings: dict[str, str] = {}
    found: list[FileStatement] = []
    for file in files:
        found += _read_file(file, variables, settings)
    return _gather(found)


def _read_file(file: Path, variables: dict[str, str], settings: dict[str, str]) -> list[FileStatement]:
    text = file.read_text(encoding="utf-8")
    try:
        parsed = parse(text, variables)
    except KsqlError as error:
        column = None if error.column is None else error.column + 1
        raise FileError(file.name, error.line, column, _PLACE.sub("", error.message)) from error
    found = []
    for located in parsed:
        node = located.statement
        place = located.at or ast.Place(1, 0)
        match node:
            case ast.SetProperty(name=name, value=value):
                settings[name] = value
            case ast.UnsetProperty(name=name):
                settings.pop(name, None)
            case ast.DefineVariable(name=name, value=value):
                variables[name] = value
            case ast.UndefineVariable(name=name):
                variables.pop(name, None)
            case ast.CreateSource() | ast.CreateAsSelect() | ast.InsertInto() | ast.CreateType():
                text = located.text.rstrip().rstrip(";")
                found.append(FileStatement(file.name, place.line, place.column + 1, text, node, dict(settings)))
            case _:
                raise FileError(
                    file.name,
                    place.line,
                    place.column + 1,
                    "only SET, UNSET, DEFINE, UNDEFINE, CREATE and INSERT INTO … SELECT belong into a pipeline's file; "
                    "run anything else with scripts/ksql query",
                )
    return found


def _gather(statements: list[FileStatement]) -> Pipeline:
    objects: dict[str, PipelineObject] = {}
    for statement in statements:
        match statement.node:
            case ast.InsertInto(target=target, query=query):
                if target not in objects:
                    raise statement.error(f"{target} is not created before something is inserted into it")
                before = objects[target]
                objects[target] = PipelineObject(
                    name=target,
                    kind=before.kind,
                    statements=(*before.statements, statement),
                    reads=tuple(dict.fromkeys((*before.reads, *_sources(statement, query, objects)))),
                    topic=before.topic,
                    writes=True,
                )
            case ast.CreateAsSelect(name=name, query=query):
                objects[name] = _object(statement, name, objects, _sources(statement, query, objects), writes=True)
            case ast.CreateSource(name=name):
                objects[name] = _object(statement, name, objects, (), writes=False)
            case ast.CreateType(name=name):
                _refuse_twin(statement, name, objects)
                objects[name] = PipelineObject(name, "TYPE", (statement,), (), "", writes=False)
    return Pipeline(objects, tuple(statements))


def _object(
    statement: FileStatement, name: str, objects: Mapping[str, PipelineObject], reads: tuple[str, ...], *, writes: bool
) -> PipelineObject:
    node = statement.node
    assert isinstance(node, ast.CreateSource | ast.CreateAsSelect)  # noqa: S101 - for the type checker
    _refuse_twin(statement, name, objects)
    topic = dict(node.properties).get("KAFKA_TOPIC")
    if not isinstance(topic, str):
        raise statement.error(f"{name} does not name its topic: write WITH (KAFKA_TOPIC='{name.lower()}', …)")
    twin = next((one for one in objects.values() if one.topic == topic and one.writes and writes), None)
    if twin is not None:
        raise statement.error(f"topic {topic} is written by {twin.name} already")
    kind = "TABLE" if node.is_table else "STREAM"
    return PipelineObject(name, kind, (statement,), reads, topic, writes=writes)


def _refuse_twin(statement: FileStatement, name: str, objects: Mapping[str, PipelineObject]) -> None:
    if name in objects:
        first = objects[name].create
        raise statement.error(f"{name} is created twice, first in {first.file}:{first.line}")


def _sources(statement: FileStatement, query: ast.Query, objects: Mapping[str, PipelineObject]) -> tuple[str, ...]:
    sources = (query.source, *(join.source for join in query.joins))
    for source in sources:
        if source.name not in objects:
            raise statement.error(f"{source.name} is read before any file creates it", source)
    return tuple(dict.fromkeys(source.name for source in sources))
