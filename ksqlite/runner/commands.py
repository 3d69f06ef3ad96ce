"""The statements of a server, in Kafka: what was accepted is run again, in order, at every start."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ksqlite.runner.reading import read_to_end
from ksqlite.runner.settings import RunnerSettings
from ksqlite.runner.topics import KafkaTopics


@dataclass(frozen=True, slots=True)
class Command:
    """An accepted statement with the session properties it ran under.

    ``number`` is its place: query ids end in it. ``key`` is what ksqlDB calls the command's id (``stream/`S`/create``).
    """

    number: int
    text: str
    properties: Mapping[str, Any] = field(default_factory=dict)
    key: str = ""

    def record(self) -> tuple[bytes, bytes]:
        """Key and value in the command topic."""
        value = {
            "statement": self.text,
            "streamsProperties": dict(self.properties),
            "originalProperties": {},
            "version": 1,
            "number": self.number,
        }
        return self.key.encode(), json.dumps(value, ensure_ascii=False).encode()


class CommandLog:
    """The command topic: one partition, kept for ever."""

    def __init__(self, settings: RunnerSettings, topics: KafkaTopics) -> None:
        self._settings = settings
        self._topics = topics
        self.topic = f"{settings.prefix}_command_topic"
        self._count = 0

    def prepare(self) -> tuple[str, int, int, dict[str, str]]:
        """What the topic must be, for KafkaTopics.create_all."""
        return self.topic, 1, self._settings.replicas, {"cleanup.policy": "delete", "retention.ms": "-1"}

    def read(self) -> list[Command]:
        """All commands, oldest first."""
        place = (self.topic, 0)
        ends = self._topics.end_offsets([place])
        made = []
        for messages in read_to_end(self._settings, {place: 0}, ends):
            for message in messages:
                value = json.loads(message.value())
                made.append(
                    Command(
                        int(value["number"]),
                        value["statement"],
                        value.get("streamsProperties") or {},
                        (message.key() or b"").decode(),
                    )
                )
        self._count = len(made)
        return made

    def next_number(self) -> int:
        """The number of the next command: ksqlDB's are odd, for each command's transaction takes two offsets."""
        return 2 * self._count + 1

    def appended(self) -> None:
        """A command was committed to the topic."""
        self._count += 1
