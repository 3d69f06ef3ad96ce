"""msgspec types of a check, made from its schema.

Scalars other than text are kept as `msgspec.Raw`, their characters as sent: money never becomes a float on the way, and
a number in quotes is seen for what it is.
"""

from __future__ import annotations

from types import GenericAlias
from typing import Annotated, Any

import msgspec

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
from intake.contract.rules import OWN_FIELDS, Rules
from intake.contract.timestamps import MAX_LENGTH

TypeForm = Any
"""A type, or what stands for one in an annotation."""

ATTRIBUTE = "f_"
"""Goes before a field's name, which may be a word of Python, to make the attribute's."""


def is_raw(kind: AvroType) -> bool:
    """Whether values of this type stay as their characters in JSON."""
    inner = kind.inner if isinstance(kind, Optional) else kind
    return isinstance(inner, Boolean | Integer | Floating | Decimals)


def join_place(place: str, name: str) -> str:
    """The place of a field within its record's place, as the table of rules writes it."""
    return f"{place}/{name}" if place else name


def is_own(place: str, name: str) -> bool:
    """Whether a field is written by intake itself."""
    return not place and name in OWN_FIELDS


def _annotation(kind: AvroType, rules: Rules, place: str) -> TypeForm:
    match kind:
        case Text():
            rule = rules.text(place)
            return Annotated[str, msgspec.Meta(min_length=rule.min_length, max_length=rule.max_length)]
        case Moment():
            return Annotated[str, msgspec.Meta(max_length=MAX_LENGTH)]
        case Day() | Choice():
            return str
        case Listing():
            limits = rules.listing(place)
            items = _annotation(kind.items, rules, f"{place}/*")
            return Annotated[
                GenericAlias(list, (items,)), msgspec.Meta(min_length=limits.min_items, max_length=limits.max_items)
            ]
        case Mapped():
            key = Annotated[str, msgspec.Meta(max_length=rules.text(place).max_length)]
            values = _annotation(kind.values, rules, f"{place}/*")
            return Annotated[GenericAlias(dict, (key, values)), msgspec.Meta(max_length=rules.listing(place).max_items)]
        case Record():
            return struct_of(kind, rules, place)
        case Optional():
            return msgspec.Raw if is_raw(kind) else _annotation(kind.inner, rules, place) | None
        case _:
            return msgspec.Raw


def struct_of(record: Record, rules: Rules, place: str = "") -> type[Any]:
    """The type of a record at `place`. What was left out is UNSET, or an empty Raw."""
    fields: list[Any] = []
    for field in record.fields:
        if is_own(place, field.name):
            continue
        name = ATTRIBUTE + field.name
        kind = _annotation(field.type, rules, join_place(place, field.name))
        if not field.has_default:
            fields.append((name, kind))
        elif is_raw(field.type):
            fields.append((name, kind, msgspec.Raw(b"")))
        else:
            fields.append((name, kind | msgspec.UnsetType, msgspec.UNSET))
    return msgspec.defstruct(
        record.name,
        fields,
        rename=lambda attribute: attribute.removeprefix(ATTRIBUTE),
        kw_only=True,
        gc=False,  # a check refers to nothing that refers back
    )
