"""Takes dead letters back into their tables, each once, and never puts an older figure over a newer one.

A dead letter of a topic of figures is answered with the value that its key has now: the last one before the place that
the connector has read to, which stands still meanwhile and goes on from there. A letter of any other topic is written
as it is, for there a key has one value.
"""

from __future__ import annotations

import io
import logging
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import fastavro
import psycopg
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from psycopg import sql

from connectors.client import Connect
from connectors.files import SinkConnector
from ksql.errors import ToolError
from ksql.lag import Positions
from ksql.printing import iso
from ksql.settings import Settings
from ksql.topics import TopicAdmin
from schemas.registry import Registry

GROUP = "checks-dlq-replay"
"""Consumer group whose commits say which dead letters were dealt with."""
_SILENT = logging.getLogger("connectors.replay.silent")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False
_HEADER = "__connect.errors."


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter: the record as the connector read it, and why it was put aside."""

    table: str
    offset: int
    at: str
    topic: str
    partition: int
    original_offset: int
    reason: str
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of the letters of one table."""

    table: str
    written: int
    """Rows written: the letter's own, or the key's current value."""
    outdated: int
    """Letters of a version of the topic that is not read any more: the rebuild has read it all again."""
    kept: int
    """Letters that still do not fit; they stand at the end of the topic again, with the new reason."""
    reasons: tuple[str, ...]


class Letters:
    """Reads dead-letter topics from where the last replay ended."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._positions = Positions(settings.kafka)

    def open_ones(self, connector: SinkConnector) -> list[Letter]:
        """The letters of a connector that no replay has dealt with yet, oldest first."""
        topic = connector.dead_letter_topic
        ends, starts = self._positions.ends([topic]), self._positions.starts([topic])
        done = self._positions.committed(GROUP)
        found = []
        for key, end in ends.items():
            at = max(starts[key], done.get(key, 0))
            found += [_letter(connector.table, message) for message in _read(self._settings, key, at, end)]
        return found

    def deal_with(self, connector: SinkConnector, upto: int) -> None:
        """Commit that every letter before this offset was dealt with."""
        consumer = _consumer(self._settings, GROUP)
        try:
            consumer.commit(offsets=[TopicPartition(connector.dead_letter_topic, 0, upto)], asynchronous=False)
        except KafkaException as error:
            raise ToolError(f"Kafka did not commit the replay: {error.args[0].str()}") from error
        finally:
            consumer.close()


def replay(settings: Settings, connector: SinkConnector, connect: Connect, version: int) -> Replayed:
    """Deal with every open letter of one connector, which is stopped meanwhile."""
    letters = Letters(settings)
    found = letters.open_ones(connector)
    if not found:
        return Replayed(connector.table, 0, 0, 0, ())
    _stop(connect, connector.name, settings.timeout_s)
    try:
        current = [letter for letter in found if letter.topic == connector.topic]
        values = list(_values(settings, connector, current))
        refused = _write(settings, connector, version, values)
        _put_back(settings, connector, refused)
        letters.deal_with(connector, found[-1].offset + 1)
    finally:
        connect.resume(connector.name)
    connect.wait_running([connector.name], settings.timeout_s)
    return Replayed(
        table=connector.table,
        written=len(values) - len(refused),
        outdated=len(found) - len(current),
        kept=len(refused),
        reasons=tuple(dict.fromkeys(reason for _letter, reason in refused)),
    )


def _stop(connect: Connect, name: str, timeout_s: float) -> None:
    connect.stop(name)
    deadline = time.monotonic() + timeout_s
    while (status := connect.status(name)) is not None and status.tasks:
        if time.monotonic() > deadline:
            raise ToolError(f"Connector {name} is still writing after {timeout_s:.0f} s, though told to stop.")
        time.sleep(0.1)


def _values(
    settings: Settings, connector: SinkConnector, letters: Iterable[Letter]
) -> Iterator[tuple[Letter, bytes | None]]:
    """Each letter with the value to write; a key of figures only once, with its current value."""
    wanted = list(letters)
    if not wanted or not _is_compacted(settings, connector.topic):
        for letter in wanted:
            yield letter, letter.value
        return
    committed = Positions(settings.kafka).committed(connector.group)
    last: dict[tuple[int, bytes | None], Letter] = {(letter.partition, letter.key): letter for letter in wanted}
    for partition in {letter.partition for letter in wanted}:
        key = (connector.topic, partition)
        keys = {letter.key for letter in wanted if letter.partition == partition}
        current: dict[bytes | None, bytes | None] = {}
        for message in _read(settings, key, 0, committed.get(key, 0)):
            if message.key() in keys:
                current[message.key()] = message.value()
        for raw, value in current.items():
            yield last[partition, raw], value


def _is_compacted(settings: Settings, topic: str) -> bool:
    return "compact" in TopicAdmin(settings).settings_of([topic])[topic].get("cleanup.policy", "")


def _write(
    settings: Settings, connector: SinkConnector, version: int, values: list[tuple[Letter, bytes | None]]
) -> list[tuple[Letter, str]]:
    """Upsert each value; gives the letters that could not be written, with the reason."""
    refused: list[tuple[Letter, str]] = []
    schema, table = f"pipeline_v{version}", connector.table
    keys = [name.lower() for name in connector.key_fields]
    try:
        with (
            Registry(settings.registry_url) as registry,
            psycopg.connect(settings.database_owner_url, connect_timeout=10, autocommit=True) as connection,
        ):
            columns = _columns(connection, schema, table)
            reader = _Reader(registry)
            for letter, raw in values:
                if raw is None:
                    continue
                try:
                    row = {name: value for name, value in reader.row(raw).items() if name in columns}
                    _upsert(connection, schema, table, keys, row)
                except (ToolError, ValueError, KeyError, EOFError, IndexError, psycopg.DataError) as error:
                    refused.append((letter, f"{type(error).__name__}: {error}".splitlines()[0]))
    except psycopg.Error as error:
        raise ToolError(f"PostgreSQL: {str(error).strip().splitlines()[0]}") from error
    return refused


class _Reader:
    """Decodes values into rows of lower-case columns."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._schemas: dict[int, Any] = {}

    def row(self, raw: bytes) -> dict[str, Any]:
        if raw[:1] != b"\0" or len(raw) < 6:
            raise ValueError("not in the registry's wire format")
        number = int.from_bytes(raw[1:5], "big")
        if number not in self._schemas:
            self._schemas[number] = fastavro.parse_schema(self._registry.by_id(number))
        value = fastavro.schemaless_reader(io.BytesIO(raw[5:]), self._schemas[number], None)
        if not isinstance(value, dict):
            raise ValueError("not a record")  # noqa: TRY004 - it is the bytes that are wrong
        return {str(name).lower(): part for name, part in value.items()}


def _columns(connection: psycopg.Connection, schema: str, table: str) -> set[str]:
    rows = connection.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = %s AND table_name = %s",
        (schema, table),
    )
    found = {str(row[0]) for row in rows}
    if not found:
        raise ToolError(f"There is no table {schema}.{table}.")
    return found


def _upsert(connection: psycopg.Connection, schema: str, table: str, keys: list[str], row: Mapping[str, Any]) -> None:
    names = list(row)
    statement = sql.SQL("INSERT INTO {table} ({names}) VALUES ({values}) ON CONFLICT ({keys}) DO {action}").format(
        table=sql.Identifier(schema, table),
        names=sql.SQL(", ").join(map(sql.Identifier, names)),
        values=sql.SQL(", ").join(sql.Placeholder() for _name in names),
        keys=sql.SQL(", ").join(map(sql.Identifier, keys)),
        action=sql.SQL("UPDATE SET ")
        + sql.SQL(", ").join(
            sql.SQL("{} = EXCLUDED.{}").format(sql.Identifier(name), sql.Identifier(name))
            for name in names
            if name not in keys
        ),
    )
    connection.execute(statement, [row[name] for name in names])


def _put_back(settings: Settings, connector: SinkConnector, refused: list[tuple[Letter, str]]) -> None:
    if not refused:
        return
    config = {"bootstrap.servers": settings.kafka, "acks": "all", "enable.idempotence": True}
    producer = Producer(config, logger=_SILENT)
    for letter, reason in refused:
        headers = {
            f"{_HEADER}topic": letter.topic,
            f"{_HEADER}partition": str(letter.partition),
            f"{_HEADER}offset": str(letter.original_offset),
            f"{_HEADER}exception.message": reason,
        }
        producer.produce(connector.dead_letter_topic, key=letter.key, value=letter.value, headers=list(headers.items()))
    if producer.flush(30):
        raise ToolError(f"Kafka at {settings.kafka} did not take the letters back within 30 s.")


def _letter(table: str, message: Message) -> Letter:
    pairs: Any = message.headers() or ()
    headers = {name: (value or b"").decode(errors="replace") for name, value in pairs}
    _kind, milliseconds = message.timestamp()
    return Letter(
        table=table,
        offset=int(message.offset() or 0),
        at=iso(milliseconds),
        topic=headers.get(f"{_HEADER}topic", ""),
        partition=int(headers.get(f"{_HEADER}partition", "0")),
        original_offset=int(headers.get(f"{_HEADER}offset", "-1")),
        reason=headers.get(f"{_HEADER}exception.message", "unknown"),
        key=_raw(message.key()),
        value=_raw(message.value()),
    )


def _raw(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


def _read(settings: Settings, key: tuple[str, int], start: int, end: int) -> Iterator[Message]:
    """The committed records of one partition from ``start`` to before ``end``."""
    if start >= end:
        return
    consumer = _consumer(settings, f"checks-dlq-{uuid.uuid4()}")
    try:
        consumer.assign([TopicPartition(key[0], key[1], start)])
        idle_since = time.monotonic()
        while True:
            message = consumer.poll(0.5)
            if message is None:
                if time.monotonic() - idle_since > 30:
                    raise ToolError(f"Topic {key[0]} could not be read: nothing came for 30 s.")
                continue
            idle_since = time.monotonic()
            error = message.error()
            if error is not None:
                if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - the client's own name for it
                    return
                raise ToolError(f"Topic {key[0]} cannot be read: {error.str()}")
            if int(message.offset() or 0) >= end:
                return
            yield message
    finally:
        consumer.close()


def _consumer(settings: Settings, group: str) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": settings.kafka,
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "log_level": 0,
        },
        logger=_SILENT,
    )
