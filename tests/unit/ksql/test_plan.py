"""What a change of the files comes to: unchanged, new, in place, rebuilt or removed."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from ksql.files import read_pipeline
from ksql.plan import Action, NewColumns, make_plan
from ksql.record import Applied, object_to_json
from ksql.server import ServerSource
from ksql.settings import Settings
from ksql.topics import read_topics

KSQL = Path(__file__).parents[3] / "ksql"


@pytest.fixture
def project(tmp_path: Path) -> Any:
    """A copy of the project's files to edit, and a plan against what was applied."""
    for file in (*KSQL.glob("*.sql"), KSQL / "topics.json"):
        (tmp_path / file.name).write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    return Project(tmp_path)


class Project:
    def __init__(self, folder: Any) -> None:
        self.folder = folder
        self.applied = Applied()
        self.sizes = {}
        plan = self.plan()
        self.applied = Applied(objects={one.name: one.target for one in plan.objects})
        self.sizes = dict.fromkeys(("checks", "check_arrivals", "sales", "sale_lines"), 100)

    def edit(self, file: Any, old: Any, new: Any) -> None:
        path = self.folder / file
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    def server(self) -> dict[Any, Any]:
        return {
            one.server_name: ServerSource(one.server_name, one.kind, one.server_topic, "KAFKA", "AVRO", windowed=False)
            for one in self.applied.objects.values()
        }

    def plan(self, server: Any = None, **more: object) -> Any:
        pipeline = read_pipeline(self.folder)
        topics = read_topics(Settings(ksql_dir=self.folder))
        there = self.server() if server is None else server
        return make_plan(
            pipeline, self.applied, there, topics, self.sizes,
            at_version=lambda version: read_pipeline(self.folder, version), **more,  # type: ignore[arg-type] # whatever a test sets
        )  # fmt: skip


def actions(plan: Any) -> dict[Any, Any]:
    return {one.name: one.action for one in plan.objects if one.action is not Action.UNCHANGED}


def test_an_empty_server_gets_everything(project: Any) -> None:
    """On a fresh machine every object is new."""
    project.applied = Applied()
    project.sizes = {}
    plan = project.plan(server={})
    assert {Action.NEW} == {one.action for one in plan.objects}
    assert plan.is_only_new


def test_nothing_to_do_when_nothing_changed(project: Any) -> None:
    """The same files again are an empty plan."""
    assert project.plan().is_empty


def test_comments_and_white_space_are_no_change(project: Any) -> None:
    """A plan compares what statements say."""
    project.edit("20_sales.sql", "CREATE STREAM sales", "-- another word\nCREATE   STREAM\n  sales")
    assert project.plan().is_empty


def test_a_changed_table_is_rebuilt_alone(project: Any) -> None:
    """Nothing reads place_hours but its connector."""
    project.edit("30_places.sql", "SIZE 1 HOUR", "SIZE 2 HOURS")
    plan = project.plan()
    assert actions(plan) == {"PLACE_HOURS": Action.REBUILT}
    (one,) = plan.of(Action.REBUILT)
    assert (plan.version, one.records) == (2, 100)
    assert "KAFKA_TOPIC='place_hours_v2'" in one.target.statements[0]
    assert "FROM sales\n" in one.target.statements[0]


def test_a_changed_stream_rebuilds_everything_downstream(project: Any) -> None:
    """sale_lines takes both category tables along, and they read its new version."""
    project.edit("40_lines.sql", "AS DECIMAL(38,5)", "AS DECIMAL(38,6)")
    plan = project.plan()
    assert {"SALE_LINES", "CATEGORY_HOURS", "CATEGORY_DAYS"} == set(actions(plan))
    hours = next(one for one in plan.objects if one.name == "CATEGORY_HOURS")
    assert "FROM sale_lines_v2" in hours.target.statements[0]
    assert hours.reason == "reads SALE_LINES, which is rebuilt"


def test_sales_are_rebuilt_from_the_log_of_checks(project: Any) -> None:
    """check_arrivals may have lost what sales was made of, so it is made anew, too."""
    project.edit("20_sales.sql", "WHERE arrivals = 1", "WHERE arrivals = 1 AND total_amount > 0")
    plan = project.plan()
    rebuilt = set(actions(plan))
    assert {"CHECK_ARRIVALS", "ARRIVALS", "SALES", "PLACE_DAYS", "REPEATED_CHECKS"} <= rebuilt
    assert "CHECKS" not in rebuilt
    arrivals = next(one for one in plan.objects if one.name == "ARRIVALS")
    assert "CREATE STREAM arrivals_v2 WITH (KAFKA_TOPIC='check_arrivals_v2'" in arrivals.target.statements[0]


def test_a_new_table_over_a_kept_topic_is_only_new(project: Any) -> None:
    """It fills from the log beside what runs."""
    (project.folder / "60_more.sql").write_text(
        "CREATE TABLE payments WITH (KAFKA_TOPIC='payments') AS "
        "SELECT payment_method, COUNT(*) AS n FROM sales GROUP BY payment_method;",
        encoding="utf-8",
    )
    plan = project.plan()
    assert actions(plan) == {"PAYMENTS": Action.NEW}
    assert plan.is_only_new
    assert plan.of(Action.NEW)[0].records == 100


def test_a_new_reader_of_arrivals_rebuilds_them(project: Any) -> None:
    """A topic that may have lost records cannot fill anything new."""
    (project.folder / "25_more.sql").write_text(
        "CREATE STREAM thirds WITH (KAFKA_TOPIC='thirds', RETENTION_MS=-1) AS SELECT transaction_id FROM arrivals "
        "WHERE arrivals = 3;",
        encoding="utf-8",
    )
    plan = project.plan()
    assert Action.REBUILT is actions(plan)["CHECK_ARRIVALS"]
    assert Action.REBUILT is actions(plan)["THIRDS"]


def test_a_removed_table_is_dropped(project: Any) -> None:
    """What no file creates any more goes, with its topic."""
    text = (project.folder / "50_categories.sql").read_text(encoding="utf-8")
    cut = text.index("CREATE TABLE category_days")
    (project.folder / "50_categories.sql").write_text(text[:cut], encoding="utf-8")
    assert actions(project.plan()) == {"CATEGORY_DAYS": Action.REMOVED}


def test_a_setting_that_changes_no_result_waits_for_the_next_rebuild(project: Any) -> None:
    """How often a query commits is no reason to fill it again; the plan says when it will count."""
    project.edit("00_settings.sql", "SET 'auto", "SET 'commit.interval.ms'='50';\nSET 'auto")
    plan = project.plan()
    assert plan.is_empty
    assert "next rebuild" in next(one for one in plan.objects if one.name == "SALES").reason


def test_a_rebuild_can_be_asked_for(project: Any) -> None:
    """Nothing changed, but somebody wants it filled anew."""
    assert actions(project.plan(forced=["PLACE_TOTALS"])) == {"PLACE_TOTALS": Action.REBUILT}


def test_a_cache_over_arrivals_is_a_rebuild(project: Any) -> None:
    """With a cache, past updates would have been other ones."""
    project.edit("10_checks.sql", "SET 'cache.max.bytes.buffering'='0';", "SET 'cache.max.bytes.buffering'='5';")
    assert Action.REBUILT is actions(project.plan())["CHECK_ARRIVALS"]


def test_new_columns_of_the_registry_are_in_place(project: Any) -> None:
    """A compatible new field is read from now on; nothing is filled again."""
    plan = project.plan(new_columns={"CHECKS": NewColumns(("DISCOUNT",), at_the_end=True)})
    assert actions(plan) == {"CHECKS": Action.IN_PLACE}
    assert "from now on" in plan.of(Action.IN_PLACE)[0].reason


def test_new_columns_between_others_are_no_upgrade(project: Any) -> None:
    """No server takes them in place: the stream and all behind it are made anew."""
    plan = project.plan(new_columns={"CHECKS": NewColumns(("DISCOUNT",), at_the_end=False)})
    assert Action.REBUILT is actions(plan)["CHECKS"]
    assert "as the last ones" in next(one.reason for one in plan.objects if one.name == "CHECKS")


def test_an_object_that_the_server_lost_is_rebuilt(project: Any) -> None:
    """Created on its old topic it would append everything again."""
    server = project.server()
    del server["SALES"]
    project.sizes["sales"] = 5
    assert Action.REBUILT is actions(project.plan(server=server))["SALES"]


def test_a_topic_that_holds_records_already_is_not_written_again(project: Any) -> None:
    """Nobody knows the object, but its topic is full: it gets a version of its own."""
    objects = {name: one for name, one in project.applied.objects.items() if name != "PLACE_DAYS"}
    project.applied = Applied(objects=objects)
    project.sizes["place_days"] = 3
    assert Action.REBUILT is actions(project.plan(server=project.server()))["PLACE_DAYS"]


def test_an_unrecorded_object_is_taken_up_when_it_says_the_same(project: Any) -> None:
    """The server gives it back in its own words: qualified columns, defaults written out."""
    objects = {name: one for name, one in project.applied.objects.items() if name != "PLACE_TOTALS"}
    server = project.server()
    project.applied = Applied(objects=objects)
    theirs = (
        "CREATE TABLE PLACE_TOTALS WITH (CLEANUP_POLICY='compact', KAFKA_TOPIC='place_totals', PARTITIONS=3, "
        "REPLICAS=1, RETENTION_MS=-1, VALUE_FORMAT='AVRO') AS SELECT SALES.PLACE_KEY PLACE_KEY, "
        "AS_VALUE(SALES.PLACE_KEY) PLACE_ID, LATEST_BY_OFFSET(SALES.PLACE_NAME) PLACE_NAME, COUNT(*) PURCHASES, "
        "SUM(CAST(SALES.TOTAL_AMOUNT AS DECIMAL(38, 2))) REVENUE, SUM(CAST(SALES.NDS_AMOUNT AS DECIMAL(38, 2))) NDS, "
        "SUM(CAST(SALES.TIPS_AMOUNT AS DECIMAL(38, 2))) TIPS, MIN(SALES.SOLD_AT) FIRST_SOLD_AT, "
        "MAX(SALES.SOLD_AT) LAST_SOLD_AT FROM SALES SALES GROUP BY SALES.PLACE_KEY EMIT CHANGES;"
    )
    plan = project.plan(server=server, server_statements={"PLACE_TOTALS": theirs})
    assert actions(plan) == {}
    other = project.plan(server=server, server_statements={"PLACE_TOTALS": theirs.replace("MAX(", "MIN(")})
    assert Action.REBUILT is actions(other)["PLACE_TOTALS"]


def test_an_interrupted_rebuild_is_carried_on_under_its_number(project: Any) -> None:
    """The same files ask for the same rebuild; other files for another, and the first is given up."""
    project.edit("30_places.sql", "SIZE 1 HOUR", "SIZE 2 HOURS")
    begun = project.plan()
    pending = {"version": 2, "objects": [object_to_json(one.target) for one in begun.of(Action.REBUILT)]}
    project.applied = dataclasses.replace(project.applied, rebuild=pending, highest_version=2)
    again = project.plan()
    assert (again.version, again.resumes, again.abandons) == (2, True, None)
    project.edit("30_places.sql", "SIZE 2 HOURS", "SIZE 3 HOURS")
    other = project.plan()
    assert (other.version, other.resumes, other.abandons) == (3, False, 2)
