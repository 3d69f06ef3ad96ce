"""The statements that a real ksqlDB ran, over the checks that it read: the same records in every topic."""

import json
from pathlib import Path
from typing import Any

import pytest

from ksqlite.parser import parse

SHARED = Path(__file__).parents[4] / "shared"
TOPICS = (
    "check_arrivals",
    "sales",
    "repeated_checks",
    "place_totals",
    "place_hours",
    "numbered_lines",
    "sale_lines",
    "category_hours",
    "category_days",
)

pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="golden data of a real ksqlDB is not at hand")


def golden(folder: Any, topic: Any) -> list[Any]:
    return [json.loads(line) for line in (SHARED / "golden" / folder / f"{topic}.jsonl").read_text().splitlines()]


def body(value: Any) -> Any:
    """A value without the registry's five bytes, in hex."""
    return None if value is None else value[5:].hex()


def run(space: Any, folder: Any) -> Any:
    """Runs the verified statements without cache over the golden checks; gives the settings and schemas they left."""
    document = json.loads((SHARED / "golden" / folder / "topics.json").read_text())
    partitions = document["partitions"]
    space.create("checks", partitions, retention_ms="-1")
    space.create("check_arrivals", partitions, retention_ms="2764800000", cleanup_policy="delete")
    schema_id = space.registry.register(space.name("checks-value"), json.dumps(document["schemas"]["checks-value"]))
    head = b"\x00" + schema_id.to_bytes(4, "big")
    text = (SHARED / "verified.sql").read_text().replace("='10000000'", "='0'")
    with space.runner() as runner:
        for located in parse(space.own(text)):
            runner.execute(located)
        space.alter("check_arrivals", retention_ms="-1")
        for topic in TOPICS[3:5] + TOPICS[7:]:
            # a commit's marker is years younger than these records: the broker rolls the segment and compacts at once
            space.alter(topic, min_compaction_lag_ms="3162240000000")
        space.produce(
            "checks",
            [
                (
                    bytes.fromhex(line["key_hex"]),
                    head + bytes.fromhex(line["value_hex"]),
                    line["timestamp"],
                    line["partition"],
                )
                for line in golden(folder, "checks")
            ],
        )
        space.settle(runner, {"checks": 72})
    return document


def test_one_partition_is_the_same_to_the_byte(space: Any) -> None:
    """Key, value, timestamp and order of every record, settings of topics, and schemas are ksqlDB's."""
    document = run(space, "one-partition")
    for topic in TOPICS:
        expected = [(line["key_hex"], line["value_hex"], line["timestamp"]) for line in golden("one-partition", topic)]
        actual = [
            (None if key is None else key.hex(), body(value), timestamp)
            for _, key, value, timestamp in space.read(topic)
        ]
        assert expected == actual, topic
        settings = space.configs(topic)
        assert document["topic_configs"][topic] == {
            name: settings[name] for name in ("cleanup.policy", "retention.ms", "message.timestamp.type")
        }, topic
        schema = space.registry.latest(space.name(f"{topic}-value"))
        assert document["schemas"][f"{topic}-value"] == json.loads(schema.text), topic


def test_three_partitions_hold_the_same_keys_with_the_same_values(space: Any) -> None:
    """Each key lies in ksqlDB's partition, a table's with the same last value, a stream's with the same records."""
    run(space, "three-partitions")
    for topic in TOPICS:
        wanted = [(line["partition"], line["key_hex"], line["value_hex"]) for line in golden("three-partitions", topic)]
        records = [
            (partition, key.hex() if key is not None else None, body(value))
            for partition, key, value, _ in space.read(topic)
        ]
        if topic.startswith(("place", "category")):
            # where a key's rows come from several partitions they come in any order: only the last value is sure
            assert {line[:2]: line[2] for line in wanted} == {record[:2]: record[2] for record in records}, topic
        else:
            if topic == "repeated_checks":  # no keys: any partition will do
                wanted, records = ([(0, *each[1:]) for each in one] for one in (wanted, records))
            assert sorted(map(str, wanted)) == sorted(map(str, records)), topic
