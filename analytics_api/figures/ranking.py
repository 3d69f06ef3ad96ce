"""Places by any of their figures: a page of a table that is sorted and searched, over the same sums as everywhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from analytics_api.db import Reading
from analytics_api.figures import queries
from analytics_api.figures.schemas import PlaceFigures
from analytics_api.figures.services import figures_of
from analytics_api.intervals import Interval

Order = Literal["place_id", "name", "purchases", "spent", "average", "nds", "tips"]
_COLUMNS: dict[Order, str] = {
    "place_id": "place_id",
    "name": "lower(place_name)",
    "purchases": "COALESCE(purchases, 0)",
    "spent": "COALESCE(revenue, 0)",
    "average": "revenue / NULLIF(purchases, 0)",
    "nds": "COALESCE(nds, 0)",
    "tips": "COALESCE(tips, 0)",
}


@dataclass(frozen=True)
class Ranked:
    """A page of places (without their categories) and how many there are in all."""

    items: list[PlaceFigures]
    count: int


async def rank(
    reading: Reading,
    interval: Interval,
    *,
    place_ids: Sequence[str] | None,
    search: str,
    order: Order,
    descending: bool,
    limit: int,
    offset: int,
) -> Ranked:
    """Places whose id or name contains `search`, whatever the case; those without sales have zeros."""
    over, parameters = queries.over(interval, "place", ["place_id"], queries.PLACE, places=bool(place_ids))
    escaped = search.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_").replace("\0", "")
    chosen = "place_id = ANY(%(place_ids)s)" if place_ids else "true"
    direction = "DESC" if descending else "ASC"
    rows = await reading.rows(
        f"WITH f(place_id, purchases, revenue, nds, tips) AS ({over}), p AS ("  # noqa: S608  (names from this file)
        " SELECT place_id, COALESCE(t.place_name, place_id) AS place_name, f.purchases, f.revenue, f.nds, f.tips"
        " FROM figures.place_totals t FULL JOIN f USING (place_id))"
        " SELECT place_id, place_name, purchases, revenue, nds, tips, count(*) OVER () FROM p"
        f" WHERE {chosen} AND (place_name ILIKE %(pattern)s OR place_id ILIKE %(pattern)s)"
        f" ORDER BY {_COLUMNS[order]} {direction} NULLS LAST, place_id LIMIT %(limit)s OFFSET %(offset)s",
        {
            **parameters,
            "place_ids": sorted(set(place_ids or [])),
            "pattern": f"%{escaped}%",
            "limit": limit,
            "offset": offset,
        },
    )
    return Ranked([figures_of(row[0], row[1], row[2:6], []) for row in rows], int(rows[0][6]) if rows else 0)
