"""Talks to the supervisor of a state folder: whether it runs, how things are, start, deploy again, stop."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from stack import process
from stack.settings import CHECKOUT, Settings

Status = dict[str, Any]
"""What status.json holds; see `supervisor.Supervisor.write_status`."""


def supervisor_pid(settings: Settings) -> int | None:
    """The running supervisor's process number; None if none runs, whatever files an earlier one left."""
    try:
        pid = int((settings.run_dir / "supervisor.pid").read_text(encoding="utf-8"))
        words = psutil.Process(pid).cmdline()
    except (OSError, ValueError, psutil.Error):
        return None
    return pid if "stack.supervisor" in words and str(settings.state) in words else None


def read_status(settings: Settings) -> Status | None:
    """What the supervisor wrote last; None if it never did."""
    try:
        status: Status = json.loads((settings.run_dir / "status.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return status


def start_supervisor(settings: Settings) -> None:
    """Starts the supervisor in a session of its own, its output in its own log; it outlives this process."""
    settings.run_dir.mkdir(parents=True, exist_ok=True)
    settings.logs_dir.mkdir(parents=True, exist_ok=True)
    with (settings.logs_dir / "supervisor.log").open("ab") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", "stack.supervisor", "--state", str(settings.state)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=CHECKOUT,
            env={**process.environment({}), **_given(), **settings.environment()},
            start_new_session=True,
        )
    deadline = time.monotonic() + 30
    while supervisor_pid(settings) is None and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)


def _given() -> dict[str, str]:
    """The operator's own first password, which the supervisor needs and passes on to analytics_api alone."""
    return {name: os.environ[name] for name in ("CHECKS_ADMIN_PASSWORD",) if name in os.environ}


def deploy_again(settings: Settings) -> int:
    """Asks for another deployment. Returns its number, as status.json will show it."""
    pid, before = supervisor_pid(settings), read_status(settings)
    number = int(before["deployments"]) + 1 if before else 1
    if pid is not None:
        os.kill(pid, signal.SIGHUP)
    return number


def stop_supervisor(settings: Settings, *, limit_s: float = 150, each: Callable[[], None] = lambda: None) -> bool:
    """Asks the supervisor to stop everything and waits, calling `each` meanwhile. Returns whether all has stopped."""
    pid = supervisor_pid(settings)
    if pid is None:
        return True
    process.with_no_error(lambda: os.kill(pid, signal.SIGTERM))
    deadline = time.monotonic() + limit_s
    while supervisor_pid(settings) is not None:
        if time.monotonic() > deadline:
            return False
        each()
        time.sleep(0.1)
    return True


def leftovers(settings: Settings) -> list[process.Running]:
    """Parts that still run though their supervisor is gone."""
    files = sorted(settings.run_dir.glob("*.pid")) if settings.run_dir.exists() else []
    return [running for file in files if (running := process.read_pid_file(file)) is not None]


def stop_leftovers(settings: Settings, say: Callable[[str], None]) -> None:
    """Ends what a dead supervisor left behind: first asked, after 30 s made to."""
    for running in leftovers(settings):
        say(f"{running.name}: still running without its supervisor (pid {running.pid}), stopping it")
        # SIGINT is PostgreSQL's quick and clean stop; to it SIGTERM means waiting for all clients
        asked = signal.SIGINT if running.name == "postgres" else signal.SIGTERM
        running.send(asked)
    deadline = time.monotonic() + 30
    while leftovers(settings) and time.monotonic() < deadline:
        time.sleep(0.1)
    for running in leftovers(settings):
        running.send(signal.SIGKILL)
    if settings.run_dir.exists():
        for file in settings.run_dir.glob("*.pid"):
            for orphan in process.survivors(file):
                process.with_no_error(orphan.kill)
            file.unlink(missing_ok=True)


def state_argument(text: str) -> Path:
    """The type of `--state`: a folder, made absolute."""
    return Path(text).expanduser().absolute()
