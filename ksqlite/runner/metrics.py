"""Figures of the run, in Prometheus' text format."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(slots=True)
class QueryFigures:
    """What one query has done since the server started."""

    records_in: int = 0
    records_out: int = 0
    late: int = 0
    errors: int = 0


class Metrics:
    """Counters of all queries and of commits; safe to read from any thread."""

    BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.queries: dict[str, QueryFigures] = {}
        self.commits = 0
        self.commit_s = 0.0
        self._buckets = [0] * (len(self.BUCKETS_S) + 1)
        self.restarts = 0
        self.failures_in_a_row = 0

    def add(self, query_id: str, *, records_in: int, records_out: int, late: int, errors: int) -> None:
        """Adds to a query's counters."""
        with self._lock:
            figures = self.queries.setdefault(query_id, QueryFigures())
            figures.records_in += records_in
            figures.records_out += records_out
            figures.late += late
            figures.errors += errors

    def committed(self, took_s: float) -> None:
        """Counts a commit."""
        with self._lock:
            self.commits += 1
            self.commit_s += took_s
            for index, bound in enumerate(self.BUCKETS_S):
                if took_s <= bound:
                    self._buckets[index] += 1
                    break
            else:
                self._buckets[-1] += 1

    def forget(self, query_id: str) -> None:
        """A query is gone."""
        with self._lock:
            self.queries.pop(query_id, None)

    def text(
        self,
        lags: Iterable[tuple[str, str, int]],
        sizes: Iterable[tuple[str, str, int]],
        states: Iterable[tuple[str, str]],
    ) -> str:
        """The exposition: lags (query, topic, records), sizes (query, store, bytes), states of queries."""
        lines: list[str] = []

        def family(name: str, kind: str, told: str, samples: Iterable[tuple[str, float]]) -> None:
            lines.extend((f"# HELP {name} {told}", f"# TYPE {name} {kind}"))
            lines.extend(
                f"{name}{labels} {value:g}" if isinstance(value, float) else f"{name}{labels} {value}"
                for labels, value in samples
            )

        with self._lock:
            figures = sorted(self.queries.items())
            counters = (
                ("records_in", "Records read by a query."),
                ("records_out", "Records written by a query."),
                ("late", "Records dropped because their window was closed."),
                ("errors", "Records that could not be read or worked out."),
            )
            for attribute, told in counters:
                name = f"ksqlite_query_{attribute}_total"
                family(name, "counter", told, [(f'{{query="{q}"}}', getattr(f, attribute)) for q, f in figures])
            total = 0
            lines.extend(
                (
                    "# HELP ksqlite_commit_seconds How long commits of transactions took.",
                    "# TYPE ksqlite_commit_seconds histogram",
                )
            )
            for bound, count in zip((*self.BUCKETS_S, "+Inf"), self._buckets, strict=True):
                total += count
                lines.append(f'ksqlite_commit_seconds_bucket{{le="{bound}"}} {total}')
            lines.append(f"ksqlite_commit_seconds_sum {self.commit_s:.6f}")
            lines.append(f"ksqlite_commit_seconds_count {self.commits}")
            family("ksqlite_restarts_total", "counter", "Restarts of the graph after an error.", [("", self.restarts)])
            told = "Starts of the graph that failed since it last did well; 0 when all is well."
            family("ksqlite_failures_in_a_row", "gauge", told, [("", self.failures_in_a_row)])
        family(
            "ksqlite_query_lag_records",
            "gauge",
            "Records of a source topic that a query has not read yet.",
            [(f'{{query="{q}",topic="{topic}"}}', lag) for q, topic, lag in lags],
        )
        family(
            "ksqlite_store_bytes",
            "gauge",
            "Size of a state store on disk.",
            [(f'{{query="{q}",store="{store}"}}', size) for q, store, size in sizes],
        )
        family(
            "ksqlite_query_running",
            "gauge",
            "1 when the query runs.",
            [(f'{{query="{q}",state="{state}"}}', int(state == "RUNNING")) for q, state in states],
        )
        return "\n".join(lines) + "\n"
