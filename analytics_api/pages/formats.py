"""Numbers, money, dates and spans of time as readers of each language write them. Money keeps its exact digits."""

import datetime as dt
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal
from zoneinfo import ZoneInfo

from analytics_api.pages.texts import translate

NARROW_SPACE = "\u202f"
NO_BREAK = "\u00a0"
MINUS = "\u2212"
DASH = "\u2014"
_EXACT = Context(prec=80, rounding=ROUND_HALF_UP)
_MONTHS_EN = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS_RU = ("янв.", "февр.", "мар.", "апр.", "мая", "июн.", "июл.", "авг.", "сент.", "окт.", "нояб.", "дек.")
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


@dataclass(frozen=True)
class Formats:
    """How one reader writes; `zone` is the one that times are shown in."""

    language: str
    zone: ZoneInfo

    def number(self, value: Decimal | int | None) -> str:
        """A number with all its digits, grouped in threes."""
        if value is None:
            return DASH
        whole, _, digits = format(Decimal(value), "f").lstrip("-").partition(".")
        grouped = f"{int(whole):,}"
        if self.language == "ru":
            # Russian leaves four digits together.
            grouped = grouped.replace(",", NO_BREAK) if len(whole) > 4 else whole
        sign = MINUS if value < 0 else ""
        point = "," if self.language == "ru" else "."
        return f"{sign}{grouped}{point}{digits}" if digits else f"{sign}{grouped}"

    def short_number(self, value: Decimal) -> str:
        """A round number of a chart's scale, in thousands, millions or more where it is one of them."""
        for power, unit in ((9, "bn"), (6, "m"), (3, "k")):
            size = Decimal(10) ** power
            if abs(value) >= size and len((shortened := (value / size).normalize()).as_tuple().digits) <= 3:
                gap = NO_BREAK if self.language == "ru" else ""
                return f"{self.number(Decimal(format(shortened, 'f')))}{gap}{translate(self.language, unit)}"
        return self.number(value)

    def quantity(self, value: Decimal | None) -> str:
        """Pieces or kilograms, without zeros that say nothing."""
        if value is None:
            return DASH
        return self.number(value.quantize(Decimal(1)) if value == value.to_integral_value() else value.normalize())

    def change(self, now: Decimal | int | None, before: Decimal | int | None) -> str:
        """The change from `before` to `now` in per cent, with its sign; a dash where there is nothing to compare."""
        if now is None or not before:
            return DASH
        share = _EXACT.multiply(_EXACT.divide(Decimal(now) - Decimal(before), Decimal(before)), Decimal(100))
        rounded = share.quantize(Decimal("0.1"), context=_EXACT)
        sign = "+" if rounded > 0 else ""
        gap = NO_BREAK if self.language == "ru" else ""
        return f"{sign}{self.number(rounded)}{gap}%"

    def date(self, moment: dt.datetime | None) -> str:
        """The day."""
        if moment is None:
            return DASH
        local = moment.astimezone(self.zone)
        if self.language == "ru":
            return f"{local.day} {_MONTHS_RU[local.month - 1]} {local.year}"
        return f"{local.day} {_MONTHS_EN[local.month - 1]} {local.year}"

    def short_date(self, moment: dt.datetime) -> str:
        """The day without its year, for axes."""
        return self.date(moment).rsplit(" ", 1)[0]

    def month(self, moment: dt.datetime) -> str:
        """Month and year."""
        return self.date(moment).split(" ", 1)[1]

    def hour(self, moment: dt.datetime) -> str:
        """Time of day to the minute; with its offset where clocks show it twice."""
        local = moment.astimezone(self.zone)
        twice = local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()
        return f"{local:%H:%M}" + (f" ({local:%z})" if twice else "")

    def minute(self, moment: dt.datetime | None) -> str:
        """Day and time to the minute."""
        return DASH if moment is None else f"{self.date(moment)}, {self.hour(moment)}"

    def second(self, moment: dt.datetime | None) -> str:
        """Day and time to the second."""
        return DASH if moment is None else f"{self.date(moment)}, {moment.astimezone(self.zone):%H:%M:%S}"

    def recent(self, moment: dt.datetime | None, now: dt.datetime) -> str:
        """Time to the second, with its day unless that is today."""
        if moment is None or moment.astimezone(self.zone).date() != now.astimezone(self.zone).date():
            return self.second(moment)
        return f"{moment.astimezone(self.zone):%H:%M:%S}"

    def span(self, seconds: float | None) -> str:
        """A length of time in its two largest units."""
        if seconds is None:
            return DASH
        left = max(round(seconds), 0)
        parts: list[str] = []
        for size, unit in _UNITS:
            count, left = divmod(left, size)
            if count or (unit == "s" and not parts):
                parts.append(f"{self.number(count)}{NO_BREAK}{translate(self.language, unit)}")
        return " ".join(parts[:2])


def iso(moment: dt.datetime) -> str:
    """For `datetime` attributes and scripts: UTC to the second."""
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
