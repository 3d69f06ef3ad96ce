"""Where PostgreSQL lives: never as root, and never where its user cannot go."""

import os
import tempfile
from pathlib import Path

import pytest

from stack.parts import postgres
from stack.parts.base import PrepareError, User
from stack.settings import load

NOBODY = User(name="nobody", uid=65534, gid=65534)


@pytest.mark.parametrize(("mode", "reachable"), [(0o755, True), (0o711, True), (0o700, False), (0o750, False)])
def test_a_folder_that_others_may_not_enter_is_out_of_reach(mode: int, *, reachable: bool) -> None:
    """Every folder on the way must let the user through."""
    with tempfile.TemporaryDirectory() as folder:
        inner = Path(folder) / "open"
        inner.mkdir()
        inner.chmod(0o755)
        Path(folder).chmod(mode)
        assert postgres.can_reach(inner, NOBODY) is reachable


def test_an_ordinary_user_runs_it_in_the_state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without root there is nobody to change to."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    where = postgres.place(load(state=tmp_path, environ={}))
    assert where == postgres.Place(postgres.BUNDLED, tmp_path / "postgres" / "data", None)


def test_root_in_a_private_folder_is_told_where_the_data_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkout under a home folder that nobody else may enter works, with the data elsewhere, and says so."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(postgres, "unprivileged_user", lambda: NOBODY)
    monkeypatch.setattr(postgres, "FALLBACK", tmp_path / "lib")
    (tmp_path / "private").mkdir(mode=0o700)
    where = postgres.place(load(state=tmp_path / "private" / "state", environ={}))
    assert where.user == NOBODY
    assert where.data.is_relative_to(tmp_path / "lib")
    assert str(where.data.parent) in where.note


def test_data_that_their_user_can_no_longer_reach_are_not_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closing a folder must not look like an empty database."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(postgres, "unprivileged_user", lambda: NOBODY)
    (tmp_path / "private" / "postgres" / "data").mkdir(parents=True)
    (tmp_path / "private").chmod(0o700)
    with pytest.raises(PrepareError, match="may not enter its folder any more"):
        postgres.place(load(state=tmp_path / "private", environ={}))
