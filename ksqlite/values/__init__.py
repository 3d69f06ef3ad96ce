"""Values of SQL types in Python: decimals, times, their text and their casts."""

from __future__ import annotations

from typing import Any

Value = Any
"""A Python value of some SQL type, as ``ksqlite.types`` lists them; None is NULL."""
