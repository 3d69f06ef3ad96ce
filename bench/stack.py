"""The stack that a measurement runs against: the one named in CHECKS_TEST_STACK, otherwise one of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stack import free_ports, process, secrets
from stack.settings import CHECKOUT, PORTS


@contextmanager
def running_stack(**environment: str) -> Iterator[dict[str, str]]:
    """All `CHECKS_…` variables of a healthy stack; one that was started here is stopped and removed afterwards."""
    named = os.environ.get("CHECKS_TEST_STACK")
    if named:
        yield variables(Path(named))
        return
    with tempfile.TemporaryDirectory(prefix="checks-bench-") as folder:
        Path(folder).chmod(0o755)
        state = Path(folder) / "state"
        try:
            _run("stack.run", "--detach", "--state", str(state), **free_ports.choose(), **environment)
            yield variables(state)
        finally:
            _run("stack.stop", "--state", str(state))


def variables(state: Path) -> dict[str, str]:
    """Addresses, ports and secrets of the stack in this state folder."""
    known = secrets.read(state / "secrets" / "env")
    ports = json.loads((state / "run" / "status.json").read_text(encoding="utf-8"))["ports"]
    return {**known, **{PORTS[name][0]: str(port) for name, port in ports.items()}, "CHECKS_STATE": str(state)}


def _run(module: str, *arguments: str, **environment: str) -> None:
    command = [sys.executable, "-m", module, *arguments]
    values = {**process.environment({}), **environment}
    done = subprocess.run(command, cwd=CHECKOUT, env=values, text=True, capture_output=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
