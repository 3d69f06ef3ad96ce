"""Ten thousand checks, repeats and conflicts among them: every figure equals an independent computation."""

import asyncio
import csv
import io
import json
import random
import uuid
from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import psycopg
import pytest

from analytics_api.db import Database
from analytics_api.reconcile.services import Reconciler
from analytics_api.settings import Settings
from bench.checks import Plan, checks
from tests.fix_stack import wait_for
from tests.integration.pipeline.expected import (
    Expected,
    differences,
    hours_back,
    login,
    placed,
    send_batch,
)

COUNT = 10_000


class Day:
    """What was sent: first arrivals, repeats and conflicts, and what the figures must be."""

    def __init__(self, stack: Any) -> None:
        self.prefix = f"x{uuid.uuid4().hex[:8]}"
        self.end = hours_back(3)
        self.start = self.end - timedelta(hours=48)
        self.expected = Expected()
        self.repeats: dict[str, int] = {}
        self.conflicts: dict[str, int] = {}
        draw = random.Random(20260214)
        plan = Plan(seed=7, count=COUNT, end=self.end, hours=48, shuffled=True)
        firsts = [placed(check, self.prefix) for check in checks(plan)]
        waiting: list[Any] = []
        for at in range(0, COUNT, 500):
            part = firsts[at : at + 500]
            # a second arrival goes out only when the first has got its answer; several may wait for a later batch
            later, waiting = waiting, []
            send_batch(stack.intake_url, draw.sample([*part, *later], len(part) + len(later)))
            for check in part:
                self.expected.add(check)
                if draw.random() < 0.10:
                    waiting.append(check)
                    self.repeats[check.transaction_id] = self.repeats.get(check.transaction_id, 0) + 1
                if draw.random() < 0.02:
                    other = msgspec.structs.replace(check, total_amount=check.total_amount + Decimal("0.01"))
                    waiting.append(other)
                    self.conflicts[check.transaction_id] = 1
        send_batch(stack.intake_url, waiting)

    def wait(self, stack: Any) -> None:
        """Until PostgreSQL holds as much as it must hold, or for as long as it is fair to wait."""
        wanted = {
            "sales": COUNT,
            "sale_lines": sum(len(check.items) for check in self.expected.checks),
            "repeated_checks": sum(self.repeats.values()) + len(self.conflicts),
        }

        def arrived() -> bool:
            with psycopg.connect(stack.owner_url) as connection:
                for table, count in wanted.items():
                    query = f"SELECT count(*) FROM figures.{table} WHERE starts_with(transaction_id, %s)"
                    row = connection.execute(query, (self.prefix,)).fetchone()
                    if row is None or row[0] < count:
                        return False
            return not differences(stack.owner_url, self.expected, self.prefix)

        wait_for(arrived, limit_s=180, what="all figures are exact", every_s=0.5)


@pytest.fixture(scope="module")
def day(stack: Any) -> Any:
    """Ten thousand checks of 48 hours, in any order of time, sent and arrived."""
    made = Day(stack)
    try:
        made.wait(stack)
    except pytest.fail.Exception:
        pytest.fail("\n".join(differences(stack.owner_url, made.expected, made.prefix)) or "repeats are missing")
    return made


def test_every_figure_in_postgresql_is_exact(stack: Any, day: Any) -> None:
    """Counts and sums by place, hour, day and category equal an independent computation with Decimal."""
    assert differences(stack.owner_url, day.expected, day.prefix) == []
    assert sum(sums.purchases for sums in day.expected.totals.values()) == COUNT


def test_every_sale_is_there_once_with_its_lines(stack: Any, day: Any) -> None:
    """One row a transaction_id, with what its first arrival said, and one row a line."""
    query = (
        "SELECT transaction_id, place_id, place_name, sold_at, total_amount, nds_amount, tips_amount, payment_method "
        "FROM figures.sales WHERE starts_with(place_id, %s)"
    )
    lines = (
        "SELECT transaction_id, line_no, product_id, category, quantity, price, amount FROM figures.sale_lines "
        "WHERE starts_with(place_id, %s)"
    )
    with psycopg.connect(stack.owner_url) as connection:
        sales = set(connection.execute(query, (day.prefix,)).fetchall())
        found_lines = set(connection.execute(lines, (day.prefix,)).fetchall())
    expected = {
        (
            check.transaction_id, check.place_id, check.place_name, check.sold_at, check.total_amount,
            check.nds_amount, check.tips_amount, check.payment_method,
        )
        for check in day.expected.checks
    }  # fmt: skip
    expected_lines = {
        (check.transaction_id, number, item.product_id, item.category, item.quantity, item.price,
         item.quantity * item.price)
        for check in day.expected.checks
        for number, item in enumerate(check.items, start=1)
    }  # fmt: skip
    assert expected == sales
    assert expected_lines == found_lines


def test_every_repeat_is_kept_and_every_conflict_is_told(stack: Any, day: Any) -> None:
    """What arrived again under an id is there with its number, and whether it said something else."""
    query = (
        "SELECT transaction_id, count(*) FILTER (WHERE NOT is_conflict), count(*) FILTER (WHERE is_conflict), "
        "min(arrivals), max(arrivals) FROM figures.repeated_checks WHERE starts_with(transaction_id, %s) GROUP BY 1"
    )
    with psycopg.connect(stack.owner_url) as connection:
        found = {row[0]: row[1:] for row in connection.execute(query, (day.prefix,))}
    expected = {}
    for name in {*day.repeats, *day.conflicts}:
        repeats, conflicts = day.repeats.get(name, 0), day.conflicts.get(name, 0)
        expected[name] = (repeats, conflicts, 2, 1 + repeats + conflicts)
    assert expected == found


def test_the_api_tells_the_same(stack: Any, day: Any) -> None:
    """Analytics of every place, over all of it and over parts that begin within a day, are exact to the kopeck."""
    with login(stack.analytics_url, stack.admin_password) as client:
        intervals = [
            (day.start, day.end + timedelta(hours=1)),
            (day.start + timedelta(hours=7), day.start + timedelta(hours=31)),
            (day.end - timedelta(hours=2), day.end - timedelta(hours=1)),
        ]
        for place_id in sorted(day.expected.totals):
            for start, end in intervals:
                answer = client.get(f"/api/analytics/{place_id}/", params={"from": iso(start), "to": iso(end)})
                assert answer.status_code == 200, answer.text
                assert day.expected.analytics(place_id, start, end) == flat(answer)


def test_hours_of_a_place_are_exact_over_the_api(stack: Any, day: Any) -> None:
    """/api/hours/ has a row for each hour with sales, and no other."""
    place_id = min(day.expected.totals)
    with login(stack.analytics_url, stack.admin_password) as client:
        rows = []
        params = {"place_id": place_id, "from": iso(day.start), "to": iso(day.end + timedelta(hours=1)), "limit": "20"}
        while True:
            answer = client.get("/api/hours/", params=params)
            assert answer.status_code == 200, answer.text
            document = json.loads(answer.content, parse_float=Decimal)
            rows += document["items"]
            if not document.get("next_cursor"):
                break
            params["cursor"] = document["next_cursor"]
    found = {
        row["hour_start"][:13]: (row["total_purchases"], row["total_spent"], row["total_nds"], row["total_tips"])
        for row in rows
    }
    expected = {
        hour.isoformat()[:13]: sums.row() for (place, hour), sums in day.expected.hours.items() if place == place_id
    }
    assert expected == found


def test_ten_random_ranges_as_json_and_csv(stack: Any, day: Any) -> None:
    """Overall analytics of all the day's places, their total, and both kinds of CSV, over ranges drawn at random."""
    draw = random.Random(COUNT)
    places = sorted(day.expected.totals)
    hours = [day.start + timedelta(hours=number) for number in range(51)]
    ranges = [(hours[0], hours[-1]), *(sorted(draw.sample(hours, 2)) for _ in range(10))]
    with login(stack.analytics_url, stack.admin_password) as client:
        for start, end in ranges:
            params = {"from": iso(start), "to": iso(end), "place_id": places, "limit": 1000}
            document = decimals(client, "/api/analytics/", params)
            expected = {place: day.expected.analytics(place, start, end) for place in places}
            assert expected == {item["place_id"]: flat_item(item) for item in document["items"]}
            for name in ("total_purchases", "total_spent", "total_nds", "total_tips"):
                assert sum(one[name] for one in expected.values()) == flat_item(document["total"])[name]
            rows = table(client, "/api/analytics/", params)
            assert {row["place_id"]: Decimal(row["total_spent"]) for row in rows} == {
                place: one["total_spent"] for place, one in expected.items()
            }
            rows = table(client, "/api/analytics/", {**params, "part": "categories"})
            assert {(row["place_id"], row["category"]): Decimal(row["quantity"]) for row in rows} == {
                (place, name): part["quantity"]
                for place, one in expected.items()
                for name, part in one["categories"].items()
            }


def test_places_checks_and_snapshots_over_the_api(stack: Any, day: Any) -> None:
    """Places, what arrived, and a snapshot of the finished hours tell the same as the checks."""
    places = sorted(day.expected.totals)
    with login(stack.analytics_url, stack.admin_password) as client:
        found = decimals(client, "/api/places/", {"search": day.prefix, "limit": 1000})["items"]
        assert {place: day.expected.totals[place].purchases for place in places} == {
            item["place_id"]: item["total_purchases"] for item in found
        }
        name = min(day.conflicts)
        kinds = [item["kind"] for item in decimals(client, "/api/checks/", {"transaction_id": name})["items"]]
        assert sorted(kinds) == sorted(["sale", "conflict", *["repeat"] * day.repeats.get(name, 0)])
        history = decimals(client, "/api/checks/history/", {"transaction_id": name})
        assert len(kinds) == len(history["arrivals"])
        assert client.post("/api/snapshots/run/").status_code == 200
        params = {"place_id": places, "from": iso(day.start), "to": iso(day.end), "limit": 10000}
        taken = decimals(client, "/api/snapshots/", params)["items"]
        assert {
            (place, hour.isoformat()[:13]): (sums.purchases, sums.nds, sums.tips)
            for (place, hour), sums in day.expected.hours.items()
            if hour < day.end
        } == {
            (item["place_id"], item["hour_start"][:13]): (
                item["total_purchases"],
                item["total_nds"],
                item["total_tips"],
            )
            for item in taken
        }


def test_reconciliation_with_the_real_log(stack: Any, day: Any) -> None:
    """Read from Kafka's own topics, the log and PostgreSQL agree about this day: no difference names it."""
    settings = Settings.from_environment({**stack.environment, "CHECKS_RECONCILE_LAG_S": "1"})

    async def compare() -> Any:
        database = Database(settings)
        await database.open()
        try:
            return await Reconciler(database, settings).run()
        finally:
            await database.close()

    results = []

    def settled() -> Any:
        result = asyncio.run(compare())
        if result is not None:
            results.append(result)
        return len(results) > 1 and results[-1].outcome != "failed" and results[-1].log_records >= COUNT

    wait_for(settled, limit_s=120, what="the log is read", every_s=1.5)
    told = [text for difference in results[-1].differences for text in difference.first]
    assert [text for text in told if day.prefix in text] == []
    assert results[-1].sale_records >= COUNT


def decimals(client: Any, path: Any, params: Any) -> Any:
    """A JSON answer with numbers digit by digit."""
    answer = client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return json.loads(answer.content, parse_float=Decimal)


def table(client: Any, path: Any, params: Any) -> list[Any]:
    """The rows of a CSV answer."""
    answer = client.get(path, params={**params, "format": "csv"})
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))


def iso(moment: Any) -> Any:
    return moment.isoformat().replace("+00:00", "Z")


def flat(answer: Any) -> Any:
    """The answer in the shape of Expected.analytics, numbers with their digits."""
    return flat_item(json.loads(answer.content, parse_float=Decimal))


def flat_item(document: Any) -> dict[Any, Any]:
    """One place of an answer in the shape of Expected.analytics."""
    return {
        "total_purchases": document["total_purchases"],
        "total_spent": document["total_spent"],
        "average_receipt": document["average_receipt"],
        "total_nds": document["taxes_amount"]["total_nds"],
        "total_tips": document["taxes_amount"]["total_tips"],
        "categories": document["category_analytics"],
        "unallocated": document["unallocated"],
    }
