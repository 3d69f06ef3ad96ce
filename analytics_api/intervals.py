"""Intervals of whole hours, half-open, and their split into whole UTC days and edge hours."""

import datetime as dt
import re
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from analytics_api.problems import FieldError, Problem

UTC = dt.UTC
HOUR = dt.timedelta(hours=1)
DAY = dt.timedelta(days=1)
# A plus sign that was not percent-encoded arrives as a space.
_LOST_PLUS = re.compile(r"^(.*T\d\d(?::?\d\d){0,2}(?:\.\d+)?) (\d\d:?\d\d)$")
_EARLIEST = dt.datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = dt.datetime(9990, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Interval:
    """From `start` (included) to `end` (excluded), both UTC; None means without limit on that side."""

    start: dt.datetime | None = None
    end: dt.datetime | None = None

    def days(self) -> tuple[dt.datetime | None, dt.datetime | None] | None:
        """The whole UTC days within, half-open; None when there is none."""
        first = None if self.start is None else _ceil_day(self.start)
        last = None if self.end is None else _floor_day(self.end)
        if first is not None and last is not None and first >= last:
            return None
        return first, last

    def edges(self) -> list[tuple[dt.datetime, dt.datetime]]:
        """Ranges of hours, half-open, that the whole days leave over: at most two."""
        days = self.days()
        if days is None:
            return [(self.start, self.end)] if self.start is not None and self.end is not None else []
        first, last = days
        edges = []
        if self.start is not None and first is not None and self.start < first:
            edges.append((self.start, first))
        if self.end is not None and last is not None and last < self.end:
            edges.append((last, self.end))
        return edges

    def before(self) -> "Interval | None":
        """The interval of the same length that ends where this one begins; None without limits."""
        if self.start is None or self.end is None:
            return None
        return Interval(self.start - (self.end - self.start), self.start)


def parse(from_: str | None, to: str | None, zone: ZoneInfo) -> Interval:
    """Read `from` and `to`; raises Problem 422 naming each that is no whole hour, or a start not before the end."""
    errors: list[FieldError] = []
    bounds: list[dt.datetime | None] = []
    for name, text in (("from", from_), ("to", to)):
        bounds.append(None)
        if text is None:
            continue
        try:
            moment = parse_moment(text, zone)
        except ValueError as error:
            errors.append(FieldError(pointer=f"/{name}", detail=str(error)))
            continue
        if moment != moment.replace(minute=0, second=0, microsecond=0):
            errors.append(
                FieldError(
                    pointer=f"/{name}",
                    detail=f"{name} must be a whole hour (hours are UTC's): {text!r} is {moment.isoformat()}.",
                )
            )
        bounds[-1] = moment
    start, end = bounds
    if not errors and start is not None and end is not None and start >= end:
        errors.append(FieldError(pointer="/from", detail="from must be earlier than to: the interval is half-open."))
    if errors:
        raise unfit(errors)
    return Interval(start, end)


def unfit(errors: list[FieldError]) -> Problem:
    """422 for an interval with these errors."""
    return Problem(422, "The interval does not fit; errors lists what is wrong.", errors=errors)


def parse_moment(text: str, zone: ZoneInfo) -> dt.datetime:
    """Read an ISO 8601 date or time as UTC; without an offset it is in `zone`. Raises ValueError with a sentence."""
    if match := _LOST_PLUS.fullmatch(text):
        text = f"{match[1]}+{match[2]}"
    if not text.isascii() or len(text) > 40:
        raise ValueError("This is no ISO 8601 time; write one like 2024-02-07T12:00:00 or 2024-02-07T12:00:00+03:00.")
    try:
        given = dt.datetime.fromisoformat(text)
        # The first of a local time that is there twice.
        moment = (given if given.tzinfo else given.replace(tzinfo=zone, fold=0)).astimezone(UTC)
        local = moment.astimezone(zone).replace(tzinfo=None)
    except OverflowError:
        raise ValueError("This time is out of range.") from None
    except ValueError:
        raise ValueError(
            "This is no ISO 8601 time; write one like 2024-02-07T12:00:00 or 2024-02-07T12:00:00+03:00."
        ) from None
    if given.tzinfo is None and local != given:
        raise ValueError(f"{text} does not exist in {zone.key}: clocks were put forward over it.")
    if not _EARLIEST <= moment < _LATEST:
        raise ValueError("This time is out of range.")
    return moment


def _floor_day(moment: dt.datetime) -> dt.datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _ceil_day(moment: dt.datetime) -> dt.datetime:
    floor = _floor_day(moment)
    return floor if floor == moment else floor + DAY
