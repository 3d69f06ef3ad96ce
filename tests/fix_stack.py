"""The running stack that integration and end-to-end tests talk to: `scripts/test` starts it, or the first test does."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stack import free_ports, process, secrets
from stack.settings import CHECKOUT, PORTS

VARIABLE = "CHECKS_TEST_STACK"
"""Names the state folder of a stack that already runs."""


@dataclass(frozen=True)
class Stack:
    """Addresses and credentials of a running stack, and what a test may do to its parts."""

    state: Path
    environment: dict[str, str]
    """All `CHECKS_…` variables of the stack, for a child process or a service's settings."""

    @property
    def kafka(self) -> str:
        return self.environment["CHECKS_KAFKA"]

    @property
    def registry_url(self) -> str:
        return self.environment["CHECKS_REGISTRY_URL"]

    @property
    def connect_url(self) -> str:
        return self.environment["CHECKS_CONNECT_URL"]

    @property
    def ksql_url(self) -> str:
        return self.environment["CHECKS_KSQL_URL"]

    @property
    def intake_url(self) -> str:
        return self.environment["CHECKS_INTAKE_URL"]

    @property
    def analytics_url(self) -> str:
        return self.environment["CHECKS_ANALYTICS_URL"]

    @property
    def database_url(self) -> str:
        """For the API's role."""
        return self.environment["CHECKS_DATABASE_URL"]

    @property
    def owner_url(self) -> str:
        """For the role that owns the tables, and may create databases."""
        return self.environment["CHECKS_DATABASE_OWNER_URL"]

    @property
    def bi_url(self) -> str:
        """For the role that only reads."""
        return self.environment["CHECKS_DATABASE_BI_URL"]

    @property
    def superuser_url(self) -> str:
        password = self.environment["CHECKS_POSTGRES_PASSWORD"]
        return f"postgresql://postgres:{password}@{self.owner_url.rsplit('@', 1)[1]}"

    @property
    def admin_password(self) -> str:
        """Of the first administrator, user `admin`."""
        return self.environment["CHECKS_ADMIN_PASSWORD"]

    def status(self) -> dict[str, dict[str, Any]]:
        """What the supervisor wrote last, by part or step."""
        document = json.loads((self.state / "run" / "status.json").read_text(encoding="utf-8"))
        return {one["name"]: one for one in document["conditions"]}

    def has(self, part: str) -> bool:
        """Whether this stack runs the part at all (CHECKS_ONLY)."""
        return part in self.status()

    def pid(self, part: str) -> int:
        """The part's process as it runs now."""
        running = process.read_pid_file(self.state / "run" / f"{part}.pid")
        assert running is not None, f"{part} does not run"
        return running.pid

    def kill(self, part: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Sends the signal to the part. Returns the process number that got it."""
        pid = self.pid(part)
        os.kill(pid, number)
        return pid

    def wait_ready(self, part: str, *, other_than: int | None = None, limit_s: float = 90) -> None:
        """Waits until the part is ready, in a process other than the one given."""

        def ready() -> bool:
            one = self.status()[part]
            return bool(one["state"] == "ready" and one["pid"] != other_than)

        wait_for(ready, limit_s=limit_s, what=f"{part} is ready")


def wait_for(condition: Callable[[], object], *, limit_s: float, what: str, every_s: float = 0.1) -> None:
    """Waits until the condition holds; fails the test by name when it does not within the limit."""
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {limit_s:g} s: {what}")
        time.sleep(every_s)


def attach(state: Path) -> Stack:
    """The stack that runs in this state folder."""
    environment = secrets.read(state / "secrets" / "env")
    ports = json.loads((state / "run" / "status.json").read_text(encoding="utf-8"))["ports"]
    variables = {PORTS[name][0]: str(port) for name, port in ports.items()}
    return Stack(state, {**environment, **variables, "CHECKS_STATE": str(state)})


def start(state: Path, **environment: str) -> Stack:
    """Starts a stack of its own on free ports and waits until it is healthy."""
    state.mkdir(parents=True, exist_ok=True)
    state.chmod(0o755)
    variables = {**process.environment({}), **free_ports.choose(), **environment}
    command = [sys.executable, "-m", "stack.run", "--detach", "--state", str(state)]
    result = subprocess.run(command, cwd=CHECKOUT, env=variables, text=True, capture_output=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return attach(state)


def stop(state: Path) -> None:
    """Stops the stack of this state folder."""
    command = [sys.executable, "-m", "stack.stop", "--state", str(state)]
    result = subprocess.run(command, cwd=CHECKOUT, text=True, capture_output=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The stack of this test run."""
    if VARIABLE in os.environ:
        yield attach(Path(os.environ[VARIABLE]))
        return
    if "PYTEST_XDIST_WORKER" in os.environ:
        pytest.fail(f"several workers need one stack: start it with scripts/run and name its folder in {VARIABLE}")
    with tempfile.TemporaryDirectory(prefix="checks-test-") as folder:
        Path(folder).chmod(0o755)
        state = Path(folder) / "state"
        try:
            yield start(state)
        finally:
            stop(state)
