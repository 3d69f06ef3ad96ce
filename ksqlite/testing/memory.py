"""Topics in memory: what the engine and the case runner need of Kafka."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ksqlite.engine.api import Environment, Input, Output, Row
from ksqlite.engine.memory import MemoryStores
from ksqlite.formats import MemoryRegistry


@dataclass(slots=True)
class MemoryTopic:
    """A topic: its partition count (all records lie in one, as in ksqlDB's own tests), its settings, its records."""

    partitions: int
    settings: dict[str, str] = field(default_factory=dict)
    records: list[Output] = field(default_factory=list)


class MemoryTopics:
    """Topics by name. ``default_partitions`` is what a topic that nobody declared is taken to have."""

    def __init__(self, default_partitions: int = 4) -> None:
        self.topics: dict[str, MemoryTopic] = {}
        self.default_partitions = default_partitions

    def declare(self, name: str, partitions: int | None = None) -> MemoryTopic:
        """The topic, made when it is not there."""
        topic = self.topics.get(name)
        if topic is None:
            topic = self.topics[name] = MemoryTopic(partitions or self.default_partitions)
        return topic

    def partitions(self, topic: str) -> int | None:
        """How many partitions the topic has."""
        found = self.topics.get(topic)
        return found.partitions if found is not None else None

    def create(self, topic: str, partitions: int, replicas: int, settings: Mapping[str, str]) -> None:  # noqa: ARG002
        """Makes a topic that is not there."""
        if topic not in self.topics:
            self.topics[topic] = MemoryTopic(partitions, dict(settings))

    def delete(self, topic: str) -> None:
        """Forgets a topic."""
        self.topics.pop(topic, None)

    def configs(self, topic: str) -> Mapping[str, str]:
        """The topic's settings."""
        found = self.topics.get(topic)
        return found.settings if found is not None else {}


@dataclass(slots=True)
class LogEntry:
    """An entry of the processing log."""

    query_id: str
    message: str
    topic: str | None = None
    offset: int | None = None


class MemoryLog:
    """A processing log in a list."""

    def __init__(self) -> None:
        self.entries: list[LogEntry] = []

    def deserialization_error(
        self,
        query_id: str,
        topic: str,
        partition: int,  # noqa: ARG002 - the interface
        offset: int,
        *,
        is_key: bool,  # noqa: ARG002 - the interface
        message: str,
        record: Input,  # noqa: ARG002 - the interface
    ) -> None:
        """A record that cannot be read."""
        self.entries.append(LogEntry(query_id, message, topic, offset))

    def record_error(self, query_id: str, message: str, record: Row | None) -> None:  # noqa: ARG002 - the interface
        """A row that cannot be worked out."""
        self.entries.append(LogEntry(query_id, message))


def memory_environment(settings: Mapping[str, Any] | None = None, *, default_partitions: int = 4) -> Environment:
    """An environment that lives in memory, with one lane and every update let out."""
    return Environment(
        topics=MemoryTopics(default_partitions),
        stores=MemoryStores(),
        registry=MemoryRegistry(),
        log=MemoryLog(),
        settings={"cache.max.bytes.buffering": "0", **(settings or {})},
        lanes=1,
        offsets_known=True,
    )
