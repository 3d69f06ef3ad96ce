"""Counts what intake does, in plain integers, and shows it to Prometheus, added up over all processes.

A counter of the Prometheus library costs a microsecond or two a step, and a request takes several. Here a step is an
addition; every process writes its numbers to a file once a second, and whichever is asked adds all files up.
"""

from __future__ import annotations

import contextlib
import os
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

Labels = tuple[str, ...]

BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

COUNTERS: Mapping[str, tuple[str, Labels]] = {
    "intake_requests": ("Requests answered.", ("route", "status")),
    "intake_checks_accepted": ("Checks that Kafka has.", ("way",)),
    "intake_checks_rejected": ("Checks refused, by the first place that was wrong.", ("way", "reason")),
    "intake_checks_unavailable": ("Checks answered 503: Kafka or the registry was away.", ("way",)),
    "intake_rejections_unwritten": ("Refused checks that topic rejected_checks did not take.", ()),
    "intake_journal_lines": ("Journal lines on disk.", ()),
    "intake_journal_lines_dropped": ("Journal lines given up: an alarm.", ()),
}
GAUGES: Mapping[str, str] = {
    "intake_queue_records": "Records that Kafka has not acknowledged yet.",
    "intake_kafka_down": "Processes for which Kafka does not answer: an alarm.",
    "intake_journal_failing": "Processes whose journal cannot be written: an alarm.",
    "intake_schema_problems": "Processes whose newest schema cannot be had or used: an alarm.",
    "intake_requests_under_way": "Requests being handled.",
}
LARGEST_GAUGES: Mapping[str, str] = {"intake_schema_version": "Version of the schema in force."}
HISTOGRAMS: Mapping[str, tuple[str, Labels]] = {
    "intake_request_seconds": ("From a request's head to the end of its answer.", ("route",)),
    "intake_produce_seconds": ("From a record's hand-over to Kafka's acknowledgement.", ()),
}


class Histogram:
    """Durations in seconds."""

    __slots__ = ("counts", "total_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_S) + 1)
        self.total_s = 0.0

    def observe(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(BOUNDS_S, seconds)] += 1
        self.total_s += seconds


class Snapshot(msgspec.Struct):
    """One process's numbers, as they are written to its file. Labels are joined by newlines."""

    pid: int
    counters: dict[str, dict[str, int]] = {}
    gauges: dict[str, float] = {}
    histograms: dict[str, dict[str, tuple[list[int], float]]] = {}


class Metrics:
    """The numbers of one process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.counters: dict[str, defaultdict[Labels, int]] = {name: defaultdict(int) for name in COUNTERS}
        self.gauges: dict[str, float] = {}
        self.under_way = 0
        self.histograms: dict[str, defaultdict[Labels, Histogram]] = {
            name: defaultdict(Histogram) for name in HISTOGRAMS
        }
        self.requests = self.counters["intake_requests"]
        self.accepted = self.counters["intake_checks_accepted"]
        self.rejected = self.counters["intake_checks_rejected"]
        self.unavailable = self.counters["intake_checks_unavailable"]
        self.request_seconds = self.histograms["intake_request_seconds"]
        self.produce_seconds = self.histograms["intake_produce_seconds"][()]

    def snapshot(self) -> Snapshot:
        """The numbers now."""
        return Snapshot(
            os.getpid(),
            {
                name: {"\n".join(labels): count for labels, count in values.items()}
                for name, values in self.counters.items()
            },
            dict(self.gauges),
            {
                name: {"\n".join(labels): (list(one.counts), one.total_s) for labels, one in values.items()}
                for name, values in self.histograms.items()
            },
        )

    def write(self) -> None:
        """Write the numbers for the other processes; a full disk only makes them old."""
        path = self._folder / f"{os.getpid()}.json"
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(".part")
            partial.write_bytes(msgspec.json.encode(self.snapshot()))
            partial.replace(path)

    def write_last(self) -> None:
        """Write what goes on counting when this process is gone."""
        self.gauges.clear()
        self.write()

    def exposition(self) -> bytes:
        """All processes' numbers in Prometheus's text format."""
        self.write()
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Sum([self.snapshot(), *read_others(self._folder)]))
        return generate_latest(registry)


def read_others(folder: Path) -> Iterable[Snapshot]:
    """The numbers of the other processes, those that have ended included, whose gauges count no more."""
    for path in sorted(folder.glob("*.json")):
        if path.stem == str(os.getpid()):
            continue
        try:
            found = msgspec.json.decode(path.read_bytes(), type=Snapshot)
        except (OSError, msgspec.MsgspecError):
            continue
        try:
            os.kill(found.pid, 0)
        except ProcessLookupError:
            found.gauges = {}
        except PermissionError:
            pass
        yield found


def clear(folder: Path) -> None:
    """Forget the processes of an earlier run. Called before any of this run starts."""
    with contextlib.suppress(OSError):
        for path in (*folder.glob("*.json"), *folder.glob("*.part")):
            path.unlink(missing_ok=True)


class _Sum:
    """Adds snapshots up, as a collector of the Prometheus library."""

    def __init__(self, snapshots: list[Snapshot]) -> None:
        self._snapshots = snapshots

    def collect(self) -> Iterable[Metric]:
        for name, (text, labels) in COUNTERS.items():
            counter = CounterMetricFamily(name, text, labels=labels)
            sums: defaultdict[str, int] = defaultdict(int)
            for snapshot in self._snapshots:
                for key, count in snapshot.counters.get(name, {}).items():
                    sums[key] += count
            if not labels:
                sums.setdefault("", 0)
            for key, count in sums.items():
                counter.add_metric(key.split("\n") if labels else [], count)
            yield counter
        for names, combine in ((GAUGES, sum), (LARGEST_GAUGES, max)):
            for name, text in names.items():
                yield GaugeMetricFamily(name, text, value=combine([s.gauges.get(name, 0) for s in self._snapshots]))
        for name, (text, labels) in HISTOGRAMS.items():
            yield self._histogram(name, text, labels)

    def _histogram(self, name: str, text: str, labels: Labels) -> Metric:
        family = HistogramMetricFamily(name, text, labels=labels)
        sums: dict[str, tuple[list[int], float]] = {}
        for snapshot in self._snapshots:
            for key, (counts, total_s) in snapshot.histograms.get(name, {}).items():
                before = sums.get(key, ([0] * len(counts), 0.0))
                sums[key] = ([a + b for a, b in zip(before[0], counts, strict=True)], before[1] + total_s)
        for key, (counts, total_s) in sums.items():
            running = 0
            buckets = []
            for bound, count in zip((*map(str, BOUNDS_S), "+Inf"), counts, strict=True):
                running += count
                buckets.append((bound, float(running)))
            family.add_metric(key.split("\n") if labels else [], buckets, total_s)
        return family


def now_s() -> float:
    """The clock that durations are measured with."""
    return time.perf_counter()
