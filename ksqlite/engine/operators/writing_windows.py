"""Writes the functions of aggregations over tumbling and hopping windows."""

from __future__ import annotations

from ksqlite.engine import code
from ksqlite.engine.operators.writing import NEVER, Writer


class WindowWriter(Writer):
    """An aggregation in windows of one size. Rows of windows that have closed are late."""

    def _process(self) -> None:
        out = self.out
        window = self.step.window
        assert window is not None  # noqa: S101 - the caller looks
        size, advance, grace = window.size_ms, window.advance_ms, window.grace_ms
        out(f"clock = times.get('aggregate', {NEVER})")
        if self.step.final:
            out(f"newest = times.get('newest', {NEVER})")
            out(f"emitted = times.get('emitted', {NEVER})")
        with out.block("def process(events):"):
            out("nonlocal clock" + (", newest, emitted" if self.step.final else ""))
            out("out = []")
            out("append = out.append")
            out("late = 0")
            out(f"close = clock - {grace}")
            with out.block("for k, v, ts in events:"):
                self._begin_row()
                with out.block("if ts > clock:"):
                    out("clock = ts")
                    out(f"close = clock - {grace}")
                arguments = self._arguments()
                if advance == size:
                    out(f"ws = ts - ts % {size}")
                    self._in_window(arguments, size, "continue" if not self.step.final else None)
                else:
                    out(f"first = ts - {size - advance}")
                    out(f"first = 0 if first < 0 else first // {advance} * {advance}")
                    with out.block(f"for ws in range(first, ts + 1, {advance}):"):
                        self._in_window(arguments, size, "continue")
                if self.step.final:
                    self._close_windows(window.retention_ms)
            with out.block("if late:"):
                out("tally.late += late")
            out("times['aggregate'] = clock")
            if self.step.final:
                out("times['newest'] = newest")
                out("times['emitted'] = emitted")
            out("return out")

    def _in_window(self, arguments: list[list[str]], size: int, leave: str | None) -> None:
        """The update of one window; rows for closed ones are late."""
        out = self.out
        out(f"we = ws + {size}")
        if leave is not None:
            with out.block("if we <= close:"):
                out("late += 1")
                out(leave)
            self._window_update(arguments)
            return
        with out.block("if we <= close:"):
            out("late += 1")
        with out.block("else:"):
            self._window_update(arguments)

    def _window_update(self, arguments: list[list[str]]) -> None:
        out = self.out
        out(f"key = {code.tuple_of([*self.keys, 'ws'])}")
        out("state = get(key)")
        out("stamp = ts")
        self._load("state", "stamp")
        self._update(arguments)
        out(f"put(key, {code.tuple_of([*self.states, 'stamp'])})")
        if self.step.final:
            with out.block("if ws > newest:"):
                out("newest = ws")
            out(f"pending.put({code.tuple_of(['we', *self.keys, 'ws'])}, (0,))")
        else:
            self._emit(code.tuple_of([*self.keys, "ws", "we"]), "stamp")

    def _close_windows(self, retention_ms: int) -> None:
        """EMIT FINAL: what has closed comes out.

        As in Kafka Streams, what a jump in time has put out of retention does not.
        """
        out = self.out
        with out.block("if close > emitted:"):
            with out.block("for entry, _ in list(pending.until(close)):"):
                out(f"we, {', '.join(self.keys)}, ws = entry")
                out("pending.delete(entry)")
                with out.block(f"if ws < newest - {retention_ms}:"):
                    out("continue")
                out(f"state = get({code.tuple_of([*self.keys, 'ws'])})")
                with out.block("if state is not None:"):
                    self._final_row("we")
            out("emitted = close")
