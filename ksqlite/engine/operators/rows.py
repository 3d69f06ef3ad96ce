"""Operators without memory, and the one that keeps a table's rows."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from ksqlite.engine import code
from ksqlite.engine.api import StateStore, StoreSpec
from ksqlite.engine.operators.base import Event, Lane, Process, is_null
from ksqlite.expressions import Environment
from ksqlite.planner.model import SourceStep, TableGroupStep, TransformStep

_SELECT = "Error computing expression"
_WHERE = "Error evaluating predicate"


class _Stateless:
    """An operator that is one function, the same for every partition."""

    stores: Sequence[StoreSpec] = ()
    function: Process

    def bind(self, lane: Lane) -> list[Process]:  # noqa: ARG002 - the interface
        """The function."""
        return [self.function]

    def flush(self, lane: Lane) -> Callable[[], list[Event]] | None:  # noqa: ARG002 - the interface
        """Nothing is held back."""
        return None


class Pick(_Stateless):
    """Takes the columns that the query needs out of a source's events."""

    def __init__(self, step: SourceStep, env: Environment) -> None:
        picks = step.picks
        assert picks is not None  # noqa: S101 - the caller looks
        source = (
            "def pick(events):\n"
            f"    return [(k, None if v is None else {code.tuple_of(picks)}, ts) for k, v, ts in events]\n"
        )
        self.function = code.define("pick", source, env, "pick")


class KeyedOnly(_Stateless):
    """Leaves out what has no key: a table has no row for that."""

    @staticmethod
    def function(events: list[Event]) -> list[Event]:
        """The events that have a key."""
        return [event for event in events if event[0][0] is not None or not is_null(event[0])]


class Transform(_Stateless):
    """WHERE, SELECT, PARTITION BY and table functions in one pass."""

    def __init__(self, step: TransformStep, env: Environment) -> None:
        env["_zip_longest"] = itertools.zip_longest
        for position, (bound, _) in enumerate(step.tables):
            env[f"_table{position}"] = bound.call
        self.function = _changes(step, env) if step.changes else code.define("transform", _rows(step), env, "transform")


def _rows(step: TransformStep) -> str:
    out = code.Code()
    with out.block("def transform(events):"):
        out("out = []")
        out("append = out.append")
        with out.block("for k, v, ts in events:"):
            with out.block("if v is None:"):
                _tombstone(out, step)
                out("continue")
            if step.where is not None:
                _where(out, step)
            key = "k"
            if step.keys is not None:
                key = code.tuple_of(code.values(out, step.keys, "n", _SELECT))
            if step.tables:
                _exploded(out, step, key)
            elif step.values is None:
                out(f"append(({key}, v, ts))")
            else:
                row = code.tuple_of(code.values(out, step.values, "c", _SELECT))
                out(f"append(({key}, {row}, ts))")
        out("return out")
    return out.text()


def _where(out: code.Code, step: TransformStep) -> None:
    assert step.where is not None  # noqa: S101 - the caller looks
    if not step.table:
        code.condition(out, step.where, _WHERE)
        return
    code.evaluate(out, "passes", step.where, _WHERE)
    with out.block("if not passes:"):
        out("append((k, None, ts))")
        out("continue")


def _tombstone(out: code.Code, step: TransformStep) -> None:
    if step.tables or (step.where is not None and not step.table):
        return
    if step.keys is None:
        out("append((k, None, ts))")
    else:
        # what is computed from value columns is NULL there, whatever the expression
        keys = [None if "v[" in key.source else key for key in step.keys]
        known = iter(code.values(out, [key for key in keys if key is not None], "n", _SELECT))
        key = code.tuple_of(["None" if each is None else next(known) for each in keys])
        out(f"append(({key}, None, ts))")


def _exploded(out: code.Code, step: TransformStep, key: str) -> None:
    """The loop over the rows that table functions make of one; they go in step, the shorter ones filled with NULL."""
    assert step.values is not None  # noqa: S101 - table functions are never the identity
    names = [f"u{position}" for position in range(len(step.tables))]
    inner = [any(name in compiled.source for name in names) for compiled in step.values]
    outer = [compiled for compiled, inside in zip(step.values, inner, strict=True) if not inside]
    fixed = code.values(out, outer, "c", _SELECT)
    for position, source in enumerate(fixed):  # computed once a row, not once a new row
        if not source.startswith(("c", "k[", "v[")) and source != "ts":
            out(f"f{position} = {source}")
            fixed[position] = f"f{position}"
    out(f"key = {key}")
    for position, (_, arguments) in enumerate(step.tables):
        call = f"_table{position}"
        with out.block("try:"):
            sources = ", ".join(argument.source for argument in arguments)
            out(f"x{position} = {call}({sources})")
        with out.block("except Exception as problem:"):
            out(f"_report({_SELECT!r}, problem)")
            out(f"x{position} = ()")
    if len(names) == 1:
        head = "for u0 in x0 or ():"
    else:
        lists = ", ".join(f"x{position} or ()" for position in range(len(names)))
        head = f"for {', '.join(names)} in _zip_longest({lists}):"
    with out.block(head):
        remaining = iter(fixed)
        row: list[str] = []
        for position, (compiled, inside) in enumerate(zip(step.values, inner, strict=True)):
            if not inside:
                row.append(next(remaining))
            elif compiled.fallible:
                code.evaluate(out, f"w{position}", compiled, _SELECT)
                row.append(f"w{position}")
            else:
                row.append(compiled.source)
        out(f"append((key, {code.tuple_of(row)}, ts))")


def _changes(step: TransformStep, env: Environment) -> Process:
    """For tables that tell the old value too: what WHERE lets neither in nor out is left away."""
    out = code.Code()
    with out.block("def row(k, v, ts):"):
        if step.where is not None:
            code.condition(out, step.where, _WHERE, "return None")
        if step.values is None:
            out("return v")
        else:
            out(f"return {code.tuple_of(code.values(out, step.values, 'c', _SELECT))}")
    row = code.define("row", out.text(), env, "row")
    filtered = step.where is not None

    def transform(events: list[Event]) -> list[Event]:
        changed: list[Event] = []
        for k, v, ts, old in events:
            new = None if v is None else row(k, v, ts)
            before = None if old is None else row(k, old, ts)
            if filtered and new is None and before is None:
                continue
            changed.append((k, new, ts, before))
        return changed

    return transform


class TableGroup(_Stateless):
    """Groups a table's changes."""

    def __init__(self, step: TableGroupStep, env: Environment) -> None:
        out = code.Code()
        with out.block("def place(k, v, ts):"):
            if step.where is not None:
                code.condition(out, step.where, _WHERE, "return None, None")
            keys = code.values(out, step.keys, "n", _SELECT)
            arguments = code.tuple_of(code.values(out, step.values, "c", _SELECT))
            out(f"return {code.tuple_of(keys)}, {arguments}")
        place = code.define("place", out.text(), env, "group")

        def group(events: list[Event]) -> list[Event]:
            grouped: list[Event] = []
            for k, v, ts, old in events:
                new_key, new = place(k, v, ts) if v is not None else (None, None)
                old_key, before = place(k, old, ts) if old is not None else (None, None)
                if new_key is not None and None in new_key:
                    new_key = None
                if old_key is not None and None in old_key:
                    old_key = None
                if new_key == old_key:
                    if new_key is not None:
                        grouped.append((new_key, new, ts, before))
                    continue
                if old_key is not None:
                    grouped.append((old_key, None, ts, before))
                if new_key is not None:
                    grouped.append((new_key, new, ts, None))
            return grouped

        self.function = group


class Materialise:
    """Keeps a table's rows, and adds to each event the row before it."""

    def __init__(self, store: StoreSpec) -> None:
        self.spec = store
        self.stores: Sequence[StoreSpec] = (store,)

    def bind(self, lane: Lane) -> list[Process]:
        """The function for one partition."""
        return [_materialise(lane.stores[self.spec.name])]

    def flush(self, lane: Lane) -> Callable[[], list[Event]] | None:  # noqa: ARG002 - the interface
        """Nothing is held back."""
        return None


def _materialise(store: StateStore) -> Process:
    get, put, delete = store.get, store.put, store.delete

    def process(events: list[Event]) -> list[Event]:
        out: list[Event] = []
        for k, v, ts in events:
            if k[0] is None and is_null(k):  # a table has no row without key
                continue
            before = get(k)
            if v is None:
                delete(k)
            else:
                put(k, (*v, ts))
            out.append((k, v, ts, None if before is None else before[:-1]))
        return out

    return process
