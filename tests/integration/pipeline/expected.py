"""What figures must be, computed from the checks alone, and ways to send checks and to read figures."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import httpx
import msgspec
import psycopg

from bench.checks import Check

CENT = Decimal("0.01")


@dataclass
class Sums:
    """Of one place in one interval."""

    purchases: int = 0
    revenue: Decimal = Decimal(0)
    nds: Decimal = Decimal(0)
    tips: Decimal = Decimal(0)

    def row(self) -> tuple[Any, ...]:
        return (self.purchases, self.revenue, self.nds, self.tips)


@dataclass
class CategorySums:
    """Of one category at one place in one interval."""

    lines: int = 0
    checks: int = 0
    quantity: Decimal = Decimal(0)
    revenue: Decimal = Decimal(0)

    def row(self) -> tuple[Any, ...]:
        return (self.lines, self.checks, self.quantity, self.revenue)


@dataclass
class Expected:
    """All figures of a set of first arrivals."""

    totals: dict[Any, Any] = field(default_factory=lambda: defaultdict(Sums))
    hours: dict[Any, Any] = field(default_factory=lambda: defaultdict(Sums))
    days: dict[Any, Any] = field(default_factory=lambda: defaultdict(Sums))
    category_hours: dict[Any, Any] = field(default_factory=lambda: defaultdict(CategorySums))
    category_days: dict[Any, Any] = field(default_factory=lambda: defaultdict(CategorySums))
    checks: list[Any] = field(default_factory=list)

    def add(self, check: Check) -> None:
        """Count a check that arrived first under its id."""
        self.checks.append(check)
        hour = check.sold_at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        day = hour.replace(hour=0)
        for sums in (self.totals[check.place_id], self.hours[check.place_id, hour], self.days[check.place_id, day]):
            sums.purchases += 1
            sums.revenue += check.total_amount
            sums.nds += check.nds_amount
            sums.tips += check.tips_amount
        for table, start in ((self.category_hours, hour), (self.category_days, day)):
            for category in dict.fromkeys(item.category for item in check.items):
                table[check.place_id, category, start].checks += 1
            for item in check.items:
                sums = table[check.place_id, item.category, start]
                sums.lines += 1
                sums.quantity += item.quantity
                sums.revenue += item.quantity * item.price

    def analytics(self, place_id: Any, start: datetime, end: datetime) -> dict[Any, Any]:
        """The answer of /api/analytics/{place_id} for whole hours, money as Decimal."""
        inside = [c for c in self.checks if c.place_id == place_id and start <= c.sold_at < end]
        spent = sum((c.total_amount for c in inside), Decimal(0))
        categories = {}
        for category in {item.category for c in inside for item in c.items}:
            lines = [item for c in inside for item in c.items if item.category == category]
            holders = sum(1 for c in inside if any(item.category == category for item in c.items))
            money = sum((item.quantity * item.price for item in lines), Decimal(0)).quantize(CENT, ROUND_HALF_UP)
            categories[category] = {
                "total_spent": money,
                "quantity": sum((item.quantity for item in lines), Decimal(0)),
                "average_receipt": (money / holders).quantize(CENT, ROUND_HALF_UP),
            }
        return {
            "total_purchases": len(inside),
            "total_spent": spent,
            "average_receipt": (spent / len(inside)).quantize(CENT, ROUND_HALF_UP) if inside else None,
            "total_nds": sum((c.nds_amount for c in inside), Decimal(0)),
            "total_tips": sum((c.tips_amount for c in inside), Decimal(0)),
            "categories": categories,
            "unallocated": spent - sum((part["total_spent"] for part in categories.values()), Decimal(0)),
        }


TABLES = {
    "totals": "SELECT place_id, purchases, revenue, nds, tips FROM figures.place_totals",
    "hours": "SELECT place_id, hour_start, purchases, revenue, nds, tips FROM figures.place_hours",
    "days": "SELECT place_id, day_start, purchases, revenue, nds, tips FROM figures.place_days",
    "category_hours": "SELECT place_id, category, hour_start, lines, checks, quantity, revenue FROM figures.category_hours",  # noqa: E501
    "category_days": "SELECT place_id, category, day_start, lines, checks, quantity, revenue FROM figures.category_days",  # noqa: E501
}


def read_figures(url: str, prefix: str) -> Any:
    """All figures of the places whose id begins so, in the shape of `Expected`'s tables."""
    found = {}
    with psycopg.connect(url) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        for name, query in TABLES.items():
            rows = connection.execute(query + " WHERE starts_with(place_id, %s)", (prefix,)).fetchall()
            found[name] = {row[0] if len(row) == 5 else row[:-4]: row[-4:] for row in rows}
    return found


def rows_of(expected: Expected) -> dict[Any, Any]:
    """The expected figures in the shape of `read_figures`."""
    return {name: {key: sums.row() for key, sums in getattr(expected, name).items()} for name in TABLES}


def differences(url: str, expected: Expected, prefix: str) -> Any:
    """Where PostgreSQL and the independent computation differ, a few of each table."""
    found = read_figures(url, prefix)
    wanted = rows_of(expected)
    lines = []
    for name, rows in wanted.items():
        keys = [key for key in {*rows, *found[name]} if rows.get(key) != found[name].get(key)]
        lines += [f"{name} {key}: expected {rows.get(key)}, is {found[name].get(key)}" for key in keys[:3]]
        if keys:
            lines.append(f"{name}: {len(keys)} of {len(rows)} rows differ")
    return lines


def placed(check: Check, prefix: str) -> Check:
    """The same check at a place of this test's own, with an id of its own."""
    return msgspec.structs.replace(
        check, place_id=f"{prefix}-{check.place_id}", transaction_id=f"{prefix}-{check.transaction_id}"
    )


def send_batch(url: str, checks: list[Check]) -> None:
    """Send checks as one batch; every one must be accepted."""
    body = b"\n".join(check.json() for check in checks)
    answer = httpx.post(
        f"{url}/api/checks/batch/", content=body, headers={"Content-Type": "application/x-ndjson"}, timeout=120
    )
    assert answer.status_code == 200, answer.text[:500]
    assert answer.json()["accepted"] == len(checks)


def login(url: str, password: str, username: str = "admin") -> httpx.Client:
    """A client of analytics_api that is signed in."""
    answer = httpx.post(f"{url}/auth/login/", json={"username": username, "password": password}, timeout=30)
    assert answer.status_code == 200, answer.text
    return httpx.Client(base_url=url, headers={"Authorization": f"Token {answer.json()['token']}"}, timeout=60)


def hours_back(hours: float) -> datetime:
    """A whole hour in the past."""
    return (datetime.now(UTC) - timedelta(hours=hours)).replace(minute=0, second=0, microsecond=0)
