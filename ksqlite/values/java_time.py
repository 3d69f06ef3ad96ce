"""Java's DateTimeFormatter patterns: formatting and parsing of dates, times and timestamps.

A pattern is compiled once to a list of fields. Parsed fields that are missing stand for 1970-01-01T00:00:00.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, timezone, tzinfo
from functools import lru_cache

from ksqlite.errors import EvaluationError
from ksqlite.values import times

_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_HALVES = ("AM", "PM")


@dataclass(frozen=True, slots=True)
class Moment:
    """A local date and time with its offset from UTC, ready to be written."""

    year: int
    month: int
    day: int
    days: int
    millis: int
    offset_s: int = 0
    zone: tzinfo = UTC
    utc_ms: int = 0

    @property
    def week_day(self) -> int:
        """0 is Monday."""
        return (self.days + 3) % 7

    @property
    def day_of_year(self) -> int:
        """1 is 1 January."""
        return self.days - times.days_of(self.year, 1, 1) + 1


def moment_of(utc_ms: int, zone: tzinfo = UTC) -> Moment:
    """A timestamp as a local date and time."""
    offset = times.offset_ms(utc_ms, zone)
    days, millis = divmod(utc_ms + offset, times.DAY_MS)
    return Moment(*times.civil(days), days, millis, offset // 1000, zone, utc_ms)


@dataclass(slots=True)
class Parsed:
    """The fields that were read."""

    fields: dict[str, int] = field(default_factory=dict)
    zone: tzinfo | None = None

    def days(self) -> int:
        """The date. Raises ValueError when there is none such."""
        get = self.fields.get
        if "epoch" in self.fields:
            return self.fields["epoch"] // 86400
        year = get("year", 1970)
        if "day_of_year" in self.fields:
            return times.days_of(year, 1, 1) + self.fields["day_of_year"] - 1
        month = get("month", (get("quarter", 1) - 1) * 3 + 1)
        return times.nearest_days_of(year, month, get("day", 1))

    def millis(self) -> int:
        """The time of day. Raises ValueError when a field is out of its range."""
        get = self.fields.get
        if "nano_of_day" in self.fields:
            return self.fields["nano_of_day"] // 1_000_000
        if "milli_of_day" in self.fields:
            return self.fields["milli_of_day"]
        hour = get("hour", get("hour24", 0) % 24)
        half = get("half")
        if "hour12" in self.fields or "hour11" in self.fields:
            hour = get("hour12", get("hour11", 0)) % 12 + 12 * (half or 0)
        minute, second = get("minute", 0), get("second", 0)
        if hour > 23 or minute > 59 or second > 59:
            raise ValueError(f"no such time: {hour}:{minute}:{second}")
        return ((hour * 60 + minute) * 60 + second) * 1000 + get("nano", 0) // 1_000_000


@dataclass(frozen=True, slots=True)
class _Part:
    """One field of a pattern: how it is written, the regular expression that reads it, and what is done with it."""

    write: Callable[[Moment], str]
    expression: str
    read: Callable[[str, Parsed], None] | None = None
    numeric: bool = False
    width: int = 0
    optional_start: bool = False
    optional_end: bool = False


def _number(name: str) -> Callable[[str, Parsed], None]:
    def read(text: str, parsed: Parsed) -> None:
        parsed.fields[name] = int(text)

    return read


def _word(name: str, words: tuple[str, ...], first: int) -> Callable[[str, Parsed], None]:
    lower = [word.lower() for word in words]

    def read(text: str, parsed: Parsed) -> None:
        parsed.fields[name] = lower.index(text.lower()) + first

    return read


def _choice(words: tuple[str, ...]) -> str:
    return "(?:" + "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True)) + ")"


def _digits(count: int, value: Callable[[Moment], int], name: str, most: int = 9) -> _Part:
    expression = rf"\d{{{count}}}" if count > 1 else rf"\d{{1,{most}}}"
    return _Part(lambda moment: f"{value(moment):0{count}d}", expression, _number(name), numeric=True, width=count)


def _year(count: int) -> _Part:
    if count == 2:

        def read(text: str, parsed: Parsed) -> None:
            parsed.fields["year"] = 2000 + int(text)

        return _Part(lambda moment: f"{moment.year % 100:02d}", r"\d{2}", read, numeric=True, width=2)

    def write(moment: Moment) -> str:
        year = f"{abs(moment.year):0{count}d}"
        if moment.year < 0:
            return f"-{year}"
        return f"+{year}" if count > 3 and len(year) > count else year

    expression = rf"[+-]?\d{{{count},10}}" if count != 1 else r"[+-]?\d{1,10}"
    return _Part(write, expression, _number("year"), numeric=True, width=count if count > 3 else 0)


def _month(count: int) -> _Part:
    if count <= 2:
        return _digits(count, lambda moment: moment.month, "month", 2)
    words = _MONTHS if count == 4 else tuple(month[: 3 if count == 3 else 1] for month in _MONTHS)
    return _Part(lambda moment: words[moment.month - 1], _choice(words), _word("month", words, 1))


def _week_day(count: int) -> _Part:
    words = _DAYS if count == 4 else tuple(day[: 1 if count == 5 else 3] for day in _DAYS)
    return _Part(lambda moment: words[moment.week_day], _choice(words), _word("week_day", words, 1))


def _fraction(count: int) -> _Part:
    def read(text: str, parsed: Parsed) -> None:
        parsed.fields["nano"] = int(text.ljust(9, "0")[:9])

    return _Part(
        lambda moment: f"{moment.millis % 1000:03d}000000"[:count],
        rf"\d{{{count}}}",
        read,
        numeric=True,
        width=count,
    )


def _offset(letter: str, count: int) -> _Part:
    """X and x: ISO 8601, with Z for zero in X; Z: +0000, and +00:00 or GMT for longer ones; O: GMT+8."""

    def write(moment: Moment) -> str:
        seconds = abs(moment.offset_s)
        hours, minutes, rest = seconds // 3600, seconds // 60 % 60, seconds % 60
        sign = "-" if moment.offset_s < 0 else "+"
        if letter == "O" or (letter == "Z" and count == 4):
            if not seconds:
                return "GMT"
            if count == 1:
                return f"GMT{sign}{hours}" + (f":{minutes:02d}" if minutes else "")
            return f"GMT{sign}{hours:02d}:{minutes:02d}"
        if not seconds and (letter == "X" or (letter == "Z" and count == 5)):
            return "Z"
        colon = ":" if (count in {3, 5} and letter != "Z") or count == 5 else ""
        text = f"{sign}{hours:02d}"
        if letter == "Z" or count > 1 or minutes:
            text += f"{colon}{minutes:02d}"
        return text + (f"{colon}{rest:02d}" if count > 3 and rest else "")

    def read(text: str, parsed: Parsed) -> None:
        parsed.zone = times.zone_of(text) if text.upper() not in {"Z", "GMT"} else UTC

    return _Part(write, r"(?:[Zz]|(?:GMT|UTC)?[+-]\d{1,2}(?::?\d{2}){0,2}|GMT)", read)


def _zone(letter: str, count: int) -> _Part:
    def write(moment: Moment) -> str:
        if letter == "V":
            return str(
                getattr(moment.zone, "key", None) or ("Z" if moment.zone is UTC else _offset("X", 3).write(moment))
            )
        if moment.zone is UTC:
            return "UTC" if count < 4 else "Coordinated Universal Time"
        from datetime import datetime  # noqa: PLC0415 - only zone names need it

        local = datetime.fromtimestamp(moment.utc_ms // 1000, moment.zone)
        if isinstance(moment.zone, timezone):
            return _offset("X", 3).write(moment)
        return local.tzname() or ""

    def read(text: str, parsed: Parsed) -> None:
        parsed.zone = times.zone_of(text)

    return _Part(write, r"[A-Za-z][A-Za-z0-9_/+:\-~]*|[+-]\d{2}(?::?\d{2})?", read)


def _hour12(moment: Moment) -> int:
    return (moment.millis // 3_600_000 + 11) % 12 + 1


def _part(letter: str, count: int) -> _Part:
    hour = 3_600_000
    match letter:
        case "y" | "u" | "Y":
            return _year(count)
        case "M" | "L":
            return _month(count)
        case "d":
            return _digits(count, lambda moment: moment.day, "day", 2)
        case "D":
            return _digits(count, lambda moment: moment.day_of_year, "day_of_year", 3)
        case "E":
            return _week_day(count)
        case "e" | "c":
            if count > 2:
                return _week_day(count)
            return _digits(count, lambda moment: (moment.week_day + 1) % 7 + 1, "week_day", 1)
        case "Q" | "q":
            if count > 2:
                return _Part(
                    lambda moment: f"Q{(moment.month + 2) // 3}",
                    r"Q[1-4]",
                    lambda text, parsed: parsed.fields.__setitem__("quarter", int(text[1])),
                )
            return _digits(count, lambda moment: (moment.month + 2) // 3, "quarter", 1)
        case "H":
            return _digits(count, lambda moment: moment.millis // hour, "hour", 2)
        case "k":
            return _digits(count, lambda moment: moment.millis // hour or 24, "hour24", 2)
        case "K":
            return _digits(count, lambda moment: moment.millis // hour % 12, "hour11", 2)
        case "h":
            return _digits(count, _hour12, "hour12", 2)
        case "m":
            return _digits(count, lambda moment: moment.millis // 60_000 % 60, "minute", 2)
        case "s":
            return _digits(count, lambda moment: moment.millis // 1000 % 60, "second", 2)
        case "S":
            return _fraction(count)
        case "n":
            return _digits(count, lambda moment: moment.millis % 1000 * 1_000_000, "nano", 9)
        case "A":
            return _digits(count, lambda moment: moment.millis, "milli_of_day", 8)
        case "N":
            return _digits(count, lambda moment: moment.millis * 1_000_000, "nano_of_day", 14)
        case "a":
            return _Part(
                lambda moment: _HALVES[moment.millis >= 12 * hour], _choice(_HALVES), _word("half", _HALVES, 0)
            )
        case "G":
            long = count == 4
            return _Part(lambda _: "Anno Domini" if long else "AD", "(?:AD|BC|Anno Domini|Before Christ)")
        case "X" | "x" | "Z" | "O":
            return _offset(letter, count)
        case "z" | "V" | "v":
            return _zone(letter, count)
    raise EvaluationError(f"Unknown pattern letter: {letter}")


def _literal(text: str) -> _Part:
    return _Part(lambda _: text, re.escape(text))


def _tokens(pattern: str) -> list[_Part]:
    parts: list[_Part] = []
    position = 0
    while position < len(pattern):
        letter = pattern[position]
        if letter == "'":
            text = ""
            position += 1
            if pattern[position : position + 1] == "'":
                parts.append(_literal("'"))
                position += 1
                continue
            while True:
                end = pattern.find("'", position)
                if end < 0:
                    raise EvaluationError(f"Pattern ends with an incomplete string literal: {pattern}")
                text += pattern[position:end]
                position = end + 1
                if pattern[position : position + 1] != "'":
                    break
                text += "'"
                position += 1
            parts.append(_literal(text))
        elif letter == "[":
            parts.append(_Part(lambda _: "", "(?:", optional_start=True))
            position += 1
        elif letter == "]":
            parts.append(_Part(lambda _: "", ")?", optional_end=True))
            position += 1
        elif letter.isascii() and letter.isalpha():
            count = len(pattern[position:]) - len(pattern[position:].lstrip(letter))
            parts.append(_part(letter, count))
            position += count
        else:
            parts.append(_literal(letter))
            position += 1
    return parts


class Formatter:
    """A compiled pattern."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self._parts = _tokens(pattern)
        expression = ""
        self._readers: list[Callable[[str, Parsed], None]] = []
        for position, part in enumerate(self._parts):
            if part.optional_start or part.optional_end or part.read is None:
                expression += part.expression
                continue
            source = part.expression
            following = self._parts[position + 1] if position + 1 < len(self._parts) else None
            if part.numeric and part.width > 3 and following is not None and following.numeric:
                source = rf"\d{{{part.width}}}"  # adjacent numbers share out the digits by their widths
            expression += f"({source})"
            self._readers.append(part.read)
        self._expression = re.compile(expression, re.IGNORECASE)

    def format(self, moment: Moment) -> str:
        """The date and time as text."""
        return "".join([part.write(moment) for part in self._parts])

    def parse(self, text: str, *, prefix: bool = False) -> Parsed:
        """The fields in a text, or in its beginning. Raises ValueError when it is not in the pattern."""
        match = self._expression.match(text) if prefix else self._expression.fullmatch(text)
        if match is None:
            raise ValueError(f"Text '{text}' could not be parsed with pattern '{self.pattern}'")
        parsed = Parsed()
        for read, found in zip(self._readers, match.groups(), strict=True):
            if found is not None:
                read(found, parsed)
        return parsed

    def parse_timestamp(self, text: str, zone: tzinfo) -> int:
        """A timestamp; the zone counts where the text has none. Raises ValueError."""
        parsed = self.parse(text)
        local = parsed.days() * times.DAY_MS + parsed.millis()
        return times.local_to_millis(local, parsed.zone or zone)


@lru_cache(maxsize=512)
def formatter(pattern: str) -> Formatter:
    """The compiled pattern. Raises EvaluationError when it is none."""
    return Formatter(pattern)
