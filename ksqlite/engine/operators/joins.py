"""Joins with tables, with the semantics of Kafka Streams 3."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ksqlite import ast
from ksqlite.engine import code
from ksqlite.engine.api import StateStore, StoreSpec
from ksqlite.engine.operators.base import Event, Lane, Process, is_null
from ksqlite.expressions import Environment
from ksqlite.planner.model import (
    ForeignKeyJoinStep,
    StreamTableJoinStep,
    TableTableJoinStep,
)


class _Joining:
    """An operator that holds nothing back."""

    def flush(self, lane: Lane) -> Callable[[], list[Event]] | None:  # noqa: ARG002 - the interface
        """Nothing is held back."""
        return None


class StreamTableJoin(_Joining):
    """Each stream event meets the table's row of its key."""

    def __init__(self, step: StreamTableJoinStep, table: StoreSpec) -> None:
        self.left = step.left
        self.nulls = (None,) * step.right_width
        self.table = table
        self.stores: Sequence[StoreSpec] = (table,)

    def bind(self, lane: Lane) -> list[Process]:
        """Inputs: the stream, the table."""
        store = lane.stores[self.table.name]
        get, put, delete = store.get, store.put, store.delete
        left, nulls = self.left, self.nulls

        def stream(events: list[Event]) -> list[Event]:
            out: list[Event] = []
            for k, v, ts in events:
                if v is None or (k[0] is None and is_null(k)):
                    continue
                row = get(k)
                if row is not None:
                    out.append((k, v + row[:-1], ts))
                elif left:
                    out.append((k, v + nulls, ts))
            return out

        def table(events: list[Event]) -> list[Event]:
            for k, v, ts in events:
                if k[0] is None and is_null(k):
                    continue
                if v is None:
                    delete(k)
                else:
                    put(k, (*v, ts))
            return []

        return [stream, table]


class TableTableJoin(_Joining):
    """Two tables by their primary keys; its events tell changes."""

    def __init__(self, step: TableTableJoinStep) -> None:
        self.step = step
        self.stores: Sequence[StoreSpec] = (step.left_store, step.right_store)

    def bind(self, lane: Lane) -> list[Process]:
        """Inputs: the left table, the right table."""
        step = self.step
        left_store, right_store = lane.stores[step.left_store.name], lane.stores[step.right_store.name]
        # a side must be there for a result where its rows are not made up of nulls
        needs_left = step.type in (ast.JoinType.INNER, ast.JoinType.LEFT)
        needs_right = step.type in (ast.JoinType.INNER, ast.JoinType.RIGHT)
        left_nulls, right_nulls = (None,) * step.left_width, (None,) * step.right_width

        def joined(left: Any, right: Any) -> Any:  # noqa: ANN401 - rows or None
            if left is None and (needs_left or right is None):
                return None
            if right is None and (needs_right or left is None):
                return None
            return (left_nulls if left is None else left) + (right_nulls if right is None else right)

        def side(mine: StateStore, other: StateStore, *, is_left: bool) -> Process:
            get, put, delete, other_get = mine.get, mine.put, mine.delete, other.get
            needs_other = needs_right if is_left else needs_left

            def process(events: list[Event]) -> list[Event]:
                out: list[Event] = []
                for k, v, ts, *told in events:
                    if k[0] is None and is_null(k):
                        continue
                    before = get(k)
                    old = (None if before is None else before[:-1]) if not told else told[0]
                    if v is None:
                        delete(k)
                    else:
                        put(k, (*v, ts))
                    row = other_get(k)
                    if row is None:
                        if needs_other or (v is None and old is None):
                            continue
                        match, stamp = None, ts
                    else:
                        match, stamp = row[:-1], max(ts, row[-1])
                    if is_left:
                        out.append((k, joined(v, match), stamp, joined(old, match)))
                    else:
                        out.append((k, joined(match, v), stamp, joined(match, old)))
                return out

            return process

        return [side(left_store, right_store, is_left=True), side(right_store, left_store, is_left=False)]


class ForeignKeyJoin(_Joining):
    """A table to another's primary key by an expression over its rows; its events tell changes.

    All of it stands in one partition: the engine gives such a query a single lane.
    """

    def __init__(self, step: ForeignKeyJoinStep, env: Environment) -> None:
        self.step = step
        self.stores: Sequence[StoreSpec] = (step.left_store, step.right_store, step.index_store)
        out = code.Code()
        with out.block("def foreign(k, v, ts):"):
            code.evaluate(out, "key", step.foreign, "Error computing foreign key")
            out("return key")
        self.foreign = code.define("foreign", out.text(), env, "foreign key")

    def bind(self, lane: Lane) -> list[Process]:
        """Inputs: the left table, the right table."""
        step, foreign = self.step, self.foreign
        left, right = lane.stores[step.left_store.name], lane.stores[step.right_store.name]
        index = lane.stores[step.index_store.name]
        outer, nulls = step.left_outer, (None,) * step.right_width

        def joined(v: Any, row: Any) -> Any:  # noqa: ANN401 - rows or None
            if v is None or (row is None and not outer):
                return None
            return v + (nulls if row is None else row[:-1])

        def left_process(events: list[Event]) -> list[Event]:
            out: list[Event] = []
            for k, v, ts in events:
                if k[0] is None and is_null(k):
                    continue
                before = left.get(k)
                old = None if before is None else before[:-1]
                old_key = None if old is None else foreign(k, old, ts)
                new_key = None if v is None else foreign(k, v, ts)
                if v is None:
                    left.delete(k)
                else:
                    left.put(k, (*v, ts))
                if old_key is not None and old_key != new_key:
                    index.delete((old_key, *k))
                if new_key is not None:
                    index.put((new_key, *k), (ts,))
                old_row = None if old_key is None else right.get((old_key,))
                new_row = None if new_key is None else right.get((new_key,))
                was = joined(old, old_row)
                now = joined(v, new_row)
                stamp = ts if new_row is None else max(ts, new_row[-1])
                if now is None and was is None and not _tells(old, v, old_key, new_key, outer=outer):
                    continue
                out.append((k, now, stamp, was))
            return out

        def right_process(events: list[Event]) -> list[Event]:
            out: list[Event] = []
            for k, v, ts in events:
                if k[0] is None and is_null(k):
                    continue
                before = right.get(k)
                if v is None:
                    right.delete(k)
                else:
                    right.put(k, (*v, ts))
                row = None if v is None else (*v, ts)
                for entry, _ in list(index.prefix(k)):
                    key = entry[1:]
                    mine = left.get(key)
                    if mine is None:
                        continue
                    out.append((key, joined(mine[:-1], row), ts, joined(mine[:-1], before)))
            return out

        return [left_process, right_process]


def _tells(old: Any, new: Any, old_key: Any, new_key: Any, *, outer: bool) -> bool:  # noqa: ANN401 - rows and keys
    """Whether a left change without a result before and after still comes out as a tombstone, as in Kafka Streams."""
    if old is None:
        return False
    if new is None:
        return old_key is not None or outer
    return old_key is not None and old_key != new_key
