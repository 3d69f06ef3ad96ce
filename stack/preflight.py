"""What must be so before anything starts: room, memory, free ports. Each failure is one line that names the mend."""

import shutil
from collections.abc import Iterable
from pathlib import Path

import psutil

from stack import process
from stack.parts.base import Part, busy_port_message, port_is_free
from stack.settings import Settings

NEEDED_DISK_BYTES = 1_000_000_000
NEEDED_CACHE_BYTES = 1_200_000_000
NEEDED_MEMORY_BYTES = 2_500_000_000
RESTORING = ".restoring"
"""A file of this name is in the state folder while a restore is under way, or was cut off."""


class PreflightError(Exception):
    """The stack cannot start here; the message is one line that names the mend."""


def make_state(settings: Settings) -> None:
    """Makes the state folder. Raises PreflightError when it cannot be written to."""
    try:
        if not settings.state.exists():
            settings.state.mkdir(parents=True)
            settings.state.chmod(0o755)  # PostgreSQL's user must reach its own folder in it
        if (settings.state / RESTORING).exists():
            raise PreflightError(f"a restore into {settings.state} was cut off: run scripts/restore again")
        probe = settings.state / ".writable"
        probe.touch()
        probe.unlink()
        settings.cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PreflightError(
            f"{error.filename} cannot be written to ({error.strerror}): choose another folder with --state DIR "
            "(and CHECKS_CACHE for downloads), or run as its owner"
        ) from error


def enough_disk(settings: Settings, *, downloaded: bool) -> None:
    """Raises PreflightError when the state or the downloads would not fit."""
    wanted = [(settings.state, NEEDED_DISK_BYTES, "--state DIR")]
    if not downloaded:
        wanted.append((settings.cache, NEEDED_CACHE_BYTES, "CHECKS_CACHE=DIR"))
    for folder, needed, mend in wanted:
        free = shutil.disk_usage(_existing(folder)).free
        if free < needed:
            room = f"{free / 1e9:.1f} GB free, {needed / 1e9:.1f} GB are needed"
            raise PreflightError(f"{folder} has {room}: free some, or use {mend} elsewhere")


def enough_memory() -> None:
    """Raises PreflightError when the parts together would not fit."""
    available = psutil.virtual_memory().available
    if available < NEEDED_MEMORY_BYTES:
        raise PreflightError(
            f"{available / 1e9:.1f} GB of memory are available, {NEEDED_MEMORY_BYTES / 1e9:.1f} GB are needed: "
            "close other programs or use a larger machine"
        )


def ports_are_free(settings: Settings, parts: Iterable[Part]) -> None:
    """Raises PreflightError for the first port that another program has; our own parts may still be running."""
    for part in parts:
        file = settings.run_dir / f"{part.name}.pid"
        if process.read_pid_file(file) is not None or process.survivors(file):
            continue
        for name in part.ports:
            if not port_is_free(settings.host, settings.ports[name]):
                raise PreflightError(busy_port_message(settings, name))


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path
