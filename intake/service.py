"""What one process of intake works with: schemas, producer, journal, metrics; and the tasks that keep them current."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from intake import lines
from intake.bodies.reading import Reader
from intake.clock import Clock, Stamp
from intake.contract.contract import Contract
from intake.contract.errors import FieldError
from intake.journal import Journal, JournalFile
from intake.kafka.producer import Headers, KafkaUnavailableError, RecordProducer, RecordRefusedError, Tally
from intake.kafka.registry import SchemaWatcher
from intake.metrics import Metrics
from intake.rejections import Rejection
from intake.settings import Settings
from intake.source import Source

log = logging.getLogger("intake")

_INDEX = re.compile(r"/\d+")
_WATCH_TOPIC_S = 10.0
_BODY_GRACE_S = 5.0
"""How long a body may still take to come once intake was told to stop."""


class NotReadyError(Exception):
    """Checks cannot be taken now; the message says why. They may be sent again (503)."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A check that was refused, and why."""

    way: str
    """single or batch."""
    stamp: Stamp
    source: Source
    errors: Sequence[FieldError]
    body: bytes
    transaction_id: str | None = None
    outcome: str = "rejected"


class Intake:
    """One process's state. `start` in the event loop before the first request, `stop` after the last."""

    producer: RecordProducer

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.clock = Clock()
        self.metrics = Metrics(settings.metrics_dir)
        self.reader = Reader(settings.body_timeout_s)
        self.watcher = SchemaWatcher(settings)
        self.schemas = self.watcher.schemas
        self.journal = Journal(
            JournalFile(settings.journal_dir, settings.journal_file_bytes, settings.journal_files),
            settings.journal_queue_bytes,
        )
        self.topic_problem: str | None = "Kafka was not reached yet"
        """Why the topic of checks cannot be written; None when it can."""
        self.batches = asyncio.Semaphore(settings.max_batches)
        self.stopping = False
        self._partitions = settings.partitions
        self._tasks: list[asyncio.Task[None]] = []
        self._parent = os.getppid()

    # -- life ----------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Connect, ask for the schemas once, and start what keeps them current. Nothing away keeps it from starting."""
        self.producer = RecordProducer(self.settings)
        await asyncio.gather(self.watcher.refresh(), self._look_at_topic())
        self._notice_stop()
        for work in (self.watcher.run(), self._watch_topic(), self.reader.sweep(), self._each_second()):
            self._tasks.append(asyncio.create_task(work))

    async def stop(self) -> None:
        """Wait for what Kafka still has to acknowledge, write the journal's rest, let go."""
        self.stopping = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        left = await self.producer.close(self.settings.delivery_timeout_s + 1)
        if left:
            log.error("stopped with %d records not acknowledged by Kafka; none of them was answered with 201", left)
        await self.watcher.close()
        await asyncio.to_thread(self.journal.close)
        self.measure()
        self.metrics.write_last()

    def _notice_stop(self) -> None:
        """See to it that a client in the middle of its body does not hold up a stop.

        The server waits for its requests before it says anything, so the signal itself is listened to. It has a way
        of its own to it (the loop's wake-up), which a handler here leaves alone.
        """
        if threading.current_thread() is not threading.main_thread():
            return
        loop = asyncio.get_running_loop()

        def stop(_number: int, _frame: object) -> None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self.reader.stop_soon, _BODY_GRACE_S)

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)

    async def _watch_topic(self) -> None:
        while True:
            await asyncio.sleep(1.0 if self.topic_problem else _WATCH_TOPIC_S)
            await self._look_at_topic()

    async def _look_at_topic(self) -> None:
        """A check's partition follows from its id: with another number of partitions an id could count twice."""
        topic = self.settings.checks_topic
        try:
            found = await self.producer.partitions(topic)
        except KafkaUnavailableError as error:
            if self._partitions is None or self.topic_problem:
                self._set_topic_problem(f"Kafka does not answer: {error}")
            return
        if found == 0:
            self._set_topic_problem(f"Kafka has no topic {topic}: are the topics applied?")
            return
        if self._partitions is None:
            self._partitions = found
        if found != self._partitions:
            self._set_topic_problem(
                f"topic {topic} has {found} partitions and was made with {self._partitions}: checks sent now could "
                "count twice. A change takes a new topic and a rebuild"
            )
            return
        self._set_topic_problem(None)

    def _set_topic_problem(self, problem: str | None) -> None:
        if problem != self.topic_problem:
            if problem:
                log.warning("topic: %s", problem)
            self.topic_problem = problem

    async def _each_second(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            self.measure()
            self.metrics.write()
            if os.getppid() != self._parent:
                # The process that started the workers was killed: another one will want this port.
                log.error("the main process is gone; this worker stops")
                os.kill(os.getpid(), signal.SIGTERM)
                return

    def measure(self) -> None:
        """Bring the numbers that are read elsewhere into the metrics."""
        gauges, counters = self.metrics.gauges, self.metrics.counters
        gauges["intake_queue_records"] = self.producer.queued
        gauges["intake_kafka_down"] = int(self.producer.is_down)
        gauges["intake_journal_failing"] = int(self.journal.failure is not None)
        gauges["intake_schema_problems"] = int(bool(self.schemas.problems))
        gauges["intake_requests_under_way"] = self.metrics.under_way
        gauges["intake_schema_version"] = self.schemas.checks.version if self.schemas.checks else 0
        counters["intake_journal_lines"][()] = self.journal.written
        counters["intake_journal_lines_dropped"][()] = self.journal.dropped

    # -- state ---------------------------------------------------------------------------------------------------------

    def contract(self) -> Contract:
        """The contract in force. Raises NotReadyError."""
        if self.topic_problem is not None:
            raise NotReadyError(self.topic_problem)
        contract = self.schemas.checks
        if contract is None:
            reason = self.schemas.problems.get(self.settings.checks_subject, "it was not asked yet")
            raise NotReadyError(f"The schema of checks is not known: {reason}")
        return contract

    def not_ready(self) -> list[str]:
        """Why checks cannot be taken; empty when they can."""
        reasons = [self.topic_problem] if self.topic_problem else []
        if self.producer.is_down:
            reasons.append("Kafka does not answer")
        if self.schemas.checks is None or self.schemas.rejections is None:
            reasons += self.schemas.problems.values()
        if self.stopping:
            reasons.append("intake is shutting down")
        return reasons

    def alarms(self) -> list[str]:
        """What somebody must look at, though checks are taken."""
        alarms = []
        if self.journal.failure is not None:
            alarms.append(f"the journal is not written ({self.journal.failure}); {self.journal.dropped} lines dropped")
        if self.schemas.checks is not None:
            alarms += [f"{subject}: {problem}" for subject, problem in self.schemas.problems.items()]
        return alarms

    # -- refused checks ------------------------------------------------------------------------------------------------

    def note_refused(self, refused: Refused, tally: Tally) -> None:
        """Write a refused check to the journal and send it to its topic, for which `tally` waits.

        Raises KafkaUnavailableError.
        """
        stamp, source, errors = refused.stamp, refused.source, refused.errors
        reason = _INDEX.sub("/*", errors[0].pointer) or refused.outcome
        self.metrics.rejected[refused.way, reason] += 1
        self.journal.add(lines.refused_line(stamp, source, refused.outcome, errors, refused.body))
        encoder = self.schemas.rejections
        if encoder is None:
            raise KafkaUnavailableError("the schema of rejected checks is not known yet")
        address = source.address.decode() or None
        key, value = encoder.encode(
            Rejection(stamp.ms, source.request_id.decode(), address, refused.transaction_id, errors, refused.body)
        )
        self.producer.add(tally, self.settings.rejected_topic, key, value, self.headers(stamp, source))

    async def settle_refused(self, tally: Tally) -> None:
        """Wait until Kafka has the refused checks. Raises KafkaUnavailableError."""
        await tally.wait()
        try:
            tally.raise_for_failure()
        except RecordRefusedError as error:
            # It is in the journal, and sending it again would not help.
            self.metrics.counters["intake_rejections_unwritten"][()] += tally.failed
            log.error(  # noqa: TRY400 - no fault of ours, a trace would say nothing
                "rejected checks: %d records were not taken: %s", tally.failed, error
            )

    @staticmethod
    def headers(stamp: Stamp, source: Source) -> Headers:
        """The headers of a record."""
        return [("received-at", stamp.iso), ("request-id", source.request_id)]
