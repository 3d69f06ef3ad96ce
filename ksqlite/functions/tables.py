"""Table functions: several rows from one."""

from __future__ import annotations

from itertools import product
from typing import Any

from ksqlite.functions.registry import table


@table("EXPLODE", "ARRAY<DECIMAL> -> DECIMAL", "ARRAY<T> -> T")
def explode(values: list[Any] | None) -> list[Any]:
    """A row for each element of the array; none for NULL and for an empty array."""
    return values or []


@table("CUBE_EXPLODE", "ARRAY<T> -> ARRAY<T>")
def cube_explode(values: list[Any] | None) -> list[list[Any]]:
    """A row for each way to put NULL in the place of elements: all that GROUP BY CUBE would group by."""
    if values is None:
        return []
    choices = [(None, value) if value is not None else (None,) for value in values]
    return [list(choice) for choice in product(*choices)]
