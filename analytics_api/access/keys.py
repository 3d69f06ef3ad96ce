"""The keys that sign access tokens: made at the first start, shared by all workers, two valid during a rotation."""

import contextlib
import os
import secrets
import time
from pathlib import Path

PREFIX = "access_tokens."
SUFFIX = ".key"
SIZE_BYTES = 32
LOOK_AGAIN_S = 10.0
LOOK_FOR_UNKNOWN_S = 0.5


class Keys:
    """Keys by their id; the newest signs, every key that lies in the folder verifies.

    To rotate: `python -m analytics_api.access.keys` adds a key, and all workers sign with it within ten seconds; the
    one before it goes on verifying, older ones are removed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._keys: dict[str, bytes] = {}
        self._read_at = float("-inf")
        self._read()
        if not self._keys:
            add(folder, first=True)
            self._read()

    def signing(self) -> tuple[str, bytes]:
        """Id and key to sign with."""
        self._read_if_due()
        key_id = max(self._keys)
        return key_id, self._keys[key_id]

    def verifying(self, key_id: str) -> bytes | None:
        """The key of that id, None when there is none."""
        self._read_if_due()
        # Another worker may sign with a new key already.
        if key_id not in self._keys and time.monotonic() - self._read_at > LOOK_FOR_UNKNOWN_S:
            self._read()
        return self._keys.get(key_id)

    def _read_if_due(self) -> None:
        if time.monotonic() - self._read_at > LOOK_AGAIN_S:
            self._read()

    def _read(self) -> None:
        found = {}
        with contextlib.suppress(FileNotFoundError):
            for path in self._folder.iterdir():
                if path.name.startswith(PREFIX) and path.name.endswith(SUFFIX):
                    key = path.read_bytes()
                    if len(key) >= SIZE_BYTES:
                        found[path.name[len(PREFIX) : -len(SUFFIX)]] = key
        # Keys that were there stay, should the folder be away for a moment.
        self._keys = found or self._keys
        self._read_at = time.monotonic()


def add(folder: Path, *, first: bool = False) -> str:
    """Add a key and remove those before the last; gives its id. With `first`, only where there is none."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Ids sort by age; two workers that make the first one at the same moment make the same file, and one wins.
    key_id = "0" * 12 if first else f"{int(time.time()):012d}"
    path = folder / f"{PREFIX}{key_id}{SUFFIX}"
    draft = folder / f".{path.name}.{os.getpid()}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_bytes(SIZE_BYTES))
        file.flush()
        os.fsync(file.fileno())
    with contextlib.suppress(FileExistsError):
        os.link(draft, path)
    draft.unlink()
    if not first:
        for old in sorted(folder.glob(f"{PREFIX}*{SUFFIX}"))[:-2]:
            old.unlink()
    return key_id


if __name__ == "__main__":
    import sys

    from analytics_api.settings import Settings

    sys.stdout.write(f"access tokens are signed with key {add(Settings.from_environment().keys_dir)} from now on\n")
