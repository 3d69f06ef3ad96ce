"""Records of source topics as the engine takes them, in runs of one partition."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from ksqlite.errors import TopicError
from ksqlite.runner.reading import Place, consumer
from ksqlite.runner.settings import RunnerSettings

Record = Any
"""Key, value, timestamp, offset, headers: an engine.api.Input without its name, for there are many."""
Run = tuple[Place, list[Record]]

_EOF = -191


class Feed:
    """Consumes places from given offsets. ``positions`` is what was given out, not what was fetched.

    ``merge``: records of several topics come in the order of their timestamps, as far as they were there to be read,
    which joins depend on; the order within a partition always stays.
    """

    def __init__(self, settings: RunnerSettings, starts: Mapping[Place, int], *, merge: bool = False) -> None:
        self._consumer = consumer(settings, **{"enable.partition.eof": True, "queued.max.messages.kbytes": 65_536})
        self.positions: dict[Place, int] = {}
        self.merge = merge
        self._ended: set[Place] = set()
        self._waiting: dict[Place, deque[Record]] = {}
        self.add(starts)

    def add(self, starts: Mapping[Place, int]) -> None:
        """Takes more places in."""
        from confluent_kafka import TopicPartition  # noqa: PLC0415

        fresh = {place: offset for place, offset in starts.items() if place not in self.positions}
        if fresh:
            self.positions.update(fresh)
            self._consumer.incremental_assign([TopicPartition(t, p, offset) for (t, p), offset in fresh.items()])

    def remove(self, places: Iterable[Place]) -> None:
        """Lets places go."""
        from confluent_kafka import TopicPartition  # noqa: PLC0415

        known = [place for place in places if place in self.positions]
        if known:
            self._consumer.incremental_unassign([TopicPartition(t, p) for t, p in known])
        for place in known:
            del self.positions[place]
            self._ended.discard(place)
            self._waiting.pop(place, None)

    @property
    def at_end(self) -> bool:
        """Whether every place was read to its end when it was last looked at."""
        return len(self._ended) == len(self.positions) and not any(self._waiting.values())

    def poll(self, limit: int, timeout_s: float) -> list[Run]:
        """Up to about ``limit`` records; waits for the first ones at most ``timeout_s``. Raises TopicError."""
        runs: list[Run] = []
        at: Place | None = None
        records: list[Record] = []
        positions, ended = self.positions, self._ended
        message: Any
        for message in self._consumer.consume(limit, timeout_s) if self.positions else ():
            error = message.error()
            place = (message.topic(), message.partition())
            if error is not None:
                if error.code() == _EOF:
                    if place in positions:
                        ended.add(place)
                elif error.fatal() or not (error.retriable() or error.code() < 0):
                    raise TopicError(f"Reading {place[0]} failed: {error.str()}")
                continue
            if place != at:
                if place not in positions:
                    continue
                at = place
                ended.discard(place)
                records = []
                runs.append((place, records))
            records.append(
                (message.key(), message.value(), message.timestamp()[1], message.offset(), message.headers() or ())
            )
        if self.merge:
            return self._merged(runs, limit)
        for place, records in runs:
            positions[place] = records[-1][3] + 1
        return runs

    def _merged(self, fetched: list[Run], limit: int) -> list[Run]:
        """The oldest records first, as long as no place that has more to come is without any."""
        for place, records in fetched:
            self._waiting.setdefault(place, deque()).extend(records)
        runs: list[Run] = []
        count = 0
        while count < limit:
            heads = [(waiting[0][2], place) for place, waiting in self._waiting.items() if waiting]
            if not heads or any(not self._waiting.get(place) and place not in self._ended for place in self.positions):
                break
            heads.sort()
            _, place = heads[0]
            until = heads[1][0] if len(heads) > 1 else None
            waiting = self._waiting[place]
            records = []
            while waiting and (not records or until is None or waiting[0][2] <= until):
                records.append(waiting.popleft())
            self.positions[place] = records[-1][3] + 1
            runs.append((place, records))
            count += len(records)
        return runs

    def lags(self) -> dict[Place, int]:
        """How many offsets each place is behind its topic's end, as far as the consumer knows."""
        from confluent_kafka import TopicPartition  # noqa: PLC0415

        made = {}
        for (topic, partition), position in self.positions.items():
            _, end = self._consumer.get_watermark_offsets(TopicPartition(topic, partition), cached=True)
            made[topic, partition] = 0 if (topic, partition) in self._ended else max(0, end - position)
        return made

    def show(self) -> None:
        """Commits the positions to the consumer group, for tools that look there; nothing depends on it."""
        from confluent_kafka import TopicPartition  # noqa: PLC0415

        if self.positions:
            self._consumer.commit(
                offsets=[TopicPartition(t, p, offset) for (t, p), offset in self.positions.items()], asynchronous=True
            )

    def close(self) -> None:
        """Stops consuming."""
        self._consumer.close()
