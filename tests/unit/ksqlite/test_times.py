"""Dates and times: text in ksqlDB's forms and in Java's patterns."""

from datetime import UTC
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksqlite.errors import EvaluationError
from ksqlite.values import times
from ksqlite.values.java_time import formatter, moment_of

MILLIS = st.integers(-(10**14), 10**14)


@given(MILLIS)
def test_timestamps_read_back(millis: Any) -> None:
    """A timestamp's text is the same timestamp."""
    assert times.parse_timestamp(times.format_timestamp(millis)) == millis


@given(st.integers(-(10**6), 10**6))
def test_dates_read_back(days: int) -> None:
    """A date's text is the same date."""
    assert times.parse_date(times.format_date(days)) == days


@given(st.integers(0, times.DAY_MS - 1))
def test_times_of_day_read_back(millis: int) -> None:
    """A time's text is the same time."""
    assert times.parse_time(times.format_time(millis)) == millis


@given(st.integers(0, 4 * 10**12))
def test_patterns_read_back(millis: int) -> None:
    """What a pattern with all fields writes, it reads."""
    pattern = formatter("yyyy-MM-dd'T'HH:mm:ss.SSSXXX")
    assert pattern.parse_timestamp(pattern.format(moment_of(millis)), UTC) == millis


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2020", 1577836800000),
        ("2020-02", 1580515200000),
        ("2020-02-10", 1581292800000),
        ("2020-02-10T08", 1581321600000),
        ("2020-02-10T08:31:44.001+0000", 1581323504001),
        ("2019-01-01T00:00:00+0445", 1546283700000),
        ("2019-01-01T00:00:00 Europe/Berlin", 1546297200000),
        ("1970-01-01T00:00:00.5Z", 500),
        ("2021-06-31", 1625011200000),
    ],
)
def test_partial_timestamps(text: str, expected: int) -> None:
    """Parts of a timestamp that are not written are the first possible; without a zone it is UTC's."""
    assert times.parse_timestamp(text) == expected


@pytest.mark.parametrize(
    "text", ["", "abc", "2020-13-01", "2020-02-32", "2020-01-01T25:00", "2020-01-01T00:00 Nowhere/At_All"]
)
def test_what_is_no_timestamp(text: str) -> None:
    """Anything else is refused with the form that is required."""
    with pytest.raises(EvaluationError, match="Required format is"):
        times.parse_timestamp(text)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("yyyy-MM-dd'T'HH:mm:ssX", "2018-05-11T21:58:33Z", 1526075913000),
        ("yyyy-MM-dd'T'HH:mm:ss.SX", "2019-08-27T13:31:09.2+0000", 1566912669200),
        ("yyyy-MM-dd'T'HH:mm:ss zzz", "2018-05-11T21:58:33 PST", 1526101113000),
        ("dd/MM/yyyy", "11/05/2019", 1557532800000),
        ("dd-MMM-yyyy", "01-Jan-2022", 1640995200000),
        ("yyyyMMdd", "20200101", 1577836800000),
        ("yyyy-MM-dd[ HH:mm]", "2020-01-01", 1577836800000),
        ("yyyy-MM-dd[ HH:mm]", "2020-01-01 01:00", 1577840400000),
        ("h:mm a, d MMMM uuuu", "1:30 PM, 2 March 1970", 5232600000),
        ("yyyy-DDD", "1970-032", 2678400000),
    ],
)
def test_parsing_by_pattern(pattern: str, text: str, expected: int) -> None:
    """Texts in DateTimeFormatter patterns are read as Java reads them."""
    assert times.timestamp_parser(pattern)(text) == expected


@pytest.mark.parametrize(
    ("pattern", "zone", "expected"),
    [
        ("yyyy-MM-dd HH:mm:ss zzz", "America/Los_Angeles", "2018-05-11 14:58:33 PDT"),
        ("yyyy-MM-dd HH:mm:ss zzz", "Europe/London", "2018-05-11 22:58:33 BST"),
        ("EEEE d MMM yy, K:mm a Z", "+0200", "Friday 11 May 18, 11:58 PM +0200"),
        ("yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "UTC", "2018-05-11T21:58:33.000Z"),
        ("'it''s' e Q D", "UTC", "it's 6 2 131"),
        ("xxx O VV", "Asia/Kolkata", "+05:30 GMT+5:30 Asia/Kolkata"),
    ],
)
def test_formatting_by_pattern(pattern: str, zone: str, expected: str) -> None:
    """Timestamps are written in DateTimeFormatter patterns as Java writes them."""
    assert formatter(pattern).format(moment_of(1526075913000, times.zone_of(zone))) == expected


@pytest.mark.parametrize("pattern", ["yyyy-MM-dd'T", "B"])
def test_patterns_that_are_none(pattern: str) -> None:
    """An unknown letter and an open quote are refused."""
    with pytest.raises(EvaluationError):
        formatter(pattern)


def test_a_skipped_hour_moves_on_and_a_repeated_one_is_the_first() -> None:
    """Local times of the days when clocks change are taken as Java takes them."""
    berlin = times.zone_of("Europe/Berlin")
    parse = formatter("yyyy-MM-dd HH:mm").parse_timestamp
    assert parse("2024-03-31 02:30", berlin) == times.parse_timestamp("2024-03-31T01:30Z")
    assert parse("2024-10-27 02:30", berlin) == times.parse_timestamp("2024-10-27T00:30Z")
