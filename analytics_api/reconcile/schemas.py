"""What a comparison found."""

import datetime as dt
from typing import Literal

from msgspec import Struct

Outcome = Literal["equal", "catching_up", "difference", "failed"]


class Difference(Struct):
    """A kind of difference that has stayed longer than the lag that is allowed for."""

    kind: str
    """missing_checks, receipts, hours, days, unknown_hours, category_hours, category_days"""
    count: int
    first: list[str]
    """The first of them: transaction ids, minutes, places and hours with what was expected and found."""


class Reconciliation(Struct):
    """One comparison of the log with PostgreSQL."""

    started_at: dt.datetime
    finished_at: dt.datetime
    outcome: Outcome
    log_records: int
    """Records of topic checks read so far."""
    distinct_checks: int
    """Checks among them, each transaction_id once."""
    sale_records: int
    """Records of topic sales read so far."""
    waiting: int
    """Checks, minutes and hours that may still be on their way."""
    differences: list[Difference]
    note: str = ""
    pipeline_version: int = 0
