"""A backend that lives in memory: the REST API in tests, and for trying statements without a broker."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from ksqlite import ast
from ksqlite.catalog import SourceInfo
from ksqlite.engine.api import EngineApi, Environment, Input, QueryInfo
from ksqlite.engine.engine import Engine
from ksqlite.errors import AnalysisError
from ksqlite.server.backend import TopicRecord
from ksqlite.server.push import PushWorker
from ksqlite.statements import Entity, NewRecord, changes, execute
from ksqlite.testing.memory import MemoryTopics, memory_environment

T = TypeVar("T")


class MemoryBackend:
    """See ``ksqlite.server.backend.Backend``. Every topic has one partition."""

    def __init__(self, settings: Mapping[str, Any] | None = None) -> None:
        self.env: Environment = memory_environment(settings, default_partitions=1)
        self._engine = Engine(self.env)
        self._numbers = itertools.count(1)
        self._statuses: dict[str, str] = {}
        self.records: dict[str, list[Input]] = {}
        self.push_texts: Callable[[], Mapping[str, str]] = dict

    @property
    def engine(self) -> EngineApi:
        """The engine."""
        return self._engine

    @property
    def inspector(self) -> MemoryBackend:
        """It answers itself what SHOW and DESCRIBE ask."""
        return self

    def run(self, work: Callable[[], T]) -> Future[T]:
        """Does the work at once."""
        future: Future[T] = Future()
        try:
            future.set_result(work())
        except Exception as error:  # noqa: BLE001 - handed on
            future.set_exception(error)
        return future

    def execute(self, located: ast.Located, properties: Mapping[str, Any]) -> Entity | None:
        """Runs a statement."""
        if not changes(located.statement):
            return execute(self._engine, located, properties, self)
        number = 2 * next(self._numbers)
        entity = self._engine.execute(located, properties)
        if entity.get("@type") == "currentStatus":
            entity["commandSequenceNumber"] = number
            self._statuses[entity["commandId"]] = "SUCCESS"
        for info in self._engine.queries():
            if info.text == entity.get("statementText"):
                self._replay(info)
        return entity

    def _replay(self, info: QueryInfo) -> None:
        """A new query reads what its topics hold."""
        for topic in info.topics:
            if self.records.get(topic):
                self._engine.process(topic, 0, self.records[topic], frozenset((info.query_id,)))
        self._collect()

    def write(self, record: NewRecord) -> None:
        """Writes a record, and runs the queries that read it."""
        written = self.records.setdefault(record.topic, [])
        written.append(Input(record.key, record.value, record.timestamp, len(written)))
        self._engine.process(record.topic, 0, written[-1:])
        self._collect()

    def _collect(self) -> None:
        self._engine.flush()
        for topic, outputs in self._engine.take_outputs().items():
            records = self.records.setdefault(topic, [])
            for key, value, timestamp, *_ in outputs:
                records.append(Input(key, value, timestamp, len(records)))

    def subscribe(
        self, query: ast.Query, text: str, properties: Mapping[str, Any], *, bounded: bool = False
    ) -> PushWorker:
        """Starts a push query over the records that are there, and those to come."""
        earliest = str(properties.get("auto.offset.reset", "latest")).lower() == "earliest"
        return PushWorker(
            query,
            text,
            properties,
            env=self.env,
            catalog=self._engine.catalog.snapshot(),
            open_records=lambda topics: _Records(self.records, topics, earliest=earliest),
            bounded=bounded,
        )

    def read_topic(self, topic: str, *, from_beginning: bool) -> _Reader:
        """Reads a topic for PRINT. Raises AnalysisError when there is none of that name."""
        if self.env.topics.partitions(topic) is None:
            raise AnalysisError(f"Could not find topic '{topic}'")
        return _Reader(_Records(self.records, [topic], earliest=from_beginning))

    def complaint(self) -> str | None:
        """All is well."""
        return None

    def health(self) -> Mapping[str, bool]:
        """All is well."""
        return {"metastore": True, "kafka": True, "commandRunner": True}

    def cluster_id(self) -> str:
        """A made-up id."""
        return "memory"

    def metrics(self) -> str:
        """Nothing is counted."""
        return ""

    def command_statuses(self) -> Mapping[str, str]:
        """The status of each command, by its id."""
        return self._statuses

    # -------------------------------------------------------------------------------------------------------- inspector

    def topics(self) -> Mapping[str, Sequence[int]]:
        """Every topic."""
        topics = self.env.topics
        assert isinstance(topics, MemoryTopics)  # noqa: S101 - made above
        return {name: [1] * topic.partitions for name, topic in topics.topics.items()}

    def consumers(self, topic: str) -> tuple[int, int]:
        """The queries that read a topic."""
        count = sum(topic in query.topics for query in self._engine.queries())
        return count, count

    def offsets(self, query: QueryInfo) -> Sequence[Entity]:
        """A query has always read everything."""
        summaries = []
        for topic in query.topics:
            end = len(self.records.get(topic, ()))
            offsets = [{"partition": 0, "logStartOffset": 0, "logEndOffset": end, "consumerOffset": end}]
            summaries.append({"kafkaTopic": topic, "offsets": offsets})
        return [{"groupId": f"memory_query_{query.query_id}", "topicSummaries": summaries}]

    def statistics(self, source: SourceInfo) -> Sequence[Entity]:
        """How many records a source's topic holds."""
        count = float(len(self.records.get(source.topic, ())))
        return [{"name": "total-messages", "host": "memory", "value": count, "timestamp": 0}] if count else []

    def push_queries(self) -> Mapping[str, str]:
        """The text of each running push query, by its id."""
        return self.push_texts()

    def settings(self) -> Mapping[str, Any]:
        """The environment's settings."""
        return self.env.settings


class _Records:
    """Records of some topics, from the beginning or from now on."""

    def __init__(self, records: Mapping[str, list[Input]], topics: Sequence[str], *, earliest: bool) -> None:
        self._records = records
        self._read = {topic: 0 if earliest else len(records.get(topic, ())) for topic in topics}

    @property
    def at_end(self) -> bool:
        """Whether all was read."""
        return all(len(self._records.get(topic, ())) == read for topic, read in self._read.items())

    def poll(self, limit: int, timeout_s: float) -> list[tuple[tuple[str, int], list[Input]]]:  # noqa: ARG002
        """The records that came since last asked."""
        import time  # noqa: PLC0415 - tests alone come here

        runs = []
        for topic, read in self._read.items():
            records = self._records.get(topic, [])[read:]
            if records:
                self._read[topic] = read + len(records)
                runs.append(((topic, 0), records))
        if not runs:
            time.sleep(min(timeout_s, 0.005))
        return runs

    def close(self) -> None:
        """Nothing is held."""


class _Reader:
    """A topic's records for PRINT."""

    def __init__(self, records: _Records) -> None:
        self._records = records

    def take(self) -> list[TopicRecord]:
        """The records that came since last asked."""
        return [
            TopicRecord(partition, record.offset, record.timestamp, record.key, record.value)
            for (_, partition), records in self._records.poll(0, 0.005)
            for record in records
        ]

    @property
    def at_end(self) -> bool:
        """Whether all was read."""
        return self._records.at_end

    def close(self) -> None:
        """Nothing is held."""
