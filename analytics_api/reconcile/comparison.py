"""Compares what reconciliation counted with PostgreSQL's tables.

Nothing is compared while it may still move: a minute, hour or day takes part when no record of it has come for longer
than the pipeline may lag. What is equal then is settled until its next record; what is not has stayed: a difference.
"""

import datetime as dt
from typing import Any

from psycopg import AsyncConnection

from analytics_api.reconcile.schemas import Difference

FIRST = 20

# Each query settles what is equal and gives the rest as (what, how many there are in all).
_MISSING = """
WITH found AS (DELETE FROM app.reconcile_missing m USING figures.sales s WHERE s.transaction_id = m.transaction_id)
SELECT m.transaction_id AS what, count(*) OVER () AS n FROM app.reconcile_missing m
WHERE m.found_at < %(before)s AND NOT EXISTS (SELECT FROM figures.sales s WHERE s.transaction_id = m.transaction_id)
ORDER BY m.found_at, m.partition_no, m.offset_no LIMIT %(first)s
"""

# Every record of the log is a sale or a repeat, by the minute of its receipt.
_RECEIPTS = """
WITH open AS MATERIALIZED (
    SELECT minute, log_records, sale_records FROM app.reconcile_minutes
    WHERE NOT is_settled AND minute > '1970-01-02'
      AND minute < %(before)s::timestamptz - interval '1 minute' AND touched_at < %(before)s
    ORDER BY minute LIMIT 20000
), counted AS MATERIALIZED (
    SELECT o.*,
        (SELECT count(*) FROM figures.sales s
         WHERE s.received_at >= o.minute AND s.received_at < o.minute + interval '1 minute') AS sales,
        (SELECT count(*) FROM figures.repeated_checks r
         WHERE r.received_at >= o.minute AND r.received_at < o.minute + interval '1 minute') AS repeats
    FROM open o
), settled AS (
    UPDATE app.reconcile_minutes m SET is_settled = true FROM counted c
    WHERE m.minute = c.minute AND c.log_records = c.sales + c.repeats AND c.sale_records = c.sales
)
SELECT to_char(minute, 'YYYY-MM-DD"T"HH24:MI"Z"') || ': log ' || log_records || ', topic sales ' || sale_records
    || ', sales ' || sales || ', repeats ' || repeats AS what, count(*) OVER () AS n
FROM counted WHERE NOT (log_records = sales + repeats AND sale_records = sales) ORDER BY minute LIMIT %(first)s
"""

_HOURS = """
WITH open AS MATERIALIZED (
    SELECT * FROM app.reconcile_hours WHERE NOT is_settled AND touched_at < %(before)s
    ORDER BY hour_start LIMIT 100000
), days AS MATERIALIZED (
    SELECT r.place_id, date_trunc('day', r.hour_start, 'UTC') AS day_start, sum(r.purchases) AS purchases,
           sum(r.revenue) AS revenue, sum(r.nds) AS nds, sum(r.tips) AS tips, max(r.touched_at) < %(before)s AS is_quiet
    FROM (SELECT DISTINCT place_id, date_trunc('day', hour_start, 'UTC') AS day_start FROM open) o
    JOIN app.reconcile_hours r ON r.place_id = o.place_id AND r.hour_start >= o.day_start
        AND r.hour_start < o.day_start + interval '24 hours'
    GROUP BY 1, 2
), compared AS MATERIALIZED (
    SELECT o.place_id, o.hour_start, o.purchases, o.revenue, h.purchases AS found, h.revenue AS found_revenue,
        (o.purchases, o.revenue, o.nds, o.tips) IS NOT DISTINCT FROM
            (h.purchases, COALESCE(h.revenue, 0), COALESCE(h.nds, 0), COALESCE(h.tips, 0)) AS is_equal,
        d.is_quiet, d.purchases AS day_purchases, t.purchases AS day_found,
        (d.purchases, d.revenue, d.nds, d.tips) IS NOT DISTINCT FROM
            (t.purchases::numeric, COALESCE(t.revenue, 0), COALESCE(t.nds, 0), COALESCE(t.tips, 0)) AS is_day_equal,
        d.day_start
    FROM open o
    LEFT JOIN figures.place_hours h ON h.place_id = o.place_id AND h.hour_start = o.hour_start
    JOIN days d ON d.place_id = o.place_id AND d.day_start = date_trunc('day', o.hour_start, 'UTC')
    LEFT JOIN figures.place_days t ON t.place_id = d.place_id AND t.day_start = d.day_start
), settled AS (
    UPDATE app.reconcile_hours r SET is_settled = true FROM compared c
    WHERE r.place_id = c.place_id AND r.hour_start = c.hour_start AND c.is_equal AND c.is_quiet AND c.is_day_equal
)
(SELECT 'hours' AS kind, place_id || ' ' || to_char(hour_start, 'YYYY-MM-DD"T"HH24"h"') || ': expected '
    || purchases || ' / ' || revenue || ', found ' || COALESCE(found::text, 'nothing')
    || COALESCE(' / ' || found_revenue, '') AS what, count(*) OVER () AS n
 FROM compared WHERE NOT is_equal ORDER BY hour_start, place_id LIMIT %(first)s)
UNION ALL
(SELECT 'days', what, count(*) OVER () FROM (
    SELECT DISTINCT place_id || ' ' || to_char(day_start, 'YYYY-MM-DD') || ': expected ' || day_purchases
        || ', found ' || COALESCE(day_found::text, 'nothing') AS what
    FROM compared WHERE is_quiet AND NOT is_day_equal) d ORDER BY what LIMIT %(first)s)
"""

_UNKNOWN_HOURS = """
SELECT h.place_id || ' ' || to_char(h.hour_start, 'YYYY-MM-DD"T"HH24"h"') || ': ' || h.purchases AS what,
       count(*) OVER () AS n
FROM figures.place_hours h
WHERE h.updated_at >= %(since)s AND h.updated_at < %(before)s
  AND NOT EXISTS (SELECT FROM app.reconcile_hours r WHERE r.place_id = h.place_id AND r.hour_start = h.hour_start)
ORDER BY h.hour_start, h.place_id LIMIT %(first)s
"""

_CATEGORIES = """
WITH open AS MATERIALIZED (
    SELECT * FROM app.reconcile_category_hours WHERE NOT is_settled AND touched_at < %(before)s
    ORDER BY hour_start LIMIT 100000
), days AS MATERIALIZED (
    SELECT date_trunc('day', r.hour_start, 'UTC') AS day_start, r.category, sum(r.lines) AS lines,
           sum(r.checks) AS checks, sum(r.quantity) AS quantity, sum(r.revenue) AS revenue,
           max(r.touched_at) < %(before)s AS is_quiet
    FROM (SELECT DISTINCT date_trunc('day', hour_start, 'UTC') AS day_start, category FROM open) o
    JOIN app.reconcile_category_hours r ON r.category = o.category AND r.hour_start >= o.day_start
        AND r.hour_start < o.day_start + interval '24 hours'
    GROUP BY 1, 2
), compared AS MATERIALIZED (
    SELECT o.hour_start, o.category, o.checks, o.revenue, h.checks AS found, h.revenue AS found_revenue,
        (o.lines, o.checks, o.quantity, o.revenue) IS NOT DISTINCT FROM (h.lines, h.checks, h.quantity, h.revenue)
            AS is_equal,
        d.is_quiet, d.day_start, d.checks AS day_checks, t.checks AS day_found,
        (d.lines, d.checks, d.quantity, d.revenue) IS NOT DISTINCT FROM
            (t.lines::numeric, t.checks::numeric, t.quantity, t.revenue) AS is_day_equal
    FROM open o
    LEFT JOIN figures.all_category_hours h ON h.hour_start = o.hour_start AND h.category = o.category
    JOIN days d ON d.category = o.category AND d.day_start = date_trunc('day', o.hour_start, 'UTC')
    LEFT JOIN figures.all_category_days t ON t.day_start = d.day_start AND t.category = d.category
), settled AS (
    UPDATE app.reconcile_category_hours r SET is_settled = true FROM compared c
    WHERE r.hour_start = c.hour_start AND r.category = c.category AND c.is_equal AND c.is_quiet AND c.is_day_equal
)
(SELECT 'category_hours' AS kind, category || ' ' || to_char(hour_start, 'YYYY-MM-DD"T"HH24"h"') || ': expected '
    || checks || ' / ' || revenue || ', found ' || COALESCE(found::text, 'nothing')
    || COALESCE(' / ' || found_revenue, '') AS what, count(*) OVER () AS n
 FROM compared WHERE NOT is_equal ORDER BY hour_start, category LIMIT %(first)s)
UNION ALL
(SELECT 'category_days', what, count(*) OVER () FROM (
    SELECT DISTINCT category || ' ' || to_char(day_start, 'YYYY-MM-DD') || ': expected ' || day_checks
        || ', found ' || COALESCE(day_found::text, 'nothing') AS what
    FROM compared WHERE is_quiet AND NOT is_day_equal) d ORDER BY what LIMIT %(first)s)
"""

_WAITING = """
SELECT (SELECT count(*) FROM app.reconcile_missing)
     + (SELECT count(*) FROM app.reconcile_minutes WHERE NOT is_settled AND minute > '1970-01-02')
     + (SELECT count(*) FROM app.reconcile_hours WHERE NOT is_settled)
     + (SELECT count(*) FROM app.reconcile_category_hours WHERE NOT is_settled) AS waiting
"""


async def compare(
    connection: AsyncConnection[Any], *, before: dt.datetime, unknown_since: dt.datetime
) -> tuple[list[Difference], int]:
    """Differences among what has not moved since `before`, and how much may still be on its way."""
    parameters = {"before": before, "first": FIRST, "since": unknown_since}
    differences: dict[str, Difference] = {}
    for kind, query in (
        ("missing_checks", _MISSING),
        ("receipts", _RECEIPTS),
        ("", _HOURS),
        ("unknown_hours", _UNKNOWN_HOURS),
        ("", _CATEGORIES),
    ):
        found = await connection.execute(query, parameters)
        for row in await found.fetchall():
            name = kind or row["kind"]
            difference = differences.setdefault(name, Difference(kind=name, count=row["n"], first=[]))
            difference.first.append(row["what"])
    row = await (await connection.execute(_WAITING)).fetchone()
    return list(differences.values()), int(row["waiting"]) if row else 0
