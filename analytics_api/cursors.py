"""Cursors: where a page ended, opaque to clients, good only for the query that gave them."""

import base64
import binascii
import hashlib
from typing import Any, TypeVar

import msgspec

from analytics_api.problems import invalid

T = TypeVar("T")


def pack(query: tuple[Any, ...], position: tuple[Any, ...]) -> str:
    """A cursor that holds `position` (strings, numbers, times) and knows which `query` it belongs to."""
    raw = msgspec.json.encode((_mark(query), position))
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unpack(query: tuple[Any, ...], cursor: str | None, position_type: type[T]) -> T | None:
    """The position in `cursor`, None without one. Raises Problem 422 for another query's cursor, or none of ours."""
    if not cursor:
        return None
    try:
        raw = base64.urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4))
        mark, position = msgspec.json.decode(raw, type=tuple[str, position_type])  # type: ignore[valid-type] # the type is the caller's
    except (ValueError, binascii.Error, msgspec.DecodeError):
        raise invalid("/cursor", "This is no cursor; take next_cursor of the page before as it stands.") from None
    if mark != _mark(query):
        raise invalid("/cursor", "This cursor belongs to another query; start again without it.")
    return position


def _mark(query: tuple[Any, ...]) -> str:
    return hashlib.sha256(repr(query).encode("utf-8", "backslashreplace")).hexdigest()[:12]
