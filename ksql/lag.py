"""How far consumer groups have read: whether anything real lies between where a group is and the end of a topic.

The end of a topic that transactions write is a marker, not a record, so a difference of offsets proves nothing:
what lies between is read.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec

from ksql.errors import ToolError

_SILENT = logging.getLogger("ksql.lag.silent")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False

Offsets = dict[tuple[str, int], int]
"""Offset by topic and partition."""


@dataclass(frozen=True, slots=True)
class Lag:
    """What a group has still to read of a target."""

    records: int
    """Offsets between, an upper bound of records."""
    done: bool


class Positions:
    """Reads offsets of topics and of groups, and probes what lies between."""

    def __init__(self, kafka: str) -> None:
        self._kafka = kafka
        self._admin = AdminClient({"bootstrap.servers": kafka, "log_level": 0}, logger=_SILENT)
        self._probed: dict[tuple[str, int], tuple[int, int]] = {}
        """Between which offsets a partition was found to hold no record."""

    def partitions(self, topics: Iterable[str]) -> list[TopicPartition]:
        """Every partition of the topics that exist."""
        wanted = set(topics)
        try:
            listed = self._admin.list_topics(timeout=15).topics
        except KafkaException as error:
            raise ToolError(f"Kafka at {self._kafka} does not answer: {error.args[0].str()}") from error
        return [TopicPartition(name, number) for name in wanted & set(listed) for number in listed[name].partitions]

    def ends(self, topics: Iterable[str]) -> Offsets:
        """The end of every partition as a reader of committed records sees it."""
        return self._offsets(topics, OffsetSpec.latest())  # type: ignore[no-untyped-call] # the client's own

    def starts(self, topics: Iterable[str]) -> Offsets:
        """The first offset that is still there, of every partition."""
        return self._offsets(topics, OffsetSpec.earliest())  # type: ignore[no-untyped-call] # the client's own

    def sizes(self, topics: Iterable[str]) -> dict[str, int]:
        """Offsets between start and end, summed over the partitions of each topic: about as many records."""
        names = set(topics)
        ends, starts = self.ends(names), self.starts(names)
        found = dict.fromkeys(names, 0)
        for (topic, partition), end in ends.items():
            found[topic] += end - starts.get((topic, partition), 0)
        return found

    def committed(self, group: str) -> Offsets:
        """Where a group stands, by partition; empty for a group that never committed."""
        request = [ConsumerGroupTopicPartitions(group)]
        future = self._admin.list_consumer_group_offsets(request, request_timeout=15)[group]
        try:
            answer = future.result()
        except KafkaException as error:
            if error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
                return {}
            raise ToolError(
                f"Kafka at {self._kafka} does not tell offsets of {group}: {error.args[0].str()}"
            ) from error
        return {(one.topic, one.partition): one.offset for one in answer.topic_partitions if one.offset >= 0}

    def groups(self, prefix: str) -> list[str]:
        """The consumer groups whose name begins so."""
        try:
            listed = self._admin.list_consumer_groups(request_timeout=15).result()
        except KafkaException as error:
            raise ToolError(f"Kafka at {self._kafka} does not list groups: {error.args[0].str()}") from error
        return [one.group_id for one in listed.valid if one.group_id.startswith(prefix)]

    def forget(self, group: str, timeout_s: float = 15.0) -> bool:
        """Delete a group whose members are gone; gives whether it is gone, too, within the time."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                self._admin.delete_consumer_groups([group], request_timeout=15)[group].result()
            except KafkaException as error:
                code = error.args[0].code()
                if code == KafkaError.GROUP_ID_NOT_FOUND:
                    return True
                # its last member may still be on its way out
                if code != KafkaError.NON_EMPTY_GROUP or time.monotonic() > deadline:
                    return False
                time.sleep(0.2)
            else:
                return True

    def lag(self, committed: Mapping[tuple[str, int], int], targets: Mapping[tuple[str, int], int]) -> Lag:
        """What is left until every partition is read to its target."""
        starts: Offsets | None = None
        records = 0
        open_ones: list[tuple[tuple[str, int], int, int]] = []
        for key, target in targets.items():
            at = committed.get(key)
            if at is None:
                if starts is None:
                    starts = self.starts({topic for topic, _partition in targets})
                at = starts.get(key, 0)
            probed = self._probed.get(key)
            is_empty = probed is not None and probed[0] <= at and target <= probed[1]
            if at < target and not is_empty:
                records += target - at
                open_ones.append((key, at, target))
        if open_ones and all(target - at <= _MARKERS for _key, at, target in open_ones):
            for key, at, target in open_ones:
                if self._holds_a_record(key, at, target):
                    return Lag(records, done=False)
                self._probed[key] = (at, target)
            return Lag(0, done=True)
        return Lag(records, done=not open_ones)

    def _offsets(self, topics: Iterable[str], spec: OffsetSpec) -> Offsets:
        wanted = dict.fromkeys(self.partitions(topics), spec)
        if not wanted:
            return {}
        futures = self._admin.list_offsets(wanted, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=15)
        try:
            return {(one.topic, one.partition): future.result().offset for one, future in futures.items()}
        except KafkaException as error:
            raise ToolError(f"Kafka at {self._kafka} does not tell offsets: {error.args[0].str()}") from error

    def _holds_a_record(self, key: tuple[str, int], start: int, end: int) -> bool:
        """Whether a committed record lies at or after ``start`` and before ``end``."""
        consumer = Consumer(
            {
                "bootstrap.servers": self._kafka,
                "group.id": f"ksql-probe-{uuid.uuid4()}",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                # there is nothing to gather: the answer is one record, or the end
                "fetch.wait.max.ms": 10,
                "log_level": 0,
            },
            logger=_SILENT,
        )
        try:
            consumer.assign([TopicPartition(key[0], key[1], start)])
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                message = consumer.poll(1.0)
                if message is None:
                    continue
                error = message.error()
                if error is not None:
                    return not bool(error.code() == KafkaError._PARTITION_EOF)  # noqa: SLF001 - the client's own name
                return (message.offset() or 0) < end
            return True
        finally:
            consumer.close()


_MARKERS = 50
"""A difference of more offsets than this is surely not made of transaction markers alone, or soon will not be."""
