"""What the aggregates have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ksqlite.types import SqlType
from ksqlite.values import Value


class Aggregate:
    """An aggregate whose value is its state; see ``ksqlite.functions.api.Udaf`` for what each method is."""

    undo: Callable[..., Any] | None = None

    def __init__(self, state_type: SqlType, result_type: SqlType | None = None) -> None:
        self.state_type = state_type
        self.result_type = result_type or state_type
        self.inline_names: dict[str, Any] = {}

    def init(self) -> Value:
        """The state before any row."""
        return None

    def update(self, state: Value, *arguments: Value) -> Value:
        """The state after a row."""
        raise NotImplementedError

    def merge(self, first: Value, second: Value) -> Value:
        """The state of two sessions that became one."""
        raise NotImplementedError

    def result(self, state: Value) -> Value:
        """The aggregate's value."""
        return state

    def inline_update(self, state: str, *arguments: str) -> str | None:  # noqa: ARG002 - for those that can
        """Python source of ``update``, or None where only the call will do."""
        return None

    def inline_result(self, state: str) -> str | None:
        """Python source of ``result``, or None where only the call will do."""
        return state if type(self).result is Aggregate.result else None
