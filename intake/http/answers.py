"""Answers as ASGI sees them: the bytes are ready, nothing is left to convert; and problem details (RFC 9457)."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

import msgspec
from litestar.types import Receive, Scope, Send

from intake.contract.errors import FieldError

JSON = b"application/json"
PROBLEM = b"application/problem+json"


class Answer:
    """Status, headers and body, ready to send."""

    __slots__ = ("body", "headers", "status")

    def __init__(
        self, status: int, body: bytes, media_type: bytes = JSON, headers: Sequence[tuple[bytes, bytes]] = ()
    ) -> None:
        self.status = status
        self.body = body
        self.headers = [(b"content-type", media_type), (b"content-length", b"%d" % len(body)), *headers]

    def to_asgi_response(self, **_: object) -> Answer:
        """Litestar asks its exception handlers' answers for this; an Answer is ready as it is."""
        return self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's names
        """Send it; to HEAD without its body."""
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        body = b"" if scope.get("method") == "HEAD" else self.body
        await send({"type": "http.response.body", "body": body, "more_body": False})


class Problem(msgspec.Struct, omit_defaults=True):
    """Problem details."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldError] = []


_TYPES = {
    400: "not-json",
    401: "key-needed",
    408: "silent-client",
    413: "too-large",
    415: "media-type",
    422: "invalid",
    429: "too-many-requests",
    503: "unavailable",
}


def problem(
    status: int, detail: str, errors: Sequence[FieldError] = (), headers: Sequence[tuple[bytes, bytes]] = ()
) -> Answer:
    """An answer that says what went wrong; `errors` where in the document."""
    kind = f"urn:checks:problem:{_TYPES[status]}" if status in _TYPES else "about:blank"
    made = Problem(kind, HTTPStatus(status).phrase, status, detail, list(errors))
    return Answer(status, msgspec.json.encode(made), PROBLEM, headers)


def unavailable(detail: str, retry_after_s: int = 1, **members: object) -> Answer:
    """503 with Retry-After; `members` go into the document beside its own."""
    made = Problem(f"urn:checks:problem:{_TYPES[503]}", HTTPStatus(503).phrase, 503, detail)
    document = {**msgspec.to_builtins(made), **members}
    return Answer(503, msgspec.json.encode(document), PROBLEM, [(b"retry-after", b"%d" % retry_after_s)])
