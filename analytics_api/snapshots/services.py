"""Takes snapshots and reads them.

A run is one INSERT … SELECT of every finished hour whose figures differ from their latest revision, in one READ
COMMITTED transaction, after a statement that takes a lock: the INSERT's own snapshot of the database is taken when the
lock is held, so that several instances write each revision once. Killed anywhere, it has written nothing.
"""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from analytics_api import cursors
from analytics_api.audit import services as audit
from analytics_api.db import Database, Reading
from analytics_api.figures.services import money
from analytics_api.intervals import Interval
from analytics_api.settings import Settings
from analytics_api.snapshots import journal
from analytics_api.snapshots.schemas import Revision, Snapshot, SnapshotRun, SnapshotRuns, Snapshots, Trigger

log = structlog.get_logger("analytics_api.snapshots")

# A row's updated_at is the moment of its statement, and its transaction commits later: so much later at the most.
MARGIN = dt.timedelta(minutes=15)
# A check of an hour may come half an hour before the hour begins: intake lets clocks be that much ahead.
AHEAD = dt.timedelta(minutes=45)
FULL_EVERY = dt.timedelta(hours=23)

_LAST = """
SELECT (SELECT looked_at FROM app.snapshot_runs ORDER BY run_id DESC LIMIT 1) AS looked_at,
       (SELECT pipeline_version FROM app.snapshot_runs ORDER BY run_id DESC LIMIT 1) AS pipeline_version,
       (SELECT max(looked_at) FROM app.snapshot_runs WHERE is_full) AS full_at,
       (SELECT hours_before FROM app.snapshot_runs ORDER BY run_id DESC LIMIT 1) AS hours_before,
       (SELECT version FROM app.pipelines WHERE is_read) AS version,
       %(scheduled_for)s::timestamptz IS NOT NULL
         AND EXISTS (SELECT FROM app.snapshot_runs WHERE scheduled_for = %(scheduled_for)s::timestamptz) AS is_done,
       clock_timestamp() AS looking_at,
       nextval(pg_get_serial_sequence('app.snapshot_runs', 'run_id')) AS run_id
"""

_TAKE = """
WITH added AS (
    INSERT INTO app.snapshots (place_id, hour_start, revision, purchases, nds, tips, computed_at, run_id)
    SELECT h.place_id, h.hour_start, COALESCE(l.revision, 0) + 1, COALESCE(h.purchases, 0), COALESCE(h.nds, 0),
           COALESCE(h.tips, 0), %(started_at)s, %(run_id)s
    FROM figures.place_hours h
    LEFT JOIN LATERAL (
        SELECT s.revision, s.purchases, s.nds, s.tips FROM app.snapshots s
        WHERE s.place_id = h.place_id AND s.hour_start = h.hour_start ORDER BY s.revision DESC LIMIT 1
    ) l ON true
    WHERE h.hour_start < %(hours_before)s
      AND h.updated_at >= %(since)s
      AND (l.revision IS NULL OR (l.purchases, l.nds, l.tips)
           IS DISTINCT FROM (COALESCE(h.purchases, 0), COALESCE(h.nds, 0), COALESCE(h.tips, 0)))
    RETURNING revision
)
INSERT INTO app.snapshot_runs (run_id, scheduled_for, started_at, finished_at, trigger, actor, is_full,
    pipeline_version, hours_before, rows_added, first_revisions, lag_records, lag_s, looked_at)
OVERRIDING SYSTEM VALUE
SELECT %(run_id)s, %(scheduled_for)s, %(started_at)s,
       %(started_at)s::timestamptz + (clock_timestamp() - %(looking_at)s::timestamptz),
       %(trigger)s, %(actor)s, %(is_full)s, %(version)s, %(hours_before)s,
       count(*), count(*) FILTER (WHERE revision = 1), %(lag_records)s, %(lag_s)s, %(looking_at)s
FROM added
RETURNING run_id, trigger, actor, scheduled_for, started_at, finished_at, is_full, rows_added, first_revisions,
          lag_records, lag_s
"""


@dataclass(frozen=True)
class Behind:
    """How far behind the pipeline is; None where Kafka does not say."""

    records: int | None
    seconds: float | None


Clock = Callable[[], dt.datetime]


def utc_now() -> dt.datetime:
    """The clock of production."""
    return dt.datetime.now(dt.UTC)


def due(now: dt.datetime, minute: int) -> dt.datetime:
    """The latest moment at or before `now` that is `minute` minutes past an hour."""
    latest = now.astimezone(dt.UTC).replace(minute=minute, second=0, microsecond=0)
    return latest if latest <= now else latest - dt.timedelta(hours=1)


@dataclass(frozen=True)
class SnapshotTaker:
    """Takes snapshots by a clock that tests can turn."""

    database: Database
    settings: Settings
    clock: Clock = utc_now

    async def take_scheduled(self, behind: Behind, *, trigger: Trigger = "schedule") -> SnapshotRun | None:
        """The run that is due, unless some instance has done it: then None."""
        return await self._take(behind, trigger=trigger, scheduled_for=due(self.clock(), self.settings.snapshot_minute))

    async def is_done(self) -> bool:
        """Whether the run that is due was done, by whatever instance."""
        async with self.database.connection() as connection:
            found = await connection.execute(
                "SELECT FROM app.snapshot_runs WHERE scheduled_for = %s",
                (due(self.clock(), self.settings.snapshot_minute),),
            )
            return await found.fetchone() is not None

    async def take_now(self, behind: Behind, *, actor: str, address: str) -> SnapshotRun:
        """A run by hand."""
        run = await self._take(behind, trigger="manual", actor=actor, address=address)
        if run is None:
            raise RuntimeError("a run by hand is never done before")
        return run

    async def _take(
        self,
        behind: Behind,
        *,
        trigger: Trigger,
        scheduled_for: dt.datetime | None = None,
        actor: str | None = None,
        address: str | None = None,
    ) -> SnapshotRun | None:
        started_at = self.clock()
        hours_before = started_at.astimezone(dt.UTC).replace(minute=0, second=0, microsecond=0)
        async with self.database.transaction() as connection:
            # A full pass over years of hours takes longer than a request may.
            await connection.execute("SET LOCAL statement_timeout = '30min'")
            await connection.execute("SELECT pg_advisory_xact_lock(hashtext('snapshots'))")
            await connection.execute("SELECT pg_advisory_xact_lock_shared(hashtext('figures views'))")
            found = await connection.execute(_LAST, {"scheduled_for": scheduled_for})
            last = await found.fetchone()
            if last is None or last["is_done"]:
                return None
            looking_at = last["looking_at"]
            is_full = (
                last["looked_at"] is None
                or last["pipeline_version"] != last["version"]
                or last["full_at"] is None
                or looking_at - last["full_at"] > FULL_EVERY
            )
            found = await connection.execute(
                _TAKE,
                {
                    "run_id": last["run_id"],
                    "scheduled_for": scheduled_for,
                    "started_at": started_at,
                    "looking_at": looking_at,
                    "trigger": trigger,
                    "actor": actor,
                    "is_full": is_full,
                    "version": last["version"],
                    "hours_before": hours_before,
                    "since": "-infinity" if is_full else _since(last["looked_at"], last["hours_before"]),
                    "lag_records": behind.records,
                    "lag_s": behind.seconds,
                },
            )
            row = await found.fetchone()
            if row is None:
                raise RuntimeError("INSERT … RETURNING gave no row")
            if trigger == "manual":
                await audit.record(
                    connection, "snapshot_run", actor=actor, target=f"run {row['run_id']}", address=address
                )
        run = SnapshotRun(**row)
        log.info("snapshot taken", run_id=run.run_id, rows_added=run.rows_added, trigger=trigger, is_full=is_full)
        await asyncio.to_thread(journal.write, self.settings.journal_dir, _entry(run))
        return run


def _since(looked_at: dt.datetime, hours_before: dt.datetime) -> dt.datetime:
    """Rows written before this were seen by the last run, or belong to hours that it passed over as unfinished."""
    return min(looked_at - MARGIN, hours_before - AHEAD)


def _entry(run: SnapshotRun) -> dict[str, Any]:
    return {"event": "snapshot_run", **{name: getattr(run, name) for name in run.__struct_fields__}}


async def page(
    reading: Reading,
    interval: Interval,
    *,
    place_ids: Sequence[str] | None = None,
    revision: Revision = "latest",
    limit: int,
    cursor: str | None = None,
) -> Snapshots:
    """Snapshots by hour, place and revision. A cursor keeps to the runs that were there on its first page."""
    query = ("snapshots", interval.start, interval.end, sorted(place_ids) if place_ids else None, revision)
    position = cursors.unpack(query, cursor, tuple[int, dt.datetime, str, int])
    head = await reading.row("SELECT transaction_timestamp(), (SELECT max(run_id) FROM app.snapshot_runs)")
    as_of, newest = head or (utc_now(), 0)
    up_to = position[0] if position else newest or 0
    conditions = ["s.run_id <= %(up_to)s"]
    parameters: dict[str, Any] = {"limit": limit + 1, "up_to": up_to}
    if position:
        parameters.update(hour=position[1], place=position[2], revision=position[3])
        conditions.append("(s.hour_start, s.place_id, s.revision) > (%(hour)s, %(place)s, %(revision)s)")
    if interval.start is not None:
        parameters["start"] = interval.start
        conditions.append("s.hour_start >= %(start)s")
    if interval.end is not None:
        parameters["end"] = interval.end
        conditions.append("s.hour_start < %(end)s")
    if place_ids:
        parameters["place_ids"] = sorted(set(place_ids))
        conditions.append("s.place_id = ANY(%(place_ids)s)")
    if revision == "latest":
        conditions.append(
            "NOT EXISTS (SELECT FROM app.snapshots n WHERE n.place_id = s.place_id AND n.hour_start = s.hour_start"
            " AND n.revision > s.revision AND n.run_id <= %(up_to)s)"
        )
    rows = await reading.rows(
        "SELECT s.place_id, s.hour_start, s.revision, s.purchases, s.nds, s.tips, s.computed_at, s.run_id"  # noqa: S608  (fixed texts)
        f" FROM app.snapshots s WHERE {' AND '.join(conditions)}"
        " ORDER BY s.hour_start, s.place_id, s.revision LIMIT %(limit)s",
        parameters,
    )
    items = [
        Snapshot(
            place_id=row[0],
            hour_start=row[1],
            revision=row[2],
            total_purchases=row[3],
            total_nds=money(row[4]),
            total_tips=money(row[5]),
            computed_at=row[6],
            run_id=row[7],
        )
        for row in rows[:limit]
    ]
    last = items[-1] if items else None
    more = (
        cursors.pack(query, (up_to, last.hour_start, last.place_id, last.revision))
        if last and len(rows) > limit
        else None
    )
    return Snapshots(items=items, next_cursor=more, as_of=as_of)


async def rows(
    database: Database,
    interval: Interval,
    *,
    place_ids: Sequence[str] | None,
    revision: Revision,
    limit: int | None,
) -> AsyncIterator[list[Sequence[Any]]]:
    """Batches of rows for CSV, from one moment."""
    async with database.reading() as reading:
        cursor = None
        left = limit
        while left is None or left > 0:
            wanted = 1000 if left is None else min(1000, left)
            found = await page(reading, interval, place_ids=place_ids, revision=revision, limit=wanted, cursor=cursor)
            yield [[getattr(item, name) for name in COLUMNS] for item in found.items]
            left = None if left is None else left - len(found.items)
            cursor = found.next_cursor
            if cursor is None:
                return


COLUMNS = (
    "place_id",
    "hour_start",
    "revision",
    "total_purchases",
    "total_nds",
    "total_tips",
    "computed_at",
    "run_id",
)


async def runs(database: Database, *, limit: int, cursor: str | None) -> SnapshotRuns:
    """Runs, the newest first."""
    query = ("snapshot_runs",)
    position = cursors.unpack(query, cursor, tuple[int])
    async with database.connection() as connection:
        found = await connection.execute(
            "SELECT run_id, trigger, actor, scheduled_for, started_at, finished_at, is_full, rows_added,"
            " first_revisions, lag_records, lag_s FROM app.snapshot_runs"
            " WHERE %(before)s::bigint IS NULL OR run_id < %(before)s"
            " ORDER BY run_id DESC LIMIT %(limit)s",
            {"before": position[0] if position else None, "limit": limit + 1},
        )
        items = [SnapshotRun(**row) for row in await found.fetchall()]
    more = cursors.pack(query, (items[limit - 1].run_id,)) if len(items) > limit else None
    return SnapshotRuns(items=items[:limit], next_cursor=more)
