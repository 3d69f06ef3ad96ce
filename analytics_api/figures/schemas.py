"""Answers with figures. Money and quantities are exact decimals, written as JSON numbers."""

import datetime as dt
from decimal import Decimal

from msgspec import Struct


class Taxes(Struct):
    """VAT and tips within the checks."""

    total_nds: Decimal
    total_tips: Decimal


class CategoryFigures(Struct):
    """One category's lines."""

    total_spent: Decimal
    """Sum of quantity x price, rounded half up to 2 digits after summing."""
    quantity: Decimal
    """Pieces, or kilograms for goods by weight."""
    average_receipt: Decimal | None
    """total_spent over the checks that contain the category."""


class PlaceFigures(Struct):
    """What one place (or all places together: place_id is null then) came to in the interval."""

    place_id: str | None
    place_name: str | None
    total_purchases: int
    """Number of checks."""
    total_spent: Decimal
    """Sum of the checks' total_amount."""
    average_receipt: Decimal | None
    """total_spent over total_purchases, rounded half up; null without purchases."""
    taxes_amount: Taxes
    category_analytics: dict[str, CategoryFigures]
    unallocated: Decimal
    """total_spent less the categories' total_spent: discounts and rounding."""


class PlaceAnalytics(PlaceFigures):
    """One place's figures with the moment that they show."""

    as_of: dt.datetime


class Analytics(Struct):
    """A page of places, and the total over all places that were asked for."""

    items: list[PlaceFigures]
    next_cursor: str | None
    total: PlaceFigures
    as_of: dt.datetime
    """The moment whose state the answer shows."""


class Place(Struct):
    """A place that has sold something."""

    place_id: str
    place_name: str | None
    total_purchases: int
    first_sold_at: dt.datetime | None
    last_sold_at: dt.datetime | None


class Places(Struct):
    """A page of places, by place_id."""

    items: list[Place]
    next_cursor: str | None
    as_of: dt.datetime


class HourFigures(Struct):
    """One hour with sales."""

    hour_start: dt.datetime
    total_purchases: int
    total_spent: Decimal
    total_nds: Decimal
    total_tips: Decimal


class Hours(Struct):
    """A page of hours, the earliest first; hours without sales are no rows."""

    items: list[HourFigures]
    next_cursor: str | None
    as_of: dt.datetime
