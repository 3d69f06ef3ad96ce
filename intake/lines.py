"""The journal's lines: time, request id, outcome, reasons, the check as received."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from intake.clock import Stamp
from intake.contract.errors import FieldError
from intake.rejections import body_text
from intake.source import Source

_BOM = b"\xef\xbb\xbf"
_encode = msgspec.json.encode


def accepted_line(stamp: Stamp, source: Source, check: bytes, outcome: bytes = b"accepted") -> bytes:
    """A line for a check that is JSON; it stands in the line as it came, in one line.

    A newline in valid JSON is only ever space between its parts.
    """
    if b"\n" in check or b"\r" in check:
        check = check.replace(b"\r", b" ").replace(b"\n", b" ")
    check = check.removeprefix(_BOM)
    return b"".join(
        (
            b'{"time":"',
            stamp.iso,
            b'","request_id":"',
            source.request_id,
            b'","source":"',
            source.address,
            b'","outcome":"',
            outcome,
            b'","check":',
            check,
            b"}\n",
        )
    )


class _Refused(msgspec.Struct):
    time: str
    request_id: str
    source: str
    outcome: str
    reasons: Sequence[FieldError]
    body: str
    body_encoding: str


def refused_line(stamp: Stamp, source: Source, outcome: str, reasons: Sequence[FieldError], body: bytes) -> bytes:
    """A line for what was refused; it may be anything, so it stands in the line as a string."""
    text, encoding = body_text(body)
    line = _Refused(
        stamp.iso.decode(), source.request_id.decode(), source.address.decode(), outcome, reasons, text, encoding
    )
    return _encode(line) + b"\n"
