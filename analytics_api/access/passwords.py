"""Argon2id off the event loop, a bounded number at a time, and the rules for new passwords."""

import asyncio
import unicodedata
from functools import cache
from importlib.resources import files

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

SHORTEST = 8
LONGEST = 128


@cache
def _commonest() -> frozenset[str]:
    text = (files("analytics_api.access") / "common_passwords.txt").read_text("utf-8")
    return frozenset(line for line in text.splitlines() if line and not line.startswith("#"))


def broken_rule(password: str, username: str) -> str | None:
    """The rule that a new password breaks, as a sentence, or None."""
    plain = normal(password).casefold()
    if len(password) < SHORTEST:
        return f"A password has at least {SHORTEST} characters."
    if len(password) > LONGEST:
        return f"A password has at most {LONGEST} characters."
    if username and plain in {normal(username).casefold(), normal(username).casefold()[::-1]}:
        return "A password is not the user name."
    if plain in _commonest() or len(set(plain)) == 1:
        return "This password is one of the commonest; choose another."
    return None


def normal(text: str) -> str:
    """One form for one text, however a keyboard composes it."""
    return unicodedata.normalize("NFKC", text)


class Passwords:
    """Hashes and verifies; each hash takes 19 MiB and some 20 ms, so only a few run side by side."""

    def __init__(self, concurrency: int) -> None:
        # OWASP's second recommendation for Argon2id: 19 MiB, 2 passes, 1 lane.
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        self._slots = asyncio.Semaphore(concurrency)
        # What an unknown user's password is held against, so that the answer takes the same time.
        self._nobody = self._hasher.hash("nobody has this password")

    async def hash(self, password: str) -> str:
        """A new hash with its parameters and salt."""
        async with self._slots:
            return await asyncio.to_thread(self._hasher.hash, normal(password).encode("utf-8", "surrogatepass"))

    async def verify(self, password: str, password_hash: str | None) -> bool:
        """Whether it is the password; with None (no such user) the same work and False."""
        async with self._slots:
            return await asyncio.to_thread(self._verify, password, password_hash)

    def needs_rehash(self, password_hash: str) -> bool:
        """Whether the hash was made with older parameters."""
        return self._hasher.check_needs_rehash(password_hash)

    def _verify(self, password: str, password_hash: str | None) -> bool:
        try:
            matches = self._hasher.verify(
                password_hash or self._nobody, normal(password).encode("utf-8", "surrogatepass")
            )
        except (VerificationError, InvalidHashError):
            return False
        return matches and password_hash is not None
