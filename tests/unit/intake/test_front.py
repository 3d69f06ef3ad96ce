"""What every request passes first, and what Litestar itself answers."""

import asyncio
import json
import re
from typing import Any

import pytest

from intake.http.addresses import Sources
from intake.http.keys import Keys, hash_key, make_key
from intake.http.rate import RateLimit
from intake.settings import load

KEY, DIGEST = make_key()


@pytest.mark.parametrize(
    "headers",
    [{"authorization": f"Bearer {KEY}"}, {"authorization": f"bearer  {KEY}"}, {"x-api-key": KEY}],
)
def test_key_opens(make_harness: Any, check_text: Any, headers: dict[Any, Any]) -> None:
    """A configured key opens, in either header; with keys configured the loopback needs one too."""
    harness = make_harness(CHECKS_INTAKE_KEYS=f"old:{hash_key(b'old')},till-7:{DIGEST}")
    assert harness.post(check_text.encode(), headers=headers).status == 201
    assert harness.post(check_text.encode(), headers={"x-api-key": "old"}).status == 201


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-api-key": "wrong"},
        {"x-api-key": DIGEST},
        {"authorization": f"Basic {KEY}"},
        {"authorization": KEY},
        {"authorization": "Bearer"},
        {"authorization": "Bearer wrong", "x-api-key": KEY},
        {"authorization": f"Bearer {KEY}", "x-api-key": "wrong"},
    ],
)
@pytest.mark.parametrize(
    "path",
    ["/api/checks/", "/api/checks/batch/", "/api/other", "//api/checks", "/./api/checks"],
)
def test_no_key_no_entry(make_harness: Any, check_text: Any, headers: dict[Any, Any], path: str) -> None:
    """Without a valid key nothing under /api/ answers but 401, which says what is needed; nothing is taken."""
    harness = make_harness(CHECKS_INTAKE_KEYS=DIGEST)
    reply = harness.post(check_text.encode(), path, headers=headers)
    assert (reply.status, reply.json["status"]) == (401, 401)
    assert reply.headers["www-authenticate"].startswith("Bearer")
    assert harness.producer.records == []


def test_health_and_documentation_need_no_key(make_harness: Any) -> None:
    """Health, metrics and documentation are open: they tell nothing of checks."""
    harness = make_harness(CHECKS_INTAKE_KEYS=DIGEST)
    for path in ("/health/live", "/health/ready", "/metrics", "/openapi.json", "/swagger/"):
        assert harness.get(path).status == 200
    assert "securitySchemes" in harness.get("/openapi.json").json["components"]


def test_keys_are_made_long_and_apart() -> None:
    """Keys have 256 random bits, and their hash alone is configured."""
    assert KEY.startswith("ck_")
    assert len(KEY) == 46
    assert make_key() != make_key()
    assert load({"CHECKS_INTAKE_KEYS": DIGEST}).keys == (DIGEST,)
    assert Keys((f"a:{DIGEST}",)).name_of({b"x-api-key": KEY.encode()}) == "a"


def test_rate_limit(make_harness: Any, check_text: Any) -> None:
    """Another machine that sends too fast gets 429 and Retry-After; the loopback never does."""
    harness = make_harness(CHECKS_INTAKE_RATE_PER_S="0.1", CHECKS_INTAKE_RATE_BURST="3")
    statuses = [harness.post(check_text.encode(), client="192.0.2.7").status for _ in range(5)]
    assert statuses == [201, 201, 201, 429, 429]
    reply = harness.post(check_text.encode(), client="192.0.2.7")
    assert (reply.json["status"], 1 <= int(reply.headers["retry-after"]) <= 10) == (429, True)
    assert harness.post(check_text.encode(), client="192.0.2.8").status == 201
    assert {harness.post(check_text.encode(), client="127.0.0.1").status for _ in range(10)} == {201}


def test_bucket_fills_again() -> None:
    """A bucket lets through its rate over time, and its burst at once."""
    limit = RateLimit(10, 5)
    assert [limit.wait_s("a", 0.0) for _ in range(6)] == [0, 0, 0, 0, 0, pytest.approx(0.1)]
    assert limit.wait_s("a", 0.1) == 0
    assert sum(limit.wait_s("a", 100 + number / 1000) == 0 for number in range(1000)) == pytest.approx(15, abs=1)


def test_buckets_do_not_grow_without_end() -> None:
    """A million addresses take no more memory than ten thousand."""
    limit = RateLimit(10, 5)
    for number in range(20_000):
        limit.wait_s(str(number), 0.0)
    assert len(limit._buckets) == 10_000


@pytest.mark.parametrize(
    ("peer", "header", "source"),
    [
        ("192.0.2.7", "10.1.1.1", "192.0.2.7"),
        ("10.0.0.2", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.2", "1.1.1.1, 203.0.113.9", "203.0.113.9"),
        ("10.0.0.2", "203.0.113.9, 10.0.0.3", "203.0.113.9"),
        ("10.0.0.2", "10.0.0.5, 10.0.0.3", "10.0.0.5"),
        ("10.0.0.2", "nonsense", "10.0.0.2"),
        ("10.0.0.2", "", "10.0.0.2"),
        ("10.0.0.2", "2001:db8::1", "2001:db8::1"),
    ],
)
def test_source_behind_proxies(peer: str, header: str, source: str) -> None:
    """Only a trusted proxy's word is taken for where a request came from, and only its last one."""
    sources = Sources(load({"CHECKS_INTAKE_TRUSTED_PROXIES": "10.0.0.0/8"}).trusted_proxies)
    assert sources.of(peer, {b"x-forwarded-for": header.encode()}) == source


def test_no_cors_by_default(harness: Any, check_text: Any) -> None:
    """Pages of other origins get no permission unless settings name them."""
    reply = harness.post(check_text.encode(), headers={"origin": "https://shop.example"})
    assert not [name for name in reply.headers if name.startswith("access-control")]


def test_cors_for_named_origins(make_harness: Any, check_text: Any) -> None:
    """A named origin gets it, its preflight included, and no other."""
    harness = make_harness(CHECKS_INTAKE_ALLOWED_ORIGINS="https://shop.example", CHECKS_INTAKE_KEYS=DIGEST)
    asked = {"origin": "https://shop.example", "access-control-request-method": "POST"}
    reply = asyncio.run(harness.ask("OPTIONS", "/api/checks/", headers=asked))
    assert (reply.status, reply.headers["access-control-allow-origin"]) == (204, "https://shop.example")
    other = harness.post(check_text.encode(), headers={"origin": "https://other.example", "x-api-key": KEY})
    assert "access-control-allow-origin" not in other.headers


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD", "TRACE"])
@pytest.mark.parametrize("path", ["/api/checks/", "/api/checks/batch"])
def test_other_methods(harness: Any, method: str, path: str) -> None:
    """Another method than POST gets 405 and the methods that there are."""
    reply = asyncio.run(harness.ask(method, path))
    assert reply.status == 405
    assert "POST" in reply.headers["allow"]


@pytest.mark.parametrize(
    "path", ["/nothing", "/api/", "/api/checks/1/", "/swagger/../settings.py", "/swagger/other.js"]
)
def test_unknown_address(harness: Any, path: str) -> None:
    """An address that does not exist gets a 404 problem."""
    reply = harness.get(path)
    assert (reply.status, reply.headers["content-type"]) == (404, "application/problem+json")


def test_fault_of_ours(harness: Any, check_text: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected error is a 500 problem that shows nothing of the inside."""

    def fail(*_: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(harness.intake.schemas.checks, "take", fail)
    reply = harness.post(check_text.encode())
    assert (reply.status, reply.json["status"]) == (500, 500)
    assert b"secret" not in reply.body


def test_swagger_is_offline(harness: Any) -> None:
    """Swagger UI comes whole from this service: no page or script names another host."""
    page = harness.get("/swagger/").body.decode()
    files = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(files) == 4
    for file in files:
        reply = harness.get(file)
        assert (reply.status, len(reply.body) > 50) == (200, True)
    assert "//" not in page.replace("<!doctype", "")
    assert harness.get("/").headers["location"] == "/swagger/"


def test_document_follows_the_schema(harness: Any, check_text: Any) -> None:
    """The OpenAPI document has the fields and limits of the schema in force, and its example is a check that fits."""
    document = harness.get("/openapi.json").json
    check = document["components"]["schemas"]["Check"]
    assert set(check["required"]) == set(json.loads(check_text))
    assert check["properties"]["items"]["maxItems"] == 1000
    assert check["properties"]["place_id"]["maxLength"] == 128
    assert harness.post(json.dumps(check["example"]).encode()).status == 201
    assert set(document["paths"]) == {"/api/checks/", "/api/checks/batch/", "/health/live", "/health/ready", "/metrics"}


def test_document_without_a_schema(harness: Any) -> None:
    """Before the registry was reached the document says so, and is a document."""
    harness.intake.schemas.checks = None
    assert "not reached" in harness.get("/openapi.json").json["components"]["schemas"]["Check"]["description"]


def test_readiness(harness: Any) -> None:
    """Ready names every reason why checks are not taken; an alarm is told but is no reason."""
    reply = harness.get("/health/ready")
    assert (reply.status, reply.json["status"], reply.json["schema_version"]) == (200, "ready", 1)
    harness.intake.journal.failure = "No space left on device"
    reply = harness.get("/health/ready")
    assert (reply.status, len(reply.json["alarms"])) == (200, 1)
    harness.producer.is_down = True
    harness.intake.topic_problem = "Kafka has no topic checks"
    reply = harness.get("/health/ready")
    assert (reply.status, len(reply.json["reasons"])) == (503, 2)


def test_metrics(harness: Any, check_text: Any) -> None:
    """Metrics count requests, accepted checks, and refused ones by the place that was wrong."""
    harness.post(check_text.encode())
    harness.post(check_text.encode().replace(b'"quantity": 2', b'"quantity": 0'))
    harness.post(b"[" + check_text.encode() + b"]", "/api/checks/batch/")
    harness.get("/scan/1")
    harness.get("/scan/2")
    text = harness.get("/metrics").body.decode()
    for line in (
        'intake_requests_total{route="/api/checks",status="201"} 1.0',
        'intake_requests_total{route="/api/checks",status="422"} 1.0',
        'intake_requests_total{route="other",status="404"} 2.0',
        'intake_checks_accepted_total{way="single"} 1.0',
        'intake_checks_accepted_total{way="batch"} 1.0',
        'intake_checks_rejected_total{reason="/items/*/quantity",way="single"} 1.0',
        "intake_produce_seconds_count 2.0",
        "intake_schema_version 1.0",
    ):
        assert line in text.splitlines()
