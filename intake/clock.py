"""The time a check was received, in the forms it is written in; worked out once a millisecond."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass

from intake.contract.numbers import zigzag


@dataclass(frozen=True, slots=True)
class Stamp:
    """One millisecond of UTC."""

    ms: int
    """Since 1970."""
    avro: bytes
    """As Avro's timestamp-millis."""
    iso: bytes
    """As text: 2024-02-07T12:34:56.789Z."""


def stamp_of(at_ms: int) -> Stamp:
    """The forms of a time."""
    seconds, ms = divmod(at_ms, 1000)
    text = dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return Stamp(at_ms, zigzag(at_ms), f"{text}.{ms:03d}Z".encode())


class Clock:
    """Gives the stamp of now."""

    def __init__(self) -> None:
        self._last = stamp_of(0)

    def stamp(self) -> Stamp:
        """Now."""
        now_ms = time.time_ns() // 1_000_000
        if now_ms != self._last.ms:
            self._last = stamp_of(now_ms)
        return self._last
