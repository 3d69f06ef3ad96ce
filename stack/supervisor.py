"""Keeps the parts of one stack running: starts them side by side, restarts what dies, deploys, stops in order.

One process a state folder, told what to do by signals (TERM: stop all, HUP: deploy again), telling how things are in
`<state>/run/status.json`. Its parts outlive it: after its own kill -9 the next one takes over what still runs.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from stack import logs, process
from stack.downloads import install
from stack.locks import lock_within
from stack.parts import catalogue
from stack.parts.base import Part, PrepareError, Step, busy_port_message, port_is_free
from stack.secrets import load_or_make
from stack.settings import Settings, load

POLL_S = 0.15
HEALTH_EVERY_S = 2.0
BACKOFF_S = (1, 2, 4, 8, 15, 30)
CALM_S = 60.0
"""After so long in good health a part's next death counts as its first."""
STEP_ATTEMPTS = 3
STOP_WAVES = 3


@dataclass
class Condition:
    """How one part or step is; what `scripts/status` shows."""

    name: str
    kind: str
    """"part" or "step"."""
    state: str = "waiting"
    """waiting, starting, ready, unready, restarting, stopped (parts); waiting, running, done, failed (steps)."""
    pid: int | None = None
    since: float = field(default_factory=time.time)
    """When `state` was entered, seconds since the epoch."""
    started_at: float | None = None
    restarts: int = 0
    last_error: str = ""
    detail: str = ""
    log: str = ""
    notice: list[str] = field(default_factory=list)
    """What a step has to tell though it succeeded."""

    @property
    def good(self) -> bool:
        """Whether what needs it may go on."""
        return self.state in {"ready", "done"}


class Supervisor:
    """The parts and steps of one stack, each with a thread that keeps it as it should be."""

    def __init__(
        self,
        settings: Settings,
        parts: Sequence[Part],
        steps: Sequence[Step],
        *,
        backoff_s: Sequence[float] = BACKOFF_S,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self.settings = settings
        self.parts = list(parts)
        self.steps = list(steps)
        self.backoff_s = backoff_s
        self.say = say or _say
        self.stopping = threading.Event()
        self.conditions = {
            **{p.name: Condition(p.name, "part", log=str(self.log_file(p.name))) for p in parts},
            **{s.name: Condition(s.name, "step", log=str(self.log_file(s.name))) for s in steps},
        }
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._running: dict[str, process.Running] = {}
        self._deployments = 0

    def log_file(self, name: str) -> Path:
        """Where a part's or step's output goes."""
        return self.settings.logs_dir / f"{name}.log"

    def pid_file(self, name: str) -> Path:
        """Where a part's process is written down."""
        return self.settings.run_dir / f"{name}.pid"

    def run(self) -> None:
        """Keeps everything running until `stopping` is set, then stops it."""
        threads = [threading.Thread(target=self._keep, args=(part,), name=part.name) for part in self.parts]
        threads += [threading.Thread(target=self._deploy, args=(step,), name=step.name) for step in self.steps]
        for thread in threads:
            thread.start()
        while not self.stopping.wait(0.5):
            self.write_status()
            for name in self.conditions:
                logs.rotate(self.log_file(name))
        self.write_status()
        for thread in threads:
            thread.join()
        self._stop_all()
        self.write_status()

    def deploy_again(self) -> None:
        """Lets every step run once more; parts stay as they are."""
        self.say("deploying again")
        for step in self.steps:
            self._enter(step.name, "waiting")
        self._deployments += 1

    def healthy(self) -> bool:
        """Whether every part does its work and every step of the deployment succeeded."""
        return all(condition.good for condition in self.conditions.values())

    def write_status(self) -> None:
        """Writes status.json, whole or not at all."""
        document = {
            "as_of": time.time(),
            "supervisor_pid": os.getpid(),
            "deployments": self._deployments,
            "healthy": self.healthy(),
            "stopping": self.stopping.is_set(),
            "ports": self.settings.ports,
            "conditions": [asdict(condition) for condition in self.conditions.values()],
        }
        file = self.settings.run_dir / "status.json"
        draft = file.with_suffix(".new")
        draft.write_text(json.dumps(document), encoding="utf-8")
        draft.replace(file)

    # one thread a part

    def _keep(self, part: Part) -> None:
        condition = self.conditions[part.name]
        if not self._wait_for(part.needs):
            return
        failures = 0
        while not self.stopping.is_set():
            healthy_s = 0.0
            try:
                self._take_over_or_start(part)
                healthy_s = self._watch(part)
            except (PrepareError, OSError, subprocess.SubprocessError) as error:
                condition.last_error = str(error)
            if self.stopping.is_set():
                return
            self._end(part)
            failures = 1 if healthy_s > CALM_S else failures + 1
            delay_s = self.backoff_s[min(failures, len(self.backoff_s)) - 1]
            condition.restarts += 1
            self._enter(part.name, "restarting", f"again in {delay_s} s")
            self.say(f"{part.name}: {condition.last_error}; starts again in {delay_s} s")
            self._pause(delay_s)

    def _take_over_or_start(self, part: Part) -> None:
        condition, pid_file = self.conditions[part.name], self.pid_file(part.name)
        running = process.read_pid_file(pid_file)
        if running is not None and running.fingerprint == process.fingerprint(part):
            self.say(f"{part.name}: still running (pid {running.pid}), taken over")
        else:
            if running is not None:
                self.say(f"{part.name}: running with other settings (pid {running.pid}), stopping it first")
                process.stop(running, part, pid_file, reap=bool)
            for orphan in process.survivors(pid_file):
                process.with_no_error(orphan.kill)
            self._wait_for_ports(part)
            if part.prepare is not None:
                self._enter(part.name, "starting", "preparing its files")
                part.prepare()
            child, running = process.start(part, self.log_file(part.name), pid_file)
            self._children[part.name] = child
        self._running[part.name] = running
        condition.pid, condition.started_at = running.pid, running.started_at
        self._enter(part.name, "starting")

    def _wait_for_ports(self, part: Part) -> None:
        deadline = time.monotonic() + 5
        for name in part.ports:
            while not port_is_free(self.settings.host, self.settings.ports[name]):
                if time.monotonic() > deadline or self.stopping.wait(POLL_S):
                    raise PrepareError(busy_port_message(self.settings, name))

    def _watch(self, part: Part) -> float:
        """Returns when the process has ended or must be ended: how many seconds it had been in good health."""
        condition, running = self.conditions[part.name], self._running[part.name]
        log_start = self.log_file(part.name).stat().st_size if self.log_file(part.name).exists() else 0
        began, ready_since, next_check = time.monotonic(), 0.0, 0.0
        while not self.stopping.wait(POLL_S):
            if not self._still_runs(part.name, running):
                code = self._children[part.name].returncode if part.name in self._children else None
                condition.last_error = _death(code, logs.telling_line(self.log_file(part.name), since_byte=log_start))
                break
            now = time.monotonic()
            if now < next_check:
                continue
            try:
                part.ready()
                if not ready_since and part.after_ready is not None:
                    part.after_ready()
            except Exception as error:  # noqa: BLE001 (whatever a check raises means: not ready)
                reason = " ".join(str(error).split()) or type(error).__name__
                if ready_since:
                    if condition.state == "ready":
                        self.say(f"{part.name}: runs, but {reason}")
                        # kept, so that a part which comes and goes is not seen as well in between
                        condition.last_error = reason
                    self._enter(part.name, "unready", reason)
                    next_check = time.monotonic() + HEALTH_EVERY_S
                else:
                    condition.detail = reason
                    if now - began > part.start_limit_s:
                        condition.last_error = f"not ready after {part.start_limit_s:.0f} s: {reason}"
                        break
            else:
                if not ready_since:
                    ready_since = time.monotonic()
                    self.say(f"{part.name}: ready after {ready_since - began:.1f} s (pid {running.pid})")
                elif condition.state == "unready":
                    self.say(f"{part.name}: ready again")
                if condition.state != "ready":
                    self._enter(part.name, "ready")
                next_check = time.monotonic() + HEALTH_EVERY_S
        return time.monotonic() - ready_since if ready_since else 0.0

    def _still_runs(self, name: str, running: process.Running) -> bool:
        child = self._children.get(name)
        if child is not None and child.pid == running.pid:
            return child.poll() is None
        return running.alive()

    def _end(self, part: Part) -> bool:
        """Stops whatever of the part still runs. Returns whether it went by itself."""
        running, child = self._running.pop(part.name, None), self._children.pop(part.name, None)
        self.conditions[part.name].pid = None
        if running is None:
            return True
        reap = child.poll if child is not None else bool
        return process.stop(running, part, self.pid_file(part.name), reap=reap)

    # one thread a step

    def _deploy(self, step: Step) -> None:
        condition = self.conditions[step.name]
        done = -1
        while not self.stopping.is_set():
            wanted = self._deployments
            if done == wanted:
                self.stopping.wait(POLL_S)
                continue
            if not self._wait_for(step.needs):
                return
            for attempt in range(1, STEP_ATTEMPTS + 1):
                self._enter(step.name, "running")
                condition.last_error = self._run_step(step)
                delay_s = self.backoff_s[min(attempt, len(self.backoff_s)) - 1]
                if not condition.last_error or attempt == STEP_ATTEMPTS or self.stopping.wait(delay_s):
                    break
            if not self.stopping.is_set() and wanted == self._deployments:
                self._enter(step.name, "failed" if condition.last_error else "done", condition.detail)
                self.say(f"{step.name}: {condition.last_error or 'done'}")
            done = wanted

    def _run_step(self, step: Step) -> str:
        """Runs the command; returns why it failed, empty if it did not."""
        condition, log = self.conditions[step.name], self.log_file(step.name)
        log_start = log.stat().st_size if log.exists() else 0
        began = time.monotonic()
        with log.open("ab") as output:
            child = subprocess.Popen(
                step.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=step.cwd,
                env=process.environment(step.environment),
                start_new_session=True,
            )
        condition.pid = child.pid
        while child.poll() is None:
            if self.stopping.wait(0.05) or time.monotonic() - began > step.limit_s:
                with contextlib.suppress(OSError):
                    os.killpg(child.pid, signal.SIGKILL)
                child.wait()
                condition.pid = None
                return f"not done after {step.limit_s:.0f} s"
        condition.pid = None
        lines = logs.last_lines(log, 60, since_byte=log_start)
        condition.notice = lines if step.notice and any(step.notice in line for line in lines) else []
        condition.detail = f"{time.monotonic() - began:.1f} s"
        return "" if child.returncode == 0 else _death(child.returncode, logs.telling_line(log, since_byte=log_start))

    # common

    def _wait_for(self, needs: Sequence[str]) -> bool:
        """Waits until all that are part of this stack are good. Returns False when the stack stops first."""
        wanted = [self.conditions[name] for name in needs if name in self.conditions]
        while not all(condition.good for condition in wanted):
            if self.stopping.wait(POLL_S / 3):
                return False
        return not self.stopping.is_set()

    def _pause(self, seconds: float) -> None:
        """Waits, but not longer than until the next deployment: it may have mended what was wrong."""
        deadline, deployments = time.monotonic() + seconds, self._deployments
        while time.monotonic() < deadline and deployments == self._deployments:
            if self.stopping.wait(min(POLL_S, seconds)):
                return

    def _enter(self, name: str, state: str, detail: str = "") -> None:
        condition = self.conditions[name]
        if condition.state != state:
            condition.since = time.time()
        condition.state, condition.detail = state, detail

    def _stop_all(self) -> None:
        self.say("stopping")
        for step in self.steps:
            if not self.conditions[step.name].good:
                self._enter(step.name, "stopped")
        for wave in range(STOP_WAVES):
            threads = [threading.Thread(target=self._stop_one, args=(p,)) for p in self.parts if p.stop_wave == wave]
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                self.write_status()
                threads[-1].join(0.2)
                for thread in threads:
                    thread.join(0.05)

    def _stop_one(self, part: Part) -> None:
        began = time.monotonic()
        if self._running.get(part.name) is None:
            self._enter(part.name, "stopped")
            return
        went = self._end(part)
        self._enter(part.name, "stopped", "" if went else "had to be killed")
        how = "stopped" if went else f"killed, as it had not stopped within {part.stop_limit_s:.0f} s"
        self.say(f"{part.name}: {how} after {time.monotonic() - began:.1f} s")


def _say(line: str) -> None:
    """One line of the supervisor's own log."""
    print(f"{datetime.now(UTC).isoformat(timespec='milliseconds')} {line}", flush=True)


def _death(code: int | None, line: str) -> str:
    if code is None:
        how = "ended"
    elif code < 0:
        how = f"killed by {signal.Signals(-code).name}"
    else:
        how = f"ended with status {code}"
    return f"{how}: {line}" if line else how


def build(settings: Settings) -> Supervisor:
    """The supervisor of the whole stack; fetches what is missing, silently."""
    installed = install(settings.cache, lambda _what, _done, _total: None)
    values: Mapping[str, str] = load_or_make(settings)
    return Supervisor(settings, catalogue.parts(settings, installed, values), catalogue.steps(settings, values))


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs until SIGTERM; returns the exit status (3: another supervisor has this state)."""
    parser = argparse.ArgumentParser(prog="python -m stack.supervisor", description=__doc__)
    parser.add_argument("--state", type=Path)
    settings = load(state=parser.parse_args(arguments).state)
    settings.run_dir.mkdir(parents=True, exist_ok=True)
    settings.logs_dir.mkdir(parents=True, exist_ok=True)
    # the one before may have said that it has stopped and be about to go
    lock = lock_within(settings.run_dir / "supervisor.lock", 10)
    if lock is None:
        print(f"another supervisor keeps {settings.state}", file=sys.stderr)
        return 3
    (settings.run_dir / "supervisor.pid").write_text(str(os.getpid()), encoding="utf-8")
    supervisor = build(settings)
    signal.signal(signal.SIGTERM, lambda *_: supervisor.stopping.set())
    signal.signal(signal.SIGINT, lambda *_: supervisor.stopping.set())
    signal.signal(signal.SIGHUP, lambda *_: supervisor.deploy_again())
    _say(f"supervisor {os.getpid()} keeps {settings.state}")
    supervisor.run()
    (settings.run_dir / "supervisor.pid").unlink(missing_ok=True)
    _say("all stopped")
    os.close(lock)
    return 0


if __name__ == "__main__":
    sys.exit(main())
