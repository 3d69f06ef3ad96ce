"""What was applied, kept in the compacted topic ``ksql_applied``: the state in force, and who applied what when.

Key ``state`` holds the whole state, so that it changes at one stroke; keys ``history/…`` hold one finished step each
and are never written twice.
"""

from __future__ import annotations

import getpass
import json
import logging
import socket
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from ksql.errors import ToolError
from ksql.settings import Settings
from ksql.tokens import rename

TOPIC = "ksql_applied"
_STATE = "state"
_SILENT = logging.getLogger("ksql.record.silent")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False


@dataclass(frozen=True, slots=True)
class AppliedObject:
    """One stream or table as it was applied."""

    name: str
    """As the file calls it, upper case."""
    version: int
    checksum: str
    """Of its statements without comments and white space, and of the settings they ran under."""
    statements: tuple[str, ...]
    """As they were sent."""
    settings: Mapping[str, str]
    reads: tuple[str, ...]
    """Names of the objects it reads."""
    topic: str
    """As the file calls it."""
    kind: str
    """STREAM or TABLE."""
    writes: bool
    """Whether it writes its topic (… AS SELECT, INSERT INTO) or is declared over one."""
    is_select: bool
    """Whether its first statement is a query (… AS SELECT)."""

    @property
    def server_name(self) -> str:
        """Its name on the server."""
        return versioned_name(self.name, self.version)

    @property
    def server_topic(self) -> str:
        """Its topic's name in Kafka."""
        return versioned_topic(self.topic, self.version) if self.writes else self.topic


def versioned_name(name: str, version: int) -> str:
    """An object's name on the server: version 1 is called as in the file."""
    return name if version == 1 else f"{name}_V{version}"


def versioned_topic(topic: str, version: int) -> str:
    """A topic's name in Kafka: version 1 is called as in the file."""
    return topic if version == 1 else f"{topic}_v{version}"


@dataclass(frozen=True, slots=True)
class Applied:
    """The state in force, and a rebuild that is under way."""

    tables_version: int = 1
    """Version of the PostgreSQL tables and connectors that analysts see."""
    objects: Mapping[str, AppliedObject] = field(default_factory=dict)
    rebuild: Mapping[str, Any] | None = None
    """The rebuild that was begun and is not finished, as rebuild.py keeps it."""
    pending: tuple[AppliedObject, ...] = ()
    """Objects that an unfinished run set out to create or change, or created."""
    retired: tuple[AppliedObject, ...] = ()
    """Objects that nothing uses any more and that are still to be dropped."""
    highest_version: int = 1
    """No later rebuild may use this number or one below."""

    def topic(self, topic: str) -> str:
        """The topic in force for a topic as the files call it."""
        for found in self.objects.values():
            if found.topic == topic and found.writes:
                return found.server_topic
        return topic

    def written_topics(self) -> frozenset[str]:
        """Topics, as Kafka calls them, that objects in force write."""
        return frozenset(one.server_topic for one in self.objects.values() if one.writes)

    def rename(self, statement: str) -> str:
        """The statement with the names in force of objects and topics where it calls them as the files do."""
        found = self.objects.values()
        return rename(
            statement,
            {one.name: one.server_name for one in found},
            {one.topic: one.server_topic for one in found if one.writes},
        )

    @staticmethod
    def load(settings: Settings) -> Applied:
        """Read the state in force; the first state when nothing was applied yet."""
        return _from_json(read_record(settings).get(_STATE))

    def save(self, settings: Settings, *, did: str, details: Mapping[str, Any] | None = None) -> None:
        """Make this the state in force, with a line of history that says what was done."""
        entry = {"at": datetime.now(UTC).isoformat(), "by": whoami(), "did": did, **(details or {})}
        key = f"history/{entry['at']}/{uuid.uuid4()}"
        _write(settings, {_STATE: _to_json(self), key: entry})

    def with_object(self, applied: AppliedObject) -> Applied:
        """The same with this object in force."""
        return replace(self, objects={**self.objects, applied.name: applied})


def whoami() -> str:
    """Who applies: user and host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def history(settings: Settings) -> list[dict[str, Any]]:
    """What was applied, oldest first."""
    entries = [(key, value) for key, value in read_record(settings).items() if key.startswith("history/")]
    return [value for _key, value in sorted(entries)]


def read_record(settings: Settings) -> dict[str, Any]:
    """The last value of every key; empty when the topic does not exist. Raises ToolError when Kafka is away."""
    consumer = Consumer(
        {
            "bootstrap.servers": settings.kafka,
            "group.id": f"ksql-record-{uuid.uuid4()}",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "log_level": 0,
        },
        logger=_SILENT,
    )
    try:
        topics = consumer.list_topics(timeout=20).topics
        if TOPIC not in topics:
            return {}
        consumer.assign([TopicPartition(TOPIC, 0, 0)])
        return _drain(consumer)
    except KafkaException as error:
        raise ToolError(f"Kafka at {settings.kafka} does not answer: {error.args[0].str()}") from error
    finally:
        consumer.close()


def _drain(consumer: Consumer) -> dict[str, Any]:
    found: dict[str, Any] = {}
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        message = consumer.poll(1.0)
        if message is None:
            continue
        error = message.error()
        if error is not None:
            if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - the client's own name for it
                return found
            raise KafkaException(error)
        key = (message.key() or b"").decode()
        value = message.value()
        if value is None:
            found.pop(key, None)
        else:
            found[key] = json.loads(value)
    raise ToolError(f"Topic {TOPIC} could not be read to its end within 30 s.")


def _write(settings: Settings, values: Mapping[str, Any]) -> None:
    producer = Producer(
        {"bootstrap.servers": settings.kafka, "enable.idempotence": True, "acks": "all", "log_level": 0,
         "message.max.bytes": 8_000_000, "delivery.timeout.ms": 30_000},
        logger=_SILENT,
    )  # fmt: skip
    failures: list[str] = []

    def delivered(error: KafkaError | None, _message: object) -> None:
        if error is not None:
            failures.append(error.str())

    for key, value in values.items():
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        producer.produce(TOPIC, key=key.encode(), value=text.encode(), partition=0, on_delivery=delivered)
    if producer.flush(30) or failures:
        raise ToolError(f"Topic {TOPIC} could not be written: {failures[0] if failures else 'no answer within 30 s'}.")


def _to_json(state: Applied) -> dict[str, Any]:
    return {
        "tables_version": state.tables_version,
        "highest_version": state.highest_version,
        "objects": {name: object_to_json(one) for name, one in state.objects.items()},
        "rebuild": state.rebuild,
        "pending": [object_to_json(one) for one in state.pending],
        "retired": [object_to_json(one) for one in state.retired],
    }


def object_to_json(one: AppliedObject) -> dict[str, Any]:
    """As it stands in the topic."""
    return {
        "name": one.name,
        "version": one.version,
        "checksum": one.checksum,
        "statements": list(one.statements),
        "settings": dict(one.settings),
        "reads": list(one.reads),
        "topic": one.topic,
        "kind": one.kind,
        "writes": one.writes,
        "is_select": one.is_select,
    }


def object_from_json(entry: Mapping[str, Any]) -> AppliedObject:
    """Back from the topic."""
    return AppliedObject(
        name=entry["name"],
        version=entry["version"],
        checksum=entry["checksum"],
        statements=tuple(entry["statements"]),
        settings=entry["settings"],
        reads=tuple(entry["reads"]),
        topic=entry["topic"],
        kind=entry["kind"],
        writes=entry["writes"],
        is_select=entry["is_select"],
    )


def _from_json(document: Mapping[str, Any] | None) -> Applied:
    if document is None:
        return Applied()
    return Applied(
        tables_version=document["tables_version"],
        highest_version=document["highest_version"],
        objects={name: object_from_json(entry) for name, entry in document["objects"].items()},
        rebuild=document["rebuild"],
        pending=tuple(object_from_json(entry) for entry in document["pending"]),
        retired=tuple(object_from_json(entry) for entry in document["retired"]),
    )
