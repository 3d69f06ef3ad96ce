"""How long a check takes from the answer to its POST until its row stands in PostgreSQL, at a steady rate.

Checks are sent on a schedule, one a request, over keep-alive connections; PostgreSQL is asked every few milliseconds
which of those that were answered are there. The first seconds, in which caches and JVMs warm up, do not count.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Self
from urllib.parse import urlsplit

import psycopg

from bench.checks import Plan, checks
from bench.load import percentile
from bench.stack import running_stack

_BAR_MS = 1_000.0
_POLL_S = 0.02
_IDLE_S = 20.0
"""A connection that lay idle for longer is not used again: intake closes it after 30 seconds."""


@dataclass(frozen=True)
class Outcome:
    """Latencies in milliseconds from the POST's answer to the visible row, of the checks that were measured."""

    rate_per_s: float
    checks: int
    missing: int
    answer_p50_ms: float
    answer_p95_ms: float
    sales_p50_ms: float
    sales_p95_ms: float
    sales_max_ms: float
    lines_p50_ms: float
    lines_p95_ms: float


class Watcher(threading.Thread):
    """Notes when each check's row is first seen in one table."""

    def __init__(self, url: str, query: str) -> None:
        super().__init__(daemon=True)
        self._url = url
        self._query = query
        self._pending: dict[str, float] = {}
        self._lock = threading.Lock()
        self.latency_ms: dict[str, float] = {}
        self.done = False

    def expect(self, transaction_id: str, answered: float) -> None:
        """Begin to look for a check that was answered at this time."""
        with self._lock:
            self._pending[transaction_id] = answered

    def left(self) -> int:
        """How many are still to be seen."""
        return len(self._pending)

    def run(self) -> None:
        """Ask until told that it is done."""
        with psycopg.connect(self._url, autocommit=True) as connection:
            while not self.done:
                began = time.perf_counter()
                with self._lock:
                    wanted = list(self._pending)
                if wanted:
                    rows = connection.execute(self._query, (wanted,), prepare=True).fetchall()
                    seen = time.perf_counter()
                    with self._lock:
                        for (transaction_id,) in rows:
                            self.latency_ms[transaction_id] = (seen - self._pending.pop(transaction_id)) * 1000
                time.sleep(max(0.0, _POLL_S - (time.perf_counter() - began)))


def measure(environment: Mapping[str, str], *, rate: float, seconds: float, warmup_s: float) -> Outcome:
    """Send for so long and wait until everything has arrived, at most half a minute more."""
    url = environment["CHECKS_DATABASE_OWNER_URL"]
    # the last line of a check is written by the longest way: sales, numbered_lines, sale_lines
    watchers = [
        Watcher(url, "SELECT transaction_id FROM figures.sales WHERE transaction_id = ANY(%s)"),
        Watcher(url, "SELECT transaction_id FROM figures.sale_lines WHERE transaction_id = ANY(%s) AND line_no = 1"),
    ]
    for watcher in watchers:
        watcher.start()
    plan = Plan(seed=int(time.time()), count=int(rate * (seconds + warmup_s)), hours=2, id_prefix="latency")
    bodies = [(check.transaction_id, check.json()) for check in checks(plan)]
    answers = asyncio.run(_send(environment["CHECKS_INTAKE_URL"], bodies, rate, watchers))
    deadline = time.monotonic() + 30
    while any(watcher.left() for watcher in watchers) and time.monotonic() < deadline:
        time.sleep(0.1)
    for watcher in watchers:
        watcher.done = True
    measured = [transaction_id for transaction_id, _body in bodies[int(rate * warmup_s) :]]
    sales, lines = (
        sorted(watcher.latency_ms[name] for name in measured if name in watcher.latency_ms) for watcher in watchers
    )
    answered = sorted(answers[name] for name in measured if name in answers)
    return Outcome(
        rate_per_s=rate,
        checks=len(measured),
        missing=len(measured) - min(len(sales), len(lines)),
        answer_p50_ms=round(percentile(answered, 0.50), 1),
        answer_p95_ms=round(percentile(answered, 0.95), 1),
        sales_p50_ms=round(percentile(sales, 0.50), 1),
        sales_p95_ms=round(percentile(sales, 0.95), 1),
        sales_max_ms=round(percentile(sales, 1.0), 1),
        lines_p50_ms=round(percentile(lines, 0.50), 1),
        lines_p95_ms=round(percentile(lines, 0.95), 1),
    )


async def _send(
    url: str, bodies: Sequence[tuple[str, bytes]], rate: float, watchers: Sequence[Watcher]
) -> dict[str, float]:
    """Send each check when it is due; gives how long each answer took, in milliseconds."""
    answers: dict[str, float] = {}
    address = urlsplit(url)
    idle: list[tuple[float, _Connection]] = []

    async def free_connection() -> _Connection:
        while idle:
            since, connection = idle.pop()
            if time.perf_counter() - since < _IDLE_S:
                return connection
            connection.close()
        return await _Connection.open(str(address.hostname), address.port or 80)

    async def post(transaction_id: str, body: bytes) -> None:
        began = time.perf_counter()
        connection = await free_connection()
        status = await connection.post("/api/checks/", body)
        answered = time.perf_counter()
        idle.append((answered, connection))
        if status != 201:
            raise SystemExit(f"{url} answered {status}")
        answers[transaction_id] = (answered - began) * 1000
        for watcher in watchers:
            watcher.expect(transaction_id, answered)

    start = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for number, (transaction_id, body) in enumerate(bodies):
            delay = start + number / rate - time.perf_counter()
            if delay > 0:
                await asyncio.sleep(delay)
            tasks.create_task(post(transaction_id, body))
    for _, connection in idle:
        connection.close()
    return answers


class _Connection:
    """One keep-alive connection, one request at a time: a client library would cost more than what is measured."""

    def __init__(self, host: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._host = host
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, host: str, port: int) -> Self:
        """A new connection."""
        return cls(host, *await asyncio.open_connection(host, port))

    async def post(self, path: str, body: bytes) -> int:
        """The status of the answer; its body is read and dropped."""
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self._writer.write(head.encode() + body)
        lines = (await self._reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
        length = next((int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:")), 0)
        await self._reader.readexactly(length)
        return int(lines[0].split()[1])

    def close(self) -> None:
        """Let go of it."""
        self._writer.close()


def main(argv: Sequence[str] | None = None) -> int:
    """Print the figures; exit status 1 when a check is missing or the bar (p95 under a second) is missed."""
    parser = argparse.ArgumentParser(prog="scripts/bench latency", description=__doc__)
    parser.add_argument("--rate", type=float, default=100.0, help="checks a second (100)")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long is measured (30)")
    parser.add_argument("--warmup", type=float, default=10.0, help="seconds before that (10)")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    arguments = parser.parse_args(argv)
    with running_stack() as environment:
        found = measure(environment, rate=arguments.rate, seconds=arguments.seconds, warmup_s=arguments.warmup)
    print(f"{found.checks} checks at {found.rate_per_s:g} a second, {found.missing} missing")
    print(f"{'':34}{'p50':>10}{'p95':>10}")
    for what, p50, p95 in (
        ("POST to its answer", found.answer_p50_ms, found.answer_p95_ms),
        ("answer to the row in sales", found.sales_p50_ms, found.sales_p95_ms),
        ("answer to the row in sale_lines", found.lines_p50_ms, found.lines_p95_ms),
    ):
        print(f"{what:34}{p50:>7.1f} ms{p95:>7.1f} ms")
    if arguments.json:
        print(json.dumps(asdict(found)))
    return 1 if found.missing or found.sales_p95_ms >= _BAR_MS else 0
