"""The supervisor's logic, on parts that are small programs of the test's own."""

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stack import logs, process
from stack.parts.base import NotReadyError, Part, PrepareError, Step
from stack.settings import Settings, load
from stack.supervisor import Supervisor

SLEEPER = "import time\nwhile True: time.sleep(0.1)"
LIMIT_S = 20


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = load(state=tmp_path, environ={})
    made.run_dir.mkdir()
    made.logs_dir.mkdir()
    return made


def a_part(name: str = "one", program: str = SLEEPER, **more: object) -> Part:
    fields = {"ready": lambda: None, "stop_limit_s": 2.0, **more}
    return Part(name=name, command=[sys.executable, "-c", program], **fields)  # type: ignore[arg-type] # whatever a test sets


@contextmanager
def supervised(settings: Settings, parts: list[Part], steps: list[Step] | None = None) -> Iterator[Supervisor]:
    supervisor = Supervisor(settings, parts, steps or [], backoff_s=(0.1, 0.2))
    thread = threading.Thread(target=supervisor.run)
    thread.start()
    try:
        yield supervisor
    finally:
        supervisor.stopping.set()
        thread.join(LIMIT_S)
        assert not thread.is_alive()


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def test_a_part_that_dies_is_started_again_and_its_last_words_are_kept(settings: Settings) -> None:
    """A part may die at any time: it comes back, and status tells why it went."""
    program = f"import sys, time; time.sleep(0.3); print('ERROR disk on fire'); sys.exit(7)\n{SLEEPER}"
    with supervised(settings, [a_part(program=program)]) as supervisor:
        condition = supervisor.conditions["one"]
        until(lambda: condition.restarts >= 2)
        assert condition.last_error == "ended with status 7: ERROR disk on fire"


def test_what_a_part_needs_is_ready_before_it_starts(settings: Settings) -> None:
    """Parts start side by side, except where one needs the other."""
    allowed = threading.Event()

    def ready() -> None:
        if not allowed.is_set():
            raise NotReadyError("not yet")

    parts = [a_part("first", ready=ready), a_part("beside"), a_part("second", needs=("first",))]
    with supervised(settings, parts) as supervisor:
        until(lambda: supervisor.conditions["beside"].state == "ready")
        until(lambda: supervisor.conditions["first"].detail == "not yet")
        assert supervisor.conditions["second"].state == "waiting"
        allowed.set()
        until(supervisor.healthy)


def test_a_part_that_stops_working_is_unready_though_its_process_runs(settings: Settings) -> None:
    """A process alone is no proof of health."""
    works = threading.Event()
    works.set()

    def ready() -> None:
        if not works.is_set():
            raise NotReadyError("answers nothing")

    with supervised(settings, [a_part(ready=ready)]) as supervisor:
        until(supervisor.healthy)
        works.clear()
        until(lambda: supervisor.conditions["one"].state == "unready")
        assert not supervisor.healthy()
        works.set()
        until(supervisor.healthy)
        assert supervisor.conditions["one"].restarts == 0
        assert supervisor.conditions["one"].last_error == "answers nothing"


def test_a_part_that_never_gets_ready_is_started_anew(settings: Settings) -> None:
    """A start that hangs has a limit, and says what it waited for."""

    def ready() -> None:
        raise NotReadyError("port 1 does not answer")

    with supervised(settings, [a_part(ready=ready, start_limit_s=0.2)]) as supervisor:
        until(lambda: supervisor.conditions["one"].restarts >= 1)
        assert supervisor.conditions["one"].last_error == "not ready after 0 s: port 1 does not answer"


def test_a_part_that_cannot_be_prepared_says_why(settings: Settings) -> None:
    """What is wrong on disk is told in the part's own words."""

    def prepare() -> None:
        raise PrepareError("no room for data")

    with supervised(settings, [a_part(prepare=prepare)]) as supervisor:
        until(lambda: supervisor.conditions["one"].last_error == "no room for data")


def test_a_part_that_ignores_the_request_to_stop_is_killed_after_its_limit(settings: Settings) -> None:
    """Stopping ends, whatever a part does."""
    stubborn = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True)\n{SLEEPER}"
    with supervised(settings, [a_part(program=stubborn, stop_limit_s=0.3)]) as supervisor:
        until(lambda: logs.last_lines(settings.logs_dir / "one.log", 1) == ["deaf"])
        until(supervisor.healthy)
    assert supervisor.conditions["one"].detail == "had to be killed"
    assert not (settings.run_dir / "one.pid").exists()


def test_workers_go_with_their_killed_server(settings: Settings) -> None:
    """A server that is killed leaves no worker behind to hold its port."""
    program = f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {SLEEPER!r}])\n{SLEEPER}"
    pid_file = settings.run_dir / "one.pid"
    with supervised(settings, [a_part(program=program)]) as supervisor:
        until(lambda: len(process.survivors(pid_file)) == 2)
        workers = process.survivors(pid_file)
        pid = supervisor.conditions["one"].pid
        assert pid is not None
        os.kill(pid, 9)
        until(lambda: supervisor.conditions["one"].restarts == 1 and supervisor.healthy())
        assert not any(worker.is_running() and worker.status() != "zombie" for worker in workers)


def test_a_second_supervisor_takes_over_what_the_first_left_running(settings: Settings) -> None:
    """After kill -9 of the supervisor its parts go on, and the next one keeps the very same processes."""
    part = a_part()
    child, running = process.start(part, settings.logs_dir / "one.log", settings.run_dir / "one.pid")
    threading.Thread(target=child.wait, daemon=True).start()
    with supervised(settings, [part]) as supervisor:
        until(supervisor.healthy)
        assert supervisor.conditions["one"].pid == running.pid
    assert not running.alive()


def test_a_part_running_with_other_settings_is_replaced(settings: Settings) -> None:
    """What is taken over is what is wanted now, not what was wanted then."""
    child, running = process.start(a_part(), settings.logs_dir / "one.log", settings.run_dir / "one.pid")
    threading.Thread(target=child.wait, daemon=True).start()
    with supervised(settings, [a_part(environment={"CHECKS_TIMEZONE": "Asia/Tokyo"})]) as supervisor:
        until(supervisor.healthy)
        assert supervisor.conditions["one"].pid != running.pid
        assert not running.alive()


def test_a_step_that_fails_is_tried_again_then_told(settings: Settings) -> None:
    """A deployment that fails makes the pipeline unhealthy, with the reason in one line."""
    program = "import sys; print('30_places.sql:4:7: no such column'); sys.exit(1)"
    step = Step(name="ksql", command=[sys.executable, "-c", program])
    with supervised(settings, [], [step]) as supervisor:
        until(lambda: supervisor.conditions["ksql"].state == "failed")
        assert supervisor.conditions["ksql"].last_error == "ended with status 1: 30_places.sql:4:7: no such column"
        assert not supervisor.healthy()


def test_deploying_again_runs_the_steps_once_more(settings: Settings, tmp_path: Path) -> None:
    """Changed ksql files are taken up without a restart of the parts."""
    counter = tmp_path / "runs"
    step = Step(name="ksql", command=[sys.executable, "-c", f"open({str(counter)!r}, 'a').write('x')"])
    with supervised(settings, [a_part()], [step]) as supervisor:
        until(supervisor.healthy)
        pid = supervisor.conditions["one"].pid
        supervisor.deploy_again()
        until(lambda: counter.read_text() == "xx")
        until(supervisor.healthy)
        assert supervisor.conditions["one"].pid == pid


def test_status_file_tells_everything_that_the_supervisor_knows(settings: Settings) -> None:
    """Whoever looks from outside sees the same as the supervisor itself."""
    with supervised(settings, [a_part()]) as supervisor:
        until(supervisor.healthy)
        supervisor.write_status()
        document = json.loads((settings.run_dir / "status.json").read_text())
        assert document["healthy"] is True
        assert document["supervisor_pid"] == os.getpid()
        assert [one["name"] for one in document["conditions"]] == ["one"]


def test_others_passwords_are_not_inherited(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A part gets the secrets it is given and no other, even when the operator's shell has them all."""
    monkeypatch.setenv("CHECKS_DATABASE_OWNER_URL", "secret")
    monkeypatch.setenv("CHECKS_INTAKE_KEYS", "kept")
    out = tmp_path / "seen"
    program = f"import json, os; open({str(out)!r}, 'w').write(json.dumps(dict(os.environ)))\n{SLEEPER}"
    with supervised(settings, [a_part(program=program, environment={"CHECKS_SINK_PASSWORD": "mine"})]):
        until(lambda: out.exists() and out.read_text().endswith("}"))
    seen = json.loads(out.read_text())
    assert "CHECKS_DATABASE_OWNER_URL" not in seen
    assert (seen["CHECKS_SINK_PASSWORD"], seen["CHECKS_INTAKE_KEYS"]) == ("mine", "kept")
