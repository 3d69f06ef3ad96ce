"""What the tests of ksqlite over a real broker share: names of their own, records in and out, a server to kill."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, IsolationLevel, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from ksqlite.engine import Engine
from ksqlite.formats import HttpRegistry
from ksqlite.parser import parse
from ksqlite.runner.runner import Runner
from ksqlite.runner.settings import RunnerSettings
from stack import free_ports
from tests.fix_stack import wait_for

LATEST: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call] # the library gives it no types
Record = tuple[int, bytes | None, bytes | None, int]
"""Partition, key, value, timestamp."""


@dataclass
class Space:
    """Topics, subjects and state under one prefix, gone after the test."""

    kafka: str
    registry_url: str
    folder: Path
    prefix: str = field(default_factory=lambda: f"t{uuid.uuid4().hex[:8]}_")

    def __post_init__(self) -> None:
        self.admin = AdminClient({"bootstrap.servers": self.kafka})
        self.registry = HttpRegistry(self.registry_url)

    def name(self, topic: str) -> str:
        return self.prefix + topic

    def own(self, text: str) -> str:
        """Ksql text with the topics of this space."""
        return re.sub(r"KAFKA_TOPIC\s*=\s*'", lambda found: found[0] + self.prefix, text, flags=re.IGNORECASE)

    def create(self, topic: str, partitions: int, **config: str) -> None:
        wanted = {key.replace("_", "."): value for key, value in config.items()}
        (future,) = self.admin.create_topics([NewTopic(self.name(topic), partitions, 1, config=wanted)]).values()
        future.result(30)

    def alter(self, topic: str, **config: str) -> None:
        entries = [
            ConfigEntry(key.replace("_", "."), value, incremental_operation=AlterConfigOpType.SET)
            for key, value in config.items()
        ]
        resource = ConfigResource(ResourceType.TOPIC, self.name(topic), incremental_configs=entries)
        (future,) = self.admin.incremental_alter_configs([resource]).values()
        future.result(30)

    def configs(self, topic: str) -> dict[str, str]:
        (future,) = self.admin.describe_configs([ConfigResource(ResourceType.TOPIC, self.name(topic))]).values()
        return {name: entry.value for name, entry in future.result(30).items()}

    def produce(self, topic: str, records: Sequence[Sequence[Any]]) -> None:
        """Writes records: key, value, timestamp and, where it matters, partition. Fails when Kafka refuses one."""
        refused: list[str] = []

        def delivered(error: Any, _message: Any) -> None:
            if error is not None:
                refused.append(error.str())

        producer = Producer(
            {
                "bootstrap.servers": self.kafka,
                "partitioner": "murmur2_random",
                "linger.ms": 20,
                "compression.type": "lz4",
                "queue.buffering.max.messages": 2_000_000,
            }
        )
        for key, value, timestamp, *partition in records:
            while True:
                try:
                    producer.produce(
                        self.name(topic),
                        value,
                        key,
                        timestamp=timestamp,
                        partition=partition[0] if partition else -1,
                        on_delivery=delivered,
                    )
                except BufferError:
                    producer.poll(0.1)
                else:
                    break
        assert producer.flush(60) == 0
        assert not refused, f"{len(refused)} records of {topic} were refused: {refused[0]}"

    def read(self, topic: str) -> list[Record]:
        """All committed records, by partition and offset."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.kafka,
                "group.id": f"{self.prefix}reader",
                "isolation.level": "read_committed",
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
            }
        )
        partitions = len(self.admin.list_topics(self.name(topic), timeout=30).topics[self.name(topic)].partitions)
        wait_for(lambda: self.is_marked(topic, partitions), limit_s=30, what=f"no transaction is open in {topic}")
        consumer.assign([TopicPartition(self.name(topic), partition, 0) for partition in range(partitions)])
        open_ones = set(range(partitions))
        found: list[tuple[int, int, Record]] = []
        deadline = time.monotonic() + 60
        while open_ones and time.monotonic() < deadline:
            message: Any
            for message in consumer.consume(5000, 0.2):
                if message.error() is not None:
                    assert message.error().code() == -191, message.error()
                    open_ones.discard(message.partition())
                    continue
                record = (message.partition(), message.key(), message.value(), message.timestamp()[1])
                found.append((message.partition(), message.offset(), record))
        consumer.close()
        assert not open_ones, f"{topic} was not read to its end"
        return [record for _, _, record in sorted(found, key=lambda entry: entry[:2])]

    def ends(self, topic: str, partitions: int) -> int:
        """How many offsets a topic has in all."""
        places = {TopicPartition(self.name(topic), p): LATEST for p in range(partitions)}
        return sum(future.result(10).offset for future in self.admin.list_offsets(places).values())

    def committed(self, topic: str, partitions: int) -> int:
        """Where the runner's consumer group stands: the sum of its offsets."""
        places = [TopicPartition(self.name(topic), partition) for partition in range(partitions)]
        group = ConsumerGroupTopicPartitions(f"_confluent-ksql-{self.prefix}ksqlite", places)
        (future,) = self.admin.list_consumer_group_offsets([group]).values()
        return sum(max(0, place.offset) for place in future.result(10).topic_partitions)

    def is_marked(self, topic: str, partitions: int) -> bool:
        """Whether all that is in a topic is committed: Kafka answers a commit before it marks it in every partition."""
        ends = []
        for level in (IsolationLevel.READ_COMMITTED, IsolationLevel.READ_UNCOMMITTED):
            places = {TopicPartition(self.name(topic), p): LATEST for p in range(partitions)}
            answers = self.admin.list_offsets(places, isolation_level=level)
            ends.append([future.result(10).offset for future in answers.values()])
        return bool(ends[0] == ends[1])

    def settings(self, **more: Any) -> RunnerSettings:
        return RunnerSettings(
            **{"bootstrap": self.kafka, "service_id": self.prefix, "state_dir": self.folder / "state", **more}
        )

    @contextlib.contextmanager
    def runner(self, **more: Any) -> Iterator[Runner]:
        """A runner in this process, ready."""
        runner = Runner(self.settings(**more), Engine, self.registry)
        runner.start()
        try:
            wait_for(lambda: runner.ready.is_set() or runner.stopped.is_set(), limit_s=30, what="the runner is ready")
            yield runner
        finally:
            runner.stop()

    def apply(self, runner: Runner, text: str) -> list[dict[str, Any]]:
        """Runs statements, topics renamed."""
        return [runner.execute(located) for located in parse(self.own(text))]

    def settle(self, runner: Runner, read: dict[str, int], limit_s: float = 60) -> None:
        """Waits until so many records of source topics are read, and all that came of them is committed."""

        def settled() -> bool:
            def look(session: Any) -> bool:
                done: dict[str, int] = {}
                for (topic, _), offset in session.positions.sources.items():
                    done[topic] = done.get(topic, 0) + offset
                enough = all(done.get(self.name(topic), 0) >= count for topic, count in read.items())
                return bool(session.idle and enough)

            return runner.submit(look).result(30)

        wait_for(settled, limit_s=limit_s, what=f"{read} are read and committed")

    def clean(self) -> None:
        mine = [topic for topic in self.admin.list_topics(timeout=30).topics if self.prefix in topic]
        if mine:
            for future in self.admin.delete_topics(mine).values():
                with contextlib.suppress(Exception):
                    future.result(30)
        for subject in self.registry.subjects():
            if subject.startswith(self.prefix):
                self.registry.delete(subject)
        self.registry.close()


@pytest.fixture
def space(stack: Any, tmp_path: Path) -> Iterator[Any]:
    made = Space(stack.kafka, stack.registry_url, tmp_path)
    yield made
    made.clean()


@dataclass
class Server:
    """``python -m ksqlite serve`` as a process of its own."""

    space: Space
    state: Path
    service_id: str = ""
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.service_id = self.service_id or self.space.prefix
        self.port = free_ports.choose()["CHECKS_KSQL_PORT"]
        self.process: subprocess.Popen[bytes] | None = None
        self.log = self.state.parent / f"{self.state.name}-{self.port}.log"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, *, wait: bool = True) -> None:
        variables = {
            **os.environ,
            "CHECKS_KAFKA": self.space.kafka,
            "CHECKS_REGISTRY_URL": self.space.registry_url,
            "CHECKS_KSQL_PORT": str(self.port),
            "CHECKS_KSQL_SERVICE_ID": self.service_id,
            "CHECKS_STATE": str(self.state),
            **self.environment,
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([sys.executable, "-m", "ksqlite", "serve"], env=variables, stderr=log)
        if wait:
            wait_for(self.healthy, limit_s=90, what=f"ksqlite is healthy (see {self.log})", every_s=0.02)

    def healthy(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            pytest.fail(f"ksqlite ended with {self.process.returncode}:\n{self.log.read_text()[-3000:]}")
        try:
            with urllib.request.urlopen(f"{self.url}/healthcheck", timeout=2) as answer:  # noqa: S310 - this server's
                return bool(json.loads(answer.read())["isHealthy"])
        except (OSError, ValueError):
            return False

    def ksql(self, text: str, **properties: str) -> list[dict[str, Any]]:
        body = json.dumps({"ksql": text, "streamsProperties": properties}).encode()
        kind = {"Content-Type": "application/vnd.ksql.v1+json"}
        request = urllib.request.Request(f"{self.url}/ksql", body, kind)  # noqa: S310 - this server's
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - this server's
                entities: list[dict[str, Any]] = json.loads(answer.read())
                return entities
        except urllib.error.HTTPError as refusal:
            raise AssertionError(refusal.read().decode()) from None

    def metrics(self) -> str:
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=10) as answer:  # noqa: S310 - this server's
            return str(answer.read(), "utf-8")

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@pytest.fixture
def serve(space: Any, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Makes servers; those that still run at the end are ended."""
    made: list[Server] = []

    def make(state: str = "server", **more: Any) -> Server:
        made.append(Server(space, tmp_path / state, **more))
        return made[-1]

    yield make
    for server in made:
        if server.process is not None and server.process.poll() is None:
            server.process.kill()
            server.process.wait(10)
