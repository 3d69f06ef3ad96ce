"""Runs queries: topics in, topics out, without knowing Kafka. ``api`` is what others build on.

``Engine`` and what belongs to it are imported when they are asked for: ``api`` is needed by those whom the engine
needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ksqlite.engine.engine import Engine, PushQuery, Table
    from ksqlite.engine.graph import QueryFailedError

__all__ = ["Engine", "PushQuery", "QueryFailedError", "Table"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - any of the names above
    if name in {"Engine", "PushQuery", "Table"}:
        from ksqlite.engine import engine  # noqa: PLC0415 - see above

        return getattr(engine, name)
    if name == "QueryFailedError":
        from ksqlite.engine.graph import QueryFailedError  # noqa: PLC0415 - see above

        return QueryFailedError
    raise AttributeError(name)
