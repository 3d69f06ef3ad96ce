"""What status says."""

import datetime as dt

from msgspec import Struct

from analytics_api.reconcile.schemas import Reconciliation
from analytics_api.snapshots.schemas import SnapshotRun
from analytics_api.status.lag import DeadLetters, GroupLag


class Part(Struct):
    """One part of the pipeline and whether it answers."""

    name: str
    is_ok: bool
    detail: str
    """What it says of itself, or why it is not right."""


class Query(Struct):
    """A continuous query of ksqlite or ksqlDB."""

    query_id: str
    state: str
    sinks: list[str]


class Task(Struct):
    """A task of a connector."""

    number: int
    state: str
    error: str | None


class Connector(Struct):
    """A sink connector."""

    name: str
    is_ok: bool
    state: str
    tasks: list[Task]


class Status(Struct):
    """The whole pipeline at one glance."""

    is_ok: bool
    as_of: dt.datetime
    alarms: list[str]
    """Sentences that say what is not right; empty when all is."""
    parts: list[Part]
    queries: list[Query]
    connectors: list[Connector]
    lags: list[GroupLag]
    dead_letters: list[DeadLetters]
    figures_changed_at: dt.datetime | None
    """When a figure in PostgreSQL changed last."""
    place_conflicts: int
    """Arrivals of the last 24 hours whose id another place had used before."""
    reconciliation: Reconciliation | None
    snapshot: SnapshotRun | None
    """The last run."""
