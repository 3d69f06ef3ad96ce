"""What must be so before anything starts; every refusal is one line that names the mend."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from stack import preflight
from stack.parts.base import Part
from stack.settings import Settings, load


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(environ={"CHECKS_STATE": str(tmp_path / "state"), "CHECKS_CACHE": str(tmp_path / "cache")})


def one_line(error: pytest.ExceptionInfo[preflight.PreflightError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def test_too_little_disk_names_the_folder_and_the_need(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator learns how much is missing where, and how to use another disk."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=300_000_000))
    with pytest.raises(preflight.PreflightError) as refused:
        preflight.enough_disk(settings, downloaded=True)
    assert "0.3 GB free, 1.0 GB are needed: free some, or use --state DIR elsewhere" in one_line(refused)


def test_room_for_downloads_is_asked_for_only_when_they_are_still_to_come(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second start needs less room than the first."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=1_100_000_000))
    preflight.enough_disk(settings, downloaded=True)
    with pytest.raises(preflight.PreflightError, match="CHECKS_CACHE"):
        preflight.enough_disk(settings, downloaded=False)


def test_too_little_memory_is_told_before_parts_are_killed_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is too small is told at once, not by a kernel that kills parts."""
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=900_000_000))
    with pytest.raises(preflight.PreflightError) as refused:
        preflight.enough_memory()
    assert one_line(refused).startswith("0.9 GB of memory are available, 2.5 GB are needed")


def test_a_state_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    """A path through a file is no folder."""
    (tmp_path / "file").touch()
    settings = load(environ={"CHECKS_STATE": str(tmp_path / "file" / "state")})
    with pytest.raises(preflight.PreflightError) as refused:
        preflight.make_state(settings)
    assert "choose another folder with --state DIR" in one_line(refused)


def test_a_restore_that_was_cut_off_is_not_started_from(settings: Settings) -> None:
    """Half of a backup is no state to run on."""
    settings.state.mkdir()
    (settings.state / preflight.RESTORING).touch()
    with pytest.raises(preflight.PreflightError, match="run scripts/restore again"):
        preflight.make_state(settings)


def test_a_busy_port_names_its_variable_and_a_free_one(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line can be followed as it stands."""
    settings.run_dir.mkdir(parents=True)
    monkeypatch.setattr(preflight, "port_is_free", lambda _host, port: port != 5433)
    monkeypatch.setattr("stack.parts.base.port_is_free", lambda _host, port: port > 15433)
    part = Part(name="postgres", command=[], ready=lambda: None, ports=("postgres",))
    with pytest.raises(preflight.PreflightError) as refused:
        preflight.ports_are_free(settings, [part])
    assert one_line(refused) == (
        "port 5433 is in use by another program: stop it, or choose another port: CHECKS_POSTGRES_PORT=15434"
    )
