"""Lags are read beside the requests: nobody waits long for a Kafka that takes its time."""

import asyncio
import threading
import time
from typing import Any

import pytest

from analytics_api.status import lag
from analytics_api.status.lag import KafkaAway, Lags, Reading, StillReading


class Slow(Lags):
    """Reads when it is let; `answering` says whether Kafka answered at all."""

    def __init__(self, *, answering: bool) -> None:
        super().__init__(None, None)  # type: ignore[arg-type]  # neither is used here
        self.gate = threading.Event()
        self.answering = answering
        self.reads = 0

    def _read(self) -> Reading:
        self.reads += 1
        self._is_answering = self.answering
        assert self.gate.wait(20)
        return Reading([], [])


@pytest.mark.parametrize(("answering", "raised"), [(True, StillReading), (False, KafkaAway)])
def test_nobody_waits_longer_than_the_patience(monkeypatch: pytest.MonkeyPatch, answering: bool, raised: Any) -> None:
    """Whoever asks meanwhile waits for the same reading; what it brings is there for the next."""
    monkeypatch.setattr(lag, "PATIENCE_S", 0.05)

    async def scenario() -> None:
        lags = Slow(answering=answering)
        began = time.monotonic()
        answers = await asyncio.gather(*(lags.groups(0.05) for _ in range(3)), return_exceptions=True)
        assert [type(one) for one in answers] == [raised] * 3
        assert time.monotonic() - began < 5
        assert lags.reads == 1
        lags.gate.set()
        assert await lags.groups(10) == []
        assert await lags.dead_letters() == []
        assert lags.reads == 1

    asyncio.run(scenario())


def test_an_older_answer_stands_while_a_new_one_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow moment of Kafka does not blank the page, until the answer is too old to be shown."""

    async def scenario() -> None:
        lags = Slow(answering=True)
        lags.gate.set()
        assert await lags.groups(10) == []
        lags.gate.clear()
        monkeypatch.setattr(lag, "FRESH_S", -1.0)
        assert await lags.groups(0.01) == []
        monkeypatch.setattr(lag, "STALE_S", -1.0)
        lags._read_at -= 100
        with pytest.raises(StillReading):
            await lags.groups(0.01)
        lags.gate.set()

    asyncio.run(scenario())
