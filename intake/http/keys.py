"""API keys: made here, kept only as SHA-256, compared in constant time.

A key has 256 random bits, so that a fast hash is as safe as a slow one, which would cost more than the request.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

PREFIX = "ck_"


def make_key() -> tuple[str, str]:
    """A new key, and the hash of it for CHECKS_INTAKE_KEYS."""
    key = PREFIX + secrets.token_urlsafe(32)
    return key, hash_key(key.encode())


def hash_key(key: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(key).hexdigest()


class Keys:
    """The keys that open this service."""

    def __init__(self, configured: tuple[str, ...]) -> None:
        """`configured` as settings hold them: hash, or name:hash."""
        self._known: list[tuple[str, str]] = []
        for entry in configured:
            name, _, digest = entry.rpartition(":")
            self._known.append((name or f"key-{digest[:8].lower()}", digest.lower()))

    def name_of(self, headers: dict[bytes, bytes]) -> str | None:
        """The name of the key that a request carries (Authorization: Bearer, X-API-Key, or both); None for a wrong one.

        Of two keys both must be right: a wrong one beside a right one is a mistake that somebody should hear of.
        """
        given = []
        if b"x-api-key" in headers:
            given.append(headers[b"x-api-key"])
        if b"authorization" in headers:
            scheme, _, key = headers[b"authorization"].partition(b" ")
            given.append(key if scheme.lower() == b"bearer" else b"")
        names = [self._name(key.strip()) for key in given]
        return names[0] if names and None not in names else None

    def _name(self, key: bytes) -> str | None:
        digest = hash_key(key)
        found = None
        for name, known in self._known:  # all of them, so that the time tells nothing
            if hmac.compare_digest(digest, known):
                found = name
        return found
