"""The interval of a page: today, yesterday, 7 days, a month, or one's own; and the one that it is compared with."""

import datetime as dt
from dataclasses import dataclass
from typing import Literal
from zoneinfo import ZoneInfo

from analytics_api import intervals
from analytics_api.intervals import HOUR, Interval
from analytics_api.problems import FieldError

Choice = Literal["today", "yesterday", "week", "month", "own"]
CHOICES: tuple[Choice, ...] = ("today", "yesterday", "week", "month")
# Twenty years have at most 7305 days, and clocks may have been put back meanwhile.
LONGEST = dt.timedelta(days=7305, hours=12)


@dataclass(frozen=True)
class Period:
    """Whole hours from `start` to `end`, half-open, and the hours before that they are compared with."""

    choice: Choice
    start: dt.datetime
    end: dt.datetime
    before_start: dt.datetime
    before_end: dt.datetime

    @property
    def interval(self) -> Interval:
        """For the services of figures."""
        return Interval(self.start, self.end)

    @property
    def before(self) -> Interval:
        """What it is compared with."""
        return Interval(self.before_start, self.before_end)


def choose(choice: Choice, zone: ZoneInfo, now: dt.datetime, *, from_: str = "", to: str = "") -> Period:
    """The period of a choice. What is not over yet is compared with as many hours of the one before.

    Raises Problem 422 when one's own bounds are no whole hours, or more than 20 years apart.
    """
    if choice == "own" and from_ and to:
        own = intervals.parse(from_, to, zone)
        if own.start and own.end and own.end - own.start > LONGEST:
            detail = "The interval is longer than 20 years; choose a shorter one."
            raise intervals.unfit([FieldError(pointer="/from", detail=detail)])
        before = own.before()
        if own.start and own.end and before and before.start and before.end:
            return Period("own", own.start, own.end, before.start, before.end)
    today = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    end = _hour(now) + HOUR
    if choice == "yesterday":
        return Period(
            choice,
            _hour(_days(today, -1)),
            _hour(today),
            _hour(_days(today, -2)),
            _hour(_days(today, -1)),
        )
    if choice == "month":
        first = today.replace(day=1)
        earlier = _days(first, -1).replace(day=1)
        stop = min(_hour(earlier) + (end - _hour(first)), _hour(first))
        return Period(choice, _hour(first), end, _hour(earlier), stop)
    days = 7 if choice == "week" else 1
    start, earlier = _hour(_days(today, 1 - days)), _hour(_days(today, 1 - 2 * days))
    # A day of 25 hours has one more than the day before it.
    stop = min(earlier + (end - start), start)
    return Period("week" if days == 7 else "today", start, end, earlier, stop)


def _days(midnight: dt.datetime, days: int) -> dt.datetime:
    return midnight + dt.timedelta(days=days)


def _hour(moment: dt.datetime) -> dt.datetime:
    """The whole hour of UTC at or before `moment`: zones of half hours begin their day within one."""
    return moment.astimezone(dt.UTC).replace(minute=0, second=0, microsecond=0)
