"""Made-up checks, the tables the pipeline would make of them, and every figure computed again from the checks alone.

The expected figures never look at the tables: they add the checks' own Decimals.
"""

import datetime as dt
import random
from collections import defaultdict
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import psycopg

UTC = dt.UTC
CENT = Decimal("0.01")
NAMES = ["продукты", "electronics", "кофе и чай", "=1+1", "<b>bold</b>", 'qu"ote', "a;b,c", "Ünïcødé 🛒"]


@dataclass(frozen=True)
class Line:
    product_id: str
    category: str
    quantity: Decimal
    price: Decimal


@dataclass(frozen=True)
class Check:
    transaction_id: str
    place_id: str
    place_name: str
    sold_at: dt.datetime
    received_at: dt.datetime
    total: Decimal
    nds: Decimal
    tips: Decimal
    lines: tuple[Line, ...]


def checks(
    count: int, *, places: int = 7, start: dt.datetime, hours: int, seed: int, prefix: str = "tx", received: dt.datetime
) -> list[Check]:
    """`count` checks at random over `hours` from `start`."""
    rng = random.Random(seed)
    made = []
    for number in range(count):
        place = rng.randrange(places)
        lines = tuple(
            Line(
                product_id=f"p{rng.randrange(500)}",
                category=rng.choice(NAMES),
                quantity=Decimal(rng.randrange(1, 9000)) / 1000 if rng.random() < 0.3 else Decimal(rng.randrange(1, 5)),
                price=Decimal(rng.randrange(1, 200000)) / 100,
            )
            for _ in range(rng.randrange(1, 6))
        )
        exact = sum((line.quantity * line.price for line in lines), Decimal(0))
        total = (exact * Decimal(rng.choice(["1", "0.95", "1.1"]))).quantize(CENT, ROUND_HALF_UP)
        made.append(
            Check(
                transaction_id=f"{prefix}-{number}",
                place_id=f"{place:03d}",
                place_name=f"Магазин №{place}",
                sold_at=start + dt.timedelta(milliseconds=rng.randrange(hours * 3600 * 1000)),
                received_at=received + dt.timedelta(milliseconds=number),
                total=total,
                nds=(total / 6).quantize(CENT, ROUND_HALF_UP),
                tips=Decimal(rng.randrange(0, 5000)) / 100,
                lines=lines,
            )
        )
    return made


def hour_of(moment: dt.datetime) -> dt.datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def day_of(moment: dt.datetime) -> dt.datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def write(url: str, made: list[Check], *, batch: int = 400) -> None:
    """Upsert, as the sinks do, what the pipeline would have made of the checks: running totals, in batches."""
    tables: dict[str, dict[tuple[Any, ...], list[Any]]] = defaultdict(dict)
    with psycopg.connect(url) as connection:
        for begin in range(0, len(made), batch):
            touched: dict[str, set[tuple[Any, ...]]] = defaultdict(set)
            for check in made[begin : begin + batch]:
                _count(tables, touched, check)
            for table, keys in touched.items():
                _upsert(connection, table, {key: tables[table][key] for key in keys})
            connection.commit()


def _count(
    tables: dict[str, dict[tuple[Any, ...], list[Any]]], touched: dict[str, set[tuple[Any, ...]]], check: Check
) -> None:
    def add(table: str, key: tuple[Any, ...], values: list[Any]) -> None:
        row = tables[table].setdefault(key, [0] * len(values))
        for index, value in enumerate(values):
            row[index] += value
        touched[table].add(key)

    sums = [1, check.total, check.nds, check.tips]
    add("place_hours", (check.place_id, hour_of(check.sold_at)), sums)
    add("place_days", (check.place_id, day_of(check.sold_at)), sums)
    seen = set()
    for number, line in enumerate(check.lines, start=1):
        first = line.category not in seen
        seen.add(line.category)
        values = [1, int(first), line.quantity, line.quantity * line.price]
        add("category_hours", (check.place_id, line.category, hour_of(check.sold_at)), values)
        add("category_days", (check.place_id, line.category, day_of(check.sold_at)), values)
        key = (check.transaction_id, number)
        tables["sale_lines"][key] = [
            check.place_id, check.sold_at, line.product_id, line.category, line.quantity, line.price,
            line.quantity * line.price, int(first),
        ]  # fmt: skip
        touched["sale_lines"].add(key)
    known = tables["place_totals"].get((check.place_id,), ["", 0, 0, 0, 0, check.sold_at, check.sold_at])
    tables["place_totals"][check.place_id,] = [
        check.place_name, *(known[i + 1] + sums[i] for i in range(4)),
        min(known[5], check.sold_at), max(known[6], check.sold_at),
    ]  # fmt: skip
    touched["place_totals"].add((check.place_id,))
    tables["sales"][check.transaction_id,] = [
        check.place_id, check.place_name, check.sold_at, check.received_at,
        check.total, check.nds, check.tips, "cash", "h",
    ]  # fmt: skip
    touched["sales"].add((check.transaction_id,))


COLUMNS = {
    "place_hours": (("place_id", "hour_start"), ("purchases", "revenue", "nds", "tips")),
    "place_days": (("place_id", "day_start"), ("purchases", "revenue", "nds", "tips")),
    "category_hours": (("place_id", "category", "hour_start"), ("lines", "checks", "quantity", "revenue")),
    "category_days": (("place_id", "category", "day_start"), ("lines", "checks", "quantity", "revenue")),
    "sale_lines": (
        ("transaction_id", "line_no"),
        ("place_id", "sold_at", "product_id", "category", "quantity", "price", "amount", "first_of_category"),
    ),
    "place_totals": (
        ("place_id",),
        ("place_name", "purchases", "revenue", "nds", "tips", "first_sold_at", "last_sold_at"),
    ),
    "sales": (
        ("transaction_id",),
        ("place_id", "place_name", "sold_at", "received_at", "total_amount", "nds_amount", "tips_amount",
         "payment_method", "content_hash"),
    ),
}  # fmt: skip


def _upsert(connection: psycopg.Connection, table: str, rows: dict[tuple[Any, ...], list[Any]]) -> None:
    keys, values = COLUMNS[table]
    names = [*keys, *values]
    place = ", ".join(["%s"] * len(names))
    update = ", ".join(f"{name} = EXCLUDED.{name}" for name in values)
    query = (
        f"INSERT INTO pipeline_v1.{table} ({', '.join(names)}) VALUES {{}}"
        f" ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {update}"
    )
    entries = list(rows.items())
    for begin in range(0, len(entries), 64):
        part = entries[begin : begin + 64]
        connection.execute(
            query.format(", ".join([f"({place})"] * len(part))), [v for key, row in part for v in (*key, *row)]
        )


@dataclass
class Expected:
    """Sums of some checks."""

    purchases: int = 0
    spent: Decimal = Decimal("0.00")
    nds: Decimal = Decimal("0.00")
    tips: Decimal = Decimal("0.00")
    categories: dict[str, list[Any]] = field(default_factory=dict)

    def add(self, check: Check) -> None:
        self.purchases += 1
        self.spent += check.total
        self.nds += check.nds
        self.tips += check.tips
        for name in {line.category for line in check.lines}:
            self.categories.setdefault(name, [0, Decimal(0), Decimal(0)])[0] += 1
        for line in check.lines:
            self.categories[line.category][1] += line.quantity
            self.categories[line.category][2] += line.quantity * line.price

    def answer(self, place_id: str | None, place_name: str | None) -> dict[str, Any]:
        """As REST answers it, numbers as Decimal."""
        categories = {
            name: {
                "total_spent": cents(revenue),
                "quantity": quantity.quantize(Decimal("0.001")),
                "average_receipt": cents(revenue / count),
            }
            for name, (count, quantity, revenue) in self.categories.items()
        }
        return {
            "place_id": place_id,
            "place_name": place_name,
            "total_purchases": self.purchases,
            "total_spent": self.spent,
            "average_receipt": cents(self.spent / self.purchases) if self.purchases else None,
            "taxes_amount": {"total_nds": self.nds, "total_tips": self.tips},
            "category_analytics": categories,
            "unallocated": self.spent - sum((c["total_spent"] for c in categories.values()), Decimal(0)),
        }


def cents(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, ROUND_HALF_UP)


def within(made: list[Check], start: dt.datetime | None, end: dt.datetime | None) -> list[Check]:
    return [c for c in made if (start is None or c.sold_at >= start) and (end is None or c.sold_at < end)]


def by_place(made: list[Check], some: list[Check]) -> list[dict[str, Any]]:
    """Expected items: every place of `made`, with the sums of `some`."""
    names = {check.place_id: check.place_name for check in made}
    sums: dict[str, Expected] = defaultdict(Expected)
    for check in some:
        sums[check.place_id].add(check)
    return [sums[place_id].answer(place_id, names[place_id]) for place_id in sorted(names)]


def total(some: list[Check]) -> dict[str, Any]:
    expected = Expected()
    for check in some:
        expected.add(check)
    return expected.answer(None, None)


def by_hour(some: list[Check]) -> list[dict[str, Any]]:
    sums: dict[dt.datetime, Expected] = defaultdict(Expected)
    for check in some:
        sums[hour_of(check.sold_at)].add(check)
    return [
        {
            "hour_start": hour.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "total_purchases": e.purchases,
            "total_spent": e.spent,
            "total_nds": e.nds,
            "total_tips": e.tips,
        }
        for hour, e in sorted(sums.items())
    ]
