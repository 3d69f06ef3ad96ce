"""What is wrong with a document: where, and in a sentence for whoever sent it."""

from __future__ import annotations

from typing import Any

import msgspec

Json = Any
"""A decoded JSON document: what it holds is for the code that reads it to find out."""


class FieldError(msgspec.Struct, frozen=True):
    """One error: `pointer` is a JSON pointer (RFC 6901) into the document, "" for all of it."""

    pointer: str
    detail: str


class UnfitError(Exception):
    """A value that does not fit its field; the message says why, without the field's name."""


def pointer_to(parent: str, key: str | int) -> str:
    """The pointer to a member of what `parent` points to."""
    return f"{parent}/{key}" if isinstance(key, int) else f"{parent}/{key.replace('~', '~0').replace('/', '~1')}"


def shown(token: str, most: int = 40) -> str:
    """A value as it was sent, short enough for a sentence."""
    return token if len(token) <= most else f"{token[:most]}…"
