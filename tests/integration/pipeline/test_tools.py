"""Looking at a running pipeline: queries, topics, connectors, history; and what lint believes of the tables."""

import json
from typing import Any

import psycopg
import pytest

from ksql.lint.tables import read_tables
from ksql.settings import ROOT
from tests.integration.pipeline.test_apply import in_force

pytestmark = [pytest.mark.alone, pytest.mark.timeout(600)]


def test_a_pull_query_shows_rows_with_exact_numbers(project: Any) -> None:
    """A table's row by its key, as a table and as JSON."""
    place_id = min(project.expected.totals)
    name = table_name(project, "PLACE_TOTALS")
    statement = f"SELECT place_id, purchases, revenue FROM {name} WHERE place_key = '{place_id}'"
    sums = project.expected.totals[place_id]
    (line,) = project.tool("ksql", "query", statement, "--json").splitlines()
    assert {"PLACE_ID": place_id, "PURCHASES": sums.purchases, "REVENUE": str(sums.revenue)} == json.loads(line)
    text = project.tool("ksql", "query", statement)
    assert ["PLACE_ID", "PURCHASES", "REVENUE", place_id, str(sums.purchases), str(sums.revenue)] == text.split()


def table_name(project: Any, name: Any) -> Any:
    tables = project.tool("ksql", "query", "SHOW TABLES").split()
    return next(word for word in tables if word == name or word.startswith(f"{name}_V"))


def test_a_push_query_ends_at_its_limit(project: Any) -> None:
    """Rows come as they are found."""
    name = next(
        word for word in project.tool("ksql", "query", "SHOW STREAMS").split() if word.split("_V")[0] == "SALES"
    )
    lines = project.tool(
        "ksql", "query", f"SELECT transaction_id FROM {name} EMIT CHANGES LIMIT 3", "--json"
    ).splitlines()
    assert len(lines) == 3


def test_a_wrong_query_is_one_clear_line(project: Any) -> None:
    """The server's reason, and exit status 1."""
    assert "NOWHERE" in project.tool("ksql", "query", "SELECT * FROM nowhere EMIT CHANGES", status=1)


def test_a_topic_is_shown_decoded(project: Any) -> None:
    """Keys, values and times as people read them."""
    (line,) = project.tool("ksql", "print", "checks", "--limit", "1", "--json").splitlines()
    record = json.loads(line)
    assert record["key"] == record["value"]["transaction_id"]
    assert "." in record["value"]["total_amount"]
    assert record["timestamp"].endswith("Z")


def test_windowed_keys_are_shown_with_their_windows(project: Any) -> None:
    """A session has its start and end, an hour its start; a JSON key its columns."""
    session = json.loads(project.tool("ksql", "print", "check_arrivals", "--limit", "1", "--json"))
    assert session["key"] == session["value"]["TRANSACTION_ID"]
    assert len([part for part in session["window"] if part]) == 2
    hour = json.loads(project.tool("ksql", "print", "category_hours", "--limit", "1", "--json"))
    assert hour["key"]["PLACE_KEY"] == hour["value"]["PLACE_ID"]
    assert hour["window"][0].replace(".000Z", "") in hour["value"]["HOUR_START"]
    assert "window" in project.tool("ksql", "print", "category_hours", "--limit", "1")


def test_who_applied_what_is_kept(project: Any) -> None:
    """The history names user, host and what was done."""
    entries = json.loads(project.tool("ksql", "history", "--json"))
    assert entries
    assert all("@" in entry["by"] and entry["did"] and entry["at"] for entry in entries)
    assert "applied" in project.tool("ksql", "history")
    assert "SALES" in in_force(project)


def test_connectors_are_as_the_files_say(project: Any) -> None:
    """Plan finds nothing to do after apply, and a change of a file is told setting by setting."""
    project.tool("connectors", "plan")
    project.edit("connectors/sales.json", '"batch.size": "3000"', '"batch.size": "2999"')
    said = project.tool("connectors", "plan", status=2)
    assert "batch.size: 3000 -> 2999" in said
    project.reset()
    assert "nothing to restart" in project.tool("connectors", "restart")


def test_lint_reads_the_tables_as_postgresql_has_them(project: Any) -> None:
    """Columns and keys that lint takes from the migrations' text are those of a real database."""
    query = (
        "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), coalesce(a.attnum = ANY(i.indkey), false) "
        "FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped "
        "LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary "
        "WHERE c.relnamespace = 'pipeline_template'::regnamespace AND c.relkind = 'r'"
    )
    short = {"timestamp with time zone": "timestamptz"}
    columns: dict[str, dict[str, str]] = {}
    keys: dict[str, set[str]] = {}
    with psycopg.connect(project.stack.owner_url) as connection:
        for table, column, kind, is_key in connection.execute(query):
            columns.setdefault(table, {})[column] = str(short.get(kind, kind))
            if is_key:
                keys.setdefault(table, set()).add(column)
    found = read_tables(ROOT / "analytics_api" / "migrations" / "versions")
    assert columns == {name: dict(table.columns) for name, table in found.items()}
    assert keys == {name: set(table.key) for name, table in found.items()}
