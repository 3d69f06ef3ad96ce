"""Reads request bodies within their limits: whole, or chunk by chunk; a client that falls silent is given up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import lru_cache
from typing import Any, Literal

from intake.bodies.unpacking import ENCODINGS, BodyTooLargeError, Unpacker

Receive = Callable[[], Awaitable[Any]]
MediaKind = Literal["json", "ndjson"]

_JSON = frozenset({"application/json"})
_NDJSON = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"})


class MediaTypeError(Exception):
    """A media type, charset or content encoding that is not taken (415)."""


class ClientGoneError(Exception):
    """The client closed the connection before its body was complete."""


class ClientSilentError(Exception):
    """The client sent nothing for too long (408)."""


@lru_cache(256)
def media_kind(content_type: bytes) -> MediaKind:
    """What a Content-Type stands for; none at all is taken for JSON. Raises MediaTypeError."""
    text = content_type.decode("latin-1").strip().lower()
    media, *parameters = (part.strip() for part in text.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "charset" and value.strip().strip('"') not in {"utf-8", "utf8", "us-ascii"}:
            raise MediaTypeError(f"The charset {value.strip()} is not taken: send the body in UTF-8.")
    if not media or media in _JSON:
        return "json"
    if media in _NDJSON:
        return "ndjson"
    raise MediaTypeError(f"The media type {media[:80]} is not taken.")


def unpacker_of(encoding: bytes) -> Unpacker:
    """What unpacks a Content-Encoding. Raises MediaTypeError."""
    made = ENCODINGS.get(encoding.strip().lower())
    if made is None:
        shown = encoding.decode("latin-1")[:80]
        raise MediaTypeError(f"The content encoding {shown} is not taken: send the body plain, as gzip or as zstd.")
    return made()


def announced_bytes(headers: dict[bytes, bytes]) -> int:
    """Content-Length, 0 when there is none or it is no number (the server has refused those already)."""
    text = headers.get(b"content-length", b"0")
    return int(text) if text.isdigit() and len(text) < 20 else 0


class StoppingError(Exception):
    """The service stops and cannot wait for the rest of a body (503)."""


class Reader:
    """Receives chunks for all requests of a process, and knows who waits for one.

    A timer for every read would cost more than the read: one sweep a second looks after all of them.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._ticks = 0
        self._tick_s = min(1.0, timeout_s / 4)
        self._waiting: dict[asyncio.Task[Any], int] = {}
        self._given_up: set[asyncio.Task[Any]] = set()
        self._stop_tick: int | None = None

    def stop_soon(self, grace_s: float) -> None:
        """From `grace_s` on wait for no body any more: whoever still sends is told to send it again."""
        if self._stop_tick is None:
            self._stop_tick = self._ticks + int(grace_s / self._tick_s)

    @property
    def _is_over(self) -> bool:
        return self._stop_tick is not None and self._ticks > self._stop_tick

    async def sweep(self) -> None:
        """Give up on silent clients, for ever."""
        while True:
            await asyncio.sleep(self._tick_s)
            self._ticks += 1
            oldest = self._ticks - int(self._timeout_s / self._tick_s)
            for task in [task for task, since in self._waiting.items() if since < oldest or self._is_over]:
                del self._waiting[task]
                self._given_up.add(task)
                task.cancel()

    async def chunk(self, receive: Receive) -> tuple[bytes, bool]:
        """The next chunk, and whether more follow. Raises ClientGoneError, ClientSilentError or StoppingError."""
        if self._is_over:
            raise StoppingError("intake is shutting down")
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a request is always handled by a task
        self._waiting[task] = self._ticks
        try:
            message = await receive()
        except asyncio.CancelledError:
            if task in self._given_up:
                task.uncancel()
                if self._is_over:
                    raise StoppingError("intake is shutting down") from None
                raise ClientSilentError("The rest of the body did not come.") from None
            raise
        finally:
            self._waiting.pop(task, None)
            self._given_up.discard(task)
        if message["type"] != "http.request":
            raise ClientGoneError
        return message.get("body", b""), message.get("more_body", False)

    async def whole(self, receive: Receive, headers: dict[bytes, bytes], limit_bytes: int) -> bytes:
        """The body, unpacked.

        Raises BodyTooLargeError, UnpackError, MediaTypeError, ClientGoneError, ClientSilentError or StoppingError.
        """
        encoding = headers.get(b"content-encoding")
        if announced_bytes(headers) > limit_bytes:
            raise BodyTooLargeError(limit_bytes)
        data, more = await self.chunk(receive)
        if not more and encoding is None:
            if len(data) > limit_bytes:
                raise BodyTooLargeError(limit_bytes)
            return data
        unpacker = unpacker_of(encoding or b"")
        parts: list[bytes] = []
        size_bytes = received_bytes = 0
        while True:
            received_bytes += len(data)
            if received_bytes > limit_bytes:
                raise BodyTooLargeError(limit_bytes)
            for part in unpacker.feed(data):
                size_bytes += len(part)
                if size_bytes > limit_bytes:
                    raise BodyTooLargeError(limit_bytes, unpacked=encoding is not None)
                parts.append(part)
            if not more:
                unpacker.finish()
                return b"".join(parts)
            data, more = await self.chunk(receive)

    async def slices(
        self, receive: Receive, headers: dict[bytes, bytes], limit_bytes: int, unpacked_limit_bytes: int
    ) -> AsyncIterator[bytes]:
        """The body, unpacked, in slices of some tens of KiB; nothing else of it is held. Raises what `whole` raises."""
        encoding = headers.get(b"content-encoding", b"")
        unpacker = unpacker_of(encoding)
        if announced_bytes(headers) > limit_bytes:
            raise BodyTooLargeError(limit_bytes)
        received_bytes = unpacked_bytes = 0
        more = True
        while more:
            data, more = await self.chunk(receive)
            received_bytes += len(data)
            if received_bytes > limit_bytes:
                raise BodyTooLargeError(limit_bytes)
            for part in unpacker.feed(data):
                unpacked_bytes += len(part)
                if unpacked_bytes > unpacked_limit_bytes:
                    raise BodyTooLargeError(unpacked_limit_bytes, unpacked=True)
                yield part
        unpacker.finish()
