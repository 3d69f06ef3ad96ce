"""The cases of ksql/tests, run as scripts/ksql test runs them."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from ksql.cases import Cases, run_cases
from ksql.settings import Settings

ROOT = Path(__file__).parents[3]
PROJECT = Cases(Settings())


@pytest.mark.parametrize("case", PROJECT.all(), ids=lambda case: f"{case.file}: {case.name}")
def test_case(case: Any) -> None:
    """The pipeline's own statements give what the case expects."""
    result = PROJECT.run(case)
    assert result.passed, result.detail


def test_the_cases_look_at_every_column_of_every_object() -> None:
    """No statement and no column is without a case."""
    uncovered = {one.name: one.missing for one in PROJECT.coverage(PROJECT.all()) if one.missing}
    assert uncovered == {}


@pytest.fixture
def project(tmp_path: Path) -> Any:
    """A copy of the files, with one case."""
    shutil.copytree(ROOT / "ksql", tmp_path / "ksql", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    for file in (tmp_path / "ksql" / "tests").glob("*.json"):
        if file.name != "20_sales.json":
            file.unlink()
    return Settings(ksql_dir=tmp_path / "ksql")


def test_a_wrong_result_is_shown_and_fails(project: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """What was expected stands beside what came."""
    file = project.ksql_dir / "20_sales.sql"
    file.write_text(file.read_text(encoding="utf-8").replace("<> last_content_hash", "= last_content_hash"))
    assert run_cases(project, [], update=False, as_json=False) == 1
    shown = capsys.readouterr().out
    assert "FAILED 20_sales.json" in shown
    assert "IS_CONFLICT" in shown


def test_update_writes_what_came_out(project: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """--update makes a changed file's cases pass, for review in the difference."""
    file = project.ksql_dir / "20_sales.sql"
    file.write_text(file.read_text(encoding="utf-8").replace("<> last_content_hash", "= last_content_hash"))
    assert run_cases(project, [], update=True, as_json=True) == 0
    assert "review" in capsys.readouterr().err


def test_update_changes_nothing_when_nothing_differs(project: Any) -> None:
    """The files are already as update would write them."""
    assert Cases(project).update(Cases(project).all()) == []


def test_results_for_scripts(project: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """--json tells the same."""
    run_cases(project, ["conflict"], update=False, as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert document["passed"] == 3
    assert document["failed"] == []
