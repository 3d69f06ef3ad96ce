"""The processing log: records that cannot be read, rows that cannot be worked out, as ksqlDB writes them."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

from ksqlite.engine.api import Input, Row
from ksqlite.formats.json_format import write_any
from ksqlite.runner.settings import RunnerSettings

LIMIT = 10_000
"""Entries kept between two commits; more of the same is counted, not told."""


class TopicLog:
    """Collects entries until the runner takes them into its transaction."""

    def __init__(self, settings: RunnerSettings) -> None:
        self.topic = f"{settings.service_id}ksql_processing_log"
        self._replicas = settings.replicas
        self._entries: list[bytes] = []
        self.errors: dict[tuple[str, str], int] = {}

    def prepare(self) -> tuple[str, int, int, dict[str, str]]:
        """What the topic must be, for KafkaTopics.create_all."""
        return self.topic, 1, self._replicas, {}

    def take(self) -> list[bytes]:
        """The entries since last asked."""
        made, self._entries = self._entries, []
        return made

    def _add(self, logger: str, message: dict[str, Any]) -> None:
        if len(self._entries) >= LIMIT:
            return
        blank: dict[str, Any] = {
            "type": 0,
            "deserializationError": None,
            "recordProcessingError": None,
            "productionError": None,
            "serializationError": None,
            "kafkaStreamsThreadError": None,
        }
        entry = {
            "level": "ERROR",
            "logger": f"processing.{logger}",
            "time": int(time.time() * 1000),
            "message": {**blank, **message},
        }
        self._entries.append(json.dumps(entry, ensure_ascii=False).encode(errors="replace"))

    def deserialization_error(
        self, query_id: str, topic: str, partition: int, offset: int, *, is_key: bool, message: str, record: Input
    ) -> None:
        """A source record that cannot be read; it is skipped."""
        self.errors[query_id, "deserialization"] = self.errors.get((query_id, "deserialization"), 0) + 1
        data = record[0] if is_key else record[1]
        self._add(
            f"{query_id}.KsqlTopic.Source.deserializer",
            {
                "type": 0,
                "deserializationError": {
                    "target": "key" if is_key else "value",
                    "errorMessage": message,
                    "recordB64": None if data is None else base64.b64encode(data).decode(),
                    "cause": [],
                    "topic": topic,
                    "partition": partition,
                    "offset": offset,
                },
            },
        )

    def record_error(self, query_id: str, message: str, record: Row | None) -> None:
        """An expression that failed on a row."""
        self.errors[query_id, "processing"] = self.errors.get((query_id, "processing"), 0) + 1
        self._add(
            f"{query_id}.Project",
            {
                "type": 1,
                "recordProcessingError": {
                    "errorMessage": message,
                    "record": None if record is None else write_any(_plain(record)),
                    "cause": [],
                },
            },
        )


def _plain(value: Any) -> Any:  # noqa: ANN401 - any value
    """Tuples as lists, for JSON."""
    if isinstance(value, (tuple, list)):
        return [_plain(part) for part in value]
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    return value
