"""Snapshots and their runs over REST."""

import datetime as dt
from decimal import Decimal
from typing import Literal

from msgspec import Struct

Revision = Literal["all", "latest"]
Trigger = Literal["schedule", "start", "manual"]


class Snapshot(Struct):
    """What an hour at a place came to when a run looked at it."""

    place_id: str
    hour_start: dt.datetime
    revision: int
    """1 for the hour's first figures; late checks add one more."""
    total_purchases: int
    total_nds: Decimal
    total_tips: Decimal
    computed_at: dt.datetime
    run_id: int


class Snapshots(Struct):
    """A page of snapshots by hour, place and revision."""

    items: list[Snapshot]
    next_cursor: str | None
    as_of: dt.datetime


class SnapshotRun(Struct):
    """One run of the snapshot."""

    run_id: int
    trigger: Trigger
    actor: str | None
    scheduled_for: dt.datetime | None
    started_at: dt.datetime
    finished_at: dt.datetime
    is_full: bool
    """Looked at all hours, not only those that changed since the last run."""
    rows_added: int
    first_revisions: int
    lag_records: int | None
    """Records that the pipeline had not yet worked off; null when Kafka did not answer."""
    lag_s: float | None


class SnapshotRuns(Struct):
    """A page of runs, the newest first."""

    items: list[SnapshotRun]
    next_cursor: str | None
