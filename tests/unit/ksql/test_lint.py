"""Lint finds each mistake in a file made to hold it, and nothing in the project's own files."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ksql.lint import lint
from ksql.settings import Settings

ROOT = Path(__file__).parents[3]


@pytest.fixture
def project(tmp_path: Path) -> Any:
    """A copy of ksql/, schemas/ and connectors/ to make mistakes in."""
    for folder in ("ksql", "schemas", "connectors"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("*.py", "__pycache__", "tests"))
    return tmp_path


def findings(project: Any) -> Any:
    settings = Settings(
        ksql_dir=project / "ksql", schemas_dir=project / "schemas", connectors_dir=project / "connectors"
    )
    return lint(settings)


def edit(project: Any, file: Any, old: Any, new: Any) -> None:
    path = project / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def line_of(project: Any, file: Any, text: Any) -> Any:
    lines = (project / file).read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, start=1) if text in line)


def test_nothing_is_found_in_the_projects_own_files(project: Any) -> None:
    """What is applied is clean."""
    assert findings(project) == []


MISTAKES = [
    (
        "30_places.sql",
        "SUM(CAST(total_amount AS DECIMAL(38,2)))",
        "SUM(total_amount)",
        "sum-of-narrow-decimal",
        "SUM(total_amount)",
    ),
    ("40_lines.sql", "first_of_category\nFROM numbered_lines", "no_such\nFROM numbered_lines", "error", "no_such\n"),
    (
        "30_places.sql",
        ", RETENTION 3660 DAYS, GRACE PERIOD 3653 DAYS",
        ", RETENTION 3660 DAYS",
        "window-without-grace",
        "WINDOW TUMBLING",
    ),
    (
        "30_places.sql",
        ", RETENTION 3660 DAYS, GRACE PERIOD",
        ", GRACE PERIOD",
        "window-without-retention",
        "WINDOW TUMBLING",
    ),
    ("30_places.sql", "RETENTION 3660 DAYS", "RETENTION 3000 DAYS", "retention-too-short", "WINDOW TUMBLING"),
    ("30_places.sql", "RETENTION 3660 DAYS", "RETENTION 4000 DAYS", "retention-differs", "WINDOW TUMBLING"),
    (
        "30_places.sql",
        "FROM_UNIXTIME(WINDOWSTART) AS hour_start",
        "WINDOWSTART",
        "window-bound-without-alias",
        "  WINDOWSTART",
    ),
    (
        "30_places.sql",
        "AS_VALUE(place_key) AS place_id",
        "AS_VALUE(place_key) AS shop",
        "key-not-in-value",
        "CREATE TABLE place_totals",
    ),
    ("30_places.sql", "AS purchases", "AS purchase_count", "no-such-column", "CREATE TABLE place_totals"),
    (
        "30_places.sql",
        "COUNT(*) AS purchases",
        "CAST(COUNT(*) AS STRING) AS purchases",
        "type-differs-from-table",
        "CREATE TABLE place_totals",
    ),
    ("10_checks.sql", "SET 'cache.max.bytes.buffering'='0';", "", "cache-hides-updates", "CREATE TABLE check_arrivals"),
    ("20_sales.sql", ", RETENTION_MS=-1, TIMESTAMP", ", TIMESTAMP", "stream-without-retention", "CREATE STREAM sales"),
    (
        "20_sales.sql",
        "RETENTION_MS=-1, TIMESTAMP",
        "RETENTION_MS=86400000, TIMESTAMP",
        "retention-differs",
        "CREATE STREAM sales",
    ),
    ("00_settings.sql", "SET 'auto.offset.reset'='earliest';", "", "starts-at-the-end", None),
    ("00_settings.sql", "exactly_once_v2", "at_least_once", "not-exactly-once", None),
    ("50_categories.sql", "FROM sale_lines", "FROM no_lines", "error", "FROM no_lines"),
    ("50_categories.sql", "KEY_FORMAT='JSON', ", "", "error", None),
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: f"{mistake[3]}-{mistake[0]}")
def test_each_mistake_is_found_where_it_stands(project: Any, mistake: Any) -> None:
    """File and line are those of the mistake, and the finding says what to write."""
    file, old, new, rule, at = mistake
    edit(project, f"ksql/{file}", old, new)
    found = [one for one in findings(project) if one.rule == rule]
    assert found, [str(one) for one in findings(project)]
    assert all(one.why for one in found)
    if at is not None:
        assert line_of(project, f"ksql/{file}", at.strip("\n")) in {one.line for one in found if one.file == file}


def test_a_select_star_that_stays_is_found(project: Any) -> None:
    """Its columns would be those of the day it was created."""
    (project / "ksql" / "60.sql").write_text(
        "CREATE STREAM copies WITH (KAFKA_TOPIC='copies', RETENTION_MS=-1) AS SELECT * FROM sale_lines;",
        encoding="utf-8",
    )
    rules = {one.rule for one in findings(project) if one.file == "60.sql"}
    assert {"select-star", "topic-not-declared"} == rules


def test_a_table_that_no_connector_reads_is_found(project: Any) -> None:
    """It costs state and shows nowhere."""
    (project / "connectors" / "place_days.json").unlink()
    assert [(one.file, one.rule) for one in findings(project)] == [("30_places.sql", "table-that-nobody-reads")]


def test_a_connector_whose_topic_nobody_writes_is_found(project: Any) -> None:
    """Its table would stay empty."""
    edit(project, "connectors/place_days.json", '"topics": "place_days"', '"topics": "place_weeks"')
    found = {(one.file, one.rule) for one in findings(project)}
    assert ("connectors/place_days.json", "topic-that-nobody-writes") in found


def test_a_connector_without_a_table_is_found(project: Any) -> None:
    """No migration makes it."""
    config = json.loads((project / "connectors" / "place_days.json").read_text(encoding="utf-8"))
    config["collection.name.format"] = "pipeline_v1.place_weeks"
    config["errors.deadletterqueue.topic.name"] = "dlq_place_weeks"
    (project / "connectors" / "place_weeks.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    found = {(one.file, one.rule) for one in findings(project)}
    assert ("connectors/place_weeks.json", "no-such-table") in found


def test_a_key_that_differs_from_the_tables_is_found(project: Any) -> None:
    """No ON CONFLICT would match, and windows would overwrite each other."""
    edit(project, "connectors/place_hours.json", "PLACE_ID,HOUR_START", "PLACE_ID")
    assert {"key-differs-from-table", "windows-overwrite-each-other"} == {one.rule for one in findings(project)}


def test_a_skipped_null_is_found(project: Any) -> None:
    """An optional column's EARLIEST_BY_OFFSET would be another record's value."""
    schema = json.loads((project / "schemas" / "check.avsc").read_text(encoding="utf-8"))
    schema["fields"].append({"name": "discount", "type": ["null", "string"], "default": None})
    (project / "schemas" / "check.avsc").write_text(json.dumps(schema), encoding="utf-8")
    edit(project, "ksql/10_checks.sql", "  COUNT(*)", "  EARLIEST_BY_OFFSET(discount) AS discount,\n  COUNT(*)")
    assert {"skipped-nulls"} == {one.rule for one in findings(project)}
    edit(project, "ksql/10_checks.sql", "EARLIEST_BY_OFFSET(discount)", "EARLIEST_BY_OFFSET(discount, false)")
    assert findings(project) == []


def test_a_file_that_does_not_parse_is_one_finding(project: Any) -> None:
    """Line and reason, and nothing else is guessed from the rest."""
    edit(project, "ksql/20_sales.sql", "WHERE arrivals = 1", "WHERE arrivals = = 1")
    (one,) = findings(project)
    assert ("20_sales.sql", line_of(project, "ksql/20_sales.sql", "= = 1"), "error") == (one.file, one.line, one.rule)


def test_a_schema_that_a_statement_does_not_fit_is_found(project: Any) -> None:
    """A field that the files read is gone from the schema."""
    edit(project, "schemas/check.avsc", '"name": "tips_amount"', '"name": "gratuity"')
    found = findings(project)
    assert [(one.file, one.rule) for one in found] == [("10_checks.sql", "error")]
    assert "TIPS_AMOUNT" in found[0].why


def test_lint_costs_less_than_a_cpu_second() -> None:
    """It is to run on every save."""
    code = (
        "import resource, sys; from ksql.__main__ import main; status = main(['lint']); "
        "used = resource.getrusage(resource.RUSAGE_SELF); print(used.ru_utime + used.ru_stime); sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert float(done.stdout.split()[-1]) < 1.0
