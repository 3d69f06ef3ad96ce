"""COUNT_DISTINCT."""

from __future__ import annotations

import math
from hashlib import blake2b

from ksqlite.functions.base import Aggregate
from ksqlite.functions.registry import aggregate
from ksqlite.types import BIGINT, SqlType, array
from ksqlite.values import Value

_EXACT_VALUES = 2048
_REGISTER_BITS = 12
_REGISTERS = 1 << _REGISTER_BITS
_SKETCH = -1


class CountDistinct(Aggregate):
    """How many different values that are not NULL: exactly up to 2,048, beyond that estimated (HyperLogLog).

    State: hashes of the values; a first element of -1 is followed by 4,096 registers instead.
    """

    def __init__(self) -> None:
        super().__init__(array(BIGINT), BIGINT)

    def init(self) -> list[int]:
        """No value."""
        return []

    def update(self, state: list[int], *arguments: Value) -> list[int]:
        """One more value."""
        value = arguments[0]
        if value is None:
            return state
        return self._with(state, int.from_bytes(blake2b(repr(value).encode(), digest_size=8).digest()) >> 1)

    def _with(self, state: list[int], hashed: int) -> list[int]:
        if state and state[0] == _SKETCH:
            register = 1 + (hashed & (_REGISTERS - 1))
            rest = hashed >> _REGISTER_BITS
            height = 63 - _REGISTER_BITS - rest.bit_length() + 1
            if state[register] >= height:
                return state
            return [*state[:register], height, *state[register + 1 :]]
        if hashed in state:
            return state
        if len(state) < _EXACT_VALUES:
            return [*state, hashed]
        sketch = [_SKETCH, *([0] * _REGISTERS)]
        for known in (*state, hashed):
            sketch = self._with(sketch, known)
        return sketch

    def merge(self, first: list[int], second: list[int]) -> list[int]:
        """Both together."""
        if first[:1] == second[:1] == [_SKETCH]:
            return [_SKETCH, *map(max, first[1:], second[1:])]
        if second[:1] == [_SKETCH]:
            first, second = second, first
        for hashed in second:
            first = self._with(first, hashed)
        return first

    def result(self, state: list[int]) -> int:
        """The number of values."""
        if state[:1] != [_SKETCH]:
            return len(state)
        registers = state[1:]
        estimate = 0.7213 / (1 + 1.079 / _REGISTERS) * _REGISTERS**2 / sum(2.0**-height for height in registers)
        empty = registers.count(0)
        if estimate <= 2.5 * _REGISTERS and empty:
            estimate = _REGISTERS * math.log(_REGISTERS / empty)
        return round(estimate)


@aggregate("COUNT_DISTINCT", "T -> BIGINT")
def count_distinct(_type: SqlType) -> CountDistinct:
    """How many different values there are; estimated when there are many."""
    return CountDistinct()
