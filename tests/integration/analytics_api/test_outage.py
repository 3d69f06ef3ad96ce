"""PostgreSQL killed and back under load: 503 that says when to come again, then right answers without a restart."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import httpx
import psycopg
import pytest

from analytics_api.migrate import migrate
from tests.integration.analytics_api import made_up
from tests.integration.analytics_api.made_up import Check
from tests.integration.analytics_api.servers import PASSWORD, Api, Postgres, environment, start_api, stop_api


@pytest.fixture
def own(folder: Path, sales: list[Check]) -> Iterator[tuple[Postgres, Api]]:
    """A PostgreSQL that may be killed, and a service with two workers over it."""
    place = folder / "killed"
    place.mkdir()
    place.chmod(0o755)
    server = Postgres(place)
    server.start()
    server.make("checks")
    migrate(server.url("checks"))
    with psycopg.connect(server.url("checks"), autocommit=True) as connection:
        for role in ("checks_api", "checks_sink"):
            connection.execute(f"ALTER ROLE {role} LOGIN PASSWORD '{PASSWORD}'")
    made_up.write(server.url("checks", "checks_sink"), sales[:400])
    api = start_api(environment(server, "checks", folder / "killed-api", CHECKS_ANALYTICS_WORKERS="2"))
    yield server, api
    stop_api(api)
    server.stop()


def test_killed_and_back(own: tuple[Postgres, Api], sales: list[Check]) -> None:
    """Every answer during the outage is right or 503 with Retry-After; afterwards all are right again."""
    server, api = own
    token = api.token()
    expected = made_up.total(sales[:400])
    seen: list[tuple[float, int]] = []
    wrong: list[str] = []
    stop = threading.Event()

    def ask() -> None:
        with api.client(token) as client:
            while not stop.is_set():
                try:
                    answer = client.get("/api/analytics/")
                except httpx.HTTPError as error:
                    wrong.append(repr(error))
                    continue
                seen.append((time.monotonic(), answer.status_code))
                if answer.status_code == 200:
                    if json.loads(answer.text, parse_float=Decimal)["total"] != expected:
                        wrong.append(answer.text[:500])
                elif (
                    answer.status_code != 503
                    or "retry-after" not in answer.headers
                    or "postgres" in answer.text.lower()
                ):
                    wrong.append(f"{answer.status_code} {answer.text}")

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        _wait(lambda: sum(code == 200 for _, code in seen) > 20, "answers before the outage")
        server.kill()
        killed_at = time.monotonic()
        _wait(lambda: any(code == 503 and at > killed_at for at, code in seen), "503 during the outage")
        with api.client() as client:
            assert client.get("/health/live").status_code == 200
            assert client.get("/health/ready").status_code == 503
            assert client.post("/auth/login/", json={"username": "a", "password": "b"}).status_code == 503
        server.start()
        back_at = time.monotonic()
        _wait(lambda: sum(code == 200 and at > back_at for at, code in seen) > 20, "answers after the outage")
        # Once every connection of the pools has been replaced, nothing but right answers.
        _wait(lambda: all(code == 200 for _, code in seen[-40:]), "only good answers")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert wrong == []


def _wait(condition: Callable[[], object], what: str, limit_s: float = 40) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"no {what}"
        time.sleep(0.05)
