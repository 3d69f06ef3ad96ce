"""The journal: whole lines from several processes through rotation; a full disk costs lines, never a request."""

import errno
import json
import multiprocessing
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from intake.journal import Journal, JournalFile


def lines_of(folder: Path) -> list[dict[str, int]]:
    return [
        json.loads(line)
        for path in sorted(folder.glob("journal*"))
        if path.name != "journal.lock"
        for line in path.read_bytes().splitlines()
    ]


def write_many(folder: Path, writer: int, count: int) -> None:
    """One process's part."""
    file = JournalFile(folder, 20_000, 1000)
    for number in range(count):
        file.append(json.dumps({"writer": writer, "number": number, "pad": "x" * (number % 200)}).encode() + b"\n")
    file.close()


def test_several_processes_and_rotation(tmp_path: Path) -> None:
    """Lines of several processes are all there once and whole, though the file is rotated under them."""
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_many, args=(tmp_path, writer, 1500)) for writer in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    found = sorted((line["writer"], line["number"]) for line in lines_of(tmp_path))
    assert found == [(writer, number) for writer in range(3) for number in range(1500)]
    sizes = [path.stat().st_size for path in tmp_path.glob("journal.[0-9]*")]
    assert len(sizes) > 10
    assert max(sizes) <= 20_000


def test_oldest_files_go(tmp_path: Path) -> None:
    """No more files are kept than the settings say, and the newest lines are in them."""
    file = JournalFile(tmp_path, 100, 3)
    for number in range(50):
        file.append(f'{{"number": {number}}}\n'.encode())
    file.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["journal", "journal.1", "journal.2", "journal.lock"]
    numbers = sorted(line["number"] for line in lines_of(tmp_path))
    assert numbers[-1] == 49
    assert numbers == list(range(numbers[0], 50))


def test_single_file(tmp_path: Path) -> None:
    """With one file to keep, rotation begins it anew."""
    file = JournalFile(tmp_path, 100, 1)
    for number in range(50):
        file.append(f'{{"number": {number}}}\n'.encode())
    file.close()
    assert (tmp_path / "journal").stat().st_size <= 100


def test_file_that_was_moved_away(tmp_path: Path) -> None:
    """When somebody moves or removes the file, the next line begins a new one."""
    file = JournalFile(tmp_path, 10_000, 3)
    file.append(b'{"number": 1}\n')
    (tmp_path / "journal").rename(tmp_path / "taken")
    file.append(b'{"number": 2}\n')
    (tmp_path / "journal").unlink()
    file.append(b'{"number": 3}\n')
    file.close()
    assert [line["number"] for line in lines_of(tmp_path)] == [3]


def test_half_a_line_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk fills up in the middle of a line, what was written of it is taken back."""
    file = JournalFile(tmp_path, 10_000, 3)
    file.append(b'{"number": 1}\n')
    write = os.write
    calls = []

    def full(descriptor: int, data: bytes) -> int:
        calls.append(1)
        if len(calls) == 1:
            return write(descriptor, data[:5])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        file.append(b'{"number": 2}\n')
    monkeypatch.undo()
    file.append(b'{"number": 3}\n')
    file.close()
    assert [line["number"] for line in lines_of(tmp_path)] == [1, 3]


class BrokenFile(JournalFile):
    """A file on a disk that can be full."""

    full = False

    def append(self, data: bytes) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        super().append(data)


def wait(event: threading.Event, condition: Callable[[], object]) -> None:
    for _ in range(200):
        if condition():
            return
        event.wait(0.05)
    raise AssertionError("not in time")


def test_full_disk_drops_lines_and_recovers(tmp_path: Path) -> None:
    """Lines are dropped and counted while the disk is full, and written again when it is not."""
    file = BrokenFile(tmp_path, 10_000, 3)
    file.full = True
    journal = Journal(file, 10_000)
    never = threading.Event()
    journal.add(b'{"number": 1}\n')
    wait(never, lambda: journal.failure)
    assert (journal.dropped, journal.written) == (1, 0)
    assert "No space left" in (journal.failure or "")
    file.full = False
    journal.add(b'{"number": 2}\n')
    wait(never, lambda: journal.written == 1)
    assert journal.failure is None
    journal.close()
    assert [line["number"] for line in lines_of(tmp_path)] == [2]


def test_slow_disk_drops_lines_rather_than_memory(tmp_path: Path) -> None:
    """Lines that wait for the disk take no more memory than they may."""
    file = BrokenFile(tmp_path, 1 << 20, 3)
    journal = Journal(file, 1000)
    for _ in range(100):
        journal.add(b"x" * 99 + b"\n")
    assert journal.dropped >= 80
    journal.close()
    assert journal.written + journal.dropped == 100


def test_close_writes_what_is_waiting(tmp_path: Path) -> None:
    """Nothing that was handed over is lost when intake stops."""
    journal = Journal(JournalFile(tmp_path, 1 << 20, 3), 1 << 20)
    for number in range(1000):
        journal.add(f'{{"number": {number}}}\n'.encode())
    journal.close()
    assert [line["number"] for line in lines_of(tmp_path)] == list(range(1000))
