"""Starting, stopping, crashing and starting again, with a real broker and a real PostgreSQL of the test's own."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from stack import free_ports
from stack.settings import CHECKOUT
from tests.fix_stack import Stack, attach, start, stop, wait_for

PARTS = "kafka,postgres"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    # not pytest's own folder for it, through which PostgreSQL's user does not get
    with tempfile.TemporaryDirectory(prefix="checks-own-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.fixture(scope="module")
def ports() -> dict[str, str]:
    return free_ports.choose()


@pytest.fixture(scope="module")
def state(folder: Path, ports: dict[str, str]) -> Iterator[Path]:
    """A stack of two parts; each test leaves it running, in whatever processes."""
    state = folder / "state"
    for name in ("kafka/data.new", "postgres/data.new"):
        # as a start leaves it that was cut off by a power cut
        (state / name).mkdir(parents=True)
        (state / name / "half-written").touch()
    start(state, CHECKS_ONLY=PARTS, **ports)
    yield state
    stop(state)


@pytest.fixture
def own(state: Path) -> Stack:
    return attach(state)


def command(name: str, state: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "CHECKS_ONLY": PARTS, **environment}
    words = [sys.executable, "-m", f"stack.{name}", "--state", str(state), *arguments]
    return subprocess.run(words, cwd=CHECKOUT, env=variables, text=True, capture_output=True, check=False, timeout=180)


def supervisor(own: Stack) -> psutil.Process:
    return psutil.Process(int((own.state / "run" / "supervisor.pid").read_text()))


def kill_supervisor(own: Stack) -> None:
    process = supervisor(own)
    process.kill()
    wait_for(lambda: not process.is_running() or process.status() == "zombie", limit_s=10, what="supervisor is dead")


def test_half_written_folders_of_a_cut_off_start_are_made_anew(own: Stack) -> None:
    """A power cut during the very first start leaves nothing that the next one stumbles over."""
    assert (own.state / "kafka" / "data" / "meta.properties").exists()
    assert not list(own.state.glob("*/data/half-written"))


def test_status_is_right_and_tells_pid_and_memory(own: Stack) -> None:
    """`scripts/status --json` has exit status 0 and what a monitor wants to know."""
    done = command("status", own.state, "--json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["healthy"], report["problems"]) == (0, True, [])
    parts = {part["name"]: part for part in report["parts"]}
    assert parts["kafka"]["pid"] == own.pid("kafka")
    assert parts["kafka"]["memory_bytes"] > 50_000_000


def test_parts_outlive_their_supervisor_and_the_next_one_takes_them_over(own: Stack, ports: dict[str, str]) -> None:
    """A kill -9 of the supervisor interrupts nothing: the same processes go on under the next one."""
    before = {name: own.pid(name) for name in ("kafka", "postgres")}
    kill_supervisor(own)
    assert command("status", own.state).returncode == 1
    done = command("run", own.state, "--detach", **ports)
    assert done.returncode == 0, done.stderr
    assert {name: own.pid(name) for name in ("kafka", "postgres")} == before
    assert command("status", own.state).returncode == 0


def test_everything_killed_at_once_comes_up_again(own: Stack, ports: dict[str, str]) -> None:
    """Stale pid files of all parts, PostgreSQL's own included, are seen through."""
    with psycopg.connect(own.owner_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept AS SELECT 42 AS answer")
    processes = [psutil.Process(own.pid(name)) for name in ("kafka", "postgres")]
    kill_supervisor(own)
    for process in processes:
        process.kill()
    # the number in PostgreSQL's own file now belongs to somebody else
    postmaster = own.state / "postgres" / "data" / "postmaster.pid"
    postmaster.write_text(postmaster.read_text().replace(str(processes[1].pid), str(os.getpid()), 1))
    done = command("run", own.state, "--detach", **ports)
    assert done.returncode == 0, done.stderr
    with psycopg.connect(own.owner_url) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


@pytest.mark.parametrize("part", ["kafka", "postgres"])
def test_a_killed_part_is_started_again_and_says_so(own: Stack, part: str) -> None:
    """A part that dies comes back by itself; status counts it and keeps the reason."""
    restarts = own.status()[part]["restarts"]
    killed = own.kill(part)
    own.wait_ready(part, other_than=killed)
    condition = own.status()[part]
    assert condition["restarts"] > restarts
    # a part that was taken over is no child any more, and only a parent is told the signal
    assert condition["last_error"].startswith(("killed by SIGKILL", "ended"))


def test_run_again_picks_up_what_runs(own: Stack, ports: dict[str, str]) -> None:
    """A second `scripts/run` starts nothing twice and is quick."""
    before = (supervisor(own).pid, own.pid("kafka"))
    done = command("run", own.state, "--detach", **ports)
    assert done.returncode == 0, done.stderr
    assert (supervisor(own).pid, own.pid("kafka")) == before
    assert "already running" in done.stdout


def test_run_with_other_ports_than_the_running_stack_is_refused(own: Stack) -> None:
    """Ports cannot change under a running stack; the line says what to do."""
    before = (own.state / "secrets" / "env").read_text()
    for words in (["run", "--detach"], ["backup"]):
        done = command(words[0], own.state, *words[1:], **free_ports.choose())
        assert done.returncode == 1
        assert "already running with CHECKS_" in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert (own.state / "secrets" / "env").read_text() == before, "the running stack's addresses were overwritten"


def test_a_busy_port_is_one_line_that_names_its_variable(folder: Path) -> None:
    """Nothing is started when a port is taken, and the operator learns which and how to choose another."""
    given = free_ports.choose()
    with socket.create_server(("127.0.0.1", int(given["CHECKS_POSTGRES_PORT"]))):
        done = command("run", folder / "busy", "--detach", **given)
    assert done.returncode == 1
    assert done.stderr.startswith(f"port {given['CHECKS_POSTGRES_PORT']} is in use by another program")
    assert "CHECKS_POSTGRES_PORT=" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert command("stop", folder / "busy").stdout.startswith("nothing runs")


def test_ctrl_c_in_the_foreground_stops_everything(folder: Path) -> None:
    """A foreground `scripts/run` ends cleanly on SIGINT, with all of its parts."""
    state, given = folder / "foreground", free_ports.choose()
    variables = {**os.environ, "CHECKS_ONLY": "postgres", **given}
    words = [sys.executable, "-m", "stack.run", "--state", str(state)]
    # whoever runs the tests in a shell's background has them ignore SIGINT, and their children with them
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        run = subprocess.Popen(words, cwd=CHECKOUT, env=variables, text=True, stdout=subprocess.PIPE)
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        assert run.stdout is not None
        for line in run.stdout:
            if "Everything is healthy" in line:
                break
        pid = attach(state).pid("postgres")
        run.send_signal(signal.SIGINT)
        rest, _ = run.communicate(timeout=60)
    finally:
        run.terminate()
        run.wait(60)
    assert run.returncode == 0, rest
    assert "everything has stopped" in rest
    assert not psutil.pid_exists(pid)


def test_a_backup_brings_back_log_and_tables_elsewhere(own: Stack, folder: Path, ports: dict[str, str]) -> None:
    """What was in Kafka and PostgreSQL when the backup was made is there again in a new folder, on other ports."""
    admin = AdminClient({"bootstrap.servers": own.kafka, "log_level": 0})
    admin.create_topics([NewTopic("kept", 1)])["kept"].result()
    producer = Producer({"bootstrap.servers": own.kafka, "log_level": 0})
    producer.produce("kept", value=b"a check")
    assert producer.flush(10) == 0
    with psycopg.connect(own.owner_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS users_kept AS SELECT 'admin' AS name")
        connection.execute("GRANT SELECT ON users_kept TO checks_bi")
    file, elsewhere = folder / "backup.tar", folder / "restored"
    done = command("backup", own.state, str(file), **ports)
    assert done.returncode == 0, done.stderr
    assert file.stat().st_mode & 0o777 == 0o600
    given = free_ports.choose()
    done = command("restore", elsewhere, str(file), **given)
    assert done.returncode == 0, done.stderr
    restored = start(elsewhere, CHECKS_ONLY=PARTS, **given)
    try:
        with psycopg.connect(restored.bi_url) as connection:
            assert connection.execute("SELECT name FROM users_kept").fetchone() == ("admin",)
        consumer = Consumer({"bootstrap.servers": restored.kafka, "group.id": "reader"})
        consumer.assign([TopicPartition("kept", 0, 0)])
        record = consumer.poll(20)
        consumer.close()
        assert record is not None
        assert record.value() == b"a check"
    finally:
        stop(elsewhere)


def test_restore_into_a_used_folder_is_refused(own: Stack, tmp_path: Path) -> None:
    """A restore never mixes two stacks."""
    nothing = tmp_path / "no-backup.tar"
    nothing.write_bytes(b"no tar")
    done = command("restore", own.state, str(nothing))
    assert done.returncode == 1
    assert "cannot be read as a backup" in done.stderr
