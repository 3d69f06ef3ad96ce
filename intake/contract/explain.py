"""Finds everything that is wrong with a check, each with its place and a sentence: the slow, thorough reading.

The quick one (msgspec and generated code) stops at the first error and says little. This one is asked when that failed.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import NoReturn
from zoneinfo import ZoneInfo

from intake.contract.avro import (
    AvroType,
    Boolean,
    Choice,
    Day,
    Decimals,
    Floating,
    Integer,
    Listing,
    Mapped,
    Moment,
    Optional,
    Record,
    Text,
)
from intake.contract.encoder import UUID
from intake.contract.errors import FieldError, Json, UnfitError, pointer_to, shown
from intake.contract.numbers import days_since_epoch, to_floating, to_integer, to_unscaled
from intake.contract.rules import Rules, forbidden_pattern
from intake.contract.timestamps import check_age, to_utc_ms
from intake.contract.types import is_own, join_place

_SURROGATE = re.compile("[\ud800-\udfff]")
MOST_ERRORS = 100
"""Errors told of one check; a document that is wrong throughout would make an answer many times its size."""


class NotJsonError(Exception):
    """The bytes are no JSON text; the message says where it breaks."""


class Number(str):
    """A JSON number as its characters."""

    __slots__ = ()


class Members(dict[str, Json]):
    """A JSON object that remembers the names it had more than once."""

    repeated: frozenset[str] = frozenset()


def _members(pairs: list[tuple[str, Json]]) -> Members:
    made = Members(pairs)
    if len(made) != len(pairs):
        counts = Counter(name for name, _ in pairs)
        made.repeated = frozenset(name for name, count in counts.items() if count > 1)
    return made


def _no_constant(name: str) -> NoReturn:
    raise NotJsonError(f"{name} is no JSON value; numbers have digits")


def read_document(body: bytes) -> Json:
    """The JSON document in `body`, its numbers as characters. Raises NotJsonError."""
    if not body.strip():
        raise NotJsonError("the body is empty")
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise NotJsonError(f"the text is not UTF-8: byte {body[error.start]:#04x} at position {error.start}") from error
    try:
        return json.loads(
            text, object_pairs_hook=_members, parse_int=Number, parse_float=Number, parse_constant=_no_constant
        )
    except json.JSONDecodeError as error:
        raise NotJsonError(f"{error.msg} at line {error.lineno}, column {error.colno}") from error
    except RecursionError as error:
        raise NotJsonError("values are nested too deeply") from error


def _kind_of(value: Json) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case Number():
            return "a number"
        case str():
            return "a string"
        case list():
            return "a list"
        case _:
            return "an object"


class _Explainer:
    def __init__(self, rules: Rules, zone: ZoneInfo, now_ms: int) -> None:
        self.rules = rules
        self.zone = zone
        self.now_ms = now_ms
        self.errors: list[FieldError] = []

    def add(self, pointer: str, detail: str) -> None:
        if len(self.errors) < MOST_ERRORS:
            self.errors.append(FieldError(pointer, detail))

    def record(self, record: Record, value: Json, pointer: str, place: str) -> None:
        if not isinstance(value, Members):
            what = "with the fields of a check" if not place else f"with the fields of {record.name}"
            self.add(pointer, f"must be an object {what}, not {_kind_of(value)}")
            return
        for field in record.fields:
            if is_own(place, field.name):
                continue
            at = pointer_to(pointer, field.name)
            if field.name not in value:
                if not field.has_default:
                    self.add(at, "is required")
                continue
            if field.name in value.repeated:
                self.add(at, "is there more than once")
            self.value(field.type, value[field.name], at, join_place(place, field.name))

    def value(self, kind: AvroType, value: Json, pointer: str, place: str) -> None:
        match kind:
            case Optional():
                if value is not None:
                    self.value(kind.inner, value, pointer, place)
            case Record():
                self.record(kind, value, pointer, place)
            case Listing():
                self.listing(kind, value, pointer, place)
            case Mapped():
                self.mapped(kind, value, pointer, place)
            case Text() | Moment() | Day() | Choice():
                if isinstance(value, Number) or not isinstance(value, str):
                    self.add(pointer, f"must be a string, not {_kind_of(value)}")
                else:
                    self.string(kind, value, pointer, place)
            case Boolean():
                if not isinstance(value, bool):
                    self.add(pointer, f"must be true or false, not {_kind_of(value)}")
            case Decimals() | Integer() | Floating():
                self.number(kind, value, pointer, place)

    def listing(self, kind: Listing, value: Json, pointer: str, place: str) -> None:
        if not isinstance(value, list):
            self.add(pointer, f"must be a list, not {_kind_of(value)}")
            return
        rule = self.rules.listing(place)
        if len(value) < rule.min_items:
            self.add(pointer, f"must have at least {rule.min_items} item{'' if rule.min_items == 1 else 's'}")
        if len(value) > rule.max_items:
            self.add(pointer, f"has {len(value)} items, and at most {rule.max_items} are taken")
            return
        for index, item in enumerate(value):
            self.value(kind.items, item, pointer_to(pointer, index), f"{place}/*")

    def mapped(self, kind: Mapped, value: Json, pointer: str, place: str) -> None:
        if not isinstance(value, Members):
            self.add(pointer, f"must be an object, not {_kind_of(value)}")
            return
        most = self.rules.listing(place).max_items
        if len(value) > most:
            self.add(pointer, f"has {len(value)} members, and at most {most} are taken")
            return
        for key, item in value.items():
            at = pointer_to(pointer, key)
            if key in value.repeated:
                self.add(at, "is there more than once")
            self.characters(key, at)
            if len(key) > self.rules.text(place).max_length:
                self.add(
                    pointer,
                    f"has a name of {len(key)} characters, and at most {self.rules.text(place).max_length} are taken",
                )
            self.value(kind.values, item, at, f"{place}/*")

    def characters(self, value: str, pointer: str) -> None:
        """What no text may hold, whatever its field."""
        if "\0" in value:
            self.add(pointer, "must not contain the NUL character (\\u0000)")
        if _SURROGATE.search(value):
            self.add(pointer, "contains half of a surrogate pair, which is no character")

    def string(self, kind: Text | Moment | Day | Choice, value: str, pointer: str, place: str) -> None:
        if not value.isprintable():
            self.characters(value, pointer)
        try:
            match kind:
                case Text():
                    self.text(kind, value, pointer, place)
                case Moment():
                    at_ms = to_utc_ms(value, self.zone)
                    if place == "timestamp":
                        check_age(at_ms, self.now_ms, self.rules.limits, self.zone)
                case Day():
                    days_since_epoch(value)
                case Choice():
                    if value not in kind.symbols:
                        self.add(pointer, f"must be one of {', '.join(kind.symbols)}")
        except UnfitError as error:
            self.add(pointer, str(error))

    def text(self, kind: Text, value: str, pointer: str, place: str) -> None:
        rule = self.rules.text(place)
        if len(value) < rule.min_length:
            self.add(
                pointer, "must not be empty" if rule.min_length == 1 else f"must have {rule.min_length} characters"
            )
        if len(value) > rule.max_length:
            self.add(pointer, f"has {len(value)} characters, and at most {rule.max_length} are taken")
        if (pattern := forbidden_pattern(rule)) and (found := pattern.search(value)) and found[0] != "\0":
            self.add(
                pointer, f"must not contain {rule.forbidden_words}: U+{ord(found[0]):04X} at position {found.start()}"
            )
        if kind.is_uuid and not UUID.fullmatch(value):
            self.add(pointer, f'must be a UUID in lower case, and is "{shown(value)}"')

    def number(self, kind: Decimals | Integer | Floating, value: Json, pointer: str, place: str) -> None:
        if not isinstance(value, Number):
            hint = " (leave the quotation marks out)" if isinstance(value, str) else ""
            self.add(pointer, f"must be a number, not {_kind_of(value)}{hint}")
            return
        rule = self.rules.number(place)
        try:
            match kind:
                case Decimals():
                    to_unscaled(value, kind, rule)
                case Integer():
                    to_integer(value, kind, rule)
                case Floating():
                    to_floating(value, kind)
        except UnfitError as error:
            self.add(pointer, str(error))


def explain(document: Json, record: Record, rules: Rules, zone: ZoneInfo, now_ms: int) -> list[FieldError]:
    """Every error of a check, in the order of the schema's fields; an empty list when there is none."""
    explainer = _Explainer(rules, zone, now_ms)
    explainer.record(record, document, "", "")
    return explainer.errors
