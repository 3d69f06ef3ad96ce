"""The built-in functions, and the registry that finds them by name and argument types."""

from __future__ import annotations

from ksqlite.functions.api import BoundAggregate, BoundTable, Kind, Registry, Udaf
from ksqlite.functions.registry import REGISTRY

__all__ = ["REGISTRY", "BoundAggregate", "BoundTable", "Kind", "Registry", "Udaf"]
