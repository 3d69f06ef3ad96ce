"""The first start on a machine that lacks something: one line each, and pip's settings reach uv."""

import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from stack import bootstrap


def answer(returncode: int = 0, stdout: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.CompletedProcess([], returncode, stdout, "")


def test_a_python_without_venv_is_one_line_that_names_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Debian's Python without python3-venv and pip: the line says what to install."""
    monkeypatch.setattr(bootstrap, "run", lambda *_a, **_k: answer(1))
    with pytest.raises(bootstrap.BootstrapError) as refused:
        bootstrap.make_venv(tmp_path / ".venv")
    assert "-venv" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_machine_without_ensurepip_uses_the_pip_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where venv cannot bring pip, the machine's own pip installs it."""
    calls: list[list[str]] = []
    venv = tmp_path / ".venv"

    def run(command: list[object], **_more: object) -> "subprocess.CompletedProcess[str]":
        words = [str(word) for word in command]
        calls.append(words)
        if "--without-pip" in words:
            (venv / "bin").mkdir(parents=True)
            (venv / "bin" / "python").touch()
        return answer(1 if words[-1] == str(venv) and "--without-pip" not in words else 0)

    monkeypatch.setattr(bootstrap, "run", run)
    bootstrap.make_venv(venv)
    assert any("--python" in words and words[-1] == "pip" for words in calls)


@pytest.mark.parametrize(
    ("other_s", "named", "chosen"), [(0.5, "", "/other"), (0.9, "", "/own"), (None, "", "/own"), (0.5, "/own", "/own")]
)
def test_a_clearly_faster_build_of_the_same_version_is_taken(
    monkeypatch: pytest.MonkeyPatch, other_s: float | None, named: str, chosen: str
) -> None:
    """The environment gets another build where that is much faster, runs at all, and none was asked for by name."""
    monkeypatch.setattr(sys, "executable", "/own")
    monkeypatch.setenv("CHECKS_PYTHON", named)
    monkeypatch.setattr(bootstrap, "other_builds", lambda: ["/other"])
    monkeypatch.setattr(bootstrap, "seconds_of", {"/own": 1.0, "/other": other_s}.get)
    assert bootstrap.fastest() == chosen


def test_builds_are_measured_and_other_versions_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The running Python is measured in seconds; one of another version is not measured, nor one that fails."""
    measured = bootstrap.seconds_of(sys.executable)
    assert measured is not None
    assert 0 < measured < 5
    monkeypatch.setattr(bootstrap, "run", lambda *_a, **_k: answer(0, "3 6 0.001\n"))
    assert bootstrap.seconds_of("/other") is None
    monkeypatch.setattr(bootstrap, "run", lambda *_a, **_k: answer(1))
    assert bootstrap.seconds_of("/other") is None


def test_a_full_disk_is_told_before_anything_is_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too little room is one line with the need."""
    (tmp_path / "requirements.txt").touch()
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=100_000_000))
    with pytest.raises(bootstrap.BootstrapError, match=r"0\.1 GB free, 1\.5 GB are needed"):
        bootstrap.main(tmp_path, "requirements.txt")


def test_settings_of_pip_are_handed_to_uv(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine that knows its package index by pip's settings needs no others."""
    for variable in bootstrap.PIP_TO_UV.values():
        monkeypatch.delenv(variable, raising=False)
    listed = (
        ":env:.cert='/etc/ca.pem'\nglobal.cert='/etc/other.pem'\n"
        f"global.index-url='https://mirror.example/simple'\nglobal.find-links='{tmp_path / 'none'}'\n"
    )
    monkeypatch.setattr(bootstrap, "run", lambda *_a, **_k: answer(0, listed))
    assert bootstrap.settings_for_uv(tmp_path) == {
        "SSL_CERT_FILE": "/etc/ca.pem",
        "UV_DEFAULT_INDEX": "https://mirror.example/simple",
    }


def test_nothing_is_done_when_the_requirements_are_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start with everything in place costs no time."""
    (tmp_path / "requirements.txt").write_text("a==1\n")
    (tmp_path / ".venv" / ".installed").mkdir(parents=True)
    (tmp_path / ".venv" / ".installed" / "requirements.txt").write_text("a==1\n")
    monkeypatch.setattr(bootstrap, "works", lambda _venv: True)
    monkeypatch.setattr(bootstrap, "install", lambda *_a: pytest.fail("installed again"))
    bootstrap.main(tmp_path, "requirements.txt")
