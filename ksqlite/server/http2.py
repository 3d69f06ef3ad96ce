"""HTTP/2 without TLS, by prior knowledge: what ksqlDB's own client library speaks. h2 reads and writes the protocol."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import unquote, urlsplit

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import ProtocolError, StreamClosedError

from ksqlite.server.http import IDLE_S, MAX_BODY_BYTES, Request, Response

Answer = Callable[[Request], Awaitable[Response]]

_READ_BYTES = 64 * 1024
_STREAMED = ("/inserts-stream",)
"""Paths whose body is handed on while it comes."""


class _Stream:
    """One request and its answer."""

    def __init__(self, headers: dict[str, str]) -> None:
        self.headers = headers
        self.path = unquote(urlsplit(headers.get(":path", "/")).path)
        self.body = bytearray()
        self.pieces: asyncio.Queue[bytes | None] | None = asyncio.Queue() if self.path in _STREAMED else None
        self.task: asyncio.Task[None] | None = None

    def request(self) -> Request:
        """The request as handlers see it."""
        named = {name: value for name, value in self.headers.items() if not name.startswith(":")}
        pieces = None if self.pieces is None else _drain(self.pieces)
        return Request(self.headers.get(":method", "GET"), self.path, named, bytes(self.body), pieces)


async def _drain(pieces: asyncio.Queue[bytes | None]) -> AsyncIterator[bytes]:
    while (piece := await pieces.get()) is not None:
        yield piece


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, begin: bytes, answer: Answer) -> None:
    """Serves one connection, whose first bytes were read already, until either side ends it."""
    connection = _Connection(writer, answer)
    try:
        await connection.receive(begin)
        while not connection.over:
            async with asyncio.timeout(None if connection.streams else IDLE_S):
                data = await reader.read(_READ_BYTES)
            if not data:
                return
            await connection.receive(data)
    finally:
        await connection.close()


class _Connection:
    """The protocol's state, and the streams that are open."""

    def __init__(self, writer: asyncio.StreamWriter, answer: Answer) -> None:
        self._writer = writer
        self._answer = answer
        self._state = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self._state.initiate_connection()
        self._window = asyncio.Event()
        self.streams: dict[int, _Stream] = {}
        self.over = False

    async def receive(self, data: bytes) -> None:
        """Takes bytes of the client in."""
        try:
            events = self._state.receive_data(data)
        except ProtocolError:
            self.over = True
            events = []
        for event in events:
            self._handle(event)
        await self._flush()

    def _handle(self, event: Event) -> None:
        match event:
            case RequestReceived(stream_id=int(stream_id), headers=headers):
                stream = self.streams[stream_id] = _Stream({str(name): str(value) for name, value in headers or ()})
                if stream.pieces is not None:
                    self._start(stream_id, stream)
            case DataReceived(stream_id=int(stream_id), data=data):
                self._take(stream_id, bytes(data or b""))
                self._state.acknowledge_received_data(event.flow_controlled_length or 0, stream_id)
            case StreamEnded(stream_id=int(stream_id)) if stream_id in self.streams:
                stream = self.streams[stream_id]
                if stream.pieces is not None:
                    stream.pieces.put_nowait(None)
                else:
                    self._start(stream_id, stream)
            case StreamReset(stream_id=int(stream_id)):
                stopped = self.streams.pop(stream_id, None)
                if stopped is not None and stopped.task is not None:
                    stopped.task.cancel()
            case WindowUpdated():
                self._window.set()
            case ConnectionTerminated():
                self.over = True
            case _:
                pass

    def _take(self, stream_id: int, data: bytes) -> None:
        stream = self.streams.get(stream_id)
        if stream is None:
            return
        if stream.pieces is not None:
            stream.pieces.put_nowait(data)
        elif len(stream.body) + len(data) > MAX_BODY_BYTES:
            del self.streams[stream_id]
            self._state.reset_stream(stream_id, ErrorCodes.REFUSED_STREAM)
        else:
            stream.body += data

    def _start(self, stream_id: int, stream: _Stream) -> None:
        stream.task = asyncio.ensure_future(self._respond(stream_id, stream))

    async def _respond(self, stream_id: int, stream: _Stream) -> None:
        chunks: AsyncIterator[bytes] | None = None
        try:
            response = await self._answer(stream.request())
            headers = [(":status", str(response.status)), *response.headers.items()]
            if response.content_type is not None:
                headers.append(("content-type", response.content_type))
            self._state.send_headers(stream_id, headers)
            await self._flush()
            chunks = response.chunks
            if chunks is None:
                await self._send(stream_id, response.body)
            else:
                async for chunk in chunks:
                    await self._send(stream_id, chunk)
            self._state.end_stream(stream_id)
            await self._flush()
        except (StreamClosedError, ProtocolError, ConnectionError):
            pass  # the client gave the answer up
        finally:
            self.streams.pop(stream_id, None)
            close = getattr(chunks, "aclose", None)
            if close is not None:
                await close()

    async def _send(self, stream_id: int, data: bytes) -> None:
        """Sends some of a body, as fast as the client takes it."""
        start = 0
        while start < len(data):
            room = min(self._state.local_flow_control_window(stream_id), self._state.max_outbound_frame_size)
            if room <= 0:
                self._window.clear()
                await self._window.wait()
                continue
            self._state.send_data(stream_id, data[start : start + room])
            start += room
            await self._flush()

    async def _flush(self) -> None:
        data = self._state.data_to_send()
        if data:
            self._writer.write(data)
            await self._writer.drain()

    async def close(self) -> None:
        """Ends all answers, and says good-bye."""
        tasks = [stream.task for stream in self.streams.values() if stream.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=5.0)
        with contextlib.suppress(ProtocolError, ConnectionError):
            self._state.close_connection()
            await self._flush()
