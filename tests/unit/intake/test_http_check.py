"""POST /api/checks/ without a server: every answer of the contract."""

import base64
import gzip
import io
import json
from typing import Any

import fastavro
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stack.settings import CHECKOUT

REJECTED: Any = fastavro.parse_schema(
    json.loads((CHECKOUT / "schemas" / "rejected_check.avsc").read_text(encoding="utf-8"))
)


def rejection(record: tuple[str, bytes, bytes, Any]) -> dict[str, Any]:
    """A record of rejected_checks, decoded."""
    found: Any = fastavro.schemaless_reader(io.BytesIO(record[2][5:]), REJECTED)
    assert found["rejection_id"].encode() == record[1]
    return dict(found)


def is_problem(reply: Any, status: int) -> bool:
    document = reply.json
    return bool(
        reply.status == status
        and reply.headers["content-type"] == "application/problem+json"
        and document["status"] == status
        and {"type", "title", "detail"} <= set(document)
    )


@pytest.mark.parametrize("path", ["/api/checks/", "/api/checks"])
def test_accepted(harness: Any, check_text: Any, path: str) -> None:
    """A good check gets 201 and its id, with and without the trailing slash, and is one record and one journal line."""
    reply = harness.post(check_text.encode(), path)
    assert (reply.status, reply.json) == (201, {"transaction_id": "unique_transaction_id", "status": "accepted"})
    assert reply.headers["content-type"] == "application/json"
    [(topic, key, value, headers)] = harness.producer.records
    assert (topic, key, value[:5]) == ("checks", b"unique_transaction_id", b"\0\0\0\0\7")
    assert dict(headers)["request-id"] == reply.headers["x-request-id"].encode()
    assert dict(headers)["received-at"].endswith(b"Z")
    [line] = harness.journal()
    assert line["check"] == json.loads(check_text)
    assert (line["outcome"], line["request_id"]) == ("accepted", reply.headers["x-request-id"])


def test_pretty_printed_check_is_one_journal_line(harness: Any, check_text: Any) -> None:
    """A check over many lines, with a byte order mark, is one line in the journal and the same check."""
    text = json.dumps(json.loads(check_text), indent=4).replace("\n", "\r\n")
    assert harness.post(b"\xef\xbb\xbf" + text.encode()).status == 201
    [line] = harness.journal()
    assert line["check"] == json.loads(check_text)


@pytest.mark.parametrize(
    ("given_id", "kept"),
    [
        ("abc-1.2:3_x", True),
        ("a" * 128, True),
        ("a" * 129, False),
        ("", False),
        ('a"b', False),
        ("a b", False),
        ("ж", False),
    ],
)
def test_request_id(harness: Any, check_text: Any, given_id: Any, kept: bool) -> None:
    """A request id of a plain form is kept; any other is replaced, so that it can be written anywhere."""
    headers = {"x-request-id": given_id.encode().decode("latin-1")}
    reply = harness.post(check_text.encode().replace(b"27.47", b"-1"), headers=headers)
    assert (reply.headers["x-request-id"] == given_id) is kept
    assert reply.headers["x-request-id"] in {record[3][1][1].decode() for record in harness.producer.records}


def test_invalid_check(harness: Any, check_text: Any) -> None:
    """A check that does not fit gets 422 with all errors, and goes to the journal and to rejected_checks as it came."""
    body = check_text.replace("27.47", "27.471").replace('"011"', "11").encode()
    reply = harness.post(body, client="192.0.2.7")
    assert is_problem(reply, 422)
    assert [error["pointer"] for error in reply.json["errors"]] == ["/total_amount", "/place_id"]
    [record] = harness.producer.records
    assert record[0] == "rejected_checks"
    found = rejection(record)
    assert (found["body"], found["body_encoding"]) == (body.decode(), "utf-8")
    assert json.loads(found["reasons_json"]) == reply.json["errors"]
    assert (found["transaction_id"], found["source_address"]) == ("unique_transaction_id", "192.0.2.7")
    assert found["request_id"] == reply.headers["x-request-id"]
    [line] = harness.journal()
    assert (line["outcome"], line["body"], line["reasons"]) == ("rejected", body.decode(), reply.json["errors"])


def test_not_json(harness: Any) -> None:
    """Bytes that are no text at all get 400 and are kept as base64."""
    reply = harness.post(b"\xff\xfe\x00")
    assert is_problem(reply, 400)
    found = rejection(harness.producer.records[0])
    assert (found["body_encoding"], base64.b64decode(found["body"])) == ("base64", b"\xff\xfe\x00")
    assert harness.journal()[0]["outcome"] == "not JSON"


@pytest.mark.parametrize("chunks", [1, 2, 7])
@pytest.mark.parametrize(
    ("encoding", "pack"), [("gzip", gzip.compress), ("zstd", zstandard.compress), ("identity", bytes)]
)
def test_packed_and_chunked_bodies(harness: Any, check_text: Any, encoding: str, pack: Any, chunks: int) -> None:
    """A check may come packed, and in as many pieces as it likes."""
    packed = pack(check_text.encode())
    size = len(packed) // chunks + 1
    pieces = [packed[at : at + size] for at in range(0, len(packed), size)]
    headers = {"content-encoding": encoding, "transfer-encoding": "chunked"}
    assert harness.post(pieces, headers=headers).status == 201


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
        ({"content-type": "application/xml; charset=utf-8"}, 415),
        ({"content-type": "application/json; charset=windows-1251"}, 415),
        ({"content-type": "application/json; charset=utf-16"}, 415),
        ({"content-type": "application/x-ndjson"}, 415),
        ({"content-encoding": "br"}, 415),
        ({"content-encoding": "gzip, gzip"}, 415),
        ({"content-encoding": "gzip"}, 400),
        ({"content-type": 'Application/JSON; Charset="UTF-8"'}, 201),
        ({"content-type": ""}, 201),
    ],
)
def test_media_types_and_encodings(harness: Any, check_text: Any, headers: dict[Any, Any], status: int) -> None:
    """Other media types, charsets and encodings are refused by name, in the journal too; the right ones are not."""
    reply = harness.post(check_text.encode(), headers=headers)
    assert reply.status == status
    assert status == 201 or is_problem(reply, status)
    [line] = harness.journal()
    assert line["outcome"] == ("accepted" if status == 201 else "not read")
    assert status == 201 or line["reasons"] == [{"pointer": "", "detail": reply.json["detail"]}]


def test_too_large(make_harness: Any, check_text: Any) -> None:
    """A body over the limit gets 413: announced, in pieces, or only when unpacked, a bomb among them."""
    harness = make_harness(CHECKS_INTAKE_MAX_CHECK_BYTES="2000")
    large = check_text.encode() + b" " * 2000
    assert is_problem(harness.post(large, headers={"content-length": str(len(large))}), 413)
    assert is_problem(harness.post([large[:1000], large[1000:]]), 413)
    assert is_problem(harness.post(gzip.compress(large), headers={"content-encoding": "gzip"}), 413)
    bomb = gzip.compress(bytes(50_000_000))
    assert is_problem(harness.post(bomb[:1900], headers={"content-encoding": "gzip"}), 413)
    bomb = zstandard.compress(bytes(50_000_000))
    assert is_problem(harness.post(bomb[:1900], headers={"content-encoding": "zstd"}), 413)
    assert harness.post(check_text.encode() + b" " * 1000).status == 201


def test_gzip_cut_short(harness: Any, check_text: Any) -> None:
    """A packed body that ends too early gets 400, not the half of it."""
    reply = harness.post(gzip.compress(check_text.encode())[:-9], headers={"content-encoding": "gzip"})
    assert is_problem(reply, 400)
    assert harness.producer.records == []


def test_kafka_away(harness: Any, check_text: Any) -> None:
    """Without Kafka a check gets 503 and Retry-After, whether it would have been accepted or refused."""
    harness.producer.fail_after = 0
    for body in (check_text.encode(), b"{}", b"nonsense"):
        reply = harness.post(body)
        assert is_problem(reply, 503)
        assert int(reply.headers["retry-after"]) >= 1


def test_queue_full(harness: Any, check_text: Any) -> None:
    """When as many records wait as may, the answer is 503, before memory grows."""
    harness.producer.full = True
    reply = harness.post(check_text.encode())
    assert is_problem(reply, 503)
    assert "retry-after" in reply.headers


def test_schema_or_topic_unknown(harness: Any, check_text: Any) -> None:
    """Before the registry was reached, or with a topic that must not be written to, checks get 503 with the reason."""
    contract = harness.intake.schemas.checks
    harness.intake.schemas.checks = None
    assert is_problem(harness.post(check_text.encode()), 503)
    harness.intake.schemas.checks = contract
    harness.intake.topic_problem = "topic checks has 4 partitions and was made with 3"
    reply = harness.post(check_text.encode())
    assert is_problem(reply, 503)
    assert "4 partitions" in reply.json["detail"]


def test_client_that_goes_away(harness: Any) -> None:
    """A body that never ends because its client is gone is no check, and breaks nothing."""
    reply = harness.post([])
    assert reply.status == 400
    assert harness.producer.records == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


@given(json_values.map(json.dumps).map(str.encode) | st.binary(max_size=50))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_body_gets_an_answer_of_the_contract(harness: Any, body: Any) -> None:
    """Whatever is sent gets 201 or a 4xx problem document, never a fault of ours."""
    for path in ("/api/checks/", "/api/checks/batch/"):
        reply = harness.post(body, path)
        assert reply.status in {201, 200, 207} or is_problem(reply, reply.status)
        assert reply.status in {200, 201, 207, 400, 422}


def test_body_with_nul_is_kept_as_base64(harness: Any) -> None:
    """PostgreSQL has no NUL in a text: a refused body that holds one reaches it all the same."""
    harness.post(b'{"a": "\x00"}')
    found = rejection(harness.producer.records[0])
    assert (found["body_encoding"], base64.b64decode(found["body"])) == ("base64", b'{"a": "\x00"}')


def test_unavailable_check_is_a_journal_line(harness: Any, check_text: Any) -> None:
    """A check that was received but not taken is in the journal too, with the reason."""
    harness.producer.fail_after = 0
    harness.post(check_text.encode())
    [line] = harness.journal()
    assert (line["outcome"], line["body"]) == ("unavailable", check_text)
