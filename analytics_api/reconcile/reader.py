"""Reads topics from where reconciliation stopped: decoded records, in batches, from a thread."""

import datetime as dt
import json
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import fastavro
import httpx
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from analytics_api.settings import Settings

_SILENT = logging.getLogger("analytics_api.reconcile.silent")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False

BATCH = 5000
TIMEOUT_S = 10.0


class LogAway(Exception):  # noqa: N818  (named for what happened)
    """Kafka or the registry did not answer, or a record could not be read; the message says which."""


@dataclass(frozen=True)
class Record:
    """A decoded record; names of its fields in lower case."""

    partition: int
    offset: int
    value: dict[str, Any]


@dataclass
class Batch:
    """Records of one topic, and where reading stands after them."""

    records: list[Record]
    offsets: dict[int, int]
    is_at_end: bool


class Reader:
    """Reads committed records of one topic at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._schemas: dict[int, Any] = {}
        self._http = httpx.Client(timeout=TIMEOUT_S, trust_env=False)

    def close(self) -> None:
        """Let go of the connections to the registry."""
        self._http.close()

    def topics(self) -> dict[str, list[int]]:
        """All topics and their partitions. Raises LogAway."""
        consumer = self._consumer()
        try:
            listed = consumer.list_topics(timeout=TIMEOUT_S).topics
            return {name: sorted(metadata.partitions) for name, metadata in listed.items()}
        except KafkaException as error:
            raise LogAway(f"Kafka does not answer: {error}") from None
        finally:
            consumer.close()

    def batches(self, topic: str, partitions: list[int], offsets: dict[int, int], *, until: float) -> Iterator[Batch]:
        """Records after `offsets` to the end of the topic, or until time.monotonic() passes `until`. Raises LogAway."""
        consumer = self._consumer()
        position = dict(offsets)
        try:
            consumer.assign([TopicPartition(topic, p, position.get(p, OFFSET_BEGINNING)) for p in partitions])
            at_end: set[int] = set()
            answered = time.monotonic()
            while len(at_end) < len(partitions):
                records = []
                messages = consumer.consume(BATCH, timeout=0.5)
                for message in messages:
                    partition, offset, error = message.partition() or 0, message.offset() or 0, message.error()
                    if error is not None:
                        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  (the client's own name)
                            at_end.add(partition)
                            position[partition] = offset
                            continue
                        raise LogAway(f"topic {topic} cannot be read: {error}")
                    at_end.discard(partition)
                    position[partition] = offset + 1
                    body = message.value()
                    if body is not None:
                        records.append(Record(partition, offset, self._decode(topic, body)))
                now = time.monotonic()
                answered = now if messages else answered
                if now - answered > TIMEOUT_S:
                    raise LogAway(f"topic {topic} gave nothing for {TIMEOUT_S:.0f} s")
                is_at_end = len(at_end) == len(partitions)
                if records or is_at_end:
                    yield Batch(records, dict(position), is_at_end)
                if now > until and not is_at_end:
                    return
        except KafkaException as error:
            raise LogAway(f"topic {topic} cannot be read: {error}") from None
        finally:
            consumer.close()

    def _consumer(self) -> Consumer:
        return Consumer(
            {
                "bootstrap.servers": self._settings.kafka,
                "group.id": "analytics_api-probe-reconcile",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
                "auto.offset.reset": "earliest",
                "queued.max.messages.kbytes": 32768,
                "log_level": 0,
            },
            logger=_SILENT,
        )

    def _decode(self, topic: str, body: bytes) -> dict[str, Any]:
        if len(body) < 5 or body[0] != 0:
            raise LogAway(f"a record of {topic} is not in the registry's format")
        schema = self._schema(int.from_bytes(body[1:5], "big"))
        value = fastavro.schemaless_reader(BytesIO(body[5:]), schema, None)
        return {name.lower(): field for name, field in value.items()}  # type: ignore[union-attr] # a record's schema gives a dictionary

    def _schema(self, schema_id: int) -> Any:  # noqa: ANN401  (fastavro's own)
        if schema_id not in self._schemas:
            try:
                answer = self._http.get(f"{self._settings.registry_url}/schemas/ids/{schema_id}")
                answer.raise_for_status()
                schema = answer.json()["schema"]
            except (httpx.HTTPError, KeyError, ValueError) as error:
                raise LogAway(f"the registry does not give schema {schema_id}: {error}") from None
            self._schemas[schema_id] = fastavro.parse_schema(json.loads(schema))
        return self._schemas[schema_id]


def minute_of(moment: dt.datetime) -> dt.datetime:
    """The minute that it belongs to."""
    return moment.replace(second=0, microsecond=0)


def hour_of(moment: dt.datetime) -> dt.datetime:
    """The hour that it belongs to."""
    return moment.replace(minute=0, second=0, microsecond=0)
