"""`scripts/status`: how every part is, what lags, what went wrong last. Exit status 1 when anything is not right."""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import psutil
from confluent_kafka import KafkaException
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ksql.errors import ToolError
from ksql.lag import Positions
from stack import control, process
from stack.parts.kafka import admin
from stack.settings import Settings, load
from stack.view import COLOURS

STALE_S = 10.0
"""A status.json older than this says that the supervisor hangs or has died."""
ANSWER_LIMIT_S = 5.0
OWN_GROUPS = {"checks-connect"}
"""Groups that share work among each other and read no topic."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 when everything is right."""
    parser = argparse.ArgumentParser(prog="scripts/status", description=__doc__)
    parser.add_argument(
        "--state", type=control.state_argument, metavar="DIR", help="the stack's folder (default: var/)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document instead of a table")
    options = parser.parse_args(arguments)
    report = collect(load(state=options.state))
    if options.json:
        print(json.dumps(report))
    else:
        show(report)
    return 0 if report["healthy"] else 1


def collect(settings: Settings) -> dict[str, Any]:
    """Everything that `scripts/status` tells, as one document."""
    supervisor = control.supervisor_pid(settings)
    status = control.read_status(settings) or {"as_of": 0.0, "conditions": [], "healthy": False}
    problems: list[str] = []
    conditions = [_condition(settings, dict(one), supervised=supervisor is not None) for one in status["conditions"]]
    if supervisor is None:
        running = [one["name"] for one in conditions if one["up"]]
        problems.append(
            f"the supervisor is not running, these parts still are: {', '.join(running)} (scripts/run picks them up)"
            if running
            else f"nothing runs in {settings.state} (scripts/run starts it)"
        )
    elif time.time() - status["as_of"] > STALE_S:
        problems.append(f"the supervisor (pid {supervisor}) has told nothing for {time.time() - status['as_of']:.0f} s")
    wanted = {"part": "ready", "step": "done"}
    problems += [_problem(one) for one in conditions if supervisor and one["state"] != wanted[one["kind"]]]
    up = {one["name"] for one in conditions if one["state"] == "ready"}
    connectors, queries = _connectors(settings, up), _queries(settings, up)
    problems += [f"connector {c['name']}: {c['state']}: {c['error']}" for c in connectors if c["state"] != "RUNNING"]
    problems += [f"query {q['id']}: {q['state']}" for q in queries if q["state"] not in {"RUNNING", "PAUSED"}]
    return {
        "healthy": not problems and bool(conditions),
        "state": str(settings.state),
        "supervisor_pid": supervisor,
        "problems": problems,
        "parts": [one for one in conditions if one["kind"] == "part"],
        "deployment": [one for one in conditions if one["kind"] == "step"],
        "lag": _lag(settings, up),
        "connectors": connectors,
        "queries": queries,
    }


def _condition(settings: Settings, one: dict[str, Any], *, supervised: bool) -> dict[str, Any]:
    """One part or step with what the kernel knows of its process: memory in bytes, uptime in seconds."""
    one |= {"up": False, "memory_bytes": None, "uptime_s": None}
    if one["kind"] == "step":
        return one
    pid_file = settings.run_dir / f"{one['name']}.pid"
    running = process.read_pid_file(pid_file)
    if running is None:
        return one | {"pid": None, "state": one["state"] if supervised else "stopped"}
    one |= {"up": True, "pid": running.pid, "uptime_s": round(time.time() - running.started_at, 1)}
    one["memory_bytes"] = sum(_memory_bytes(p) for p in _family(running.pid))
    return one if supervised else one | {"state": "unsupervised"}


def _family(pid: int) -> list[psutil.Process]:
    try:
        leader = psutil.Process(pid)
        return [leader, *leader.children(recursive=True)]
    except psutil.Error:
        return []


def _memory_bytes(one: psutil.Process) -> int:
    """Memory of this process alone, with its share of what several have in common where the system tells."""
    try:
        info = one.memory_full_info()
        return int(getattr(info, "pss", 0) or info.rss)
    except psutil.Error:
        return 0


def _problem(one: dict[str, Any]) -> str:
    reason = one["last_error"] if one["state"] in {"failed", "restarting"} else one["detail"] or one["last_error"]
    return f"{one['name']} is {one['state']}{': ' + reason if reason else ''} (log: {Path(one['log'])})"


def _connectors(settings: Settings, up: set[str]) -> list[dict[str, str]]:
    """Every connector, with the worst of its own and its tasks' states."""
    if "connect" not in up:
        return []
    try:
        url = f"{settings.connect_url}/connectors?expand=status"
        answer = httpx.get(url, timeout=ANSWER_LIMIT_S, trust_env=False).json()
    except (httpx.HTTPError, ValueError) as error:
        return [{"name": "(all)", "state": "UNKNOWN", "error": str(error)}]
    found = []
    for name, about in sorted(answer.items()):
        states = [about["status"]["connector"], *about["status"]["tasks"]]
        worst = next((one for one in states if one["state"] != "RUNNING"), states[0])
        trace = str(worst.get("trace", ""))
        cause = [line for line in trace.splitlines() if line.startswith("Caused by")] or trace.splitlines()
        found.append({"name": name, "state": worst["state"], "error": cause[-1][:300] if cause else ""})
    return found


def _queries(settings: Settings, up: set[str]) -> list[dict[str, str]]:
    """Every persistent query, with its state."""
    if "ksqlite" not in up:
        return []
    try:
        answer = httpx.post(
            f"{settings.ksql_url}/ksql", json={"ksql": "SHOW QUERIES;"}, timeout=ANSWER_LIMIT_S, trust_env=False
        ).json()
        return [{"id": query["id"], "state": query.get("state", "RUNNING")} for query in answer[0]["queries"]]
    except (httpx.HTTPError, ValueError, LookupError, TypeError) as error:
        return [{"id": "(all)", "state": f"unknown ({error!r})"}]


def _lag(settings: Settings, up: set[str]) -> dict[str, int]:
    """Records that each consumer group has still to read, over all its partitions; transactions' markers are none."""
    if "kafka" not in up:
        return {}
    try:
        groups = admin(settings.kafka).list_consumer_groups(request_timeout=ANSWER_LIMIT_S).result().valid
        names = [
            group.group_id for group in groups if group.group_id not in OWN_GROUPS and "probe" not in group.group_id
        ]
        positions, lags = Positions(settings.kafka), {}
        for name in names:
            committed = positions.committed(name)
            ends = positions.ends({topic for topic, _partition in committed})
            lag = positions.lag(committed, {key: end for key, end in ends.items() if key in committed})
            lags[name] = 0 if lag.done else lag.records
    except (KafkaException, ToolError):
        return {}
    return lags


def show(report: dict[str, Any]) -> None:
    """The report for people."""
    console = Console(highlight=False, soft_wrap=True)
    grid = Table(box=None, pad_edge=False)
    for title in ("part", "state", "pid", "memory", "up", "restarts", "last error"):
        grid.add_column(title, justify="right" if title in {"pid", "memory", "up", "restarts"} else "left")
    for one in [*report["parts"], *report["deployment"]]:
        grid.add_row(
            one["name"],
            Text(one["state"], style=COLOURS.get(one["state"], "red")),
            str(one["pid"] or ""),
            f"{one['memory_bytes'] / 1e6:.0f} MB" if one["memory_bytes"] else "",
            _duration(one["uptime_s"]),
            str(one["restarts"] or ""),
            Text(one["last_error"], overflow="ellipsis", no_wrap=True),
        )
    console.print(grid)
    total = sum(one["memory_bytes"] or 0 for one in report["parts"])
    if total:
        console.print(f"memory of all parts: {total / 1e6:.0f} MB")
    for name, records in sorted(report["lag"].items()):
        console.print(f"lag of {name}: {records} records")
    for problem in report["problems"]:
        console.print(Text(f"not right: {problem}", style="red"))
    if report["healthy"]:
        console.print(Text("everything is right", style="green"))


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


if __name__ == "__main__":
    sys.exit(main())
