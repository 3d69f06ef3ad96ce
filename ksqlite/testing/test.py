"""``ksqlite test PATH…``: runs test cases against .sql files, in memory.

A case is in ksqlDB's own form (a JSON file with a list ``tests``: name, statements, inputs, outputs, …). Those of the
statements in the .sql files that its topics and statements need go before its own, so that it may have none.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ksqlite.errors import KsqlError
from ksqlite.testing import cases
from ksqlite.testing.conformance import guarded
from ksqlite.testing.pipeline import Pipeline, find_files, find_schemas


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("paths", nargs="+", type=Path, help="files or folders of cases")
    parser.add_argument(
        "--sql",
        action="append",
        type=Path,
        default=[],
        metavar="PATH",
        help=".sql files, or folders of them (default: beside the folder of cases)",
    )
    parser.add_argument(
        "--schemas", type=Path, help="a folder with subjects.json (default: schemas beside the .sql files' folder)"
    )
    parser.add_argument("--case", help="only cases whose name contains this")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; 0 when every case passed."""
    parser = argparse.ArgumentParser(prog="ksqlite test", description=__doc__)
    add_arguments(parser)
    given = parser.parse_args(arguments)
    started = time.perf_counter()
    counts = {"passed": 0, "failed": 0}
    for path in given.paths:
        if not path.exists():
            print(f"{path}: there is no such file or folder", file=sys.stderr)
            return 2
        files = find_files(path, given.sql)
        try:
            pipeline = Pipeline(files, find_schemas(files, given.schemas))
        except (KsqlError, OSError, ValueError) as problem:
            print(f"{path}: {problem}", file=sys.stderr)
            return 2
        for case in cases.read(path):
            if given.case and given.case not in case.name:
                continue
            outcome = guarded(pipeline.complete(case))
            passed = outcome.status == "passed"
            counts["passed" if passed else "failed"] += 1
            print(f"{'ok  ' if passed else 'FAIL'}  {case.file}: {case.name}")
            if not passed:
                print("      " + outcome.detail.replace("\n", "\n      "))
    took_s = time.perf_counter() - started
    print(f"{counts['passed']} passed, {counts['failed']} failed in {took_s:.2f} s")
    if not sum(counts.values()):
        print("no case was found", file=sys.stderr)
        return 2
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
