"""The closing line of `scripts/test`: one for all its groups."""

from pathlib import Path

from stack import test as runner

SUITE = '<x><testsuite tests="{tests}" failures="{failures}" errors="0" skipped="{skipped}">{cases}</testsuite></x>'
SKIPPED = '<testcase><skipped message="takes minutes; runs with --long"/></testcase>'


def test_groups_are_added_up(tmp_path: Path) -> None:
    """Whoever reads the last line knows how all tests went."""
    (tmp_path / "unit.xml").write_text(SUITE.format(tests=10, failures=0, skipped=0, cases=""))
    (tmp_path / "side by side.xml").write_text(SUITE.format(tests=5, failures=1, skipped=1, cases=SKIPPED))
    line = runner.closing_line(tmp_path, 12.3)
    assert line == "===== 13 passed, 1 failed, 1 skipped in 12.30s ====="


def test_long_tests_that_were_left_out_are_no_missing_tests(tmp_path: Path) -> None:
    """On a build machine a skipped test is a failure, unless only `--long` runs it."""
    (tmp_path / "unit.xml").write_text(SUITE.format(tests=2, failures=0, skipped=1, cases=SKIPPED))
    assert runner.count(tmp_path)["skipped"] == runner.count_allowed_skips(tmp_path) == 1


def test_what_kept_tests_from_running_is_told_in_the_last_line(tmp_path: Path) -> None:
    """No tests is no success."""
    (tmp_path / "unit.xml").write_text(SUITE.format(tests=2, failures=0, skipped=0, cases=""))
    line = runner.closing_line(tmp_path, 1, ["the stack did not start"])
    assert line == "===== 2 passed, the stack did not start in 1.00s ====="
