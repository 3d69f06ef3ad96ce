"""SQL over an interval: whole days from day tables, what is left from hour tables, in one UNION."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

from analytics_api.intervals import Interval

PLACE = ("purchases", "revenue", "nds", "tips")
CATEGORY = ("checks", "quantity", "revenue")


def over(
    interval: Interval, kind: str, keys: Sequence[str], sums: Sequence[str], *, places: bool
) -> tuple[str, dict[str, Any]]:
    """A SELECT that sums `sums` by `keys` over `interval`, and its parameters.

    `kind` is place, category, all_place or all_category: the tables' names without _days and _hours. With `places`,
    only rows whose place_id is in parameter place_ids.
    """
    parts: list[str] = []
    parameters: dict[str, Any] = {}
    columns = ", ".join([*keys, *sums])

    def add(table: str, column: str, low: dt.datetime | None, high: dt.datetime | None) -> None:
        conditions = ["place_id = ANY(%(place_ids)s)"] if places else []
        for sign, bound in ((">=", low), ("<", high)):
            if bound is not None:
                name = f"bound_{len(parameters)}"
                parameters[name] = bound
                conditions.append(f"{column} {sign} %({name})s")
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        parts.append(f"SELECT {columns} FROM figures.{table}{where}")  # noqa: S608  (names from this file)

    days = interval.days()
    if days is not None:
        add(f"{kind}_days", "day_start", *days)
    for low, high in interval.edges():
        add(f"{kind}_hours", "hour_start", low, high)
    totals = ", ".join(f"sum({column})" for column in sums)
    by = ", ".join(keys)
    group = f" GROUP BY {by}" if keys else ""
    select = f"{by}, {totals}" if keys else totals
    return f"SELECT {select} FROM ({' UNION ALL '.join(parts)}) f{group}", parameters  # noqa: S608  (names from this file)


# place_days knows a new place when place_totals, written by another connector, does not yet. The recursion steps from
# place to place through the index, and LIMIT ends it.
PAGE_OF_PLACES = """
WITH RECURSIVE seen AS (
    (SELECT place_id FROM figures.place_days WHERE place_id > %(after)s ORDER BY place_id LIMIT 1)
    UNION ALL
    SELECT (SELECT d.place_id FROM figures.place_days d WHERE d.place_id > seen.place_id ORDER BY d.place_id LIMIT 1)
    FROM seen WHERE seen.place_id IS NOT NULL
)
SELECT place_id, t.place_name FROM (
    (SELECT place_id FROM figures.place_totals WHERE place_id > %(after)s ORDER BY place_id LIMIT %(limit)s)
    UNION
    (SELECT place_id FROM seen WHERE place_id IS NOT NULL LIMIT %(limit)s)
) p LEFT JOIN figures.place_totals t USING (place_id)
ORDER BY place_id LIMIT %(limit)s
"""

NAMED_PLACES = """
SELECT p.place_id, t.place_name FROM unnest(%(place_ids)s::text[]) AS p(place_id)
LEFT JOIN figures.place_totals t USING (place_id)
WHERE t.place_id IS NOT NULL OR EXISTS (SELECT FROM figures.place_days d WHERE d.place_id = p.place_id)
ORDER BY p.place_id
"""
