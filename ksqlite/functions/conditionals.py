"""COALESCE, IFNULL, NULLIF, AS_VALUE."""

from __future__ import annotations

from ksqlite.functions.registry import scalar
from ksqlite.values import Value


@scalar("AS_VALUE", "T -> T", inline="{0}", skip_nulls=False, fallible=False)
def as_value(value: Value) -> Value:
    """A key column as a column of the value too."""
    return value


@scalar("COALESCE", "T, T... -> T", skip_nulls=False, fallible=False)
def coalesce(*values: Value) -> Value:
    """The first value that is not NULL."""
    for value in values:
        if value is not None:
            return value
    return None


@scalar("IFNULL", "T, T -> T", inline="({1} if {0} is None else {0})", skip_nulls=False, fallible=False)
def ifnull(value: Value, otherwise: Value) -> Value:
    """The first value, or the second when the first is NULL."""
    return otherwise if value is None else value


@scalar("NULLIF", "T, T -> T", skip_nulls=False, fallible=False)
def nullif(value: Value, other: Value) -> Value:
    """NULL when both values are equal, otherwise the first."""
    return None if value == other else value
