"""Writes the functions of aggregations over sessions."""

from __future__ import annotations

from typing import Any

from ksqlite.engine import code
from ksqlite.engine.operators.writing import NEVER, Writer


class SessionWriter(Writer):
    """An aggregation in sessions, which grow and merge. A session is late when it ended before gap and grace."""

    def _process(self) -> None:
        out = self.out
        window = self.step.window
        assert window is not None  # noqa: S101 - the caller looks
        gap, grace, retention = window.size_ms, window.grace_ms, window.retention_ms
        out(f"clock = times.get('aggregate', {NEVER})")
        out(f"newest = times.get('newest', {NEVER})")
        if self.step.final:
            out(f"emitted = times.get('emitted', {NEVER})")
        with out.block("def process(events):"):
            out("nonlocal clock, newest" + (", emitted" if self.step.final else ""))
            out("out = []")
            out("append = out.append")
            out("late = 0")
            with out.block("for k, v, ts in events:"):
                self._begin_row()
                with out.block("if ts > clock:"):
                    out("clock = ts")
                out(f"close = clock - {grace + gap}")
                out(f"key = {'k' if self.trivial_key else code.tuple_of(self.keys)}")
                out("state = get(key)")
                arguments = self._arguments()
                out("ws = we = ts")
                with out.block("if state is None:"):
                    with out.block("if ts < close:"):
                        out("late += 1")
                        self._leave_session(arguments)
                    with out.block("else:"):
                        self._fresh_session(arguments, "[]")
                with out.block("else:"):
                    self._merge(arguments, gap, retention)
                if self.step.final:
                    self._close_sessions()
            with out.block("if late:"):
                out("tally.late += late")
            out("times['aggregate'] = clock")
            out("times['newest'] = newest")
            if self.step.final:
                out("times['emitted'] = emitted")
            out("return out")

    def _leave_session(self, _arguments: list[list[str]]) -> None:
        if not self.step.final:
            self.out("continue")

    def _fresh_session(self, arguments: list[list[str]], _others: str) -> None:
        """A row that opens a session where its key has none."""
        out = self.out
        self._update(arguments, [f"_init{position}" for position in range(self.count)])
        out(f"put(key, ([{code.tuple_of(['ws', 'we', *self.states])}],))")
        with out.block("if we > newest:"):
            out("newest = we")
        if self.step.having is not None:
            out("had = False")
        self._session_out()

    def _session_out(self) -> None:
        out = self.out
        if self.step.final:
            out(f"pending.put({code.tuple_of(['we', *self.keys, 'ws'])}, (0,))")
        else:
            out("ts = we")
            self._emit(code.tuple_of([*self.keys, "ws", "we"]), "we")

    def _merge(self, arguments: list[list[str]], gap: int, retention: int) -> None:
        """A row of a key that has sessions: those within the gap become one with it."""
        out = self.out
        out("kept, merged = [], []")
        out(f"low, high, alive = ts - {gap}, ts + {gap}, newest - {retention}")
        with out.block("for session in state[0]:"):
            with out.block("if session[1] < alive:"):
                out("continue")
            with out.block("if session[1] >= low and session[0] <= high:"):
                out("merged.append(session)")
                with out.block("if session[0] < ws:"):
                    out("ws = session[0]")
                with out.block("if session[1] > we:"):
                    out("we = session[1]")
            with out.block("else:"):
                out("kept.append(session)")
        with out.block("if we < close:"):
            out("late += 1")
            self._leave_session(arguments)
        with out.block("else:"):
            self._merged(arguments)

    def _merged(self, arguments: list[list[str]]) -> None:
        out = self.out
        with out.block("if merged:"):
            out(f"_, _, {', '.join(self.states)} = merged[0]")
            with out.block("for session in merged[1:]:"):
                others = [f"m{position}" for position in range(self.count)]
                out(f"_, _, {', '.join(others)} = session")
                for position, bound in enumerate(self.step.aggregates):
                    pair = f"s{position}, m{position}"
                    if bound.pick is None:
                        out(f"s{position} = _merge{position}({pair})")
                    else:
                        out(f"s{position} = _pick{position}({pair}, s{self.count - 1}, m{self.count - 1})")
            with out.block("if ws != ts or we != ts:"), out.block("for session in merged:"):
                self._end_session()
        with out.block("else:"):
            for position in range(self.count):
                out(f"s{position} = _init{position}")
        if self.step.having is not None:
            out("had = False")
            with out.block("if merged and ws == ts == we:"):
                self._results(self.states)
                self._passes("had")
        self._update(arguments)
        out(f"kept.append({code.tuple_of(['ws', 'we', *self.states])})")
        with out.block("if len(kept) > 1:"):
            out("kept.sort(key=_session_end)")
        self.env["_session_end"] = _session_end
        out("put(key, (kept,))")
        with out.block("if we > newest:"):
            out("newest = we")
        self._session_out()

    def _end_session(self) -> None:
        """The tombstone of a session that is merged into a longer one."""
        out = self.out
        where = code.tuple_of([*self.keys, "session[0]", "session[1]"])
        if self.step.final:
            out(f"pending.delete({code.tuple_of(['session[1]', *self.keys, 'session[0]'])})")
            return
        if self.step.having is None:
            out(f"append(({where}, None, session[1]))")
            return
        with out.block(f"if _read_session({where}, session) is not None:"):
            out(f"append(({where}, None, session[1]))")

    def _close_sessions(self) -> None:
        out = self.out
        with out.block("if close > emitted:"):
            with out.block("for entry, _ in list(pending.until(close - 1)):"):
                out(f"we, {', '.join(self.keys)}, ws = entry")
                out("pending.delete(entry)")
                out(f"state = get({code.tuple_of(self.keys)})")
                with (
                    out.block("for session in state[0] if state is not None else ():"),
                    out.block("if session[0] == ws and session[1] == we:"),
                ):
                    out("state = (*session[2:], we)")
                    self._final_row("we")
                    out("break")
            out("emitted = close")


def _session_end(session: tuple[Any, ...]) -> tuple[int, int]:
    return session[1], session[0]
