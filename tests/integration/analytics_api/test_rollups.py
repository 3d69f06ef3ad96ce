"""Totals over all places, kept by triggers, equal the sum of the rows whatever is done to these."""

import random
import threading
from collections.abc import Callable

import psycopg
import pytest

from tests.conftest import SEED
from tests.integration.analytics_api.servers import Postgres

SUMS = {
    "place_hours": ("hour_start", "purchases, revenue, nds, tips"),
    "place_days": ("day_start", "purchases, revenue, nds, tips"),
    "category_hours": ("hour_start, category", "lines, checks, quantity, revenue"),
    "category_days": ("day_start, category", "lines, checks, quantity, revenue"),
}


def difference(connection: psycopg.Connection, table: str, schema: str = "pipeline_v1") -> list[tuple[object, ...]]:
    keys, sums = SUMS[table]
    total = ", ".join(f"sum({name.strip()})::numeric" for name in sums.split(","))
    plain = ", ".join(f"{name.strip()}::numeric" for name in sums.split(","))
    some = " OR ".join(f"{name.strip()} <> 0" for name in sums.split(","))
    rolled = f"SELECT {keys}, {plain} FROM {schema}.all_{table} WHERE {some}"
    summed = f"SELECT {keys}, {total} FROM {schema}.{table} GROUP BY {keys}"
    return connection.execute(f"({rolled} EXCEPT {summed}) UNION ALL ({summed} EXCEPT {rolled})").fetchall()


def change(connection: psycopg.Connection, table: str, rng: random.Random, rows: int) -> None:
    start = SUMS[table][0].split(",")[0]
    names = ["place_id", start, *(["category"] if "category" in table else []), *SUMS[table][1].split(", ")]
    found = {}
    for _ in range(rows):
        key = (
            f"p{rng.randrange(9)}",
            f"2024-01-0{rng.randrange(1, 4)}T00:00Z",
            *([f"c{rng.randrange(4)}"] if "category" in table else []),
        )
        found[key] = [
            rng.randrange(9),
            rng.randrange(9),
            f"{rng.randrange(999)}.{rng.randrange(999):03d}",
            f"{rng.randrange(10**9)}.{rng.randrange(10**5):05d}",
        ]
    if "place" in table:
        found = {key: [v[0], v[3], v[2], v[2]] for key, v in found.items()}
    place = f"({', '.join(['%s'] * len(names))})"
    keys = names[: len(names) - 4]
    update = ", ".join(f"{name} = EXCLUDED.{name}" for name in names[-4:])
    connection.execute(
        f"INSERT INTO pipeline_v1.{table} ({', '.join(names)}) VALUES {', '.join([place] * len(found))}"
        f" ON CONFLICT ({', '.join(reversed(keys))}) DO UPDATE SET {update}",
        [value for key, row in found.items() for value in (*key, *row)],
    )


@pytest.mark.parametrize("table", SUMS)
def test_any_statement_keeps_the_rollup(postgres: Postgres, new_database: Callable[[], str], table: str) -> None:
    """Upserts of new and known rows, replays, updates of keys, deletes, rollbacks, truncation: the totals follow."""
    rng = random.Random(SEED)
    with psycopg.connect(postgres.url(new_database())) as connection:
        for step in range(40):
            change(connection, table, rng, rng.randrange(1, 30))
            if step % 7 == 3:
                connection.execute(f"DELETE FROM pipeline_v1.{table} WHERE place_id = 'p{rng.randrange(9)}'")
            if step % 7 == 5:
                connection.execute(
                    f"UPDATE pipeline_v1.{table} SET place_id = place_id || '-{step}' WHERE place_id = 'p1'"
                )
            if step % 5 == 2:
                connection.rollback()
            connection.commit()
            assert difference(connection, table) == []
        connection.execute(f"TRUNCATE pipeline_v1.{table}")
        assert difference(connection, table) == []
        assert connection.execute(f"SELECT count(*) FROM pipeline_v1.all_{table}").fetchone() == (0,)


def test_writers_side_by_side_neither_deadlock_nor_lose(postgres: Postgres, new_database: Callable[[], str]) -> None:
    """Four writers of one table, as connector tasks after a rebalance, end without an error and with exact totals."""
    url = postgres.url(new_database(), "checks_sink")
    errors: list[BaseException] = []

    def write(seed: int) -> None:
        rng = random.Random(seed)
        try:
            with psycopg.connect(url) as connection:
                for _ in range(25):
                    for _ in range(3):
                        change(connection, "category_hours", rng, 20)
                    connection.commit()
        except psycopg.Error as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(SEED + number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with psycopg.connect(url) as connection:
        assert difference(connection, "category_hours") == []


def test_a_version_beside_the_one_that_is_read(postgres: Postgres, new_database: Callable[[], str]) -> None:
    """A new version has the same tables and triggers; a switch changes what is read at once; the read one is kept."""
    with psycopg.connect(postgres.url(new_database()), autocommit=True) as connection:
        connection.execute("SELECT pipeline_create(2)")
        connection.execute("SELECT pipeline_create(2)")
        insert = "INSERT INTO {}.place_hours (place_id, hour_start, purchases) VALUES ('a', '2024-01-01', {})"
        connection.execute(insert.format("pipeline_v1", 1))
        connection.execute(insert.format("pipeline_v2", 2))
        read = "SELECT purchases, (SELECT sum(purchases) FROM figures.all_place_hours) FROM figures.place_hours"
        assert connection.execute(read).fetchone() == (1, 1)
        connection.execute("SELECT pipeline_switch(2)")
        assert connection.execute(read).fetchone() == (2, 2)
        assert connection.execute("SELECT purchases FROM bi.place_hours").fetchone() == (2,)
        with pytest.raises(psycopg.errors.RaiseException, match="is the one that is read"):
            connection.execute("SELECT pipeline_drop(2)")
        connection.execute("SELECT pipeline_drop(1)")
        assert connection.execute("SELECT to_regclass('pipeline_v1.place_hours')").fetchone() == (None,)
        with pytest.raises(psycopg.errors.RaiseException, match="no pipeline version 7"):
            connection.execute("SELECT pipeline_switch(7)")


def test_roles_may_do_their_own_and_nothing_else(postgres: Postgres, new_database: Callable[[], str]) -> None:
    """Sinks write tables but read no accounts; BI reads its views alone; the API cannot change what is append-only."""
    name = new_database()
    for role, statement in (
        ("checks_sink", "SELECT FROM app.users"),
        ("checks_sink", "DELETE FROM app.audit"),
        ("checks_bi", "SELECT FROM app.users"),
        ("checks_bi", "SELECT FROM figures.sales"),
        ("checks_bi", "INSERT INTO pipeline_v1.sales VALUES ('x')"),
        ("checks_api", "UPDATE app.snapshots SET revision = 1"),
        ("checks_api", "DELETE FROM app.audit"),
        ("checks_api", "DELETE FROM pipeline_v1.sales"),
        ("checks_api", "SELECT pipeline_drop(1)"),
    ):
        with (
            psycopg.connect(postgres.url(name, role)) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute(statement)
    for role, statement in (
        ("checks_sink", "INSERT INTO pipeline_v1.sales (transaction_id) VALUES ('x')"),
        ("checks_bi", "SELECT hour_start_local, average_receipt FROM bi.place_hours"),
        ("checks_api", "SELECT * FROM figures.sales"),
    ):
        with psycopg.connect(postgres.url(name, role)) as connection:
            connection.execute(statement)


def test_every_table_and_column_says_what_it_is(postgres: Postgres) -> None:
    """Each table of the schemas has a comment, and each column of the pipeline's tables."""
    with psycopg.connect(postgres.url("migrated")) as connection:
        tables = connection.execute(
            "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname IN ('app', 'pipeline_v1', 'figures', 'bi') AND c.relkind IN ('r', 'v')"
            " AND c.relname <> 'migrations' AND obj_description(c.oid, 'pg_class') IS NULL"
        ).fetchall()
        columns = connection.execute(
            "SELECT c.oid::regclass::text, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
            " WHERE c.relnamespace = 'pipeline_v1'::regnamespace AND c.relkind = 'r' AND a.attnum > 0"
            " AND c.relname NOT LIKE 'all%' AND c.relname <> 'changes' AND col_description(c.oid, a.attnum) IS NULL"
        ).fetchall()
    assert tables == []
    assert columns == []
