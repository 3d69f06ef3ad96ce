"""Holds what came out against what was expected, and refusals against the reason that was expected."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Context, Decimal, InvalidOperation
from typing import Any

from ksqlite.errors import KsqlError, ParseError

# What ksqlDB's own test cases call the kinds of error.
_PARSE = "ParseFailedException"
_RUNTIME = "StreamsException"
_SHORTEST_REASON = 20


def same(expected: Any, actual: Any) -> bool:  # noqa: ANN401 - any JSON
    """Whether two documents are equal: numbers by value, objects whatever the order of their members."""
    if isinstance(expected, bool) or isinstance(actual, bool):
        return expected is actual
    if expected is None or actual is None:
        return expected is actual
    if isinstance(expected, int | float | Decimal) and isinstance(actual, int | float | Decimal):
        return _same_number(expected, actual)
    if isinstance(expected, dict) and isinstance(actual, dict):
        return expected.keys() == actual.keys() and all(same(value, actual[key]) for key, value in expected.items())
    if isinstance(expected, list) and isinstance(actual, list):
        return len(expected) == len(actual) and all(map(same, expected, actual))
    if isinstance(expected, str) and isinstance(actual, str):
        return expected == actual
    return False


def _same_number(expected: float | Decimal, actual: float | Decimal) -> bool:
    try:
        first, second = Decimal(str(expected)), Decimal(str(actual))
    except InvalidOperation:
        return False
    if first == second or (first.is_nan() and second.is_nan()):
        return True
    # a DOUBLE that was written with other digits than it was read with
    return not isinstance(expected, int) and float(first) == float(second)


def same_record(expected: Any, actual: Any) -> bool:  # noqa: ANN401 - any JSON
    """Whether a record is the expected one, as ksqlDB's own runner looks at it.

    Names of columns and fields may differ in case, a name that is not there counts as null, and decimals may be written
    as texts; schemas are looked at apart from that.
    """
    if isinstance(expected, dict) and isinstance(actual, dict):
        upper = {name.upper(): name for name in actual}
        seen = set()
        for name, value in expected.items():
            mine = name if name in actual else upper.get(name.upper())
            seen.add(mine)
            if not same_record(value, None if mine is None else actual[mine]):
                return False
        return all(actual[name] is None for name in actual.keys() - seen)
    if isinstance(expected, list) and isinstance(actual, list):
        return len(expected) == len(actual) and all(map(same_record, expected, actual))
    if isinstance(expected, str) and isinstance(actual, int | Decimal) and not isinstance(actual, bool):
        try:
            return Decimal(expected) == actual
        except InvalidOperation:
            return False
    return same(expected, actual)


_WHOLE_LIMIT = 2**53
_DOUBLE_DIGITS = Context(prec=15)


def is_lossy(value: Any) -> bool:  # noqa: ANN401 - any JSON
    """Whether a document holds a number that has lost its last digits by way of a double before it was written down."""
    if isinstance(value, dict):
        return any(map(is_lossy, value.values()))
    if isinstance(value, list):
        return any(map(is_lossy, value))
    return isinstance(value, Decimal) and abs(value) > _WHOLE_LIMIT and len(value.as_tuple().digits) >= 16


def blurred(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """The document with its numbers rounded to the digits that every double keeps."""
    if isinstance(value, dict):
        return {name: blurred(item) for name, item in value.items()}
    if isinstance(value, list):
        return [blurred(item) for item in value]
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return _DOUBLE_DIGITS.create_decimal(str(value))
    return value


def sort_text(value: Any) -> str:  # noqa: ANN401 - any JSON
    """A text to sort documents by; numbers of equal value have the same."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{name}:{sort_text(value[name])}" for name in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(sort_text, value)) + "]"
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return f"{Decimal(str(value)).normalize():f}"
    return str(value)


def subset(expected: Any, actual: Any) -> bool:  # noqa: ANN401 - any JSON
    """Whether an answer has all that is expected of it, and maybe more. ``name|starts_with`` asks for a beginning."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        for key, value in expected.items():
            name, _, rule = key.partition("|")
            if name not in actual:
                return False
            if rule == "starts_with":
                if not str(actual[name]).startswith(str(value)):
                    return False
            elif not subset(value, actual[name]):
                return False
        return True
    if isinstance(expected, list) and isinstance(actual, list):
        return len(expected) == len(actual) and all(map(subset, expected, actual))
    return same(expected, actual)


def show(value: Any) -> str:  # noqa: ANN401 - any JSON
    """A document on one line."""
    return json.dumps(value, ensure_ascii=False, default=_number)


def _number(value: Any) -> Any:  # noqa: ANN401 - what json does not know
    return float(value) if isinstance(value, Decimal) else str(value)


def difference(
    expected: Sequence[Any], actual: Sequence[Any], equal: Callable[[Any, Any], bool] = same, width: int = 3
) -> str:
    """The first place where two lists of documents part, with a few lines around it."""
    for position in range(max(len(expected), len(actual))):
        wanted = expected[position] if position < len(expected) else None
        got = actual[position] if position < len(actual) else None
        if wanted is None or got is None or not equal(wanted, got):
            first = max(0, position - width)
            lines = [f"  record {number}: {show(actual[number])}" for number in range(first, position)]
            lines.append(f"- record {position}: {show(wanted) if position < len(expected) else '(nothing more)'}")
            lines.append(f"+ record {position}: {show(got) if position < len(actual) else '(nothing more)'}")
            return "\n".join(lines)
    return ""


def refused_for(expected: Mapping[str, Any], problem: BaseException) -> bool:
    """Whether a refusal has the expected reason.

    As in ksqlDB's own runner the expected message must be part of ours; where ours is the shorter one it must be
    part of the expected message and long enough to be a reason (20 characters), for ksqlDB wraps reasons in
    sentences of its own. White space and letter case do not count. A syntax error must be one, at the expected line
    where that is told.
    """
    kind = str(expected.get("type", "")).rsplit(".", 1)[-1]
    if kind == _RUNTIME:
        reason = expected.get("causeMessage") or expected.get("message") or ""
        return not isinstance(problem, KsqlError) and _contains(str(reason), _text(problem))
    if not isinstance(problem, KsqlError):
        return False
    message = str(expected.get("message", ""))
    if kind == _PARSE and "syntax error" in message.lower():
        return (
            isinstance(problem, ParseError) and "syntax error" in str(problem).lower() and _same_line(message, problem)
        )
    return _contains(message, str(problem)) or _contains(message, problem.message)


def _text(problem: BaseException | None) -> str:
    parts = []
    while problem is not None:
        parts.append(str(problem))
        problem = problem.__cause__
    return "\n".join(parts)


def _same_line(message: str, problem: KsqlError) -> bool:
    place = re.match(r"line (\d+):", message)
    return place is None or problem.line is None or int(place[1]) == problem.line


def _contains(expected: str, ours: str) -> bool:
    wanted, got = _normal(expected), _normal(ours)
    if not wanted:
        return False
    return wanted in got or (len(got) >= _SHORTEST_REASON and got in wanted)


def _normal(text: str) -> str:
    return " ".join(text.split()).casefold().rstrip(".")
