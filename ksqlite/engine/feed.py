"""Turns records into events, and rows that a query here wrote into events of those who read its topic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ksqlite import ast
from ksqlite.catalog import SourceInfo
from ksqlite.engine.api import Environment, Input
from ksqlite.engine.operators.base import Event, NullKey, is_null
from ksqlite.formats import DeserializationError, serde, subject_of
from ksqlite.formats.windowed import session_key, split_session_key, split_time_key, time_key
from ksqlite.types import ArrayType, Base, SqlType, StructType

_TRANSPARENT = ("AVRO", "JSON", "JSON_SR")
Headers = Sequence[tuple[str, bytes | None]]


class HashableList(list[Any]):
    """An ARRAY within a key: stores and groups need keys that can be hashed."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(self))


def has_array(sql: SqlType) -> bool:
    """Whether values of the type are, or hold, lists."""
    if isinstance(sql, StructType):
        return any(has_array(field.type) for field in sql.fields)
    return isinstance(sql, ArrayType)


def hashable(value: Any) -> Any:  # noqa: ANN401 - values of any SQL type
    """The value with its lists replaced by such that can be hashed."""
    if isinstance(value, list):
        return HashableList(hashable(item) for item in value)
    if isinstance(value, tuple):
        return tuple(hashable(item) for item in value)
    return value


class TimestampColumn:
    """Reads the event time from a column."""

    def __init__(self, info: SourceInfo, name: str) -> None:
        keys = [column.name for column in info.schema.key]
        values = [column.name for column in info.schema.value]
        self.in_key = name in keys
        self.position = keys.index(name) if self.in_key else values.index(name)
        self.parse: Callable[[str], int] | None = None
        if info.timestamp_format is not None:
            from ksqlite.functions.dates import parse_timestamp  # noqa: PLC0415 - needed by few sources

            pattern = info.timestamp_format
            self.parse = lambda text: parse_timestamp(text, pattern)

    def __call__(self, k: Any, v: Any) -> int | None:  # noqa: ANN401 - rows
        """The event's time; None where the column gives none. Raises what parsing raises."""
        value = (k if self.in_key else v)[self.position]
        if value is None:
            return None
        stamp: int = value if self.parse is None else self.parse(value)
        return stamp if stamp >= 0 else None


class Feed:
    """Reads one source's records."""

    def __init__(self, info: SourceInfo, env: Environment, on_error: Callable[[int, Input, bool, str], None]) -> None:
        self.info = info
        schema = info.schema
        self.keys = len(schema.key)
        self.key_serde = serde(
            info.key_format,
            schema.key,
            is_key=True,
            registry=env.registry,
            subject=subject_of(info.topic, is_key=True),
        )
        self.value_serde = serde(
            info.value_format,
            schema.value,
            is_key=False,
            registry=env.registry,
            subject=subject_of(info.topic, is_key=False),
        )
        self.on_error = on_error
        self.session = info.window_type is ast.WindowType.SESSION
        self.windowed = info.window_type is not None
        self.no_key = NullKey((None,) * (self.keys + 2 * self.windowed))
        self.freeze = any(has_array(column.type) for column in schema.key)
        self.headers = schema.headers
        self.stamp = TimestampColumn(info, info.timestamp_column) if info.timestamp_column is not None else None

    def read(self, partition: int, records: Sequence[Input]) -> list[tuple[Event, Input]]:
        """Events with their records; those that cannot be read are told and left out."""
        out: list[tuple[Event, Input]] = []
        for record in records:
            try:
                k = self._key(record[0])
            except DeserializationError as problem:
                self.on_error(partition, record, True, str(problem))  # noqa: FBT003 - is_key
                continue
            try:
                v = self.value_serde.deserialize(record[1])
            except DeserializationError as problem:
                self.on_error(partition, record, False, str(problem))  # noqa: FBT003 - is_key
                continue
            ts = record[2]
            if self.stamp is not None and v is not None:
                stamp = self.stamp_of(partition, record, k, v)
                if stamp is None:
                    continue
                ts = stamp
            out.append(((k, v, ts), record))
        return out

    def events(self, partition: int, records: Sequence[Input]) -> list[Event]:
        """The events that ``read`` gives, without their records: faster where all can be read."""
        if self.stamp is None:
            key, value = self._key, self.value_serde.deserialize
            try:
                return [(key(record[0]), value(record[1]), record[2]) for record in records]
            except DeserializationError:
                pass  # one by one it turns out which
        return [event for event, _ in self.read(partition, records)]

    def _key(self, data: bytes | None) -> Any:  # noqa: ANN401 - a row
        if not self.keys:
            return ()
        bounds: tuple[int, ...] = ()
        if data is None:
            return self.no_key
        if self.session:
            data, start, end = split_session_key(data)
            bounds = (start, end)
        elif self.windowed:
            data, start = split_time_key(data)
            bounds = (start, start + (self.info.window_size_ms or 0))
        row = self.key_serde.deserialize(data)
        if row is None:
            return self.no_key
        return (hashable(row) if self.freeze else row) + bounds

    def stamp_of(self, partition: int, record: Input, k: Any, v: Any) -> int | None:  # noqa: ANN401 - rows
        """The event's time from the source's TIMESTAMP column; None, and told, where it gives none."""
        assert self.stamp is not None  # noqa: S101 - the caller looks
        try:
            stamp = self.stamp(k, v)
        except Exception as problem:  # noqa: BLE001 - whatever a date may be wrong by
            self.on_error(partition, record, False, f"The event's time cannot be read: {problem}")  # noqa: FBT003
            return None
        if stamp is None:
            column = self.info.timestamp_column
            self.on_error(partition, record, False, f"The event has no valid time in column {column}")  # noqa: FBT003
        return stamp

    def extend(self, event: Event, headers: Headers, partition: int, offset: int) -> Event:
        """The event with header columns, ROWPARTITION and ROWOFFSET behind its values."""
        k, v, ts = event
        if v is None:
            return event
        found = tuple(self._header(column.header_key, headers) for column in self.headers)
        return (k, (*v, *found, partition, offset), ts)

    @staticmethod
    def _header(key: str | None, headers: Headers) -> Any:  # noqa: ANN401 - BYTES or an array
        if key is None:
            return [(name, value) for name, value in headers]
        for name, value in reversed(headers):
            if name == key:
                return value
        return None


class Adapter:
    """From the rows that a sink writes to the events of a source that reads its topic.

    Where the format gives back exactly what it was given (``direct``), rows are passed on as they are; otherwise
    they are read from their bytes. ``stamped``: the sink has given its records the time that the source would read
    off them.
    """

    def __init__(self, sink: SourceInfo, feed: Feed, *, stamped: bool) -> None:
        self.feed = feed
        picks = _value_picks(sink, feed.info)
        keys = _key_mode(sink, feed.info)
        self.direct = picks is not None and keys is not None
        self.picks: tuple[int, ...] = picks or ()
        self.keyless = keys == "none"
        self.stamp = feed.stamp is not None and not (
            stamped
            and sink.timestamp_column == feed.info.timestamp_column
            and sink.timestamp_format == feed.info.timestamp_format
        )

    def events(self, rows: list[Event], partition: int, *, changes: bool) -> list[Event]:
        """Events of the rows, where that is possible directly. ``changes``: the rows have an old value behind."""
        picks, keyless = self.picks, self.keyless
        if picks:
            rows = [
                (() if keyless else row[0], None if row[1] is None else tuple([row[1][n] for n in picks]), row[2])
                for row in rows
            ]
        elif keyless:
            rows = [((), row[1], row[2]) for row in rows]
        elif changes:
            rows = [row[:3] for row in rows]
        return self._stamped(rows, partition) if self.stamp else rows

    def _stamped(self, rows: list[Event], partition: int) -> list[Event]:
        out = []
        for row in rows:
            k, v, ts = row
            if v is None:
                out.append(row)
                continue
            stamp = self.feed.stamp_of(partition, Input(None, None, ts, -1), k, v)
            if stamp is not None:
                out.append((k, v, stamp))
        return out


def _value_picks(sink: SourceInfo, source: SourceInfo) -> tuple[int, ...] | None:
    """Where the source's columns stand in the sink's rows; () where they are the same, None where bytes are needed."""
    if sink.value_format.name != source.value_format.name or sink.value_format.name not in _TRANSPARENT:
        return None
    written, read = sink.schema.value, source.schema.value
    if sink.value_format.wrap is False or source.value_format.wrap is False:
        return None
    if sink.value_format.schema_id is not None:
        return None
    names = [column.name for column in written]
    picks = []
    for column in read:
        if column.name not in names:
            return None
        position = names.index(column.name)
        if written[position].type != column.type:
            return None
        picks.append(position)
    return () if picks == list(range(len(written))) else tuple(picks)


def _key_mode(sink: SourceInfo, source: SourceInfo) -> str | None:
    if not source.schema.key:
        return "none"
    same = (
        sink.key_format == source.key_format
        and [column.type for column in sink.schema.key] == [column.type for column in source.schema.key]
        and (sink.window_type, sink.window_size_ms) == (source.window_type, source.window_size_ms)
        and sink.key_format.name in ("KAFKA", *_TRANSPARENT)
    )
    if same and sink.key_format.name != "KAFKA" and len(sink.schema.key) > 1:
        same = [column.name for column in sink.schema.key] == [column.name for column in source.schema.key]
    return "same" if same else None


class _Known(dict[Any, "bytes | None"]):
    """Key columns to bytes, remembered for keys that come again."""

    __slots__ = ("_serialize",)
    LIMIT = 50_000

    def __init__(self, serialize: Callable[[Any], bytes | None]) -> None:
        super().__init__()
        self._serialize = serialize

    def __missing__(self, key: Any) -> bytes | None:  # noqa: ANN401 - key columns
        made = self._serialize(key)
        if len(self) >= self.LIMIT:
            self.clear()
        self[key] = made
        return made


def _text(key: Any) -> bytes | None:  # noqa: ANN401 - key columns
    """A key of one text as Kafka's own serializer writes it."""
    return None if key[0] is None else key[0].encode(errors="replace")


class KeyBytes:
    """The bytes of a sink's keys. ``base`` gives those of the key columns, without a window."""

    def __init__(self, info: SourceInfo, env: Environment) -> None:
        self.count = len(info.schema.key)
        self.serde = serde(
            info.key_format,
            info.schema.key,
            is_key=True,
            registry=env.registry,
            subject=subject_of(info.topic, is_key=True),
        )
        self.session = info.window_type is ast.WindowType.SESSION
        self.windowed = info.window_type is not None
        # DOUBLE keys 0.0 and -0.0 are equal but differ as bytes, so only types without such values are remembered; a
        # session's key hardly ever comes again
        self.exact = all(column.type.base.value in _EXACT for column in info.schema.key)
        self.base: Callable[[Any], bytes | None] = self._serialize
        if self.count == 1 and info.key_format.name == "KAFKA" and info.schema.key[0].type.base is Base.STRING:
            self.base = _text
        if self.exact and not self.session:
            self.base = _Known(self.base).__getitem__

    def _serialize(self, key: Any) -> bytes | None:  # noqa: ANN401 - key columns
        if not self.count or (key[0] is None and (self.count == 1 or is_null(key))):
            return None
        return self.serde.serialize(key)

    def full(self, key: Any) -> tuple[bytes | None, bytes | None]:  # noqa: ANN401 - key columns and window
        """The record's key, and the part of it that decides the partition."""
        if not self.windowed:
            base = self.base(key)
            return base, base
        base = self.base(key[: self.count])
        if base is None:
            return None, None
        if self.session:
            return session_key(base, key[-2], key[-1]), base
        return time_key(base, key[-2]), base


_EXACT = frozenset({"INTEGER", "BIGINT", "STRING", "BYTES", "DATE", "TIME", "TIMESTAMP"})
