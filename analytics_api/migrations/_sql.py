"""Runs a migration's SQL text as it stands."""

from alembic import op


def run(sql: str) -> None:
    """Execute `sql` (any number of statements) on the driver's own connection: `%` and `:` in it mean themselves."""
    op.get_bind().connection.driver_connection.execute(sql)  # type: ignore[union-attr] # online migrations have a connection
