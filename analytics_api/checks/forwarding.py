"""Passes checks on to intake as they are, and intake's answer back."""

import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import structlog
import zstandard
from litestar import Request, Response

from analytics_api.encoding import JsonResponse
from analytics_api.problems import unavailable
from analytics_api.settings import Settings

log = structlog.get_logger("analytics_api.forwarding")

SNIFFED_BYTES = 64 * 1024
"""So much of a body is searched for its first character; one of more spaces than that goes on as a single check."""

_PASSED_ON = ("content-type", "content-encoding", "content-length")
_PASSED_BACK = ("retry-after",)
_AWAY = "Intake does not answer; nothing was taken that it did not confirm. Sending again is safe."


@dataclass(frozen=True)
class Intake:
    """Service 1, over one HTTP client."""

    client: httpx.AsyncClient
    settings: Settings

    async def forward(self, request: Request[Any, Any, Any]) -> Response[Any]:
        """Send the body to intake: a list to the batch, anything else to the single check. Raises Problem 503."""
        chunks = request.stream()
        first = await _beginning(chunks)
        headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        headers["x-request-id"] = str(structlog.contextvars.get_contextvars().get("request_id", ""))
        if self.settings.intake_key:
            headers["authorization"] = f"Bearer {self.settings.intake_key}"
        path = "/api/checks/batch/" if _is_batch(first, headers) else "/api/checks/"

        async def body() -> AsyncIterator[bytes]:
            yield first
            async for chunk in chunks:
                yield chunk

        try:
            answer = await self.client.post(f"{self.settings.intake_url}{path}", content=body(), headers=headers)
        except httpx.HTTPError as error:
            log.warning("intake does not answer", error=repr(error))
            raise unavailable(_AWAY) from None
        if answer.status_code in {401, 403}:
            log.error("intake refuses this service's key", status=answer.status_code)
            raise unavailable("Intake does not accept checks from this service; an administrator can mend it.", 30)
        return JsonResponse(
            answer.content,
            status_code=answer.status_code,
            media_type=answer.headers.get("content-type", "application/json"),
            headers={name: answer.headers[name] for name in _PASSED_BACK if name in answer.headers},
        )

    async def send(self, body: bytes) -> tuple[int, str]:
        """Send one check that an administrator corrected; intake's status and answer. Raises Problem 503."""
        headers = {"content-type": "application/json"}
        if self.settings.intake_key:
            headers["authorization"] = f"Bearer {self.settings.intake_key}"
        try:
            answer = await self.client.post(f"{self.settings.intake_url}/api/checks/", content=body, headers=headers)
        except httpx.HTTPError as error:
            log.warning("intake does not answer", error=repr(error))
            raise unavailable(_AWAY) from None
        return answer.status_code, answer.text


async def _beginning(chunks: AsyncIterator[bytes]) -> bytes:
    """The chunks up to the first that has more than spaces, or up to SNIFFED_BYTES; the others stay in `chunks`."""
    first = bytearray()
    async for chunk in chunks:
        first += chunk
        if chunk.strip() or len(first) >= SNIFFED_BYTES:
            break
    return bytes(first)


def _is_batch(first: bytes, headers: dict[str, str]) -> bool:
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in {"application/x-ndjson", "application/ndjson", "application/jsonl"}:
        return True
    encoding = headers.get("content-encoding", "").strip().lower()
    try:
        if encoding in {"gzip", "x-gzip"}:
            first = zlib.decompressobj(wbits=31).decompress(first, 64)
        elif encoding == "zstd":
            first = zstandard.ZstdDecompressor().stream_reader(first).read(64)
    except (zlib.error, zstandard.ZstdError):
        return False
    return first.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"["


def client() -> httpx.AsyncClient:
    """The HTTP client for the parts around; they are on this network, so no proxy is asked."""
    return httpx.AsyncClient(
        timeout=httpx.Timeout(60.0, connect=2.0),
        limits=httpx.Limits(max_connections=64, max_keepalive_connections=16),
        trust_env=False,
    )
