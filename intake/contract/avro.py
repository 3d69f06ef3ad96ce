"""Reads an Avro schema into small frozen types: the part of Avro in which a check can be described."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from intake.contract.errors import Json


class SchemaUnsupportedError(Exception):
    """The schema uses something that intake cannot take from JSON; the message names the field."""


@dataclass(frozen=True)
class Text:
    """A string; `is_uuid` for logical type uuid."""

    is_uuid: bool = False


@dataclass(frozen=True)
class Boolean:
    """true or false."""


@dataclass(frozen=True)
class Integer:
    """int (32 bits) or long (64 bits)."""

    bits: Literal[32, 64]


@dataclass(frozen=True)
class Floating:
    """float (32 bits) or double (64 bits); never used for money."""

    bits: Literal[32, 64]


@dataclass(frozen=True)
class Decimals:
    """bytes with logical type decimal."""

    precision: int
    scale: int


@dataclass(frozen=True)
class Moment:
    """long with logical type timestamp-millis or timestamp-micros."""

    units_per_ms: Literal[1, 1000]


@dataclass(frozen=True)
class Day:
    """int with logical type date."""


@dataclass(frozen=True)
class Choice:
    """An enum."""

    symbols: tuple[str, ...]


@dataclass(frozen=True)
class Listing:
    """An array."""

    items: AvroType


@dataclass(frozen=True)
class Mapped:
    """A map from strings."""

    values: AvroType


@dataclass(frozen=True)
class Optional:
    """A union of null and one other type; `null_index` is the place of null in it."""

    inner: AvroType
    null_index: Literal[0, 1]


@dataclass(frozen=True)
class Field:
    """A field of a record. With `has_default` it may be left out."""

    name: str
    type: AvroType
    has_default: bool = False
    default: Any = None
    doc: str = ""


@dataclass(frozen=True)
class Record:
    """A record; `name` is without its namespace."""

    name: str
    fields: tuple[Field, ...]
    doc: str = ""


Scalar = Text | Boolean | Integer | Floating | Decimals | Moment | Day | Choice
AvroType = Scalar | Listing | Mapped | Optional | Record

_PLAIN: Mapping[str, AvroType] = {
    "string": Text(),
    "boolean": Boolean(),
    "int": Integer(32),
    "long": Integer(64),
    "float": Floating(32),
    "double": Floating(64),
}


class _Reader:
    """Reads one schema document; knows the named types seen so far, since Avro lets later fields refer to them."""

    def __init__(self) -> None:
        self.named: dict[str, Record | Choice | None] = {}

    def read(self, schema: Json, where: str) -> AvroType:
        if isinstance(schema, str):
            if schema in _PLAIN:
                return _PLAIN[schema]
            short = schema.rpartition(".")[2]
            if short in self.named:
                known = self.named[short]
                if known is None:
                    raise SchemaUnsupportedError(f"{where}: record {schema} contains itself, which no check may do")
                return known
            raise SchemaUnsupportedError(f"{where}: Avro type {schema!r} has no form in JSON that intake takes")
        if isinstance(schema, list):
            return self._union(schema, where)
        if not isinstance(schema, dict):
            raise SchemaUnsupportedError(f"{where}: {schema!r} is no Avro schema")
        return self._complex(schema, where)

    def _union(self, branches: list[Any], where: str) -> Optional:
        if len(branches) != 2 or branches.count("null") != 1:
            raise SchemaUnsupportedError(f"{where}: of unions intake takes those of null and one other type")
        index: Literal[0, 1] = 0 if branches[0] == "null" else 1
        return Optional(self.read(branches[1 - index], where), index)

    def _complex(self, schema: dict[str, Any], where: str) -> AvroType:
        kind, logical = schema.get("type"), schema.get("logicalType")
        match kind, logical:
            case "record", _:
                return self._record(schema, where)
            case "enum", _:
                choice = Choice(tuple(schema["symbols"]))
                self.named[str(schema["name"]).rpartition(".")[2]] = choice
                return choice
            case "array", _:
                return Listing(self.read(schema["items"], f"{where}/*"))
            case "map", _:
                return Mapped(self.read(schema["values"], f"{where}/*"))
            case "bytes", "decimal":
                return Decimals(int(schema["precision"]), int(schema.get("scale", 0)))
            case "long", "timestamp-millis":
                return Moment(1)
            case "long", "timestamp-micros":
                return Moment(1000)
            case "int", "date":
                return Day()
            case "string", "uuid":
                return Text(is_uuid=True)
            case str() | dict() | list(), None:
                return self.read(kind, where)
        # Avro says that an unknown logical type is its plain type; a guess at its meaning in JSON would be ours alone.
        raise SchemaUnsupportedError(f"{where}: {logical or ''} {kind} has no form in JSON that intake takes")

    def _record(self, schema: dict[str, Any], where: str) -> Record:
        name = str(schema["name"]).rpartition(".")[2]
        self.named[name] = None
        fields = []
        for field in schema["fields"]:
            place = f"{where}/{field['name']}"
            has_default = "default" in field
            fields.append(
                Field(
                    name=str(field["name"]),
                    type=self.read(field["type"], place),
                    has_default=has_default,
                    default=field.get("default"),
                    doc=str(field.get("doc", "")),
                )
            )
        record = Record(name, tuple(fields), str(schema.get("doc", "")))
        self.named[name] = record
        return record


def read_schema(text: str) -> Record:
    """The record that an Avro schema document describes. Raises SchemaUnsupportedError."""
    try:
        found = _Reader().read(json.loads(text), "")
    except (KeyError, TypeError, ValueError) as error:
        raise SchemaUnsupportedError(f"not an Avro schema that can be read: {error!r}") from error
    if not isinstance(found, Record):
        raise SchemaUnsupportedError("the schema of a check must be a record")
    return found
