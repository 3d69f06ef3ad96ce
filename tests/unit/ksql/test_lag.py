"""What is left to read, where the last offset of a topic may be no record."""

from typing import Any

import pytest

from ksql.lag import Lag, Positions

KEY = ("sale_lines", 0)


@pytest.fixture
def positions(monkeypatch: pytest.MonkeyPatch) -> Positions:
    """Of a topic with records up to offset 1,999,999 (inclusive), a marker after it, and nothing deleted."""
    monkeypatch.setattr(Positions, "starts", lambda *_: {KEY: 0})
    monkeypatch.setattr(Positions, "_holds_a_record", lambda _self, _key, start, _end: start < 2_000_000)
    return Positions("127.0.0.1:1")


@pytest.mark.parametrize(
    ("committed", "lag"),
    [
        ({KEY: 2_000_001}, Lag(0, done=True)),
        ({KEY: 2_000_000}, Lag(0, done=True)),
        ({KEY: 1_999_999}, Lag(2, done=False)),
        ({}, Lag(2_000_001, done=False)),
    ],
)
def test_a_marker_is_nothing_to_read(positions: Positions, committed: Any, lag: Lag) -> None:
    """Records are, whatever is known of the marker behind them from another group that stood there."""
    ends = {KEY: 2_000_001}
    assert positions.lag({KEY: 2_000_000}, ends).done
    assert positions.lag(committed, ends) == lag
