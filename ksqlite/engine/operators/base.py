"""What every operator is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ksqlite.engine.api import StateStore, StoreSpec

Event = tuple[Any, ...]
Process = Callable[[list[Event]], list[Event]]


class NullKey(tuple[Any, ...]):
    """The columns of a record without key: all of them None, which a key of several columns may be too."""

    __slots__ = ()


def is_null(key: tuple[Any, ...]) -> bool:
    """Whether there is no key. Asked only where the first column is None."""
    return len(key) == 1 or key.__class__ is NullKey


@dataclass(slots=True)
class Tally:
    """Counts of one query, over all its partitions."""

    records_in: int = 0
    records_out: int = 0
    late: int = 0
    errors: int = 0


@dataclass(slots=True)
class Lane:
    """What an operator may use in one partition: its stores by name, times that outlive a restart, counts.

    ``times`` are stream times by name; the engine keeps them in a store of their own at each flush.
    """

    stores: dict[str, StateStore]
    times: dict[str, int]
    tally: Tally
    flushes: list[Callable[[], list[Event]]] = field(default_factory=list)


class Operator(Protocol):
    """An operator with one or two inputs."""

    @property
    def stores(self) -> Sequence[StoreSpec]:
        """The stores that it needs in each partition."""

    def bind(self, lane: Lane) -> list[Process]:
        """Its functions for one partition, one for each input."""

    def flush(self, lane: Lane) -> Callable[[], list[Event]] | None:
        """What brings out coalesced events of this partition; None where nothing is held back."""
