"""What happens by itself: the hourly snapshot, reconciliation, clearing of old counters.

Every worker of every instance has this scheduler; locks in PostgreSQL see to it that each job is done once.
"""

import datetime as dt

import psycopg
import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from analytics_api.access import limits
from analytics_api.db import Database
from analytics_api.reconcile.services import Reconciler
from analytics_api.settings import Settings
from analytics_api.snapshots.schemas import Trigger
from analytics_api.snapshots.services import SnapshotTaker
from analytics_api.status.lag import Lags

log = structlog.get_logger("analytics_api.scheduler")


class Jobs:
    """The jobs and when they are due."""

    def __init__(
        self, settings: Settings, database: Database, snapshots: SnapshotTaker, reconciler: Reconciler, lags: Lags
    ) -> None:
        self._database = database
        self._snapshots = snapshots
        self._reconciler = reconciler
        self._lags = lags
        self._scheduler = AsyncIOScheduler(
            timezone=dt.UTC,
            # A job that was due while the process stood still is done once when it wakes, however late.
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )
        soon = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=2)
        self._scheduler.add_job(self.take_snapshot, CronTrigger(minute=settings.snapshot_minute, timezone=dt.UTC))
        # Looks whether the run that is due was done: after downtime, or when the database was away at minute 5.
        self._scheduler.add_job(self.catch_up, IntervalTrigger(seconds=60), next_run_time=soon)
        self._scheduler.add_job(
            self.reconcile,
            IntervalTrigger(seconds=settings.reconcile_every_s, jitter=min(10, settings.reconcile_every_s // 4)),
        )
        self._scheduler.add_job(self.clean, IntervalTrigger(hours=6))

    def start(self) -> None:
        """Begin, on the running event loop."""
        self._scheduler.start()

    def stop(self) -> None:
        """End without waiting for what runs: everything is a transaction."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    async def take_snapshot(self, trigger: Trigger = "schedule") -> None:
        """The hourly snapshot."""
        try:
            if not await self._snapshots.is_done():
                await self._snapshots.take_scheduled(await self._lags.behind(), trigger=trigger)
        except psycopg.Error as error:
            log.warning("snapshot not taken; tried again in a minute", error=str(error))

    async def catch_up(self) -> None:
        """The snapshot that should have been taken while nobody was here."""
        await self.take_snapshot("start")

    async def reconcile(self) -> None:
        """Compare the log with PostgreSQL."""
        try:
            await self._reconciler.run_if_due()
        except psycopg.Error as error:
            log.warning("not reconciled; tried again when next due", error=str(error))

    async def clean(self) -> None:
        """Forget counters of old attempts."""
        try:
            async with self._database.connection() as connection:
                await limits.clean(connection)
        except psycopg.Error as error:
            log.warning("not cleaned", error=str(error))
