"""Lengths of time as statements write them, in milliseconds."""

from __future__ import annotations

from ksqlite import ast
from ksqlite.errors import AnalysisError

_UNIT_MS = {
    "MILLISECONDS": 1,
    "SECONDS": 1000,
    "MINUTES": 60_000,
    "HOURS": 3_600_000,
    "DAYS": 86_400_000,
}
DAY_MS = 86_400_000


def milliseconds(duration: ast.Duration) -> int:
    """The duration in milliseconds. Raises AnalysisError for units that have no fixed length."""
    unit = _UNIT_MS.get(duration.unit)
    if unit is None:
        line, column = (duration.at.line, duration.at.column) if duration.at else (None, None)
        raise AnalysisError(f"Unsupported time unit: {duration.unit}", line=line, column=column)
    return duration.amount * unit
