"""Aggregates that keep values: lists, sets, histograms, and the one value of all rows."""

from __future__ import annotations

from typing import Any

from ksqlite.functions.base import Aggregate
from ksqlite.functions.registry import aggregate
from ksqlite.types import BIGINT, SqlType, array, map_of, struct
from ksqlite.values import Value

_HISTOGRAM_LIMIT = 1000


class CollectList(Aggregate):
    """All values, NULL included, in order of arrival."""

    def __init__(self, sql_type: SqlType) -> None:
        super().__init__(array(sql_type))
        self.undo = self._undo

    def init(self) -> list[Any]:
        """No value."""
        return []

    def update(self, state: list[Any], *arguments: Value) -> list[Any]:
        """One more value."""
        return [*state, arguments[0]]

    def _undo(self, state: list[Any], value: Value) -> list[Any]:
        for position in range(len(state) - 1, -1, -1):
            if state[position] == value:
                return state[:position] + state[position + 1 :]
        return state

    def merge(self, first: list[Any], second: list[Any]) -> list[Any]:
        """One after the other."""
        return first + second


@aggregate("COLLECT_LIST", "T -> ARRAY<T>")
def collect_list(sql_type: SqlType) -> CollectList:
    """An array of all values, NULL included."""
    return CollectList(sql_type)


class CollectSet(Aggregate):
    """All different values, NULL included, in order of first arrival."""

    def __init__(self, sql_type: SqlType) -> None:
        super().__init__(array(sql_type))

    def init(self) -> list[Any]:
        """No value."""
        return []

    def update(self, state: list[Any], *arguments: Value) -> list[Any]:
        """One more value, unless it is there."""
        return state if arguments[0] in state else [*state, arguments[0]]

    def merge(self, first: list[Any], second: list[Any]) -> list[Any]:
        """The first, and what only the second has."""
        return first + [value for value in second if value not in first]


@aggregate("COLLECT_SET", "T -> ARRAY<T>")
def collect_set(sql_type: SqlType) -> CollectSet:
    """An array of all different values."""
    return CollectSet(sql_type)


class Histogram(Aggregate):
    """How often each text occurs, for at most 1,000 texts; later ones are left out."""

    def __init__(self, key: SqlType) -> None:
        super().__init__(map_of(key, BIGINT))
        self.undo = self._undo

    def init(self) -> dict[Any, int]:
        """No text."""
        return {}

    def update(self, state: dict[Any, int], *arguments: Value) -> dict[Any, int]:
        """One more text."""
        value = arguments[0]
        if value is None or (value not in state and len(state) >= _HISTOGRAM_LIMIT):
            return state
        return {**state, value: state.get(value, 0) + 1}

    def _undo(self, state: dict[Any, int], value: Value) -> dict[Any, int]:
        if value not in state:
            return state
        left = state[value] - 1
        return {key: number for key, number in {**state, value: left}.items() if number > 0}

    def merge(self, first: dict[Any, int], second: dict[Any, int]) -> dict[Any, int]:
        """Both together."""
        merged = dict(first)
        for value, number in second.items():
            if value in merged or len(merged) < _HISTOGRAM_LIMIT:
                merged[value] = merged.get(value, 0) + number
        return merged


@aggregate("HISTOGRAM", "STRING -> MAP<STRING, BIGINT>")
def histogram(sql_type: SqlType) -> Histogram:
    """A map from each text to how often it occurs."""
    return Histogram(sql_type)


class Attribute(Aggregate):
    """The value when it is the same in all rows, otherwise NULL. State: each value with its count."""

    def __init__(self, sql_type: SqlType) -> None:
        super().__init__(array(struct(("VALUE", sql_type), ("COUNT", BIGINT))), sql_type)
        self.undo = self._undo

    def init(self) -> list[tuple[Any, int]]:
        """No value."""
        return []

    def update(self, state: list[tuple[Any, int]], *arguments: Value) -> list[tuple[Any, int]]:
        """One more row."""
        return self._moved(state, arguments[0], 1)

    def _undo(self, state: list[tuple[Any, int]], value: Value) -> list[tuple[Any, int]]:
        return self._moved(state, value, -1)

    @staticmethod
    def _moved(state: list[tuple[Any, int]], value: Value, times: int) -> list[tuple[Any, int]]:
        moved = [(known, number + (times if known == value else 0)) for known, number in state]
        if times > 0 and all(known != value for known, _ in state):
            moved.append((value, times))
        return [(known, number) for known, number in moved if number > 0]

    def merge(self, first: list[tuple[Any, int]], second: list[tuple[Any, int]]) -> list[tuple[Any, int]]:
        """Both together."""
        for value, number in second:
            first = self._moved(first, value, number)
        return first

    def result(self, state: list[tuple[Any, int]]) -> Value:
        """The only value."""
        return state[0][0] if len(state) == 1 else None


@aggregate("ATTR", "T -> T")
def attr(sql_type: SqlType) -> Attribute:
    """The value when all rows have the same, otherwise NULL."""
    return Attribute(sql_type)
