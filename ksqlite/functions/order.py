"""The order of arrival that all EARLIEST_BY_OFFSET and LATEST_BY_OFFSET of a session share.

Alone, each keeps a sequence number beside its value, so that merged sessions know whose value came first. A query with
twenty of them would keep twenty equal numbers: nearly always the earliest values came with a session's first row and
the latest with its last. So they keep their values alone, and one hidden aggregate keeps the numbers of the first and
the last row, and the numbers of those values (by their place among the arguments) that came at another time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ksqlite.functions.api import BoundAggregate
from ksqlite.functions.base import Aggregate
from ksqlite.functions.offsets import Earliest, Latest, PlainEarliest, PlainLatest, next_sequence
from ksqlite.types import BIGINT, INTEGER, SqlType, map_of, struct
from ksqlite.values import Value

_UNSET = -1
_FEWEST = 2

_Order = tuple[int, int, dict[int, int] | None]


class Order(Aggregate):
    """Numbers of a session's first and last row, and of the values that came otherwise.

    ``earliest`` tells for each argument whether its first value is kept, or its last.
    """

    def __init__(self, earliest: Sequence[bool]) -> None:
        super().__init__(struct(("FIRST", BIGINT), ("LAST", BIGINT), ("OTHERS", map_of(INTEGER, BIGINT))))
        self.earliest = tuple(earliest)
        self.inline_names = {"_agg_sequence": next_sequence, "_agg_track": self.track}

    def update(self, state: _Order | None, *arguments: Value) -> _Order:
        """The order after a row."""
        return self.track(state, next_sequence(), *arguments)

    def track(self, state: _Order | None, sequence: int, *arguments: Value) -> _Order:
        """The order after the row of that number."""
        if state is None:
            unset = {place: _UNSET for place, value in enumerate(arguments) if value is None}
            return sequence, sequence, unset or None
        first, last, known = state
        others = dict(known or {})
        for place, value in enumerate(arguments):
            if self.earliest[place]:
                if value is not None and others.get(place) == _UNSET:
                    others[place] = sequence
            elif value is None:
                others.setdefault(place, last)
            else:
                others.pop(place, None)
        return first, sequence, others or None

    def merge(self, first: _Order, second: _Order) -> _Order:
        """The order within the session that two became."""
        start, end = min(first[0], second[0]), max(first[1], second[1])
        others = {}
        for place, earliest in enumerate(self.earliest):
            numbers = [self.number(first, place), self.number(second, place)]
            there = [number for number in numbers if number != _UNSET]
            number = (min(there) if earliest else max(there)) if there else _UNSET
            if number != (start if earliest else end):
                others[place] = number
        return start, end, others or None

    def number(self, state: _Order, place: int) -> int:
        """The number of an argument's kept value."""
        first, last, others = state
        if others is not None and place in others:
            return others[place]
        return first if self.earliest[place] else last

    def pick(self, place: int) -> Callable[[Value, Value, _Order, _Order], Value]:
        """Chooses between the values of two sessions, given their orders."""

        def pick(value: Value, other: Value, order: _Order, other_order: _Order) -> Value:
            mine, its = self.number(order, place), self.number(other_order, place)
            if _UNSET in {mine, its}:
                return other if mine == _UNSET else value
            return value if (mine < its) == self.earliest[place] else other

        return pick

    def inline_update(self, state: str, *arguments: str) -> str:
        """Source of ``update``: quick while no argument is NULL and none was."""
        # "None in" would ask every Decimal whether it equals None, which it takes its time to answer
        there = " and ".join(f"{argument} is not None" for argument in dict.fromkeys(arguments))
        return (
            f"(({state}[0] if {state} is not None else _agg_sequence()), _agg_sequence(), None) "
            f"if {there} and ({state} is None or {state}[2] is None) "
            f"else _agg_track({state}, _agg_sequence(), {', '.join(arguments)})"
        )


def share(aggregates: Sequence[BoundAggregate], types: Sequence[SqlType]) -> tuple[list[BoundAggregate], list[int]]:
    """The aggregates of a session window with one shared order behind them, where that is worth it.

    ``types`` are those of each aggregate's first input. Also gives which aggregates' first inputs are the arguments of
    the hidden one, which is the last; none when nothing is shared.
    """
    shared = [position for position, bound in enumerate(aggregates) if _is_plain(bound)]
    if len(shared) < _FEWEST:
        return list(aggregates), []
    order = Order([type(aggregates[position].udaf) is Earliest for position in shared])
    made = list(aggregates)
    for place, position in enumerate(shared):
        bound = aggregates[position]
        value_type = types[position]
        if order.earliest[place]:
            plain: Aggregate = PlainEarliest(value_type)
        else:
            plain = PlainLatest(value_type, ignore_nulls=True)
        made[position] = replace(bound, udaf=plain, pick=order.pick(place))
    inputs = tuple(range(len(shared)))
    made.append(BoundAggregate(order, inputs, tuple(types[position] for position in shared), BIGINT))
    return made, shared


def _is_plain(bound: BoundAggregate) -> bool:
    return isinstance(bound.udaf, Earliest | Latest) and bound.udaf.ignore_nulls
