"""A limit on requests for each client: a bucket that fills at a rate and is drawn from by requests."""

from __future__ import annotations

from collections import OrderedDict


class RateLimit:
    """Buckets of one process. With several processes each has its share of the rate."""

    _MOST_CLIENTS = 10_000

    def __init__(self, rate_per_s: float, burst: int, processes: int = 1) -> None:
        self._rate_per_s = rate_per_s / processes
        self._burst = max(1.0, burst / processes)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, client: str, now_s: float) -> float:
        """Draw one request; 0 when it may go on, else in how many seconds the next may come."""
        level, then_s = self._buckets.pop(client, (self._burst, now_s))
        level = min(self._burst, level + (now_s - then_s) * self._rate_per_s)
        allowed = level >= 1
        self._buckets[client] = (level - 1 if allowed else level, now_s)
        if len(self._buckets) > self._MOST_CLIENTS:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1 - level) / self._rate_per_s
