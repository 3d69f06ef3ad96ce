"""Editing the files on a running pipeline: the plan is right, apply does what it says, figures stay exact."""

import json
import signal
import subprocess
import sys
from typing import Any

import pytest

from ksql.record import Applied
from ksql.settings import load
from tests.fix_stack import wait_for
from tests.integration.pipeline.conftest import KILLED_AT, ROOT

pytestmark = [pytest.mark.alone, pytest.mark.timeout(1800)]

BIG_SALES = """
-- Sales of more than 2,000 roubles.
CREATE STREAM big_sales WITH (KAFKA_TOPIC='big_sales', VALUE_FORMAT='AVRO', RETENTION_MS=-1) AS
SELECT place_key, transaction_id, total_amount FROM sales WHERE total_amount > 2000 EMIT CHANGES;
"""


def add_big_sales(project: Any) -> None:
    (project.folder / "ksql" / "25_big_sales.sql").write_text(BIG_SALES, encoding="utf-8")
    path = project.folder / "ksql" / "topics.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    document["topics"]["big_sales"] = {"config": {"cleanup.policy": "delete", "retention.ms": "-1"}}
    path.write_text(json.dumps(document), encoding="utf-8")


def values(project: Any, topic: Any) -> list[Any]:
    lines = project.tool("ksql", "print", topic, "--json").splitlines()
    return [json.loads(line)["value"] for line in lines]


def test_nothing_to_do(project: Any) -> None:
    """What scripts/run applied is what the files say, however they are laid out."""
    project.edit("ksql/20_sales.sql", "CREATE STREAM sales", "-- a word more\nCREATE\nSTREAM   sales")
    assert project.plan()["nothing_to_do"]
    project.reset()


@pytest.mark.parametrize(
    ("file", "old", "new", "reason"),
    [
        ("20_sales.sql", "WHERE arrivals = 1", "WHERE arrivals = = 1", "20_sales.sql:22:18: Syntax Error"),
        ("20_sales.sql", "  nds_amount,\n  tips_amount", "  nds_amout,\n  tips_amount", "NDS_AMOUT"),
        ("20_sales.sql", "KAFKA_TOPIC='sales'", "KAFKA_TOPIC='nowhere'", "topic-not-declared"),
        ("30_places.sql", "AS purchases", "AS purchase_count", "no-such-column"),
    ],
    ids=["grammar", "column", "topic", "table"],
)
@pytest.mark.usefixtures("own_files_again")
def test_a_mistake_is_refused_before_anything_changes(project: Any, file: str, old: str, new: str, reason: str) -> None:
    """File, line and reason; the server still runs what it ran."""
    before = project.tool("ksql", "query", "SHOW QUERIES")
    project.edit(f"ksql/{file}", old, new)
    assert reason in project.tool("ksql", "apply", status=1)
    assert before == project.tool("ksql", "query", "SHOW QUERIES")


@pytest.mark.usefixtures("own_files_again")
def test_an_incompatible_schema_is_refused(project: Any) -> None:
    """With the file, the line of the field and the reason; nothing is registered."""
    old = '"tips_amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 18'
    project.edit("schemas/check.avsc", old, old.replace("18", "20"))
    said = project.tool("schemas", "apply", status=1)
    assert said.startswith("check.avsc:18: tips_amount: decimal(18,2) would be taken for decimal(20,2)"), said
    project.reset()
    assert "unchanged" in project.tool("schemas", "apply")


@pytest.mark.usefixtures("figures_watched")
def test_a_new_stream_fills_beside_what_runs(project: Any) -> None:
    """Apply --only-new creates it, and it reads the log from the beginning."""
    add_big_sales(project)
    assert project.actions() == {"BIG_SALES": "new"}
    project.tool("ksql", "apply", "--only-new")
    assert project.plan()["nothing_to_do"]
    wanted = {check.transaction_id for check in project.expected.checks if check.total_amount > 2000}

    def filled() -> bool:
        return wanted == {
            row["TRANSACTION_ID"]
            for row in values(project, "big_sales")
            if row["TRANSACTION_ID"].startswith(project.prefix)
        }

    wait_for(filled, limit_s=60, what="big_sales is filled", every_s=1)


@pytest.mark.usefixtures("figures_watched")
def test_a_removed_stream_is_dropped_with_its_topic(project: Any) -> None:
    """What no file creates any more is gone from the server."""
    project.reset()
    assert project.actions() == {"BIG_SALES": "removed"}
    project.tool("ksql", "apply")
    assert project.plan()["nothing_to_do"]
    assert "BIG_SALES" not in project.tool("ksql", "query", "SHOW STREAMS")
    assert "There is no topic" in project.tool("ksql", "print", "big_sales", status=1)


@pytest.mark.usefixtures("figures_watched")
def test_a_new_field_of_the_schema_is_taken_in_place(project: Any) -> None:
    """A compatible version is registered, and stream checks has the column from now on."""
    project.edit(
        "schemas/check.avsc",
        'tells a repeat from a conflict."}',
        'tells a repeat from a conflict."},\n    {"name": "discount", "type": ["null", "string"], "default": null}',
    )
    assert "new version" in project.tool("schemas", "apply")
    assert project.actions() == {"CHECKS": "in place"}
    plan = project.plan()
    assert "from now on" in next(one["reason"] for one in plan["objects"] if one["name"] == "CHECKS")
    project.tool("ksql", "apply")
    assert project.plan()["nothing_to_do"]
    assert "DISCOUNT" in project.tool("ksql", "query", "DESCRIBE checks")


def test_checks_still_count_after_that(project: Any) -> None:
    """Records of both schema versions are read."""
    project.send(200, seed=11)
    project.wait_exact()


@pytest.mark.usefixtures("figures_watched")
def test_a_changed_table_is_rebuilt_beside_the_old_one(project: Any) -> None:
    """Every read during the rebuild gives whole figures, and they are exact afterwards."""
    project.edit("ksql/30_places.sql", "  COUNT(*) AS purchases", "  COUNT(transaction_id) AS purchases")
    plan = project.plan()
    assert project.actions() == {"PLACE_TOTALS": "rebuilt", "PLACE_HOURS": "rebuilt", "PLACE_DAYS": "rebuilt"}
    assert all(one["records"] >= 10_000 for one in plan["objects"] if one["action"] == "rebuilt")
    project.tool("ksql", "apply")
    assert project.plan()["nothing_to_do"]
    assert project.differences() == []
    project.tool("connectors", "status")


@pytest.mark.usefixtures("figures_watched")
def test_a_changed_stream_rebuilds_all_that_reads_it(project: Any) -> None:
    """Sales are filled from the log of checks again, with repeats left out as before."""
    project.edit("ksql/20_sales.sql", "WHERE arrivals = 1", "WHERE arrivals = 1 AND total_amount >= 0")
    actions = project.actions()
    assert {"CHECK_ARRIVALS", "SALES", "PLACE_TOTALS", "CATEGORY_DAYS"} <= set(actions)
    assert {"rebuilt"} == set(actions.values())
    project.tool("ksql", "apply")
    assert project.plan()["nothing_to_do"]
    assert project.differences() == []


def test_the_pipeline_goes_on_under_its_new_version(project: Any) -> None:
    """Checks sent after a rebuild count, and connectors and topics are those of the new version alone."""
    project.send(200, seed=12)
    project.wait_exact()
    status = json.loads(project.tool("connectors", "status", "--json"))
    assert {"RUNNING"} == {one["state"] for one in status}
    assert all(one["name"].endswith(one["name"].rsplit("_", 1)[1]) for one in status)
    sources = project.tool("ksql", "query", "SHOW STREAMS")
    assert "SALES_V" in sources
    # tools call things as the files do
    place = min(project.expected.totals)
    (row,) = project.tool(
        "ksql", "query", "--json", f"SELECT purchases FROM place_totals WHERE place_key = '{place}'"
    ).splitlines()
    assert json.loads(row) == {"PURCHASES": project.expected.totals[place].row()[0]}
    record = json.loads(project.tool("ksql", "print", "sales", "--limit", "1", "--json"))
    assert record["key"] in project.expected.totals
    assert "unchanged" in project.tool("ksql", "topics", "check") + project.tool("ksql", "topics", "apply")


def interrupted(project: Any, step: Any) -> tuple[Any, ...]:
    """Kill apply when it begins its step number so; gives the steps it began."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED_AT, str(step)],
        cwd=ROOT,
        env=project.environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=800,
    )
    assert done.returncode in {0, -signal.SIGKILL}, done.stdout + done.stderr
    return done.stdout.splitlines(), done.returncode != 0


def toggle(project: Any) -> None:
    """A change that makes a rebuild of the category tables and changes no figure; again, and it is taken back."""
    path = project.folder / "ksql" / "50_categories.sql"
    text = path.read_text(encoding="utf-8")
    plain, other = "  COUNT(*) AS lines", "  COUNT(line_no) AS lines"
    path.write_text(text.replace(plain, other) if plain in text else text.replace(other, plain), encoding="utf-8")


def in_force(project: Any) -> dict[Any, Any]:
    """What is recorded, less what grows with every rebuild."""
    applied = Applied.load(load({**project.environment()}))
    assert applied.rebuild is None
    assert not applied.retired
    assert not applied.pending
    return {name: one.checksum for name, one in applied.objects.items()}


@pytest.mark.parametrize("part", ["beginning", "switch"])
@pytest.mark.usefixtures("figures_watched")
def test_apply_killed_in_the_middle_ends_in_the_same_state(project: Any, part: str) -> None:
    """Killed once while it fills and once around the switch; run again, it goes on and ends where it would have."""
    toggle(project)
    number = {"beginning": 4, "switch": None}[part]
    if number is None:
        number = len(project_steps()) - 1
    _steps, killed = interrupted(project, number)
    assert killed
    project.tool("ksql", "apply")
    check_end(project)


def project_steps() -> list[Any]:
    """The steps of a rebuild of two tables up to and including the record of the switch."""
    return [
        "record the intent", "create 1", "create 2", "create tables", "create connectors", "wait",
        "stop the old connectors", "wait for the last records", "switch", "record the switch",
    ]  # fmt: skip


def check_end(project: Any) -> None:
    """Nothing is left to do, nothing is left over, figures are exact."""
    assert project.plan()["nothing_to_do"]
    sums = in_force(project)
    assert "CATEGORY_HOURS" in sums
    assert project.differences() == []
    status = json.loads(project.tool("connectors", "status", "--json"))
    assert {"RUNNING"} == {one["state"] for one in status}
    versions = {one["name"].rsplit("_v", 1)[-1] for one in status}
    assert len(versions) == 1
    listed = project.tool("ksql", "query", "SHOW TABLES")
    assert listed.count("CATEGORY_") == 2


@pytest.mark.usefixtures("figures_watched")
def test_other_files_after_an_interruption_give_the_rebuild_up(project: Any) -> None:
    """What was half made is dropped, and the old connectors go on."""
    toggle(project)
    _steps, killed = interrupted(project, 6)
    assert killed
    toggle(project)
    plan = project.plan()
    assert plan["abandons"] is not None
    project.tool("ksql", "apply")
    check_end(project)


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.usefixtures("figures_watched")
def test_apply_killed_at_every_step_in_turn(project: Any) -> None:
    """Whatever step it is killed at, the next run ends in the same state."""
    step = 0
    while True:
        step += 1
        toggle(project)
        steps, killed = interrupted(project, step)
        project.tool("ksql", "apply")
        check_end(project)
        if not killed:
            assert step > 10, steps
            return
