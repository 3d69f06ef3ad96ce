"""Serdes of every format, and columns inferred from registered schemas."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from ksqlite.errors import AnalysisError, UnsupportedError
from ksqlite.formats import avro_codec, avro_schema, delimited, json_format, json_schema, kafka_format
from ksqlite.formats.api import (
    DeserializationError,
    FormatSpec,
    RegisteredSchema,
    Row,
    SchemaRegistry,
    Serde,
    SerializationError,
)
from ksqlite.formats.rules import check_spec, format_info, key_columns, unwrapped
from ksqlite.types import Column, SqlType

MAGIC = b"\x00"


def subject_of(topic: str, *, is_key: bool) -> str:
    """The subject under which a topic's schema is registered."""
    return f"{topic}-{'key' if is_key else 'value'}"


def header(schema_id: int) -> bytes:
    """The five bytes before a body whose schema is registered."""
    return MAGIC + schema_id.to_bytes(4, "big")


def schema_text(spec: FormatSpec, columns: Sequence[Column], *, is_key: bool) -> tuple[str, str] | None:
    """The schema that ksqlDB registers for these columns, and its type (AVRO, JSON); None where the format has none."""
    pairs = [(column.name, column.type) for column in columns]
    single = unwrapped(spec, columns, is_key=is_key)
    if spec.name == "AVRO":
        if single:
            return avro_schema.single_schema(pairs[0][1], spec.schema_full_name), "AVRO"
        return avro_schema.record_schema(pairs, spec.schema_full_name), "AVRO"
    if spec.name == "JSON_SR":
        if single:
            return json_schema.single_schema(pairs[0][1]), "JSON"
        return json_schema.object_schema(pairs, spec.schema_full_name), "JSON"
    return None


def infer_columns(
    schema: RegisteredSchema, *, is_key: bool, wrap: bool | None = None, upper: bool = True
) -> tuple[Column, ...]:
    """The columns that ksqlDB infers from a registered schema.

    ``wrap`` as in FormatSpec; an unwrapped schema becomes one column ROWKEY or ROWVAL. ``upper`` is False when the
    schema was asked for by its id: names stay as they are then. Raises AnalysisError, UnsupportedError.
    """
    if schema.type not in ("AVRO", "JSON"):
        raise UnsupportedError(f"Schemas of type {schema.type} are not supported: use AVRO or JSON Schema instead")
    if schema.references:
        raise UnsupportedError("Schemas with references to others are not supported")
    single = (wrap is None and is_key) or wrap is False
    if schema.type == "AVRO":
        avro = avro_schema.parse(schema.text)
        if single:
            inferred = avro_schema.sql_type(avro, upper=upper)
            return _single(inferred, is_key=is_key)
        optional = avro.optional
        record = optional[1] if optional is not None else avro
        if record.kind != "record":
            raise AnalysisError(
                f"The schema is no record but {record.kind}; set WRAP_SINGLE_VALUE to false to read it."
            )
        return key_columns(avro_schema.record_columns(record, upper=upper), is_key=is_key)
    node = json_schema.parse(schema.text)
    if single:
        return _single(json_schema.sql_type(node, upper=upper), is_key=is_key)
    if "oneOf" in node:
        others = [branch for branch in node["oneOf"] if branch.get("type") != "null"]
        node = others[0] if len(others) == 1 else node
    if node.get("type") != "object":
        raise AnalysisError("The schema is no object; set WRAP_SINGLE_VALUE to false to read it.")
    return key_columns(json_schema.object_columns(node, upper=upper), is_key=is_key)


def _single(inferred: SqlType | None, *, is_key: bool) -> tuple[Column, ...]:
    if inferred is None:
        raise AnalysisError("The registered schema has no columns that ksqlDB could use")
    return key_columns([("ROWKEY" if is_key else "ROWVAL", inferred)], is_key=is_key)


class NothingSerde:
    """NONE: no columns; bytes are ignored."""

    def serialize(self, row: Row | None) -> bytes | None:  # noqa: ARG002 - the interface
        """Always None."""
        return None

    def deserialize(self, data: bytes | None) -> Row | None:
        """The empty row, for any bytes."""
        return None if data is None else ()

    def register(self) -> int | None:
        """Nothing to register."""
        return None


class PlainSerde:
    """A format without schema registry: JSON, DELIMITED, KAFKA."""

    def __init__(self, encode: Callable[[Row], bytes | None], decode: Callable[[bytes], Row | None]) -> None:
        self._encode = encode
        self._decode = decode

    def serialize(self, row: Row | None) -> bytes | None:
        """The bytes of a row."""
        return None if row is None else self._encode(row)

    def deserialize(self, data: bytes | None) -> Row | None:
        """The row of some bytes."""
        return None if data is None else self._decode(data)

    def register(self) -> int | None:
        """Nothing to register."""
        return None


class RegisteredSerde:
    """AVRO and JSON_SR: bodies behind the id of their schema."""

    def __init__(
        self, spec: FormatSpec, columns: Sequence[Column], registry: SchemaRegistry, subject: str, *, is_key: bool
    ) -> None:
        self._spec = spec
        self._pairs = [(column.name, column.type) for column in columns]
        self._single = unwrapped(spec, columns, is_key=is_key)
        self._registry = registry
        self._subject = subject
        made = schema_text(spec, columns, is_key=is_key)
        assert made is not None  # noqa: S101 - for the type checker
        self._text, self._type = made
        self._encode: Callable[[Row], bytes] | None = None
        self._decoders: dict[bytes, Callable[[bytes], Row | None]] = {}

    def register(self) -> int | None:
        """The id of the schema, registered when it is new; the given schema id where there is one."""
        if self._spec.schema_id is not None:
            return self._spec.schema_id
        return self._registry.register(self._subject, self._text, self._type)

    def serialize(self, row: Row | None) -> bytes | None:
        """The bytes of a row."""
        if row is None or (self._single and row[0] is None):
            return None
        encode = self._encode
        if encode is None:
            encode = self._encode = self.encoder()
        return encode(row)

    def encoder(self) -> Callable[[Row], bytes]:
        """The function behind ``serialize`` for rows that are not None; registers the schema."""
        schema_id = self.register()
        assert schema_id is not None  # noqa: S101 - for the type checker
        text = self._text
        if self._spec.schema_id is not None:
            known = self._registry.by_id(schema_id)
            if known is None:
                raise SerializationError(f"There is no schema with id {schema_id} in the registry")
            text = known.text
        head = header(schema_id)
        if self._type == "AVRO":
            return avro_codec.encoder(avro_schema.parse(text), self._pairs, head=head, single=self._single)
        inner = json_format.encoder(self._pairs, single=self._single)

        def encode(row: Row) -> bytes:
            return head + (inner(row) or b"null")

        return encode

    def deserialize(self, data: bytes | None) -> Row | None:
        """The row of some bytes."""
        if data is None:
            return None
        decode = self._decoders.get(data[:5])
        if decode is None:
            decode = self.decoder(data[:5])
        return decode(data)

    def decoder(self, head: bytes) -> Callable[[bytes], Row | None]:
        """The function that reads data with this head (five bytes), head included."""
        if len(head) < 5 or head[0] != 0:
            raise DeserializationError("Unknown magic byte!" if head else "The value is empty")
        schema_id = int.from_bytes(head[1:5], "big")
        schema = self._registry.by_id(schema_id)
        if schema is None:
            raise DeserializationError(f"There is no schema with id {schema_id} in the registry")
        if schema.type != self._type:
            raise DeserializationError(f"The schema with id {schema_id} is of type {schema.type}, not {self._type}")
        made: Callable[[bytes], Row | None]
        if self._type == "AVRO":
            try:
                avro = avro_schema.parse(schema.text)
            except (AnalysisError, UnsupportedError) as problem:
                raise DeserializationError(problem.message) from None
            made = self._avro_decoder(avro)
        else:
            inner = json_format.decoder(self._pairs, single=self._single)

            def made(data: bytes) -> Row | None:
                return inner(data[5:])

        self._decoders[head] = made
        return made

    def _avro_decoder(self, avro: avro_schema.AvroType) -> Callable[[bytes], Row | None]:
        if self._single:
            inner = avro_codec.decoder(avro, self._pairs, start=5, single=True)

            def decode(data: bytes) -> Row | None:
                row = inner(data)
                return None if row[0] is None else row

            return decode
        optional = avro.optional
        if optional is not None and optional[1].kind == "record":
            # a top-level union of null with a record: the branch's index is one byte
            null, record = optional
            present = avro_codec.decoder(record, self._pairs, start=6)
            return lambda data: None if data[5] == 2 * null else present(data)
        return avro_codec.decoder(avro, self._pairs, start=5)


def serde(
    spec: FormatSpec, columns: Sequence[Column], *, is_key: bool, registry: SchemaRegistry, subject: str
) -> Serde:
    """A serde for the key's or the value's columns of a topic (``subject``: see ``subject_of``).

    Raises AnalysisError where the format cannot hold the columns, UnsupportedError for formats that are not there.
    """
    info = format_info(spec.name)
    check_spec(spec, columns, is_key=is_key)
    if info.name == "NONE" or not columns:
        return NothingSerde()
    pairs = [(column.name, column.type) for column in columns]
    if info.name == "KAFKA":
        return PlainSerde(kafka_format.encoder(pairs[0][1]), kafka_format.decoder(pairs[0][1]))
    if info.name == "DELIMITED":
        delimiter = delimited.delimiter_of(spec.delimiter, is_key=is_key)
        return PlainSerde(delimited.encoder(pairs, delimiter), delimited.decoder(pairs, delimiter))
    single = unwrapped(spec, columns, is_key=is_key)
    if info.name == "JSON":
        return PlainSerde(json_format.encoder(pairs, single=single), json_format.decoder(pairs, single=single))
    return RegisteredSerde(spec, columns, registry, subject, is_key=is_key)


class NodeCodec:
    """JSON documents to the bytes of a topic's key or value and back: test cases and INSERT speak JSON.

    ``text``: the schema of the topic where a case gives it; otherwise it is made from the columns.
    """

    def __init__(
        self,
        spec: FormatSpec,
        columns: Sequence[Column],
        *,
        is_key: bool,
        registry: SchemaRegistry,
        subject: str,
        text: str | None = None,
    ) -> None:
        self._name = format_info(spec.name).name
        self._columns = columns
        self._single = unwrapped(spec, columns, is_key=is_key)
        self._registry = registry
        self._head = b""
        self._avro: avro_schema.AvroType | None = None
        if self._name in ("AVRO", "JSON_SR"):
            made = schema_text(spec, columns, is_key=is_key)
            kind = "AVRO" if self._name == "AVRO" else "JSON"
            chosen = text if text is not None else made[0] if made is not None else ""
            schema_id = spec.schema_id if spec.schema_id is not None else registry.register(subject, chosen, kind)
            if spec.schema_id is not None and (known := registry.by_id(schema_id)) is not None:
                chosen = known.text
            self._head = header(schema_id)
            self._avro = avro_schema.parse(chosen) if self._name == "AVRO" else None
        if self._name == "KAFKA" and columns:
            self._plain = serde(spec, columns, is_key=is_key, registry=registry, subject=subject)

    def encode(self, node: Any) -> bytes | None:  # noqa: ANN401 - any JSON
        """Bytes of a document; None stays None. Raises SerializationError."""
        if node is None or self._name == "NONE":
            return None
        if self._name == "DELIMITED":
            return (node if isinstance(node, str) else json_format.write_any(node)).encode()
        if self._name == "KAFKA":
            if not self._columns:
                return str(node).encode()
            try:
                return self._plain.serialize((json_format.reader(self._columns[0].type)(node),))
            except DeserializationError as problem:
                raise SerializationError(str(problem)) from None
        if self._avro is not None:
            return self._head + avro_codec.encode_json(self._avro, node)
        return self._head + json_format.write_any(node).encode()

    def decode(self, data: bytes | None) -> Any:  # noqa: ANN401 - any JSON
        """The document of some bytes; byte strings as base64. Raises DeserializationError."""
        if data is None:
            return None
        if self._name in ("DELIMITED", "NONE"):
            return data.decode(errors="replace")
        if self._name == "KAFKA":
            if not self._columns:
                return data.decode(errors="replace")
            row = self._plain.deserialize(data)
            return None if row is None else json_format.parse(json_format.write_any(row[0]).encode())
        if self._avro is not None:
            return self._decode_avro(data)
        return json_format.parse(data[len(self._head) :])

    def _decode_avro(self, data: bytes) -> Any:  # noqa: ANN401 - any JSON
        schema = self._registry.by_id(int.from_bytes(data[1:5], "big"))
        if schema is None:
            raise DeserializationError("The data's schema is not in the registry")
        avro = avro_schema.parse(schema.text)
        sql = avro_schema.sql_type(avro, upper=False)
        assert sql is not None  # noqa: S101 - for the type checker
        (value,) = avro_codec.decoder(avro, [("V", sql)], start=5, single=True)(data)
        document = json_format.encoder([("V", sql)], single=True)((value,))
        return None if document is None else json.loads(document, parse_float=Decimal)
