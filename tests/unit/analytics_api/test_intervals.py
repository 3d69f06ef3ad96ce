"""Intervals: what is read, what is refused, and the split into days and edge hours."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics_api.intervals import Interval, parse, parse_moment
from analytics_api.problems import Problem

UTC = dt.UTC
ZONE = ZoneInfo("Europe/Berlin")
HOUR = dt.timedelta(hours=1)
BASE = dt.datetime(2024, 2, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-02-07T12:00:00", "2024-02-07T11:00:00+00:00"),
        ("2024-02-07T12:00:00Z", "2024-02-07T12:00:00+00:00"),
        ("2024-02-07T12:00:00+03:00", "2024-02-07T09:00:00+00:00"),
        ("2024-02-07T12:00:00 03:00", "2024-02-07T09:00:00+00:00"),
        ("2024-02-07T12 0300", "2024-02-07T09:00:00+00:00"),
        ("2024-02-07", "2024-02-06T23:00:00+00:00"),
        ("2024-07-07 12:00", "2024-07-07T10:00:00+00:00"),
        # There twice: the first.
        ("2024-10-27T02:00:00", "2024-10-27T00:00:00+00:00"),
    ],
)
def test_moments(text: str, expected: str) -> None:
    """Times without an offset are in the zone; a lost plus sign is forgiven; a repeated local time is the first."""
    assert parse_moment(text, ZONE).isoformat() == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "12:00",
        "2024-02-30",
        "2024-03-31T02:30:00",
        "9999-12-31T23:00:00-14:00",
        "0001-01-01",
        "٢٠٢٤-٠١-٠١",
        "2" * 99,
    ],
)
def test_no_moments(text: str) -> None:
    """What is no time, does not exist on the clock, or is out of range is refused with a sentence."""
    with pytest.raises(ValueError, match=r"\.$"):
        parse_moment(text, ZONE)


def test_all_errors_at_once() -> None:
    """Both bounds are told, each by its name."""
    with pytest.raises(Problem) as caught:
        parse("x", "2024-02-07T00:30:00Z", ZONE)
    assert [error.pointer for error in caught.value.errors] == ["/from", "/to"]


@given(first=st.integers(0, 400), length=st.integers(1, 300))
def test_days_and_edges_are_the_interval(first: int, length: int) -> None:
    """Whole days and edge hours together are every hour of the interval, once."""
    interval = Interval(BASE + first * HOUR, BASE + (first + length) * HOUR)
    hours = []
    if (days := interval.days()) is not None:
        assert days[0] is not None
        assert days[1] is not None
        assert days[0].hour == days[1].hour == 0
        hours += [days[0] + number * HOUR for number in range((days[1] - days[0]) // HOUR)]
    for low, high in interval.edges():
        assert high - low < dt.timedelta(hours=48)
        hours += [low + number * HOUR for number in range((high - low) // HOUR)]
    assert sorted(hours) == [BASE + (first + number) * HOUR for number in range(length)]


@pytest.mark.parametrize(("from_", "to"), [("", None), (None, ""), ("", "")])
def test_an_empty_bound_is_refused(from_: str | None, to: str | None) -> None:
    """`?from=` is a client's mistake: taken for no bound it would answer with all of time."""
    with pytest.raises(Problem):
        parse(from_, to, ZoneInfo("UTC"))


def test_the_longest_interval_that_is_read() -> None:
    """Its days and edges stay within the calendar, so that REST may be asked for all of time."""
    interval = parse("1970-01-01T01:00Z", "9989-12-31T23:00Z", ZONE)
    assert interval.days() == (dt.datetime(1970, 1, 2, tzinfo=UTC), dt.datetime(9989, 12, 31, tzinfo=UTC))
    assert len(interval.edges()) == 2


def test_open_intervals() -> None:
    """Without a bound the days go on for ever on that side."""
    assert Interval().days() == (None, None)
    assert Interval().edges() == []
    half = Interval(BASE + 5 * HOUR)
    assert half.days() == (BASE + 24 * HOUR, None)
    assert half.edges() == [(BASE + 5 * HOUR, BASE + 24 * HOUR)]


def test_the_interval_before() -> None:
    """As long, and ending where this one begins."""
    assert Interval(BASE, BASE + 3 * HOUR).before() == Interval(BASE - 3 * HOUR, BASE)
    assert Interval(BASE).before() is None
