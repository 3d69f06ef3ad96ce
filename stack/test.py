"""`scripts/test`: all tests, against a stack of their own on free ports with a state of their own.

Unit tests run while the stack starts; then the tests that need it, several at a time; last, one by one, those that
kill its parts.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from stack import free_ports
from stack.settings import CHECKOUT, load

TESTS_FAILED, NO_TESTS_COLLECTED = 1, 5
REPORTED = ("passed", "failed", "errors", "skipped")
ALLOWED_SKIPS = ("runs with --long", "not on this machine", "not at hand")
"""Words in the reasons of skips that are no failure even where skips fail: long drills, and a real ksqlDB's data."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 when every test passed."""
    parser = argparse.ArgumentParser(
        prog="scripts/test", description=__doc__, epilog="Everything else is handed to pytest (a file, -k NAME, -x)."
    )
    parser.add_argument("--long", action="store_true", help="the full crash drills, too")
    parser.add_argument("--keep", action="store_true", help="leave the stack running and its state in place")
    options, more = parser.parse_known_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    folder = Path(tempfile.mkdtemp(prefix="checks-test-"))
    folder.chmod(0o755)  # PostgreSQL's user must get through
    try:
        return run(folder, [*more, *(["--long"] if options.long else [])], keep=options.keep)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def run(folder: Path, more: list[str], *, keep: bool) -> int:
    """Runs all groups of tests; the stack's state is removed at the end unless something failed."""
    began = time.monotonic()
    reports, state = folder / "reports", folder / "state"
    environment = {
        **os.environ,
        **free_ports.choose(),
        "CHECKS_STATE": str(state),
        "CHECKS_CACHE": str(load().cache),
        "CHECKS_TEST_STACK": str(state),
    }
    chosen = [
        word for word in more if not word.startswith("-") and (CHECKOUT / word.split("::", maxsplit=1)[0]).exists()
    ]
    options = [word for word in more if word not in chosen]
    unit = [word for word in chosen if "tests/unit" in word] if chosen else ["tests/unit"]
    others = [word for word in chosen if word not in unit] if chosen else _with_tests("tests/integration", "tests/e2e")
    workers = ["-n", str(min(4, os.cpu_count() or 2))]
    failed: list[str] = []
    broken: list[str] = []

    def group(name: str, *words: str) -> None:
        print(f"\n===== {name} =====", flush=True)
        command = [sys.executable, "-m", "pytest", f"--junit-xml={reports / name}.xml", *words, *options]
        code = subprocess.run(command, cwd=CHECKOUT, env=environment, check=False).returncode
        if code not in {0, NO_TESTS_COLLECTED}:
            failed.append(name)
        if code not in {0, TESTS_FAILED, NO_TESTS_COLLECTED}:
            broken.append(f"{name} did not run to its end")

    stack = _start_stack(folder, environment) if others else None
    try:
        if unit:
            group("unit", *unit, *workers)
        if stack is not None:
            if stack.wait() == 0:
                group("side by side", *others, "-m", "not alone", *workers, "--dist", "loadfile")
                group("one by one", *others, "-m", "alone")
            else:
                failed.append("stack")
                broken.append("the stack did not start")
                print(f"\nthe stack did not start:\n{(folder / 'stack.log').read_text('utf-8')}", flush=True)
    finally:
        if stack is not None and not keep:
            _finish(stack)
            command = [sys.executable, "-m", "stack.stop"]
            subprocess.run(command, cwd=CHECKOUT, env=environment, check=False, stdout=subprocess.DEVNULL)
    skips_fail = os.environ.get("CHECKS_SKIPS_FAIL") == "1" and count(reports)["skipped"] > count_allowed_skips(reports)
    if skips_fail:
        print("\ntests were skipped, which counts as a failure here (CHECKS_SKIPS_FAIL)")
    if keep or failed:
        print(f"\nthe stack's logs and data are in {state}")
    print(closing_line(reports, time.monotonic() - began, broken), flush=True)
    if not (keep or failed):
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if failed or skips_fail else 0


def _with_tests(*folders: str) -> list[str]:
    return [folder for folder in folders if any((CHECKOUT / folder).rglob("test_*.py"))]


def _start_stack(folder: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "stack.run", "--detach"]
    with (folder / "stack.log").open("wb") as log:
        return subprocess.Popen(command, cwd=CHECKOUT, env=environment, stdout=log, stderr=subprocess.STDOUT)


def _finish(stack: subprocess.Popen[bytes]) -> None:
    if stack.poll() is None:
        stack.terminate()
        stack.wait()


def count(reports: Path) -> Counter[str]:
    """How many tests ended how, over all groups."""
    total: Counter[str] = Counter()
    for suite in _suites(reports):
        tests, failed, errors, skipped = (
            int(suite.get(name, "0")) for name in ("tests", "failures", "errors", "skipped")
        )
        total += Counter(passed=tests - failed - errors - skipped, failed=failed, errors=errors, skipped=skipped)
    return total


def count_allowed_skips(reports: Path) -> int:
    """How many tests were skipped for a reason that is no fault of the machine's."""
    reasons = [one.get("message", "") for suite in _suites(reports) for one in suite.iter("skipped")]
    return sum(any(words in reason for words in ALLOWED_SKIPS) for reason in reasons)


def closing_line(reports: Path, seconds: float, broken: Sequence[str] = ()) -> str:
    """One line for all groups, in pytest's own form; `broken` says what kept tests from running at all."""
    total = count(reports)
    words = [f"{total[name]} {name}" for name in REPORTED if total[name]]
    return f"===== {', '.join([*words, *broken]) or 'no tests ran'} in {seconds:.2f}s ====="


def _suites(reports: Path) -> list[ET.Element]:
    # written by our own pytest a moment ago, so not hostile
    files = sorted(reports.glob("*.xml"))
    return [suite for file in files for suite in ET.parse(file).iter("testsuite")]  # noqa: S314 (see above)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
