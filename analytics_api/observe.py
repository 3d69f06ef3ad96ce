"""Around every request: a request id, a log line, metrics, security headers."""

import re
import time
from collections.abc import MutableMapping
from typing import Any
from uuid import uuid4

import structlog
from litestar import Litestar, Request
from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from prometheus_client import Counter, Histogram

log = structlog.get_logger("analytics_api.request")

REQUESTS = Counter("analytics_requests", "Requests answered", ["method", "path", "status"])
DURATION = Histogram(
    "analytics_request_duration_seconds",
    "Time from a request to the end of its answer",
    ["path"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)

_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_QUIET = ("/health/", "/metrics")

API_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
# Swagger UI sets styles from its script.
SWAGGER_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)

HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"permissions-policy": b"camera=(), microphone=(), geolocation=()",
    b"content-security-policy": API_POLICY.encode(),
    b"cache-control": b"no-store",
}


def observed(app: Litestar) -> ASGIApp:
    """Wrap the whole application, what answers to unknown addresses included."""
    allowed: dict[str, set[str]] = {}
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            allowed.setdefault(route.path_format, set()).update(route.methods)

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid4().hex
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        started = time.perf_counter()
        status = 500

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _complete(message, request_id, is_https=scope.get("scheme") == "https")
                if scope["method"] == "OPTIONS" and (methods := allowed.get(str(scope.get("path_template")))):
                    # litestar names the methods of the handlers that it knew when it made the first.
                    others = [(name, value) for name, value in message["headers"] if name.lower() != b"allow"]
                    message["headers"] = [*others, (b"allow", ", ".join(sorted(methods)).encode())]
            await send(message)

        try:
            await app(scope, receive, send_with_headers)
        finally:
            _report(scope, status, time.perf_counter() - started)

    return call


def address_of(connection: ASGIConnection[Any, Any, Any, Any] | Request[Any, Any, Any]) -> str:
    """The client's address; X-Forwarded-For counts only where a trusted proxy wrote it."""
    address = connection.client.host if connection.client else ""
    trusted = connection.app.state.settings.trusted_proxies
    if address in trusted:
        hops = [hop.strip() for hop in connection.headers.get("x-forwarded-for", "").split(",") if hop.strip()]
        for hop in reversed(hops):
            address = hop
            if hop not in trusted:
                break
    return address[:64]


def _complete(message: Any, request_id: str, *, is_https: bool) -> None:  # noqa: ANN401  (litestar's union of messages)
    headers: list[tuple[bytes, bytes]] = list(message.get("headers", []))
    present = {name.lower() for name, _ in headers}
    headers.extend((name, value) for name, value in HEADERS.items() if name not in present)
    headers.append((b"x-request-id", request_id.encode()))
    if is_https:
        headers.append((b"strict-transport-security", b"max-age=31536000"))
    message["headers"] = headers


def _report(scope: MutableMapping[str, Any] | Scope, status: int, duration_s: float) -> None:
    path = str(scope.get("path", ""))
    # Never the path itself: anybody could fill the metrics with addresses of his own.
    template = str(scope.get("path_template") or "unknown")
    REQUESTS.labels(method=str(scope.get("method")), path=template, status=str(status)).inc()
    DURATION.labels(path=template).observe(duration_s)
    if not path.startswith(_QUIET):
        account = scope.get("user")
        log.info(
            "request",
            method=scope.get("method"),
            path=path,
            status=status,
            duration_ms=round(duration_s * 1000, 1),
            user=getattr(account, "username", None),
        )
