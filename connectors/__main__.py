"""Command line of the sinks: ``scripts/connectors plan|apply|status|restart``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict

from connectors.apply import ConnectorChange, apply_connectors, current_connectors, plan_connectors
from connectors.client import Connect, ConnectorStatus
from ksql.console import run, say, say_json, table
from ksql.errors import ToolError
from ksql.lag import Positions
from ksql.record import Applied
from ksql.settings import Settings, load


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Exit codes: 0 done and well, 1 refused or something fails, 2 (plan) there is something to do."""
    parser = argparse.ArgumentParser(prog="scripts/connectors", description=__doc__)
    parser.add_argument("command", choices=["plan", "apply", "status", "restart"])
    parser.add_argument("names", nargs="*", help="restart: connectors or tables; without any, those that failed")
    parser.add_argument("--check", action="store_true", help="apply: change nothing, exit 2 when there is work")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    arguments = parser.parse_args(argv)

    def command() -> int:
        settings = load()
        if arguments.command == "plan" or (arguments.command == "apply" and arguments.check):
            return _plan(settings, as_json=arguments.json)
        if arguments.command == "apply":
            return _tell(apply_connectors(settings), as_json=arguments.json)
        if arguments.command == "restart":
            return _restart(settings, arguments.names, as_json=arguments.json)
        return _status(settings, as_json=arguments.json)

    return run(command, as_json=arguments.json)


def _plan(settings: Settings, *, as_json: bool) -> int:
    applied = Applied.load(settings)
    with Connect(settings.connect_url, settings.timeout_s) as connect:
        changes = plan_connectors(current_connectors(settings, applied), connect, applied.tables_version)
    _tell(changes, as_json=as_json)
    return 0 if all(change.action == "unchanged" for change in changes) else 2


def _tell(changes: list[ConnectorChange], *, as_json: bool) -> int:
    if as_json:
        say_json([asdict(change) for change in changes])
        return 0
    for change in changes:
        say(f"{change.name:24} {change.action}")
        for difference in change.differences if change.action == "changed" else ():
            say(f"    {difference}")
    return 0


def _restart(settings: Settings, names: Sequence[str], *, as_json: bool) -> int:
    wanted = current_connectors(settings, Applied.load(settings))
    by_name = {key: one.name for one in wanted for key in (one.name, one.table)}
    unknown = [name for name in names if name not in by_name]
    if unknown:
        raise ToolError(f"No such connector: {', '.join(unknown)}. There are {', '.join(sorted(set(by_name)))}.")
    with Connect(settings.connect_url, settings.timeout_s) as connect:
        chosen = [by_name[name] for name in names]
        if not names:
            chosen = [one.name for one in wanted if (status := connect.status(one.name)) and status.failure]
        for name in chosen:
            connect.restart(name, only_failed=not names)
        connect.wait_running(chosen, settings.timeout_s)
    if as_json:
        say_json({"restarted": chosen})
    else:
        say(f"Restarted: {', '.join(chosen)}." if chosen else "None has failed: nothing to restart.")
    return 0


def _status(settings: Settings, *, as_json: bool) -> int:
    wanted = current_connectors(settings, Applied.load(settings))
    positions = Positions(settings.kafka)
    ends = positions.ends({one.topic for one in wanted})
    rows: list[dict[str, object]] = []
    with Connect(settings.connect_url, settings.timeout_s) as connect:
        for one in wanted:
            status = connect.status(one.name)
            lag = positions.lag(
                positions.committed(one.group), {key: end for key, end in ends.items() if key[0] == one.topic}
            )
            rows.append(
                {
                    "name": one.name,
                    "table": one.table,
                    "topic": one.topic,
                    "state": _state(status),
                    "lag": lag.records,
                    "error": status.failure if status else "Connect does not know it: run scripts/connectors apply",
                }
            )
    if as_json:
        say_json(rows)
    else:
        header = ("name", "topic", "state", "lag", "error")
        say(table([[row[name] if row[name] is not None else "" for name in header] for row in rows], header))
    return 0 if all(row["state"] == "RUNNING" for row in rows) else 1


def _state(status: ConnectorStatus | None) -> str:
    if status is None:
        return "MISSING"
    if status.is_running:
        return "RUNNING"
    return next((task.state for task in status.tasks if task.state != "RUNNING"), status.state)


if __name__ == "__main__":
    sys.exit(main())
