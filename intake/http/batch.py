"""POST /api/checks/batch/: many checks, as a JSON list or as lines of JSON, taken as they come.

Of a body only a slice is in memory, and of the records only so many wait for Kafka as a few slices hold: then reading
stops until Kafka has caught up. One bad check rejects itself alone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

import msgspec
from litestar import post

from intake.bodies.reading import ClientGoneError, ClientSilentError, StoppingError, media_kind
from intake.bodies.splitting import ArraySplitter, Element, LineSplitter, Oversized, Splitter
from intake.bodies.unpacking import BodyTooLargeError, UnpackError
from intake.clock import Stamp
from intake.contract.contract import UnfitCheckError
from intake.contract.errors import FieldError
from intake.contract.explain import NotJsonError
from intake.http.answers import Answer, problem, unavailable
from intake.http.check import UNREADABLE, refuse_unread
from intake.http.requests import IntakeRequest, headers_of, intake_of, source_of
from intake.kafka.producer import KafkaUnavailableError, QueueFullError, RecordRefusedError, Tally
from intake.lines import accepted_line
from intake.metrics import now_s
from intake.service import Intake, NotReadyError, Refused
from intake.source import Source

WAY = "batch"
MOST_REJECTED_TOLD = 1000
_CHECKS_A_GROUP = 100
_GROUPS_UNDER_WAY = 20


class Rejected(msgspec.Struct):
    """One refused check of a batch."""

    index: int
    transaction_id: str | None
    errors: list[FieldError]


class Aborted(msgspec.Struct):
    """Where the body could not be read further."""

    index: int
    detail: str


class BatchResult(msgspec.Struct, omit_defaults=True):
    """What became of a batch."""

    accepted: int
    rejected_count: int
    rejected: list[Rejected]
    aborted: Aborted | None = None


@dataclass
class _Group:
    """Checks that were sent to Kafka together; their journal lines wait for its answer."""

    tally: Tally
    stamp: Stamp
    sent_s: float
    checks: list[bytes] = field(default_factory=list)


class _Batch:
    """One batch under way."""

    def __init__(self, intake: Intake, source: Source) -> None:
        self.intake = intake
        self.source = source
        self._groups: deque[_Group] = deque()
        self._refused = Tally(intake.producer)
        self.index = 0
        self.result = BatchResult(0, 0, [])

    async def take(self, elements: list[Element]) -> None:
        """Send elements on. Raises NotReadyError or KafkaUnavailableError; what was accepted before is in `result`."""
        most = self.intake.settings.max_batch_checks
        for start in range(0, len(elements), _CHECKS_A_GROUP):
            part = elements[start : start + _CHECKS_A_GROUP]
            if self.index + len(part) > most:
                await self._take_group(part[: most - self.index])
                raise _TooManyError(f"a batch has at most {most} checks")
            await self._take_group(part)
            # Other requests have their turn.
            await asyncio.sleep(0)

    async def _take_group(self, elements: list[Element]) -> None:
        intake, source = self.intake, self.source
        while len(self._groups) >= _GROUPS_UNDER_WAY:
            await self._settle_oldest()
        contract = intake.contract()
        stamp = intake.clock.stamp()
        group = _Group(Tally(intake.producer), stamp, now_s())
        self._groups.append(group)
        headers = intake.headers(stamp, source)
        topic = intake.settings.checks_topic
        add = intake.producer.add
        for element in elements:
            index = self.index
            self.index += 1
            if isinstance(element, Oversized):
                limit = intake.settings.max_check_bytes
                await self._refuse(
                    index, [FieldError("", f"is larger than the {limit} bytes that a check may have")], b"", None
                )
                continue
            try:
                _, key, value = contract.take(element, stamp.ms, stamp.avro)
                add(group.tally, topic, key, value, headers)
            except UnfitCheckError as error:
                await self._refuse(index, error.errors, element, error.transaction_id)
            except NotJsonError as error:
                await self._not_json(index, element, error)
            except RecordRefusedError as error:
                await self._refuse(index, [FieldError("", str(error))], element, None)
            except QueueFullError:
                # Others fill the queue too: wait for room instead of giving up on what the client has sent so far.
                await self._wait_for_room()
                add(group.tally, topic, key, value, headers)
                group.checks.append(element)
            else:
                group.checks.append(element)

    async def _not_json(self, index: int, element: bytes, error: NotJsonError) -> None:
        await self._refuse(index, [FieldError("", f"is not JSON: {error}")], element, None)

    async def _wait_for_room(self) -> None:
        producer = self.intake.producer
        most = self.intake.settings.queue_messages // 2
        deadline_s = now_s() + self.intake.settings.delivery_timeout_s
        while producer.queued > most:
            if now_s() > deadline_s:
                raise QueueFullError("too many records wait for Kafka")
            await asyncio.sleep(0.01)

    async def _refuse(self, index: int, errors: list[FieldError], body: bytes, transaction_id: str | None) -> None:
        intake = self.intake
        result = self.result
        stamp = intake.clock.stamp()
        refused = Refused(WAY, stamp, self.source, errors, body, transaction_id)
        await self._wait_for_room()
        intake.note_refused(refused, self._refused)
        result.rejected_count += 1
        if len(result.rejected) < MOST_REJECTED_TOLD:
            result.rejected.append(Rejected(index, transaction_id, errors))
        if self._refused.waiting > _CHECKS_A_GROUP * _GROUPS_UNDER_WAY:
            await self._refused.wait(_CHECKS_A_GROUP)

    def note_broken(self, remainder: bytes, detail: str) -> None:
        """Keep the beginning of what could not be read."""
        if remainder.strip():
            stamp, errors = self.intake.clock.stamp(), [FieldError("", detail)]
            self.intake.note_refused(
                Refused(WAY, stamp, self.source, errors, remainder, outcome="broken"), self._refused
            )

    async def _settle_oldest(self) -> None:
        group = self._groups.popleft()
        tally = group.tally
        await tally.wait()
        intake = self.intake
        intake.metrics.produce_seconds.observe(now_s() - group.sent_s)
        self.result.accepted += tally.done
        intake.metrics.accepted[(WAY,)] += tally.done
        outcome = b"accepted" if not tally.failed else b"unavailable"
        source = self.source
        for check in group.checks:
            intake.journal.add(accepted_line(group.stamp, source, check, outcome))
        if tally.failed:
            intake.metrics.unavailable[(WAY,)] += tally.failed
        tally.raise_for_failure()

    async def settle(self) -> None:
        """Wait for everything that is under way. Raises KafkaUnavailableError, and then too only when all is known."""
        failure: Exception | None = None
        while self._groups:
            try:
                await self._settle_oldest()
            except (KafkaUnavailableError, RecordRefusedError) as error:
                failure = failure or error
        try:
            await self.intake.settle_refused(self._refused)
        except KafkaUnavailableError as error:
            failure = failure or error
        if failure is not None:
            raise failure


class _TooManyError(Exception):
    """More checks than a batch may have."""


@post("/api/checks/batch", status_code=200)
async def add_batch(request: IntakeRequest) -> Answer:
    """Take many checks."""
    intake, source, headers = intake_of(request), source_of(request), headers_of(request)
    try:
        kind = media_kind(headers.get(b"content-type", b""))
        intake.contract()
    except NotReadyError as error:
        return unavailable(f"The batch was not taken, send it again: {error}.", accepted=0)
    except UNREADABLE as error:
        return refuse_unread(intake, source, error)
    if intake.batches.locked():
        return unavailable(f"As many batches are being read as may ({intake.settings.max_batches}).", accepted=0)
    async with intake.batches:
        most = intake.settings.max_check_bytes
        splitter = LineSplitter(most) if kind == "ndjson" else ArraySplitter(most)
        return await _read(request, intake, _Batch(intake, source), splitter, headers)


async def _read(
    request: IntakeRequest,
    intake: Intake,
    batch: _Batch,
    splitter: Splitter,
    headers: dict[bytes, bytes],
) -> Answer:
    settings = intake.settings
    aborted: Exception | None = None
    lost: Exception | None = None
    try:
        async for part in intake.reader.slices(
            request.receive, headers, settings.max_batch_bytes, settings.max_unpacked_bytes
        ):
            await batch.take(splitter.feed(part))
            if splitter.broken is not None:
                break
        else:
            await batch.take(splitter.finish())
        aborted = splitter.broken
    except (BodyTooLargeError, UnpackError, ClientGoneError, ClientSilentError, _TooManyError) as error:
        aborted = error
    except (NotReadyError, KafkaUnavailableError, StoppingError) as error:
        lost = error
    except UNREADABLE as error:
        return refuse_unread(intake, batch.source, error)
    if aborted is not None and lost is None:
        try:
            batch.note_broken(splitter.remainder, f"the body breaks here: {aborted}")
        except KafkaUnavailableError as error:
            lost = error
    try:
        await batch.settle()
    except (KafkaUnavailableError, RecordRefusedError) as error:
        lost = lost or error
    result = batch.result
    if lost is not None:
        return unavailable(
            f"The batch was not taken to its end, send it again: {lost}.",
            accepted=result.accepted,
            rejected_count=result.rejected_count,
            rejected=result.rejected,
        )
    return _answer(batch, splitter, aborted)


def _answer(batch: _Batch, splitter: Splitter, aborted: Exception | None) -> Answer:
    result = batch.result
    if aborted is not None and batch.index == 0:
        # Nothing was read, so nothing happened by halves: a plain refusal says it best.
        if isinstance(aborted, UNREADABLE):
            return refuse_unread(batch.intake, batch.source, aborted)
        if not splitter.remainder.strip() and not splitter.broken:
            return problem(422, "The batch has no checks.", [FieldError("", "must have at least one check")])
        return _refuse_start(splitter, aborted)
    if aborted is not None:
        result.aborted = Aborted(batch.index, str(aborted))
    elif batch.index == 0:
        return problem(422, "The batch has no checks.", [FieldError("", "must have at least one check")])
    status = 200 if result.rejected_count == 0 and aborted is None else 207
    return Answer(status, msgspec.json.encode(result))


def _refuse_start(splitter: Splitter, aborted: Exception) -> Answer:
    """A body of which nothing could be read as a list."""
    remainder = splitter.remainder
    if isinstance(splitter, ArraySplitter) and not splitter.began:
        if not remainder.strip():
            return problem(422, "The batch has no checks.", [FieldError("", "must have at least one check")])
        try:
            document = msgspec.json.decode(remainder)
        except (msgspec.MsgspecError, RecursionError):
            # A long object is cut where the remainder is: what it begins with tells enough.
            if not remainder.lstrip().startswith((b"{", b'"')):
                return problem(400, f"The body is not JSON: {aborted}.", [FieldError("", "is not JSON")])
            document = {}
        what = "one check goes to /api/checks/" if isinstance(document, dict) else "see the examples at /swagger/"
        detail = "must be a list of checks"
        return problem(422, f"The batch {detail}; {what}.", [FieldError("", detail)])
    return problem(400, f"The body is not JSON: {aborted}.", [FieldError("", f"is not JSON: {aborted}")])
