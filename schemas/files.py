"""Reads schemas/: which file belongs to which subject, and how compatible its versions must be."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastavro.schema import SchemaParseException, UnknownType, parse_schema

from ksql.errors import FileError, ToolError


@dataclass(frozen=True, slots=True)
class SubjectSchema:
    """One subject of the registry and the schema that its file holds."""

    subject: str
    file: Path
    text: str
    schema: dict[str, Any]
    compatibility: str


def read_schemas(folder: Path) -> list[SubjectSchema]:
    """All subjects that subjects.json names, in its order; raises ToolError or FileError for what cannot be read."""
    index = _json(folder / "subjects.json")
    found = []
    for subject, entry in index.items():
        file = folder / entry["file"]
        schema = _json(file)
        try:
            parse_schema(json.loads(json.dumps(schema)))
        except (SchemaParseException, UnknownType, KeyError, ValueError) as error:
            raise FileError(file.name, None, None, f"not an Avro schema: {error!r}") from error
        found.append(
            SubjectSchema(
                subject=subject,
                file=file,
                text=json.dumps(schema, ensure_ascii=False),
                schema=schema,
                compatibility=entry["compatibility"],
            )
        )
    return found


def _json(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ToolError(f"{file} does not exist.") from error
    except json.JSONDecodeError as error:
        raise FileError(file.name, error.lineno, error.colno, f"not JSON: {error.msg}") from error
    if not isinstance(value, dict):
        raise FileError(file.name, 1, 1, "must hold a JSON object")
    return value
