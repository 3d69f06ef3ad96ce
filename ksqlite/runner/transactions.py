"""The server's one transactional producer."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ksqlite.runner.settings import RunnerSettings

if TYPE_CHECKING:
    from confluent_kafka import Producer

TIMEOUT_S = 60.0
_ANY = -1


class FencedError(Exception):
    """Another server with the same service id has taken over: this one must not write any more."""


class Transactions:
    """Begins, fills and commits transactions. Raises FencedError, and KafkaException where Kafka fails."""

    def __init__(self, settings: RunnerSettings) -> None:
        from confluent_kafka import Producer  # noqa: PLC0415 - keeps the start of other commands short

        self._producer: Producer = Producer(
            {
                **settings.common,
                "transactional.id": f"{settings.prefix}ksqlite",
                "transaction.timeout.ms": settings.transaction_timeout_ms,
                "partitioner": "murmur2_random",
                "compression.type": "lz4",
                "linger.ms": 20,
                "batch.size": 1_000_000,
                "batch.num.messages": 100_000,
                "message.max.bytes": 32 << 20,
                "queue.buffering.max.messages": 2_000_000,
                "queue.buffering.max.kbytes": 1 << 20,
                "delivery.report.only.error": True,
                "retry.backoff.ms": 50,
                "retry.backoff.max.ms": 500,
            }
        )
        self._open = False
        self.produce = self._producer.produce

    def initialise(self) -> None:
        """Puts any older server of this service id out of action and finishes what it left."""
        self._guarded(self._producer.init_transactions, TIMEOUT_S)

    def begin(self) -> None:
        """Opens a transaction unless one is open."""
        if not self._open:
            self._guarded(self._producer.begin_transaction)
            self._open = True

    @property
    def is_open(self) -> bool:
        """Whether a transaction is open."""
        return self._open

    def send(self, topic: str, records: Sequence[Sequence[Any]]) -> None:
        """Produces records (engine.api.Output): to their partition, or to that of their key."""
        from confluent_kafka import KafkaException  # noqa: PLC0415 - keeps the start of other commands short

        produce = self.produce
        position = 0
        while True:
            try:
                for key, value, timestamp, headers, partition in records[position:] if position else records:
                    if headers:
                        produce(
                            topic, value, key, _ANY if partition is None else partition, None, None, timestamp, headers
                        )
                    else:
                        produce(topic, value, key, _ANY if partition is None else partition, None, None, timestamp)
                    position += 1
            except BufferError:
                self._producer.poll(0.1)
                continue
            except KafkaException as problem:
                self._explain(problem)
                raise
            return

    def _explain(self, problem: Exception) -> None:
        """Producing tells only that the producer is dead; giving up the transaction tells why: raises FencedError."""
        if problem.args[0].fatal() or problem.args[0].name() == "_FATAL":
            self._guarded(self._producer.abort_transaction, TIMEOUT_S)

    def send_to(self, topic: str, partition: int, records: Sequence[tuple[bytes | None, bytes | None]]) -> None:
        """Produces records (key, value) to one partition."""
        from confluent_kafka import KafkaException  # noqa: PLC0415 - keeps the start of other commands short

        produce = self.produce
        position = 0
        while True:
            try:
                for key, value in records[position:] if position else records:
                    produce(topic, value, key, partition)
                    position += 1
            except BufferError:
                self._producer.poll(0.1)
                continue
            except KafkaException as problem:
                self._explain(problem)
                raise
            return

    def commit(self) -> None:
        """Commits the open transaction."""
        self._guarded(self._producer.commit_transaction, TIMEOUT_S)
        self._open = False
        self._producer.poll(0)

    def abort(self) -> None:
        """Gives the open transaction up."""
        if self._open:
            self._open = False
            self._producer.abort_transaction(TIMEOUT_S)

    def close(self) -> None:
        """Drops what was not committed."""
        from confluent_kafka import KafkaException  # noqa: PLC0415

        with contextlib.suppress(KafkaException):  # a dead producer says once more that it is dead
            self._producer.close()

    @staticmethod
    def _guarded(call: Any, *arguments: Any) -> None:  # noqa: ANN401 - a method of the producer
        from confluent_kafka import KafkaError, KafkaException  # noqa: PLC0415

        while True:
            try:
                call(*arguments)
            except KafkaException as problem:
                error = problem.args[0]
                if error.code() in (KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH):  # noqa: SLF001 - the library's public names
                    raise FencedError(error.str()) from None
                if error.retriable() and not error.txn_requires_abort():
                    continue
                raise
            return
