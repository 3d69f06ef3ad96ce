"""Functions over maps."""

from __future__ import annotations

from typing import Any

from ksqlite.functions.registry import scalar


@scalar("AS_MAP", "ARRAY<STRING>, ARRAY<T> -> MAP<STRING, T>", never_null=True, fallible=False)
def as_map(keys: list[Any], values: list[Any]) -> dict[Any, Any]:
    """A map from an array of keys and one of values; what is longer is cut."""
    return dict(zip(keys, values, strict=False))


@scalar("MAP_KEYS", "MAP<STRING, T> -> ARRAY<STRING>", inline="list({0})", never_null=True, fallible=False)
def map_keys(entries: dict[Any, Any]) -> list[Any]:
    """An array of the keys."""
    return list(entries)


@scalar("MAP_VALUES", "MAP<STRING, T> -> ARRAY<T>", inline="list({0}.values())", never_null=True, fallible=False)
def map_values(entries: dict[Any, Any]) -> list[Any]:
    """An array of the values."""
    return list(entries.values())


@scalar("MAP_UNION", "MAP<STRING, T>, MAP<STRING, T> -> MAP<STRING, T>", skip_nulls=False, fallible=False)
def map_union(first: dict[Any, Any] | None, second: dict[Any, Any] | None) -> dict[Any, Any] | None:
    """The entries of both; those of the second win. Of one alone when the other is NULL."""
    if first is None or second is None:
        return second if first is None else first
    return first | second


@scalar(
    "ENTRIES",
    *(
        f"MAP<STRING, {name}>, BOOLEAN -> ARRAY<STRUCT<K STRING, V {name}>>"
        for name in ("STRING", "BIGINT", "INTEGER", "DOUBLE", "BOOLEAN")
    ),
    never_null=True,
    fallible=False,
)
def entries(entries_: dict[Any, Any], in_order: bool) -> list[tuple[Any, Any]]:  # noqa: FBT001 - SQL has no keywords
    """An array of structs of key (K) and value (V), sorted by key when the second argument is true."""
    return sorted(entries_.items()) if in_order else list(entries_.items())
