"""Command line of the dead letters: ``scripts/dlq list|replay``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict

from connectors.apply import current_connectors
from connectors.client import Connect
from connectors.files import SinkConnector
from connectors.replay import Letters, replay
from ksql.console import run, say, say_json, table
from ksql.errors import ToolError
from ksql.record import Applied
from ksql.settings import Settings, load


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Exit codes: 0 done, 1 refused or letters are left, 2 (list --check) there are letters."""
    parser = argparse.ArgumentParser(prog="scripts/dlq", description=__doc__)
    parser.add_argument("command", choices=["list", "replay"])
    parser.add_argument("tables", nargs="*", help="only these tables; without any, all")
    parser.add_argument("--check", action="store_true", help="list: exit 2 when there are open letters")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    arguments = parser.parse_args(argv)

    def command() -> int:
        settings = load()
        applied = Applied.load(settings)
        chosen = _chosen(current_connectors(settings, applied), arguments.tables)
        if arguments.command == "list":
            return _list(settings, chosen, check=arguments.check, as_json=arguments.json)
        return _replay(settings, chosen, applied.tables_version, as_json=arguments.json)

    return run(command, as_json=arguments.json)


def _chosen(connectors: list[SinkConnector], tables: Sequence[str]) -> list[SinkConnector]:
    known = {one.table for one in connectors}
    unknown = [name for name in tables if name not in known]
    if unknown:
        raise ToolError(f"No such table: {', '.join(unknown)}. There are {', '.join(sorted(known))}.")
    return [one for one in connectors if not tables or one.table in tables]


def _list(settings: Settings, connectors: list[SinkConnector], *, check: bool, as_json: bool) -> int:
    letters = Letters(settings)
    found = [letter for one in connectors for letter in letters.open_ones(one)]
    if as_json:
        say_json(
            [
                {
                    "table": letter.table,
                    "offset": letter.offset,
                    "at": letter.at,
                    "topic": letter.topic,
                    "partition": letter.partition,
                    "original_offset": letter.original_offset,
                    "reason": letter.reason,
                }
                for letter in found
            ]
        )
    elif found:
        rows = [
            (one.table, one.offset, one.at, f"{one.topic}/{one.partition}@{one.original_offset}", one.reason[:160])
            for one in found
        ]
        say(table(rows, ("table", "letter", "at", "record", "reason")))
    else:
        say("No dead letters.")
    return 2 if check and found else 0


def _replay(settings: Settings, connectors: list[SinkConnector], version: int, *, as_json: bool) -> int:
    results = []
    with Connect(settings.connect_url, settings.timeout_s) as connect:
        for one in connectors:
            done = replay(settings, one, connect, version)
            results.append(done)
            if not as_json and (done.written or done.outdated or done.kept):
                say(f"{one.table}: {done.written} written, {done.outdated} outdated, {done.kept} still do not fit")
                for reason in done.reasons:
                    say(f"    {reason}")
    if as_json:
        say_json([asdict(done) for done in results])
    elif not any(done.written or done.outdated or done.kept for done in results):
        say("No dead letters.")
    return 1 if any(done.kept for done in results) else 0


if __name__ == "__main__":
    sys.exit(main())
