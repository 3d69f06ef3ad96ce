"""Topics as the engine sees them, over Kafka's admin client."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from ksqlite.errors import AnalysisError, TopicError
from ksqlite.runner.settings import RunnerSettings

TIMEOUT_S = 30.0


class KafkaTopics:
    """Makes, finds and deletes topics. Partition counts are remembered: they do not change while ksqlite runs."""

    def __init__(self, settings: RunnerSettings) -> None:
        from confluent_kafka.admin import AdminClient  # noqa: PLC0415 - keeps the start of other commands short

        self._settings = settings
        self.admin = AdminClient({**settings.common, "socket.timeout.ms": 15_000})
        self._partitions: dict[str, int] = {}
        self._replayed: dict[str, int] = {}
        self._doomed: dict[str, None] = {}
        self.replaying = False
        """Old statements are run again: what they made is there or was deleted since, what they deleted is gone."""

    def refresh(self) -> None:
        """Looks at all topics anew. Raises TopicError when Kafka is away."""
        from confluent_kafka import KafkaException  # noqa: PLC0415

        try:
            metadata = self.admin.list_topics(timeout=TIMEOUT_S)
        except KafkaException as problem:
            raise TopicError(
                f"Kafka at {self._settings.bootstrap} cannot be reached: {problem.args[0].str()}"
            ) from None
        self._partitions = {
            name: len(topic.partitions) for name, topic in metadata.topics.items() if topic.error is None
        }

    def partitions(self, topic: str) -> int | None:
        """How many partitions the topic has; None when there is no such topic."""
        known = self._partitions.get(topic)
        if self.replaying:
            return known if known is not None else self._replayed.get(topic)
        if known is None:
            self.refresh()
            known = self._partitions.get(topic)
        return known

    def names(self) -> dict[str, int]:
        """All topics and their partition counts."""
        self.refresh()
        return dict(self._partitions)

    def replicas(self, topic: str) -> int:
        """The topic's replication factor (1 where it cannot be told)."""
        metadata = self.admin.list_topics(topic, timeout=TIMEOUT_S)
        partitions = metadata.topics[topic].partitions if topic in metadata.topics else {}
        return min((len(partition.replicas) for partition in partitions.values()), default=1)

    def configs(self, topic: str) -> dict[str, str]:
        """The topic's settings, broker defaults included."""
        from confluent_kafka.admin import ConfigResource, ResourceType  # noqa: PLC0415

        resource = ConfigResource(ResourceType.TOPIC, topic)
        (answer,) = self._results(self.admin.describe_configs([resource], request_timeout=TIMEOUT_S))
        return {name: entry.value for name, entry in answer.items()}

    def create(self, topic: str, partitions: int, replicas: int, settings: Mapping[str, str]) -> None:
        """Makes a sink topic; one that is there must have the partitions, and the retention of a windowed table.

        Raises AnalysisError where it has not, in ksqlDB's words, TopicError when Kafka refuses.
        """
        there = self._partitions.get(topic) if self.replaying else self.partitions(topic)
        if there is None and self.replaying:
            # deleted by a later statement, or from outside: the count is all that the replay needs
            self._replayed[topic] = partitions
            return
        if there is not None and not self.replaying:
            self._check(topic, there, partitions, settings)
        if there is not None:
            return
        try:
            self.create_all([(topic, partitions, replicas, settings)])
        except TopicError:
            with contextlib.suppress(TopicError):
                self.delete_all([topic])  # it may be there, though it was not served in time
            raise

    def _check(self, topic: str, there: int, wanted: int, settings: Mapping[str, str]) -> None:
        if there != wanted:
            replicas = self.replicas(topic)
            raise AnalysisError(
                f"A Kafka topic with the name '{topic}' already exists, with different partition/replica configuration "
                f"than required. KSQL expects {wanted} partitions (topic has {there}), and {replicas} replication "
                f"factor (topic has {replicas})."
            )
        retention = settings.get("retention.ms")
        if retention is None:
            return
        has = self.configs(topic).get("retention.ms")
        if has is not None and int(has) != int(retention):
            raise AnalysisError(
                f"A Kafka topic with the name '{topic}' already exists, with different retention configuration than "
                f"required. KSQL expects {retention} retention (topic has {has})."
            )

    def create_all(self, topics: Sequence[tuple[str, int, int, Mapping[str, str]]]) -> set[str]:
        """Makes topics (name, partitions, replicas, settings) that are not there; gives their names.

        Raises TopicError.
        """
        from confluent_kafka import KafkaError, KafkaException  # noqa: PLC0415
        from confluent_kafka.admin import NewTopic  # noqa: PLC0415

        missing = [entry for entry in topics if self._partitions.get(entry[0]) is None]
        if not missing:
            return set()
        new = {name for name, _, _, _ in missing}
        made = self.admin.create_topics(
            [
                NewTopic(name, num_partitions=partitions, replication_factor=replicas, config=dict(settings))
                for name, partitions, replicas, settings in missing
            ],
            request_timeout=TIMEOUT_S,
        )
        for (name, partitions, _, _), future in zip(missing, made.values(), strict=True):
            try:
                future.result(TIMEOUT_S)
            except KafkaException as problem:
                if problem.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise TopicError(f"Kafka did not make topic {name}: {problem.args[0].str()}") from None
                new.discard(name)
            self._partitions[name] = partitions
        self._await([name for name, _, _, _ in missing])
        return new

    def _await(self, names: Sequence[str]) -> None:
        """Waits until the broker serves new topics: a producer that asks earlier makes a pause of its own."""
        wanted = dict.fromkeys(names)
        limit = time.monotonic() + TIMEOUT_S
        while time.monotonic() < limit:
            known = self.admin.list_topics(timeout=TIMEOUT_S).topics
            if all(
                name in known
                and known[name].error is None
                and all(p.leader >= 0 and p.error is None for p in known[name].partitions.values())
                for name in wanted
            ):
                return
            time.sleep(0.02)
        raise TopicError(f"Kafka does not serve {', '.join(names)} {TIMEOUT_S:.0f} s after making them")

    def delete(self, topic: str) -> None:
        """DROP … DELETE TOPIC: ``bury`` does it, once it is written down that nothing reads or writes the topic."""
        if not self.replaying:
            self._doomed[topic] = None

    def bury(self) -> None:
        """Deletes the topics that were to be deleted."""
        doomed, self._doomed = list(self._doomed), {}
        if doomed:
            self.delete_all(doomed)

    def delete_all(self, topics: Sequence[str]) -> None:
        """Deletes topics. Raises TopicError when Kafka refuses."""
        from confluent_kafka import KafkaError, KafkaException  # noqa: PLC0415

        for name, future in self.admin.delete_topics(list(topics), request_timeout=TIMEOUT_S).items():
            try:
                future.result(TIMEOUT_S)
            except KafkaException as problem:
                if problem.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                    raise TopicError(f"Kafka did not delete topic {name}: {problem.args[0].str()}") from None
            self._partitions.pop(name, None)

    def settled_ends(self, partitions: Sequence[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """The ends of topics that this server writes, when none of its transactions is open.

        Kafka answers a commit before it has marked it in every partition: until then a transaction's records are not
        behind what ``end_offsets`` gives. Raises TopicError when somebody else keeps a transaction open.
        """
        limit = time.monotonic() + TIMEOUT_S
        while True:
            committed = self.end_offsets(partitions)
            if committed == self.end_offsets(partitions, uncommitted=True):
                return committed
            if time.monotonic() > limit:
                topics = ", ".join(sorted({topic for topic, _ in partitions}))
                raise TopicError(f"A transaction of another producer stays open in one of {topics}")
            time.sleep(0.005)

    def end_offsets(
        self, partitions: Sequence[tuple[str, int]], *, earliest: bool = False, uncommitted: bool = False
    ) -> dict[tuple[str, int], int]:
        """The offset behind the last committed record of each partition (or the first one that is there)."""
        from confluent_kafka import IsolationLevel, KafkaException, TopicPartition  # noqa: PLC0415
        from confluent_kafka.admin import OffsetSpec  # noqa: PLC0415

        if not partitions:
            return {}
        choose: Any = OffsetSpec.earliest if earliest else OffsetSpec.latest
        spec = choose()
        level = IsolationLevel.READ_UNCOMMITTED if uncommitted else IsolationLevel.READ_COMMITTED
        asked = {TopicPartition(topic, partition): spec for topic, partition in partitions}
        limit = time.monotonic() + TIMEOUT_S
        made: dict[tuple[str, int], int] = {}
        while asked:
            answers: Any = self.admin.list_offsets(asked, isolation_level=level, request_timeout=TIMEOUT_S)
            for place, future in answers.items():
                try:
                    made[place.topic, place.partition] = future.result(TIMEOUT_S).offset
                    del asked[place]
                except KafkaException as problem:  # a topic that was made or moved just now
                    if not problem.args[0].retriable() or time.monotonic() > limit:
                        raise TopicError(f"The end of {place.topic} cannot be told: {problem.args[0].str()}") from None
                    time.sleep(0.01)
        return made

    @staticmethod
    def _results(futures: Mapping[Any, Future[Any]]) -> list[Any]:
        return [future.result(TIMEOUT_S) for future in futures.values()]
