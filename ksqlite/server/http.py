"""A small HTTP server over asyncio; h11 reads and writes HTTP/1.1, h2 (see http2) HTTP/2.

ksqlite has a dozen routes and must be ready within a second of its start, a third of which the usual frameworks take to
load.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

import h11

MAX_BODY_BYTES = 16 * 1024 * 1024
_READ_BYTES = 64 * 1024
IDLE_S = 120.0
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What an HTTP/2 connection without TLS begins with, when the client knows that the server speaks it."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request, read to its end. Names of headers are in lower case.

    ``pieces`` is set instead of ``body`` where the body of an HTTP/2 request is handed on as it comes.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    pieces: AsyncIterator[bytes] | None = None


@dataclass(slots=True)
class Response:
    """An answer: a body at once, or chunks as they come about.

    ``closing`` is called when a stream of chunks ends, because all was sent or because the client went away.
    """

    status: int = 200
    body: bytes = b""
    content_type: str | None = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    chunks: AsyncIterator[bytes] | None = None


Handler = Callable[[Request], Awaitable[Response]]


def json_response(value: object, status: int = 200) -> Response:
    """An answer in JSON."""
    return Response(status, json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


class HttpServer:
    """Serves a handler on an address. ``on_error`` is told of what the handler did not catch."""

    def __init__(self, handler: Handler, on_error: Callable[[BaseException], None]) -> None:
        self._handler = handler
        self._on_error = on_error
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self, host: str, port: int) -> int:
        """Listens; gives the port, which the system chose where 0 was asked for."""
        self._server = await asyncio.start_server(self._connected, host, port, backlog=256)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Listens no more and ends all connections."""
        if self._server is not None:
            self._server.close()
        for task in list(self._connections):
            task.cancel()
        if self._connections:
            await asyncio.wait(self._connections, timeout=5.0)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - inside a coroutine there is one
        self._connections.add(task)
        try:
            begin = await _begin(reader)
            if begin == PREFACE:
                from ksqlite.server.http2 import serve  # noqa: PLC0415 - few clients speak it

                await serve(reader, writer, begin, self.answer)
            else:
                await self._converse(_Peer(reader, writer, begin))
        except (ConnectionError, TimeoutError, h11.LocalProtocolError, asyncio.CancelledError):
            pass
        except Exception as error:  # noqa: BLE001 - one connection must not end the server
            self._on_error(error)
        finally:
            self._connections.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _converse(self, peer: _Peer) -> None:
        while True:
            try:
                request = await peer.request()
            except h11.RemoteProtocolError as error:
                await peer.refuse(error.error_status_hint, str(error))
                return
            if request is None:
                return
            if len(request.body) > MAX_BODY_BYTES:
                await peer.refuse(413, "The request is too large.")
                return
            if not await peer.respond(await self.answer(request)):
                return

    async def answer(self, request: Request) -> Response:
        """The handler's answer, or what is told when it breaks."""
        try:
            return await self._handler(request)
        except Exception as error:  # noqa: BLE001 - told to the client and the log
            self._on_error(error)
            message = {"@type": "generic_error", "error_code": 50000, "message": f"{type(error).__name__}: {error}"}
            return json_response(message, 500)


async def _begin(reader: asyncio.StreamReader) -> bytes:
    """The first bytes of a connection: enough to tell HTTP/2's preface from a request."""
    begin = b""
    async with asyncio.timeout(IDLE_S):
        while len(begin) < len(PREFACE) and PREFACE.startswith(begin):
            data = await reader.read(len(PREFACE) - len(begin))
            if not data:
                break
            begin += data
    return begin


class _Peer:
    """One connection, as h11 sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, begin: bytes) -> None:
        self._reader = reader
        self._writer = writer
        self._state = h11.Connection(h11.SERVER)
        self._state.receive_data(begin)
        # the client sent something, or left, while a stream was sent: the connection ends with the answer
        self._spoiled = False

    async def _event(self) -> h11.Event | type[h11.PAUSED]:
        while True:
            event = self._state.next_event()
            if event is not h11.NEED_DATA:
                return event  # type: ignore[return-value] # h11's sentinels have types of their own
            if self._state.they_are_waiting_for_100_continue:
                await self._send(h11.InformationalResponse(status_code=100, headers=[]))
            async with asyncio.timeout(IDLE_S):
                self._state.receive_data(await self._reader.read(_READ_BYTES))

    async def _send(self, event: h11.Event) -> None:
        data = self._state.send(event)
        if data:
            self._writer.write(data)
            await self._writer.drain()

    async def request(self) -> Request | None:
        """The next request; None when the client is done."""
        head = await self._event()
        if not isinstance(head, h11.Request):
            return None
        body = bytearray()
        while not isinstance(event := await self._event(), h11.EndOfMessage):
            if not isinstance(event, h11.Data):
                return None
            if len(body) <= MAX_BODY_BYTES:
                body += event.data
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
        path = unquote(urlsplit(head.target.decode("latin-1")).path)
        return Request(head.method.decode("ascii"), path, headers, bytes(body))

    async def refuse(self, status: int, message: str) -> None:
        """An answer to what is no request; the connection ends with it."""
        if self._state.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            body = json.dumps({"@type": "generic_error", "error_code": status * 100, "message": message}).encode()
            await self._send(
                h11.Response(
                    status_code=status,
                    headers=[
                        ("content-type", "application/json"),
                        ("content-length", str(len(body))),
                        ("connection", "close"),
                    ],
                )
            )
            await self._send(h11.Data(data=body))
            await self._send(h11.EndOfMessage())

    async def respond(self, response: Response) -> bool:
        """Sends an answer; whether the connection may be used again."""
        headers = [(name, value) for name, value in response.headers.items()]
        if response.content_type is not None:
            headers.append(("content-type", response.content_type))
        if response.chunks is None:
            headers.append(("content-length", str(len(response.body))))
        else:
            headers.append(("transfer-encoding", "chunked"))
        await self._send(h11.Response(status_code=response.status, headers=headers))
        if response.chunks is None:
            if response.body:
                await self._send(h11.Data(data=response.body))
        elif not await self._stream(response.chunks):
            return False
        await self._send(h11.EndOfMessage())
        if self._state.our_state is h11.MUST_CLOSE or self._spoiled:
            return False
        self._state.start_next_cycle()
        return True

    async def _stream(self, chunks: AsyncIterator[bytes]) -> bool:
        """Sends chunks until there are no more (True) or the client goes away (False)."""
        gone = asyncio.ensure_future(self._reader.read(1))
        try:
            while True:
                following = asyncio.ensure_future(anext(chunks, None))
                done, _ = await asyncio.wait({gone, following}, return_when=asyncio.FIRST_COMPLETED)
                if following not in done:
                    following.cancel()
                    with contextlib.suppress(asyncio.CancelledError, StopAsyncIteration):
                        await following
                    return False
                chunk = following.result()
                if chunk is None:
                    self._spoiled = gone.done()
                    return True
                if chunk:
                    await self._send(h11.Data(data=chunk))
        finally:
            close = getattr(chunks, "aclose", None)
            if close is not None:
                await close()
            if not gone.done():
                gone.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await gone
