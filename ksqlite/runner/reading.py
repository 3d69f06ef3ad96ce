"""Reads stretches of topics, from given offsets to the last committed record."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ksqlite.errors import TopicError
from ksqlite.runner.settings import RunnerSettings

if TYPE_CHECKING:
    from confluent_kafka import Consumer

Place = tuple[str, int]
"""Topic and partition."""

_TIMEOUT_S = 60.0
_SLICE_S = 0.01
"""The client waits for so long for more messages than there are: a start reads several short topics."""


def consumer(settings: RunnerSettings, **extra: Any) -> Consumer:  # noqa: ANN401 - librdkafka's settings
    """A consumer of committed records that is told its places and commits nothing by itself."""
    from confluent_kafka import Consumer  # noqa: PLC0415 - keeps the start of other commands short

    return Consumer(
        {
            **settings.common,
            "group.id": f"{settings.prefix}ksqlite",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 50,
            "fetch.error.backoff.ms": 50,
            "enable.partition.eof": False,
            **extra,
        }
    )


def read_to_end(
    settings: RunnerSettings, starts: Mapping[Place, int], ends: Mapping[Place, int]
) -> Iterator[list[Any]]:
    """Lists of messages from each partition's start up to its end (exclusive; both offsets).

    Raises TopicError when nothing comes for a minute.
    """
    from confluent_kafka import TopicPartition  # noqa: PLC0415

    open_places = {place for place, start in starts.items() if start < ends[place]}
    if not open_places:
        return
    reader = consumer(settings, **{"enable.partition.eof": True, "fetch.wait.max.ms": 5})
    try:
        reader.assign([TopicPartition(topic, partition, starts[topic, partition]) for topic, partition in open_places])
        limit = time.monotonic() + _TIMEOUT_S
        while open_places:
            messages: list[Any] = []
            message: Any
            for message in reader.consume(10_000, _SLICE_S):
                place = (message.topic(), message.partition())
                error = message.error()
                if error is not None:
                    if error.code() == -191:  # the partition's end: everything committed was read
                        open_places.discard(place)
                        continue
                    if error.fatal() or not error.retriable():
                        raise TopicError(f"Reading {place[0]} failed: {error.str()}")
                    continue
                if message.offset() < ends[place]:
                    messages.append(message)
                if message.offset() >= ends[place] - 1:
                    open_places.discard(place)
            if messages:
                limit = time.monotonic() + _TIMEOUT_S
                yield messages
            elif time.monotonic() > limit:
                raise TopicError(f"Nothing came of {sorted(open_places)} for {_TIMEOUT_S:.0f} s")
    finally:
        reader.close()
