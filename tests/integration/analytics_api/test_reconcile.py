"""Reconciliation: equal when all is there, patient while it may be on its way, an alarm with names when it stays."""

import asyncio
import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

from analytics_api.db import Database
from analytics_api.reconcile.reader import Batch, LogAway, Record
from analytics_api.reconcile.schemas import Reconciliation
from analytics_api.reconcile.services import Reconciler, sales_topic
from analytics_api.settings import Settings
from tests.conftest import SEED
from tests.integration.analytics_api import made_up
from tests.integration.analytics_api.made_up import Check
from tests.integration.analytics_api.servers import Postgres

START = dt.datetime(2024, 2, 6, 22, tzinfo=dt.UTC)
RECEIVED = dt.datetime(2024, 2, 7, 3, 15, 30, tzinfo=dt.UTC)
LATER = RECEIVED + dt.timedelta(hours=1)


@dataclass
class Log:
    """Topics in memory, read as the real reader reads Kafka's."""

    topics_: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {"checks": [], "sales": []})
    is_away: bool = False

    def close(self) -> None:
        """Nothing is open."""

    def topics(self) -> dict[str, list[int]]:
        if self.is_away:
            raise LogAway("Kafka does not answer: test")
        return {name: [0] for name in self.topics_}

    def batches(self, topic: str, _: list[int], offsets: dict[int, int], *, until: float) -> Iterator[Batch]:
        assert until
        begin, values = offsets.get(0, 0), self.topics_[topic]
        for first in range(begin, len(values), 70):
            part = values[first : first + 70]
            records = [Record(0, first + number, value) for number, value in enumerate(part)]
            yield Batch(records, {0: first + len(part)}, is_at_end=False)
        yield Batch([], {0: len(values)}, is_at_end=True)

    def send(self, checks: list[Check], *, sold: bool = True) -> None:
        for check in checks:
            items = [
                {
                    "PRODUCT_ID": line.product_id,
                    "CATEGORY": line.category,
                    "QUANTITY": line.quantity,
                    "PRICE": line.price,
                }
                for line in check.lines
            ]
            value = {
                "transaction_id": check.transaction_id,
                "place_id": check.place_id,
                "sold_at": check.sold_at,
                "received_at": check.received_at,
                "items": items,
                "total_amount": check.total,
                "nds_amount": check.nds,
                "tips_amount": check.tips,
            }
            self.topics_["checks"].append(value)
            if sold:
                self.topics_["sales"].append(value)


class Bench:
    """A database, a log and a reconciler by a clock of the test."""

    def __init__(self, postgres: Postgres, name: str) -> None:
        self.url = postgres.url(name)
        self.settings = Settings(database_url=postgres.url(name, "checks_api"))
        self.log = Log()
        self.now = LATER

    def run(self, *, minutes: int = 10) -> Reconciliation:
        """Compare, as if `minutes` had passed."""

        async def work() -> Reconciliation | None:
            pool = Database(self.settings)
            await pool.open()
            reconciler = Reconciler(pool, self.settings, lambda _: self.log, lambda: self.now)  # type: ignore[arg-type, return-value] # made-up log and clock
            result = await reconciler.run()
            await pool.close()
            return result

        self.now += dt.timedelta(minutes=minutes)
        result = asyncio.run(work())
        assert result is not None
        return result

    def execute(self, statement: str, *parameters: Any) -> None:
        with psycopg.connect(self.url) as connection:
            connection.execute(statement, parameters)


@pytest.fixture
def bench(postgres: Postgres, new_database: Callable[[], str]) -> Bench:
    return Bench(postgres, new_database())


def some(count: int, prefix: str = "tx") -> list[Check]:
    return made_up.checks(count, start=START, hours=6, seed=SEED, prefix=prefix, received=RECEIVED)


def kinds(result: Reconciliation) -> dict[str, int]:
    return {difference.kind: difference.count for difference in result.differences}


def test_equal(bench: Bench) -> None:
    """Everything that the log holds is in every table: after the allowed lag the outcome is equal, with the counts."""
    checks = some(200)
    bench.log.send(checks)
    made_up.write(bench.url, checks)
    first = bench.run()
    assert first.outcome == "catching_up"  # nothing is judged while it may still move
    second = bench.run()
    assert (second.outcome, second.differences, second.waiting) == ("equal", [], 0)
    assert (second.log_records, second.sale_records, second.distinct_checks) == (200, 200, 200)


def test_repeats_are_no_difference(bench: Bench) -> None:
    """A repeated arrival is in the log and in repeated_checks: log records are sales and repeats together."""
    checks = some(50)
    bench.log.send(checks)
    made_up.write(bench.url, checks)
    bench.log.send(checks[:5], sold=False)
    for check in checks[:5]:
        bench.execute(
            "INSERT INTO pipeline_v1.repeated_checks (transaction_id, arrivals, received_at) VALUES (%s, 2, %s)",
            check.transaction_id,
            check.received_at,
        )
    bench.run()
    result = bench.run()
    assert (result.outcome, result.log_records, result.distinct_checks) == ("equal", 55, 50)
    # A repeat that is missing is told by the minute of its receipt.
    bench.log.send(checks[:1], sold=False)
    bench.run()
    assert kinds(bench.run()) == {"receipts": 1}


def test_lost_checks_are_named(bench: Bench) -> None:
    """A check that never becomes a sale: not judged at first, then an alarm with its id; healed when it comes."""
    checks = some(120)
    bench.log.send(checks[:118])
    bench.log.send(checks[118:], sold=False)
    made_up.write(bench.url, checks[:118])
    assert bench.run().outcome == "catching_up"
    result = bench.run()
    assert result.outcome == "difference"
    missing = next(d for d in result.differences if d.kind == "missing_checks")
    assert (missing.count, missing.first) == (2, ["tx-118", "tx-119"])
    assert result.distinct_checks == 120
    bench.log.topics_["sales"] += bench.log.topics_["checks"][118:]
    made_up.write(bench.url, checks)
    bench.run()
    assert bench.run().outcome == "equal"


def test_a_wrong_sum_is_found_where_it_is(bench: Bench) -> None:
    """A changed hour, day or category total is told with its place, what was expected and what was found."""
    checks = some(150)
    bench.log.send(checks)
    made_up.write(bench.url, checks)
    bench.run()
    with psycopg.connect(bench.url) as connection:
        for table, change, order in (
            ("place_hours", "revenue = revenue + 0.01", "place_id, hour_start"),
            ("place_days", "purchases = purchases + 1", "place_id DESC, day_start"),
            ("category_hours", "quantity = quantity - 0.001", "place_id, hour_start, category"),
            ("category_days", "lines = lines + 1", "place_id, day_start, category DESC"),
        ):
            statement = (
                f"UPDATE pipeline_v1.{table} SET {change} WHERE ctid IN"
                f" (SELECT ctid FROM pipeline_v1.{table} ORDER BY {order} LIMIT 1)"
            )
            connection.execute(statement)
    result = bench.run()
    assert kinds(result) == {"hours": 1, "days": 1, "category_hours": 1, "category_days": 1}
    assert "expected" in result.differences[0].first[0]
    assert result.outcome == "difference"


def test_rows_that_no_record_explains(bench: Bench) -> None:
    """An hour in PostgreSQL without a single sale in the topic is a difference, too, until it is gone."""
    checks = some(20)
    bench.log.send(checks)
    made_up.write(bench.url, checks)
    # updated_at is PostgreSQL's clock, so the test's clock keeps to that here.
    bench.now = dt.datetime.now(dt.UTC)
    bench.run(minutes=0)
    bench.execute("INSERT INTO pipeline_v1.place_hours (place_id, hour_start, purchases) VALUES ('ghost', now(), 1)")
    # However long it stays, it is told; the clock of the row does not move on.
    assert ["unknown_hours" in kinds(bench.run(minutes=3)) for _ in range(5)] == [True] * 5
    bench.execute("DELETE FROM pipeline_v1.place_hours WHERE place_id = 'ghost'")
    assert "unknown_hours" not in kinds(bench.run(minutes=3))


def test_counted_twice(bench: Bench) -> None:
    """A sale that stands twice in the topic is seen, although upserts hide it among the rows of sales."""
    checks = some(30)
    bench.log.send(checks)
    bench.log.topics_["sales"].append(bench.log.topics_["sales"][0])
    made_up.write(bench.url, checks)
    bench.run()
    assert "receipts" in kinds(bench.run())


def test_kafka_away_and_topics_made_again(bench: Bench) -> None:
    """Without Kafka the outcome is failed, with the reason; topics that begin anew are read anew."""
    checks = some(40)
    bench.log.send(checks)
    made_up.write(bench.url, checks)
    bench.run()
    bench.log.is_away = True
    failed = bench.run()
    assert (failed.outcome, failed.differences) == ("failed", [])
    assert "Kafka" in failed.note
    bench.log = Log()
    bench.log.send(checks[:10])
    bench.execute("TRUNCATE pipeline_v1.sales, pipeline_v1.place_hours, pipeline_v1.place_days")
    bench.execute("TRUNCATE pipeline_v1.category_hours, pipeline_v1.category_days")
    made_up.write(bench.url, checks[:10])
    outcomes = [bench.run().outcome for _ in range(4)]
    assert outcomes[-1] == "equal"


def test_another_version_is_compared_from_the_beginning(bench: Bench) -> None:
    """After a switch to rebuilt tables everything is compared again, from the version's own sales topic."""
    checks = some(60)
    bench.log.send(checks)
    made_up.write(bench.url, checks)
    bench.run()
    assert bench.run().outcome == "equal"
    bench.log.topics_["sales_v2"] = list(bench.log.topics_["sales"])
    bench.execute("SELECT pipeline_create(2)")
    bench.execute("SELECT pipeline_switch(2)")
    bench.run()
    assert {"missing_checks", "hours", "days"} <= kinds(bench.run()).keys()
    bench.execute("SELECT pipeline_switch(1)")
    bench.run()
    assert bench.run().outcome == "equal"


def test_old_minutes_become_one_row(bench: Bench) -> None:
    """Minutes that agreed two days ago are folded; the counts stay right."""
    checks = some(80)
    bench.log.send(checks)
    made_up.write(bench.url, checks)
    bench.run()
    bench.run()
    result = bench.run(minutes=60 * 24 * 3)
    assert (result.outcome, result.log_records, result.sale_records) == ("equal", 80, 80)
    with psycopg.connect(bench.url) as connection:
        assert connection.execute("SELECT count(*) FROM app.reconcile_minutes").fetchone() == (1,)


def test_sales_topic() -> None:
    """Each version of the tables is filled from the newest sales topic that is not beyond it."""
    topics = {"sales": [0], "sales_v3": [0], "sales_other": [0], "checks": [0]}
    assert [sales_topic(topics, version) for version in (0, 1, 2, 3, 9)] == [
        "sales",
        "sales",
        "sales",
        "sales_v3",
        "sales_v3",
    ]
    assert sales_topic({"checks": [0]}, 1) is None
