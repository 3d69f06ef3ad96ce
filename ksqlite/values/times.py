"""Dates, times and timestamps as text in ksqlDB's default forms, and the partial forms that it reads.

The time zone is UTC wherever none is written. DATE is days, TIME milliseconds of a day, TIMESTAMP milliseconds.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache

from ksqlite.errors import EvaluationError

DAY_MS = 86_400_000
_EPOCH = date(1970, 1, 1)
_EPOCH_ORDINAL = _EPOCH.toordinal()
_CYCLE_DAYS = 146_097  # the Gregorian calendar repeats after 400 years
_HINT = (
    "Required format is: \"yyyy-MM-dd'T'HH:mm:ss.SSS\", with an optional numeric 'Z' or named timezone. "
    'Partials are also supported, for example "2020-05-26"'
)


def civil(days: int) -> tuple[int, int, int]:
    """Year, month and day of a DATE, of any year."""
    cycles, rest = divmod(days + _EPOCH_ORDINAL - 1, _CYCLE_DAYS)
    day = date.fromordinal(rest + 1)
    return day.year + 400 * cycles, day.month, day.day


def days_of(year: int, month: int, day: int) -> int:
    """The DATE of a civil date of any year. Raises ValueError when there is no such day."""
    cycles, within = divmod(year - 1, 400)
    return date(within + 1, month, day).toordinal() - _EPOCH_ORDINAL + cycles * _CYCLE_DAYS


def last_day(year: int, month: int) -> int:
    """The number of days of a month. Raises ValueError when there is no such month."""
    following = days_of(year + month // 12, month % 12 + 1, 1)
    return following - days_of(year, month, 1)


def nearest_days_of(year: int, month: int, day: int) -> int:
    """The DATE of a civil date; day 29 to 31 of a shorter month is its last day, as Java reads it.

    Raises ValueError when there is no such day.
    """
    if 28 < day <= 31:
        day = min(day, last_day(year, month))
    return days_of(year, month, day)


def year_text(year: int) -> str:
    """A year as ISO 8601 writes it."""
    if 0 <= year <= 9999:
        return f"{year:04d}"
    return f"+{year}" if year > 0 else f"-{-year:04d}"


def format_date(days: int) -> str:
    """yyyy-MM-dd."""
    year, month, day = civil(days)
    return f"{year_text(year)}-{month:02d}-{day:02d}"


def format_time(millis: int) -> str:
    """HH:mm, with seconds and milliseconds only where they are not zero."""
    seconds, fraction = divmod(millis, 1000)
    minutes, second = divmod(seconds, 60)
    text = f"{minutes // 60:02d}:{minutes % 60:02d}"
    if fraction:
        return f"{text}:{second:02d}.{fraction:03d}"
    return f"{text}:{second:02d}" if second else text


def format_timestamp(millis: int) -> str:
    """yyyy-MM-dd'T'HH:mm:ss.SSS in UTC."""
    days, rest = divmod(millis, DAY_MS)
    seconds, fraction = divmod(rest, 1000)
    minutes, second = divmod(seconds, 60)
    return f"{format_date(days)}T{minutes // 60:02d}:{minutes % 60:02d}:{second:02d}.{fraction:03d}"


_PARTIAL_DATE = re.compile(r"([+-]?\d{4,})(?:-(\d{1,2})(?:-(\d{1,2}))?)?")
_PARTIAL_TIME = re.compile(r"(\d{1,2})(?::(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,9}))?)?)?")
_OFFSET = re.compile(r"([+-])(\d{2}):?(\d{2})?(?::?(\d{2}))?")


def _parse_civil(text: str) -> int:
    match = _PARTIAL_DATE.fullmatch(text)
    if match is None:
        raise ValueError(f"no date: {text}")
    return nearest_days_of(int(match[1]), int(match[2] or 1), int(match[3] or 1))


def _parse_clock(text: str) -> int:
    match = _PARTIAL_TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"no time: {text}")
    hour, minute, second = int(match[1]), int(match[2] or 0), int(match[3] or 0)
    if hour > 23 or minute > 59 or second > 59:
        raise ValueError(f"no such time: {text}")
    return ((hour * 60 + minute) * 60 + second) * 1000 + int((match[4] or "0").ljust(3, "0")[:3])


def parse_timestamp(text: str) -> int:
    """Milliseconds of a timestamp written in full or in part, with or without a zone. Raises EvaluationError."""
    try:
        day, marker, rest = text.strip().partition("T")
        zone: tzinfo = UTC
        clock = 0
        if marker:
            match = re.fullmatch(r"([\d:.]*)(.*)", rest)
            assert match is not None  # noqa: S101 - the pattern takes any text
            if match[2]:
                zone = zone_of(match[2].strip())
            clock = _parse_clock(match[1]) if match[1] else 0
        return local_to_millis(_parse_civil(day) * DAY_MS + clock, zone)
    except (ValueError, OverflowError) as error:
        raise EvaluationError(f"Failed to parse timestamp '{text}': {error}\n{_HINT}") from error


def parse_date(text: str) -> int:
    """Days of a date written in full or in part. Raises EvaluationError."""
    try:
        return _parse_civil(text.strip().partition("T")[0])
    except (ValueError, OverflowError) as error:
        raise EvaluationError(
            f"Failed to parse date '{text}': {error}\nRequired format is: \"yyyy-MM-dd\". "
            'Partials are also supported, for example "2020-05"'
        ) from error


def parse_time(text: str) -> int:
    """Milliseconds of a time of day: HH:mm, HH:mm:ss, HH:mm:ss.SSS. Raises EvaluationError."""
    try:
        if not re.fullmatch(r"\d{2}(:\d{2}){0,2}(\.\d{1,9})?", text):
            raise ValueError(text)  # noqa: TRY301 - one message for all that is wrong
        return _parse_clock(text)
    except ValueError as error:
        raise EvaluationError(
            f"Failed to parse time '{text}': {error}\nRequired format is: \"HH:mm:ss.SSS\". "
            'Partials are also supported, for example "10:30"'
        ) from error


# Java's three-letter names that the time zone database has not, or has with a fixed offset.
_SHORT_ZONES = {
    "PST": "America/Los_Angeles",
    "PDT": "America/Los_Angeles",
    "MST": "America/Denver",
    "MDT": "America/Denver",
    "CST": "America/Chicago",
    "CDT": "America/Chicago",
    "EST": "America/New_York",
    "EDT": "America/New_York",
    "AKST": "America/Anchorage",
    "AKDT": "America/Anchorage",
    "HST": "Pacific/Honolulu",
    "BST": "Europe/London",
    "WET": "Europe/Lisbon",
    "WEST": "Europe/Lisbon",
    "CET": "Europe/Paris",
    "CEST": "Europe/Paris",
    "EET": "Europe/Bucharest",
    "EEST": "Europe/Bucharest",
    "MSK": "Europe/Moscow",
    "IST": "Asia/Kolkata",
    "JST": "Asia/Tokyo",
    "AEST": "Australia/Sydney",
    "AEDT": "Australia/Sydney",
    "NZST": "Pacific/Auckland",
    "NZDT": "Pacific/Auckland",
}


@lru_cache(maxsize=1024)
def zone_of(name: str) -> tzinfo:
    """The zone of an offset (+0200, +02:00, Z) or a name (Europe/London, PST, UTC). Raises ValueError."""
    if name in {"Z", "UTC", "GMT", "UT"}:
        return UTC
    match = _OFFSET.fullmatch(name.removeprefix("UTC").removeprefix("GMT"))
    if match is not None:
        offset = timedelta(hours=int(match[2]), minutes=int(match[3] or 0), seconds=int(match[4] or 0))
        return timezone(-offset if match[1] == "-" else offset)
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # noqa: PLC0415 - only a few statements need it

    try:
        return ZoneInfo(_SHORT_ZONES.get(name.upper(), name))
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"Unknown time-zone ID: {name}") from error


def offset_ms(millis: int, zone: tzinfo) -> int:
    """The zone's offset from UTC at an instant, in milliseconds."""
    if zone is UTC:
        return 0
    moment = _moment(millis)
    offset = zone.utcoffset(moment.astimezone(zone)) if moment is not None else zone.utcoffset(None)
    return 0 if offset is None else round(offset.total_seconds() * 1000)


def local_to_millis(local: int, zone: tzinfo) -> int:
    """The instant of a local time given as if it were UTC; a time that is skipped moves on by the gap, as in Java."""
    if zone is UTC:
        return local
    moment = _moment(local)
    if moment is None:
        return local - offset_ms(local, zone)
    naive = moment.replace(tzinfo=zone, fold=0)
    offset = zone.utcoffset(naive)
    return local - (0 if offset is None else round(offset.total_seconds() * 1000))


def _moment(millis: int) -> datetime | None:
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=millis)
    except OverflowError:
        return None


def timestamp_parser(pattern: str) -> Callable[[str], int]:
    """Reads timestamps written in a DateTimeFormatter pattern, in UTC where they name no zone.

    What it returns raises EvaluationError for a text that is not in the pattern, and so does this for a bad pattern.
    """
    from ksqlite.values.java_time import formatter  # noqa: PLC0415 - it builds on this module, and few need it

    parse = formatter(pattern).parse_timestamp

    def read(text: str) -> int:
        try:
            return parse(text, UTC)
        except (ValueError, OverflowError) as error:
            raise EvaluationError(f"Failed to parse timestamp '{text}' with formatter '{pattern}': {error}") from error

    return read
