"""Command line of the pipeline: ``scripts/ksql lint|test|plan|apply|query|print|topics|history``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from ksql.console import complain, run, say, say_json, table
from ksql.settings import load

if TYPE_CHECKING:
    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse has no other name for it


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Exit codes: 0 done, 1 refused or failed, 2 (plan and --check) there is something to do."""
    parser = argparse.ArgumentParser(prog="scripts/ksql", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for add in (_add_lint, _add_test, _add_plan, _add_apply, _add_query, _add_print, _add_topics, _add_history):
        add(commands)
    arguments = parser.parse_args(argv)
    command: Callable[[argparse.Namespace], int] = arguments.run
    return run(lambda: command(arguments), as_json=getattr(arguments, "json", False))


def _add_lint(commands: _Commands) -> None:
    parser = commands.add_parser("lint", help="check the files without a server; exit 1 when something is found")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.set_defaults(run=_lint)


def _lint(arguments: argparse.Namespace) -> int:
    from ksql.lint import lint  # noqa: PLC0415 - each command loads what it needs

    findings = lint(load())
    if arguments.json:
        say_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            say(str(finding))
        if not findings:
            complain("Nothing found.")
    return 1 if findings else 0


def _add_test(commands: _Commands) -> None:
    parser = commands.add_parser("test", help="run the cases of ksql/tests on the in-memory engine")
    parser.add_argument("names", nargs="*", help="only cases whose file or name contains one of these")
    parser.add_argument("--watch", action="store_true", help="run again whenever a file changes")
    parser.add_argument("--update", action="store_true", help="write what came out into the cases, for review")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.set_defaults(run=_test)


def _test(arguments: argparse.Namespace) -> int:
    from ksql.cases import run_cases, watch  # noqa: PLC0415 - each command loads what it needs

    settings = load()
    if arguments.watch:
        return watch(settings, arguments.names)
    return run_cases(settings, arguments.names, update=arguments.update, as_json=arguments.json)


def _add_plan(commands: _Commands) -> None:
    parser = commands.add_parser("plan", help="say what apply would do; exit 2 when there is something to do")
    parser.add_argument("--all", action="store_true", help="show what is unchanged too")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--check", action="store_true", help="the same as without; for symmetry with apply")
    parser.add_argument("--rebuild", action="append", default=[], metavar="NAME", help="as if this one had changed")
    parser.set_defaults(run=_plan)


def _plan(arguments: argparse.Namespace) -> int:
    from ksql.deploy import plan_files  # noqa: PLC0415 - lint and test must not load the clients
    from ksql.show import plan_json, plan_text  # noqa: PLC0415 - the same

    _pipeline, plan = plan_files(load(), arguments.rebuild)
    if arguments.json:
        say_json(plan_json(plan))
    else:
        say(plan_text(plan, with_unchanged=arguments.all))
    return 0 if plan.is_empty else 2


def _add_apply(commands: _Commands) -> None:
    parser = commands.add_parser("apply", help="carry the plan out; safe to repeat after any interruption")
    parser.add_argument("--rebuild", action="append", default=[], metavar="NAME", help="as if this one had changed")
    parser.add_argument("--no-lint", action="store_true", help="apply in spite of what lint finds")
    parser.add_argument("--only-new", action="store_true", help="touch nothing that runs; tell what is left to do")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 2 when there is something to do")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.set_defaults(run=_apply)


def _apply(arguments: argparse.Namespace) -> int:
    from ksql.deploy import apply_files  # noqa: PLC0415 - lint and test must not load the clients
    from ksql.show import plan_json, plan_text  # noqa: PLC0415 - the same

    if arguments.check:
        arguments.all = False
        return _plan(arguments)
    done = apply_files(
        load(), only_new=arguments.only_new, forced=arguments.rebuild, lint_too=not arguments.no_lint, progress=complain
    )
    if arguments.json:
        say_json({"plan": plan_json(done.plan), "left": plan_json(done.left) if done.left else None})
        return 0
    if done.left is not None:
        say("The ksql files ask for more than new objects:")
        say(plan_text(done.left))
        say("Carry it out with: scripts/ksql apply")
    elif done.plan.is_empty:
        say("Nothing to do.")
    else:
        say("Applied.")
    return 0


def _add_query(commands: _Commands) -> None:
    parser = commands.add_parser("query", help="run a SELECT, SHOW, DESCRIBE or EXPLAIN on the server")
    parser.add_argument("statement", help='for example "SELECT * FROM place_totals;"')
    parser.add_argument("--json", action="store_true", help="one JSON document a row")
    parser.add_argument("--seconds", type=float, default=None, help="stop a push query when this long nothing came")
    parser.add_argument("--latest", action="store_true", help="a push query begins with what comes now")
    parser.set_defaults(run=_query)


def _query(arguments: argparse.Namespace) -> int:
    from ksql.query import run_statement  # noqa: PLC0415 - lint and test must not load the clients

    for line in run_statement(
        load(),
        arguments.statement,
        as_json=arguments.json,
        idle_s=arguments.seconds,
        offset_reset="latest" if arguments.latest else "earliest",
    ):
        say(line)
    return 0


def _add_print(commands: _Commands) -> None:
    parser = commands.add_parser("print", help="show a topic's records, decoded, with readable keys and windows")
    parser.add_argument("topic")
    parser.add_argument("--limit", type=int, default=None, help="stop after so many records")
    parser.add_argument("--last", type=int, default=None, help="begin so many records before each partition's end")
    parser.add_argument("--follow", action="store_true", help="go on at the end and wait for more")
    parser.add_argument("--json", action="store_true", help="one JSON document a record")
    parser.set_defaults(run=_print)


def _print(arguments: argparse.Namespace) -> int:
    from ksql.printing import print_topic  # noqa: PLC0415 - lint and test must not load the clients

    for line in print_topic(
        load(),
        arguments.topic,
        limit=arguments.limit,
        last=arguments.last,
        follow=arguments.follow,
        as_json=arguments.json,
    ):
        say(line)
    return 0


def _add_topics(commands: _Commands) -> None:
    parser = commands.add_parser("topics", help="create the declared topics, or keep their settings")
    parser.add_argument("action", choices=["apply", "check"])
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.set_defaults(run=_topics)


def _topics(arguments: argparse.Namespace) -> int:
    from ksql.topics import apply_topics  # noqa: PLC0415 - lint and test must not load the clients

    changes = apply_topics(load(), dry_run=arguments.action == "check")
    if arguments.json:
        say_json([{"name": change.name, "action": change.action} for change in changes])
    else:
        say(table([(change.name, change.action) for change in changes]))
    return 2 if arguments.action == "check" and any(one.action != "unchanged" for one in changes) else 0


def _add_history(commands: _Commands) -> None:
    parser = commands.add_parser("history", help="who applied what, and when")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.set_defaults(run=_history)


def _history(arguments: argparse.Namespace) -> int:
    from ksql.record import history  # noqa: PLC0415 - lint and test must not load the clients

    entries = history(load())
    if arguments.json:
        say_json(entries)
    else:
        for entry in entries:
            names = ", ".join(f"{one.get('action', 'rebuilt')} {one['name']}" for one in entry.get("objects", ()))
            say(f"{entry['at'][:19]}  {entry['by']}  {entry['did']}  {names}".rstrip())
    return 0


if __name__ == "__main__":
    sys.exit(main())
