"""A plan as EXPLAIN shows it: a line for each step, those it reads from below it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from ksqlite.planner import model
from ksqlite.types import Namespace, Schema

_NAMES: dict[type[model.Step], str] = {
    model.SourceStep: "SOURCE",
    model.TransformStep: "PROJECT",
    model.RepartitionStep: "REKEY",
    model.AggregateStep: "AGGREGATE",
    model.StreamTableJoinStep: "JOIN",
    model.TableTableJoinStep: "JOIN",
    model.ForeignKeyJoinStep: "FOREIGN KEY JOIN",
    model.StreamStreamJoinStep: "WINDOWED JOIN",
    model.SinkStep: "SINK",
}


def describe(step: model.Step, schema: Schema, query_id: str, *, sink: bool) -> str:
    """The plan that ends in a step, whose result has a schema."""
    last = step.input if isinstance(step, model.SinkStep) and not sink else step
    return "".join(_lines(last, schema, query_id, 0))


def _lines(step: model.Step, schema: Schema | None, query_id: str, depth: int) -> Iterator[str]:
    name = _name(step)
    parts = [f" > [ {name} ]", *_details(step)]
    if schema is not None:
        columns = (f"{c.name} {c.type}{' KEY' * (c.namespace is Namespace.KEY)}" for c in schema.columns)
        parts.append(f"Schema: {', '.join(columns)}")
    parts.append(f"Logger: {query_id}.{name.title().replace(' ', '')}")
    yield "\t\t" * depth + " | ".join(parts) + "\n"
    for below in _inputs(step):
        yield from _lines(below, None, query_id, depth + 1)


def _name(step: model.Step) -> str:
    if isinstance(step, model.TransformStep):
        if step.tables:
            return "FLATMAP"
        if step.where is not None and step.values is None and step.keys is None:
            return "FILTER"
        return "REKEY" if step.keys is not None and step.values is None else "PROJECT"
    return _NAMES.get(type(step), type(step).__name__.removesuffix("Step").upper())


def _details(step: model.Step) -> Iterator[str]:
    if isinstance(step, model.SourceStep):
        yield f"{'Table' if step.is_table else 'Stream'}: {step.name}"
    elif isinstance(step, model.RepartitionStep):
        yield f"Topic: {step.topic}"
    elif isinstance(step, model.AggregateStep) and step.window is not None:
        window = step.window
        yield f"Window: {window.type.value} {window.size_ms} ms, grace {window.grace_ms} ms"
    elif isinstance(step, model.StreamStreamJoinStep):
        yield f"Within: {step.before_ms} ms before, {step.after_ms} ms after, grace {step.grace_ms} ms"


def _inputs(step: model.Step) -> Iterator[model.Step]:
    for field in fields(step):
        value = getattr(step, field.name)
        if isinstance(value, model.Step):
            yield value
