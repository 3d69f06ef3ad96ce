"""GROUP BY, windowed and not, over streams and over tables: one generated function for each query."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ksqlite import ast
from ksqlite.engine import code
from ksqlite.engine.api import StoreSpec
from ksqlite.engine.operators.base import Event, Lane, Process
from ksqlite.engine.operators.writing import Writer
from ksqlite.engine.operators.writing_sessions import SessionWriter
from ksqlite.engine.operators.writing_windows import WindowWriter
from ksqlite.expressions import Environment
from ksqlite.planner.model import AggregateStep


class Aggregate:
    """An aggregation. ``cache``: updates of a key between two flushes come out as one."""

    def __init__(self, step: AggregateStep, env: Environment, *, cache: bool) -> None:
        self.step = step
        self.lazy = cache and step.having is None and not step.final and not _is_session(step)
        self.stores: Sequence[StoreSpec] = [step.store] if step.pending is None else [step.store, step.pending]
        writer = _writer(step)(step, env, lazy=self.lazy)
        self.factory = code.define("make", writer.text(), writer.env, "aggregate")
        self.read = code.define("read", writer.reader(), writer.env, "read")
        env["_read_session"] = self._read_session
        self._dirty: dict[int, dict[Any, None]] = {}

    def bind(self, lane: Lane) -> list[Process]:
        """The function for one partition."""
        store = lane.stores[self.step.store.name]
        pending = lane.stores[self.step.pending.name] if self.step.pending is not None else None
        dirty: dict[Any, None] = {}
        self._dirty[id(lane)] = dirty
        process: Process = self.factory(store.get, store.put, store.delete, pending, lane, dirty)
        return [process]

    def flush(self, lane: Lane) -> Callable[[], list[Event]] | None:
        """Brings out the rows of the keys that changed since the last flush."""
        if not self.lazy:
            return None
        dirty = self._dirty[id(lane)]
        get = lane.stores[self.step.store.name].get
        read = self.read
        keys = len(self.step.keys)
        window = self.step.window

        def flush() -> list[Event]:
            if not dirty:
                return []
            out = []
            for key in dirty:
                state = get(key)
                if state is None:
                    continue
                where = key if window is None else (*key, key[keys] + window.size_ms)
                out.append((where, read(where, state), state[-1]))
            dirty.clear()
            return out

        return flush

    def _read_session(self, key: Any, session: Any) -> Any:  # noqa: ANN401 - as the store has them
        """The output values of a session."""
        return self.read(key, (*session[2:], session[1]))

    def rows(self, key: Any, state: Any) -> list[tuple[Any, Any, int]]:  # noqa: ANN401 - as the store has them
        """What an entry of the store means: keys with windows, output values (None where HAVING says no), ROWTIME."""
        if _is_session(self.step):
            found = []
            for session in state[0]:
                where = (*key, session[0], session[1])
                found.append((where, self.read(where, (*session[2:], session[1])), session[1]))
            return found
        where = key if self.step.window is None else (*key, key[-1] + self.step.window.size_ms)
        return [(where, self.read(where, state), state[-1])]


def _is_session(step: AggregateStep) -> bool:
    return step.window is not None and step.window.type is ast.WindowType.SESSION


def _writer(step: AggregateStep) -> type[Writer]:
    if step.window is None:
        return Writer
    return SessionWriter if _is_session(step) else WindowWriter
