"""Dates, times and timestamps: parsing, formatting, arithmetic, zones and UNIX time."""

from __future__ import annotations

import time
from datetime import UTC

from ksqlite.errors import EvaluationError
from ksqlite.functions.registry import scalar
from ksqlite.values import Value, times
from ksqlite.values.java_time import Moment, formatter, moment_of

_DAY_MS = times.DAY_MS
_UNIT_MS = {
    "MILLISECOND": 1,
    "SECOND": 1000,
    "MINUTE": 60_000,
    "HOUR": 3_600_000,
    "DAY": _DAY_MS,
    "WEEK": 7 * _DAY_MS,
}
_UNIT_MONTHS = {"MONTH": 1, "YEAR": 12}


def _zone(name: str) -> Value:
    try:
        return times.zone_of(name)
    except ValueError as error:
        raise EvaluationError(f"Invalid zone ID: {name}: {error}") from error


@scalar("FROM_UNIXTIME", "BIGINT -> TIMESTAMP", inline="{0}", never_null=True, fallible=False)
def from_unixtime(millis: int) -> int:
    """The timestamp of that many milliseconds since 1970-01-01."""
    return millis


@scalar("FROM_DAYS", "INTEGER -> DATE", inline="{0}", never_null=True, fallible=False)
def from_days(days: int) -> int:
    """The date of that many days since 1970-01-01."""
    return days


@scalar("UNIX_TIMESTAMP", "TIMESTAMP -> BIGINT", inline="{0}", never_null=True, fallible=False)
def unix_timestamp(timestamp: int) -> int:
    """Milliseconds since 1970-01-01, of a timestamp or of now."""
    return timestamp


@scalar("UNIX_TIMESTAMP", "-> BIGINT", never_null=True, fallible=False)
def unix_timestamp_now() -> int:
    """Milliseconds since 1970-01-01, of now."""
    return time.time_ns() // 1_000_000


@scalar("UNIX_DATE", "DATE -> INTEGER", inline="{0}", never_null=True, fallible=False)
def unix_date(days: int) -> int:
    """Days since 1970-01-01, of a date or of today."""
    return days


@scalar("UNIX_DATE", "-> INTEGER", never_null=True, fallible=False)
def unix_date_today() -> int:
    """Days since 1970-01-01, of today."""
    return time.time_ns() // (1_000_000 * _DAY_MS)


@scalar("PARSE_TIMESTAMP", "STRING, STRING -> TIMESTAMP", never_null=True)
@scalar("STRINGTOTIMESTAMP", "STRING, STRING -> BIGINT", never_null=True)
def parse_timestamp(text: str, pattern: str) -> int:
    """The timestamp in a text, written in a DateTimeFormatter pattern, in UTC or the zone given."""
    return _parse_timestamp(text, pattern, UTC)


@scalar("PARSE_TIMESTAMP", "STRING, STRING, STRING -> TIMESTAMP", never_null=True)
@scalar("STRINGTOTIMESTAMP", "STRING, STRING, STRING -> BIGINT", never_null=True)
def parse_timestamp_in_zone(text: str, pattern: str, zone: str) -> int:
    """The timestamp in a text, in the zone given."""
    return _parse_timestamp(text, pattern, _zone(zone))


def _parse_timestamp(text: str, pattern: str, zone: Value) -> int:
    try:
        return formatter(pattern).parse_timestamp(text, zone)
    except (ValueError, OverflowError) as error:
        raise EvaluationError(f"Failed to parse timestamp '{text}' with formatter '{pattern}': {error}") from error


@scalar("STRINGTODATE", "STRING, STRING -> INTEGER", never_null=True)
def string_to_date(text: str, pattern: str) -> int:
    """The days since 1970-01-01 of the date in a text, written in a DateTimeFormatter pattern."""
    try:
        parsed = formatter(pattern).parse(text)
        if "year" not in parsed.fields or not parsed.fields.keys() & {"month", "day_of_year", "quarter"}:
            raise ValueError("Unable to obtain a date")  # noqa: TRY301 - one message for all that is wrong
        return parsed.days()
    except (ValueError, OverflowError) as error:
        raise EvaluationError(f"Failed to parse date '{text}' with formatter '{pattern}': {error}") from error


@scalar("PARSE_DATE", "STRING, STRING -> DATE", never_null=True)
def parse_date(text: str, pattern: str) -> int:
    """The date at the beginning of a text, written in a SimpleDateFormat pattern; month 13 is the next January."""
    try:
        parsed = formatter(pattern).parse(text, prefix=True)
        if parsed.millis():
            raise ValueError("Date format contains time field.")  # noqa: TRY301 - one message for all that is wrong
        get = parsed.fields.get
        years, month = divmod(get("month", 1) - 1, 12)
        day = get("day_of_year", get("day", 1))
        return times.days_of(get("year", 1970) + years, month + 1, 1) + day - 1
    except (ValueError, OverflowError) as error:
        raise EvaluationError(f"Failed to parse date '{text}' with formatter '{pattern}': {error}") from error


@scalar("PARSE_TIME", "STRING, STRING -> TIME", never_null=True)
def parse_time(text: str, pattern: str) -> int:
    """The time of day in a text, written in a DateTimeFormatter pattern."""
    try:
        return formatter(pattern).parse(text).millis()
    except ValueError as error:
        raise EvaluationError(f"Failed to parse time '{text}' with formatter '{pattern}': {error}") from error


@scalar("FORMAT_TIMESTAMP", "TIMESTAMP, STRING -> STRING", never_null=True)
@scalar("TIMESTAMPTOSTRING", "BIGINT, STRING -> STRING", never_null=True)
def format_timestamp(millis: int, pattern: str) -> str:
    """A timestamp as text in a DateTimeFormatter pattern, in UTC or the zone given."""
    return formatter(pattern).format(moment_of(millis))


@scalar("FORMAT_TIMESTAMP", "TIMESTAMP, STRING, STRING -> STRING", never_null=True)
@scalar("TIMESTAMPTOSTRING", "BIGINT, STRING, STRING -> STRING", never_null=True)
def format_timestamp_in_zone(millis: int, pattern: str, zone: str) -> str:
    """A timestamp as text in the zone given."""
    return formatter(pattern).format(moment_of(millis, _zone(zone)))


@scalar("FORMAT_DATE", "DATE, STRING -> STRING", never_null=True)
@scalar("DATETOSTRING", "INTEGER, STRING -> STRING", never_null=True)
def format_date(days: int, pattern: str) -> str:
    """A date as text in a DateTimeFormatter pattern."""
    return formatter(pattern).format(moment_of(days * _DAY_MS))


@scalar("FORMAT_TIME", "TIME, STRING -> STRING", never_null=True)
def format_time(millis: int, pattern: str) -> str:
    """A time of day as text in a DateTimeFormatter pattern."""
    return formatter(pattern).format(Moment(1970, 1, 1, 0, millis))


@scalar("CONVERT_TZ", "TIMESTAMP, STRING, STRING -> TIMESTAMP", never_null=True)
def convert_tz(millis: int, source: str, target: str) -> int:
    """Moves the reading of a clock in one zone to that of another."""
    instant = times.local_to_millis(millis, _zone(source))
    return instant + times.offset_ms(instant, _zone(target))


def _unit(unit: str) -> str:
    return unit.upper().removesuffix("S")


def _add_months(days: int, months: int) -> int:
    year, month, day = times.civil(days)
    years, month = divmod(year * 12 + month - 1 + months, 12)
    while True:
        try:
            return times.days_of(years, month + 1, day)
        except ValueError:
            day -= 1


def _timestamp_plus(unit: str, amount: int, millis: int) -> int:
    name = _unit(unit)
    if name in _UNIT_MONTHS:
        days, rest = divmod(millis, _DAY_MS)
        return _add_months(days, amount * _UNIT_MONTHS[name]) * _DAY_MS + rest
    if name not in _UNIT_MS:
        raise EvaluationError(f"Unknown interval unit: {unit}")
    return millis + amount * _UNIT_MS[name]


@scalar("TIMESTAMPADD", "INTERVAL UNIT, INTEGER, TIMESTAMP -> TIMESTAMP", never_null=True)
def timestamp_add(unit: str, amount: int, millis: int) -> int:
    """A timestamp that many units later."""
    return _timestamp_plus(unit, amount, millis)


@scalar("TIMESTAMPSUB", "INTERVAL UNIT, INTEGER, TIMESTAMP -> TIMESTAMP", never_null=True)
def timestamp_sub(unit: str, amount: int, millis: int) -> int:
    """A timestamp that many units earlier."""
    return _timestamp_plus(unit, -amount, millis)


@scalar("DATEADD", "INTERVAL UNIT, INTEGER, DATE -> DATE", never_null=True)
def date_add(unit: str, amount: int, days: int) -> int:
    """A date that many units later; parts of a day are cut."""
    return _timestamp_plus(unit, amount, days * _DAY_MS) // _DAY_MS


@scalar("DATESUB", "INTERVAL UNIT, INTEGER, DATE -> DATE", never_null=True)
def date_sub(unit: str, amount: int, days: int) -> int:
    """A date that many units earlier; parts of a day are cut."""
    return _timestamp_plus(unit, -amount, days * _DAY_MS) // _DAY_MS


@scalar("TIMEADD", "INTERVAL UNIT, INTEGER, TIME -> TIME", never_null=True)
def time_add(unit: str, amount: int, millis: int) -> int:
    """A time of day that many units later, past midnight from 00:00 on."""
    return _timestamp_plus(unit, amount, millis) % _DAY_MS


@scalar("TIMESUB", "INTERVAL UNIT, INTEGER, TIME -> TIME", never_null=True)
def time_sub(unit: str, amount: int, millis: int) -> int:
    """A time of day that many units earlier, before midnight from 24:00 on."""
    return _timestamp_plus(unit, -amount, millis) % _DAY_MS
