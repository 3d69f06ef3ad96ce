"""Deviation and correlation."""

from __future__ import annotations

import math
from typing import Any

from ksqlite.functions.aggregates import Sum
from ksqlite.functions.base import Aggregate
from ksqlite.functions.registry import aggregate
from ksqlite.types import BIGINT, DOUBLE, SqlType, struct
from ksqlite.values import Value


class Deviation(Aggregate):
    """Variance of a sample by the method of Youngs and Cramer; its root when ``root``. State: sum, count, m2."""

    def __init__(self, sql_type: SqlType, *, root: bool) -> None:
        super().__init__(struct(("SUM", sql_type), ("COUNT", BIGINT), ("M2", DOUBLE)), DOUBLE)
        self._sum = Sum(sql_type)
        self._root = root
        self.undo = self._undo

    def init(self) -> tuple[Any, int, float]:
        """Nothing yet."""
        return self._sum.init(), 0, 0.0

    def update(self, state: tuple[Any, int, float], *arguments: Value) -> tuple[Any, int, float]:
        """One more value."""
        value = arguments[0]
        if value is None:
            return state
        number = state[1] + 1
        total = self._sum.update(state[0], value)
        m2 = state[2]
        if number > 1:
            m2 += float(number * value - total) ** 2 / (number * (number - 1))
        return total, number, m2

    def _undo(self, state: tuple[Any, int, float], value: Value) -> tuple[Any, int, float]:
        if value is None:
            return state
        total, number, m2 = state
        if number > 1:
            m2 -= float(number * value - total) ** 2 / (number * (number - 1))
        return self._sum._undo(total, value), number - 1, m2  # noqa: SLF001 - its part

    def merge(self, first: tuple[Any, int, float], second: tuple[Any, int, float]) -> tuple[Any, int, float]:
        """Both together."""
        if not first[1] or not second[1]:
            return first if first[1] else second
        total = self._sum.merge(first[0], second[0])
        m, n = float(first[1]), float(second[1])
        shift = (m / n * second[0] - first[0]) ** 2 * n / (m * (m + n))
        return total, first[1] + second[1], first[2] + second[2] + shift

    def result(self, state: tuple[Any, int, float]) -> float:
        """Variance or deviation; 0 for fewer than two values."""
        if state[1] < 2:
            return 0.0
        variance = state[2] / (state[1] - 1)
        return math.sqrt(variance) if self._root else variance


@aggregate("STDDEV_SAMP", *(f"{name} -> DOUBLE" for name in ("DOUBLE", "INTEGER", "BIGINT")))
def stddev_samp(sql_type: SqlType) -> Deviation:
    """The variance of a sample: ksqlDB's old name for it is wrong, and it is kept; see STDDEV_SAMPLE."""
    return Deviation(sql_type, root=False)


@aggregate("STDDEV_SAMPLE", *(f"{name} -> DOUBLE" for name in ("DOUBLE", "INTEGER", "BIGINT")))
def stddev_sample(sql_type: SqlType) -> Deviation:
    """The standard deviation of a sample."""
    return Deviation(sql_type, root=True)


_Moments = tuple[int, float, float, float, float, float]


class Correlation(Aggregate):
    """Pearson's correlation of two values; rows where either is NULL do not count."""

    def __init__(self) -> None:
        names = ("SUM_X", "SUM_Y", "SUM_XX", "SUM_YY", "SUM_XY")
        super().__init__(struct(("COUNT", BIGINT), *((name, DOUBLE) for name in names)), DOUBLE)
        self.undo = self._undo

    def init(self) -> _Moments:
        """Nothing yet."""
        return 0, 0.0, 0.0, 0.0, 0.0, 0.0

    def update(self, state: _Moments, *arguments: Value) -> _Moments:
        """One more pair."""
        return self._moved(state, arguments[0], arguments[1], 1)

    def _undo(self, state: _Moments, x: Value, y: Value) -> _Moments:
        return self._moved(state, x, y, -1)

    @staticmethod
    def _moved(state: _Moments, x: Value, y: Value, times: int) -> _Moments:
        if x is None or y is None:
            return state
        n, sx, sy, sxx, syy, sxy = state
        x, y = float(x), float(y)
        return (
            n + times,
            sx + times * x,
            sy + times * y,
            sxx + times * x * x,
            syy + times * y * y,
            sxy + times * x * y,
        )

    def merge(self, first: _Moments, second: _Moments) -> _Moments:
        """Both together."""
        n, sx, sy, sxx, syy, sxy = (one + other for one, other in zip(first, second, strict=True))
        return int(n), sx, sy, sxx, syy, sxy

    def result(self, state: _Moments) -> float:
        """Between -1 and 1; not a number where either value does not vary."""
        n, sx, sy, sxx, syy, sxy = state
        if n == 0:
            return math.nan
        below = math.sqrt(max(n * sxx - sx * sx, 0.0)) * math.sqrt(max(n * syy - sy * sy, 0.0))
        return (n * sxy - sx * sy) / below if below else math.nan


@aggregate("CORRELATION", *(f"{name}, {name} -> DOUBLE" for name in ("DOUBLE", "INTEGER", "BIGINT")))
def correlation(*_types: SqlType) -> Correlation:
    """Pearson's correlation coefficient of two values."""
    return Correlation()
