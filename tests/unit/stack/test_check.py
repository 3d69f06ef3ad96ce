"""What no file of the repository may hold."""

from pathlib import Path

import pytest

from stack import check


@pytest.mark.parametrize(
    "line",
    [
        "index-url = https://" + "pypi" + ".org/simple",
        "url: https://repo1." + "maven" + ".org/maven2",
        "cd /" + "home/somebody/checks",
        "open('/" + "root/.cache')",
    ],
)
def test_hosts_and_foreign_paths_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    """A package host or one machine's path is told with file and line."""
    monkeypatch.setattr(check, "CHECKOUT", tmp_path)
    (tmp_path / "file").write_text(f"first\n{line}\n")
    (finding,) = check.foreign([tmp_path / "file"])
    assert finding.startswith("file:2: ")


@pytest.mark.parametrize("line", ["$HOME/work/x", "https://example.org/home/page", "var/work/x", "--network=host"])
def test_what_only_looks_like_it_is_left_alone(tmp_path: Path, line: str) -> None:
    """Ordinary words and addresses are no finding."""
    (tmp_path / "file").write_text(line)
    assert list(check.foreign([tmp_path / "file"])) == []
