"""The runner over a real broker: exactly once through restarts, new queries over old topics, bad and late records."""

import json
import shutil
import time
from typing import Any

import pytest

from ksqlite.engine.api import QueryState
from ksqlite.errors import KsqlError
from ksqlite.runner import positions
from ksqlite.runner.runner import Runner
from ksqlite.state import FORMAT
from ksqlite.statements import NewRecord
from tests.fix_stack import wait_for
from tests.integration.ksqlite.conftest import Space

ORDERS = """
SET 'auto.offset.reset'='earliest';
SET 'cache.max.bytes.buffering'='0';
CREATE STREAM orders (id STRING KEY, shop STRING, amount BIGINT) WITH (KAFKA_TOPIC='orders', VALUE_FORMAT='JSON');
"""
BY_SHOP = """
CREATE STREAM by_shop WITH (KAFKA_TOPIC='by_shop') AS
SELECT shop, id, amount FROM orders PARTITION BY shop EMIT CHANGES;
"""
TOTALS = """
CREATE TABLE totals WITH (KAFKA_TOPIC='totals') AS
SELECT shop, COUNT(*) AS orders, SUM(amount) AS amount FROM by_shop GROUP BY shop EMIT CHANGES;
"""
START = int(time.time()) // 3600 * 3_600_000 - 7_200_000
"""Two whole hours ago or more, in ms: the broker deletes records of a windowed table's topic that are much older."""


def orders(count: Any, first: int = 0, step_ms: int = 1000) -> list[Any]:
    return [
        (f"o{n}".encode(), json.dumps({"SHOP": f"s{n % 7}", "AMOUNT": n}).encode(), START + n * step_ms)
        for n in range(first, first + count)
    ]


def totals(count: Any) -> Any:
    """What the table must say of the first orders."""
    made: dict[Any, Any] = {}
    for n in range(count):
        number, amount = made.get(f"s{n % 7}", (0, 0))
        made[f"s{n % 7}"] = (number + 1, amount + n)
    return made


def table(space: Any, topic: str = "totals") -> dict[Any, Any]:
    """The last value of each key."""
    last = {}
    for _, key, value, _ in space.read(topic):
        last[key.decode()] = None if value is None else json.loads(value)
    return {key: (row["ORDERS"], row["AMOUNT"]) for key, row in last.items() if row is not None}


def test_restarts_go_on_where_they_were(space: Any) -> None:
    """Statements, positions and state survive; the state on disk is read again only from where it ends."""
    space.create("orders", 3)
    with space.runner() as runner:
        space.apply(runner, ORDERS + BY_SHOP + TOTALS)
        space.produce("orders", orders(500))
        space.settle(runner, {"orders": 500})
    assert totals(500) == table(space)
    with space.runner() as runner:
        assert runner.submit(lambda session: session.restored).result(10) == 0
        space.produce("orders", orders(500, first=500))
        space.settle(runner, {"orders": 1000})
    assert totals(1000) == table(space)
    assert len(space.read("by_shop")) == 1000


def test_tools_see_the_last_position(space: Any) -> None:
    """The consumer group's lag is nothing a few seconds after the last record, though no commit follows it."""
    space.create("orders", 3)
    with space.runner() as runner:
        space.apply(runner, ORDERS + BY_SHOP)
        space.produce("orders", orders(100))
        space.settle(runner, {"orders": 100})
        space.produce("orders", orders(10, first=100))
        space.settle(runner, {"orders": 110})
        wait_for(lambda: space.committed("orders", 3) == 110, limit_s=20, what="the group stands at the end")


def test_state_is_restored_from_changelogs(space: Any) -> None:
    """A server that lost its disk reads all of its state from Kafka, and no more than that."""
    space.create("orders", 3)
    with space.runner() as runner:
        space.apply(runner, ORDERS + BY_SHOP + TOTALS)
        space.produce("orders", orders(300))
        space.settle(runner, {"orders": 300})
    shutil.rmtree(space.folder / "state")
    with space.runner() as runner:
        assert runner.submit(lambda session: session.restored).result(10) >= 7
        space.produce("orders", orders(300, first=300))
        space.settle(runner, {"orders": 600})
    assert totals(600) == table(space)


def test_a_new_query_reads_history_and_joins(space: Any) -> None:
    """A table made over a topic that is long being written counts every record once, and goes on with the others."""
    space.create("orders", 3)
    space.produce("orders", orders(5000))
    with space.runner(batch_records=100) as runner:
        space.apply(runner, ORDERS + BY_SHOP)
        space.settle(runner, {"orders": 5000})
        space.produce("orders", orders(1000, first=5000))
        space.apply(runner, TOTALS)
        space.produce("orders", orders(1000, first=6000))
        space.settle(runner, {"orders": 7000})
        wait_for(lambda: all_attached(runner), limit_s=30, what="the new query has caught up")
        space.produce("orders", orders(1000, first=7000))
        space.settle(runner, {"orders": 8000})
    assert totals(8000) == table(space)


def all_attached(runner: Any) -> Any:
    return runner.submit(lambda session: all(p is None for p in session.positions.queries.values())).result(10)


def test_a_restart_while_a_query_catches_up(space: Any) -> None:
    """History that was read before a restart is not read again, and none of it is left out."""
    space.create("orders", 3)
    # so close together that none lies in the future: the broker takes no record that is more than an hour ahead
    space.produce("orders", orders(20_000, step_ms=100))
    with space.runner(batch_records=500, transaction_records=500) as runner:
        space.apply(runner, ORDERS + BY_SHOP)
        space.settle(runner, {"orders": 20_000})
        space.apply(runner, TOTALS)
        wait_for(lambda: table_started(space), limit_s=30, what="history is being read")
    with space.runner() as runner:
        wait_for(lambda: all_attached(runner), limit_s=60, what="the new query has caught up")
        space.produce("orders", orders(100, first=20_000, step_ms=100))
        space.settle(runner, {"orders": 20_100})
    assert totals(20_100) == table(space)


def table_started(space: Any) -> bool:
    return bool(space.ends("totals", 3) > 0)


def test_pause_and_resume(space: Any) -> None:
    """What arrives during a pause is worked out after it."""
    space.create("orders", 1)
    with space.runner() as runner:
        made = space.apply(runner, ORDERS + BY_SHOP + TOTALS)
        query_id = made[-1]["commandStatus"]["queryId"]
        space.produce("orders", orders(100))
        space.settle(runner, {"orders": 100})
        space.apply(runner, f"PAUSE {query_id};")
        assert runner.call(lambda engine: engine.state(query_id)) is QueryState.PAUSED
        space.produce("orders", orders(100, first=100))
        space.settle(runner, {"orders": 200})
        assert totals(100) == table(space)
    with space.runner() as runner:
        assert runner.call(lambda engine: engine.state(query_id)) is QueryState.PAUSED
        space.apply(runner, f"RESUME {query_id};")
        wait_for(lambda: all_attached(runner), limit_s=30, what="the query has caught up")
        space.produce("orders", orders(100, first=200))
        space.settle(runner, {"orders": 300})
    assert totals(300) == table(space)


def test_drop_takes_state_and_changelog_along(space: Any) -> None:
    """A dropped table leaves no changelog and no state; made anew it counts from the beginning."""
    space.create("orders", 1)
    with space.runner() as runner:
        space.apply(runner, ORDERS + BY_SHOP + TOTALS)
        space.produce("orders", orders(50))
        space.settle(runner, {"orders": 50})
        changelogs = [t for t in space.admin.list_topics(timeout=10).topics if "changelog" in t and space.prefix in t]
        assert len(changelogs) == 1
        space.apply(runner, "DROP TABLE totals DELETE TOPIC;")
        wait_for(
            lambda: not {*changelogs, space.name("totals")} & set(space.admin.list_topics(timeout=10).topics),
            limit_s=20,
            what="changelog and topic are gone",
        )
        space.apply(runner, TOTALS)
        wait_for(lambda: all_attached(runner), limit_s=30, what="the table has caught up")
    assert totals(50) == table(space)
    with space.runner() as runner:
        space.produce("orders", orders(50, first=50))
        space.settle(runner, {"orders": 100})
    assert totals(100) == table(space)


def test_a_stream_that_others_write_too(space: Any) -> None:
    """Records of INSERT INTO and of anybody else in a declared stream's topic are all read, each once."""
    space.create("orders", 3)
    space.create("by_shop", 3)
    declared = """
    CREATE STREAM by_shop (shop STRING KEY, id STRING, amount BIGINT) WITH (KAFKA_TOPIC='by_shop', VALUE_FORMAT='JSON');
    """
    insert = "INSERT INTO by_shop SELECT shop, id, amount FROM orders PARTITION BY shop EMIT CHANGES;"
    with space.runner() as runner:
        space.apply(runner, ORDERS + declared + TOTALS + insert)
        space.produce("orders", orders(200))
        space.produce("by_shop", [(b"s0", b'{"ID": "x", "AMOUNT": 1000000}', START)])
        wait_for(lambda: sum(n for n, _ in table(space).values()) == 201, limit_s=30, what="all are counted")
    number, amount = totals(200)["s0"]
    assert table(space)["s0"] == (number + 1, amount + 1_000_000)


def test_a_topic_that_a_query_begins_to_write(space: Any) -> None:
    """Readers of a topic that somebody else filled go on when a query begins to write it, and lose nothing."""
    space.create("orders", 1)
    space.create("by_shop", 1)
    declared = """
    CREATE STREAM old (shop STRING KEY, id STRING, amount BIGINT) WITH (KAFKA_TOPIC='by_shop', VALUE_FORMAT='JSON');
    """
    with space.runner() as runner:
        space.apply(runner, ORDERS + declared + TOTALS.replace("by_shop", "old"))
        space.produce("by_shop", [(b"s0", b'{"ID": "x", "AMOUNT": 1}', START + n) for n in range(10)])
        space.apply(runner, BY_SHOP)
        space.produce("orders", orders(70))
        wait_for(lambda: sum(n for n, _ in table(space).values()) == 80, limit_s=30, what="all are counted")
        wait_for(lambda: all_attached(runner), limit_s=30, what="all go on together")
    assert table(space)["s0"] == (20, totals(70)["s0"][1] + 10)


def test_values_inserted_into_a_querys_own_topic(space: Any) -> None:
    """INSERT INTO … VALUES into a stream that a query makes reaches those who read it, once, also after a restart."""
    space.create("orders", 3)

    def insert(runner: Any, shop: Any, amount: Any) -> None:
        value = json.dumps({"ID": "x", "AMOUNT": amount}).encode()
        record = NewRecord(space.name("by_shop"), shop.encode(), value, START)
        assert runner.submit(lambda session: session.insert(record)).result(10)

    with space.runner() as runner:
        space.apply(runner, ORDERS + BY_SHOP + TOTALS)
        space.produce("orders", orders(70))
        insert(runner, "s0", 1000)
        space.settle(runner, {"orders": 70})
        other = NewRecord(space.name("orders"), b"k", b"{}", START)
        assert not runner.submit(lambda session: session.insert(other)).result(10)
    with space.runner() as runner:
        insert(runner, "s0", 5000)
    number, amount = totals(70)["s0"]
    assert table(space)["s0"] == (number + 2, amount + 6000)
    assert len(space.read("by_shop")) == 72


def test_session_properties_outlive_a_failed_session(space: Any) -> None:
    """A graph that is started anew between SET and CREATE still makes the table without cache."""
    space.create("orders", 1)

    def fail(_session: Any) -> None:
        raise RuntimeError("made up")

    with space.runner() as runner:
        space.apply(runner, ORDERS + BY_SHOP)
        with pytest.raises(RuntimeError):
            runner.submit(fail).result(10)
        wait_for(lambda: runner.metrics.restarts == 1 and runner.ready.is_set(), limit_s=30, what="a new session runs")
        space.apply(runner, TOTALS)
        space.produce("orders", orders(50))
        space.settle(runner, {"orders": 50})
        assert not runner.call(lambda engine: engine.queries()[-1].cache)
    assert len(space.read("totals")) == 50


def test_a_query_that_fails_at_a_record_is_set_to_error(space: Space) -> None:
    """After some failures the others go on without it, nothing twice; after RESUME and restarts it is tried again."""
    space.create("orders", 1)
    small = """
    CREATE TABLE small WITH (KAFKA_TOPIC='small') AS
    SELECT shop, SUM(CAST(amount AS DECIMAL(2, 0))) AS amount FROM by_shop GROUP BY shop EMIT CHANGES;
    """

    def is_failed(runner: Runner) -> bool:
        return [key.rpartition("_")[0] for key in runner.failures.queries] == ["CTAS_SMALL"] and runner.ready.is_set()

    with space.runner() as runner:
        space.apply(runner, ORDERS + BY_SHOP + TOTALS + small)
        space.produce("orders", orders(90))
        wait_for(lambda: is_failed(runner), limit_s=60, what="the query is in ERROR")
        space.settle(runner, {"orders": 90})
        (query_id,) = runner.failures.queries
        assert runner.call(lambda engine: engine.state(query_id)) is QueryState.ERROR
        assert f'ksqlite_query_running{{query="{query_id}",state="ERROR"}} 0' in runner.metrics_text()
        (explained,) = space.apply(runner, f"EXPLAIN {query_id};")
        (error,) = explained["queryDescription"]["queryErrors"]
        assert "Numeric field overflow" in error["errorMessage"]
        restarts = runner.metrics.restarts
        space.apply(runner, f"RESUME {query_id};")
        wait_for(lambda: runner.metrics.restarts >= restarts + 3 and is_failed(runner), limit_s=60, what="ERROR again")
    with space.runner() as runner:
        wait_for(lambda: is_failed(runner), limit_s=60, what="the query is in ERROR after a restart")
        space.apply(runner, f"TERMINATE {query_id};")
        assert runner.failures.queries == {}
        space.produce("orders", orders(10, first=90))
        space.settle(runner, {"orders": 100})
    assert totals(100) == table(space)
    assert len(space.read("by_shop")) == 100


def test_state_of_another_version_is_refused(space: Space, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changelogs of another form are not read: the server ends with a line that says what to do."""
    space.create("orders", 1)
    with space.runner() as runner:
        space.apply(runner, ORDERS + BY_SHOP + TOTALS)
        space.produce("orders", orders(10))
        space.settle(runner, {"orders": 10})
    monkeypatch.setattr(positions, "FORMAT", FORMAT + 1)
    with space.runner() as runner:
        wait_for(runner.stopped.is_set, limit_s=30, what="the server has ended")
        assert runner.refused
        assert "choose another service id" in (runner.problem or "")
    assert len(space.read("by_shop")) == 10


def test_a_refused_statement_leaves_nothing_behind(space: Any) -> None:
    """After a refusal everything goes on, also after a restart, as if it had not been said."""
    space.create("orders", 1)
    with space.runner() as runner:
        space.apply(runner, ORDERS + BY_SHOP)
        with pytest.raises(KsqlError):
            space.apply(runner, "CREATE TABLE bad AS SELECT shop, NO_SUCH(amount) AS x FROM by_shop GROUP BY shop;")
        space.produce("orders", orders(10))
        space.settle(runner, {"orders": 10})
    with space.runner() as runner:
        assert runner.call(lambda engine: sorted(engine.catalog.sources)) == ["BY_SHOP", "ORDERS"]
    assert len(space.read("by_shop")) == 10


def test_a_record_that_cannot_be_read_is_told_with_its_offset(space: Any) -> None:
    """It is skipped and counted, the processing log names topic, partition and offset, and the query goes on."""
    space.create("orders", 1)
    with space.runner() as runner:
        space.apply(runner, ORDERS + BY_SHOP)
        space.produce("orders", [*orders(3), (b"bad", b"{no json", START), *orders(3, first=3)])
        space.settle(runner, {"orders": 7})
        metrics = runner.metrics_text()
    assert len(space.read("by_shop")) == 6
    (line,) = [
        line for line in metrics.splitlines() if line.startswith('ksqlite_query_errors_total{query="CSAS_BY_SHOP')
    ]
    assert line.endswith(" 1")
    (entry,) = [json.loads(value) for _, _, value, _ in space.read("ksql_processing_log")]
    error = entry["message"]["deserializationError"]
    assert (space.name("orders"), 0, 3, "value") == tuple(error[n] for n in ("topic", "partition", "offset", "target"))


def test_late_records_are_dropped_and_counted(space: Any) -> None:
    """A record whose window has closed by its partition's stream time changes nothing; also after a restart."""
    space.create("orders", 1)
    windowed = """
    CREATE TABLE per_minute WITH (KAFKA_TOPIC='per_minute') AS SELECT shop, COUNT(*) AS orders, SUM(amount) AS amount
    FROM by_shop WINDOW TUMBLING (SIZE 1 MINUTE, GRACE PERIOD 1 MINUTE) GROUP BY shop EMIT CHANGES;
    """

    def order(shop: Any, minute: Any) -> tuple[Any, ...]:
        return (b"k", json.dumps({"SHOP": shop, "AMOUNT": 1}).encode(), START + minute * 60_000)

    def late(runner: Any) -> int:
        lines = runner.metrics_text().splitlines()
        (line,) = [line for line in lines if line.startswith('ksqlite_query_late_total{query="CTAS_PER_MINUTE')]
        return int(line.rpartition(" ")[2])

    with space.runner() as runner:
        space.apply(runner, ORDERS + BY_SHOP + windowed)
        space.produce("orders", [order("a", 10), order("a", 9), order("a", 8), order("b", 7)])
        space.settle(runner, {"orders": 4})
        assert late(runner) == 2
    with space.runner() as runner:
        space.produce("orders", [order("a", 5), order("a", 11)])
        space.settle(runner, {"orders": 6})
        assert late(runner) == 1
    assert len(space.read("per_minute")) == 3
