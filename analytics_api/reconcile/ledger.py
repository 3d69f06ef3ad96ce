"""What reconciliation itself counts, from records alone, kept in PostgreSQL beside the offsets it comes from."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from psycopg import AsyncConnection

from analytics_api.reconcile.reader import Batch, Record, hour_of, minute_of

ZERO = Decimal(0)


def receipts(records: Iterable[Record]) -> dict[dt.datetime, int]:
    """Records by the minute of their receipt."""
    minutes: dict[dt.datetime, int] = defaultdict(int)
    for record in records:
        minutes[minute_of(record.value["received_at"])] += 1
    return minutes


def place_hours(records: Iterable[Record]) -> dict[tuple[str, dt.datetime], list[Any]]:
    """Purchases, revenue, nds, tips by place and hour of sale."""
    hours: dict[tuple[str, dt.datetime], list[Any]] = defaultdict(lambda: [0, ZERO, ZERO, ZERO])
    for record in records:
        sale = record.value
        sums = hours[sale["place_id"], hour_of(sale["sold_at"])]
        sums[0] += 1
        sums[1] += sale["total_amount"] or ZERO
        sums[2] += sale["nds_amount"] or ZERO
        sums[3] += sale["tips_amount"] or ZERO
    return hours


def category_hours(records: Iterable[Record]) -> dict[tuple[dt.datetime, str], list[Any]]:
    """Lines, checks, quantity, revenue by hour of sale and category, over all places."""
    hours: dict[tuple[dt.datetime, str], list[Any]] = defaultdict(lambda: [0, 0, ZERO, ZERO])
    for record in records:
        sale = record.value
        hour = hour_of(sale["sold_at"])
        seen = set()
        for item in sale["items"] or []:
            line = {name.lower(): field for name, field in item.items()}
            category = line["category"]
            sums = hours[hour, category]
            sums[0] += 1
            sums[1] += category not in seen
            seen.add(category)
            sums[2] += line["quantity"]
            sums[3] += line["quantity"] * line["price"]
    return hours


async def offsets(connection: AsyncConnection[Any], topic: str) -> dict[int, int]:
    """Next offset to read of each partition."""
    found = await connection.execute(
        "SELECT partition_no, next_offset FROM app.reconcile_offsets WHERE topic = %s", (topic,)
    )
    return {row["partition_no"]: row["next_offset"] for row in await found.fetchall()}


async def add_checks(connection: AsyncConnection[Any], batch: Batch, *, now: dt.datetime) -> None:
    """Book records of topic checks: their receipts, and those whose id PostgreSQL's sales do not have (yet)."""
    await _add_receipts(connection, receipts(batch.records), "log_records", now)
    await connection.execute(
        """
        INSERT INTO app.reconcile_missing (transaction_id, partition_no, offset_no, found_at)
        SELECT DISTINCT ON (c.id) c.id, c.partition_no, c.offset_no, %(now)s
        FROM unnest(%(ids)s::text[], %(partitions)s::int[], %(offsets)s::bigint[]) AS c(id, partition_no, offset_no)
        WHERE NOT EXISTS (SELECT FROM figures.sales s WHERE s.transaction_id = c.id)
        ORDER BY c.id, c.offset_no
        ON CONFLICT (transaction_id) DO NOTHING
        """,
        {
            "ids": [record.value["transaction_id"] for record in batch.records],
            "partitions": [record.partition for record in batch.records],
            "offsets": [record.offset for record in batch.records],
            "now": now,
        },
    )
    await _keep_offsets(connection, "checks", batch.offsets)


async def add_sales(connection: AsyncConnection[Any], topic: str, batch: Batch, *, now: dt.datetime) -> None:
    """Book records of topic sales: receipts, place hours, category hours."""
    await _add_receipts(connection, receipts(batch.records), "sale_records", now)
    places = place_hours(batch.records)
    await connection.execute(
        """
        INSERT INTO app.reconcile_hours AS r (place_id, hour_start, purchases, revenue, nds, tips, touched_at)
        SELECT n.*, %(now)s FROM unnest(%(places)s::text[], %(hours)s::timestamptz[], %(purchases)s::bigint[],
            %(revenue)s::numeric[], %(nds)s::numeric[], %(tips)s::numeric[]) n
        ON CONFLICT (place_id, hour_start) DO UPDATE SET purchases = r.purchases + EXCLUDED.purchases,
            revenue = r.revenue + EXCLUDED.revenue, nds = r.nds + EXCLUDED.nds, tips = r.tips + EXCLUDED.tips,
            touched_at = EXCLUDED.touched_at, is_settled = false
        """,
        {
            "now": now,
            "places": [place for place, _ in places],
            "hours": [hour for _, hour in places],
            "purchases": [sums[0] for sums in places.values()],
            "revenue": [sums[1] for sums in places.values()],
            "nds": [sums[2] for sums in places.values()],
            "tips": [sums[3] for sums in places.values()],
        },
    )
    categories = category_hours(batch.records)
    await connection.execute(
        """
        INSERT INTO app.reconcile_category_hours AS r
            (hour_start, category, lines, checks, quantity, revenue, touched_at)
        SELECT n.*, %(now)s FROM unnest(%(hours)s::timestamptz[], %(categories)s::text[], %(lines)s::bigint[],
            %(checks)s::bigint[], %(quantity)s::numeric[], %(revenue)s::numeric[]) n
        ON CONFLICT (hour_start, category) DO UPDATE SET lines = r.lines + EXCLUDED.lines,
            checks = r.checks + EXCLUDED.checks, quantity = r.quantity + EXCLUDED.quantity,
            revenue = r.revenue + EXCLUDED.revenue, touched_at = EXCLUDED.touched_at, is_settled = false
        """,
        {
            "now": now,
            "hours": [hour for hour, _ in categories],
            "categories": [category for _, category in categories],
            "lines": [sums[0] for sums in categories.values()],
            "checks": [sums[1] for sums in categories.values()],
            "quantity": [sums[2] for sums in categories.values()],
            "revenue": [sums[3] for sums in categories.values()],
        },
    )
    await _keep_offsets(connection, topic, batch.offsets)


async def forget(connection: AsyncConnection[Any]) -> None:
    """Begin anew: another sales topic is read from now on, or a topic was made again and its offsets mean nothing."""
    for table in ("offsets", "minutes", "hours", "category_hours", "missing"):
        await connection.execute(f"DELETE FROM app.reconcile_{table}")  # noqa: S608  (names from this file)


async def unsettle(connection: AsyncConnection[Any]) -> None:
    """Compare everything again: another version of PostgreSQL's tables is read from now on."""
    for table in ("reconcile_minutes", "reconcile_hours", "reconcile_category_hours"):
        await connection.execute(f"UPDATE app.{table} SET is_settled = false WHERE is_settled")  # noqa: S608  (names from this file)


async def _add_receipts(
    connection: AsyncConnection[Any], minutes: dict[dt.datetime, int], column: str, now: dt.datetime
) -> None:
    await connection.execute(
        f"""
        INSERT INTO app.reconcile_minutes AS r (minute, {column}, touched_at)
        SELECT n.minute, n.records, %(now)s FROM unnest(%(minutes)s::timestamptz[], %(records)s::bigint[])
            AS n(minute, records)
        ON CONFLICT (minute) DO UPDATE SET {column} = r.{column} + EXCLUDED.{column},
            touched_at = EXCLUDED.touched_at, is_settled = false
        """,  # noqa: S608  (names from this file)
        {"now": now, "minutes": list(minutes), "records": list(minutes.values())},
    )


async def _keep_offsets(connection: AsyncConnection[Any], topic: str, offsets: dict[int, int]) -> None:
    for partition, offset in sorted(offsets.items()):
        await connection.execute(
            "INSERT INTO app.reconcile_offsets VALUES (%s, %s, %s)"
            " ON CONFLICT (topic, partition_no) DO UPDATE SET next_offset = EXCLUDED.next_offset",
            (topic, partition, offset),
        )
