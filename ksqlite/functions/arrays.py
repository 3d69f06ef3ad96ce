"""Functions over arrays. Positions count from 1."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ksqlite.errors import AnalysisError, EvaluationError
from ksqlite.functions.registry import scalar
from ksqlite.types import BYTES, ArrayType, Base, SqlType
from ksqlite.values import Value, text

_SIGNED = bytes((byte + 128) % 256 for byte in range(256))


@scalar("ARRAY_LENGTH", "ARRAY<T> -> INTEGER", inline="len({0})", never_null=True, fallible=False)
def array_length(values: list[Any]) -> int:
    """The number of elements."""
    return len(values)


@scalar(
    "ARRAY_CONTAINS",
    "ARRAY<T>, T -> BOOLEAN",
    inline="({0} is not None and {1} in {0})",
    skip_nulls=False,
    never_null=True,
    fallible=False,
)
def array_contains(values: list[Any] | None, value: Value) -> bool:
    """Whether a value is among the elements."""
    return values is not None and value in values


@scalar("SLICE", "ARRAY<T>, INTEGER, INTEGER -> ARRAY<T>", skip_nulls=False, fallible=False)
def slice_(values: list[Any] | None, first: int | None, last: int | None) -> list[Any] | None:
    """The elements from one position to another, both included; NULL when there are no such positions."""
    if values is None:
        return None
    start = 0 if first is None else first - 1
    end = len(values) if last is None else last
    return values[start:end] if 0 <= start <= end <= len(values) else None


def distinct(values: Iterable[Any]) -> list[Any]:
    """The different values, in order of first appearance."""
    try:
        return list(dict.fromkeys(values))
    except TypeError:  # arrays and maps have no hash
        found: list[Any] = []
        for value in values:
            if value not in found:
                found.append(value)
        return found


@scalar("ARRAY_DISTINCT", "ARRAY<T> -> ARRAY<T>", never_null=True, fallible=False)
def array_distinct(values: list[Any]) -> list[Any]:
    """The different elements, in order of first appearance."""
    return distinct(values)


@scalar("ARRAY_EXCEPT", "ARRAY<T>, ARRAY<T> -> ARRAY<T>", never_null=True, fallible=False)
def array_except(values: list[Any], exceptions: list[Any]) -> list[Any]:
    """The different elements of the first that the second has not."""
    return [value for value in distinct(values) if value not in exceptions]


@scalar("ARRAY_INTERSECT", "ARRAY<T>, ARRAY<T> -> ARRAY<T>", never_null=True, fallible=False)
def array_intersect(values: list[Any], others: list[Any]) -> list[Any]:
    """The different elements of the first that the second has too."""
    return [value for value in distinct(values) if value in others]


@scalar("ARRAY_UNION", "ARRAY<T>, ARRAY<T> -> ARRAY<T>", never_null=True, fallible=False)
def array_union(values: list[Any], others: list[Any]) -> list[Any]:
    """The different elements of both."""
    return distinct(values + others)


@scalar("ARRAY_CONCAT", "ARRAY<T>, ARRAY<T> -> ARRAY<T>", skip_nulls=False, fallible=False)
def array_concat(values: list[Any] | None, others: list[Any] | None) -> list[Any] | None:
    """All elements of the first and of the second; of one alone when the other is NULL."""
    if values is None or others is None:
        return others if values is None else values
    return values + others


@scalar("ARRAY_REMOVE", "ARRAY<T>, T -> ARRAY<T>", skip_nulls=False, fallible=False)
def array_remove(values: list[Any] | None, value: Value) -> list[Any] | None:
    """The elements without those equal to a value."""
    return None if values is None else [element for element in values if element != value]


def _ordering(types: Sequence[SqlType]) -> Callable[[Any], Any] | None:
    first = types[0]
    if not isinstance(first, ArrayType):
        return None
    if first.element.base in {Base.ARRAY, Base.MAP, Base.STRUCT}:
        raise AnalysisError(f"Elements of {first} cannot be ordered")
    return (lambda value: value.translate(_SIGNED)) if first.element == BYTES else None


@scalar("ARRAY_MAX", "ARRAY<T> -> T", make=True, fallible=False)
def array_max(types: Sequence[SqlType], returns: SqlType) -> Callable[[list[Any]], Any]:  # noqa: ARG001 - a maker
    """The largest element that is not NULL."""
    key = _ordering(types)
    return lambda values: max((value for value in values if value is not None), key=key, default=None)


@scalar("ARRAY_MIN", "ARRAY<T> -> T", make=True, fallible=False)
def array_min(types: Sequence[SqlType], returns: SqlType) -> Callable[[list[Any]], Any]:  # noqa: ARG001 - a maker
    """The smallest element that is not NULL."""
    key = _ordering(types)
    return lambda values: min((value for value in values if value is not None), key=key, default=None)


@scalar("ARRAY_SORT", "ARRAY<T> -> ARRAY<T>", "ARRAY<T>, STRING -> ARRAY<T>", make=True)
def array_sort(types: Sequence[SqlType], returns: SqlType) -> Callable[..., list[Any] | None]:  # noqa: ARG001 - a maker
    """The elements in order, ASC or DESC, NULL last."""
    key = _ordering(types)

    def sort(values: list[Any], direction: str = "ASC") -> list[Any] | None:
        word = direction.upper()
        if word not in {"ASC", "ASCENDING", "DESC", "DESCENDING"}:
            return None
        there = [value for value in values if value is not None]
        ordered = sorted(there, key=key, reverse=word.startswith("D"))
        return ordered + [None] * (len(values) - len(there))

    return sort


@scalar("ARRAY_JOIN", "ARRAY<T> -> STRING", "ARRAY<T>, STRING -> STRING", make=True, skip_nulls=False)
def array_join(types: Sequence[SqlType], returns: SqlType) -> Callable[..., str | None]:  # noqa: ARG001 - a maker
    """The elements as one text, with a delimiter (a comma when none is given) between them."""
    first = types[0]
    element = first.element if isinstance(first, ArrayType) else first
    simple = element.base not in {Base.ARRAY, Base.MAP, Base.STRUCT}
    write = text.nested(element)

    def join(values: list[Any] | None, delimiter: str | None = ",") -> str | None:
        if values is None:
            return None
        if not simple and values:
            raise EvaluationError("error: cannot handle nested types in array_join")
        return (delimiter or "").join([write(value) for value in values])

    return join


@scalar("GENERATE_SERIES", "INTEGER, INTEGER -> ARRAY<INTEGER>", "BIGINT, BIGINT -> ARRAY<BIGINT>", never_null=True)
def generate_series(first: int, last: int) -> list[int]:
    """All whole numbers from one to another, in steps of 1 or as given."""
    return list(range(first, last + 1) if last >= first else range(first, last - 1, -1))


@scalar(
    "GENERATE_SERIES",
    "INTEGER, INTEGER, INTEGER -> ARRAY<INTEGER>",
    "BIGINT, BIGINT, INTEGER -> ARRAY<BIGINT>",
    never_null=True,
)
def generate_series_in_steps(first: int, last: int, step: int) -> list[int]:
    """Whole numbers from one to another in steps."""
    if step == 0:
        raise EvaluationError("GENERATE_SERIES step cannot be zero")
    if (last - first) * step < 0:
        raise EvaluationError("GENERATE_SERIES step has wrong sign")
    return list(range(first, last + (1 if step > 0 else -1), step))
