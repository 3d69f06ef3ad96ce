"""Checks on their way in, search of what arrived, rejected ones, and the tool for accounts."""

import datetime as dt
import gzip
import json
import os
from collections.abc import Callable, Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import psycopg
import pytest

from analytics_api.users.__main__ import main as users_tool
from tests.integration.analytics_api import made_up
from tests.integration.analytics_api.made_up import Check
from tests.integration.analytics_api.servers import ADMIN, Api, Postgres, environment, free_port, start_api, stop_api

RECEIVED = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)


class Intake(BaseHTTPRequestHandler):
    """Notes what it gets, and answers what the test wants."""

    seen: list[dict[str, Any]] = []  # noqa: RUF012 - the test reads it
    status = 201

    def do_POST(self) -> None:
        body = b""
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.seen.append({"path": self.path, "body": body, "headers": {k.lower(): v for k, v in self.headers.items()}})
        answer = b'{"status":"accepted","money":27.470}'
        self.send_response(self.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Retry-After", "7")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def checks() -> list[Check]:
    start = dt.datetime(2024, 2, 20, tzinfo=dt.UTC)
    return made_up.checks(60, start=start, hours=30, seed=5, prefix="c", received=RECEIVED)


@pytest.fixture(scope="module")
def served(postgres: Postgres, new_database: Callable[[], str], checks: list[Check], folder: Path) -> Iterator[Api]:
    """A service over some checks, repeats, conflicts and rejections, with an intake that only notes."""
    name = new_database()
    made_up.write(postgres.url(name, "checks_sink"), checks)
    with psycopg.connect(postgres.url(name, "checks_sink")) as connection:
        for number, check in enumerate(checks[:6]):
            connection.execute(
                "INSERT INTO pipeline_v1.repeated_checks (transaction_id, arrivals, received_at, is_conflict, place_id,"
                " first_place_id, sold_at, total_amount, items_json) VALUES (%s, 2, %s, %s, %s, %s, %s, 1.5, %s)",
                (
                    check.transaction_id,
                    RECEIVED + dt.timedelta(hours=1, seconds=number),
                    number % 2 == 1,
                    "elsewhere" if number == 5 else check.place_id,
                    check.place_id,
                    check.sold_at,
                    '[{"PRODUCT_ID":"p","CATEGORY":"к","QUANTITY":0.100,"PRICE":27.40}]',
                ),
            )
        for number in range(5):
            connection.execute(
                "INSERT INTO pipeline_v1.rejected_checks VALUES (%s, %s, 'r', '1.2.3.4', %s, %s, %s, 'utf-8')",
                (
                    f"rejected-{number}",
                    RECEIVED + dt.timedelta(seconds=number),
                    f"t{number}",
                    '[{"pointer":"/items/0/price","detail":"no"}]',
                    "<script>{",
                ),
            )
    intake = ThreadingHTTPServer(("127.0.0.1", free_port()), Intake)
    thread = Thread(target=intake.serve_forever)
    thread.start()
    address = f"http://127.0.0.1:{intake.server_address[1]}"
    api = start_api(
        environment(postgres, name, folder / "served", CHECKS_INTAKE_URL=address, CHECKS_INTAKE_KEY="a-key")
    )
    yield api
    stop_api(api)
    intake.shutdown()
    thread.join()
    intake.server_close()


@pytest.fixture
def client(served: Api) -> Iterator[httpx.Client]:
    with served.client(served.token()) as client:
        yield client


def pages(client: httpx.Client, path: str, **params: Any) -> list[dict[str, Any]]:
    """All items, page by page."""
    items, cursor = [], None
    while True:
        answer = client.get(path, params={**params, **({"cursor": cursor} if cursor else {})})
        assert answer.status_code == 200, answer.text
        document = json.loads(answer.content, parse_float=Decimal)
        items += document["items"]
        cursor = document["next_cursor"]
        if cursor is None:
            return items


@pytest.mark.parametrize(
    ("body", "headers", "path"),
    [
        (b'{"a": 27.470}', {"Content-Type": "application/json"}, "/api/checks/"),
        (b' [{"a": 1}]', {"Content-Type": "application/json"}, "/api/checks/batch/"),
        (b'{"a":1}\n{"a":2}', {"Content-Type": "application/x-ndjson"}, "/api/checks/batch/"),
        (gzip.compress(b"[1]"), {"Content-Type": "application/json", "Content-Encoding": "gzip"}, "/api/checks/batch/"),
        (b"", {"Content-Type": "application/json"}, "/api/checks/"),
        (b"[" + b"1," * 1_500_000 + b"1]", {"Content-Type": "application/json"}, "/api/checks/batch/"),
    ],
    ids=["one", "list", "ndjson", "gzip", "empty", "3 MB"],
)
def test_checks_are_passed_on_as_they_are(
    client: httpx.Client, body: bytes, headers: dict[str, str], path: str
) -> None:
    """The bytes reach intake unread, one check or a list each at its address; the answer comes back as it is."""
    Intake.seen.clear()
    Intake.status = 201
    answer = client.post("/api/add_checks/", content=body, headers={**headers, "X-Request-Id": "till-1"})
    assert (answer.status_code, answer.content) == (201, b'{"status":"accepted","money":27.470}')
    (seen,) = Intake.seen
    assert (seen["path"], seen["body"]) == (path, body)
    assert seen["headers"]["x-request-id"] == "till-1"
    assert seen["headers"]["authorization"] == "Bearer a-key"
    assert seen["headers"].get("content-encoding") == headers.get("Content-Encoding")


@pytest.mark.parametrize("status", [207, 400, 413, 415, 422, 429, 503])
def test_intakes_refusals_come_back(client: httpx.Client, status: int) -> None:
    """Status and Retry-After are intake's."""
    Intake.status = status
    answer = client.post("/api/add_checks/", json={})
    assert (answer.status_code, answer.headers["retry-after"]) == (status, "7")


def test_a_refused_key_is_not_the_users_fault(client: httpx.Client) -> None:
    """Intake's 401 would read as the user's own token being bad; it is 503."""
    Intake.status = 401
    assert client.post("/api/add_checks/", json={}).status_code == 503


def test_intake_away(api: Api) -> None:
    """503 with Retry-After, and a problem document."""
    with api.client(api.token()) as client:
        answer = client.post("/api/add_checks/", json={})
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert answer.headers["content-type"] == "application/problem+json"


def test_what_arrived_newest_first(client: httpx.Client, checks: list[Check]) -> None:
    """Pages of any size list each arrival once, by receipt."""
    every = pages(client, "/api/checks/", limit=7)
    assert len(every) == 66
    times = [dt.datetime.fromisoformat(item["received_at"]) for item in every]
    assert times == sorted(times, reverse=True)
    assert len({(item["transaction_id"], item["arrival"]) for item in every}) == 66
    assert {item["transaction_id"] for item in every} == {check.transaction_id for check in checks}


def test_filters(client: httpx.Client, checks: list[Check]) -> None:
    """Place, time of sale, time of receipt, kind, another place: each narrows to exactly its own."""
    place = checks[0].place_id
    mine = pages(client, "/api/checks/", place_id=place, kind="sale", limit=3)
    assert {item["transaction_id"] for item in mine} == {c.transaction_id for c in checks if c.place_id == place}
    middle = checks[0].sold_at
    later = pages(client, "/api/checks/", **{"from": middle.isoformat(), "kind": "sale"})
    assert {i["transaction_id"] for i in later} == {c.transaction_id for c in checks if c.sold_at >= middle}
    assert len(pages(client, "/api/checks/", kind="conflict", limit=2)) == 3
    assert len(pages(client, "/api/checks/", kind="repeat")) == 3
    assert [i["place_id"] for i in pages(client, "/api/checks/", other_place="true")] == ["elsewhere"]
    late = (RECEIVED + dt.timedelta(minutes=30)).isoformat()
    assert len(pages(client, "/api/checks/", received_from=late)) == 6
    assert pages(client, "/api/checks/", transaction_id="none") == []
    assert client.get("/api/checks/", params={"from": "nonsense"}).status_code == 422


def test_history_of_a_check(client: httpx.Client, checks: list[Check]) -> None:
    """The first version and the conflict beside each other, with their lines, money digit by digit."""
    answer = client.get("/api/checks/history/", params={"transaction_id": checks[1].transaction_id})
    first, second = json.loads(answer.content, parse_float=Decimal)["arrivals"]
    assert (first["check"]["kind"], second["check"]["kind"]) == ("sale", "conflict")
    assert [line["product_id"] for line in first["items"]] == [line.product_id for line in checks[1].lines]
    assert [Decimal(line["price"]) for line in first["items"]] == [line.price for line in checks[1].lines]
    assert second["items"][0]["price"] == Decimal("27.40")
    assert b"27.40" in answer.content
    assert client.get("/api/checks/history/", params={"transaction_id": "none"}).status_code == 404


def test_rejected_checks(client: httpx.Client) -> None:
    """Each with its reasons and the body as it came, the newest first."""
    every = pages(client, "/api/rejected_checks/", limit=2)
    assert [item["rejection_id"] for item in every] == [f"rejected-{number}" for number in (4, 3, 2, 1, 0)]
    assert every[0]["body"] == "<script>{"
    assert every[0]["reasons"] == [{"pointer": "/items/0/price", "detail": "no"}]
    assert [i["transaction_id"] for i in pages(client, "/api/rejected_checks/", transaction_id="t3")] == ["t3"]


def test_the_tool_recovers_an_administrator(
    served: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without signing in: a new password and the role for an account, listed and audited; the last one is protected."""
    for name in [name for name in os.environ if name.startswith("CHECKS_")]:
        monkeypatch.delenv(name)
    for name, value in served.environment.items():
        monkeypatch.setenv(name, value)
    assert users_tool(["recover", "rescued"]) == 0
    password = capsys.readouterr().out.strip().rsplit(" ", 1)[1]
    with served.client(served.token("rescued", password)) as rescued:
        assert rescued.get("/auth/me/").json()["role"] == "administrator"
        actions = [e["action"] for e in rescued.get("/api/audit/", params={"target": "rescued"}).json()["items"]]
    assert actions == ["login", "tool_recover"]
    assert users_tool(["list"]) == 0
    assert "rescued" in capsys.readouterr().out
    assert users_tool(["user", "rescued"]) == 0
    assert users_tool(["deactivate", ADMIN["username"]]) == 1
    assert users_tool(["password", "nobody-there", "--generate"]) == 1
    assert "no such user" in capsys.readouterr().err
    served.token()  # the administrator still signs in
