"""Pid files: a part of ours is told from a stranger that has its number."""

import json
import os
from pathlib import Path

import psutil
import pytest

from stack.process import Running, read_pid_file, write_pid_file


def test_a_running_process_is_read_back(tmp_path: Path) -> None:
    """A pid file of a live process is believed."""
    running = Running("me", os.getpid(), psutil.Process().create_time(), "print")
    write_pid_file(tmp_path / "me.pid", running)
    assert read_pid_file(tmp_path / "me.pid") == running


def test_a_number_that_now_belongs_to_another_process_is_stale(tmp_path: Path) -> None:
    """After a restart of the machine numbers are given anew: the start time tells."""
    started_at = psutil.Process().create_time() - 3600
    write_pid_file(tmp_path / "me.pid", Running("me", os.getpid(), started_at, "print"))
    assert read_pid_file(tmp_path / "me.pid") is None


@pytest.mark.parametrize("text", ["", "{", "12", json.dumps({"pid": 1}), "\x00" * 20])
def test_a_broken_pid_file_is_as_none(tmp_path: Path, text: str) -> None:
    """A file that a crash cut off does not keep the stack from starting."""
    (tmp_path / "me.pid").write_text(text)
    assert read_pid_file(tmp_path / "me.pid") is None


def test_a_missing_pid_file_is_as_none(tmp_path: Path) -> None:
    """Nothing ran here yet."""
    assert read_pid_file(tmp_path / "me.pid") is None
