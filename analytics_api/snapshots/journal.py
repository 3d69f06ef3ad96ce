"""The service's journal: a JSON line for each snapshot run, appended whole, rotated by size."""

import fcntl
import os
from pathlib import Path
from typing import Any

import msgspec
import structlog

log = structlog.get_logger("analytics_api.journal")

LARGEST_BYTES = 64 * 1024 * 1024
KEPT = 5


def write(folder: Path, entry: dict[str, Any]) -> None:
    """Append a line to `folder`/journal. A journal that cannot be written is logged, and stops nothing."""
    line = msgspec.json.encode(entry) + b"\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "journal"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
        try:
            # Several processes append; the lock keeps a rotation from tearing a line away.
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            os.write(descriptor, line)
            if os.fstat(descriptor).st_size > LARGEST_BYTES and os.path.samestat(os.fstat(descriptor), path.stat()):
                for number in range(KEPT - 1, 0, -1):
                    old = folder / f"journal.{number}"
                    if old.exists():
                        old.rename(folder / f"journal.{number + 1}")
                path.rename(folder / "journal.1")
        finally:
            os.close(descriptor)
    except OSError as error:
        log.error("journal cannot be written", error=str(error), folder=str(folder))  # noqa: TRY400  (no trace: a full disk)
