"""PRINT: records of a topic as text, in whatever format they seem to be."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ksqlite import ast
from ksqlite.formats import DeserializationError, FormatSpec, SchemaRegistry, infer_columns, serde
from ksqlite.server.answers import writer
from ksqlite.server.backend import TopicRecord
from ksqlite.types import Base, Field, StructType
from ksqlite.values import times

_NULL = "<null>"
_MAGIC = 0
_EARLIEST_MS, _LATEST_MS = 946_684_800_000, 4_102_444_800_000
"""2000 to 2100: what the bounds of a window are taken for, and other eight bytes are not."""

Reader = Callable[[bytes], "str | None"]
"""The text of some bytes, or None where they are not of that format."""


@dataclass(slots=True)
class _Side:
    """What is known of the keys, or values, so far: the formats that all of them could be in."""

    name: str
    readers: dict[str, Reader]
    possible: list[str] = field(default_factory=list)
    shown: list[str] | None = None

    def text(self, data: bytes | None) -> str:
        """The data as text, after which ``possible`` holds the formats that it could be in."""
        if data is None:
            return _NULL
        texts = {name: text for name, read in self.readers.items() if (text := read(data)) is not None}
        if not texts:
            texts = {"UNRECOGNIZED_BYTES": data.hex()}
        still = [name for name in self.possible if name in texts]
        self.possible = still or list(texts)
        return texts[self.possible[0]]

    def heading(self) -> str | None:
        """The line that tells the formats, when they have become other ones."""
        if not self.possible or self.possible == self.shown:
            return None
        self.shown = list(self.possible)
        return f"{self.name} format: {' or '.join(self.possible)}\n"


class TopicPrinter:
    """Prints the records of one PRINT statement."""

    def __init__(self, statement: ast.PrintTopic, registry: SchemaRegistry) -> None:
        self._interval = statement.interval or 1
        self._limit = statement.limit
        self._seen = 0
        self._printed = 0
        decoders = _Registered(registry)
        values = {"AVRO": decoders.avro, "JSON_SR": decoders.json, "JSON": _json}
        plain = {
            "KAFKA_INT": _number(">i"),
            "KAFKA_BIGINT": _number(">q"),
            "KAFKA_DOUBLE": _number(">d"),
            "KAFKA_STRING": _string,
        }
        windows = {"SESSION(KAFKA_STRING)": _session, "TUMBLING(KAFKA_STRING) or HOPPING(KAFKA_STRING)": _time_window}
        self._key = _Side("Key", {**windows, **values, **plain})
        self._value = _Side("Value", {**values, **plain})

    @property
    def finished(self) -> bool:
        """Whether LIMIT is reached."""
        return self._limit is not None and self._printed >= self._limit

    def text(self, records: Sequence[TopicRecord]) -> str:
        """The lines of some more records."""
        lines: list[str] = []
        for record in records:
            if self.finished:
                break
            self._seen += 1
            if (self._seen - 1) % self._interval:
                continue
            self._printed += 1
            key, value = self._key.text(record.key), self._value.text(record.value)
            lines += [heading for side in (self._key, self._value) if (heading := side.heading()) is not None]
            stamp = times.format_timestamp(record.timestamp).replace("-", "/").replace("T", " ")
            lines.append(f"rowtime: {stamp} Z, key: {key}, value: {value}, partition: {record.partition}\n")
        return "".join(lines)


def _json(data: bytes) -> str | None:
    try:
        text = data.decode()
        json.loads(text)
    except ValueError:
        return None
    return text if text[:1] in "{[" else None


def _string(data: bytes) -> str | None:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _number(layout: str) -> Reader:
    """Numbers as Kafka's own serialisers write them; text of the same length is taken for text."""
    size = struct.calcsize(layout)

    def read(data: bytes) -> str | None:
        if len(data) != size or all(32 <= byte < 127 for byte in data):
            return None
        return str(struct.unpack(layout, data)[0])

    return read


def _bound(data: bytes) -> int | None:
    value: int = struct.unpack(">q", data)[0]
    return value if _EARLIEST_MS <= value < _LATEST_MS else None


def _time_window(data: bytes) -> str | None:
    if len(data) < 9 or (start := _bound(data[-8:])) is None or (key := _string(data[:-8])) is None:
        return None
    return f"[{key}@{start}/-]"


def _session(data: bytes) -> str | None:
    if len(data) < 17 or (end := _bound(data[-16:-8])) is None or (start := _bound(data[-8:])) is None:
        return None
    key = _string(data[:-16])
    return None if key is None else f"[{key}@{start}/{end}]"


class _Registered:
    """Reads what begins with the id of a schema."""

    def __init__(self, registry: SchemaRegistry) -> None:
        self._registry = registry
        self._readers: dict[tuple[str, int], Reader | None] = {}

    def avro(self, data: bytes) -> str | None:
        """Avro, as the JSON of its columns."""
        return self._read("AVRO", data)

    def json(self, data: bytes) -> str | None:
        """JSON behind the id of a schema."""
        return self._read("JSON", data)

    def _read(self, kind: str, data: bytes) -> str | None:
        if len(data) < 5 or data[0] != _MAGIC:
            return None
        schema_id = int.from_bytes(data[1:5], "big")
        place = (kind, schema_id)
        if place not in self._readers:
            self._readers[place] = self._reader(kind, schema_id)
        read = self._readers[place]
        return None if read is None else read(data)

    def _reader(self, kind: str, schema_id: int) -> Reader | None:
        schema = self._registry.by_id(schema_id)
        if schema is None or schema.type != kind:
            return None
        if kind == "JSON":
            return lambda data: _string(data[5:])
        single = not schema.text.lstrip().startswith("{") or '"record"' not in schema.text.split('"fields"')[0]
        columns = infer_columns(schema, is_key=False, wrap=not single, upper=False)
        spec = FormatSpec("AVRO", wrap=not single, schema_id=schema_id)
        codec = serde(spec, columns, is_key=False, registry=self._registry, subject="")
        shape = StructType(Base.STRUCT, tuple(Field(column.name, column.type) for column in columns))
        write = writer(columns[0].type if single else shape)

        def read(data: bytes) -> str | None:
            try:
                row = codec.deserialize(data)
            except DeserializationError:
                return None
            return None if row is None else write(row[0] if single else row)

        return read
