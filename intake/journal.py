"""The journal: a JSON line for every check received, accepted or not, in files that several processes share.

Lines are handed over in memory and written by a thread, many at a time, so that no request waits for a disk. Every
write is one `write(2)` to a file opened for appending, under a lock that rotation takes too: lines of several processes
never mix, and none goes into a file that was just removed. A disk that is full or broken never stops intake: lines are
dropped and counted, which is an alarm in `/metrics` and `/health/ready`.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path

log = logging.getLogger("intake.journal")

_WRITE_EVERY_S = 0.1
_MOST_AT_ONCE_BYTES = 4 * 1024 * 1024


class JournalFile:
    """The file `journal` in a folder, with older ones beside it: journal.1, the newest of them, journal.2 and so on."""

    def __init__(self, folder: Path, file_bytes: int, files: int) -> None:
        self.folder = folder
        self.path = folder / "journal"
        self._file_bytes = file_bytes
        self._files = files
        self._lock_path = folder / "journal.lock"
        self._descriptor = -1
        self._lock = -1

    def append(self, data: bytes) -> None:
        """Append whole lines, in a new file when the old one would grow over its size. Raises OSError."""
        with self._locked():
            self._open_current()
            size_bytes = os.fstat(self._descriptor).st_size
            if size_bytes and size_bytes + len(data) > self._file_bytes:
                self._rotate()
                size_bytes = 0
            try:
                written = os.write(self._descriptor, data)
                while written < len(data):
                    written += os.write(self._descriptor, data[written:])
            except OSError:
                # Half a line would make the next one unreadable too.
                with contextlib.suppress(OSError):
                    os.ftruncate(self._descriptor, size_bytes)
                raise

    def close(self) -> None:
        """Let go of the files."""
        for descriptor in (self._descriptor, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._descriptor = self._lock = -1

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        if self._lock < 0:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _open_current(self) -> None:
        """Make sure that the descriptor is the file of that name: another process may have rotated it."""
        if self._descriptor >= 0:
            try:
                named, held = self.path.stat(), os.fstat(self._descriptor)
                if (named.st_ino, named.st_dev) == (held.st_ino, held.st_dev):
                    return
            except FileNotFoundError:
                pass
            os.close(self._descriptor)
            self._descriptor = -1
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)

    def _numbered(self, number: int) -> Path:
        return self.folder / f"journal.{number}"

    def _rotate(self) -> None:
        if self._files == 1:
            self.path.unlink()
        else:
            self._numbered(self._files - 1).unlink(missing_ok=True)
            for number in range(self._files - 2, 0, -1):
                with contextlib.suppress(FileNotFoundError):
                    self._numbered(number).rename(self._numbered(number + 1))
            self.path.rename(self._numbered(1))
        self._open_current()


class Journal:
    """Takes lines from the event loop and has a thread write them."""

    def __init__(self, file: JournalFile, queue_bytes: int) -> None:
        self._file = file
        self._most_bytes = queue_bytes
        self._lines: deque[bytes] = deque()
        self._added_bytes = 0  # changed by whoever adds, the event loop
        self._taken_bytes = 0  # changed by the thread
        self._there_is_work = threading.Event()
        self._stopping = threading.Event()
        self.written = 0
        """Lines on disk."""
        self.dropped = 0
        """Lines that were given up because the disk is full, broken or too slow."""
        self.failure: str | None = None
        """Why the last write failed; None when it did not."""
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def add(self, line: bytes) -> None:
        """Hand over a line, its newline included. Never waits and never fails. Called by the event loop alone."""
        if self._added_bytes - self._taken_bytes > self._most_bytes:
            self.dropped += 1
            self.failure = self.failure or "the disk is too slow"
            return
        self._added_bytes += len(line)
        self._lines.append(line)
        if not self._there_is_work.is_set():
            self._there_is_work.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._there_is_work.wait()
            # Let lines come together: each wake-up of this thread takes the interpreter from the event loop.
            self._stopping.wait(_WRITE_EVERY_S)
            self._there_is_work.clear()
            self._write_waiting()
        self._write_waiting()

    def _write_waiting(self) -> None:
        lines: list[bytes] = []
        size_bytes = 0
        while self._lines:
            line = self._lines.popleft()
            lines.append(line)
            size_bytes += len(line)
            if size_bytes >= _MOST_AT_ONCE_BYTES:
                self._write(lines, size_bytes)
                lines, size_bytes = [], 0
        if lines:
            self._write(lines, size_bytes)

    def _write(self, lines: list[bytes], size_bytes: int) -> None:
        try:
            self._file.append(b"".join(lines))
        except OSError as error:
            self.dropped += len(lines)
            if self.failure is None:
                log.error("journal: %s; checks are taken all the same, without their lines", error)  # noqa: TRY400
            self.failure = str(error)
        else:
            self.written += len(lines)
            if self.failure is not None:
                log.warning("journal: is written again; %d lines were dropped", self.dropped)
            self.failure = None
        self._taken_bytes += size_bytes

    def close(self) -> None:
        """Write what is waiting and stop."""
        self._stopping.set()
        self._there_is_work.set()
        self._thread.join(timeout=10)
        self._file.close()
