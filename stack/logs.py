"""Log files of the parts: cut when large, a few generations kept, their last words at hand."""

import shutil
from pathlib import Path

MAX_SIZE_BYTES = 20 * 1024 * 1024
GENERATIONS = 3


def rotate(log: Path, *, max_size_bytes: int = MAX_SIZE_BYTES) -> bool:
    """Moves a large log's content to `.1` (that to `.2`, …) and empties it. Returns whether it did.

    The file itself stays: the part has it open for appending and goes on writing at its new end.
    """
    if not log.exists() or log.stat().st_size < max_size_bytes:
        return False
    for number in range(GENERATIONS - 1, 0, -1):
        older = log.with_name(f"{log.name}.{number}")
        if older.exists():
            older.replace(log.with_name(f"{log.name}.{number + 1}"))
    shutil.copyfile(log, log.with_name(f"{log.name}.1"))
    with log.open("r+b") as stream:
        stream.truncate(0)
    return True


def last_lines(log: Path, count: int, *, since_byte: int = 0) -> list[str]:
    """The last non-empty lines written after `since_byte`."""
    if not log.exists():
        return []
    size = log.stat().st_size
    with log.open("rb") as stream:
        stream.seek(max(min(since_byte, size), size - 64 * 1024))
        text = stream.read().decode("utf-8", "replace")
    return [line.rstrip() for line in text.splitlines() if line.strip()][-count:]


def telling_line(log: Path, *, since_byte: int = 0) -> str:
    """The line that most likely says why a process ended: the last that names an error, or the last at all."""
    lines = last_lines(log, 200, since_byte=since_byte)
    words = ("error", "fatal", "exception", "refused", "denied", "failed", "cannot")
    telling = [line for line in lines if any(word in line.casefold() for word in words) and not line.startswith(" ")]
    line = (telling or lines or [""])[-1].strip()
    return line if len(line) <= 300 else line[:299] + "…"
