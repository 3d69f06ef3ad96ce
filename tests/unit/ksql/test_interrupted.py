"""Applying, killed at some point and run again, ends where it would have: on a server in memory."""

import pytest

from ksql.errors import FileError
from ksql.plan import Action
from ksql.record import Applied
from tests.unit.ksql.world import World, running, world

__all__ = ["running", "world"]

LINES = "40_lines.sql"
FIRST_STEPS = [
    "new CHECKS", "new CHECK_ARRIVALS", "settings of check_arrivals", "new ARRIVALS", "new SALES",
    "new REPEATED_CHECKS", "new PLACE_TOTALS", "new CATEGORY_DAYS", "record",
]  # fmt: skip


@pytest.mark.parametrize("step", FIRST_STEPS)
@pytest.mark.parametrize("records", [0, 100])
def test_a_first_start_killed_anywhere_comes_up_at_the_next(world: World, step: str, records: int) -> None:
    """Without a rebuild, which a start does not do; every topic has its later settings."""
    world.apply_killed(lambda name: name == step, only_new=True)
    world.fill(records)
    done = world.apply(only_new=True)
    assert done.left is None
    world.check_in_order()
    assert {one.version for one in world.applied().objects.values()} == {1}
    assert world.configs["check_arrivals"]["retention.ms"] == "-1"


def test_a_first_start_may_be_killed_twice(world: World) -> None:
    """What the first run made is still fresh in the third."""
    world.apply_killed(lambda name: name == "new ARRIVALS", only_new=True)
    world.fill()
    world.apply_killed(lambda name: name == "new SALES", only_new=True)
    assert world.apply(only_new=True).left is None
    world.check_in_order()


def test_a_rebuild_that_was_half_given_up_is_not_gone_on_with(running: World) -> None:
    """Its topics may still hold records, which would come in again."""
    running.edit(LINES, "AS DECIMAL(38,5)", "AS DECIMAL(38,6)")
    running.apply_killed(lambda name: name == "create tables")
    running.topics |= {topic: 100 for topic in running.topics if topic.endswith("_v2")}
    running.edit(LINES, "AS DECIMAL(38,6)", "AS DECIMAL(38,7)")
    running.apply_killed(lambda name: name == "delete topics")
    running.edit(LINES, "AS DECIMAL(38,7)", "AS DECIMAL(38,6)")
    plan = running.plan()
    assert (plan.resumes, plan.abandons) == (False, 2)
    running.apply()
    running.check_in_order()
    assert running.applied().objects["SALE_LINES"].version == 3
    assert not [topic for topic in running.topics if topic.endswith("_v2")]


def test_a_rebuild_that_was_asked_for_goes_on(running: World) -> None:
    """As the message of a wait without end says: run apply again."""
    running.apply_killed(lambda name: name == "create connectors", forced=("sale_lines",))
    plan = running.plan()
    assert (plan.resumes, plan.abandons) == (True, None)
    running.apply()
    running.check_in_order()
    assert running.applied().objects["SALE_LINES"].version == 2


def test_an_object_is_removed_whose_reader_is_rebuilt(running: World) -> None:
    """The old reader is dropped first, when PostgreSQL shows the new one."""
    text = (running.folder / LINES).read_text("utf-8")
    (running.folder / LINES).write_text(
        text[: text.index("CREATE STREAM numbered_lines")]
        + "CREATE STREAM sale_lines WITH (KAFKA_TOPIC='sale_lines', VALUE_FORMAT='AVRO', RETENTION_MS=-1) AS\n"
        "SELECT place_key, place_id, transaction_id, sold_at, EXPLODE(items) AS item FROM sales EMIT CHANGES;\n",
        "utf-8",
    )
    running.declare("numbered_lines")
    running.apply()
    running.check_in_order()
    assert "numbered_lines" not in running.topics


def test_an_object_is_removed_that_reads_what_is_rebuilt(running: World) -> None:
    """It is dropped before what it reads."""
    path = running.folder / "50_categories.sql"
    text = path.read_text("utf-8")
    path.write_text(text[: text.index("CREATE TABLE category_days")], "utf-8")
    running.edit(LINES, "AS DECIMAL(38,5)", "AS DECIMAL(38,6)")
    running.apply()
    running.check_in_order()
    assert "category_days" not in running.topics


def test_an_object_comes_back_whose_removal_was_interrupted(running: World) -> None:
    """It is made anew, not taken for the one that is still to be dropped."""
    path = running.folder / "50_categories.sql"
    text = path.read_text("utf-8")
    path.write_text(text[: text.index("CREATE TABLE category_days")], "utf-8")
    running.apply_killed(lambda name: name == "drop CATEGORY_DAYS")
    path.write_text(text, "utf-8")
    assert [one.name for one in running.plan().of(Action.REBUILT)] == ["CATEGORY_DAYS"]
    assert running.apply(only_new=True).left is not None
    assert "CATEGORY_DAYS" not in running.applied().objects
    running.apply()
    running.check_in_order()
    assert "CATEGORY_DAYS" in running.found


def test_a_renamed_object_keeps_its_topic(world: World) -> None:
    """The old name goes, the topic that the new one writes stays, and so does its connector."""
    world.apply()
    world.connectors["sink_category_days"] = {"topics": "category_days"}
    world.edit("50_categories.sql", "CREATE TABLE category_days", "CREATE TABLE days_of_categories")
    world.apply()
    world.check_in_order()
    assert "DAYS_OF_CATEGORIES" in world.found
    assert "category_days" in world.topics
    assert "sink_category_days" in world.connectors


def test_columns_that_an_interrupted_run_did_not_add_are_added(running: World) -> None:
    """What stands in the record is what the server has."""
    file = running.folder / "60_x.sql"
    declaration = (
        "CREATE STREAM raw (k STRING KEY, a STRING{}) WITH (KAFKA_TOPIC='rejected_checks', VALUE_FORMAT='AVRO');"
    )
    file.write_text(declaration.format(""), "utf-8")
    running.apply()
    file.write_text(declaration.format(", b STRING"), "utf-8")
    running.apply_killed(lambda name: name.startswith("in place"))
    running.apply()
    running.check_in_order()
    assert running.columns["RAW"] == ["K", "A", "B"]


def test_an_insert_that_an_interrupted_run_did_not_start_is_started(running: World) -> None:
    """The stream stays as it is, and gets the query that it lacks."""
    (running.folder / "60_x.sql").write_text(
        "CREATE STREAM merged (k STRING KEY, place_id STRING) WITH (KAFKA_TOPIC='merged', VALUE_FORMAT='AVRO');\n"
        "INSERT INTO merged SELECT place_key, place_id FROM sales EMIT CHANGES;\n"
        "INSERT INTO merged SELECT place_key, place_id FROM sale_lines EMIT CHANGES;\n",
        "utf-8",
    )
    running.declare("merged", cleanup_policy="delete", retention_ms="-1")
    running.apply_killed(lambda name: name.startswith("INSERT") and "sale_lines" in name)
    assert running.plan().finishes == ("MERGED",)
    running.apply()
    running.check_in_order()
    assert sorted(reads for sink, (reads,) in running.running.values() if sink == "MERGED") == ["SALES", "SALE_LINES"]


def test_a_type_may_be_created_by_an_interrupted_run(running: World) -> None:
    """It is in no listing of sources, and creating it again is no trouble."""
    (running.folder / "05_t.sql").write_text("CREATE TYPE money AS STRUCT<amount DECIMAL(10,2)>;\n", "utf-8")
    running.apply_killed(lambda name: name == "record")
    running.apply()
    running.check_in_order()


def test_a_changed_type_is_refused_with_its_place(running: World) -> None:
    """Before anything is changed: what uses the type would go on with the old one."""
    file = running.folder / "05_t.sql"
    file.write_text("CREATE TYPE money AS STRUCT<amount DECIMAL(10,2)>;\n", "utf-8")
    running.apply()
    file.write_text("CREATE TYPE money AS STRUCT<amount DECIMAL(12,2)>;\n", "utf-8")
    before: Applied = running.applied()
    with pytest.raises(FileError, match=r"05_t\.sql:1: Type MONEY is in use"):
        running.apply()
    assert running.applied() == before
    file.write_text("CREATE TYPE amount_of_money AS STRUCT<amount DECIMAL(12,2)>;\n", "utf-8")
    running.apply()
    running.check_in_order()
    assert running.types == {"AMOUNT_OF_MONEY"}
