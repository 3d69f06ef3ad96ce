"""One comparison: read the log and the sales topic to their ends, book them, compare, keep the result."""

import asyncio
import datetime as dt
import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog

from analytics_api.db import Database
from analytics_api.reconcile import comparison, ledger
from analytics_api.reconcile.reader import Batch, LogAway, Reader
from analytics_api.reconcile.schemas import Difference, Reconciliation
from analytics_api.settings import Settings
from analytics_api.snapshots.services import Clock, utc_now

log = structlog.get_logger("analytics_api.reconcile")

BUDGET_S = 60.0
KEPT_RUNS = 2000
_SALES = re.compile(r"^sales(?:_v(\d+))?$")


@dataclass(frozen=True)
class Reconciler:
    """Compares; several instances may try, one at a time does."""

    database: Database
    settings: Settings
    make_reader: Callable[[Settings], Reader] = Reader
    clock: Clock = utc_now

    async def run_if_due(self) -> Reconciliation | None:
        """Compare unless some instance did so lately, or is doing so: then None."""
        async with self.database.connection() as connection:
            found = await connection.execute("SELECT max(started_at) AS at FROM app.reconcile_runs")
            row = await found.fetchone()
        lately = self.clock() - dt.timedelta(seconds=self.settings.reconcile_every_s * 0.8)
        if row and row["at"] and lately < row["at"] <= self.clock():
            return None
        return await self.run()

    async def run(self) -> Reconciliation | None:
        """Compare now; None when another instance is at it."""
        async with self.database.connection() as connection:
            found = await connection.execute("SELECT pg_try_advisory_lock(hashtext('reconcile')) AS is_mine")
            row = await found.fetchone()
            if not row or not row["is_mine"]:
                return None
            try:
                return await self._run()
            finally:
                if not connection.closed:
                    await connection.execute("SELECT pg_advisory_unlock(hashtext('reconcile'))")

    async def _run(self) -> Reconciliation:
        started_at = self.clock()
        last = await latest(self.database)
        version = await self._version()
        differences: list[Difference] = []
        note = ""
        waiting = 0
        try:
            with closing(self.make_reader(self.settings)) as reader:
                is_at_end = await self._read(reader, version, last)
            async with self.database.transaction() as connection:
                await connection.execute("SET LOCAL statement_timeout = '5min'")
                lag = dt.timedelta(seconds=self.settings.reconcile_lag_s)
                before = self.clock() - lag
                since = _unknown_since(last, lag)
                if is_at_end:
                    differences, waiting = await comparison.compare(connection, before=before, unknown_since=since)
                else:
                    note = "the log is not read to its end yet"
            outcome = "difference" if differences else "catching_up" if note or waiting else "equal"
        except LogAway as error:
            outcome, note = "failed", str(error)
        return await self._keep(
            started_at=started_at,
            outcome=outcome,
            differences=differences,
            waiting=waiting,
            note=note,
            version=version,
        )

    async def _version(self) -> int:
        async with self.database.connection() as connection:
            row = await (await connection.execute("SELECT version FROM app.pipelines WHERE is_read")).fetchone()
        return int(row["version"]) if row else 0

    async def _read(self, reader: Reader, version: int, last: Reconciliation | None) -> bool:
        topics = await asyncio.to_thread(reader.topics)
        if "checks" not in topics:
            raise LogAway("there is no topic checks")
        sales = sales_topic(topics, version)
        until = time.monotonic() + BUDGET_S
        async with self.database.transaction() as connection:
            known = await connection.execute("SELECT DISTINCT topic FROM app.reconcile_offsets WHERE topic <> 'checks'")
            if any(row["topic"] != sales for row in await known.fetchall()):
                await ledger.forget(connection)
            elif last and last.pipeline_version != version:
                await ledger.unsettle(connection)
        is_at_end = await self._book(reader, "checks", topics["checks"], until)
        if sales is not None:
            is_at_end = await self._book(reader, sales, topics[sales], until) and is_at_end
        return is_at_end

    async def _book(self, reader: Reader, topic: str, partitions: list[int], until: float) -> bool:
        async with self.database.connection() as connection:
            offsets = await ledger.offsets(connection, topic)
        batches = reader.batches(topic, partitions, offsets, until=until)
        while (batch := await asyncio.to_thread(_next, batches)) is not None:
            if any(batch.offsets.get(partition, 0) < offset for partition, offset in offsets.items()):
                # The topic was made again: its offsets begin anew, and so does the ledger, with the next comparison.
                async with self.database.transaction() as connection:
                    await ledger.forget(connection)
                return False
            async with self.database.transaction() as connection:
                if topic == "checks":
                    await ledger.add_checks(connection, batch, now=self.clock())
                else:
                    await ledger.add_sales(connection, topic, batch, now=self.clock())
            if batch.is_at_end:
                return True
        return False

    async def _keep(
        self,
        *,
        started_at: dt.datetime,
        outcome: str,
        differences: list[Difference],
        waiting: int,
        note: str,
        version: int,
    ) -> Reconciliation:
        async with self.database.transaction() as connection:
            found = await connection.execute(
                "SELECT COALESCE(sum(log_records), 0)::bigint AS log_records,"
                " COALESCE(sum(sale_records), 0)::bigint AS sale_records,"
                " (SELECT count(*) FROM app.reconcile_missing) AS missing FROM app.reconcile_minutes"
            )
            row = await found.fetchone() or {}
            result = Reconciliation(
                started_at=started_at,
                finished_at=self.clock(),
                outcome=outcome,  # type: ignore[arg-type] # one of the words of the field
                log_records=row.get("log_records", 0),
                distinct_checks=row.get("sale_records", 0) + row.get("missing", 0),
                sale_records=row.get("sale_records", 0),
                waiting=waiting,
                differences=differences,
                note=note,
                pipeline_version=version,
            )
            await connection.execute(
                "INSERT INTO app.reconcile_runs (started_at, finished_at, outcome, details)"
                " VALUES (%s, %s, %s, %s::jsonb)",
                (result.started_at, result.finished_at, outcome, msgspec.json.encode(result).decode()),
            )
            await connection.execute(
                "DELETE FROM app.reconcile_runs WHERE run_id <= (SELECT max(run_id) FROM app.reconcile_runs) - %s",
                (KEPT_RUNS,),
            )
            # Minutes that agreed long ago become one row: the sums stay right, the table stays small.
            await _fold_old_minutes(connection, started_at - dt.timedelta(days=2))
        if differences:
            log.error("figures differ from the log", differences=msgspec.to_builtins(differences))
        else:
            log.info("reconciled", outcome=outcome, waiting=waiting, note=note)
        return result


def sales_topic(topics: dict[str, list[int]], version: int) -> str | None:
    """The topic that fills this pipeline version's sales: sales, or the newest sales_v<n> that is not beyond it."""
    numbered = {}
    for name in topics:
        if match := _SALES.match(name):
            numbered[int(match[1] or 1)] = name
    fitting = [number for number in numbered if number <= max(version, 1)]
    return numbered[max(fitting)] if fitting else None


async def latest(database: Database) -> Reconciliation | None:
    """The newest comparison."""
    async with database.connection() as connection:
        found = await connection.execute("SELECT details FROM app.reconcile_runs ORDER BY run_id DESC LIMIT 1")
        row = await found.fetchone()
    return msgspec.convert(row["details"], Reconciliation) if row else None


def _unknown_since(last: Reconciliation | None, lag: dt.timedelta) -> dt.datetime:
    """Since when hours must have changed to be looked at: all are, unless `last` looked and knew every one."""
    if last is None or last.note or any(difference.kind == "unknown_hours" for difference in last.differences):
        return dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    return last.started_at - 2 * lag


async def _fold_old_minutes(connection: Any, before: dt.datetime) -> None:  # noqa: ANN401  (psycopg's generic)
    await connection.execute(
        """
        WITH old AS (
            DELETE FROM app.reconcile_minutes WHERE is_settled AND minute < %(before)s AND minute > '1970-01-02'
            RETURNING log_records, sale_records
        )
        INSERT INTO app.reconcile_minutes AS m (minute, log_records, sale_records, is_settled, touched_at)
        SELECT '1970-01-01', sum(log_records), sum(sale_records), true, now() FROM old HAVING count(*) > 0
        ON CONFLICT (minute) DO UPDATE SET log_records = m.log_records + EXCLUDED.log_records,
            sale_records = m.sale_records + EXCLUDED.sale_records
        """,
        {"before": before},
    )


def _next(batches: Iterator[Batch]) -> Batch | None:
    return next(batches, None)
