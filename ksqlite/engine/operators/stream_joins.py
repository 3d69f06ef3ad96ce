"""Joins of two streams within a window, with the semantics of Kafka Streams 3."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ksqlite import ast
from ksqlite.engine.api import StoreSpec
from ksqlite.engine.operators.base import Event, Lane, Process, is_null
from ksqlite.planner.model import StreamStreamJoinStep

_NEVER = -(1 << 62)


class StreamStreamJoin:
    """Two streams within a window."""

    def __init__(self, step: StreamStreamJoinStep) -> None:
        self.step = step
        stores = [step.left_store, step.right_store]
        if step.outer_store is not None:
            stores.append(step.outer_store)
        self.stores: Sequence[StoreSpec] = stores

    def bind(self, lane: Lane) -> list[Process]:
        """Inputs: the left stream, the right stream."""
        return _StreamStreamLane(self.step, lane).processes()

    def flush(self, lane: Lane) -> Callable[[], list[Event]] | None:  # noqa: ARG002 - the interface
        """Nothing is held back."""
        return None


class _StreamStreamLane:
    """One partition of a stream-stream join."""

    def __init__(self, step: StreamStreamJoinStep, lane: Lane) -> None:
        self.step = step
        self.lane = lane
        self.left = lane.stores[step.left_store.name]
        self.right = lane.stores[step.right_store.name]
        self.outer = lane.stores[step.outer_store.name] if step.outer_store is not None else None
        self.retention = step.before_ms + step.after_ms + step.grace_ms
        self.nulls = ((None,) * step.left_width, (None,) * step.right_width)
        times = lane.times
        times.setdefault("join", _NEVER)
        times.setdefault("left", _NEVER)
        times.setdefault("right", _NEVER)
        times.setdefault("number", 0)

    def processes(self) -> list[Process]:
        """The functions of both sides."""
        step = self.step
        full = step.type is ast.JoinType.FULL
        return [
            self._side(is_left=True, keeps=full or step.type is ast.JoinType.LEFT),
            self._side(is_left=False, keeps=full or step.type is ast.JoinType.RIGHT),
        ]

    def _side(self, *, is_left: bool, keeps: bool) -> Process:
        step, times, retention = self.step, self.lane.times, self.retention
        mine, other = (self.left, self.right) if is_left else (self.right, self.left)
        my_time, other_time = ("left", "right") if is_left else ("right", "left")
        back, ahead = (step.before_ms, step.after_ms) if is_left else (step.after_ms, step.before_ms)
        outer = self.outer

        def process(events: list[Event]) -> list[Event]:
            out: list[Event] = []
            for k, v, ts in events:
                if v is None or (k[0] is None and is_null(k)):
                    continue
                times["number"] += 1
                if ts >= times[my_time] - retention:
                    mine.put((*k, ts, times["number"]), v)
                else:
                    self.lane.tally.late += 1
                times[my_time] = max(times[my_time], ts)
                times["join"] = max(times["join"], ts)
                if outer is not None and ts == times["join"]:
                    self._emit_unmatched(out)
                first, last = max(0, ts - back, times[other_time] - retention), ts + ahead
                matched = False
                for entry, row in list(other.prefix(k)):
                    stamp = entry[-2]
                    if first <= stamp <= last:
                        matched = True
                        if outer is not None:
                            self._forget(k, stamp, is_left=not is_left)
                        pair = v + row if is_left else row + v
                        out.append((k, pair, max(ts, stamp)))
                if keeps and not matched:
                    self._unmatched(out, (k, v, ts), ts + ahead, is_left=is_left)
            mine.expire(times[my_time])
            return out

        return process

    def _alone(self, row: Any, *, is_left: bool) -> Any:  # noqa: ANN401 - a row
        return row + self.nulls[1] if is_left else self.nulls[0] + row

    def _unmatched(self, out: list[Event], event: Event, last: int, *, is_left: bool) -> None:
        k, v, ts = event
        if self.outer is None or last < self.lane.times["join"]:
            out.append((k, self._alone(v, is_left=is_left), ts))
            return
        number = self.lane.times["number"]
        self.outer.put((ts, 0 if is_left else 1, *k, number), self._alone(v, is_left=is_left))

    def _forget(self, k: Any, stamp: int, *, is_left: bool) -> None:  # noqa: ANN401 - a key
        assert self.outer is not None  # noqa: S101 - the caller looks
        for entry, _ in list(self.outer.prefix((stamp, 0 if is_left else 1, *k))):
            self.outer.delete(entry)

    def _emit_unmatched(self, out: list[Event]) -> None:
        """Rows whose window has closed without a match."""
        assert self.outer is not None  # noqa: S101 - the caller looks
        step, now = self.step, self.lane.times["join"]
        shorter = min(step.before_ms, step.after_ms)
        for entry, row in list(self.outer.until(now - shorter - step.grace_ms - 1)):
            ahead = step.after_ms if entry[1] == 0 else step.before_ms
            if entry[0] + ahead + step.grace_ms < now:
                self.outer.delete(entry)
                out.append((entry[2:-1], row, entry[0]))
