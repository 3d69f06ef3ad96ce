"""Processes that outlive the supervisor: pid files that tell a part of ours from a stranger with the same number."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import psutil

from stack.parts.base import Part

MARKER = "CHECKS_PART"
NOT_INHERITED = (
    "CHECKS_ADMIN_PASSWORD",
    "CHECKS_API_",
    "CHECKS_BI_",
    "CHECKS_DATABASE_",
    "CHECKS_OWNER_",
    "CHECKS_POSTGRES_PASSWORD",
    "CHECKS_SINK_",
)
"""Beginnings of variables that a part gets only when it is given them."""
START_TOLERANCE_S = 2.0
"""How far two readings of one process's start may lie apart (the kernel's boot time is rounded)."""


@dataclass(frozen=True)
class Running:
    """A part's process, ours or taken over from a supervisor that died."""

    name: str
    pid: int
    started_at: float
    """Seconds since the epoch, as the kernel tells it."""
    fingerprint: str
    """Of the command and environment it was started with."""

    def alive(self) -> bool:
        """Whether this very process runs (a zombie does not)."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started_at) < START_TOLERANCE_S
            return bool(same and process.status() != psutil.STATUS_ZOMBIE)
        except psutil.Error:
            return False

    def send(self, number: signal.Signals) -> None:
        """Sends the signal to this very process; to nobody if it has ended."""
        if self.alive():
            with_no_error(lambda: os.kill(self.pid, number))


def fingerprint(part: Part) -> str:
    """What a process must have been started with to be taken for this part as it is wanted now."""
    essence = [part.command, sorted(part.environment.items()), part.user and part.user.uid]
    return sha256(json.dumps(essence, default=str).encode()).hexdigest()[:16]


def start(part: Part, log: Path, pid_file: Path) -> tuple[subprocess.Popen[bytes], Running]:
    """Starts the part in a session of its own, with the log file for output, and writes its pid file."""
    variables = {**environment(part.environment), MARKER: str(pid_file)}
    identity = {"user": part.user.uid, "group": part.user.gid, "extra_groups": []} if part.user else {}
    # appending, so that the file can be cut while the process writes
    with log.open("ab") as output:
        process = subprocess.Popen(  # type: ignore[call-overload] # one call with and without a user
            part.command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=part.cwd,
            env=variables,
            start_new_session=True,
            **identity,
        )
    running = Running(part.name, process.pid, psutil.Process(process.pid).create_time(), fingerprint(part))
    write_pid_file(pid_file, running)
    return process, running


def environment(own: Mapping[str, str]) -> dict[str, str]:
    """The machine's variables and a process's own ones, without passwords and addresses meant for others."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(NOT_INHERITED)}
    return {**inherited, "PYTHONUNBUFFERED": "1", **own}


def write_pid_file(file: Path, running: Running) -> None:
    """Writes the pid file, whole or not at all."""
    draft = file.with_suffix(".new")
    draft.write_text(json.dumps(running.__dict__), encoding="utf-8")
    draft.replace(file)


def read_pid_file(file: Path) -> Running | None:
    """The process that the file tells of if it still runs; None for a missing, broken or stale file."""
    try:
        running = Running(**json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return running if running.alive() else None


def survivors(pid_file: Path) -> list[psutil.Process]:
    """Processes of this part's session that outlived their leader: workers of a server that was killed."""
    try:
        leader = int(json.loads(pid_file.read_text(encoding="utf-8"))["pid"])
    except (OSError, ValueError, TypeError, KeyError):
        return []
    found = []
    for process in psutil.process_iter():
        try:
            # the session proves the parentage, the marker that the number was not given anew
            if os.getsid(process.pid) == leader and process.environ().get(MARKER) == str(pid_file):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def stop(
    running: Running, part: Part, pid_file: Path, *, reap: Callable[[], object], waited: Callable[[], bool] = bool
) -> bool:
    """Asks the process to end, and ends it and its workers after the part's limit. Returns whether it went by itself.

    `reap` collects the exit status where the process is a child; `waited` true cuts the wait short.
    """
    running.send(part.stop_signal)
    deadline = time.monotonic() + part.stop_limit_s
    while running.alive() and time.monotonic() < deadline and not waited():
        reap()
        time.sleep(0.05)
    went = not running.alive()
    if not went:
        running.send(signal.SIGKILL)
    for process in survivors(pid_file):
        with_no_error(process.kill)
    while running.alive():
        reap()
        time.sleep(0.02)
    reap()
    pid_file.unlink(missing_ok=True)
    return went


def with_no_error(action: Callable[[], object]) -> None:
    """Does it; a process that is gone already is no error."""
    try:
        action()
    except (OSError, psutil.Error):
        return
