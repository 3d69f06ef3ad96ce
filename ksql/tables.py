"""The versions of the tables in PostgreSQL: makes one beside the one that is read, switches, drops.

The functions are the migrations' own (analytics_api/migrations); they run as the role that owns the tables.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from ksql.errors import ToolError


class Tables:
    """One database; every failure is a ToolError."""

    def __init__(self, url: str) -> None:
        self._url = url

    def version_read(self) -> int:
        """The version that the views show."""
        with self._connection() as connection:
            row = connection.execute("SELECT version FROM app.pipelines WHERE is_read").fetchone()
        if row is None:
            raise ToolError("PostgreSQL has no tables that are read: run python -m analytics_api.migrate first.")
        return int(row[0])

    def versions(self) -> list[int]:
        """All versions that exist."""
        with self._connection() as connection:
            return [int(row[0]) for row in connection.execute("SELECT version FROM app.pipelines ORDER BY version")]

    def create(self, version: int) -> None:
        """Make the empty tables of a version, or what they lack."""
        with self._connection() as connection:
            connection.execute("SELECT pipeline_create(%s)", (version,))

    def switch(self, version: int) -> None:
        """Let every reader see this version from the next transaction on."""
        with self._connection() as connection:
            connection.execute("SET LOCAL lock_timeout = '30s'")
            connection.execute("SELECT pipeline_switch(%s)", (version,))

    def drop(self, version: int) -> None:
        """Remove a version that is not read."""
        with self._connection() as connection:
            connection.execute("SELECT pipeline_drop(%s)", (version,))

    @contextmanager
    def _connection(self) -> Iterator[psycopg.Connection]:
        try:
            with psycopg.connect(self._url, connect_timeout=10, application_name="ksql apply") as connection:
                yield connection
        except psycopg.Error as error:
            raise ToolError(f"PostgreSQL: {str(error).strip().splitlines()[0]}") from error
