"""What was applied survives the way through its topic."""

import json

from ksql.record import Applied, AppliedObject, _from_json, _to_json

SALES = AppliedObject(
    name="SALES",
    version=2,
    checksum="ab",
    statements=("CREATE STREAM sales_v2 …",),
    settings={"auto.offset.reset": "earliest"},
    reads=("ARRIVALS",),
    topic="sales",
    kind="STREAM",
    writes=True,
    is_select=True,
)


def test_the_state_is_the_same_after_its_way_through_json() -> None:
    """Every field comes back."""
    state = Applied(
        tables_version=2,
        objects={"SALES": SALES},
        rebuild={"version": 3, "objects": []},
        pending=(SALES,),
        retired=(SALES,),
        highest_version=3,
    )
    assert state == _from_json(json.loads(json.dumps(_to_json(state))))


def test_nothing_applied_yet_is_the_first_state() -> None:
    """A topic that is not there yet means version 1 of everything."""
    assert Applied() == _from_json(None)


def test_topics_in_force_follow_their_writers() -> None:
    """Version 2 of sales writes sales_v2; a topic that nothing here writes keeps its name."""
    state = Applied(objects={"SALES": SALES})
    assert (state.topic("sales"), state.topic("checks")) == ("sales_v2", "checks")
    assert (SALES.server_name, SALES.server_topic) == ("SALES_V2", "sales_v2")


def test_a_statement_may_use_the_names_of_the_files() -> None:
    """A query, a description and a topic mean the version in force; other names stay."""
    state = Applied(objects={"SALES": SALES})
    assert state.rename("SELECT * FROM sales JOIN checks;") == "SELECT * FROM sales_v2 JOIN checks;"
    assert state.rename("DESCRIBE SALES EXTENDED;") == "DESCRIBE SALES_V2 EXTENDED;"
    assert state.rename("DESCRIBE EXTENDED `SALES`;") == "DESCRIBE EXTENDED `SALES_V2`;"
    assert "KAFKA_TOPIC='sales_v2'" in state.rename("CREATE STREAM x WITH (KAFKA_TOPIC='sales', VALUE_FORMAT='AVRO');")
