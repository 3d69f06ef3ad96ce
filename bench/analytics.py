"""How fast figures are answered over 14 million category hours, and what the totals' triggers cost a sink.

Generates 1,000 places x 20 categories x 30 days of hours straight into a PostgreSQL of its own, starts analytics_api
over it with its ordinary settings (login limits in force) and asks one request at a time, then two.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import http.client
import json
import os
import random
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlencode

import psutil
import psycopg

from analytics_api.migrate import migrate
from bench.analytics_data import fill
from bench.load import percentile
from stack import free_ports
from stack.parts.postgres import BUNDLED, Place, prepare, unprivileged_user
from stack.settings import CHECKOUT

HOST = "127.0.0.1"
PLACES, CATEGORIES, DAYS = 1000, 20, 30
PAGE_BAR_MS = 500
BATCH_ROWS, STATEMENT_ROWS = 3000, 128


@dataclass(frozen=True)
class Measured:
    """Latencies of one kind of request."""

    name: str
    clients: int
    requests: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    cpu_ms: float
    """CPU time of PostgreSQL and the service for one request: what a busy machine does not distort."""
    bar_ms: float | None
    """What p95 must stay under with one client; None where nothing was promised."""

    @property
    def is_held(self) -> bool:
        """Whether the bar is held, where there is one for it."""
        return self.bar_ms is None or self.clients > 1 or self.p95_ms < self.bar_ms


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 1 when a bar is missed."""
    parser = argparse.ArgumentParser(prog="scripts/bench analytics", description=__doc__)
    parser.add_argument("--requests", type=int, default=200, help="requests of each kind (200)")
    parser.add_argument("--places", type=int, default=PLACES)
    parser.add_argument("--days", type=int, default=DAYS)
    parser.add_argument("--state", type=Path, help="keep the database in this folder, and find it there the next time")
    parser.add_argument("--only", metavar="WORDS", help="only the requests whose name has these words")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args(argv)
    with contextlib.ExitStack() as stack:
        folder = options.state or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="checks-bench-")))
        folder = folder.absolute()
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        password = _password(folder)
        port = stack.enter_context(_postgres(folder, password))
        end = _filled(folder, port, password, places=options.places, days=options.days)
        api_port, token = stack.enter_context(_service(folder, port, password))
        load = os.getloadavg()[0]
        _login_limits_hold(api_port)
        program = {"Authorization": f"Bearer {token}"}
        browser = {"Cookie": _signed_in(api_port, password), "Accept-Encoding": "gzip", "Accept-Language": "ru"}
        kinds = [(program, one) for one in _kinds(end, options.days, options.places)]
        kinds += [(browser, one) for one in _pages(end, options.days, options.places)]
        found = [
            _measure(name, api_port, headers, paths, clients=clients, requests=options.requests, bar_ms=bar_ms)
            for clients in (1, 2)
            for headers, (name, paths, bar_ms) in kinds
            if not options.only or options.only in name
        ]
        sink = {
            kind: _sink_rows_per_s(port, password, triggers=on) for kind, on in (("with", True), ("without", False))
        }
    _print(found, sink, load)
    if options.json:
        print(json.dumps({"load": load, "requests": [asdict(one) for one in found], "sink_rows_per_s": sink}))
    return 0 if all(one.is_held for one in found) else 1


def _kinds(end: dt.datetime, days: int, places: int) -> list[tuple[str, list[str], float | None]]:
    start = end - dt.timedelta(days=days)

    def interval(low: dt.datetime, high: dt.datetime) -> str:
        return f"from={low:%Y-%m-%dT%H:00:00}&to={high:%Y-%m-%dT%H:00:00}"

    hour = dt.timedelta(hours=1)
    each_day = [start + dt.timedelta(days=number) for number in range(days - 1)]
    one_day = [interval(day, day + 24 * hour) for day in each_day]
    shifted_day = [interval(day + 5 * hour, day + 29 * hour) for day in each_day]
    ids = [f"{number:04d}" for number in range(1, places, 7)]
    month, shifted = interval(start, end), interval(start + 5 * hour, end - 2 * hour)
    return [
        ("all places, one day", [f"/api/analytics/?{one}" for one in one_day], 100),
        ("all places, 30 days", [f"/api/analytics/?{month}"], 100),
        ("all places, one day of edge hours", [f"/api/analytics/?{one}" for one in shifted_day], 100),
        ("all places, 30 days less edge hours", [f"/api/analytics/?{shifted}"], 100),
        ("one place, 30 days", [f"/api/analytics/{place}/?{month}" for place in ids], 50),
        ("one place, 30 days less edge hours", [f"/api/analytics/{place}/?{shifted}" for place in ids], 50),
        ("hours of all places, 30 days", [f"/api/hours/?{month}"], None),
        ("hours of one place, 30 days", [f"/api/hours/?place_id={place}&{month}" for place in ids], None),
        ("all places, 30 days, 1,000 on a page", [f"/api/analytics/?{month}&limit=1000"], None),
        ("places", ["/api/places/"], None),
    ]


def _pages(end: dt.datetime, days: int, places: int) -> list[tuple[str, list[str], float | None]]:
    """First views of pages, which a browser that has nothing yet asks for; days are Moscow's, not UTC's."""
    end -= dt.timedelta(hours=3)
    start = end - dt.timedelta(days=days - 1)

    def own(low: dt.datetime, high: dt.datetime) -> str:
        return f"interval=own&from={low:%Y-%m-%dT%H:00}Z&to={high:%Y-%m-%dT%H:00}Z&zone=Europe/Moscow"

    one_day = [own(day, day + dt.timedelta(days=1)) for day in (start + dt.timedelta(days=n) for n in range(days - 1))]
    ids = [f"{number:04d}" for number in range(1, places, 7)]
    month = own(start, end)
    return [
        ("page of all places, one day", [f"/analytics/?{one}" for one in one_day], PAGE_BAR_MS),
        ("page of all places, a month", [f"/analytics/?{month}"], PAGE_BAR_MS),
        ("page of all places, 8 days by hour", [f"/analytics/?{own(end - dt.timedelta(days=8), end)}"], PAGE_BAR_MS),
        ("page of one place, a month", [f"/analytics/place/{place}/?{month}" for place in ids], PAGE_BAR_MS),
    ]


def _signed_in(port: int, password: str) -> str:
    """The cookie of a browser in which the administrator is signed in."""
    connection = http.client.HTTPConnection(HOST, port, timeout=30)
    connection.request("GET", "/")
    answer = connection.getresponse()
    found = re.search(r'name="csrf" value="([^"]+)"', answer.read().decode())
    visitor = (answer.getheader("Set-Cookie") or "").split(";")[0]
    form = urlencode({"username": "admin", "password": password, "csrf": found[1] if found else ""})
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": visitor}
    connection.request("POST", "/", form, headers)
    answer = connection.getresponse()
    session = (answer.getheader("Set-Cookie") or "").split(";")[0]
    if not session.startswith("session="):
        raise SystemExit(f"the page does not sign in: {answer.status}")
    return session


def _measure(
    name: str,
    port: int,
    headers: dict[str, str],
    paths: Sequence[str],
    *,
    clients: int,
    requests: int,
    bar_ms: float | None,
) -> Measured:
    if "1,000 on a page" in name:
        requests = max(10, requests // 10)
    latencies: list[float] = []

    def ask(first: int) -> None:
        connection = http.client.HTTPConnection(HOST, port, timeout=60)
        for number in range(first, requests + 10, clients):
            begun = time.perf_counter()
            connection.request("GET", paths[number % len(paths)], headers=headers)
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise SystemExit(f"{paths[number % len(paths)]}: {answer.status}")
            if number >= 10:  # the first ones fill caches
                latencies.append((time.perf_counter() - begun) * 1000)

    before_s = _cpu_s()
    threads = [threading.Thread(target=ask, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cpu_s = _cpu_s() - before_s
    ordered = sorted(latencies)
    return Measured(
        name=name,
        clients=clients,
        requests=len(ordered),
        p50_ms=round(percentile(ordered, 0.5), 1),
        p95_ms=round(percentile(ordered, 0.95), 1),
        p99_ms=round(percentile(ordered, 0.99), 1),
        cpu_ms=round(cpu_s / (requests + 10) * 1000, 1),
        bar_ms=bar_ms,
    )


def _cpu_s() -> float:
    """CPU seconds of everything that was started here, PostgreSQL's and the service's processes."""
    total = 0.0
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            times = child.cpu_times()
            total += times.user + times.system
    return total


def _login_limits_hold(port: int) -> None:
    """Eleven wrong passwords for one name: the last is refused before it is looked at."""
    statuses = []
    # Another name each time: a kept database remembers the last run's attempts.
    body = json.dumps({"username": f"nobody-{secrets.token_hex(4)}", "password": "wrong-password"})
    for _ in range(11):
        connection = http.client.HTTPConnection(HOST, port, timeout=30)
        connection.request("POST", "/auth/login/", body, {"Content-Type": "application/json"})
        statuses.append(connection.getresponse().status)
        connection.close()
    if statuses != [401] * 10 + [429]:
        raise SystemExit(f"the login limits are not in force: {statuses}")


def _sink_rows_per_s(port: int, password: str, *, triggers: bool, seconds: float = 5.0) -> int:
    """Upserts into category_hours as the sink sends them: transactions of 3,000 rows, 128 in a statement."""
    rng = random.Random(1)  # noqa: S311  (the same rows each time)
    names = "(place_id, category, hour_start, lines, checks, quantity, revenue)"
    place = "(%s, %s, %s, %s, %s, %s, %s)"
    query = (  # the names are this file's own
        f"INSERT INTO pipeline_v2.category_hours {names} VALUES {', '.join([place] * STATEMENT_ROWS)}"  # noqa: S608
        " ON CONFLICT (place_id, category, hour_start) DO UPDATE SET lines = EXCLUDED.lines,"
        " checks = EXCLUDED.checks, quantity = EXCLUDED.quantity, revenue = EXCLUDED.revenue"
    )
    with psycopg.connect(_url(port, "postgres", password)) as owner:
        owner.execute("SELECT pipeline_create(2)")
        owner.execute("TRUNCATE pipeline_v2.category_hours")
        owner.execute(f"ALTER TABLE pipeline_v2.category_hours {'ENABLE' if triggers else 'DISABLE'} TRIGGER USER")
    rows, spent_s = 0, 0.0
    with psycopg.connect(_url(port, "checks_sink", password)) as sink:
        while spent_s < seconds:
            batch = [_statement_values(rng) for _ in range(BATCH_ROWS // STATEMENT_ROWS)]
            begun = time.perf_counter()
            with sink.pipeline():
                for values in batch:
                    sink.execute(query, values)
            sink.commit()
            spent_s += time.perf_counter() - begun
            rows += len(batch) * STATEMENT_ROWS
    return round(rows / spent_s)


def _statement_values(rng: random.Random) -> list[object]:
    keys: set[tuple[str, str, str]] = set()
    while len(keys) < STATEMENT_ROWS:
        keys.add((f"{rng.randrange(PLACES):04d}", f"category {rng.randrange(CATEGORIES):02d}", "2024-02-07T12:00Z"))
    return [value for key in keys for value in (*key, rng.randrange(99), rng.randrange(99), "1.500", "22.22222")]


@contextlib.contextmanager
def _postgres(folder: Path, password: str) -> Iterator[int]:
    """A server of its own with the settings of the stack's; gives its port."""
    user = unprivileged_user() if os.geteuid() == 0 else None
    where = Place(BUNDLED, folder / "postgres" / "data", user)
    prepare(where, password)
    port = int(free_ports.choose()["CHECKS_POSTGRES_PORT"])
    command = [
        *(str(where.programs / "bin" / "postgres"), "-D", str(where.data)),
        *(f"--listen-addresses={HOST}", f"--port={port}", "--unix-socket-directories=", "--timezone=UTC"),
        *("--shared-buffers=256MB", "--max-wal-size=1GB", "--jit=off"),
    ]
    with (folder / "postgres.log").open("ab") as log:
        server = subprocess.Popen(
            command,
            cwd="/",
            stdout=log,
            stderr=log,
            user=user.uid if user else None,
            group=user.gid if user else None,
            extra_groups=[] if user else None,
        )
    try:
        _wait(lambda: psycopg.connect(_url(port, "postgres", password, "postgres")).close(), "PostgreSQL")
        yield port
    finally:
        server.send_signal(signal.SIGINT)
        server.wait()


def _filled(folder: Path, port: int, password: str, *, places: int, days: int) -> dt.datetime:
    """The database with its rows, made unless the folder has it; gives the UTC midnight that the hours end at."""
    mark = folder / f"filled-{places}-{days}"
    if mark.exists():
        migrate(_url(port, "postgres", password))
        return dt.datetime.fromisoformat(mark.read_text())
    with psycopg.connect(_url(port, "postgres", password, "postgres"), autocommit=True) as server:
        server.execute("DROP DATABASE IF EXISTS checks")
        server.execute("CREATE DATABASE checks")
    owner_url = _url(port, "postgres", password)
    migrate(owner_url)
    with psycopg.connect(owner_url, autocommit=True) as server:
        for role in ("checks_api", "checks_sink"):
            server.execute(f"ALTER ROLE {role} LOGIN PASSWORD '{password}'")
    end = dt.datetime.now(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    rows = fill(
        owner_url,
        end=end,
        days=days,
        places=places,
        categories=CATEGORIES,
        progress=lambda text: print(text, file=sys.stderr, flush=True),
    )
    print(f"{rows:,} category hours", file=sys.stderr)
    mark.write_text(end.isoformat())
    return end


@contextlib.contextmanager
def _service(folder: Path, port: int, password: str) -> Iterator[tuple[int, str]]:
    """analytics_api as it is started by hand; gives its port and an administrator's token."""
    api_port = int(free_ports.choose()["CHECKS_ANALYTICS_PORT"])
    nowhere = f"http://{HOST}:1"
    environment = {
        "CHECKS_STATE": str(folder / "api"),
        "CHECKS_DATABASE_URL": _url(port, "checks_api", password),
        "CHECKS_DATABASE_OWNER_URL": _url(port, "postgres", password),
        "CHECKS_ADMIN_PASSWORD": password,
        "CHECKS_ANALYTICS_PORT": str(api_port),
        # Its snapshot of 720,000 hours and its search for Kafka would be measured, too.
        "CHECKS_SCHEDULER": "no",
        **{f"CHECKS_{name}_URL": nowhere for name in ("INTAKE", "KSQL", "CONNECT", "REGISTRY")},
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CHECKS_")}
    with (folder / "api.log").open("ab") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "analytics_api"],
            cwd=CHECKOUT,
            env={**inherited, **environment},
            stdout=log,
            stderr=log,
        )
    try:
        _wait(lambda: _ready(api_port), "analytics_api")
        connection = http.client.HTTPConnection(HOST, api_port, timeout=30)
        body = json.dumps({"username": "admin", "password": password})
        connection.request("POST", "/auth/login/", body, {"Content-Type": "application/json"})
        yield api_port, str(json.loads(connection.getresponse().read())["token"])
    finally:
        server.terminate()
        server.wait()


def _ready(port: int) -> None:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    connection.request("GET", "/health/ready")
    if connection.getresponse().status != 200:
        raise ConnectionError("not ready")


def _wait(attempt: Callable[[], None], what: str, limit_s: float = 60) -> None:
    deadline = time.monotonic() + limit_s
    while True:
        try:
            attempt()
        except (OSError, psycopg.OperationalError) as error:
            if time.monotonic() > deadline:
                raise SystemExit(f"{what} did not start: {error}") from error
            time.sleep(0.2)
        else:
            return


def _password(folder: Path) -> str:
    file = folder / "password"
    if not file.exists():
        file.write_text(secrets.token_urlsafe(16))
        file.chmod(0o600)
    return file.read_text()


def _url(port: int, user: str, password: str, database: str = "checks") -> str:
    return f"postgresql://{user}:{password}@{HOST}:{port}/{database}"


def _print(found: Sequence[Measured], sink: dict[str, int], load: float) -> None:
    print(f"{os.cpu_count()} cores, load average {load:.1f} before the first request")
    print(
        f"{'request':<40}{'clients':>8}{'requests':>9}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}{'CPU ms':>8}{'bar ms':>8}"
    )
    for one in found:
        bar = f"{one.bar_ms:.0f}" if one.bar_ms and one.clients == 1 else ""
        print(
            f"{one.name:<40}{one.clients:>8}{one.requests:>9}{one.p50_ms:>9}{one.p95_ms:>9}{one.p99_ms:>9}{one.cpu_ms:>8}{bar:>8}"
            + ("" if one.is_held else "  missed")
        )
    print(f"a sink upserts {sink['with']:,} rows a second with the totals' triggers, {sink['without']:,} without")
