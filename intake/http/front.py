"""What every request passes first: request id, API key, rate limit, CORS, counting. One small ASGI layer."""

from __future__ import annotations

import logging
import math
import os
import re
import secrets
from itertools import count
from typing import Any

import structlog
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from intake.http.addresses import Sources
from intake.http.answers import Answer, problem
from intake.http.keys import Keys
from intake.http.rate import RateLimit
from intake.metrics import now_s
from intake.service import Intake
from intake.settings import is_loopback
from intake.source import Source

log = structlog.get_logger("intake.http")

HTTP: Any = "http"  # the types of litestar know its enum alone, servers send the plain word
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_ROUTES = {
    path: path
    for path in (
        "/api/checks",
        "/api/checks/batch",
        "/metrics",
        "/health/live",
        "/health/ready",
        "/openapi.json",
        "/swagger",
    )
}
"""Paths that are counted by name; all others together, so that a scan makes no new time series."""


_OPEN = frozenset({"", "/metrics", "/health/live", "/health/ready", "/openapi.json", "/swagger"})


class Front:
    """Wraps the application."""

    def __init__(self, app: ASGIApp, intake: Intake) -> None:
        settings = intake.settings
        self._app = app
        self._intake = intake
        self._metrics = intake.metrics
        self._keys = Keys(settings.keys) if settings.keys else None
        self._sources = Sources(settings.trusted_proxies)
        self._rate = (
            RateLimit(settings.rate_per_s, settings.rate_burst, settings.workers) if settings.rate_per_s else None
        )
        self._origins = frozenset(origin.encode() for origin in settings.allowed_origins)
        self._log_all = settings.log_requests
        self._loopback: dict[str, bool] = {}
        self._prefix = f"{os.getpid():x}{secrets.token_hex(6)}-"
        self._count = count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, or the server's lifespan."""
        if scope["type"] != HTTP:
            await self._app(scope, receive, send)
            return
        started_s = now_s()
        headers = dict(scope["headers"])
        request_id = headers.get(b"x-request-id")
        if request_id is None or not _REQUEST_ID.fullmatch(request_id):
            request_id = f"{self._prefix}{next(self._count):x}".encode()
        peer = scope["client"][0] if scope["client"] else ""
        address = self._sources.of(peer, headers)
        state = scope["state"]
        state["intake"] = self._intake
        state["headers"] = headers
        state["source"] = Source(address.encode(), request_id)
        status = 0
        cors = self._cors(headers) if self._origins else ()

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id), *cors]
            await send(message)

        self._metrics.under_way += 1
        try:
            answer = self._refusal(scope, headers, address, preflight=bool(cors))
            if answer is None:
                await self._app(scope, receive, send_on)
            else:
                await answer(scope, receive, send_on)
        finally:
            self._metrics.under_way -= 1
            path = scope["path"]
            route = _ROUTES.get(path) or _ROUTES.get(path.rstrip("/"), "other")
            self._metrics.requests[route, str(status)] += 1
            self._metrics.request_seconds[(route,)].observe(now_s() - started_s)
            if status >= 400 or self._log_all:
                log.log(
                    logging.WARNING if status >= 500 else logging.INFO,
                    "request",
                    request_id=request_id.decode(),
                    source=address,
                    method=scope.get("method"),
                    path=path,
                    status=status,
                    ms=round((now_s() - started_s) * 1000, 1),
                )

    def _refusal(self, scope: Scope, headers: dict[bytes, bytes], address: str, *, preflight: bool) -> Answer | None:
        """The answer to a request that goes no further; None lets it pass."""
        if preflight and scope.get("method") == "OPTIONS" and b"access-control-request-method" in headers:
            return Answer(204, b"")
        if self._keys is None and self._rate is None:
            return None
        path = scope["path"]
        # Named are the open addresses, not the guarded ones: a router takes many spellings of an address.
        if path.rstrip("/") in _OPEN or path.startswith("/swagger/"):
            return None
        client = address
        if self._keys is not None:
            name = self._keys.name_of(headers)
            if name is None:
                challenge = [(b"www-authenticate", b'Bearer realm="intake"')]
                return problem(
                    401, "A valid API key is needed: Authorization: Bearer KEY, or X-API-Key.", headers=challenge
                )
            client = name
        if self._rate is not None and not self._is_loopback(address):
            wait_s = self._rate.wait_s(client, now_s())
            if wait_s > 0:
                after = [(b"retry-after", b"%d" % math.ceil(wait_s))]
                return problem(429, "Too many requests; send the next one when Retry-After has passed.", headers=after)
        return None

    def _is_loopback(self, address: str) -> bool:
        found = self._loopback.get(address)
        if found is None:
            if len(self._loopback) > 10_000:
                self._loopback.clear()
            found = self._loopback[address] = is_loopback(address)
        return found

    def _cors(self, headers: dict[bytes, bytes]) -> tuple[tuple[bytes, bytes], ...]:
        origin = headers.get(b"origin", b"")
        if origin not in self._origins:
            return ()
        return (
            (b"access-control-allow-origin", origin),
            (b"access-control-allow-methods", b"POST"),
            (
                b"access-control-allow-headers",
                b"authorization, content-encoding, content-type, x-api-key, x-request-id",
            ),
            (b"vary", b"origin"),
        )
