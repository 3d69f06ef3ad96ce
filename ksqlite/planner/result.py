"""What planning a query starts from, and what it comes to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ksqlite import ast
from ksqlite.errors import AnalysisError
from ksqlite.expressions import Compiled
from ksqlite.planner.model import Step, WindowInfo
from ksqlite.planner.relation import Expressions
from ksqlite.planner.select import Selected
from ksqlite.planner.sources import SourceRef, Sources
from ksqlite.types import SqlType


@dataclass(slots=True)
class Context:
    """What all parts of a query's planning share. ``sink`` is the target's name, None in a transient (push) query.

    ``internal`` gathers the topics that ksqlDB would repartition by: name, key format, value format.
    """

    query: ast.Query
    settings: Mapping[str, Any]
    sink: str | None
    sources: Sources
    expressions: Expressions
    internal: list[tuple[str, Any, Any]] = field(default_factory=list)


@dataclass(slots=True)
class Result:
    """A planned query: its last step before the sink, and what comes out.

    ``keys`` and ``values`` are names and types; in a transient query ``values`` are the columns as selected.
    ``window``: of the result's key. ``key_format`` is what a sink takes over where it names none.
    """

    step: Step
    is_table: bool
    changes: bool
    filtered: bool
    keys: list[tuple[str, SqlType]]
    values: list[tuple[str, SqlType]]
    window: WindowInfo | None
    key_format: Any
    value_format: Any
    partitions: int
    aggregated: bool
    internal_topics: list[tuple[str, Any, Any]]
    sources: list[SourceRef]
    expressions: Expressions
    key_places: list[int | None]


Values = list[tuple[Selected, Compiled]]
"""Selected columns with their compiled expressions."""


def typed(item: Selected, compiled: Compiled) -> SqlType:
    """The type of a column of the result. Raises AnalysisError for a bare NULL."""
    if compiled.type is None:
        raise AnalysisError(
            "Can't infer a type of null. Please explicitly cast it to a required type, "
            f"e.g. CAST(null AS VARCHAR). Column: {item.name}"
        )
    return compiled.type


def check_duplicates(context: Context, values: Values, keys: list[str]) -> None:
    """Raises AnalysisError where two columns of a sink have the same name."""
    if context.sink is None:
        return
    seen = set(keys)
    for item, compiled in values:
        if item.name in seen:
            raise AnalysisError(f"Duplicate value columns found in schema: `{item.name}` {compiled.type}")
        seen.add(item.name)
