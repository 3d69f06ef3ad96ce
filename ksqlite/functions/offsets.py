"""EARLIEST_BY_OFFSET and LATEST_BY_OFFSET, of one value or of several.

Where sessions may merge, each value is kept with a sequence number, from which the order of arrival is told; elsewhere
the value alone is enough.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import count
from typing import Any

from ksqlite.errors import AnalysisError
from ksqlite.functions.base import Aggregate
from ksqlite.functions.registry import aggregate
from ksqlite.types import BIGINT, SqlType, array, struct
from ksqlite.values import Value

# Later numbers are larger, also after a restart.
next_sequence = count(time.time_ns()).__next__

_Numbered = tuple[int, Any]


class Earliest(Aggregate):
    """The first value; kept with its sequence number."""

    def __init__(self, sql_type: SqlType, *, ignore_nulls: bool) -> None:
        super().__init__(struct(("SEQ", BIGINT), ("VAL", sql_type)), sql_type)
        self.ignore_nulls = ignore_nulls
        self.inline_names = {"_agg_sequence": next_sequence}

    def update(self, state: _Numbered | None, *arguments: Value) -> _Numbered | None:
        """The first value stays."""
        if state is not None or (self.ignore_nulls and arguments[0] is None):
            return state
        return next_sequence(), arguments[0]

    def merge(self, first: _Numbered | None, second: _Numbered | None) -> _Numbered | None:
        """The one that arrived earlier."""
        if first is None or second is None:
            return second if first is None else first
        return min(first, second, key=_number)

    def result(self, state: _Numbered | None) -> Value:
        """The value."""
        return None if state is None else state[1]

    def inline_update(self, state: str, *arguments: str) -> str:
        """Source of ``update``."""
        guard = f" or {arguments[0]} is None" if self.ignore_nulls else ""
        return f"({state} if {state} is not None{guard} else (_agg_sequence(), {arguments[0]}))"

    def inline_result(self, state: str) -> str:
        """Source of ``result``."""
        return f"(None if {state} is None else {state}[1])"


class Latest(Earliest):
    """The last value; kept with its sequence number."""

    def update(self, state: _Numbered | None, *arguments: Value) -> _Numbered | None:
        """The last value stays."""
        if self.ignore_nulls and arguments[0] is None:
            return state
        return next_sequence(), arguments[0]

    def merge(self, first: _Numbered | None, second: _Numbered | None) -> _Numbered | None:
        """The one that arrived later."""
        if first is None or second is None:
            return second if first is None else first
        return max(first, second, key=_number)

    def inline_update(self, state: str, *arguments: str) -> str:
        """Source of ``update``."""
        if self.ignore_nulls:
            return f"({state} if {arguments[0]} is None else (_agg_sequence(), {arguments[0]}))"
        return f"(_agg_sequence(), {arguments[0]})"


class PlainEarliest(Aggregate):
    """The first value that is not NULL, alone."""

    def update(self, state: Value, *arguments: Value) -> Value:
        """The first value stays."""
        return arguments[0] if state is None else state

    def inline_update(self, state: str, *arguments: str) -> str:
        """Source of ``update``."""
        return f"({arguments[0]} if {state} is None else {state})"


class PlainLatest(Aggregate):
    """The last value, alone."""

    def __init__(self, sql_type: SqlType, *, ignore_nulls: bool) -> None:
        super().__init__(sql_type)
        self.ignore_nulls = ignore_nulls

    def update(self, state: Value, *arguments: Value) -> Value:
        """The last value stays."""
        return state if self.ignore_nulls and arguments[0] is None else arguments[0]

    def inline_update(self, state: str, *arguments: str) -> str:
        """Source of ``update``."""
        return f"({state} if {arguments[0]} is None else {arguments[0]})" if self.ignore_nulls else arguments[0]


class EarliestSeveral(Aggregate):
    """The first n values, kept with their sequence numbers."""

    def __init__(self, sql_type: SqlType, size: int, *, ignore_nulls: bool) -> None:
        super().__init__(array(struct(("SEQ", BIGINT), ("VAL", sql_type))), array(sql_type))
        self.size = size
        self.ignore_nulls = ignore_nulls

    def init(self) -> list[_Numbered]:
        """No value."""
        return []

    def update(self, state: list[_Numbered], *arguments: Value) -> list[_Numbered]:
        """One more value, while there are fewer than n."""
        if len(state) >= self.size or (self.ignore_nulls and arguments[0] is None):
            return state
        return [*state, (next_sequence(), arguments[0])]

    def merge(self, first: list[_Numbered], second: list[_Numbered]) -> list[_Numbered]:
        """Those that arrived earliest."""
        return sorted(first + second, key=_number)[: self.size]

    def result(self, state: list[_Numbered]) -> list[Any]:
        """The values in order of arrival."""
        return [value for _, value in state]


class LatestSeveral(EarliestSeveral):
    """The last n values, kept with their sequence numbers."""

    def update(self, state: list[_Numbered], *arguments: Value) -> list[_Numbered]:
        """One more value; the oldest goes."""
        if self.ignore_nulls and arguments[0] is None:
            return state
        return [*state, (next_sequence(), arguments[0])][-self.size :]

    def merge(self, first: list[_Numbered], second: list[_Numbered]) -> list[_Numbered]:
        """Those that arrived latest."""
        return sorted(first + second, key=_number)[-self.size :]


def _number(numbered: _Numbered) -> int:
    return numbered[0]


def _options(constants: Sequence[Any], name: str) -> tuple[int | None, bool]:
    """How many values, and whether NULL is left out."""
    size: int | None = None
    ignore_nulls = True
    for constant in constants:
        if isinstance(constant, bool):
            ignore_nulls = constant
        elif constant is not None:
            size = int(constant)
    if size is not None and size < 1:
        raise AnalysisError(f"{name} must be 1 or greater")
    return size, ignore_nulls


def _mergeable_earliest(sql_type: SqlType, *, constants: Sequence[Any] = ()) -> Aggregate:
    size, ignore_nulls = _options(constants, "earliestN")
    if size is None:
        return Earliest(sql_type, ignore_nulls=ignore_nulls)
    return EarliestSeveral(sql_type, size, ignore_nulls=ignore_nulls)


def _mergeable_latest(sql_type: SqlType, *, constants: Sequence[Any] = ()) -> Aggregate:
    size, ignore_nulls = _options(constants, "latestN")
    if size is None:
        return Latest(sql_type, ignore_nulls=ignore_nulls)
    return LatestSeveral(sql_type, size, ignore_nulls=ignore_nulls)


def earliest(sql_type: SqlType, *, constants: Sequence[Any] = ()) -> Aggregate:
    """The first value, or an array of the first n; NULL is left out unless the last argument is false."""
    size, ignore_nulls = _options(constants, "earliestN")
    if size is None and ignore_nulls:
        return PlainEarliest(sql_type)
    return _mergeable_earliest(sql_type, constants=constants)


def latest(sql_type: SqlType, *, constants: Sequence[Any] = ()) -> Aggregate:
    """The last value, or an array of the last n; NULL is left out unless the last argument is false."""
    size, ignore_nulls = _options(constants, "latestN")
    if size is None:
        return PlainLatest(sql_type, ignore_nulls=ignore_nulls)
    return _mergeable_latest(sql_type, constants=constants)


for _signature, _constants in (
    ("T -> T", 0),
    ("T, INTEGER -> ARRAY<T>", 1),
    ("T, INTEGER, BOOLEAN -> ARRAY<T>", 2),
    ("T, BOOLEAN -> T", 1),
):
    aggregate("EARLIEST_BY_OFFSET", _signature, constants=_constants, mergeable=_mergeable_earliest)(earliest)
    aggregate("LATEST_BY_OFFSET", _signature, constants=_constants, mergeable=_mergeable_latest)(latest)
