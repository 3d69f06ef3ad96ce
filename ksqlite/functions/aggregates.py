"""COUNT, SUM, AVG, MIN and MAX."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from ksqlite.functions.base import Aggregate
from ksqlite.functions.registry import aggregate
from ksqlite.types import (
    BIGINT,
    BYTES,
    DOUBLE,
    INTEGER,
    ArrayType,
    DecimalType,
    SqlType,
    struct,
)
from ksqlite.values import Value, decimals
from ksqlite.values.casts import wrap_int, wrap_long

_SIGNED = bytes((byte + 128) % 256 for byte in range(256))


class Count(Aggregate):
    """How many rows, or how many of them with a value that is not NULL."""

    def __init__(self, *, every_row: bool) -> None:
        super().__init__(BIGINT)
        self.every_row = every_row
        self.undo = self._undo

    def init(self) -> int:
        """Nothing counted."""
        return 0

    def update(self, state: int, *arguments: Value) -> int:
        """One more, unless the value is NULL."""
        return state + 1 if self.every_row or arguments[0] is not None else state

    def _undo(self, state: int, *arguments: Value) -> int:
        return state - 1 if self.every_row or arguments[0] is not None else state

    def merge(self, first: int, second: int) -> int:
        """Both together."""
        return first + second

    def inline_update(self, state: str, *arguments: str) -> str:
        """Source of ``update``."""
        if self.every_row:
            return f"{state} + 1"
        return f"({state} if {arguments[0]} is None else {state} + 1)"


@aggregate("COUNT", "-> BIGINT", "T -> BIGINT")
def count(*types: SqlType) -> Count:
    """How many rows there are; with an argument, how many in which it is not NULL."""
    return Count(every_row=not types)


class Sum(Aggregate):
    """The sum of the values that are not NULL; 0 without any. DECIMAL keeps its precision and overflows."""

    def __init__(self, sql_type: SqlType) -> None:
        super().__init__(sql_type)
        self.undo = self._undo
        self._zero: Value = 0
        self._add: Callable[[Any, Any], Any]
        self._subtract: Callable[[Any, Any], Any]
        if isinstance(sql_type, DecimalType):
            self._zero = Decimal((0, (0,), -sql_type.scale))
            self._add, self._subtract = decimals.adder(sql_type.precision), decimals.subtracter(sql_type.precision)
            self._name = f"_agg_add{sql_type.precision}"
            self.inline_names = {self._name: self._add}
        elif sql_type == DOUBLE:
            self._zero = 0.0
            self._add, self._subtract = (lambda a, b: a + b), (lambda a, b: a - b)
        else:
            wrap = wrap_int if sql_type == INTEGER else wrap_long
            self._add, self._subtract = (lambda a, b: wrap(a + b)), (lambda a, b: wrap(a - b))
            self._name = f"_agg_{wrap.__name__}"
            self._bits = 31 if sql_type == INTEGER else 63
            self.inline_names = {self._name: wrap}

    def init(self) -> Value:
        """Zero."""
        return self._zero

    def update(self, state: Value, *arguments: Value) -> Value:
        """One more value. Raises ``decimal.Rounded`` when a DECIMAL overflows."""
        value = arguments[0]
        return state if value is None else self._add(state, value)

    def _undo(self, state: Value, value: Value) -> Value:
        return state if value is None else self._subtract(state, value)

    def merge(self, first: Value, second: Value) -> Value:
        """Both together."""
        return self._add(first, second)

    def inline_update(self, state: str, *arguments: str) -> str:
        """Source of ``update``."""
        value = arguments[0]
        if isinstance(self.state_type, DecimalType):
            return f"({state} if {value} is None else {self._name}({state}, {value}))"
        if self.state_type == DOUBLE:
            return f"({state} if {value} is None else {state} + {value})"
        low, high = -(2**self._bits), 2**self._bits - 1
        return (
            f"({state} if {value} is None else "
            f"_agg_sum if {low} <= (_agg_sum := {state} + {value}) <= {high} else {self._name}(_agg_sum))"
        )


@aggregate("SUM", "DECIMAL -> DECIMAL", "DOUBLE -> DOUBLE", "INTEGER -> INTEGER", "BIGINT -> BIGINT")
def sum_(sql_type: SqlType) -> Sum:
    """The sum of the values that are not NULL."""
    return Sum(sql_type)


class SumList(Sum):
    """The sum of all elements of all arrays."""

    def __init__(self, sql_type: ArrayType) -> None:
        super().__init__(sql_type.element)
        self.inline_names = {}

    def update(self, state: Value, *arguments: Value) -> Value:
        """The elements of one more array."""
        for value in arguments[0] or ():
            state = super().update(state, value)
        return state

    def _undo(self, state: Value, value: Value) -> Value:
        for element in value or ():
            state = super()._undo(state, element)
        return state

    def inline_update(self, state: str, *arguments: str) -> None:  # type: ignore[override] # noqa: ARG002 - a loop
        """Only the call will do."""
        return


@aggregate("SUM_LIST", "ARRAY<DOUBLE> -> DOUBLE", "ARRAY<INTEGER> -> INTEGER", "ARRAY<BIGINT> -> BIGINT")
def sum_list(sql_type: ArrayType) -> SumList:
    """The sum of all elements of all arrays."""
    return SumList(sql_type)


class Extreme(Aggregate):
    """The smallest or largest value that is not NULL."""

    def __init__(self, sql_type: SqlType, *, largest: bool) -> None:
        super().__init__(sql_type)
        self.largest = largest
        self._signed = sql_type == BYTES

    def update(self, state: Value, *arguments: Value) -> Value:
        """One more value."""
        return self.merge(state, arguments[0])

    def merge(self, first: Value, second: Value) -> Value:
        """The better of both."""
        if first is None or second is None:
            return second if first is None else first
        one, other = (first.translate(_SIGNED), second.translate(_SIGNED)) if self._signed else (first, second)
        return second if (other > one if self.largest else other < one) else first

    def inline_update(self, state: str, *arguments: str) -> str | None:
        """Source of ``update``; bytes are compared as signed ones by the call."""
        if self._signed:
            return None
        value = arguments[0]
        better = ">=" if self.largest else "<="
        return f"({state} if {value} is None or {state} is not None and {state} {better} {value} else {value})"


_ORDERED = ("DECIMAL", "DOUBLE", "INTEGER", "BIGINT", "STRING", "TIMESTAMP", "TIME", "DATE", "BYTES")


@aggregate("MIN", *(f"{name} -> {name}" for name in _ORDERED))
def minimum(sql_type: SqlType) -> Extreme:
    """The smallest value that is not NULL."""
    return Extreme(sql_type, largest=False)


@aggregate("MAX", *(f"{name} -> {name}" for name in _ORDERED))
def maximum(sql_type: SqlType) -> Extreme:
    """The largest value that is not NULL."""
    return Extreme(sql_type, largest=True)


class Average(Aggregate):
    """The mean of the values that are not NULL; 0 without any. State: sum and count."""

    def __init__(self, sql_type: SqlType) -> None:
        super().__init__(struct(("SUM", sql_type), ("COUNT", BIGINT)), DOUBLE)
        self._sum = Sum(sql_type)
        self.undo = self._undo

    def init(self) -> tuple[Any, int]:
        """Nothing yet."""
        return self._sum.init(), 0

    def update(self, state: tuple[Any, int], *arguments: Value) -> tuple[Any, int]:
        """One more value."""
        value = arguments[0]
        return state if value is None else (self._sum.update(state[0], value), state[1] + 1)

    def _undo(self, state: tuple[Any, int], value: Value) -> tuple[Any, int]:
        return state if value is None else (self._sum._undo(state[0], value), state[1] - 1)  # noqa: SLF001 - its part

    def merge(self, first: tuple[Any, int], second: tuple[Any, int]) -> tuple[Any, int]:
        """Both together."""
        return self._sum.merge(first[0], second[0]), first[1] + second[1]

    def result(self, state: tuple[Any, int]) -> float:
        """The mean."""
        return float(state[0]) / state[1] if state[1] else 0.0


@aggregate("AVG", *(f"{name} -> DOUBLE" for name in ("DOUBLE", "INTEGER", "BIGINT")))
def average(sql_type: SqlType) -> Average:
    """The mean of the values that are not NULL."""
    return Average(sql_type)
