"""kill -9 at any moment, a second server: what can be read is what an undisturbed run wrote."""

import random
import shutil
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from bench.checks import Plan, arrivals
from ksqlite.formats import FormatSpec, infer_columns, serde
from ksqlite.parser import parse
from tests.fix_stack import wait_for

ROOT = Path(__file__).parents[3]
TABLES = ("place_totals", "place_hours", "place_days", "category_hours", "category_days")
STREAMS = ("check_arrivals", "sales", "repeated_checks", "numbered_lines", "sale_lines")
NOW = 1_771_000_000_000


class Checks:
    """Made-up checks as intake writes them."""

    def __init__(self, space: Any, count: Any) -> None:
        schema_id = space.registry.register(space.name("checks-value"), (ROOT / "schemas" / "check.avsc").read_text())
        columns = infer_columns(space.registry.by_id(schema_id), is_key=False)
        codec = serde(
            FormatSpec("AVRO", schema_id=schema_id), columns, is_key=False, registry=space.registry, subject="checks"
        )
        plan = Plan(count=count, places=20, end=datetime(2026, 2, 13, 16, tzinfo=UTC), hours=30, repeat_share=0.05)
        self.ids = set()
        self.records = []
        for number, arrival in enumerate(arrivals(plan)):
            check = arrival.check
            items = [(i.product_id, i.quantity.quantize(Decimal("0.001")), i.price, i.category) for i in check.items]
            row = (
                check.transaction_id,
                int(check.sold_at.timestamp() * 1000),
                items,
                check.total_amount,
                check.nds_amount,
                check.tips_amount,
                check.payment_method,
                check.place_id,
                check.place_name,
                NOW + number,
                sha256(check.json()).hexdigest(),
            )
            self.ids.add(check.transaction_id)
            self.records.append((check.transaction_id.encode(), codec.serialize(row), NOW + number))


def statements(space: Any) -> Any:
    """The project's own files, topics renamed."""
    text = "\n".join(path.read_text() for path in sorted((ROOT / "ksql").glob("*.sql")))
    return space.own(text)


def prepare(space: Any, partitions: Any) -> None:
    space.create("checks", partitions, retention_ms="-1")
    space.create("check_arrivals", partitions, retention_ms="2764800000", cleanup_policy="delete")


def deploy(space: Any, server: Any) -> None:
    prepare_text = statements(space)
    server.ksql(prepare_text)
    space.alter("check_arrivals", retention_ms="-1")


def outputs(space: Any) -> Any:
    """Last value of each key for tables, the sequence of each key for streams; ids of schemas left out."""
    made = {}
    for topic in TABLES:
        made[topic] = {key: value[5:] for _, key, value, _ in space.read(topic)}
    for topic in STREAMS:
        sequences: dict[Any, Any] = {}
        for partition, key, value, timestamp in space.read(topic):
            sequences.setdefault((key, partition), []).append((None if value is None else value[5:], timestamp))
        made[topic] = sequences
    return made


def finished(space: Any, server: Any, ids: Any) -> Any:
    """Whether every check is a sale and nothing waits any more."""
    if len(space.read("sales")) < len(ids):
        return False
    lags = [line for line in server.metrics().splitlines() if line.startswith("ksqlite_query_lag_records")]
    return bool(lags) and all(line.endswith(" 0") for line in lags)


@pytest.fixture
def spaces(space: Any, stack: Any, tmp_path: Path) -> Iterator[Any]:
    """A second name space, for the run that nobody disturbs."""
    other = type(space)(stack.kafka, stack.registry_url, tmp_path)
    yield space, other
    other.clean()


def undisturbed(space: Any, records: Any) -> Any:
    """What a run in one go writes."""
    with space.runner() as runner:
        for located in parse(statements(space)):
            runner.execute(located)
        space.alter("check_arrivals", retention_ms="-1")
        space.produce("checks", records)
        space.settle(runner, {"checks": len(records)}, limit_s=240)
    return outputs(space)


def drill(spaces: Any, serve: Any, *, kills: Any, count: Any, partitions: Any) -> None:
    """Checks arrive without a pause while the server is killed and started again."""
    space, other = spaces
    for one in spaces:
        prepare(one, partitions)
    checks = Checks(space, count)
    again = Checks(other, count)
    server = serve()
    server.start()
    deploy(space, server)
    chunk = len(checks.records) // kills + 1
    for number in range(kills):
        part = checks.records[number * chunk : (number + 1) * chunk]
        sending = threading.Thread(target=space.produce, args=("checks", part))
        sending.start()
        # any moment: while it starts, reads, commits, or has nothing to do
        time.sleep(random.random() * 1.5)
        server.kill()
        server.start(wait=random.random() < 0.8)
        sending.join()
    wait_for(server.healthy, limit_s=60, what="ksqlite is healthy after the last kill")
    wait_for(lambda: finished(space, server, checks.ids), limit_s=240, what="all checks are worked out", every_s=1)
    assert server.stop() == 0
    expected = undisturbed(other, again.records)
    actual = outputs(space)
    for topic in TABLES:
        assert expected[topic] == actual[topic], topic
    for topic in STREAMS:
        if partitions > 1:  # what comes from several partitions comes in any order
            assert everything(expected[topic]) == everything(actual[topic]), topic
        else:
            assert expected[topic] == actual[topic], topic


def everything(sequences: Any) -> list[Any]:
    """All records of a stream, however they are ordered; keyless ones in whatever partition."""
    return sorted((key or b"", value or b"", at) for (key, _), rows in sequences.items() for value, at in rows)


@pytest.mark.timeout(600)
def test_kill_three_times(spaces: Any, serve: Any) -> None:
    """Three kills at random moments lose nothing, double nothing and put nothing out of order."""
    drill(spaces, serve, kills=3, count=15_000, partitions=1)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("partitions", [1, 3])
def test_kill_twenty_times(spaces: Any, serve: Any, partitions: int) -> None:
    """The same with twenty kills during 100,000 checks."""
    drill(spaces, serve, kills=20, count=100_000, partitions=partitions)


def test_a_second_server_puts_the_first_out_of_action(space: Any, serve: Any) -> None:
    """Two servers with one service id: the older one ends with a message and without writing; nothing counts twice."""
    prepare(space, 3)
    checks = Checks(space, 3000)
    first, second = serve("first"), serve("second")
    first.start()
    deploy(space, first)
    space.produce("checks", checks.records[:1000])
    second.start()
    space.produce("checks", checks.records[1000:])
    wait_for(lambda: first.process.poll() is not None, limit_s=60, what="the first server has ended")
    assert first.process.returncode == 3
    assert "has taken over" in first.log.read_text()
    wait_for(lambda: finished(space, second, checks.ids), limit_s=60, what="all checks are worked out", every_s=0.5)
    assert len(space.read("sales")) == len(checks.ids)
    purchases = {key: value for _, key, value, _ in space.read("place_totals")}
    columns = infer_columns(space.registry.latest(space.name("place_totals-value")), is_key=False)
    codec = serde(FormatSpec("AVRO"), columns, is_key=False, registry=space.registry, subject="x")
    rows = [codec.deserialize(value) for value in purchases.values()]
    assert sum(row[2] for row in rows if row is not None) == len(checks.ids)


def test_a_second_server_on_the_same_folder_is_refused(serve: Any) -> None:
    """State on disk has one owner: a server that finds it taken says so, and takes nothing from the other."""
    first, second = serve("one"), serve("one")
    first.start()
    second.start(wait=False)
    wait_for(
        lambda: "is in use by another process" in second.log.read_text(), limit_s=30, what="the second server says why"
    )
    assert first.healthy()
    second.kill()
    shutil.rmtree(second.state, ignore_errors=True)
