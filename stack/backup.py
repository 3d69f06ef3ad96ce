"""`scripts/backup`: one file with everything that a stack knows, from one moment.

The stack stops for as long as it takes to copy: only then do the log, the sinks' offsets and the tables agree. Users'
requests meanwhile get connection errors, and sending a check again is always safe. PostgreSQL is dumped, not copied,
so that a later version can read it.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from stack import control
from stack.downloads import LOCK_FILE
from stack.locks import lock_within
from stack.parts import postgres
from stack.run import StartError, same_settings, wait_until_healthy
from stack.secrets import load_or_make
from stack.settings import Settings, load
from stack.supervisor import Supervisor
from stack.view import View

FORMAT = 1
DUMP = "postgres.dump"
MANIFEST = "manifest.json"
LEFT_OUT = {"postgres", "logs", "run", "cache", "backups", "bootstrap.lock", ".restoring"}
"""What a backup does not hold: dumped instead, made anew at each start, or downloaded again."""


class BackupError(Exception):
    """No backup was made, or none could be restored; the message is one line that says why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(prog="scripts/backup", description=__doc__)
    parser.add_argument(
        "file", nargs="?", type=control.state_argument, help="default: <state>/backups/checks-<time>.tar"
    )
    parser.add_argument(
        "--state", type=control.state_argument, metavar="DIR", help="the stack's folder (default: var/)"
    )
    options = parser.parse_args(arguments)
    settings = load(state=options.state)
    name = f"checks-{datetime.now(UTC):%Y%m%d-%H%M%S}.tar"
    file: Path = options.file or settings.state / "backups" / name
    try:
        backup(settings, file)
    except (BackupError, StartError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{file} ({file.stat().st_size / 1e6:.1f} MB). Bring it back with: scripts/restore {file} --state NEW_FOLDER")
    return 0


def backup(settings: Settings, file: Path) -> None:
    """Writes the file, whole or not at all; a stack that ran runs again afterwards. Raises BackupError."""
    if not (settings.secrets_dir / "env").exists():
        raise BackupError(f"there is no stack in {settings.state}: name its folder with --state")
    if file.exists():
        raise BackupError(f"{file} exists: name another file")
    ran = control.supervisor_pid(settings) is not None
    if ran:
        same_settings(settings)  # it is started again on the ports of now
        print("stopping the stack", flush=True)
        if not control.stop_supervisor(settings):
            raise BackupError("the stack did not stop; scripts/status shows what is left")
    control.stop_leftovers(settings, print)
    draft = file.with_name(f".{file.name}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
            write(settings, stream)
        draft.replace(file)
    except OSError as error:
        raise BackupError(f"{file} could not be written: {error}") from error
    finally:
        draft.unlink(missing_ok=True)
        if ran:
            print("starting it again", flush=True)
            control.start_supervisor(settings)
    if ran:
        with View() as view:
            wait_until_healthy(settings, view, 0)


def write(settings: Settings, stream: io.BufferedWriter) -> None:
    """Writes the archive of a stack that does not run."""
    values = load_or_make(settings)
    with tarfile.open(fileobj=stream, mode="w|") as archive:
        manifest = {
            "format": FORMAT,
            "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "jvm_parts": json.loads(LOCK_FILE.read_text("utf-8"))["kafka"][0]["coordinates"],
        }
        _add(archive, MANIFEST, json.dumps(manifest).encode())
        print("dumping PostgreSQL", flush=True)
        with only_postgres(settings, values):
            dump = settings.state / f".{DUMP}"
            postgres_program(settings, values, "pg_dump", "--format=custom", "--dbname=checks", f"--file={dump}")
            archive.add(dump, DUMP)
            dump.unlink()
        for entry in sorted(settings.state.iterdir()):
            if entry.name not in LEFT_OUT and not entry.name.startswith("."):
                print(f"copying {entry.name}", flush=True)
                archive.add(entry, entry.name)


@contextmanager
def only_postgres(settings: Settings, values: Mapping[str, str]) -> Iterator[None]:
    """PostgreSQL alone, of a stack that does not run otherwise. Raises BackupError."""
    settings.run_dir.mkdir(parents=True, exist_ok=True)
    settings.logs_dir.mkdir(parents=True, exist_ok=True)
    lock = lock_within(settings.run_dir / "supervisor.lock", 10)
    if lock is None:
        raise BackupError(f"a supervisor has just started in {settings.state}: stop it first (scripts/stop)")
    supervisor = Supervisor(settings, [postgres.part(settings, values)], [], say=lambda _line: None)
    thread = threading.Thread(target=supervisor.run)
    thread.start()
    try:
        deadline = time.monotonic() + 90
        while not supervisor.healthy():
            condition = supervisor.conditions["postgres"]
            if time.monotonic() > deadline or condition.restarts:
                raise BackupError(f"PostgreSQL does not start: {condition.last_error or condition.detail}")
            time.sleep(0.1)
        yield
    finally:
        supervisor.stopping.set()
        thread.join()
        os.close(lock)


def postgres_program(settings: Settings, values: Mapping[str, str], program: str, *arguments: str) -> None:
    """Runs one of PostgreSQL's own programs as the database's superuser. Raises BackupError."""
    connection = {
        "PGHOST": settings.host,
        "PGPORT": str(settings.ports["postgres"]),
        "PGUSER": "postgres",
        "PGPASSWORD": values["CHECKS_POSTGRES_PASSWORD"],
    }
    command = [str(postgres.BUNDLED / "bin" / program), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **connection})
    if done.returncode != 0:
        raise BackupError(f"{program}: {done.stderr.strip()[-400:]}")


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = len(content), 0o600, int(time.time())
    archive.addfile(info, io.BytesIO(content))


if __name__ == "__main__":
    sys.exit(main())
