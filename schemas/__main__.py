"""Command line of the schemas: ``scripts/schemas check|apply``."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict

from ksql.console import run, say, say_json, table
from ksql.settings import load
from schemas.apply import SubjectChange, apply_schemas, check_schemas
from schemas.registry import Registry


def main(argv: list[str] | None = None) -> int:
    """Run one command; 0 done, 1 refused, and with --check 2 when there is something to do."""
    parser = argparse.ArgumentParser(prog="scripts/schemas", description=__doc__)
    parser.add_argument("command", choices=["check", "apply"], help="check: say what apply would do, change nothing")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 2 when there is something to do")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of a table")
    arguments = parser.parse_args(argv)

    def command() -> int:
        changes = _check() if arguments.command == "check" or arguments.check else apply_schemas(load())
        if arguments.json:
            say_json([asdict(change) for change in changes])
        else:
            say(table([(change.subject, change.action, change.file) for change in changes]))
        return 2 if arguments.check and any(change.action != "unchanged" for change in changes) else 0

    return run(command, as_json=arguments.json)


def _check() -> list[SubjectChange]:
    from schemas.readers import check_readers  # noqa: PLC0415 - apply must not wait for the ksql analyser

    settings = load()
    check_readers(settings)
    with Registry(settings.registry_url) as registry:
        return check_schemas(settings, registry)


if __name__ == "__main__":
    sys.exit(main())
