"""Unpacks tar files into one folder and nowhere else, on every Python from 3.11.0 on."""

import tarfile
from collections.abc import Iterable
from pathlib import Path


def unpack(archive: tarfile.TarFile, folder: Path, members: Iterable[tarfile.TarInfo] | None = None) -> None:
    """Unpacks plain files and folders. Raises tarfile.TarError for a member that points out of the folder."""
    chosen = list(archive if members is None else members)
    for member in chosen:
        target = (folder / member.name).resolve()
        if not target.is_relative_to(folder.resolve()) or not (member.isfile() or member.isdir()):
            raise tarfile.TarError(f"{member.name} does not belong into {folder}")
        # the archive's owners are not this machine's
        member.uid, member.gid, member.uname, member.gname = 0, 0, "", ""
        member.mode = (member.mode | 0o600) & 0o755
    if hasattr(tarfile, "data_filter"):
        archive.extractall(folder, chosen, filter="data")
    else:  # before 3.11.4; the loop above has seen to the rest
        archive.extractall(folder, chosen)  # noqa: S202 (see above)
