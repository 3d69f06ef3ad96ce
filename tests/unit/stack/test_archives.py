"""Archives: everything lands in the folder, or nothing does."""

import io
import tarfile
from pathlib import Path

import pytest

from stack.archives import unpack


def archive(*members: tarfile.TarInfo) -> tarfile.TarFile:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as made:
        for member in members:
            member.size = 1 if member.isfile() else 0
            made.addfile(member, io.BytesIO(b"x"))
    stream.seek(0)
    return tarfile.open(fileobj=stream)


@pytest.mark.parametrize("python", ["new", "old"])
def test_files_are_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, python: str) -> None:
    """Plain files arrive, with and without Python's own filter (which came with 3.11.4)."""
    if python == "old":
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
    unpack(archive(tarfile.TarInfo("folder/file")), tmp_path)
    assert (tmp_path / "folder" / "file").read_bytes() == b"x"


@pytest.mark.parametrize("name", ["../outside", "/outside", "folder/../../outside"])
def test_a_member_that_points_out_is_refused(tmp_path: Path, name: str) -> None:
    """No archive writes beside its folder."""
    with pytest.raises(tarfile.TarError, match="does not belong"):
        unpack(archive(tarfile.TarInfo(name)), tmp_path / "in")
    assert list(tmp_path.iterdir()) == []


def test_a_link_is_refused(tmp_path: Path) -> None:
    """A link could lead out of the folder; none of our archives has one."""
    link = tarfile.TarInfo("link")
    link.type, link.linkname = tarfile.SYMTYPE, "elsewhere"
    with pytest.raises(tarfile.TarError, match="does not belong"):
        unpack(archive(link), tmp_path)
