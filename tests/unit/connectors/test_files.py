"""Connectors' files: what they must hold, and what a later version of each is."""

import json
from pathlib import Path
from typing import Any

import pytest

from connectors.files import connector_name, read_connectors, version_of
from ksql.errors import FileError
from ksql.files import read_pipeline
from ksql.lint.rules_sink import excluded_fields

ROOT = Path(__file__).parents[3]
OURS = read_connectors(ROOT / "connectors")


@pytest.mark.parametrize("connector", OURS, ids=lambda one: one.table)
def test_every_sink_is_set_for_exactness(connector: Any) -> None:
    """Upserts by the value's key, committed records alone, dead letters, and no secret in the file."""
    config = connector.config
    assert config["insert.mode"] == "upsert"
    assert config["primary.key.mode"] == "record_value"
    assert config["use.reduction.buffer"] == "true"
    assert config["schema.evolution"] == "none"
    assert config["consumer.override.isolation.level"] == "read_committed"
    assert config["errors.tolerance"] == "all"
    assert f"dlq_{connector.table}" == connector.dead_letter_topic
    assert config["connection.password"] == "${env:CHECKS_SINK_PASSWORD}"


@pytest.mark.parametrize("connector", OURS, ids=lambda one: one.table)
def test_no_sink_cuts_milliseconds_off(connector: Any) -> None:
    """Debezium 3.6.0 does, when it unnests arrays; the driver's own way to one statement does not."""
    assert connector.config.get("dialect.postgres.unnest.insert.enabled", "false") == "false"
    assert connector.config["connection.url"].endswith("?reWriteBatchedInserts=true")


def test_every_table_of_the_design_has_its_sink() -> None:
    """The nine tables that connectors write."""
    expected = {
        "sales", "sale_lines", "repeated_checks", "rejected_checks", "place_totals", "place_hours", "place_days",
        "category_hours", "category_days",
    }  # fmt: skip
    assert expected == {one.table for one in OURS}


def test_what_a_sink_leaves_out_is_there() -> None:
    """An excluded field that no query writes would be a leftover."""
    text = " ".join(one.create.text.upper() for one in read_pipeline(ROOT / "ksql"))
    for connector in OURS:
        assert all(name in text for name in excluded_fields(connector))


def test_a_later_version_reads_and_writes_under_its_number() -> None:
    """Name, topic and table follow; everything else is the file's."""
    sales = next(one for one in OURS if one.table == "sales")
    later = sales.versioned(3, "sales_v2")
    assert (later.name, later.topic, later.group) == ("sink_sales_v3", "sales_v2", "connect-sink_sales_v3")
    assert later.config["collection.name.format"] == "pipeline_v3.sales"
    differing = {key for key in later.config if later.config[key] != sales.config[key]}
    assert {"topics", "collection.name.format"} == differing


@pytest.mark.parametrize(
    ("name", "expected"),
    [("sink_sales", ("sales", 1)), ("sink_sale_lines_v12", ("sale_lines", 12)), ("somebody_elses", None)],
)
def test_a_name_tells_table_and_version(name: str, expected: tuple[Any, ...] | None) -> None:
    """Connectors of others are left alone."""
    assert expected == version_of(name)
    if expected:
        assert name == connector_name(*expected)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"collection.name.format": "pipeline_v1.other"}, "named after"),
        ({"collection.name.format": "public.sales"}, "named after"),
        ({"errors.deadletterqueue.topic.name": "dlq"}, "dlq_sales"),
        ({"topics": None}, "lacks 'topics'"),
        ({"tasks.max": 1}, "all strings"),
    ],
)
def test_a_file_that_cannot_be_a_sink_is_refused(tmp_path: Path, change: dict[Any, Any], reason: str) -> None:
    """The file's name and the reason."""
    config = json.loads((ROOT / "connectors" / "sales.json").read_text(encoding="utf-8"))
    config.update(change)
    config = {key: value for key, value in config.items() if value is not None}
    (tmp_path / "sales.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(FileError, match=reason):
        read_connectors(tmp_path)


def test_a_file_that_is_no_json_is_refused_with_its_line(tmp_path: Path) -> None:
    """Line and column, as an editor counts them."""
    (tmp_path / "sales.json").write_text('{\n  "topics": \n}', encoding="utf-8")
    with pytest.raises(FileError, match=r"^sales.json:3:1: not JSON"):
        read_connectors(tmp_path)
