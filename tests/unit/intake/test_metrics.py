"""Numbers of several processes, added up."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec

from intake.metrics import Metrics, Snapshot, clear


def other(pid: int) -> bytes:
    return msgspec.json.encode(
        Snapshot(
            pid,
            {"intake_checks_accepted": {"single": 5}},
            {"intake_queue_records": 3, "intake_schema_version": 4},
            {"intake_produce_seconds": {"": ([1] + [0] * 14, 0.25)}},
        )
    )


def value(text: bytes, name: str) -> float:
    return float(next(line.split()[-1] for line in text.decode().splitlines() if line.startswith(name)))


def test_processes_are_added_up(tmp_path: Path) -> None:
    """Counters and durations of all are added up, gauges of the living alone; of versions the largest counts."""
    metrics = Metrics(tmp_path)
    metrics.accepted[("single",)] += 2
    metrics.gauges["intake_queue_records"] = 1
    metrics.gauges["intake_schema_version"] = 2
    metrics.produce_seconds.observe(0.3)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (tmp_path / f"{os.getppid()}.json").write_bytes(other(os.getppid()))
    (tmp_path / f"{ended.pid}.json").write_bytes(other(ended.pid))
    (tmp_path / "1.json").write_bytes(b"half a fi")
    text = metrics.exposition()
    assert value(text, 'intake_checks_accepted_total{way="single"}') == 12
    assert value(text, "intake_queue_records ") == 4
    assert value(text, "intake_schema_version ") == 4
    assert value(text, "intake_produce_seconds_count") == 3
    assert value(text, "intake_produce_seconds_sum") == 0.8
    assert value(text, 'intake_produce_seconds_bucket{le="0.0005"}') == 2


def test_earlier_run_is_forgotten(tmp_path: Path) -> None:
    """A new run begins at nothing."""
    metrics = Metrics(tmp_path)
    metrics.accepted[("single",)] += 2
    metrics.write()
    clear(tmp_path)
    assert b"way=" not in Metrics(tmp_path).exposition()


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """Metrics that cannot be written are still shown by the process itself."""
    (tmp_path / "file").write_text("in the way")
    metrics = Metrics(tmp_path / "file")
    metrics.accepted[("single",)] += 2
    assert value(metrics.exposition(), 'intake_checks_accepted_total{way="single"}') == 2
