"""How fast ksqlite is on the project's own ksql files: all queries, exactly once, from a preloaded topic of checks.

A broker and a registry are started for it. ksqlite gets the files, is stopped, the checks are written, and from its
start on time and CPU of its process are counted until the last table row is committed; then it is compared with bare
loops that consume, decode, encode and produce in transactions and do nothing else: one that writes as many records as
the pipeline does of each check (``bare``), and one that writes a single record a check (``one``). The latency is that
of a check sent by a process of its own, until a record of its last stream can be read with read_committed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psutil
from confluent_kafka import Consumer, TopicPartition

from bench.intake import own_stack
from bench.ksqlite_loops import preload
from ksqlite.formats import FormatSpec, HttpRegistry, infer_columns, serde
from stack.settings import CHECKOUT

PARTITIONS = 3


@dataclass
class Server:
    """ksqlite as a process of its own."""

    environment: dict[str, str]
    process: psutil.Popen | None = None

    @property
    def url(self) -> str:
        """Its REST address."""
        return f"http://127.0.0.1:{self.environment['CHECKS_KSQL_PORT']}"

    def start(self) -> float:
        """Starts it; gives the seconds until it was healthy."""
        began = time.monotonic()
        self.process = psutil.Popen(
            [sys.executable, "-m", "ksqlite", "serve"], env=self.environment, cwd=CHECKOUT, stderr=subprocess.DEVNULL
        )
        while True:
            with contextlib.suppress(OSError, ValueError):
                if json.loads(self.get("/healthcheck"))["isHealthy"]:
                    return time.monotonic() - began
            if self.process.poll() is not None or time.monotonic() > began + 120:
                raise SystemExit("bench: ksqlite did not become healthy")
            time.sleep(0.005)

    def get(self, path: str) -> str:
        """The body of a GET."""
        with urllib.request.urlopen(f"{self.url}{path}", timeout=30) as answer:  # noqa: S310 - this server's
            return str(answer.read().decode())

    def ksql(self, text: str) -> None:
        """Runs statements."""
        body = json.dumps({"ksql": text, "streamsProperties": {}}).encode()
        request = urllib.request.Request(  # noqa: S310 - this server's
            f"{self.url}/ksql", body, {"Content-Type": "application/vnd.ksql.v1+json"}
        )
        try:
            urllib.request.urlopen(request, timeout=300).close()  # noqa: S310 - this server's
        except urllib.error.HTTPError as refusal:
            raise SystemExit(f"bench: ksqlite refused: {refusal.read().decode()}") from None

    def cpu_s(self) -> float:
        """CPU seconds of the process so far, its threads included."""
        if self.process is None:
            return 0.0
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def figure(self, name: str) -> list[float]:
        """All samples of a metric."""
        lines = self.get("/metrics").splitlines()
        return [float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name}{{")]

    def stop(self) -> None:
        """Ends it."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)


@contextlib.contextmanager
def serving(environment: dict[str, str]) -> Iterator[Server]:
    """A server that is ended with the block."""
    server = Server(environment)
    try:
        yield server
    finally:
        server.stop()


def table_purchases(environment: dict[str, str]) -> int:
    """What place_totals counts in all."""
    registry = HttpRegistry(environment["CHECKS_REGISTRY_URL"])
    schema = registry.latest("place_totals-value")
    if schema is None:
        raise SystemExit("bench: place_totals is not there")
    columns = infer_columns(schema, is_key=False)
    codec = serde(FormatSpec("AVRO"), columns, is_key=False, registry=registry, subject="place_totals-value")
    purchases = [column.name for column in columns].index("PURCHASES")
    last: dict[bytes, int] = {}
    consumer = Consumer(
        {
            "bootstrap.servers": environment["CHECKS_KAFKA"],
            "group.id": "bench-verify",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
        }
    )
    consumer.assign([TopicPartition("place_totals", partition, 0) for partition in range(PARTITIONS)])
    open_ones = PARTITIONS
    while open_ones:
        message = consumer.poll(1)
        if message is None:
            continue
        if message.error() is not None:
            open_ones -= 1
            continue
        row = codec.deserialize(message.value())
        key = message.key()
        if row is not None and isinstance(key, bytes):
            last[key] = row[purchases]
    consumer.close()
    registry.close()
    return sum(last.values())


def child(kind: str, **settings: Any) -> dict[str, float]:  # noqa: ANN401 - any JSON
    """Runs a loop in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.ksqlite_loops", kind],
        input=json.dumps(settings).encode(),
        stdout=subprocess.PIPE,
        cwd=CHECKOUT,
        check=True,
    )
    made: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return made


def measure(environment: dict[str, str], checks: int, latency_s: float, rate_per_s: float) -> dict[str, Any]:
    """All figures."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted((CHECKOUT / "ksql").glob("*.sql")))
    kafka, registry_url = environment["CHECKS_KAFKA"], environment["CHECKS_REGISTRY_URL"]
    with serving(environment) as server:
        server.start()
        server.ksql(text)
        server.stop()
        print(f"writing {checks:,} checks …", file=sys.stderr, flush=True)
        ids = preload(kafka, registry_url, checks)
        print("ksqlite …", file=sys.stderr, flush=True)
        began = time.monotonic()
        ready_s = server.start()
        read = 0.0
        while read < checks or any(server.figure("ksqlite_query_lag_records")):
            time.sleep(0.5)
            read = max(server.figure("ksqlite_query_records_in_total"), default=0.0)
            if time.monotonic() > began + 1800:
                raise SystemExit("bench: ksqlite did not come to the end")
        took_s = time.monotonic() - began
        cpu_s = server.cpu_s()
        memory = 0 if server.process is None else server.process.memory_info().rss
        purchases = table_purchases(environment)
        latency: dict[str, float] = {}
        if latency_s:
            print("latency …", file=sys.stderr, flush=True)
            latency = child("load", kafka=kafka, registry_url=registry_url, rate_per_s=rate_per_s, seconds=latency_s)
    print("bare loops …", file=sys.stderr, flush=True)
    loops = {kind: child(kind, kafka=kafka, registry_url=registry_url, checks=checks) for kind in ("bare", "one")}
    rate = checks / took_s
    return {
        "checks": checks,
        "checks_per_s": round(rate, 1),
        "cpu_s_per_100k": round(cpu_s / checks * 100_000, 3),
        "ready_s": round(ready_s, 3),
        "rss_mb": round(memory / 1e6),
        "bare_checks_per_s": round(loops["bare"]["checks_per_s"], 1),
        "bare_cpu_s_per_100k": round(loops["bare"]["cpu_s_per_100k"], 3),
        "share_of_bare": round(rate / loops["bare"]["checks_per_s"], 3),
        "one_checks_per_s": round(loops["one"]["checks_per_s"], 1),
        "share_of_one": round(rate / loops["one"]["checks_per_s"], 3),
        "sales": ids,
        "purchases": purchases,
        **{f"latency_{name}": round(value, 1) for name, value in latency.items()},
    }


ROWS = (
    ("checks/s (at least 10,000)", "checks_per_s"),
    ("CPU-seconds for 100,000 checks (at most 10)", "cpu_s_per_100k"),
    ("start to ready, s (under 1)", "ready_s"),
    ("memory, MB", "rss_mb"),
    ("bare loop writing the same records, checks/s", "bare_checks_per_s"),
    ("  its CPU-seconds for 100,000 checks", "bare_cpu_s_per_100k"),
    ("  ksqlite's share of its rate (at least 0.40)", "share_of_bare"),
    ("bare loop writing one record a check, checks/s", "one_checks_per_s"),
    ("  ksqlite's share of its rate", "share_of_one"),
    ("different checks sent", "sales"),
    ("purchases in place_totals", "purchases"),
    ("latency at the rate of checks/s", "latency_rate_per_s"),
    ("  p50, ms", "latency_p50_ms"),
    ("  p95, ms (under 250)", "latency_p95_ms"),
    ("  p99, ms", "latency_p99_ms"),
)


def main(arguments: list[str]) -> int:
    """Measure and print; the exit code is 1 when the tables do not count every check once."""
    parser = argparse.ArgumentParser(prog="scripts/bench ksqlite", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one line of JSON last")
    parser.add_argument("--checks", type=int, default=200_000, help="how many checks are preloaded (200000)")
    parser.add_argument("--latency-seconds", type=float, default=20.0, help="how long latency is measured (20; 0: not)")
    parser.add_argument("--rate", type=float, default=300.0, help="checks a second for latency (300)")
    options = parser.parse_args(arguments)
    with own_stack() as environment:
        settings = {**os.environ, **environment, "CHECKS_PARTITIONS": str(PARTITIONS)}
        result = measure(settings, options.checks, options.latency_seconds, options.rate)
    width = max(len(text) for text, _ in ROWS)
    for text, name in ROWS:
        if name in result:
            print(f"{text:<{width}}  {result[name]:>12,}")
    if options.json:
        print(json.dumps(result))
    return 0 if result["sales"] == result["purchases"] else 1
