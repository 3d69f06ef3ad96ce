"""The .sql files that cases are run against: of each case only the statements that its topics need."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ksqlite import ast, parser
from ksqlite.testing.cases import Case


@dataclass(frozen=True, slots=True)
class Piece:
    """A statement, what it declares or writes, and what it reads. ``topic`` is that of its sink or source."""

    text: str
    name: str | None
    topic: str | None
    sources: tuple[str, ...]


class Pipeline:
    """All statements of some .sql files, in order, and the schemas that the registry is to have."""

    def __init__(self, files: Sequence[Path], schemas: Sequence[Mapping[str, Any]] = ()) -> None:
        self.schemas = schemas
        self.pieces: list[Piece] = []
        for file in files:
            for located in parser.parse(file.read_text("utf-8")):
                self.pieces.append(_piece(located))

    def complete(self, case: Case) -> Case:
        """The case with the statements that it needs before its own, and with the schemas of its topics."""
        body = dict(case.body)
        own = list(body.get("statements") or ())
        topics = {record["topic"] for record in body.get("outputs") or ()}
        names = {word for text in own for word in _names(text)}
        body["statements"] = [*self._needed(topics, names), *own]
        given = {topic["name"] for topic in body.get("topics") or () if isinstance(topic, dict)}
        body["topics"] = [*(each for each in self.schemas if each["name"] not in given), *(body.get("topics") or ())]
        return Case(case.file, case.name, body, case.folder)

    def _needed(self, topics: set[str], names: set[str]) -> list[str]:
        needed = set(names)
        found: set[int] = set()
        changed = True
        while changed:
            changed = False
            for number, piece in enumerate(self.pieces):
                if number not in found and (piece.name in needed or (piece.topic in topics and piece.sources)):
                    found.add(number)
                    needed.update(piece.sources)
                    if piece.name is not None:
                        needed.add(piece.name)
                    changed = True
                    topics = topics | {each.topic for each in self.pieces if each.name in needed and each.topic}
        return [f"{piece.text};" for number, piece in enumerate(self.pieces) if number in found or piece.name is None]


def _piece(located: ast.Located) -> Piece:
    statement = located.statement
    match statement:
        case ast.CreateSource():
            topic = dict(statement.properties).get("KAFKA_TOPIC")
            return Piece(located.text, statement.name, None if topic is None else str(topic), ())
        case ast.CreateAsSelect():
            topic = dict(statement.properties).get("KAFKA_TOPIC")
            sources = _sources(statement.query)
            return Piece(located.text, statement.name, str(topic or statement.name), sources)
        case ast.InsertInto():
            return Piece(located.text, statement.target, None, (statement.target, *_sources(statement.query)))
        case ast.SetProperty() if "cache" in statement.name:
            return Piece("SET 'cache.max.bytes.buffering'='0'", None, None, ())  # a case shows every update
        case _:
            return Piece(located.text, None, None, ())


def _sources(query: ast.Query) -> tuple[str, ...]:
    return (query.source.name, *(join.source.name for join in query.joins))


def _names(text: str) -> set[str]:
    """The sources that a case's own statements read."""
    found: set[str] = set()
    for located in parser.parse(text):
        statement = located.statement
        if isinstance(statement, ast.CreateAsSelect | ast.InsertInto | ast.QueryStatement):
            found.update(_sources(statement.query))
    return found


def find_files(cases: Path, given: Iterable[Path]) -> list[Path]:
    """The .sql files: those given (files or folders), otherwise those beside the folder of cases."""
    folders = list(given)
    if not folders:
        start = cases if cases.is_dir() else cases.parent
        folders = [start.resolve().parent]
    files: list[Path] = []
    for each in folders:
        files += sorted(each.glob("*.sql")) if each.is_dir() else [each]
    return files


def find_schemas(files: Sequence[Path], given: Path | None) -> list[dict[str, Any]]:
    """Schemas of a folder whose subjects.json says which file belongs to which subject; by default ../schemas."""
    folder = given
    if folder is None:
        if not files:
            return []
        folder = files[0].resolve().parent.parent / "schemas"
    index = folder / "subjects.json"
    if not index.is_file():
        return []
    topics: dict[str, dict[str, Any]] = {}
    for subject, entry in json.loads(index.read_text("utf-8")).items():
        name, _, side = subject.rpartition("-")
        schema = json.loads((folder / entry["file"]).read_text("utf-8"))
        topic = topics.setdefault(name, {"name": name})
        topic[f"{side}Schema"] = schema
        topic[f"{side}Format"] = "AVRO"
    return list(topics.values())
