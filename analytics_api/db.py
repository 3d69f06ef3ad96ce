"""The service's way to PostgreSQL: one pool a worker, and transactions that read figures from one moment."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row, tuple_row
from psycopg_pool import AsyncConnectionPool

from analytics_api.settings import Settings

# Held shared while figures are read: pipeline_switch waits for it, so no answer mixes two versions of the pipeline.
BEGIN_READING = (
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT pg_advisory_xact_lock_shared(hashtext('figures views'))"
)


class Database:
    """A pool of connections in autocommit; each statement has a time limit."""

    def __init__(self, settings: Settings, *, application_name: str = "analytics_api") -> None:
        options = (
            f"-c statement_timeout={int(settings.statement_timeout_s * 1000)}"
            # Ranges of dates differ too much for one plan to fit them all.
            " -c timezone=UTC -c plan_cache_mode=force_custom_plan -c jit=off"
        )
        self._pool: AsyncConnectionPool[AsyncConnection[DictRow]] = AsyncConnectionPool(
            settings.database_url,
            min_size=1,
            max_size=settings.database_pool_size,
            timeout=settings.database_wait_s,
            # Short, so that the pause between attempts stays short too: PostgreSQL that is back is found at once.
            reconnect_timeout=3.0,
            max_idle=300.0,
            check=AsyncConnectionPool.check_connection,
            open=False,
            kwargs={
                "autocommit": True,
                "row_factory": dict_row,
                "application_name": application_name,
                "options": options,
                "connect_timeout": 5,
            },
        )

    async def open(self) -> None:
        """Start connecting; does not wait for PostgreSQL."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """Give the connections back."""
        await self._pool.close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection[DictRow]]:
        """Lend a connection in autocommit. Raises psycopg.OperationalError (PoolTimeout too) when there is none."""
        async with self._pool.connection() as connection:
            yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection[DictRow]]:
        """Lend a connection inside a READ COMMITTED transaction."""
        async with self._pool.connection() as connection, connection.transaction():
            yield connection

    @asynccontextmanager
    async def reading(self) -> AsyncIterator["Reading"]:
        """Lend a read-only view of one moment: every statement in it sees the same figures."""
        async with self._pool.connection() as connection:
            await connection.execute(BEGIN_READING)
            try:
                yield Reading(connection)
            except BaseException:
                if not connection.closed:
                    await connection.rollback()
                raise
            await connection.commit()


class Reading:
    """Statements on one moment's figures; rows are tuples."""

    def __init__(self, connection: AsyncConnection[DictRow]) -> None:
        self._connection = connection

    async def rows(self, query: str, parameters: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """All rows of `query`."""
        cursor = self._connection.cursor(row_factory=tuple_row)
        await cursor.execute(query, parameters, prepare=True)
        return await cursor.fetchall()

    async def row(self, query: str, parameters: dict[str, Any] | None = None) -> tuple[Any, ...] | None:
        """The first row of `query`, or None."""
        cursor = self._connection.cursor(row_factory=tuple_row)
        await cursor.execute(query, parameters, prepare=True)
        return await cursor.fetchone()

    async def stream(
        self, query: str, parameters: dict[str, Any] | None = None, *, batch: int = 2000
    ) -> AsyncIterator[list[tuple[Any, ...]]]:
        """Rows of `query` in batches through a cursor of the server, so that memory stays flat."""
        async with self._connection.cursor("figures_stream", row_factory=tuple_row) as cursor:
            await cursor.execute(query, parameters)
            while found := await cursor.fetchmany(batch):
                yield found
