"""``ksqlite conformance DIR``: runs a folder of ksqlDB's own cases and counts passed, refused and wrong."""

from __future__ import annotations

import argparse
import gc
import json
import sys
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ksqlite.testing import cases
from ksqlite.testing.run import Outcome, run_case

_STATES = ("passed", "refused", "wrong")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("directory", type=Path, help="a folder of cases, or one file")
    parser.add_argument("--json", action="store_true", help="nothing but one line of JSON")
    parser.add_argument("--list", action="store_true", help="also list every case that was refused or wrong, and why")
    parser.add_argument("--file", help="only files whose path contains this")
    parser.add_argument("--case", help="only cases whose name contains this")


def main(arguments: Sequence[str] | argparse.Namespace | None = None) -> int:
    """Runs the command; 0 when nothing is wrong."""
    if not isinstance(arguments, argparse.Namespace):
        parser = argparse.ArgumentParser(prog="ksqlite conformance", description=__doc__)
        add_arguments(parser)
        arguments = parser.parse_args(arguments)
    totals: Counter[str] = Counter()
    by_file: dict[str, Counter[str]] = {}
    gc.freeze()
    for case in cases.read(arguments.directory):
        if arguments.file and arguments.file not in case.file:
            continue
        if arguments.case and arguments.case not in case.name:
            continue
        outcome = guarded(case)
        totals[outcome.status] += 1
        by_file.setdefault(case.file, Counter())[outcome.status] += 1
        if arguments.list and outcome.status != "passed" and not arguments.json:
            print(f"{outcome.status}: {case.file}: {case.name}")
            print("    " + outcome.detail.replace("\n", "\n    "))
    if not arguments.json:
        _print_files(by_file)
    print(json.dumps({state: totals[state] for state in _STATES}))
    return 1 if totals["wrong"] else 0


def guarded(case: cases.Case) -> Outcome:
    """Runs a case; a failure of the runner itself is a wrong case, not the end of the run."""
    try:
        return run_case(case)
    except Exception:  # noqa: BLE001 - see above
        return Outcome("wrong", traceback.format_exc(limit=-4))


def _print_files(by_file: dict[str, Counter[str]]) -> None:
    width = max((len(name) for name in by_file), default=0)
    print(f"{'':{width}}  " + "  ".join(f"{state:>7}" for state in _STATES))
    for name, counts in by_file.items():
        print(f"{name:{width}}  " + "  ".join(f"{counts[state] or '':>7}" for state in _STATES))


if __name__ == "__main__":
    sys.exit(main())
