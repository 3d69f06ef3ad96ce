"""The rules that Avro cannot state: one small table beside the schema, keyed by the place in the document."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

RECEIVED_AT = "received_at"
CONTENT_HASH = "content_hash"
OWN_FIELDS = frozenset({RECEIVED_AT, CONTENT_HASH})
"""Fields that intake writes itself: what a client sends under these names is ignored like any unknown field."""

DAY_MS = 86_400_000


@dataclass(frozen=True)
class TextRule:
    """Length in characters, and characters that may not occur. No text may hold NUL or half a surrogate pair."""

    min_length: int = 0
    max_length: int = 1024
    forbidden: str = ""
    """Characters for a regular expression's set."""
    forbidden_words: str = ""
    """The same in words, for the answer."""


@dataclass(frozen=True)
class NumberRule:
    """A bound below; `exclusive` where the bound itself is too small."""

    minimum: int
    exclusive: bool = False


@dataclass(frozen=True)
class ListRule:
    """How many items there must and may be."""

    min_items: int = 0
    max_items: int = 1000


Rule = TextRule | NumberRule | ListRule


@dataclass(frozen=True)
class Limits:
    """The limits that settings can move. The defaults keep every record downstream under its topic's limit."""

    max_items: int = 1000
    max_id_length: int = 128
    max_name_length: int = 255
    max_text_length: int = 1024
    max_encoded_bytes: int = 262_144
    max_future_ms: int = 30 * 60_000
    max_age_ms: int = 3650 * DAY_MS


@dataclass(frozen=True)
class Rules:
    """The table, and what holds where it says nothing."""

    limits: Limits
    table: Mapping[str, Rule]

    def text(self, place: str) -> TextRule:
        """The rule of a string at `place`, such as `items/*/category`."""
        rule = self.table.get(place)
        return rule if isinstance(rule, TextRule) else TextRule(max_length=self.limits.max_text_length)

    def number(self, place: str) -> NumberRule | None:
        """The rule of a number at `place`, if there is one."""
        rule = self.table.get(place)
        return rule if isinstance(rule, NumberRule) else None

    def listing(self, place: str) -> ListRule:
        """The rule of an array at `place`."""
        rule = self.table.get(place)
        return rule if isinstance(rule, ListRule) else ListRule(max_items=self.limits.max_items)


def check_rules(limits: Limits | None = None) -> Rules:
    """The rules of a check under these limits."""
    limits = limits or Limits()
    an_id = TextRule(1, limits.max_id_length)
    not_negative = NumberRule(0)
    return Rules(
        limits,
        {
            "transaction_id": an_id,
            "items": ListRule(1, limits.max_items),
            "items/*/product_id": an_id,
            "items/*/quantity": NumberRule(0, exclusive=True),
            "items/*/price": not_negative,
            # A till may sell what belongs to no category: empty is allowed, here and in what only describes.
            "items/*/category": TextRule(0, limits.max_id_length),
            "total_amount": not_negative,
            "nds_amount": not_negative,
            "tips_amount": not_negative,
            "payment_method": TextRule(0, limits.max_id_length),
            # A place is a part of addresses: /api/analytics/{place_id}/.
            "place_id": TextRule(1, limits.max_id_length, r"/\x00-\x1f\x7f-\x9f", "a slash or a control character"),
            "place_name": TextRule(0, limits.max_name_length),
        },
    )


def forbidden_pattern(rule: TextRule) -> re.Pattern[str] | None:
    """Matches a character that the rule forbids, or None where it forbids none of its own."""
    return re.compile(f"[{rule.forbidden}]") if rule.forbidden else None
