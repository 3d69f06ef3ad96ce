"""A stack of its own whose ksql files, schemas and connectors a test may edit, with ten thousand checks in it."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bench.checks import Plan, checks
from stack import process
from tests import fix_stack
from tests.fix_stack import wait_for
from tests.integration.pipeline.expected import Expected, differences, hours_back, placed, send_batch

ROOT = Path(__file__).parents[3]
VARIABLE = "CHECKS_TEST_EDITABLE_STACK"
"""Names the state folder of a stack that these tests may change as they like."""


class Project:
    """A running stack, copies of the files that it runs, and what its figures must be."""

    def __init__(self, stack: Any, folder: Any) -> None:
        self.stack = stack
        self.folder = folder
        for name in ("ksql", "schemas", "connectors"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
        self.prefix = f"e{uuid.uuid4().hex[:8]}"
        self.expected = Expected()

    def environment(self) -> dict[Any, Any]:
        folders = {f"CHECKS_{name.upper()}_DIR": str(self.folder / name) for name in ("ksql", "schemas", "connectors")}
        return {**process.environment({}), **self.stack.environment, **folders}

    def send(self, count: Any, seed: Any) -> None:
        """Send made-up checks at places of this test's own, and count them."""
        plan = Plan(seed=seed, count=count, end=hours_back(1), hours=48, shuffled=True, id_prefix=f"s{seed}")
        made = [placed(check, self.prefix) for check in checks(plan)]
        for at in range(0, count, 1000):
            send_batch(self.stack.intake_url, made[at : at + 1000])
        for check in made:
            self.expected.add(check)

    def wait_exact(self, limit_s: int = 180) -> None:
        """Until the figures are what they must be."""
        wait_for(lambda: not self.differences(), limit_s=limit_s, what="figures are exact", every_s=0.5)

    def differences(self) -> Any:
        return differences(self.stack.owner_url, self.expected, self.prefix)

    def tool(self, *command: str, status: int = 0) -> Any:
        """Run a tool of the project; gives its standard output."""
        words = [sys.executable, "-m", *command]
        done = subprocess.run(
            words, cwd=ROOT, env=self.environment(), capture_output=True, text=True, check=False, timeout=800
        )
        assert done.returncode == status, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout if status == 0 or done.stdout.strip() else done.stderr

    def plan(self) -> Any:
        """Action and reason of every object that is not unchanged."""
        words = [sys.executable, "-m", "ksql", "plan", "--json"]
        done = subprocess.run(
            words, cwd=ROOT, env=self.environment(), capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode in {0, 2}, done.stdout + done.stderr
        document = json.loads(done.stdout)
        assert done.returncode == (0 if document["nothing_to_do"] else 2)
        return document

    def actions(self) -> dict[Any, Any]:
        return {one["name"]: one["action"] for one in self.plan()["objects"] if one["action"] != "unchanged"}

    def edit(self, file: Any, old: Any, new: Any) -> None:
        path = self.folder / file
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{file} does not contain {old!r}"
        path.write_text(text.replace(old, new), encoding="utf-8")

    def reset(self) -> None:
        """The project's own files again."""
        for name in ("ksql", "schemas", "connectors"):
            shutil.rmtree(self.folder / name)
            shutil.copytree(ROOT / name, self.folder / name, ignore=shutil.ignore_patterns("*.py", "__pycache__"))


KILLED_AT = """
import os, signal, sys
from ksql.deploy import apply_files
from ksql.settings import load
left = int(sys.argv[1])
def checkpoint(step):
    global left
    print(step, flush=True)
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
apply_files(load(), checkpoint=checkpoint)
"""


class FiguresWatcher(threading.Thread):
    """Reads figures as a reader does, again and again, and keeps whatever differs from what they must be."""

    def __init__(self, project: Any) -> None:
        super().__init__(daemon=True)
        self._project = project
        self._stopped = threading.Event()
        self.reads = 0
        self.wrong: list[str] = []

    def run(self) -> None:
        place_ids = sorted(self._project.expected.totals)
        wanted = [self._project.expected.totals[place_id].row() for place_id in place_ids]
        # as the API reads: in one transaction, with the lock that the switch waits for
        lock = "SELECT pg_advisory_xact_lock_shared(hashtext('figures views'))"
        query = (
            "SELECT purchases, revenue, nds, tips FROM figures.place_totals WHERE place_id = ANY(%s) ORDER BY place_id"
        )
        hours = "SELECT sum(purchases), sum(revenue) FROM figures.place_hours WHERE place_id = ANY(%s)"
        lines = "SELECT sum(lines) FROM figures.category_days WHERE place_id = ANY(%s)"
        days = "SELECT sum(purchases) FROM figures.place_days WHERE place_id = ANY(%s)"
        count = sum(row[0] for row in wanted)
        revenue = sum(row[1] for row in wanted)
        all_lines = sum(len(check.items) for check in self._project.expected.checks)
        with psycopg.connect(self._project.stack.owner_url) as connection:
            while not self._stopped.is_set():
                with connection.transaction():
                    connection.execute(lock)
                    found = connection.execute(query, (place_ids,)).fetchall()
                    by_hour = connection.execute(hours, (place_ids,)).fetchone()
                    by_line = connection.execute(lines, (place_ids,)).fetchone()
                    by_day = connection.execute(days, (place_ids,)).fetchone()
                if found != wanted or by_hour != (count, revenue) or by_line != (all_lines,) or by_day != (count,):
                    self.wrong.append(f"{time.strftime('%H:%M:%S')} {by_hour} {by_line} {by_day} {found[:2]}")
                self.reads += 1
                time.sleep(0.02)

    def stop(self) -> None:
        self._stopped.set()
        self.join(30)


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """An editable project on a stack of its own, with 10,000 checks whose figures have arrived."""
    folder = tmp_path_factory.mktemp("project")
    named = os.environ.get(VARIABLE)
    # not below pytest's own folder: it closes that to other users, and PostgreSQL runs as one of them
    place = Path(tempfile.mkdtemp(prefix="checks-editable-"))
    place.chmod(0o755)
    state = Path(named) if named else place / "state"
    made = Project(fix_stack.attach(state) if named else fix_stack.start(state), folder)
    try:
        if named:
            made.tool("ksql", "apply")
            made.tool("connectors", "apply")
        made.send(10_000, seed=int(time.time()))
        made.wait_exact()
        yield made
    finally:
        if not named:
            fix_stack.stop(state)
        shutil.rmtree(place, ignore_errors=True)


@pytest.fixture
def own_files_again(project: Any) -> Iterator[Any]:
    """Puts the project's own files back after a test that makes mistakes in them."""
    yield
    project.reset()


@pytest.fixture
def figures_watched(project: Any) -> Iterator[Any]:
    """Fails the test when a reader saw anything but the right figures while it ran."""
    watcher = FiguresWatcher(project)
    watcher.start()
    yield watcher
    watcher.stop()
    assert watcher.reads > 10
    assert watcher.wrong[:5] == []
