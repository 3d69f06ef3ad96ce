# ruff: noqa: E501  (a statement of SQL stands on its lines)
"""Fills the tables of figures with made-up hours: the database that `bench analytics` measures on."""

import datetime as dt
import time
from collections.abc import Callable

import psycopg

TABLES = ("category_hours", "category_days", "place_hours", "place_days", "place_totals")

HOURS = """
INSERT INTO pipeline_v1.category_hours (place_id, category, hour_start, lines, checks, quantity, revenue)
SELECT lpad(p::text, 4, '0'), 'category ' || lpad(c::text, 2, '0'), h, n + 1, n,
       round((n * (1 + random() * 3))::numeric, 3), round((n * (50 + random() * 900))::numeric, 5)
FROM generate_series(%(start)s::timestamptz, %(end)s::timestamptz - interval '1 hour', interval '1 hour') h,
     generate_series(1, %(places)s) p,
     LATERAL (SELECT c, 1 + floor(random() * 8)::bigint AS n FROM generate_series(1, %(categories)s) c
              WHERE p > 0 AND h IS NOT NULL) x
"""

# Everything coarser is summed from the hours, as the pipeline would have it.
DERIVED = """
INSERT INTO pipeline_v1.category_days (place_id, category, day_start, lines, checks, quantity, revenue)
SELECT place_id, category, date_trunc('day', hour_start, 'UTC'), sum(lines), sum(checks), sum(quantity), sum(revenue)
FROM pipeline_v1.category_hours GROUP BY 1, 2, 3 ORDER BY 3, 1, 2;
INSERT INTO pipeline_v1.place_hours (place_id, hour_start, purchases, revenue, nds, tips)
SELECT place_id, hour_start, sum(checks), round(sum(revenue), 2), round(sum(revenue) / 6, 2), round(sum(revenue) / 50, 2)
FROM pipeline_v1.category_hours GROUP BY 1, 2 ORDER BY 2, 1;
INSERT INTO pipeline_v1.place_days (place_id, day_start, purchases, revenue, nds, tips)
SELECT place_id, date_trunc('day', hour_start, 'UTC'), sum(purchases), sum(revenue), sum(nds), sum(tips)
FROM pipeline_v1.place_hours GROUP BY 1, 2 ORDER BY 2, 1;
INSERT INTO pipeline_v1.place_totals (place_id, place_name, purchases, revenue, nds, tips, first_sold_at, last_sold_at)
SELECT place_id, 'Магазин №' || ltrim(place_id, '0'), sum(purchases), sum(revenue), sum(nds), sum(tips),
       min(hour_start), max(hour_start) + interval '59 minutes'
FROM pipeline_v1.place_hours GROUP BY 1;
"""

# The triggers that keep these were switched off while the rows came.
ROLLUPS = """
INSERT INTO pipeline_v1.all_category_hours
SELECT hour_start, category, sum(lines), sum(checks), sum(quantity), sum(revenue) FROM pipeline_v1.category_hours GROUP BY 1, 2;
INSERT INTO pipeline_v1.all_category_days
SELECT day_start, category, sum(lines), sum(checks), sum(quantity), sum(revenue) FROM pipeline_v1.category_days GROUP BY 1, 2;
INSERT INTO pipeline_v1.all_place_hours
SELECT hour_start, sum(purchases), sum(revenue), sum(nds), sum(tips) FROM pipeline_v1.place_hours GROUP BY 1;
INSERT INTO pipeline_v1.all_place_days
SELECT day_start, sum(purchases), sum(revenue), sum(nds), sum(tips) FROM pipeline_v1.place_days GROUP BY 1;
INSERT INTO pipeline_v1.changes SELECT t, 1, clock_timestamp()
FROM unnest(array['category_hours', 'category_days', 'place_hours', 'place_days', 'place_totals']) t ON CONFLICT DO NOTHING;
"""


def fill(
    owner_url: str, *, end: dt.datetime, days: int, places: int, categories: int, progress: Callable[[str], None]
) -> int:
    """Write `places` x `categories` x `days` of hours that end at `end` (a UTC midnight); gives the category rows."""
    started = time.monotonic()
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        connection.execute("SET timezone = 'UTC'")
        for table in TABLES:
            connection.execute(f"ALTER TABLE pipeline_v1.{table} DISABLE TRIGGER USER")
        for day in range(days):
            start = end - dt.timedelta(days=days - day)
            connection.execute(
                HOURS,
                {"start": start, "end": start + dt.timedelta(days=1), "places": places, "categories": categories},
            )
            progress(f"day {day + 1} of {days} written after {time.monotonic() - started:.0f} s")
        progress("summing days and places")
        connection.execute(DERIVED)
        connection.execute(ROLLUPS)
        for table in TABLES:
            connection.execute(f"ALTER TABLE pipeline_v1.{table} ENABLE TRIGGER USER")
        for table in TABLES:
            connection.execute(f"VACUUM (ANALYZE) pipeline_v1.{table}")
        for table in TABLES[:4]:
            connection.execute(f"VACUUM (ANALYZE) pipeline_v1.all_{table}")
        row = connection.execute("SELECT count(*) FROM pipeline_v1.category_hours").fetchone()
    progress(f"done after {time.monotonic() - started:.0f} s")
    return int(row[0]) if row else 0
