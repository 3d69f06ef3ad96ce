"""POST /api/checks/batch/ without a server: every answer of the contract."""

import gzip
import json
from typing import Any

import pytest
import zstandard

BATCH = "/api/checks/batch/"
LINES = {"content-type": "application/x-ndjson"}


@pytest.fixture
def checks(check_text: Any) -> Any:
    """Makes checks with ids of their own, some of them bad."""

    def make(count: int, bad: tuple[int, ...] = ()) -> list[str]:
        return [
            check_text.replace("unique_transaction_id", f"t{number}").replace(
                "27.47", "-1" if number in bad else "27.47"
            )
            for number in range(count)
        ]

    return make


def array(checks: list[str]) -> bytes:
    return ("[" + ", ".join(checks) + "]").encode()


def lines(checks: list[str]) -> bytes:
    return "\n".join(checks).encode()


def sliced(body: bytes, size: int) -> list[bytes]:
    return [body[at : at + size] for at in range(0, len(body), size)]


def whole_checks(body: bytes) -> int:
    """Checks that are complete in a part of a batch."""
    return body.count('№1"}'.encode())


@pytest.mark.parametrize("size", [1000, 100_000])
@pytest.mark.parametrize("path", [BATCH, BATCH.rstrip("/")])
def test_all_accepted(harness: Any, checks: Any, size: int, path: Any) -> None:
    """A list of good checks gets 200 and their number; each is a record and a journal line."""
    reply = harness.post(sliced(array(checks(250)), size), path)
    assert (reply.status, reply.json) == (200, {"accepted": 250, "rejected_count": 0, "rejected": []})
    assert [record[1] for record in harness.producer.records] == [f"t{n}".encode() for n in range(250)]
    assert [line["check"]["transaction_id"] for line in harness.journal()] == [f"t{n}" for n in range(250)]


@pytest.mark.parametrize("size", [100, 100_000])
def test_lines(harness: Any, checks: Any, size: int) -> None:
    """The same as lines of JSON."""
    reply = harness.post(sliced(lines(checks(50)), size), BATCH, headers=LINES)
    assert (reply.status, reply.json["accepted"]) == (200, 50)


@pytest.mark.parametrize("pack", [("gzip", gzip.compress), ("zstd", zstandard.compress)])
@pytest.mark.parametrize("form", [array, lines])
def test_packed(harness: Any, checks: Any, pack: tuple[Any, ...], form: Any) -> None:
    """The same packed."""
    headers = {
        "content-encoding": pack[0],
        "content-type": LINES["content-type"] if form is lines else "application/json",
    }
    reply = harness.post(sliced(pack[1](form(checks(50))), 77), BATCH, headers=headers)
    assert (reply.status, reply.json["accepted"]) == (200, 50)


def test_one_bad_check_rejects_itself_alone(harness: Any, checks: Any) -> None:
    """Bad checks are told by index and id with all their errors; all others are accepted."""
    texts = checks(10, bad=(3,))
    texts[5] = '{"transaction_id": "five", "items": []}'
    texts[7] = "17"
    reply = harness.post(array(texts), BATCH)
    assert reply.status == 207
    found = reply.json
    assert (found["accepted"], found["rejected_count"]) == (7, 3)
    assert [(one["index"], one["transaction_id"]) for one in found["rejected"]] == [(3, "t3"), (5, "five"), (7, None)]
    assert found["rejected"][0]["errors"] == [{"pointer": "/total_amount", "detail": "must be 0 or more, and is -1"}]
    assert len(found["rejected"][1]["errors"]) == 8
    assert "aborted" not in found
    assert len(harness.producer.of("rejected_checks")) == 3
    assert [line["outcome"] for line in harness.journal()].count("rejected") == 3


def test_line_that_is_no_json(harness: Any, checks: Any) -> None:
    """A line that is no JSON rejects itself alone: the next line is found all the same."""
    texts = checks(3)
    texts[1] = '{"transaction_id": "t1", '
    reply = harness.post(lines(texts), BATCH, headers=LINES)
    assert (reply.status, reply.json["accepted"], reply.json["rejected"][0]["index"]) == (207, 2, 1)
    assert "is not JSON" in reply.json["rejected"][0]["errors"][0]["detail"]


def test_first_thousand_rejections_are_told(harness: Any) -> None:
    """Of many rejections the first 1,000 are told, and all are counted and kept."""
    reply = harness.post(b"[" + b",".join([b"{}"] * 1500) + b"]", BATCH)
    assert (reply.json["rejected_count"], len(reply.json["rejected"])) == (1500, 1000)
    assert len(harness.producer.of("rejected_checks")) == 1500


@pytest.mark.parametrize("cut", [-1, -40, -700])
def test_body_that_breaks_in_the_middle(harness: Any, checks: Any, cut: int) -> None:
    """What came before the break is accepted, and the answer says where it was and what."""
    texts = checks(10)
    body = array(texts)[:cut]
    complete = whole_checks(body)
    reply = harness.post(sliced(body, 500), BATCH)
    assert reply.status == 207
    assert reply.json["accepted"] == complete
    assert reply.json["aborted"] == {"index": complete, "detail": "the body ends in the middle of the list"}


def test_packed_body_cut_short(harness: Any, checks: Any) -> None:
    """The same for a packed body: what could be unpacked counts."""
    packed = gzip.compress(lines(checks(500)) + b"\n")
    reply = harness.post(packed[:-20], BATCH, headers={**LINES, "content-encoding": "gzip"})
    assert reply.status == 207
    assert 0 < reply.json["accepted"] <= 500
    assert "cut short" in reply.json["aborted"]["detail"]
    assert reply.json["aborted"]["index"] == reply.json["accepted"]


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"[]", {}, 422),
        (b" [ ] ", {}, 422),
        (b"", {"content-type": "application/json"}, 422),
        (b"", LINES, 422),
        (b"\n\n \n", LINES, 422),
        (b'{"transaction_id": "a"}', {}, 422),
        (b'"text"', {}, 422),
        (b"17", {}, 422),
        (b"null", {}, 422),
        (b"nonsense", {}, 400),
        (b"[", {}, 400),
        (b'[{"a": ', {}, 400),
        (b"[}", {}, 400),
        (b"\xff\xfe", {}, 400),
        (b"[{}]", {"content-type": "text/csv"}, 415),
        (b"[{}]", {"content-encoding": "br"}, 415),
        (b"[{}]", {"content-encoding": "gzip"}, 400),
    ],
)
def test_nothing_to_take(harness: Any, body: bytes, headers: Any, status: int) -> None:
    """A batch of which nothing could be read is refused whole: empty or no list 422, no JSON 400, other media 415."""
    reply = harness.post(body, BATCH, headers=headers)
    assert (reply.status, reply.json["status"]) == (status, status)
    assert harness.producer.of("checks") == []
    assert status != 415 or [line["outcome"] for line in harness.journal()] == ["not read"]


def test_limits(make_harness: Any, checks: Any) -> None:
    """A batch over its limits is taken up to them and told where it stopped; an announced size is refused at once."""
    harness = make_harness(
        CHECKS_INTAKE_MAX_BATCH_BYTES="50000",
        CHECKS_INTAKE_MAX_BATCH_CHECKS="60",
        CHECKS_INTAKE_MAX_UNPACKED_BYTES="70000",
    )
    body = array(checks(150))
    assert harness.post(body, BATCH, headers={"content-length": str(len(body))}).status == 413
    reply = harness.post(sliced(body, 1000), BATCH)
    assert (reply.status, reply.json["accepted"], reply.json["aborted"]["index"]) == (207, 60, 60)
    assert "at most 60 checks" in reply.json["aborted"]["detail"]
    small = make_harness(CHECKS_INTAKE_MAX_BATCH_BYTES="5000")
    reply = small.post(sliced(body, 1000), BATCH)
    assert (reply.status, reply.json["accepted"]) == (207, whole_checks(body[:5000]))
    assert "5000 bytes" in reply.json["aborted"]["detail"]
    packed = make_harness(CHECKS_INTAKE_MAX_UNPACKED_BYTES="20000")
    reply = packed.post(gzip.compress(body), BATCH, headers={"content-encoding": "gzip"})
    assert reply.status == 413
    assert "unpacks to more than" in reply.json["detail"]


def test_check_over_the_limit(make_harness: Any, checks: Any) -> None:
    """A check over the limit of one check rejects itself alone."""
    harness = make_harness(CHECKS_INTAKE_MAX_CHECK_BYTES="1000")
    texts = checks(3)
    texts[1] = texts[1].replace("Магазин", "М" * 2000)
    reply = harness.post(sliced(array(texts), 300), BATCH)
    assert (reply.status, reply.json["accepted"]) == (207, 2)
    assert "1000 bytes" in reply.json["rejected"][0]["errors"][0]["detail"]


@pytest.mark.parametrize("taken", [0, 1, 170, 249])
def test_kafka_lost_midway(harness: Any, checks: Any, taken: int) -> None:
    """When Kafka is lost on the way the answer is 503 with what it has so far, and Retry-After."""
    harness.producer.fail_after = taken
    reply = harness.post(sliced(array(checks(250)), 5000), BATCH)
    assert (reply.status, reply.json["accepted"]) == (503, taken)
    assert "retry-after" in reply.headers
    outcomes = [line["outcome"] for line in harness.journal()]
    assert outcomes.count("accepted") == taken


def test_not_ready(harness: Any, checks: Any) -> None:
    """Without a schema a batch gets 503 before a byte of it is read."""
    harness.intake.schemas.checks = None
    reply = harness.post(array(checks(2)), BATCH)
    assert (reply.status, reply.json["accepted"]) == (503, 0)


def test_schema_changes_midway(harness: Any, checks: Any) -> None:
    """A batch that is being read goes on with the contract that came into force meanwhile."""
    contract = harness.intake.schemas.checks
    taken: list[Any] = []
    original = harness.producer.add

    def add(*args: Any) -> None:
        taken.append(args)
        if len(taken) == 150:
            harness.intake.schemas.checks = type(contract)(contract.schema, 9, 2)
        original(*args)

    harness.producer.add = add
    assert harness.post(sliced(array(checks(400)), 5000), BATCH).json["accepted"] == 400
    ids = [record[2][4] for record in harness.producer.records]
    assert (ids[0], ids[-1]) == (7, 9)
    assert json.loads(contract.schema)["name"] == "Check"
