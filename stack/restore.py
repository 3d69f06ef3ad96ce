"""`scripts/restore`: makes a new state folder from a file of `scripts/backup`; `scripts/run` then starts from it."""

import argparse
import json
import shutil
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

from stack import control, preflight
from stack.archives import unpack
from stack.backup import DUMP, FORMAT, MANIFEST, BackupError, only_postgres, postgres_program
from stack.parts import postgres
from stack.secrets import load_or_make
from stack.settings import Settings, SettingsError, load


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(prog="scripts/restore", description=__doc__)
    parser.add_argument("file", type=control.state_argument)
    parser.add_argument("--state", type=control.state_argument, metavar="DIR", help="a new folder (default: var/)")
    options = parser.parse_args(arguments)
    try:
        settings = load(state=options.state)
        restore(settings, options.file)
    except (BackupError, SettingsError, preflight.PreflightError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"restored. Start it with: scripts/run --state {settings.state}")
    return 0


def restore(settings: Settings, file: Path) -> None:
    """Fills an empty state folder from the file; cut off, it can be done again. Raises BackupError."""
    manifest = read_manifest(file)
    if manifest.get("format") != FORMAT:
        raise BackupError(f"{file} has format {manifest.get('format')}, this version reads format {FORMAT}")
    settings.state.mkdir(parents=True, exist_ok=True)
    settings.state.chmod(0o755)
    marker, dump = settings.state / preflight.RESTORING, settings.state / DUMP
    if marker.exists():
        _empty(settings)
    elif any(entry.name not in {"cache", "bootstrap.lock"} for entry in settings.state.iterdir()):
        raise BackupError(f"{settings.state} is not empty: restore into a new folder (--state DIR)")
    marker.touch()
    print(f"unpacking {file}", flush=True)
    with tarfile.open(file) as archive:
        unpack(archive, settings.state)
    settings.secrets_dir.chmod(0o700)
    values = load_or_make(settings)  # with this machine's ports
    preflight.ports_are_free(settings, [postgres.part(settings, values)])
    print("restoring PostgreSQL", flush=True)
    with only_postgres(settings, values):
        postgres_program(settings, values, "pg_restore", "--exit-on-error", "--dbname=checks", str(dump))
    dump.unlink()
    (settings.state / MANIFEST).unlink()
    marker.unlink()


def read_manifest(file: Path) -> dict[str, object]:
    """What the file says of itself. Raises BackupError when it is no backup."""
    try:
        with tarfile.open(file) as archive:
            first = archive.next()
            stream = archive.extractfile(first) if first is not None and first.name == MANIFEST else None
            if stream is None:
                raise BackupError(f"{file} is no backup of a stack: it does not begin with {MANIFEST}")
            manifest: dict[str, object] = json.load(stream)
            return manifest
    except (OSError, tarfile.TarError, ValueError) as error:
        raise BackupError(f"{file} cannot be read as a backup: {error}") from error


def _empty(settings: Settings) -> None:
    where = postgres.place(settings).data.parent
    for entry in [*settings.state.iterdir(), where]:
        if entry.name in {"cache", preflight.RESTORING}:
            continue
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
