"""Proves cheaply that no name stands twice in a check's JSON: by counting its quotation marks.

A decoder keeps the last of two equal names without a word, and which amount was meant is then anyone's guess. Every
required field stands there at least once; when there are just as many quotation marks as once each needs, there is no
room for a second one. Any other count (an unknown field, say) is looked at closely.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

import msgspec

from intake.contract.avro import Choice, Day, Listing, Mapped, Moment, Optional, Record, Text
from intake.contract.types import ATTRIBUTE, is_own, is_raw, join_place

CountQuotes = Callable[[Any], int]
_CANNOT_TELL = -(1 << 40)


def _terms(record: Record, place: str, value: str) -> list[str]:
    """Expressions to add up: the quotation marks of each field's name and content."""
    terms: list[str] = []
    constant = 0
    for field in record.fields:
        if is_own(place, field.name):
            continue
        at = f"{value}.{ATTRIBUTE}{field.name}"
        inner = field.type.inner if isinstance(field.type, Optional) else field.type
        if isinstance(inner, Listing | Mapped | Record):
            if not isinstance(field.type, Listing) or not isinstance(field.type.items, Record) or field.has_default:
                terms.append(str(_CANNOT_TELL))
                continue
            constant += 2
            each = _terms(field.type.items, f"{join_place(place, field.name)}/*", "i")
            terms.append(f"{each[0]} * len({at})" if len(each) == 1 else f"sum([{' + '.join(each)} for i in {at}])")
            continue
        full = 4 if isinstance(inner, Text | Moment | Day | Choice) else 2
        present = f"(2 if {at} is None else 4)" if isinstance(field.type, Optional) and full == 4 else str(full)
        if field.has_default:
            absent = f"not bytes({at})" if is_raw(field.type) else f"{at} is UNSET"
            terms.append(f"(0 if {absent} else {present})")
        elif present.isdigit():
            constant += full
        else:
            terms.append(present)
    return [str(constant), *terms]


def write_counter(record: Record) -> CountQuotes:
    """A function that counts the quotation marks a decoded check needs in JSON."""
    names: dict[str, Any] = {"UNSET": msgspec.UNSET}
    source = f"def count(o):\n    return {' + '.join(_terms(record, '', 'o'))}\n"
    exec(compile(source, f"<quotes of {record.name}>", "exec"), names)  # noqa: S102 - text of our own, from a schema
    return cast("CountQuotes", names["count"])


class _TwiceError(Exception):
    """A name is there twice."""


def _once(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise _TwiceError


def may_repeat_a_name(body: bytes, quotes: int) -> bool:
    """Whether some object in a valid JSON text might have a name twice, given the marks that once each would need.

    True is a reason to look closely, False is certain.
    """
    # An escaped mark ends no string. With escaped backslashes about, the two cannot be told apart by counting.
    if body.count(b'"') - body.count(b'\\"') == quotes and b"\\\\" not in body:
        return False
    try:
        json.loads(body, object_pairs_hook=_once, parse_int=len, parse_float=len)
    except (_TwiceError, ValueError, RecursionError):
        return True
    return False
