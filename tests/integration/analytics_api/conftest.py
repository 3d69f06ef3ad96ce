"""Fixtures of analytics_api's tests: a PostgreSQL of their own, a database of made-up checks, a running service."""

import datetime as dt
import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from analytics_api.migrate import migrate
from tests.conftest import SEED
from tests.integration.analytics_api import made_up
from tests.integration.analytics_api.servers import (
    PASSWORD,
    Api,
    Postgres,
    environment,
    start_api,
    stop_api,
)

START = dt.datetime(2024, 2, 6, 3, tzinfo=dt.UTC)
HOURS = 24 * 5 + 7
_numbers = itertools.count()


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="checks-analytics-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(folder: Path) -> Iterator[Postgres]:
    server = Postgres(folder / "postgres")
    server.folder.mkdir()
    server.folder.chmod(0o755)
    server.start()
    server.make("migrated")
    migrate(server.url("migrated"))
    with psycopg.connect(server.url(), autocommit=True) as connection:
        for role in ("checks_api", "checks_sink", "checks_bi"):
            connection.execute(f"ALTER ROLE {role} LOGIN PASSWORD '{PASSWORD}'")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def new_database(postgres: Postgres) -> Callable[[], str]:
    """Makes a migrated, empty database; gives its name."""

    def make() -> str:
        name = f"test_{next(_numbers)}"
        postgres.make(name, template="migrated")
        return name

    return make


@pytest.fixture(scope="session")
def sales() -> list[made_up.Check]:
    """The checks in the database of `api`."""
    received = dt.datetime(2024, 2, 11, tzinfo=dt.UTC)
    return made_up.checks(3000, start=START, hours=HOURS, seed=SEED, received=received)


@pytest.fixture(scope="session")
def api(postgres: Postgres, new_database: Callable[[], str], sales: list[made_up.Check], folder: Path) -> Iterator[Api]:
    """The service over a database with `sales`."""
    name = new_database()
    made_up.write(postgres.url(name, "checks_sink"), sales)
    running = start_api(environment(postgres, name, folder / "api"))
    yield running
    stop_api(running)
