"""The periods of pages: what one's own may be, and what each is compared with."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from analytics_api.intervals import HOUR
from analytics_api.pages import charts, periods, texts
from analytics_api.pages.formats import Formats
from analytics_api.problems import Problem

NOW = dt.datetime(2026, 11, 24, 15, 40, tzinfo=dt.UTC)
BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> dt.datetime:
    """A time of UTC."""
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("from_", "to"),
    [
        ("2000-01-01", "4100-01-01"),
        ("2026-01-01", "9026-01-01"),
        ("1970-01-02", "9989-01-01"),
        ("2000-01-01", "2020-01-03"),
    ],
)
def test_an_own_interval_of_more_than_twenty_years_is_refused(from_: str, to: str) -> None:
    """A mistyped year is told in both languages instead of being drawn hour by hour."""
    with pytest.raises(Problem) as caught:
        periods.choose("own", BERLIN, NOW, from_=from_, to=to)
    assert caught.value.status == 422
    [error] = caught.value.errors
    assert error.pointer == "/from"
    assert error.detail == "The interval is longer than 20 years; choose a shorter one."
    assert texts.translate("ru", error.detail) == "Интервал длиннее 20 лет; выберите интервал короче."


@pytest.mark.parametrize(
    ("from_", "to"),
    [("0001-01-01", "2026-01-01"), ("0001-01-01", "0001-02-01"), ("9999-01-01", "9999-02-01")],
)
def test_years_at_the_ends_of_the_calendar_are_refused(from_: str, to: str) -> None:
    """There is no interval before the first year, and none is looked for."""
    with pytest.raises(Problem) as caught:
        periods.choose("own", BERLIN, NOW, from_=from_, to=to)
    assert {error.detail for error in caught.value.errors} == {"This time is out of range."}


@pytest.mark.parametrize(
    ("from_", "to"),
    [("1970-02-01", "1990-02-01"), ("2000-01-01", "2020-01-01"), ("9969-01-01", "9989-01-01")],
)
def test_twenty_years_are_compared_with_the_twenty_before(from_: str, to: str) -> None:
    """The longest interval, also the earliest and the latest."""
    period = periods.choose("own", BERLIN, NOW, from_=from_, to=to)
    assert period.before_end == period.start
    assert period.before_end - period.before_start == period.end - period.start
    shown = charts.series([], period, Formats("en", BERLIN))
    assert (shown.step, len(shown.starts)) == ("month", 240)


def test_twenty_years_by_a_clock_that_was_put_back() -> None:
    """Moscow's clock was four hours ahead of UTC in the summer of 2000 and three in that of 2020."""
    period = periods.choose("own", ZoneInfo("Europe/Moscow"), NOW, from_="2000-07-01", to="2020-07-01")
    assert period.end - period.start == dt.timedelta(days=7305, hours=1)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Asia/Kolkata", "America/St_Johns", "Pacific/Apia"])
@pytest.mark.parametrize("to", ["2011-12-31T21:00Z", "2012-01-01T01:00Z", "2012-11-04T05:00Z", "2013-06-30T20:00Z"])
def test_every_day_and_month_has_its_bar(zone: str, to: str) -> None:
    """No day of a changed clock and no begun one is left out: each hour of the period falls on a bar."""
    formats = Formats("en", ZoneInfo(zone))
    period = periods.choose("own", formats.zone, NOW, from_="2011-10-20T22:00Z", to=to)
    shown = charts.series([], period, formats)
    hours = [period.start + dt.timedelta(hours=number) for number in range((period.end - period.start) // HOUR)]
    local = [hour.astimezone(formats.zone) for hour in hours]
    expected = {(hour.year, hour.month, hour.day if shown.step == "day" else 1) for hour in local}
    found = [(start.year, start.month, start.day) for start in (s.astimezone(formats.zone) for s in shown.starts)]
    assert found == sorted(expected)


@pytest.mark.parametrize(
    ("now", "before_end"),
    [("2026-10-25T22:30", "2026-10-24T22:00"), ("2026-10-25T21:30", "2026-10-24T22:00")],
)
def test_the_day_of_25_hours_is_not_compared_with_itself(now: str, before_end: str) -> None:
    """In its last hour it is compared with all of yesterday, which has 24."""
    period = periods.choose("today", BERLIN, at(now))
    assert (period.start, period.end) == (at("2026-10-24T22:00"), at(now).replace(minute=0) + HOUR)
    assert (period.before_start, period.before_end) == (at("2026-10-23T22:00"), at(before_end))


def test_a_week_that_ends_with_the_day_of_25_hours_is_not_compared_with_itself() -> None:
    """Its 169th hour has no counterpart."""
    period = periods.choose("week", BERLIN, at("2026-10-25T22:30"))
    assert period.before_end == period.start == at("2026-10-18T22:00")
