"""Alembic migrations in raw SQL: the history of the database's shape."""
