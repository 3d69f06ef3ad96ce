"""What a function is: its names, its variants by type, and how each is computed.

Three kinds: scalar functions (a value from values), aggregates (``Udaf``: a state, updated row by row) and table
functions (many rows from one).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from ksqlite import ast
from ksqlite.types import SqlType
from ksqlite.values import Value


class Kind(Enum):
    """The kinds of function, by the names that the REST API uses."""

    SCALAR = "SCALAR"
    AGGREGATE = "AGGREGATE"
    TABLE = "TABLE"


class Udaf(Protocol):
    """An aggregate for certain argument types.

    A state is a value of ``state_type`` (so that it can be stored) and is never changed in place: ``update`` gives a
    new one. ``undo`` takes a row back (aggregation over tables); it is None where ksqlDB has no undo for it.
    """

    state_type: SqlType
    result_type: SqlType
    undo: Callable[..., Any] | None

    def init(self) -> Value:
        """The state before any row."""
        ...

    def update(self, state: Value, *arguments: Value) -> Value:
        """The state after a row."""
        ...

    def merge(self, first: Value, second: Value) -> Value:
        """The state of two sessions that became one; ``first`` is the earlier session."""
        ...

    def result(self, state: Value) -> Value:
        """The aggregate's value."""
        ...

    def inline_update(self, state: str, *arguments: str) -> str | None:
        """Python source of ``update``, or None where only the call will do.

        All arguments are sources of simple names (evaluated freely often). Names in it are found in ``inline_names``.
        """
        ...

    @property
    def inline_names(self) -> dict[str, Any]:
        """What the sources of ``inline_update`` and ``inline_result`` refer to; put it into the generated globals."""
        ...

    def inline_result(self, state: str) -> str | None:
        """Python source of ``result``; the state's own source where both are the same."""
        ...


@dataclass(frozen=True, slots=True)
class BoundAggregate:
    """An aggregate call, resolved.

    ``inputs`` are the positions of the call's arguments that are evaluated for each row, ``input_types`` what each must
    be compiled to (``Compiler.compile(argument, expected)``); the other arguments were constants and are used up.
    ``intermediate`` is the type of ksqlDB's own state, which the sink's value format must be able to hold. With
    ``pick`` the states of merging sessions are given to it together with the states of the last aggregate, which keeps
    the order (see ``order.share``): ``pick(state, other, order, other_order)``.
    """

    udaf: Udaf
    inputs: tuple[int, ...]
    input_types: tuple[SqlType, ...]
    intermediate: SqlType
    pick: Callable[[Any, Any, Any, Any], Any] | None = None


@dataclass(frozen=True, slots=True)
class BoundTable:
    """A table function call, resolved: ``call(*arguments)`` gives the values of the new rows' column."""

    call: Callable[..., Iterable[Any]]
    input_types: tuple[SqlType, ...]
    returns: SqlType


class Registry(Protocol):
    """All functions, by name (upper case)."""

    def kind(self, name: str) -> Kind | None:
        """What kind of function that is, or None when there is none of that name."""
        ...

    def names(self) -> Sequence[str]:
        """All names, sorted."""
        ...

    def aggregate(
        self, name: str, arguments: Sequence[ast.Expression], types: Sequence[SqlType | None]
    ) -> BoundAggregate:
        """Resolves an aggregate call (COUNT(*) has no arguments). Raises AnalysisError when nothing fits."""
        ...

    def table(self, name: str, types: Sequence[SqlType | None]) -> BoundTable:
        """Resolves a table function call. Raises AnalysisError when nothing fits."""
        ...
