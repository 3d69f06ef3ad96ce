"""POST /api/checks/: one check, answered when Kafka has it."""

from __future__ import annotations

import msgspec
from litestar import post

from intake.bodies.reading import ClientGoneError, ClientSilentError, MediaTypeError, StoppingError, media_kind
from intake.bodies.unpacking import BodyTooLargeError, UnpackError
from intake.contract.contract import UnfitCheckError
from intake.contract.errors import FieldError
from intake.contract.explain import NotJsonError
from intake.http.answers import Answer, problem, unavailable
from intake.http.requests import IntakeRequest, headers_of, intake_of, source_of
from intake.kafka.producer import KafkaUnavailableError, RecordRefusedError, Tally
from intake.lines import accepted_line, refused_line
from intake.metrics import now_s
from intake.service import Intake, NotReadyError, Refused
from intake.source import Source

WAY = "single"
_ACCEPTS = [(b"accept", b"application/json"), (b"accept-encoding", b"gzip, zstd")]
_id_json = msgspec.json.encode


def refuse_unread(intake: Intake, source: Source, error: Exception) -> Answer:
    """The answer to a body that cannot be read, which the journal tells of without it.

    Raises the error itself when it is none of UNREADABLE.
    """
    answer = _unread(error)
    intake.journal.add(refused_line(intake.clock.stamp(), source, "not read", [FieldError("", str(error))], b""))
    return answer


def _unread(error: Exception) -> Answer:
    match error:
        case MediaTypeError():
            return problem(415, str(error), headers=_ACCEPTS)
        case BodyTooLargeError():
            return problem(413, str(error), headers=[(b"connection", b"close")])
        case UnpackError():
            return problem(400, str(error))
        case ClientSilentError():
            return problem(408, str(error), headers=[(b"connection", b"close")])
        case ClientGoneError():
            return problem(400, "The connection was closed before the body was complete.")
        case StoppingError():
            return unavailable(f"The body was not taken, send it again: {error}.")
    raise error


UNREADABLE = (MediaTypeError, BodyTooLargeError, UnpackError, ClientSilentError, ClientGoneError, StoppingError)


@post("/api/checks", status_code=201)
async def add_check(request: IntakeRequest) -> Answer:
    """Take one check."""
    intake, source, headers = intake_of(request), source_of(request), headers_of(request)
    try:
        if media_kind(headers.get(b"content-type", b"")) != "json":
            raise MediaTypeError("One check is sent as application/json; lines of JSON go to /api/checks/batch/.")
        body = await intake.reader.whole(request.receive, headers, intake.settings.max_check_bytes)
    except UNREADABLE as error:
        return refuse_unread(intake, source, error)
    stamp = intake.clock.stamp()
    try:
        contract = intake.contract()
        transaction_id, key, value = contract.take(body, stamp.ms, stamp.avro)
        sent_s = now_s()
        await intake.producer.send(
            intake.settings.checks_topic,
            key,
            value,
            [("received-at", stamp.iso), ("request-id", source.request_id)],
        )
    except UnfitCheckError as error:
        detail = f"The check has {len(error.errors)} error{'s' if len(error.errors) > 1 else ''}."
        refused = Refused(WAY, stamp, source, error.errors, body, error.transaction_id)
        return await _refuse(intake, refused, problem(422, detail, error.errors))
    except NotJsonError as error:
        errors = [FieldError("", f"is not JSON: {error}")]
        answer = problem(400, f"The body is not JSON: {error}.", errors)
        return await _refuse(intake, Refused(WAY, stamp, source, errors, body, outcome="not JSON"), answer)
    except RecordRefusedError as error:
        errors = [FieldError("", str(error))]
        answer = problem(422, f"Kafka refuses the check: {error}", errors)
        return await _refuse(intake, Refused(WAY, stamp, source, errors, body), answer)
    except (NotReadyError, KafkaUnavailableError) as error:
        intake.journal.add(refused_line(stamp, source, "unavailable", [FieldError("", str(error))], body))
        return _unavailable(intake, error)
    metrics = intake.metrics
    metrics.produce_seconds.observe(now_s() - sent_s)
    metrics.accepted[(WAY,)] += 1
    intake.journal.add(accepted_line(stamp, source, body))
    return Answer(201, b'{"transaction_id":' + _id_json(transaction_id) + b',"status":"accepted"}')


async def _refuse(intake: Intake, refused: Refused, answer: Answer) -> Answer:
    """Give `answer` once the refused check is where refused checks go."""
    tally = Tally(intake.producer)
    try:
        intake.note_refused(refused, tally)
        await intake.settle_refused(tally)
    except KafkaUnavailableError as error:
        return _unavailable(intake, error)
    return answer


def _unavailable(intake: Intake, error: Exception) -> Answer:
    intake.metrics.unavailable[(WAY,)] += 1
    return unavailable(f"The check was not taken, send it again: {error}.")
