"""Shows a topic's records decoded: Avro by the registry, keys as text or JSON, windows as times.

It reads Kafka itself, so that it shows the same whatever runs the queries, and for topics that no query knows.
"""

from __future__ import annotations

import io
import json
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import fastavro
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from ksql.errors import ToolError
from ksql.lag import Positions
from ksql.record import Applied
from ksql.server import KsqlServer
from ksql.settings import Settings
from schemas.registry import Registry

_HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Decoded:
    """One record as it is shown."""

    topic: str
    partition: int
    offset: int
    timestamp: str
    key: Any
    window: tuple[str, str | None] | None
    """Start, and for a session its end."""
    value: Any
    headers: dict[str, str]


class Decoder:
    """Decodes keys and values; schemas are asked for once."""

    def __init__(self, registry: Registry, window: str | None) -> None:
        self._registry = registry
        self._window = window
        self._schemas: dict[int, Any] = {}

    def decode(self, message: Message) -> Decoded:
        """The record; bytes that are neither Avro nor text are shown in hex."""
        _kind, milliseconds = message.timestamp()
        key, window = self._key(message.key())
        pairs: Any = message.headers() or ()
        headers = {name: _text(value) for name, value in pairs}
        return Decoded(
            topic=str(message.topic()),
            partition=int(message.partition() or 0),
            offset=int(message.offset() or 0),
            timestamp=iso(milliseconds),
            key=key,
            window=window,
            value=self.value(message.value()),
            headers=headers,
        )

    def value(self, raw: bytes | None) -> Any:  # noqa: ANN401 - any value
        """A value: Avro where it begins as the wire format does, otherwise JSON or text."""
        if raw is None:
            return None
        if raw[:1] == b"\0" and len(raw) > 5:
            return plain(fastavro.schemaless_reader(io.BytesIO(raw[5:]), self._schema(raw), None))
        return _json_or_text(raw)

    def _key(self, raw: bytes | None) -> tuple[Any, tuple[str, str | None] | None]:
        if raw is None:
            return None, None
        if self._window == "SESSION" and len(raw) > 16:
            end = int.from_bytes(raw[-16:-8], "big")
            start = int.from_bytes(raw[-8:], "big")
            return _json_or_text(raw[:-16]), (iso(start), iso(end))
        if self._window is not None and len(raw) > 8:
            return _json_or_text(raw[:-8]), (iso(int.from_bytes(raw[-8:], "big")), None)
        return _json_or_text(raw), None

    def _schema(self, raw: bytes) -> Any:  # noqa: ANN401 - a parsed schema
        number = int.from_bytes(raw[1:5], "big")
        if number not in self._schemas:
            self._schemas[number] = fastavro.parse_schema(self._registry.by_id(number))
        return self._schemas[number]


def print_topic(
    settings: Settings, topic: str, *, limit: int | None, last: int | None, follow: bool, as_json: bool
) -> Iterator[str]:
    """The topic's records, one line each; raises ToolError for a topic that is not there.

    A topic is called as the files do: after a rebuild ``sales`` means that of the version in force.
    """
    topic = Applied.load(settings).topic(topic)
    with Registry(settings.registry_url) as registry:
        decoder = Decoder(registry, window_of(settings, topic))
        show = _as_json if as_json else _as_text
        for number, message in enumerate(read_records(settings, topic, last=last, follow=follow), start=1):
            yield show(decoder.decode(message))
            if limit is not None and number >= limit:
                return


def window_of(settings: Settings, topic: str) -> str | None:
    """TUMBLING, HOPPING or SESSION where a table of the server keeps windowed keys in this topic, otherwise None."""
    try:
        with KsqlServer(settings.ksql_url, timeout_s=10) as server:
            source = next((one for one in server.sources().values() if one.topic == topic and one.windowed), None)
            if source is None:
                return None
            (entity,) = server.execute(f"DESCRIBE `{source.name}`;")
            return str(entity["sourceDescription"]["windowType"] or "TUMBLING")
    except ToolError:
        return None


def read_records(settings: Settings, topic: str, *, last: int | None = None, follow: bool = False) -> Iterator[Message]:
    """Committed records of a topic from its start, or from ``last`` before its end, to its end or on and on."""
    positions = Positions(settings.kafka)
    ends, starts = positions.ends([topic]), positions.starts([topic])
    if not ends:
        raise ToolError(f"There is no topic {topic} at {settings.kafka}.")
    consumer = Consumer(
        {
            "bootstrap.servers": settings.kafka,
            "group.id": f"ksql-print-{uuid.uuid4()}",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "log_level": 0,
        }
    )
    try:
        at = {key: start if last is None else max(start, ends[key] - last) for key, start in starts.items()}
        consumer.assign([TopicPartition(name, number, offset) for (name, number), offset in at.items()])
        open_ones = set(at)
        idle_since = time.monotonic()
        while open_ones or follow:
            message = consumer.poll(0.5)
            if message is None:
                if not follow and time.monotonic() - idle_since > 30:
                    raise ToolError(f"Topic {topic} could not be read to its end: nothing came for 30 s.")
                continue
            idle_since = time.monotonic()
            error = message.error()
            if error is None:
                yield message
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - the client's own name for it
                open_ones.discard((str(message.topic()), int(message.partition() or 0)))
            else:
                raise ToolError(f"Topic {topic} cannot be read: {error.str()}")
    except KafkaException as error:
        raise ToolError(f"Kafka at {settings.kafka} does not answer: {error.args[0].str()}") from error
    finally:
        consumer.close()


def iso(milliseconds: int) -> str:
    """A time as people read it, UTC."""
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def plain(value: Any) -> Any:  # noqa: ANN401 - any value
    """A decoded Avro value in terms that JSON has; decimals keep their digits as text."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [plain(part) for part in value]
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return value.hex() if isinstance(value, bytes) else value


def _json_or_text(raw: bytes) -> Any:  # noqa: ANN401 - any value
    text = _text(raw)
    if text[:1] in {"{", "["}:
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _text(raw: bytes | str | None) -> str:
    if raw is None:
        return ""
    if isinstance(raw, str):
        return raw
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.hex()


def _as_json(record: Decoded) -> str:
    return json.dumps(
        {
            "partition": record.partition,
            "offset": record.offset,
            "timestamp": record.timestamp,
            "key": record.key,
            "window": record.window,
            "value": record.value,
            "headers": record.headers,
        },
        ensure_ascii=False,
        default=str,
    )


def _as_text(record: Decoded) -> str:
    key = record.key if isinstance(record.key, str) else json.dumps(record.key, ensure_ascii=False)
    window = ""
    if record.window is not None:
        start, end = record.window
        window = f"  window {start}" + (f" to {end}" if end else "")
    value = json.dumps(record.value, ensure_ascii=False, default=str)
    return f"{record.timestamp}  {record.partition}:{record.offset}  key {key}{window}  {value}"


Show = Callable[[Decoded], str]
"""Turns a record into a line."""
