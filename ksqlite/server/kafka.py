"""The backend over Kafka: the runner's thread, a producer for INSERT … VALUES, readers for PRINT and push queries."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from ksqlite import ast
from ksqlite.catalog import Catalog, SourceInfo
from ksqlite.engine.api import EngineApi, Environment, QueryInfo
from ksqlite.engine.engine import Engine
from ksqlite.errors import AnalysisError, KsqlError
from ksqlite.formats import HttpRegistry, RegistryError
from ksqlite.runner.feed import Feed
from ksqlite.runner.runner import Runner, Session
from ksqlite.runner.settings import RunnerSettings
from ksqlite.server.backend import TopicRecord, UnavailableError
from ksqlite.server.push import PushWorker
from ksqlite.statements import Entity, NewRecord, changes, execute

T = TypeVar("T")

_WRITE_TIMEOUT_S = 30.0


class _SessionError(Exception):
    """A statement broke the session itself (Kafka failed, another server took over): the runner starts a new one."""


def guarded(work: Callable[[], T]) -> T:
    """Does some work; what goes wrong in it is told to the client and leaves the runner alone."""
    try:
        return work()
    except (KsqlError, UnavailableError, _SessionError):
        raise
    except RegistryError as error:
        raise KsqlError(f"Schema registry: {error}") from error
    except Exception as error:
        raise KsqlError(f"{type(error).__name__}: {error}") from error


class KafkaBackend:
    """See ``ksqlite.server.backend.Backend``."""

    def __init__(
        self,
        settings: RunnerSettings,
        registry_url: str,
        properties: Mapping[str, Any],
        declare: Callable[[Engine], None],
    ) -> None:
        self._settings = settings
        self._registry_url = registry_url
        self._declare = declare
        self._properties = dict(properties)
        self._producer: Any = None
        self._producer_lock = threading.Lock()
        self._cluster_id = ""
        self.push_texts: Callable[[], Mapping[str, str]] = dict
        self._session: Session | None = None
        self.runner = Runner(settings, self._make, HttpRegistry(registry_url), self._properties)

    def _make(self, env: Environment) -> EngineApi:
        engine = Engine(env)
        self._declare(engine)
        self._engine = engine
        return engine

    # ---------------------------------------------------------------------------------------------------------- backend

    @property
    def engine(self) -> EngineApi:
        """The engine of the running session; used within ``run`` alone."""
        self._require()
        return self._engine

    def _require(self) -> None:
        """Raises UnavailableError while no session runs."""
        if not self.runner.ready.is_set():
            raise UnavailableError(f"The server is not ready: {self.runner.problem}")

    def run(self, work: Callable[[], T]) -> Future[T]:
        """Does some work in the runner's thread."""
        self._require()

        def in_session(session: Session) -> T:
            self._session = session
            try:
                return guarded(work)
            except _SessionError as error:
                raise error.args[0] from None
            finally:
                self._session = None

        return self.runner.submit(in_session)

    def execute(self, located: ast.Located, properties: Mapping[str, Any]) -> Entity | None:
        """Runs a statement; one that changes something is kept in the command topic."""
        session = self._session
        assert session is not None  # noqa: S101 - called within run
        if not changes(located.statement):
            return execute(session.engine, located, properties, self)
        number = session.commands.next_number()
        try:
            entity = session.execute(located, properties)
        except (KsqlError, RegistryError):
            raise
        except Exception as error:
            raise _SessionError(error) from error
        if entity.get("@type") == "currentStatus":
            entity["commandSequenceNumber"] = number + 1
        return entity

    def write(self, record: NewRecord) -> None:
        """Writes a record and waits until Kafka has it. Raises KsqlError."""
        from confluent_kafka import KafkaException  # noqa: PLC0415 - keeps other commands light

        if self.runner.submit(lambda session: session.insert(record)).result(_WRITE_TIMEOUT_S):
            return
        failed: list[Any] = []
        with self._producer_lock:
            try:
                producer = self._open_producer()
                producer.produce(
                    record.topic,
                    key=record.key,
                    value=record.value,
                    timestamp=record.timestamp,
                    on_delivery=lambda error, _: failed.append(error) if error is not None else None,
                )
                left = producer.flush(_WRITE_TIMEOUT_S)
            except (KafkaException, BufferError) as error:
                raise KsqlError(f"Kafka did not take the record: {error}") from error
        if failed or left:
            reason = failed[0].str() if failed else f"no answer within {_WRITE_TIMEOUT_S:.0f} s"
            raise KsqlError(f"Kafka did not take the record: {reason}")

    def _open_producer(self) -> Any:  # noqa: ANN401 - confluent_kafka has no types
        if self._producer is None:
            from confluent_kafka import Producer  # noqa: PLC0415

            self._producer = Producer(
                {
                    **self._settings.common,
                    "enable.idempotence": True,
                    "acks": "all",
                    "partitioner": "murmur2_random",
                    "message.timeout.ms": int(_WRITE_TIMEOUT_S * 1000),
                }
            )
        return self._producer

    def subscribe(
        self,
        query: ast.Query,
        text: str,
        properties: Mapping[str, Any],
        *,
        bounded: bool = False,
    ) -> PushWorker:
        """Starts a push query in a thread of its own; not within ``run``."""
        catalog, env = self.run(lambda: (self.engine.catalog.snapshot(), self.engine.env)).result(30)
        assert isinstance(catalog, Catalog)  # noqa: S101 - for the type checker
        own = Environment(
            topics=env.topics,
            stores=env.stores,
            registry=HttpRegistry(self._registry_url),
            log=_Silence(),
            settings=env.settings,
        )
        reset = str(
            properties.get("auto.offset.reset")
            or properties.get("ksql.streams.auto.offset.reset")
            or self._properties.get("ksql.streams.auto.offset.reset")
            or "latest"
        )

        def open_records(topics: Sequence[str]) -> Feed:
            places = [(topic, partition) for topic in topics for partition in range(env.topics.partitions(topic) or 0)]
            starts = self._offsets(places, earliest=reset.lower() == "earliest")
            return Feed(self._settings, starts, merge=len(topics) > 1)

        def start() -> PushWorker:
            return PushWorker(
                query, text, properties, env=own, catalog=catalog, open_records=open_records, bounded=bounded
            )

        return guarded(start)

    def _offsets(self, places: Sequence[tuple[str, int]], *, earliest: bool) -> dict[tuple[str, int], int]:
        offsets: dict[tuple[str, int], int] = self._topics().end_offsets(places, earliest=earliest)
        return offsets

    def _topics(self) -> Any:  # noqa: ANN401 - KafkaTopics
        return self.engine.env.topics

    def read_topic(self, topic: str, *, from_beginning: bool) -> _PrintReader:
        """Reads a topic for PRINT. Raises AnalysisError when there is none of that name."""
        partitions = self._topics().partitions(topic)
        if partitions is None:
            raise AnalysisError(
                f"Could not find topic '{topic}', or the KSQL user does not have permissions to list "
                "the topic. Topic names are case-sensitive."
            )
        places = [(topic, partition) for partition in range(partitions)]
        return _PrintReader(Feed(self._settings, self._offsets(places, earliest=from_beginning), merge=partitions > 1))

    def health(self) -> Mapping[str, bool]:
        """Whether each part is well."""
        up = self.runner.ready.is_set()
        parts = {"metastore": up, "kafka": up and self.runner.problem is None, "commandRunner": up}
        return {**parts, "queries": False} if self.runner.failures.queries else parts

    def complaint(self) -> str | None:
        """What ended the last session, and what set queries to ERROR; None when all is well."""
        failed = dict(self.runner.failures.queries)
        told = [self.runner.problem] if self.runner.problem is not None else []
        told += [f"{query_id} is in ERROR ({why})" for query_id, why in sorted(failed.items())]
        return "; ".join(told) or None

    def cluster_id(self) -> str:
        """Kafka's cluster id, empty as long as it is not known."""
        if not self._cluster_id and self.runner.ready.is_set():
            metadata = self._topics().admin.list_topics(timeout=10)
            self._cluster_id = str(metadata.cluster_id or "")
        return self._cluster_id

    def metrics(self) -> str:
        """Prometheus' text format."""
        return self.runner.metrics_text()

    def command_statuses(self) -> Mapping[str, str]:
        """The status of each command, by its id."""
        self._require()
        commands = self.runner.submit(lambda session: session.commands.read()).result(30)
        return {command.key: "SUCCESS" for command in commands}

    # -------------------------------------------------------------------------------------------------------- inspector

    @property
    def inspector(self) -> KafkaBackend:
        """It answers itself what SHOW and DESCRIBE ask."""
        return self

    def topics(self) -> Mapping[str, Sequence[int]]:
        """Every topic, and the number of replicas of each of its partitions."""
        metadata = self._topics().admin.list_topics(timeout=30)
        return {
            name: [len(partition.replicas) for partition in topic.partitions.values()]
            for name, topic in metadata.topics.items()
            if topic.error is None
        }

    def consumers(self, topic: str) -> tuple[int, int]:
        """The queries of this server that read a topic: they are one consumer in one group."""
        reads = int(any(topic in query.topics for query in self.engine.queries()))
        return reads, reads

    def offsets(self, query: QueryInfo) -> Sequence[Entity]:
        """A query's consumer group and how far it is."""
        session = self._session
        if session is None:
            return []
        own = session.positions.queries.get(query.query_id) or {}
        summaries = []
        for topic in query.topics:
            places = [(topic, partition) for partition in range(self._topics().partitions(topic) or 0)]
            starts, ends = self._offsets(places, earliest=True), self._offsets(places, earliest=False)
            offsets = [
                {
                    "partition": place[1],
                    "logStartOffset": starts[place],
                    "logEndOffset": ends[place],
                    "consumerOffset": own.get(place, session.positions.sources.get(place, ends[place])),
                }
                for place in places
            ]
            summaries.append({"kafkaTopic": topic, "offsets": offsets})
        group = f"{self._settings.prefix}query_{query.query_id}"
        return [{"groupId": group, "topicSummaries": summaries}]

    def statistics(self, source: SourceInfo) -> Sequence[Entity]:
        """How many records the queries of this server wrote to and read from a source."""
        figures = self.runner.metrics.queries
        now = time.time_ns() // 1_000_000
        host = f"{self._settings.service_id}"
        written = sum(
            figures[query.query_id].records_out
            for query in self.engine.queries()
            if query.sink == source.name and query.query_id in figures
        )
        read = sum(
            figures[query.query_id].records_in
            for query in self.engine.queries()
            if source.name in query.sources and query.query_id in figures
        )
        named = (("total-messages", written), ("consumer-total-messages", read))
        return [{"name": name, "host": host, "value": float(value), "timestamp": now} for name, value in named if value]

    def push_queries(self) -> Mapping[str, str]:
        """The text of each running push query, by its id."""
        return self.push_texts()

    def settings(self) -> Mapping[str, Any]:
        """The server's settings."""
        return {**self._properties, "ksql.service.id": self._settings.service_id}


class _PrintReader:
    """Reads a topic's records for PRINT."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    def take(self) -> list[TopicRecord]:
        """The records that came since last asked; waits a moment for the first."""
        return [
            TopicRecord(partition, offset, timestamp, key, value)
            for (_, partition), records in self._feed.poll(500, 0.1)
            for key, value, timestamp, offset, _ in records
        ]

    @property
    def at_end(self) -> bool:
        """Whether all that is there was read."""
        return self._feed.at_end

    def close(self) -> None:
        """Reads no more."""
        self._feed.close()


class _Silence:
    """A processing log that nobody reads: a push query's client sees what it gets."""

    def deserialization_error(self, *_args: Any, **_more: Any) -> None:  # noqa: ANN401 - all that there is
        """Nothing."""

    def record_error(self, *_args: Any) -> None:  # noqa: ANN401 - all that there is
        """Nothing."""
