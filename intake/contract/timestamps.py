"""When a sale was made: from the check's text to milliseconds of UTC."""

from __future__ import annotations

import datetime as dt
import re
from zoneinfo import ZoneInfo

from intake.contract.errors import UnfitError, shown
from intake.contract.numbers import zigzag
from intake.contract.rules import DAY_MS, Limits

_FORM = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?([Zz]|[+-][0-9]{2}:?[0-9]{2})?",
    re.ASCII,
)
_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - differences of local times, zones are counted apart
_MILLISECOND = dt.timedelta(milliseconds=1)
_MINUTE_MS = 60_000
MAX_LENGTH = 64
"""Characters of a timestamp; more digits of a second's fraction than that mean nothing."""


def _offset_ms(text: str) -> int:
    if text in "Zz":
        return 0
    hours, minutes = int(text[1:3]), int(text[-2:])
    if hours > 23 or minutes > 59:
        raise UnfitError(f'has an offset from UTC that is none: "{text}"')
    size = (hours * 60 + minutes) * _MINUTE_MS
    return -size if text[0] == "-" else size


def _local_to_utc_ms(local: dt.datetime, zone: ZoneInfo) -> int:
    """The first instant that the zone's clocks show `local`. Raises UnfitError where they never do."""
    aware = local.replace(tzinfo=zone, fold=0)
    try:
        back = aware.astimezone(dt.UTC).astimezone(zone)
        offset = aware.utcoffset()
    except OverflowError as error:
        raise UnfitError("is outside the years that can be counted") from error
    if back.replace(tzinfo=None) != local:
        raise UnfitError(
            f"is a local time that does not exist in time zone {zone.key}, where clocks were put forward: "
            f'"{local.isoformat()}"; send it with an offset, such as +03:00'
        )
    return (local - (offset or dt.timedelta()) - _EPOCH) // _MILLISECOND


def to_utc_ms(text: str, zone: ZoneInfo) -> int:
    """Milliseconds since 1970 of an ISO 8601 time; without an offset it is in `zone`. Finer than that is cut.

    Raises UnfitError with the reason.
    """
    match = _FORM.fullmatch(text) if len(text) <= MAX_LENGTH else None
    if match is None:
        raise UnfitError(
            'must be a date and time such as "2024-02-07T12:34:56", "2024-02-07T12:34:56.789+03:00" or '
            f'"2024-02-07T09:34:56Z", and is "{shown(text)}"'
        )
    day, hour, minute, second, fraction, offset = match.groups()
    if second == "60":
        raise UnfitError(f'has a leap second, which is not taken; send second 59: "{text}"')
    try:
        local = dt.datetime.fromisoformat(f"{day}T{hour}:{minute}:{second}")
    except ValueError as error:
        raise UnfitError(f'is no time of the calendar: "{shown(text)}"') from error
    fraction_ms = int((fraction or "")[:3].ljust(3, "0"))
    if offset:
        return (local - _EPOCH) // _MILLISECOND - _offset_ms(offset) + fraction_ms
    return _local_to_utc_ms(local, zone) + fraction_ms


class Timestamps(dict[str, tuple[int, bytes]]):
    """Milliseconds, and their Avro bytes, by a timestamp's text: many checks of a second share it."""

    _MOST = 10_000

    def __init__(self, zone: ZoneInfo, units_per_ms: int = 1) -> None:
        super().__init__()
        self._zone = zone
        self._units_per_ms = units_per_ms

    def __missing__(self, text: str) -> tuple[int, bytes]:
        """Read a timestamp that is not there yet. Raises UnfitError."""
        at_ms = to_utc_ms(text, self._zone)
        found = at_ms, zigzag(at_ms * self._units_per_ms)
        if len(self) >= self._MOST:
            self.clear()
        self[text] = found
        return found


def check_age(at_ms: int, now_ms: int, limits: Limits, zone: ZoneInfo) -> None:
    """Refuse a sale that cannot have been made then: one wrong clock would move every window.

    Raises UnfitError, which asks about the time zone.
    """
    if at_ms > now_ms + limits.max_future_ms:
        raise UnfitError(
            f"lies {_span(at_ms - now_ms)} in the future, and at most {limits.max_future_ms // _MINUTE_MS} minutes are "
            f"taken. Is the till's time zone right? A timestamp without an offset is taken as {zone.key}"
        )
    if at_ms < now_ms - limits.max_age_ms:
        raise UnfitError(
            f"is {_span(now_ms - at_ms)} old, and at most {limits.max_age_ms // DAY_MS} days are taken. "
            f"Are the till's clock and time zone right? A timestamp without an offset is taken as {zone.key}"
        )


def _span(size_ms: int) -> str:
    days, minutes = divmod(size_ms // _MINUTE_MS, 1440)
    if days:
        return f"{days} day{'' if days == 1 else 's'}"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
