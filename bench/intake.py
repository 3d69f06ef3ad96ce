"""How fast intake is, side by side with a no-op handler of the same process: same server, same front, same load tool.

Peaks are found in closed loop, latencies at half the peak in open loop. Rounds alternate between the two, and medians
are told, so that whatever else the machine does meets both alike. Every accepted check is counted in Kafka at the end.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from bench.load import Outcome, Plan
from intake.http.openapi import EXAMPLE
from stack import free_ports
from stack.settings import CHECKOUT

BATCH = 500
CHECK = "/api/checks/"
NOOP = "/noop/"
LEAN = "/noop-lean/"
CHECK_TEMPLATE = json.dumps({**EXAMPLE, "transaction_id": "{id}"}, ensure_ascii=False)


@dataclass(frozen=True)
class Served:
    """The running service."""

    port: int
    process: psutil.Process
    kafka: str
    topic: str

    def cpu_s(self) -> float:
        """CPU seconds of all its processes so far."""
        total = 0.0
        for one in (self.process, *self.process.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                times = one.cpu_times()
                total += times.user + times.system
        return total


class Run:
    """One run: sends loads, remembers what each cost."""

    def __init__(self, served: Served, seconds: float, connections: int) -> None:
        self._served = served
        self._seconds = seconds
        self._connections = connections
        self._count = 0

    def load(self, path: str, rate_per_s: float = 0.0, template: str = CHECK_TEMPLATE, connections: int = 0) -> Outcome:
        """Send one load in a process of its own."""
        self._count += 1
        plan = Plan(
            host="127.0.0.1",
            port=self._served.port,
            path=path,
            body_template=template,
            seconds=self._seconds,
            connections=connections or self._connections,
            rate_per_s=rate_per_s,
            id_prefix=f"b{os.getpid():07d}{self._count:04d}",
        )
        done = subprocess.run(
            [sys.executable, "-m", "bench.load"],
            input=json.dumps(asdict(plan)).encode(),
            stdout=subprocess.PIPE,
            cwd=CHECKOUT,
            check=True,
        )
        outcome = Outcome(**json.loads(done.stdout))
        wanted = {"200" if "batch" in path else "201"}
        if set(outcome.statuses) - wanted or outcome.errors:
            raise SystemExit(
                f"bench: {path} answered {outcome.statuses} with {outcome.errors} errors: nothing to measure"
            )
        return outcome

    def cpu_of(self, path: str) -> tuple[Outcome, float]:
        """The same in closed loop, with the service's CPU seconds a request."""
        before_s = self._served.cpu_s()
        began_s = time.monotonic()
        outcome = self.load(path)
        share = self._seconds / max(self._seconds, time.monotonic() - began_s - 0.5)
        return outcome, (self._served.cpu_s() - before_s) * share / max(1, round(outcome.rate_per_s * self._seconds))


def median_of(outcomes: list[Outcome], what: str) -> float:
    """The median of a figure over rounds."""
    return float(round(statistics.median(asdict(one)[what] for one in outcomes), 3))


def measure(served: Served, rounds: int, seconds: float, connections: int) -> dict[str, Any]:
    """All figures."""
    run = Run(served, seconds, connections)
    for path in (NOOP, CHECK):  # both warm
        run.load(path)
    peaks: dict[str, list[Outcome]] = {NOOP: [], LEAN: [], CHECK: []}
    cpu: dict[str, list[float]] = {NOOP: [], LEAN: [], CHECK: []}
    batches: list[float] = []
    batch_template = "[" + ",".join([CHECK_TEMPLATE] * BATCH) + "]"
    for _ in range(rounds):
        for path, outcomes in peaks.items():
            outcome, cpu_s = run.cpu_of(path)
            outcomes.append(outcome)
            cpu[path].append(cpu_s)
        batches.append(run.load("/api/checks/batch/", template=batch_template, connections=4).rate_per_s * BATCH)
    peak = {path: statistics.median(one.rate_per_s for one in outcomes) for path, outcomes in peaks.items()}
    halves: dict[str, list[Outcome]] = {"noop": [], "noop_same_rate": [], "single": []}
    for _ in range(rounds):
        halves["noop"].append(run.load(NOOP, peak[NOOP] / 2))
        halves["single"].append(run.load(CHECK, peak[CHECK] / 2))
        halves["noop_same_rate"].append(run.load(NOOP, peak[CHECK] / 2))

    def half(name: str, what: str) -> float:
        return median_of(halves[name], what)

    def at_peak(path: str, what: str) -> float:
        return median_of(peaks[path], what)

    batch = statistics.median(batches)
    return {
        "ratio_to_noop": round(
            statistics.median(c.rate_per_s / n.rate_per_s for c, n in zip(peaks[CHECK], peaks[NOOP], strict=True)), 3
        ),
        "ratio_to_lean_noop": round(peak[CHECK] / peak[LEAN], 3),
        "noop_per_s": round(peak[NOOP]),
        "lean_noop_per_s": round(peak[LEAN]),
        "single_per_s": round(peak[CHECK]),
        "batch_checks_per_s": round(batch),
        "batch_to_single": round(batch / peak[CHECK], 2),
        "p50_ms": at_peak(CHECK, "p50_ms"),
        "p99_ms": at_peak(CHECK, "p99_ms"),
        "noop_p50_ms": at_peak(NOOP, "p50_ms"),
        "noop_p99_ms": at_peak(NOOP, "p99_ms"),
        "half_peak_p50_ms": half("single", "p50_ms"),
        "half_peak_p99_ms": half("single", "p99_ms"),
        "half_peak_noop_p99_ms": half("noop", "p99_ms"),
        "half_peak_noop_same_rate_p99_ms": half("noop_same_rate", "p99_ms"),
        "p99_to_noop": round(half("single", "p99_ms") / half("noop", "p99_ms"), 2),
        "cpu_us_per_check": round(statistics.median(cpu[CHECK]) * 1e6, 1),
        "cpu_us_per_noop": round(statistics.median(cpu[NOOP]) * 1e6, 1),
        "rounds": rounds,
        "seconds": seconds,
        "connections": connections,
    }


def verify(served: Served) -> dict[str, int]:
    """Checks that were acknowledged, and records that the topic has: they must be as many."""
    with urllib.request.urlopen(f"http://127.0.0.1:{served.port}/metrics") as answer:
        text = answer.read().decode()
    accepted = sum(
        int(float(line.rpartition(" ")[2]))
        for line in text.splitlines()
        if line.startswith("intake_checks_accepted_total")
    )
    consumer = Consumer({"bootstrap.servers": served.kafka, "group.id": "bench"})
    try:
        topic = AdminClient({"bootstrap.servers": served.kafka}).list_topics(served.topic, 10).topics[served.topic]
        marks = [
            consumer.get_watermark_offsets(TopicPartition(served.topic, number), 10) for number in topic.partitions
        ]
    finally:
        consumer.close()
    return {"acknowledged": accepted, "in_kafka": sum(high - low for low, high in marks)}


@contextlib.contextmanager
def own_stack() -> Iterator[dict[str, str]]:
    """A broker and a registry for this run alone; their addresses as environment variables."""
    with tempfile.TemporaryDirectory(prefix="checks-bench-") as folder:
        state = Path(folder) / "state"
        environment = {
            **os.environ,
            **free_ports.choose(),
            "CHECKS_STATE": str(state),
            "CHECKS_CACHE": os.environ.get("CHECKS_CACHE", str(CHECKOUT / "var" / "cache")),
            "CHECKS_ONLY": "kafka,registry,topics,schemas",
        }
        subprocess.run(
            [sys.executable, "-m", "stack.run", "--detach", "--state", str(state)],
            env=environment,
            cwd=CHECKOUT,
            check=True,
            stdout=sys.stderr,
        )
        try:
            yield {
                **environment,
                "CHECKS_KAFKA": f"127.0.0.1:{environment['CHECKS_KAFKA_PORT']}",
                "CHECKS_REGISTRY_URL": f"http://127.0.0.1:{environment['CHECKS_REGISTRY_PORT']}/apis/ccompat/v7",
            }
        finally:
            subprocess.run(
                [sys.executable, "-m", "stack.stop", "--state", str(state)],
                env=environment,
                cwd=CHECKOUT,
                check=False,
                stdout=sys.stderr,
            )


@contextlib.contextmanager
def served_intake(environment: dict[str, str]) -> Iterator[Served]:
    """Intake with the no-op handlers beside its own, until the end of the block."""
    port = int(environment["CHECKS_INTAKE_PORT"])
    log = tempfile.TemporaryFile()  # noqa: SIM115 - outlives this statement
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.intake_app"],
        env={**environment, "CHECKS_LOG_LEVEL": "warning"},
        cwd=CHECKOUT,
        stdout=log,
        stderr=log,
    )
    try:
        deadline_s = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError, urllib.error.URLError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready")
                break
            if time.monotonic() > deadline_s or process.poll() is not None:
                log.seek(0)
                raise SystemExit(f"bench: intake did not become ready:\n{log.read().decode()[-4000:]}")
            time.sleep(0.1)
        topic = environment.get("CHECKS_CHECKS_TOPIC", "checks")
        yield Served(port, psutil.Process(process.pid), environment["CHECKS_KAFKA"], topic)
    finally:
        process.terminate()
        process.wait(60)
        log.close()


ROWS = (
    ("no-op handler, requests/s", "noop_per_s"),
    ("no-op with intake's reader, requests/s", "lean_noop_per_s"),
    ("single checks/s, each acknowledged by Kafka", "single_per_s"),
    ("  share of the no-op (at least 0.60)", "ratio_to_noop"),
    ("  share of the leaner no-op", "ratio_to_lean_noop"),
    (f"checks/s in batches of {BATCH}", "batch_checks_per_s"),
    ("  times the single rate (at least 6)", "batch_to_single"),
    ("p50 at the peak, ms", "p50_ms"),
    ("p99 at the peak, ms", "p99_ms"),
    ("p50 at half the peak, ms", "half_peak_p50_ms"),
    ("p99 at half the peak, ms", "half_peak_p99_ms"),
    ("  no-op's at half of its peak, ms", "half_peak_noop_p99_ms"),
    ("  no-op's at the same rate, ms", "half_peak_noop_same_rate_p99_ms"),
    ("  times the no-op's (at most 4)", "p99_to_noop"),
    ("CPU a check, µs", "cpu_us_per_check"),
    ("CPU a no-op, µs", "cpu_us_per_noop"),
    ("checks acknowledged", "acknowledged"),
    ("checks in Kafka", "in_kafka"),
)


def main(arguments: list[str]) -> int:
    """Measure and print; the exit code is 1 when Kafka has not exactly what was acknowledged."""
    parser = argparse.ArgumentParser(prog="scripts/bench intake", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one line of JSON last")
    parser.add_argument("--rounds", type=int, default=5, help="how often each load is sent (5)")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each load lasts (3)")
    parser.add_argument(
        "--connections",
        type=int,
        default=256,
        help="connections of the load tool (256: with 64 neither reaches its peak)",
    )
    parser.add_argument(
        "--running", action="store_true", help="use the Kafka and registry of CHECKS_KAFKA, CHECKS_REGISTRY_URL"
    )
    options = parser.parse_args(arguments)
    with contextlib.ExitStack() as stack:
        environment = dict(os.environ) if options.running else stack.enter_context(own_stack())
        served = stack.enter_context(served_intake(environment))
        result = measure(served, options.rounds, options.seconds, options.connections)
        result |= verify(served)
    width = max(len(text) for text, _ in ROWS)
    for text, name in ROWS:
        print(f"{text:<{width}}  {result[name]:>12,}")
    if options.json:
        print(json.dumps(result))
    return 0 if result["acknowledged"] == result["in_kafka"] else 1
