"""Writes the functions of an aggregation: what all kinds of window share, and the kinds without window."""

from __future__ import annotations

import re

from ksqlite.engine import code
from ksqlite.expressions import Environment
from ksqlite.planner.model import AggregateStep

SELECT = "Error computing expression"
WHERE = "Error evaluating predicate"
SEQUENCE = "_agg_sequence()"
NEVER = -(1 << 62)


class Writer:
    """Writes the functions of one aggregation."""

    def __init__(self, step: AggregateStep, env: Environment, *, lazy: bool) -> None:
        self.step = step
        self.env = env
        self.lazy = lazy
        self.count = len(step.aggregates)
        self.keys = [f"g{n}" for n in range(len(step.keys))]
        self.states = [f"s{n}" for n in range(self.count)]
        self.trivial_key = [key.source for key in step.keys] == [f"k[{n}]" for n in range(len(step.keys))]
        self.out = code.Code()
        for position, bound in enumerate(step.aggregates):
            udaf = bound.udaf
            env[f"_init{position}"] = udaf.init()
            env[f"_update{position}"] = udaf.update
            env[f"_merge{position}"] = udaf.merge
            env[f"_pick{position}"] = bound.pick
            env[f"_undo{position}"] = udaf.undo
            env[f"_result{position}"] = udaf.result
            env.update(udaf.inline_names)

    # ---------------------------------------------------------------------------------------------------------- pieces

    def _needs(self, name: str) -> bool:
        """Whether an output names a variable; names are never parts of others (r1, r10), as sources are tokens."""
        sources = [each.source for each in self.step.outputs]
        if self.step.having is not None:
            sources.append(self.step.having.source)
        return any(re.search(rf"\b{name}\b", source) for source in sources)

    def _results(self, states: list[str]) -> None:
        for position, bound in enumerate(self.step.aggregates):
            if self._needs(f"r{position}"):
                source = bound.udaf.inline_result(states[position]) or f"_result{position}({states[position]})"
                self.out(f"r{position} = {source}")

    def _row(self) -> str:
        return code.tuple_of(code.values(self.out, self.step.outputs, "c", SELECT))

    def _passes(self, target: str) -> None:
        """``target`` = whether HAVING holds for the results at hand."""
        having = self.step.having
        assert having is not None  # noqa: S101 - the caller looks
        code.evaluate(self.out, target, having, WHERE)

    def _arguments(self, row: str = "v", prefix: str = "x") -> list[list[str]]:
        """The names of each aggregate's arguments, computed."""
        names = []
        for position, arguments in enumerate(self.step.arguments):
            mine = []
            for offset, compiled in enumerate(arguments):
                name = f"{prefix}{position}_{offset}"
                if row == "v":
                    if compiled.simple and not compiled.fallible and not compiled.constant:
                        mine.append(compiled.source)
                        continue
                    code.evaluate(self.out, name, compiled, SELECT)
                else:
                    self.out(f"{name} = {compiled.source.replace('v[', f'{row}[')}")
                mine.append(name)
            names.append(mine)
        return names

    def _update(self, arguments: list[list[str]], states: list[str] | None = None) -> None:
        sources = []
        for position, bound in enumerate(self.step.aggregates):
            state = (states or self.states)[position]
            names = arguments[position]
            inline = bound.udaf.inline_update(state, *names)
            sources.append(inline or f"_update{position}({', '.join([state, *names])})")
        if any(SEQUENCE in source for source in sources):
            # one number a row: all that came with it came at once, and equal numbers are cheap to keep
            self.out(f"sequence = {SEQUENCE}")
        for state, source in zip(self.states, sources, strict=True):
            self.out(f"{state} = {source.replace(SEQUENCE, 'sequence')}")

    def _begin_row(self, *, changes: bool = False) -> None:
        """Skips what cannot be grouped, and computes the group's key."""
        out = self.out
        if not changes:
            with out.block("if v is None:"):
                out("continue")
        if self.step.where is not None:
            code.condition(out, self.step.where, WHERE)
        for position, compiled in enumerate(self.step.keys):
            code.evaluate(out, self.keys[position], compiled, SELECT)
        nullable = " or ".join(f"{name} is None" for name in self.keys)
        with out.block(f"if {nullable}:"):
            out("_report('Group-by column with value None: row excluded', None)")
            out("continue")

    def _load(self, prior: str, fresh: str) -> None:
        """States, and ts as the later of the row's and the group's."""
        out = self.out
        with out.block(f"if {prior} is None:"):
            for position in range(self.count):
                out(f"s{position} = _init{position}")
            if self.step.having is not None:
                out("had = False")
        with out.block("else:"):
            out(f"{', '.join(self.states)}, before = {prior}")
            if self.step.having is not None:
                self._results(self.states)
                self._passes("had")
            with out.block(f"if {fresh} < before:"):
                out(f"{fresh} = before")

    def _emit(self, where: str, stamp: str) -> None:
        """One event out, where HAVING lets it."""
        out = self.out
        if self.lazy:
            out("dirty[key] = None")
            return
        self._results(self.states)
        if self.step.having is None:
            out(f"append(({where}, {self._row()}, {stamp}))")
            return
        self._passes("has")
        with out.block("if has:"):
            out(f"append(({where}, {self._row()}, {stamp}))")
        with out.block("elif had:"):
            out(f"append(({where}, None, {stamp}))")

    # ------------------------------------------------------------------------------------------------------- functions

    def text(self) -> str:
        """The factory ``make``, which binds the process function to one partition's stores."""
        out = self.out
        with out.block("def make(get, put, delete, pending, lane, dirty):"):
            out("tally, times = lane.tally, lane.times")
            self._process()
            out("return process")
        return out.text()

    def _process(self) -> None:
        """The function ``process``, within the factory."""
        if self.step.table:
            self._table()
        else:
            self._plain()

    def reader(self) -> str:
        """The function ``read(key, state)``: the output values of a state, None where HAVING says no."""
        self.out = out = code.Code()
        with out.block("def read(k, state):"):
            bounds = ["ws", "we"] if self.step.window is not None else []
            out(f"{', '.join([*self.keys, *bounds])}{',' if len(self.keys) + len(bounds) == 1 else ''} = k")
            out(f"{', '.join([*self.states, 'ts'])}{',' if not self.states else ''} = state")
            self._results(self.states)
            if self.step.having is not None:
                self._passes("has")
                with out.block("if not has:"):
                    out("return None")
            out(f"return {self._row()}")
        return out.text()

    def _plain(self) -> None:
        out = self.out
        with out.block("def process(events):"):
            out("out = []")
            out("append = out.append")
            with out.block("for k, v, ts in events:"):
                self._begin_row()
                out(f"key = {'k' if self.trivial_key else code.tuple_of(self.keys)}")
                out("state = get(key)")
                arguments = self._arguments()
                out("stamp = ts")
                self._load("state", "stamp")
                self._update(arguments)
                out(f"put(key, {code.tuple_of([*self.states, 'stamp'])})")
                out("ts = stamp")
                self._emit("key", "stamp")
            out("return out")

    def _table(self) -> None:
        out = self.out
        with out.block("def process(events):"):
            out("out = []")
            out("append = out.append")
            with out.block("for k, v, ts, o in events:"):
                for position in range(len(self.keys)):
                    out(f"g{position} = k[{position}]")
                out("key = k")
                out("state = get(key)")
                with out.block("if v is None and state is None:"):
                    out("continue")
                out("stamp = ts")
                self._load("state", "stamp")
                with out.block("if o is not None and state is not None:"):
                    arguments = self._arguments("o", "y")
                    for position in range(self.count):
                        names = ", ".join([self.states[position], *arguments[position]])
                        out(f"s{position} = _undo{position}({names})")
                with out.block("if v is not None:"):
                    self._update(self._arguments())
                    if not self.count:
                        out("pass")
                out(f"put(key, {code.tuple_of([*self.states, 'stamp'])})")
                out("ts = stamp")
                self._emit("key", "stamp")
            out("return out")

    def _final_row(self, end: str) -> None:
        out = self.out
        out(f"{', '.join(self.states)}, stamp = state")
        out("ts = stamp")
        self._results(self.states)
        where = code.tuple_of([*self.keys, "ws", end])
        if self.step.having is not None:
            self._passes("has")
            with out.block("if has:"):
                out(f"append(({where}, {self._row()}, stamp))")
        else:
            out(f"append(({where}, {self._row()}, stamp))")
