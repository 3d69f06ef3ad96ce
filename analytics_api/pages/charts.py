"""Bars by hour, or by day or month where hours would be too many: where each stands, and what it adds up to."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from analytics_api.figures.schemas import HourFigures
from analytics_api.intervals import HOUR
from analytics_api.pages.formats import Formats
from analytics_api.pages.periods import Period

# Few units across, so that the text of a chart is still to be read where a phone shrinks it.
LEFT, TOP, WIDTH, HEIGHT, BOTTOM = 68, 10, 412, 130, 20
MOST_TICKS = 8
MOST_HOURS = 8 * 24
MOST_DAYS = 400
# Hours from one look at the clock to the next: few enough that no day or month is stepped over.
STRIDES = {"hour": 1, "day": 12, "month": 12 * 24}


@dataclass
class Bucket:
    """One bar's figures."""

    place: int
    """Number of the bar from the left."""
    start: dt.datetime
    purchases: int = 0
    spent: Decimal = Decimal("0.00")
    nds: Decimal = Decimal("0.00")
    tips: Decimal = Decimal("0.00")


@dataclass(frozen=True)
class Series:
    """All bars of the period; `buckets` are those with sales."""

    step: str
    starts: list[dt.datetime]
    buckets: list[Bucket]

    def label(self, formats: Formats, start: dt.datetime) -> str:
        """What a bar is called."""
        if self.step == "month":
            return formats.month(start)
        if self.step == "day":
            return formats.date(start)
        return f"{formats.short_date(start)}, {formats.hour(start)}"


@dataclass(frozen=True)
class Bar:
    """A rectangle."""

    x: float
    y: float
    width: float
    height: float
    place: int


@dataclass(frozen=True)
class Chart:
    """One figure as rectangles, with its grid."""

    bars: list[Bar] = field(default_factory=list)
    grid: list[tuple[float, str]] = field(default_factory=list)
    """Heights and what they stand for."""
    ticks: list[tuple[float, str]] = field(default_factory=list)


def series(hours: Sequence[HourFigures], period: Period, formats: Formats) -> Series:
    """The hours as bars, summed by local day or month where there would be too many."""
    count = int((period.end - period.start) / HOUR)
    step = "hour" if count <= MOST_HOURS else "day" if count <= MOST_DAYS * 24 else "month"

    def begin(moment: dt.datetime) -> dt.datetime:
        if step == "hour":
            return moment
        local = moment.astimezone(formats.zone).replace(hour=0, minute=0, fold=0)
        return (local.replace(day=1) if step == "month" else local).astimezone(dt.UTC)

    looks = [*range(0, count, STRIDES[step]), count - 1]
    starts = list(dict.fromkeys(begin(period.start + HOUR * number) for number in looks))
    places = {start: place for place, start in enumerate(starts)}
    found: dict[dt.datetime, Bucket] = {}
    for hour in hours:
        start = begin(hour.hour_start)
        bucket = found.setdefault(start, Bucket(places[start], start))
        bucket.purchases += hour.total_purchases
        bucket.spent += hour.total_spent
        bucket.nds += hour.total_nds
        bucket.tips += hour.total_tips
    return Series(step, starts, list(found.values()))


def draw(shown: Series, figure: str, formats: Formats) -> Chart:
    """The bars of one figure (purchases, spent, nds or tips)."""
    values = [(bucket.place, Decimal(getattr(bucket, figure))) for bucket in shown.buckets]
    top = round_up(max((value for _, value in values), default=Decimal(0)), whole=figure == "purchases")
    each = WIDTH / max(len(shown.starts), 1)
    gap = min(each * 0.2, 1.5)
    bars = []
    for place, value in values:
        height = max(float(value / top) * HEIGHT, 1.0 if value > 0 else 0.0)
        bars.append(
            Bar(
                round(LEFT + place * each, 2),
                round(TOP + HEIGHT - height, 2),
                round(each - gap, 2),
                round(height, 2),
                place,
            )
        )
    parts = 2 if top % 4 and figure == "purchases" else 4
    if figure == "purchases" and top % parts:
        parts = 1
    grid = [
        (TOP + HEIGHT - HEIGHT * part / parts, formats.short_number(_plain(top * part / parts)))
        for part in range(parts + 1)
    ]
    return Chart(bars, grid, _ticks(shown, each, formats))


def _ticks(shown: Series, each: float, formats: Formats) -> list[tuple[float, str]]:
    places = list(range(len(shown.starts)))
    by_day = shown.step == "hour" and len(places) > 48
    if by_day:
        # A day's name stands where the day begins.
        places = [place for place in places if shown.starts[place].astimezone(formats.zone).hour == 0] or places[:1]
    every = max(1, -(-len(places) // MOST_TICKS))
    ticks = []
    for place in places[::every]:
        start = shown.starts[place]
        if shown.step == "month":
            name = formats.month(start)
        elif shown.step == "hour" and not by_day:
            name = formats.hour(start)
        else:
            name = formats.short_date(start)
        ticks.append((round(LEFT + place * each, 2), name))
    return ticks


def round_up(value: Decimal, *, whole: bool) -> Decimal:
    """The next 1, 2, 4, 5 or 10 times a power of ten: the top of a scale."""
    if value <= 0:
        return Decimal(1)
    power = Decimal(10) ** value.adjusted()
    if whole:
        power = max(power, Decimal(1))
    return next(power * factor for factor in (1, 2, 4, 5, 10) if value <= power * factor)


def _plain(value: Decimal) -> Decimal:
    return value.quantize(Decimal(1)) if value == value.to_integral_value() else value.normalize()
