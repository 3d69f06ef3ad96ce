"""ksqlDB's own cases, where they are at hand: none may come out wrong."""

import json
from pathlib import Path

import pytest

from ksqlite.testing import conformance

CASES = Path(__file__).parents[4] / "shared" / "ksqldb-cases"


@pytest.mark.skipif(not CASES.exists(), reason="ksqlDB's cases are not on this machine")
def test_no_case_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    """Every case passes, or is refused by a message that names what is not supported."""
    assert conformance.main([str(CASES), "--json"]) == 0
    counts = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert counts["wrong"] == 0
    assert counts["passed"] >= 1080
    assert sum(counts[name] for name in ("passed", "refused", "wrong")) == 1231
