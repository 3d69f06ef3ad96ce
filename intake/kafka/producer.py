"""Sends records to Kafka and tells, for each, when Kafka has it: an idempotent producer, one a process.

One request to a broker is under way at a time, and records that come meanwhile go into the next. Under load that makes
batches as large as the broker's own speed asks for, without any of them waiting for a timer: it took half the CPU a
record, and half the time, of `linger.ms=1` with five requests under way.

librdkafka reports deliveries on a thread of its own; the event loop is woken once for all that came together.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from intake.settings import Settings

log = logging.getLogger("intake.kafka")

Headers = list[tuple[str, str | bytes | None]]
_TOO_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})


def _abandon(producer: Producer) -> None:
    """Let every record that waits in a producer fail, so that nobody waits for it any more."""
    producer.purge()
    producer.flush(5.0)


class KafkaUnavailableError(Exception):
    """Kafka did not take a record, or could not be asked to; whether it has it is unknown. Send again."""


class QueueFullError(KafkaUnavailableError):
    """As many records wait for Kafka as may."""


class RecordRefusedError(Exception):
    """Kafka will never take this record: it is too large for its topic."""


def _error_of(error: KafkaError) -> Exception:
    if error.code() in _TOO_LARGE:
        return RecordRefusedError(error.str())
    return KafkaUnavailableError(error.str())


class _Ack:
    """Waits for one record. An object with slots is cheaper than a closure."""

    __slots__ = ("error", "future", "producer")

    def __init__(self, producer: RecordProducer, future: asyncio.Future[None]) -> None:
        self.producer = producer
        self.future = future
        self.error: KafkaError | None = None

    def __call__(self, error: KafkaError | None, message: Message) -> None:  # noqa: ARG002 - librdkafka's signature
        """Called by the polling thread."""
        self.error = error
        self.producer.settled(self)

    def settle(self) -> None:
        """Called by the event loop."""
        if self.future.done():
            return
        if self.error is None:
            self.future.set_result(None)
        else:
            self.producer.note_failure(self.error)
            self.future.set_exception(_error_of(self.error))


class Tally:
    """Counts deliveries of many records that one request waits for, so that the loop is not woken for each."""

    __slots__ = ("_producer", "_waiter", "_wanted", "done", "error", "failed", "sent")

    def __init__(self, producer: RecordProducer) -> None:
        self._producer = producer
        self._waiter: asyncio.Future[None] | None = None
        self._wanted = 0
        self.sent = 0
        """Records given to the producer."""
        self.done = 0
        """Records that Kafka has."""
        self.failed = 0
        """Records that it does not have, or that it may have without saying so."""
        self.error: KafkaError | None = None
        """The first failure."""

    def __call__(self, error: KafkaError | None, message: Message) -> None:  # noqa: ARG002 - librdkafka's signature
        """Called by the polling thread, which alone changes `done` and `failed`."""
        if error is None:
            self.done += 1
        else:
            self.failed += 1
            self.error = self.error or error
        if self._waiter is not None and self.done + self.failed >= self._wanted:
            self._producer.settled(self)

    @property
    def waiting(self) -> int:
        """Records without an answer yet."""
        return self.sent - self.done - self.failed

    def settle(self) -> None:
        """Called by the event loop."""
        waiter = self._waiter
        if waiter is not None and not waiter.done() and self.done + self.failed >= self._wanted:
            waiter.set_result(None)

    async def wait(self, most_waiting: int = 0) -> None:
        """Wait until no more than `most_waiting` records are without an answer."""
        while self.waiting > most_waiting:
            self._wanted = self.sent - most_waiting
            self._waiter = asyncio.get_running_loop().create_future()
            # The last delivery may have come just before the waiter was there to be told.
            if self.waiting <= most_waiting:
                break
            await self._waiter
        self._waiter = None

    def raise_for_failure(self) -> None:
        """Raises KafkaUnavailableError or RecordRefusedError when a record failed."""
        if self.error is not None:
            self._producer.note_failure(self.error)
            raise _error_of(self.error)


class RecordProducer:
    """One process's connection to Kafka."""

    def __init__(self, settings: Settings) -> None:
        """Start the producer and its polling thread. Call it inside the event loop that will await deliveries.

        Raises KafkaException for settings that librdkafka refuses.
        """
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._settled: deque[_Ack | Tally] = deque()
        self._woken = False
        self._stopping = False
        self._down = False
        self._probing = False
        self.on_down: Callable[[bool], None] = lambda _down: None
        self._producer = self._make()
        self._thread = threading.Thread(target=self._poll, name="kafka-poll", daemon=True)
        self._thread.start()

    def _make(self) -> Producer:
        settings = self._settings
        config: dict[str, Any] = {
            "bootstrap.servers": settings.kafka,
            "client.id": "intake",
            "enable.idempotence": True,
            "acks": "all",
            # librdkafka's own default would put a key elsewhere than every Java client does.
            "partitioner": "murmur2_random",
            "max.in.flight": 1,
            "linger.ms": settings.linger_ms,
            "compression.type": settings.compression,
            "message.timeout.ms": int(settings.delivery_timeout_s * 1000),
            "request.timeout.ms": max(1000, min(int(settings.delivery_timeout_s * 1000), 30_000)),
            "message.max.bytes": 8_388_608,
            "queue.buffering.max.messages": settings.queue_messages,
            "queue.buffering.max.kbytes": settings.queue_bytes // 1024,
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 1000,
            "socket.keepalive.enable": True,
            "error_cb": self._on_error,
            **settings.kafka_config,
        }
        return Producer(config, logger=log)

    # -- sending -----------------------------------------------------------------------------------------------------

    def send(self, topic: str, key: bytes, value: bytes, headers: Headers) -> asyncio.Future[None]:
        """Send one record; the future is done when Kafka has it.

        Raises QueueFullError or KafkaUnavailableError at once; the future raises KafkaUnavailableError.
        """
        future = self._loop.create_future()
        self._produce(topic, key, value, headers, _Ack(self, future))
        return future

    def add(self, tally: Tally, topic: str, key: bytes, value: bytes, headers: Headers) -> None:
        """Send one of many records. Raises QueueFullError or KafkaUnavailableError."""
        self._produce(topic, key, value, headers, tally)
        tally.sent += 1

    def _produce(self, topic: str, key: bytes, value: bytes, headers: Headers, on_delivery: _Ack | Tally) -> None:
        if self._down or self._stopping:
            raise KafkaUnavailableError("Kafka does not answer" if self._down else "intake is shutting down")
        try:
            self._producer.produce(topic, value, key, on_delivery=on_delivery, headers=headers)
        except BufferError as error:
            raise QueueFullError("too many records wait for Kafka") from error
        except KafkaException as error:
            raise _error_of(error.args[0]) from error

    @property
    def queued(self) -> int:
        """Records that Kafka has not acknowledged."""
        return len(self._producer)

    @property
    def is_down(self) -> bool:
        """Whether Kafka is known not to answer."""
        return self._down

    # -- deliveries --------------------------------------------------------------------------------------------------

    def _poll(self) -> None:
        while not self._stopping or len(self._producer):
            self._producer.poll(0.2)

    def settled(self, one: _Ack | Tally) -> None:
        """Hand a finished record to the event loop. Called by the polling thread."""
        self._settled.append(one)
        if not self._woken:
            self._woken = True
            try:
                self._loop.call_soon_threadsafe(self._settle)
            except RuntimeError:  # the loop is gone: nobody waits any more
                self._settled.clear()

    def _settle(self) -> None:
        # Cleared first: what is appended from here on wakes the loop again.
        self._woken = False
        settled = self._settled
        while settled:
            settled.popleft().settle()

    # -- Kafka away and back -----------------------------------------------------------------------------------------

    def _on_error(self, error: KafkaError) -> None:
        """Called by the polling thread."""
        log.warning("kafka: %s", error.str())
        if error.fatal() or error.code() == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001 - librdkafka's own name
            try:
                self._loop.call_soon_threadsafe(self._suspect, error.fatal())
            except RuntimeError:
                return

    def note_failure(self, error: KafkaError) -> None:
        """A record was not acknowledged in time: find out whether Kafka is there at all, before more wait in vain."""
        if error.code() == KafkaError._MSG_TIMED_OUT:  # noqa: SLF001 - librdkafka's own name
            self._suspect(fatal=False)

    def _suspect(self, fatal: bool) -> None:  # noqa: FBT001
        if fatal and not self._stopping:
            # The broker forgot this producer's numbers (its data were lost, say): only a new one can go on.
            log.error("kafka: the producer cannot go on and is made anew")
            old, self._producer = self._producer, self._make()
            self._abandoned = self._loop.create_task(asyncio.to_thread(_abandon, old))
        if not self._probing and not self._stopping:
            self._probing = True
            self._probe_task = self._loop.create_task(self._probe())

    async def _probe(self) -> None:
        """Ask Kafka until it answers; refuse records meanwhile rather than collect them."""
        try:
            while not self._stopping:
                try:
                    await asyncio.to_thread(self._producer.list_topics, self._settings.checks_topic, 1.5)
                except KafkaException:
                    self._set_down(down=True)
                    await asyncio.sleep(0.2)
                else:
                    self._set_down(down=False)
                    return
        finally:
            self._probing = False

    def _set_down(self, *, down: bool) -> None:
        if down != self._down:
            self._down = down
            (log.error if down else log.warning)("kafka: %s", "does not answer" if down else "answers again")
            self.on_down(down)

    async def partitions(self, topic: str, timeout_s: float = 3.0) -> int:
        """How many partitions a topic has; 0 when there is none. Raises KafkaUnavailableError."""
        try:
            metadata = await asyncio.to_thread(self._producer.list_topics, topic, timeout_s)
        except KafkaException as error:
            raise KafkaUnavailableError(str(error.args[0].str())) from error
        found = metadata.topics.get(topic)
        return len(found.partitions) if found is not None and found.error is None else 0

    # -- the end -----------------------------------------------------------------------------------------------------

    async def close(self, timeout_s: float) -> int:
        """Take no more, wait for what is under way; the number of records that had no answer in time."""
        self._stopping = True
        remaining = int(await asyncio.to_thread(self._producer.flush, timeout_s))
        if remaining:
            self._producer.purge()
            await asyncio.to_thread(self._producer.flush, 1.0)
        await asyncio.to_thread(self._thread.join, 2.0)
        self._settle()
        return remaining
