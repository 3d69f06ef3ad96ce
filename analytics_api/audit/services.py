"""Adds to the audit and reads it; nothing here changes or removes a row."""

from typing import Any

import msgspec
import structlog
from psycopg import AsyncConnection

from analytics_api import cursors
from analytics_api.audit.schemas import AuditEntry, AuditPage
from analytics_api.db import Database

log = structlog.get_logger("analytics_api.audit")


async def record(
    connection: AsyncConnection[Any],
    action: str,
    *,
    actor: str | None = None,
    target: str | None = None,
    details: dict[str, Any] | None = None,
    address: str | None = None,
) -> None:
    """Add a row, in the caller's transaction: what is rolled back was not done."""
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    await connection.execute(
        "INSERT INTO app.audit (actor, action, target, details, address, request_id)"
        " VALUES (%s, %s, %s, %s::jsonb, %s, %s)",
        (actor, action, target, msgspec.json.encode(details or {}).decode(), address, request_id),
    )
    log.info("audit", action=action, actor=actor, target=target, address=address)


async def page(
    database: Database,
    *,
    actor: str | None = None,
    target: str | None = None,
    action: str | None = None,
    limit: int,
    cursor: str | None,
) -> AuditPage:
    """Entries that match, the newest first."""
    query = ("audit", actor, target, action)
    position = cursors.unpack(query, cursor, tuple[int])
    conditions = ["(%(before)s::bigint IS NULL OR audit_id < %(before)s)"]
    for column, value in (("actor", actor), ("target", target), ("action", action)):
        if value:
            conditions.append(f"{column} = %({column})s")
    async with database.connection() as connection:
        found = await connection.execute(
            f"SELECT audit_id, at, actor, action, target, details, address, request_id FROM app.audit"  # noqa: S608  (fixed text; values are parameters)
            f" WHERE {' AND '.join(conditions)} ORDER BY audit_id DESC LIMIT %(limit)s",
            {
                "before": position[0] if position else None,
                "actor": actor,
                "target": target,
                "action": action,
                "limit": limit + 1,
            },
        )
        rows = await found.fetchall()
    items = [AuditEntry(**row) for row in rows[:limit]]
    more = cursors.pack(query, (items[-1].audit_id,)) if len(rows) > limit else None
    return AuditPage(items=items, next_cursor=more)
