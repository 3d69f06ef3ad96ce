"""What formats offer to the rest of ksqlite: serdes of rows, a schema registry, schemas read and written.

A row is a tuple of Python values (``ksqlite.types``) in the order of its columns; a serde turns the key's or the
value's columns of a record into bytes and back. Nothing here knows Kafka, windows are the caller's business
(``ksqlite.formats.windowed``).

Made by ``ksqlite.formats.serde(spec, columns, ...)``; see ``ksqlite.formats`` for the functions:

- ``serde(spec, columns, is_key, registry, subject) -> Serde``
- ``check_spec(spec, columns, is_key)``: raises AnalysisError in ksqlDB's words where the format cannot hold the columns
- ``infer_columns(schema, is_key, wrap) -> columns``: SQL columns of a registered schema
- ``schema_text(spec, columns, is_key) -> text``: what ksqlDB would register
- ``encode_node`` / ``decode_node``: JSON documents (test cases, INSERT) to bytes of any format and back
- ``windowed_key`` / ``split_windowed_key``
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

Row = tuple[Any, ...]
"""Values of the columns, in order."""


@dataclass(frozen=True, slots=True)
class FormatSpec:
    """A format and its properties, as WITH (…) gave them.

    ``name`` is upper case: AVRO, JSON, JSON_SR, DELIMITED, KAFKA, NONE (PROTOBUF and PROTOBUF_NOSR are refused).
    ``wrap`` is WRAP_SINGLE_VALUE; None is the format's default (values wrapped, keys not).
    ``delimiter`` is VALUE_DELIMITER or KEY_DELIMITER as written (a character, SPACE or TAB).
    ``schema_full_name`` is VALUE_AVRO_SCHEMA_FULL_NAME or KEY_…; ``schema_id`` is VALUE_SCHEMA_ID or KEY_SCHEMA_ID.
    """

    name: str
    wrap: bool | None = None
    delimiter: str | None = None
    schema_full_name: str | None = None
    schema_id: int | None = None


@dataclass(frozen=True, slots=True)
class RegisteredSchema:
    """A schema as the registry has it. ``type`` is AVRO, JSON or PROTOBUF."""

    id: int
    text: str
    type: str = "AVRO"
    version: int = 1
    references: tuple[Mapping[str, Any], ...] = field(default=(), compare=False)


class RegistryError(Exception):
    """The registry could not be reached, or refused a schema (the message is its own)."""


class SchemaRegistry(Protocol):
    """A schema registry. Implementations: MemoryRegistry, HttpRegistry (Confluent's API)."""

    def latest(self, subject: str) -> RegisteredSchema | None:
        """The newest schema of a subject, or None when there is no such subject."""

    def by_id(self, schema_id: int) -> RegisteredSchema | None:
        """The schema with an id, or None. Answers are kept: an id never changes its schema."""

    def register(self, subject: str, text: str, schema_type: str = "AVRO") -> int:
        """The id of the schema under the subject, registered when it is new. Raises RegistryError."""

    def subjects(self) -> list[str]:
        """All subjects, sorted."""

    def delete(self, subject: str) -> None:
        """Deletes a subject (DROP … DELETE TOPIC); no error when it is not there."""


class DeserializationError(Exception):
    """Bytes that are not what the format and schema say; the record is skipped and told to the processing log."""


class SerializationError(Exception):
    """A row that the registered schema cannot hold."""


class Serde(Protocol):
    """Rows to bytes and back. ``columns`` fixes the order of a row's values."""

    def serialize(self, row: Row | None) -> bytes | None:
        """The bytes of a row; None (a tombstone, a null key) stays None. Raises SerializationError."""

    def deserialize(self, data: bytes | None) -> Row | None:
        """The row of some bytes; None stays None. Raises DeserializationError."""

    def register(self) -> int | None:
        """Puts the schema of this serde's columns into the registry; its id, or None where the format has none."""
