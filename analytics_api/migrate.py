"""Brings the database to the newest shape: `python -m analytics_api.migrate`, and the service itself when it starts."""

import logging
import os
import re
import sys
import time
from pathlib import Path

import psycopg
import sqlalchemy
from alembic import command
from alembic.config import Config
from sqlalchemy.pool import NullPool

from analytics_api.settings import Settings

log = logging.getLogger("analytics_api.migrate")

LOCK_KEY = 6_170_006  # any number that no other advisory lock of this database uses
ROLES = ("checks_api", "checks_sink", "checks_bi")


def migrate(database_owner_url: str, *, timezone: str = "UTC", wait_s: float = 30.0) -> str:
    """Apply what is missing, one process at a time, and give every role its rights.

    Gives the revision that the database has then. Waits up to `wait_s` for PostgreSQL to answer.
    Raises psycopg.OperationalError when it does not, and whatever a migration raises: nothing is half applied then.
    """
    _wait(database_owner_url, wait_s)
    # SQLAlchemy is only alembic's way to a connection; the address stays libpq's own.
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(database_owner_url, application_name="checks migrate"),
        poolclass=NullPool,
    )
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.connect() as connection:
        driver: psycopg.Connection = connection.connection.driver_connection  # type: ignore[assignment] # SQLAlchemy knows only a DBAPI connection
        driver.execute("SELECT pg_advisory_lock(%s)", (LOCK_KEY,))
        try:
            driver.execute("SET client_min_messages = warning")
            driver.execute("CREATE SCHEMA IF NOT EXISTS app")
            _make_roles(driver)
            driver.commit()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            driver.execute("UPDATE app.settings SET timezone = %s WHERE timezone <> %s", (timezone, timezone))
            driver.execute("SELECT app.grant_rights()")
            row = driver.execute("SELECT version_num FROM app.migrations").fetchone()
            driver.commit()
        finally:
            driver.rollback()
            driver.execute("SELECT pg_advisory_unlock(%s)", (LOCK_KEY,))
            driver.commit()
    engine.dispose()
    return str(row[0]) if row else ""


def _wait(url: str, wait_s: float) -> None:
    deadline = time.monotonic() + wait_s
    while True:
        try:
            psycopg.connect(url, connect_timeout=5).close()
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


def _make_roles(driver: psycopg.Connection) -> None:
    """Make missing roles without login where we may; otherwise whoever runs the server makes them."""
    row = driver.execute("SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user").fetchone()
    if not row or not row[0]:
        return
    # Roles belong to the whole server: two databases migrating side by side must not make one twice.
    driver.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK_KEY + 1,))
    for role in ROLES:
        if not driver.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone():
            try:
                with driver.transaction():
                    driver.execute(f"CREATE ROLE {role} NOLOGIN")
            except (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
                log.debug("role %s was made by another process", role)


def main() -> int:
    """Migrate the database that CHECKS_DATABASE_OWNER_URL (or CHECKS_DATABASE_URL) names."""
    settings = Settings.from_environment(os.environ)
    try:
        revision = migrate(settings.database_owner_url, timezone=settings.timezone)
    except psycopg.OperationalError as error:
        reason = re.sub(r"\s+", " ", str(error)).strip()
        sys.stderr.write(f"migrate: PostgreSQL does not answer: {reason}\n")
        return 1
    sys.stdout.write(f"database is at revision {revision}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
