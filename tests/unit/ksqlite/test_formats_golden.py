"""Formats against what a real ksqlDB wrote: schemas, values and windowed keys, byte for byte."""

import json
from pathlib import Path
from typing import Any

import pytest

from ksqlite.formats import FormatSpec, MemoryRegistry, RegisteredSchema, infer_columns, schema_text, serde
from ksqlite.formats.windowed import session_key, split_session_key, split_time_key, time_key
from ksqlite.types import STRING, Column, Namespace

GOLDEN = Path(__file__).parents[4] / "shared" / "golden"
AVRO = FormatSpec("AVRO")
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

pytestmark = pytest.mark.skipif(not GOLDEN.is_dir(), reason="golden data of a real ksqlDB is not at hand")


@pytest.fixture(params=["one-partition", "three-partitions"])
def folder(request: pytest.FixtureRequest) -> Any:
    return GOLDEN / request.param


def schemas(folder: Any) -> Any:
    return json.loads((folder / "topics.json").read_text())["schemas"]


def latest(registry: MemoryRegistry, subject: str) -> RegisteredSchema:
    found = registry.latest(subject)
    assert found is not None
    return found


def lines(folder: Any, topic: Any) -> list[Any]:
    return [json.loads(line) for line in (folder / f"{topic}.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("topic", TOPICS)
def test_schema_is_the_registered_one(folder: Any, topic: Any) -> None:
    """The schema made for a topic's columns is the one that ksqlDB registered, keys in the same order."""
    expected = schemas(folder)[f"{topic}-value"]
    registry = MemoryRegistry()
    registry.register("s", json.dumps(expected))
    columns = infer_columns(latest(registry, "s"), is_key=False)
    made = schema_text(AVRO, columns, is_key=False)
    assert made is not None
    text, kind = made
    assert (json.dumps(expected), "AVRO") == (json.dumps(json.loads(text)), kind)


@pytest.mark.parametrize("topic", ["checks", *TOPICS])
def test_values_survive_reading_and_writing(folder: Any, topic: Any) -> None:
    """Every value that was read is written back to the same bytes, by the schema that it came with."""
    registry = MemoryRegistry()
    schema_id = registry.register("s", json.dumps(schemas(folder)[f"{topic}-value"]))
    columns = infer_columns(latest(registry, "s"), is_key=False)
    codec = serde(
        FormatSpec("AVRO", schema_id=schema_id), columns, is_key=False, registry=registry, subject=f"{topic}-value"
    )
    head = b"\x00" + schema_id.to_bytes(4, "big")
    for line in lines(folder, topic):
        data = None if line["value_hex"] is None else head + bytes.fromhex(line["value_hex"])
        assert data == codec.serialize(codec.deserialize(data))


def test_checks_are_read_as_the_engine_wants_them(folder: Any) -> None:
    """A check by the producer's own schema, with nothing nullable, gives upper-case columns in order."""
    registry = MemoryRegistry()
    schema_id = registry.register("checks-value", json.dumps(schemas(folder)["checks-value"]))
    columns = infer_columns(latest(registry, "checks-value"), is_key=False)
    codec = serde(AVRO, columns, is_key=False, registry=registry, subject="checks-value")
    for line in lines(folder, "checks"):
        row = codec.deserialize(b"\x00" + schema_id.to_bytes(4, "big") + bytes.fromhex(line["value_hex"]))
        value = {column.name: item for column, item in zip(columns, row or (), strict=True)}
        expected = line["value"]
        assert expected["transaction_id"] == value["TRANSACTION_ID"]
        assert expected["total_amount"] == str(value["TOTAL_AMOUNT"])
        assert [
            (item["product_id"], item["quantity"], item["price"], item["category"]) for item in expected["items"]
        ] == [(item[0], str(item[1]), str(item[2]), item[3]) for item in value["ITEMS"]]


def test_session_keys(folder: Any) -> None:
    """A session's key is the key, the session's end and its start."""
    for line in lines(folder, "check_arrivals"):
        data = bytes.fromhex(line["key_hex"])
        key, start, end = split_session_key(data)
        if line["value"] is not None:
            assert line["value"]["TRANSACTION_ID"] == key.decode()
            assert start <= end == line["timestamp"]
        assert data == session_key(key, start, end)


def test_time_windowed_json_keys(folder: Any) -> None:
    """A two-column JSON key under a tumbling window is ksqlDB's to the byte."""
    columns = tuple(Column(name, STRING, Namespace.KEY) for name in ("PLACE_KEY", "CATEGORY_KEY"))
    codec = serde(FormatSpec("JSON"), columns, is_key=True, registry=MemoryRegistry(), subject="k")
    for line in lines(folder, "category_hours"):
        data = bytes.fromhex(line["key_hex"])
        key, start = split_time_key(data)
        row = codec.deserialize(key)
        assert (line["value"]["PLACE_ID"], line["value"]["CATEGORY"]) == row
        assert data == time_key(codec.serialize(row) or b"", start)
