"""TOPK and TOPKDISTINCT: the largest values, largest first."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from ksqlite.errors import AnalysisError
from ksqlite.functions.base import Aggregate
from ksqlite.functions.registry import aggregate
from ksqlite.types import BYTES, SqlType, array, struct
from ksqlite.values import Value

_SIGNED = bytes((byte + 128) % 256 for byte in range(256))


class _Descending:
    """A key that sorts the other way round."""

    __slots__ = ("value",)

    def __init__(self, value: Value) -> None:
        self.value = value

    def __lt__(self, other: _Descending) -> bool:
        return bool(other.value < self.value)


class TopK(Aggregate):
    """The k largest values; with further columns, structs of the value (sort_col) and those (col0, col1 …)."""

    def __init__(self, types: Sequence[SqlType], size: int) -> None:
        self.single = len(types) == 1
        element: SqlType = types[0]
        if not self.single:
            columns = [(f"col{number}", sql_type) for number, sql_type in enumerate(types[1:])]
            element = struct(("sort_col", types[0]), *columns)
        super().__init__(array(element))
        self.size = size

    def init(self) -> list[Any]:
        """No value."""
        return []

    def update(self, state: list[Any], *arguments: Value) -> list[Any]:
        """One more value, behind its equals; the smallest goes."""
        if arguments[0] is None:
            return state
        value = arguments[0] if self.single else arguments
        position = bisect_right(state, self._key(value), key=self._key)
        if position >= self.size:
            return state
        return [*state[:position], value, *state[position:]][: self.size]

    def _key(self, value: Value) -> _Descending:
        return _Descending(value if self.single else value[0])

    def merge(self, first: list[Any], second: list[Any]) -> list[Any]:
        """The largest of both."""
        return sorted(first + second, key=self._key)[: self.size]


class TopKDistinct(Aggregate):
    """The k largest different values."""

    def __init__(self, sql_type: SqlType, size: int) -> None:
        super().__init__(array(sql_type))
        self.size = size
        self._signed = sql_type == BYTES

    def init(self) -> list[Any]:
        """No value."""
        return []

    def update(self, state: list[Any], *arguments: Value) -> list[Any]:
        """One more value, unless it is there; the smallest goes."""
        value = arguments[0]
        if value is None or value in state:
            return state
        return self._cut([*state, value])

    def _cut(self, values: list[Any]) -> list[Any]:
        key = (lambda value: value.translate(_SIGNED)) if self._signed else None
        return sorted(values, key=key, reverse=True)[: self.size]

    def merge(self, first: list[Any], second: list[Any]) -> list[Any]:
        """The largest of both."""
        return self._cut(first + [value for value in second if value not in first])


def _size(constants: Sequence[Any]) -> int:
    size = constants[0]
    if size is None or size < 1:
        raise AnalysisError("k must be 1 or greater")
    return int(size)


@aggregate(
    "TOPK",
    *(f"{name}, INTEGER -> ARRAY<{name}>" for name in ("DOUBLE", "INTEGER", "BIGINT", "STRING")),
    *(f"{name}, ANY..., INTEGER -> ARRAY<S>" for name in ("DOUBLE", "INTEGER", "BIGINT", "STRING")),
    constants=1,
)
def topk(*types: SqlType, constants: Sequence[Any]) -> TopK:
    """The k largest values, with the columns given beside them."""
    return TopK(types, _size(constants))


@aggregate(
    "TOPKDISTINCT",
    *(
        f"{name}, INTEGER -> ARRAY<{name}>"
        for name in ("BIGINT", "INTEGER", "DOUBLE", "DECIMAL", "BYTES", "DATE", "TIME", "TIMESTAMP", "STRING")
    ),
    constants=1,
)
def topk_distinct(sql_type: SqlType, *, constants: Sequence[Any]) -> TopKDistinct:
    """The k largest different values."""
    return TopKDistinct(sql_type, _size(constants))
