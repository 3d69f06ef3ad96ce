"""Runs the service: migrates the database, makes the first administrator, serves with several workers."""

import asyncio
import os
import shutil
import sys
import tempfile
from pathlib import Path

import psycopg
import structlog

from analytics_api import logs
from analytics_api.access.keys import Keys
from analytics_api.access.passwords import Passwords
from analytics_api.db import Database
from analytics_api.settings import Settings, SettingsError
from analytics_api.users import services as users

log = structlog.get_logger("analytics_api")


def main() -> int:
    """Serve until told to stop; the exit code is 1 when the service cannot start."""
    logs.configure()
    try:
        settings = Settings.from_environment(os.environ)
        if settings.database_owner_url != settings.database_url:
            # without the owner's address somebody else has run analytics_api.migrate before: the stack, or compose
            from analytics_api.migrate import migrate  # noqa: PLC0415 - half of the start's imports, mostly not needed

            migrate(settings.database_owner_url, timezone=settings.timezone)
    except SettingsError as error:
        sys.stderr.write(f"analytics_api: {error}\n")
        return 1
    except psycopg.OperationalError as error:
        sys.stderr.write(f"analytics_api: PostgreSQL does not answer: {' '.join(str(error).split())}\n")
        return 1
    made_up = asyncio.run(_first_administrator(settings))
    if made_up is not None:
        # Standard output, once: the supervisor shows it to whoever started the pipeline; the log never has it.
        sys.stdout.write(f"first administrator: user name {users.ADMIN}, password {made_up}\n")
        sys.stdout.flush()
    Keys(settings.keys_dir)
    metrics_folder = Path(tempfile.mkdtemp(prefix="analytics_api-metrics-"))
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics_folder)
    try:
        _serve(settings)
    finally:
        shutil.rmtree(metrics_folder, ignore_errors=True)
    return 0


def _serve(settings: Settings) -> None:
    # Imported here: its workers import this module again, and need none of what stands above.
    from granian.constants import Interfaces, Loops  # noqa: PLC0415
    from granian.server import Server  # noqa: PLC0415

    Server(
        "analytics_api.app:create",
        address=settings.host,
        port=settings.analytics_port,
        interface=Interfaces.ASGI,
        factory=True,
        workers=settings.analytics_workers,
        loop=Loops.asyncio,
        websockets=False,
        respawn_failed_workers=True,
        workers_kill_timeout=10,
        # Its messages go the way of all others.
        log_dictconfig={"loggers": {"_granian": {"handlers": [], "propagate": True}}},
        log_access=False,
    ).serve()


async def _first_administrator(settings: Settings) -> str | None:
    database = Database(settings)
    await database.open()
    try:
        return await users.ensure_administrator(database, Passwords(1), settings.admin_password)
    finally:
        await database.close()


if __name__ == "__main__":
    sys.exit(main())
