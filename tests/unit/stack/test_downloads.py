"""Downloads: the pinned file or none, whole or not at all."""

import hashlib
from pathlib import Path

import pytest

from stack import downloads
from stack.downloads import Artifact, DownloadError, fetch_checked, locked

CONTENT = b"a jar"
PINNED = Artifact("org.example", "thing", "1.0", sha256=hashlib.sha256(CONTENT).hexdigest(), size_bytes=5)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stack.downloads.time.sleep", lambda _s: None)


def serve(monkeypatch: pytest.MonkeyPatch, *answers: bytes | Exception) -> list[Path]:
    asked: list[Path] = []
    left = list(answers)

    def fetch(_artifact: Artifact, folder: Path, progress: downloads.Progress) -> Path:
        asked.append(folder)
        one = left.pop(0)
        if isinstance(one, Exception):
            (folder / "half").write_bytes(b"a")
            progress(1)
            raise one
        (folder / "file").write_bytes(one)
        progress(len(one))
        return folder / "file"

    monkeypatch.setattr(downloads, "fetch", fetch)
    return asked


@pytest.mark.parametrize("text", ["g:n:1", "g:n:1:tar.gz", "g:n:1:tar.gz:all", "g:n:1:jar:tests"])
def test_coordinates_are_read_as_they_are_written(text: str) -> None:
    """The lock file's form is kept."""
    assert Artifact.parse(text).coordinates == text


def test_every_pinned_file_has_a_hash_and_no_host() -> None:
    """The lock file says what, not from where."""
    artifacts = [artifact for bundle in locked().values() for artifact in bundle]
    assert all(len(artifact.sha256) == 64 and artifact.size_bytes > 0 for artifact in artifacts)
    assert "://" not in downloads.LOCK_FILE.read_text()


def test_a_connection_that_breaks_is_tried_again_and_counted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a broken attempt brought is not kept, and does not push progress over the total."""
    asked = serve(monkeypatch, ConnectionError("reset"), CONTENT)
    counted: list[int] = []
    fetch_checked(PINNED, tmp_path / "thing.jar", counted.append)
    assert (tmp_path / "thing.jar").read_bytes() == CONTENT
    assert sum(counted) == 5
    assert asked[0] != asked[1]
    assert [file.name for file in tmp_path.iterdir()] == ["thing.jar"]


def test_a_file_that_is_not_the_pinned_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed file never gets into the cache, however often it comes."""
    serve(monkeypatch, *[b"other"] * downloads.ATTEMPTS)
    with pytest.raises(DownloadError, match=r"org\.example:thing:1\.0 is not the pinned file"):
        fetch_checked(PINNED, tmp_path / "thing.jar", lambda _n: None)
    assert list(tmp_path.iterdir()) == []


def test_no_network_is_one_line_with_the_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a connection the operator learns what to check."""
    serve(monkeypatch, *[ConnectionError("no route")] * downloads.ATTEMPTS)
    with pytest.raises(DownloadError, match="CHECKS_MAVEN_URL"):
        fetch_checked(PINNED, tmp_path / "thing.jar", lambda _n: None)


def test_what_is_there_is_not_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache serves every state folder."""
    serve(monkeypatch)
    (tmp_path / "thing.jar").write_bytes(CONTENT)
    fetch_checked(PINNED, tmp_path / "thing.jar", lambda _n: None)
