"""Figures over an interval. Everything here reads one moment (`Database.reading`) and returns exact decimals."""

import datetime as dt
import hashlib
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

from analytics_api import cursors
from analytics_api.db import Reading
from analytics_api.figures import queries
from analytics_api.figures.schemas import (
    Analytics,
    CategoryFigures,
    HourFigures,
    Hours,
    Place,
    PlaceAnalytics,
    PlaceFigures,
    Places,
    Taxes,
)
from analytics_api.intervals import Interval
from analytics_api.problems import Problem

CENT = Decimal("0.01")
GRAM = Decimal("0.001")
ZERO = Decimal("0.00")
STREAM_PLACES = 100
# Sums have up to 38 digits; the default context would refuse more than 28.
EXACT = Context(prec=80, rounding=ROUND_HALF_UP)


@dataclass(frozen=True)
class Moment:
    """The state of the figures that a transaction reads."""

    as_of: dt.datetime
    mark: str
    """The same mark means the same figures."""
    changed_at: dt.datetime | None
    """When a figure changed last; None while there is none."""


async def moment(reading: Reading) -> Moment:
    """Which state this transaction shows."""
    row = await reading.row(
        "SELECT transaction_timestamp(), (SELECT version FROM app.pipelines WHERE is_read),"
        " (SELECT string_agg(table_name || change_no, ',' ORDER BY table_name) FROM figures.changes),"
        " (SELECT max(changed_at) FROM figures.changes)"
    )
    as_of, version, changes, changed_at = row or (dt.datetime.now(dt.UTC), 0, "", None)
    mark = hashlib.sha256(f"{version}:{changes}".encode()).hexdigest()[:16]
    return Moment(as_of=as_of, mark=mark, changed_at=changed_at)


async def analytics(
    reading: Reading,
    at: Moment,
    interval: Interval,
    *,
    place_ids: Sequence[str] | None = None,
    limit: int,
    cursor: str | None = None,
) -> Analytics:
    """A page of places with their categories, and the total over all that were asked for."""
    items, next_cursor = await page_of_places(reading, interval, place_ids=place_ids, limit=limit, cursor=cursor)
    return Analytics(
        items=items,
        next_cursor=next_cursor,
        total=await total(reading, interval, place_ids=place_ids),
        as_of=at.as_of,
    )


async def page_of_places(
    reading: Reading,
    interval: Interval,
    *,
    place_ids: Sequence[str] | None = None,
    limit: int,
    cursor: str | None = None,
) -> tuple[list[PlaceFigures], str | None]:
    """Places by place_id after `cursor`, and the cursor of the next page."""
    query = ("analytics", interval.start, interval.end, sorted(place_ids) if place_ids else None)
    position = cursors.unpack(query, cursor, tuple[str])
    after = position[0] if position else ""
    if place_ids:
        found = await reading.rows(queries.NAMED_PLACES, {"place_ids": sorted(set(place_ids))})
        known = [row for row in found if row[0] > after or not position][: limit + 1]
    else:
        known = list(await reading.rows(queries.PAGE_OF_PLACES, {"after": after, "limit": limit + 1}))
    page = known[:limit]
    items = await places_over(reading, interval, [(row[0], row[1]) for row in page])
    return items, cursors.pack(query, (page[-1][0],)) if len(known) > limit else None


async def places_over(
    reading: Reading, interval: Interval, named: Sequence[tuple[str, str | None]]
) -> list[PlaceFigures]:
    """Figures of the given places (id and name), in the order given; zeros where there were no sales."""
    if not named:
        return []
    ids = [place_id for place_id, _ in named]
    query, parameters = queries.over(interval, "place", ["place_id"], queries.PLACE, places=True)
    sums = {row[0]: row[1:] for row in await reading.rows(query, {**parameters, "place_ids": ids})}
    query, parameters = queries.over(interval, "category", ["place_id", "category"], queries.CATEGORY, places=True)
    categories: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for row in await reading.rows(query, {**parameters, "place_ids": ids}):
        categories[row[0]].append(row[1:])
    return [
        figures_of(place_id, name or place_id, sums.get(place_id), categories.get(place_id, []))
        for place_id, name in named
    ]


async def total(reading: Reading, interval: Interval, *, place_ids: Sequence[str] | None = None) -> PlaceFigures:
    """All places together, or those given."""
    chosen = {"place_ids": sorted(set(place_ids))} if place_ids else {}
    prefix = "" if place_ids else "all_"
    query, parameters = queries.over(interval, f"{prefix}place", [], queries.PLACE, places=bool(place_ids))
    sums = await reading.row(query, {**parameters, **chosen})
    query, parameters = queries.over(
        interval, f"{prefix}category", ["category"], queries.CATEGORY, places=bool(place_ids)
    )
    return figures_of(None, None, sums, await reading.rows(query, {**parameters, **chosen}))


async def place(reading: Reading, at: Moment, interval: Interval, place_id: str) -> PlaceAnalytics:
    """One place. Raises Problem 404 when no check ever named it."""
    known = await named(reading, place_id)
    figures = (await places_over(reading, interval, [known]))[0]
    return PlaceAnalytics(**{name: getattr(figures, name) for name in figures.__struct_fields__}, as_of=at.as_of)


async def named(reading: Reading, place_id: str) -> tuple[str, str | None]:
    """Id and name of a place. Raises Problem 404 when no check ever named it."""
    found = await reading.rows(queries.NAMED_PLACES, {"place_ids": [place_id]}) if "\0" not in place_id else []
    if not found:
        raise Problem(404, "There is no such place: no check has named it.")
    return found[0][0], found[0][1]


async def hours(
    reading: Reading,
    at: Moment,
    interval: Interval,
    *,
    place_ids: Sequence[str] | None = None,
    limit: int,
    cursor: str | None = None,
) -> Hours:
    """Hours with sales, the earliest first: summed over all places, or over those given."""
    query = ("hours", interval.start, interval.end, sorted(place_ids) if place_ids else None)
    position = cursors.unpack(query, cursor, tuple[dt.datetime])
    for place_id in place_ids or []:
        await named(reading, place_id)
    low, sign = (position[0], ">") if position else (interval.start, ">=")
    conditions = ["purchases > 0"]
    parameters: dict[str, Any] = {"low": low, "high": interval.end, "limit": limit + 1}
    if low is not None:
        conditions.append(f"hour_start {sign} %(low)s")
    if interval.end is not None:
        conditions.append("hour_start < %(high)s")
    if place_ids:
        conditions.append("place_id = ANY(%(place_ids)s)")
        parameters["place_ids"] = sorted(set(place_ids))
    table = "place_hours" if place_ids else "all_place_hours"
    rows = await reading.rows(
        f"SELECT hour_start, sum(purchases), sum(revenue), sum(nds), sum(tips) FROM figures.{table}"  # noqa: S608  (names from this file)
        f" WHERE {' AND '.join(conditions)} GROUP BY hour_start ORDER BY hour_start LIMIT %(limit)s",
        parameters,
    )
    items = [
        HourFigures(
            hour_start=row[0],
            total_purchases=int(row[1]),
            total_spent=money(row[2]),
            total_nds=money(row[3]),
            total_tips=money(row[4]),
        )
        for row in rows[:limit]
    ]
    more = cursors.pack(query, (items[-1].hour_start,)) if len(rows) > limit else None
    return Hours(items=items, next_cursor=more, as_of=at.as_of)


async def places(
    reading: Reading, at: Moment, *, search: str | None = None, limit: int, cursor: str | None = None
) -> Places:
    """Places by place_id; `search` is looked for in id and name, whatever the case."""
    query = ("places", search)
    position = cursors.unpack(query, cursor, tuple[str])
    conditions = []
    parameters: dict[str, Any] = {"limit": limit + 1}
    if position:
        conditions.append("place_id > %(after)s")
        parameters["after"] = position[0]
    if search:
        conditions.append("(place_name ILIKE %(pattern)s OR place_id ILIKE %(pattern)s)")
        escaped = search.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        parameters["pattern"] = f"%{escaped}%"
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    rows = await reading.rows(
        "SELECT place_id, place_name, purchases, first_sold_at, last_sold_at FROM figures.place_totals"  # noqa: S608  (fixed text)
        f"{where} ORDER BY place_id LIMIT %(limit)s",
        parameters,
    )
    items = [
        Place(
            place_id=row[0],
            place_name=row[1] or row[0],
            total_purchases=row[2] or 0,
            first_sold_at=row[3],
            last_sold_at=row[4],
        )
        for row in rows[:limit]
    ]
    more = cursors.pack(query, (items[-1].place_id,)) if len(rows) > limit else None
    return Places(items=items, next_cursor=more, as_of=at.as_of)


async def all_places_over(
    reading: Reading, interval: Interval, *, place_ids: Sequence[str] | None = None, limit: int | None = None
) -> AsyncIterator[PlaceFigures]:
    """Every place that was asked for, one after another, without holding all of them."""
    cursor = None
    left = limit
    while True:
        wanted = STREAM_PLACES if left is None else min(STREAM_PLACES, left)
        items, cursor = await page_of_places(reading, interval, place_ids=place_ids, limit=wanted, cursor=cursor)
        for item in items:
            yield item
        if left is not None:
            left -= len(items)
        if cursor is None or left == 0:
            return


def figures_of(
    place_id: str | None,
    place_name: str | None,
    sums: Sequence[Any] | None,
    categories: Sequence[Sequence[Any]],
) -> PlaceFigures:
    """Put sums (purchases, revenue, nds, tips) and categories (name, checks, quantity, revenue) together."""
    purchases, revenue, nds, tips = sums or (0, None, None, None)
    purchases = int(purchases or 0)
    spent = money(revenue)
    by_category = {
        str(name): CategoryFigures(
            total_spent=money(amount),
            quantity=(quantity or ZERO).quantize(GRAM, context=EXACT),
            average_receipt=average(amount, checks),
        )
        for name, checks, quantity, amount in sorted(categories, key=lambda row: str(row[0]))
        if checks
    }
    allocated = ZERO
    for figures in by_category.values():
        allocated = EXACT.add(allocated, figures.total_spent)
    return PlaceFigures(
        place_id=place_id,
        place_name=place_name,
        total_purchases=purchases,
        total_spent=spent,
        average_receipt=average(revenue, purchases),
        taxes_amount=Taxes(total_nds=money(nds), total_tips=money(tips)),
        category_analytics=by_category,
        unallocated=EXACT.subtract(spent, allocated),
    )


def money(amount: Decimal | None) -> Decimal:
    """Two digits, half up."""
    return ZERO if amount is None else amount.quantize(CENT, context=EXACT)


def average(amount: Decimal | None, count: int | None) -> Decimal | None:
    """Money over a number of checks, from the unrounded sum, half up; None over none."""
    if not count:
        return None
    return EXACT.divide(amount or ZERO, Decimal(count)).quantize(CENT, context=EXACT)
