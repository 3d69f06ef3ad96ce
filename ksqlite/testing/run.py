"""Runs one case: statements, then inputs, then what is asked; and holds the results against what is expected."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ksqlite import ast
from ksqlite.errors import UnsupportedError
from ksqlite.testing import checks, compare
from ksqlite.testing.cases import Case
from ksqlite.testing.world import World

# Expectations of ksqlDB before 0.10, where WITH (KEY='…') named a column that had to equal the key. The cases have
# lost the property since, and the server that they are for no longer refuses; its own runner does not notice.
_OBSOLETE = re.compile(r"Expected \S+ and \S+ to match but got")


@dataclass(slots=True)
class Outcome:
    """How a case went: passed, refused (by a message that names what is not supported) or wrong."""

    status: str
    detail: str = ""


def run_case(case: Case, before: str = "") -> Outcome:
    """Runs a case in each of its formats. ``before``: statements that go before its own.

    It has passed only if it passed in every format; it is refused if it is so in one format and wrong in none.
    """
    refused: Outcome | None = None
    for format_name in case.formats:
        outcome = _run_format(case.expanded(format_name), before)
        if outcome.status == "wrong" and case.body.get("enabled") is False:
            outcome = Outcome("refused", "ksqlDB itself leaves this case out (enabled: false)")
        if outcome.status == "wrong":
            label = f"[{format_name}] " if format_name else ""
            return Outcome("wrong", label + outcome.detail)
        if outcome.status == "refused":
            refused = refused or outcome
    return refused or Outcome("passed")


def outputs_of(case: Case, topics: Iterable[str], before: str = "") -> list[dict[str, Any]]:
    """What the case's statements write into these topics, in the form of its ``outputs``.

    Raises KsqlError for a statement that is refused.
    """
    world = _world(case.expanded(case.formats[0]), before)
    return [record for topic in topics for record in _written(world, topic)]


def _written(world: World, topic: str) -> Iterator[dict[str, Any]]:
    """The records of a topic as a case would expect them."""
    codecs = world.codecs(topic)
    there = world.topics.topics.get(topic)
    for record in there.records if there is not None else ():
        row = world.decoded(codecs, record)
        window = row.get("window")
        if window is not None:
            row["window"] = {**window, "type": "session" if codecs.window is ast.WindowType.SESSION else "time"}
        yield {"topic": topic, **{name: part for name, part in row.items() if name != "headers" or part}}


def _world(body: Mapping[str, Any], before: str) -> World:
    world = World(body, [before] if before else [])
    world.declare_topics()
    world.run_statements()
    world.run_inputs()
    return world


def _run_format(body: Mapping[str, Any], before: str) -> Outcome:
    expected = body.get("expectedException") or body.get("expectedError")
    try:
        world = _world(body, before)
        checks.check_outputs(world)
        checks.check_answers(world)
        checks.check_post(world)
    except checks.Mismatch as finding:
        return Outcome("wrong", str(finding))
    except Exception as problem:  # noqa: BLE001 - any failure is a finding
        return _judge(problem, expected)
    if expected is not None:
        message = str(expected.get("message"))
        if _OBSOLETE.search(message):
            return Outcome("refused", "The KEY property of WITH (…), which tied a column to the key, is not supported")
        return Outcome("wrong", f"not refused, but should be: {message}")
    return Outcome("passed")


def _judge(problem: Exception, expected: Mapping[str, Any] | None) -> Outcome:
    """What a failure means: the expected refusal, something that is not supported, or a wrong case."""
    if expected is not None and compare.refused_for(expected, problem):
        return Outcome("passed")
    unsupported = _cause(problem, UnsupportedError)
    if unsupported is not None:
        return Outcome("refused", str(unsupported))
    if expected is None:
        return Outcome("wrong", f"{type(problem).__name__}: {problem}")
    wanted = expected.get("causeMessage") or expected.get("message")
    return Outcome("wrong", f"refused for another reason:\n- {wanted}\n+ {problem}")


def _cause(problem: BaseException | None, kind: type[BaseException]) -> BaseException | None:
    while problem is not None:
        if isinstance(problem, kind):
            return problem
        problem = problem.__cause__
    return None
