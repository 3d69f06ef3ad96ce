"""Arrived and rejected checks as administrators see them."""

import datetime as dt
from decimal import Decimal
from typing import Any, Literal

from msgspec import Struct

Kind = Literal["sale", "repeat", "conflict"]


class ArrivedCheck(Struct):
    """One arrival of a check."""

    transaction_id: str
    kind: Kind
    """sale: the first arrival, which counts; repeat: the same again; conflict: the id again with other content."""
    arrival: int
    """1 for the first, 2 for the next, …"""
    place_id: str | None
    place_name: str | None
    first_place_id: str | None
    """Place of the first arrival; another one than place_id means that two places use the same id."""
    sold_at: dt.datetime | None
    received_at: dt.datetime | None
    total_amount: Decimal | None
    nds_amount: Decimal | None
    tips_amount: Decimal | None
    payment_method: str | None


class ArrivedChecks(Struct):
    """A page of arrivals, the newest first."""

    items: list[ArrivedCheck]
    next_cursor: str | None


class CheckLine(Struct):
    """One line of a check."""

    line_no: int
    product_id: str | None
    category: str | None
    quantity: Decimal | None
    price: Decimal | None


class Arrival(Struct):
    """One arrival with its lines."""

    check: ArrivedCheck
    items: list[CheckLine]


class CheckHistory(Struct):
    """Everything that arrived under one transaction_id, the first arrival first."""

    transaction_id: str
    arrivals: list[Arrival]


class RejectedCheck(Struct):
    """What intake refused."""

    rejection_id: str
    received_at: dt.datetime | None
    request_id: str | None
    source_address: str | None
    transaction_id: str | None
    reasons: list[dict[str, Any]]
    """Each with pointer and detail."""
    body: str | None
    body_encoding: str | None
    """utf-8, or base64 where the bytes are no UTF-8."""


class RejectedChecks(Struct):
    """A page of rejected checks, the newest first."""

    items: list[RejectedCheck]
    next_cursor: str | None
