"""Figures as rows of a table."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal

from analytics_api.db import Database
from analytics_api.figures import services
from analytics_api.figures.schemas import PlaceFigures
from analytics_api.intervals import Interval

Part = Literal["places", "categories"]

PLACES = (
    "place_id",
    "place_name",
    "total_purchases",
    "total_spent",
    "average_receipt",
    "total_nds",
    "total_tips",
    "unallocated",
)
CATEGORIES = ("place_id", "place_name", "category", "total_spent", "quantity", "average_receipt")
HOURS = ("hour_start", "total_purchases", "total_spent", "total_nds", "total_tips")
NAMES = ("place_id", "place_name", "total_purchases", "first_sold_at", "last_sold_at")
BATCH = 1000


def header(part: Part) -> tuple[str, ...]:
    """Names of the columns of analytics."""
    return CATEGORIES if part == "categories" else PLACES


def of(figures: PlaceFigures, part: Part) -> list[Sequence[Any]]:
    """One place as a row, or as a row for each of its categories."""
    if part == "categories":
        return [
            (figures.place_id, figures.place_name, name, c.total_spent, c.quantity, c.average_receipt)
            for name, c in figures.category_analytics.items()
        ]
    return [
        (
            figures.place_id,
            figures.place_name,
            figures.total_purchases,
            figures.total_spent,
            figures.average_receipt,
            figures.taxes_amount.total_nds,
            figures.taxes_amount.total_tips,
            figures.unallocated,
        )
    ]


async def analytics(
    database: Database, interval: Interval, part: Part, *, place_ids: Sequence[str] | None, limit: int | None
) -> AsyncIterator[list[Sequence[Any]]]:
    """Batches of rows of all places that were asked for, from one moment."""
    async with database.reading() as reading:
        batch: list[Sequence[Any]] = []
        async for figures in services.all_places_over(reading, interval, place_ids=place_ids, limit=limit):
            batch.extend(of(figures, part))
            if len(batch) >= BATCH:
                yield batch
                batch = []
        if batch:
            yield batch


async def hours(
    database: Database, interval: Interval, *, place_ids: Sequence[str] | None, limit: int | None
) -> AsyncIterator[list[Sequence[Any]]]:
    """Batches of rows of hours, from one moment."""
    async with database.reading() as reading:
        at = await services.moment(reading)
        cursor = None
        left = limit
        while left is None or left > 0:
            wanted = BATCH if left is None else min(BATCH, left)
            page = await services.hours(reading, at, interval, place_ids=place_ids, limit=wanted, cursor=cursor)
            yield [(h.hour_start, h.total_purchases, h.total_spent, h.total_nds, h.total_tips) for h in page.items]
            left = None if left is None else left - len(page.items)
            cursor = page.next_cursor
            if cursor is None:
                return


async def places(database: Database, *, search: str | None, limit: int | None) -> AsyncIterator[list[Sequence[Any]]]:
    """Batches of rows of places, from one moment."""
    async with database.reading() as reading:
        at = await services.moment(reading)
        cursor = None
        left = limit
        while left is None or left > 0:
            wanted = BATCH if left is None else min(BATCH, left)
            page = await services.places(reading, at, search=search, limit=wanted, cursor=cursor)
            yield [(p.place_id, p.place_name, p.total_purchases, p.first_sold_at, p.last_sold_at) for p in page.items]
            left = None if left is None else left - len(page.items)
            cursor = page.next_cursor
            if cursor is None:
                return
