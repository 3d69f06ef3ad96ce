"""Snapshots: revisions, late checks, several instances killed at random, clocks that turn, stop and jump."""

import asyncio
import datetime as dt
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from analytics_api.db import Database
from analytics_api.intervals import Interval
from analytics_api.settings import Settings
from analytics_api.snapshots import services
from analytics_api.snapshots.schemas import SnapshotRun
from analytics_api.snapshots.services import Behind, SnapshotTaker, due
from stack.settings import CHECKOUT
from tests.conftest import SEED
from tests.integration.analytics_api.servers import Postgres

UTC = dt.UTC
NOON = dt.datetime(2024, 3, 31, 12, tzinfo=UTC)
HOUR = dt.timedelta(hours=1)


class Bench:
    """A database, a clock, and takers by that clock."""

    def __init__(self, postgres: Postgres, name: str, folder: Path) -> None:
        self.url = postgres.url(name, "checks_sink")
        self.owner_url = postgres.url(name)
        self.settings = Settings(database_url=postgres.url(name, "checks_api"), journal_dir=folder / ".journal")
        self.now = NOON

    def sell(self, place: str, hour: dt.datetime, purchases: int, nds: str = "1.00") -> None:
        with psycopg.connect(self.url) as connection:
            connection.execute(
                "INSERT INTO pipeline_v1.place_hours (place_id, hour_start, purchases, revenue, nds, tips)"
                " VALUES (%s, %s, %s, 10, %s, 0.50) ON CONFLICT (place_id, hour_start) DO UPDATE SET"
                " purchases = EXCLUDED.purchases, nds = EXCLUDED.nds",
                (place, hour, purchases, nds),
            )

    def take(self, trigger: str = "schedule", *, instances: int = 1) -> list[SnapshotRun | None]:
        async def work() -> list[SnapshotRun | None]:
            pools = [Database(self.settings) for _ in range(instances)]
            for pool in pools:
                await pool.open()
            takers = [SnapshotTaker(pool, self.settings, lambda: self.now) for pool in pools]
            behind = Behind(3, 1.5)
            if trigger == "manual":
                runs: list[SnapshotRun | None] = [
                    await taker.take_now(behind, actor="me", address="here") for taker in takers
                ]
            else:
                runs = list(await asyncio.gather(*(taker.take_scheduled(behind) for taker in takers)))
            for pool in pools:
                await pool.close()
            return runs

        return asyncio.run(work())

    def rows(self) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.owner_url) as connection:
            return connection.execute(
                "SELECT place_id, hour_start, revision, purchases FROM app.snapshots ORDER BY 1, 2, 3"
            ).fetchall()

    def pages(self, **parameters: Any) -> list[Any]:
        async def work() -> list[Any]:
            pool = Database(self.settings)
            await pool.open()
            items, cursor = [], None
            while True:
                async with pool.reading() as reading:
                    page = await services.page(reading, Interval(), limit=2, cursor=cursor, **parameters)
                items += page.items
                cursor = page.next_cursor
                if cursor is None:
                    break
            await pool.close()
            return items

        return asyncio.run(work())


@pytest.fixture
def bench(postgres: Postgres, new_database: Callable[[], str], tmp_path: Path) -> Bench:
    return Bench(postgres, new_database(), tmp_path)


def test_late_checks_give_a_new_revision(bench: Bench) -> None:
    """A changed hour gets revision 2; revision 1 stays as it was; an unchanged hour gets nothing."""
    bench.sell("a", NOON - HOUR, 5)
    bench.sell("b", NOON - HOUR, 7)
    bench.now = NOON + dt.timedelta(minutes=5)
    (run,) = bench.take()
    assert run is not None
    assert (run.rows_added, run.first_revisions, run.lag_records, run.lag_s) == (2, 2, 3, 1.5)
    bench.sell("a", NOON - HOUR, 6)
    bench.now += HOUR
    (run,) = bench.take()
    assert run is not None
    assert (run.rows_added, run.first_revisions, run.is_full) == (1, 0, False)
    assert bench.rows() == [("a", NOON - HOUR, 1, 5), ("a", NOON - HOUR, 2, 6), ("b", NOON - HOUR, 1, 7)]
    latest = [(s.place_id, s.revision, s.total_purchases) for s in bench.pages(revision="latest")]
    assert latest == [("a", 2, 6), ("b", 1, 7)]
    every = [(s.place_id, s.revision) for s in bench.pages(revision="all")]
    assert every == [("a", 1), ("a", 2), ("b", 1)]
    lines = [json.loads(line) for line in (bench.settings.journal_dir / "journal").read_text().splitlines()]
    assert [line["rows_added"] for line in lines] == [2, 1]


def test_only_finished_hours(bench: Bench) -> None:
    """The hour that runs is left out until it has passed, also when its last check came long before the run."""
    bench.sell("a", NOON, 1)
    bench.now = NOON + dt.timedelta(minutes=55)
    bench.take("manual")
    assert bench.rows() == []
    with psycopg.connect(bench.owner_url) as connection:
        connection.execute("ALTER TABLE pipeline_v1.place_hours DISABLE TRIGGER touch")
        connection.execute("UPDATE pipeline_v1.place_hours SET updated_at = %s", (NOON + dt.timedelta(minutes=1),))
    bench.now = NOON + dt.timedelta(minutes=65)
    bench.take()
    assert bench.rows() == [("a", NOON, 1, 1)]


def test_an_empty_hour_and_a_missed_day(bench: Bench) -> None:
    """An hour without sales is no row; after a day without runs one run writes every hour that is due."""
    bench.now = NOON + dt.timedelta(minutes=5)
    (run,) = bench.take()
    assert run is not None
    assert run.rows_added == 0
    for number in range(0, 24, 2):
        bench.sell("a", NOON + number * HOUR, 1 + number)
    bench.now = NOON + dt.timedelta(days=1, minutes=20)
    (run,) = bench.take()
    assert run is not None
    assert run.rows_added == 12
    assert [row[1] for row in bench.rows()] == [NOON + number * HOUR for number in range(0, 24, 2)]


def test_clock_turns_and_jumps(bench: Bench) -> None:
    """Hours are UTC's: a change of local time repeats and loses none; a clock set back neither writes nor breaks."""
    bench.sell("a", dt.datetime(2024, 3, 31, 0, tzinfo=UTC), 1)
    bench.sell("a", dt.datetime(2024, 3, 31, 1, tzinfo=UTC), 2)
    bench.sell("a", dt.datetime(2024, 3, 31, 2, tzinfo=UTC), 3)
    for hour in (1, 2, 3):
        bench.now = dt.datetime(2024, 3, 31, hour, 5, tzinfo=UTC)
        bench.take()
    assert [row[2:] for row in bench.rows()] == [(1, 1), (1, 2), (1, 3)]
    bench.now -= 2 * HOUR
    assert bench.take() == [None]
    bench.sell("a", dt.datetime(2024, 3, 31, 2, tzinfo=UTC), 4)
    bench.now += 3 * HOUR
    bench.take()
    assert [row[2:] for row in bench.rows()] == [(1, 1), (1, 2), (1, 3), (2, 4)]


def test_instances_at_once_write_each_revision_once(bench: Bench) -> None:
    """Five instances at the same minute: one run, each row once."""
    for number in range(40):
        bench.sell(f"p{number}", NOON - HOUR, 1)
    bench.now = NOON + dt.timedelta(minutes=5)
    runs = bench.take(instances=5)
    assert sorted(run is None for run in runs) == [False, True, True, True, True]
    assert len(bench.rows()) == 40


def test_a_cursor_keeps_to_the_runs_it_began_with(bench: Bench) -> None:
    """A run between two pages adds nothing to the listing that was begun before it."""
    for place in "abcd":
        bench.sell(place, NOON - HOUR, 1)
    bench.now = NOON + dt.timedelta(minutes=5)
    bench.take()

    async def work() -> list[tuple[str, int]]:
        pool = Database(bench.settings)
        await pool.open()
        async with pool.reading() as reading:
            first = await services.page(reading, Interval(), limit=2)
        await asyncio.to_thread(bench.sell, "c", NOON - HOUR, 9)
        await asyncio.to_thread(bench.take, "manual")
        async with pool.reading() as reading:
            second = await services.page(reading, Interval(), limit=5, cursor=first.next_cursor)
        await pool.close()
        return [(item.place_id, item.total_purchases) for item in second.items]

    assert asyncio.run(work()) == [("c", 1), ("d", 1)]
    assert ("c", NOON - HOUR, 2, 9) in bench.rows()


def test_a_switched_pipeline_is_looked_at_in_full(bench: Bench) -> None:
    """After a switch to rebuilt tables every hour is compared again, however old its rows are."""
    bench.sell("a", NOON - HOUR, 5)
    bench.now = NOON + dt.timedelta(minutes=5)
    bench.take()
    with psycopg.connect(bench.owner_url) as connection:
        connection.execute("SELECT pipeline_create(2)")
        connection.execute("ALTER TABLE pipeline_v2.place_hours DISABLE TRIGGER touch")
        connection.execute(
            "INSERT INTO pipeline_v2.place_hours VALUES ('a', %s, 6, 10, 1, 0.5, '2020-01-01')", (NOON - HOUR,)
        )
        connection.execute("SELECT pipeline_switch(2)")
    bench.now += HOUR
    bench.take()
    assert [row[2:] for row in bench.rows()] == [(1, 5), (2, 6)]


INSTANCE = """
import asyncio, datetime as dt, sys
from pathlib import Path
from analytics_api.db import Database
from analytics_api.settings import Settings
from analytics_api.snapshots.services import Behind, SnapshotTaker

async def main(url, folder):
    settings = Settings(database_url=url, journal_dir=Path(folder))
    pool = Database(settings)
    await pool.open()
    while True:
        # The clock of the test is in the database: all instances read the same one.
        async with pool.connection() as connection:
            row = await (await connection.execute("SELECT at FROM test_clock")).fetchone()
        await SnapshotTaker(pool, settings, lambda: row["at"]).take_scheduled(Behind(None, None))
        await asyncio.sleep(0.02)

asyncio.run(main(*sys.argv[1:]))
"""


def test_instances_killed_at_random_write_what_one_would(bench: Bench, tmp_path: Path) -> None:
    """Three instances, killed and started again at random while hours pass and late checks come: the rows of one."""
    rng = random.Random(SEED)
    with psycopg.connect(bench.owner_url) as connection:
        connection.execute("CREATE TABLE test_clock (at timestamptz)")
        connection.execute("INSERT INTO test_clock VALUES (%s)", (NOON,))
        connection.execute("GRANT SELECT ON test_clock TO checks_api")
    command = [sys.executable, "-c", INSTANCE, bench.settings.database_url, str(tmp_path)]

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.DEVNULL)

    instances = [start() for _ in range(3)]
    expected: dict[tuple[str, dt.datetime], list[int]] = {}
    figures: dict[tuple[str, dt.datetime], int] = {}
    try:
        for number in range(1, 9):
            for _ in range(15):
                key = (f"p{rng.randrange(6)}", NOON + rng.randrange(number) * HOUR)
                figures[key] = figures.get(key, 0) + 1
                bench.sell(*key, figures[key])
            for key, purchases in figures.items():
                if not expected.get(key) or expected[key][-1] != purchases:
                    expected.setdefault(key, []).append(purchases)
            at = NOON + number * HOUR + dt.timedelta(minutes=5)
            with psycopg.connect(bench.owner_url) as connection:
                connection.execute("UPDATE test_clock SET at = %s", (at,))
            victim = rng.randrange(3)
            time.sleep(rng.random() * 0.1)  # the moment of the crash is what is random here
            instances[victim].send_signal(signal.SIGKILL)
            instances[victim].wait()
            instances[victim] = start()
            _wait_for_run(bench, at)
    finally:
        for instance in instances:
            instance.kill()
            instance.wait()
    wanted = [
        (place, hour, revision, purchases)
        for (place, hour), values in sorted(expected.items())
        for revision, purchases in enumerate(values, start=1)
    ]
    assert bench.rows() == wanted


def _wait_for_run(bench: Bench, at: dt.datetime) -> None:
    deadline = time.monotonic() + 90
    with psycopg.connect(bench.owner_url, autocommit=True) as connection:
        while not connection.execute("SELECT 1 FROM app.snapshot_runs WHERE scheduled_for = %s", (at,)).fetchone():
            assert time.monotonic() < deadline, "no instance took the snapshot"
            time.sleep(0.02)


def test_due() -> None:
    """The run that is due is the latest minute 5 that has passed."""
    assert due(NOON, 5) == NOON - dt.timedelta(minutes=55)
    assert due(NOON + dt.timedelta(minutes=5), 5) == NOON + dt.timedelta(minutes=5)
