"""Records that a sink cannot take are put aside, shown, and come back without putting old figures over new ones."""

import json
from typing import Any

import psycopg
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from bench.checks import Plan, checks
from ksql.record import Applied
from ksql.settings import load
from tests.fix_stack import wait_for
from tests.integration.pipeline.expected import hours_back, placed, send_batch

pytestmark = [pytest.mark.alone, pytest.mark.timeout(600)]

UNKNOWN_SCHEMA = b"\0" + (2_000_000_000).to_bytes(4, "big") + b"\x02\x02"


def in_force(project: Any, topic: Any) -> Any:
    return Applied.load(load(project.environment())).topic(topic)


def produce(project: Any, topic: Any, *, key: Any, value: Any, partition: Any, headers: Any = None) -> None:
    producer = Producer({"bootstrap.servers": project.stack.kafka, "acks": "all"})
    producer.produce(topic, key=key, value=value, partition=partition, headers=list((headers or {}).items()))
    assert producer.flush(20) == 0


def last_record(project: Any, topic: Any, key: Any) -> Any:
    """Partition and value of the last record with this key."""
    consumer = Consumer(
        {"bootstrap.servers": project.stack.kafka, "group.id": "look", "isolation.level": "read_committed",
         "enable.auto.commit": False, "enable.partition.eof": True}
    )  # fmt: skip
    partitions = consumer.list_topics(topic, timeout=15).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    found, ended = None, 0
    while ended < len(partitions):
        message = consumer.poll(5)
        assert message is not None
        if message.error():
            ended += 1
        elif message.key() == key:
            found = (message.partition(), message.value(), message.offset())
    consumer.close()
    return found


def letters(project: Any, table: Any) -> Any:
    return json.loads(project.tool("connectors.dlq", "list", table, "--json"))


def test_a_record_that_cannot_be_read_is_put_aside_and_shown(project: Any) -> None:
    """The sink goes on, and scripts/dlq list tells where the record came from and what was wrong."""
    topic = in_force(project, "repeated_checks")
    produce(project, topic, key=None, value=UNKNOWN_SCHEMA, partition=0)
    wait_for(lambda: letters(project, "repeated_checks"), limit_s=60, what="the letter is in the list", every_s=1)
    (letter,) = letters(project, "repeated_checks")
    assert (topic, 0) == (letter["topic"], letter["partition"])
    assert letter["reason"]
    project.tool("connectors", "status")


def test_what_still_does_not_fit_is_kept_with_the_reason(project: Any) -> None:
    """A replay of garbage leaves it in the topic, once, and says why."""
    said = project.tool("connectors.dlq", "replay", "repeated_checks", status=1)
    assert "1 still do not fit" in said
    (letter,) = letters(project, "repeated_checks")
    assert "2000000000" in letter["reason"] or "wire format" in letter["reason"] or "404" in letter["reason"]
    project.tool("connectors", "status")


def test_a_dead_letter_of_a_sale_comes_back_as_it_is_and_once(project: Any) -> None:
    """A row that is lost from the table is written again from its letter."""
    check = project.expected.checks[0]
    topic = in_force(project, "sales")
    record = sale_of(project, topic, check)
    with psycopg.connect(project.stack.owner_url) as connection:
        connection.execute(
            f"DELETE FROM pipeline_v{version(project)}.sales WHERE transaction_id = %s", (check.transaction_id,)
        )
    headers = {"__connect.errors.topic": topic, "__connect.errors.partition": str(record[0]),
               "__connect.errors.offset": str(record[2]), "__connect.errors.exception.message": "made up"}  # fmt: skip
    produce(project, "dlq_sales", key=check.place_id.encode(), value=record[1], partition=0, headers=headers)
    assert len(letters(project, "sales")) == 1
    assert "1 written" in project.tool("connectors.dlq", "replay", "sales")
    with psycopg.connect(project.stack.owner_url) as connection:
        row = connection.execute(
            "SELECT sold_at, total_amount, place_name FROM figures.sales WHERE transaction_id = %s",
            (check.transaction_id,),
        ).fetchone()
    assert (check.sold_at, check.total_amount, check.place_name) == row
    assert letters(project, "sales") == []
    assert "No dead letters" in project.tool("connectors.dlq", "replay", "sales")


def sale_of(project: Any, topic: Any, check: Any) -> tuple[Any, ...]:
    consumer = Consumer(
        {"bootstrap.servers": project.stack.kafka, "group.id": "look", "isolation.level": "read_committed",
         "enable.auto.commit": False, "enable.partition.eof": True}
    )  # fmt: skip
    partitions = consumer.list_topics(topic, timeout=15).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    while True:
        message = consumer.poll(10)
        assert message is not None
        if not message.error() and check.transaction_id.encode() in (message.value() or b""):
            consumer.close()
            return message.partition(), message.value(), message.offset()


def version(project: Any) -> Any:
    return Applied.load(load(project.environment())).tables_version


def test_an_old_figure_is_answered_with_the_current_one(project: Any) -> None:
    """The letter's figure is older than the table's: what is written is what the key has now."""
    topic = in_force(project, "place_totals")
    place_id = min(project.expected.totals)
    old = last_record(project, topic, place_id.encode())
    fresh = [
        placed(check, project.prefix)
        for check in checks(Plan(seed=99, count=200, end=hours_back(2), hours=10, id_prefix="late"))
    ]
    send_batch(project.stack.intake_url, fresh)
    for check in fresh:
        project.expected.add(check)
    project.wait_exact()
    headers = {"__connect.errors.topic": topic, "__connect.errors.partition": str(old[0]),
               "__connect.errors.offset": str(old[2]), "__connect.errors.exception.message": "made up"}  # fmt: skip
    produce(project, "dlq_place_totals", key=place_id.encode(), value=old[1], partition=0, headers=headers)
    assert "1 written" in project.tool("connectors.dlq", "replay", "place_totals")
    assert project.differences() == []
    project.tool("connectors", "status")


def test_a_letter_of_an_older_version_is_passed_over(project: Any) -> None:
    """A rebuild has read that topic's successor from its beginning."""
    headers = {"__connect.errors.topic": "sales_of_old", "__connect.errors.partition": "0"}
    produce(project, "dlq_sales", key=b"x", value=UNKNOWN_SCHEMA, partition=0, headers=headers)
    assert "1 outdated" in project.tool("connectors.dlq", "replay", "sales")
    assert letters(project, "sales") == []


def test_an_unknown_table_is_one_clear_line(project: Any) -> None:
    """The tables there are stand in the refusal."""
    assert "There are category_days" in project.tool("connectors.dlq", "list", "nothing", status=1)
