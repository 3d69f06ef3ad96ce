"""The HTTP server, fed with bytes instead of a network."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, StreamEnded

from ksqlite import parser
from ksqlite.server.app import App
from ksqlite.server.http import MAX_BODY_BYTES, HttpServer, Request, Response, json_response
from ksqlite.server.memory import MemoryBackend


class Wire:
    """What a transport is to a StreamWriter, with everything that was written."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.closed = False

    def write(self, data: Any) -> None:
        self.data += data

    async def drain(self) -> None:
        await asyncio.sleep(0)

    def close(self) -> None:
        self.closed = True

    async def wait_closed(self) -> None:
        pass


async def talk(handler: Any, pieces: Any, *, hold: bool = False) -> tuple[Any, ...]:
    """All that a server answers to some bytes; with ``hold`` the client stays until the server is done."""
    errors: list[Any] = []
    server = HttpServer(handler, errors.append)
    reader = asyncio.StreamReader()
    wire = Wire()
    conversation = asyncio.ensure_future(server._connected(reader, cast("asyncio.StreamWriter", wire)))
    for piece in pieces:
        reader.feed_data(piece)
        await asyncio.sleep(0)
    if not hold:
        reader.feed_eof()
    await asyncio.wait_for(conversation, 10)
    assert wire.closed
    return bytes(wire.data), errors


def run(handler: Any, *pieces: bytes, hold: bool = False) -> Any:
    return asyncio.run(talk(handler, pieces, hold=hold))


async def echo(request: Request) -> Response:
    """Answers with what was asked."""
    return Response(200, b"|".join([request.method.encode(), request.path.encode(), request.body]), "text/plain")


def test_requests_on_one_connection() -> None:
    """A connection serves several requests, with bodies by length or in chunks, escaped paths and queries cut off."""
    answer, errors = run(
        echo,
        b"POST /a%20b?x=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
        b"POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n1\r\nf\r\n0\r\n\r\n",
    )
    assert answer.count(b"HTTP/1.1 200") == 2
    assert b"POST|/a b|abc" in answer
    assert b"POST|/c|def" in answer
    assert errors == []


def test_what_is_no_http() -> None:
    """Bytes that are no request get 400 and the connection's end."""
    answer, errors = run(echo, b"\x16\x03\x01\x02nonsense\r\n\r\n", hold=True)
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"generic_error" in answer
    assert errors == []


def test_a_body_that_is_too_large() -> None:
    """A body over the limit gets 413, and is not kept."""
    head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY_BYTES + 2_000_000)
    answer, _ = run(echo, head, b"x" * (MAX_BODY_BYTES + 2_000_000), hold=True)
    assert answer.startswith(b"HTTP/1.1 413")


def test_a_client_that_waits_for_100() -> None:
    """Expect: 100-continue is answered before the body is read."""
    answer, _ = run(echo, b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n", b"x")
    assert answer.startswith(b"HTTP/1.1 100")
    assert b"POST|/|x" in answer


def test_a_handler_that_breaks() -> None:
    """An error in the handler is a 500 in ksqlDB's shape, and the connection goes on."""

    async def handler(request: Any) -> Any:
        if request.path == "/bad":
            raise ValueError("no")
        return json_response({})

    answer, errors = run(handler, b"GET /bad HTTP/1.1\r\nHost: h\r\n\r\n", b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    assert b"HTTP/1.1 500" in answer
    assert b'"error_code":50000' in answer
    assert b"HTTP/1.1 200" in answer
    assert [str(error) for error in errors] == ["no"]


@pytest.mark.parametrize("leaves", [False, True])
def test_streams(leaves: bool) -> None:
    """Chunks are sent as they come; when the client leaves, the stream is closed."""
    closed = []

    async def chunks() -> AsyncIterator[Any]:
        try:
            for number in range(3):
                yield f"{number}\n".encode()
            if leaves:
                await asyncio.sleep(3600)
        finally:
            closed.append(True)

    async def handler(_request: Any) -> Any:
        return Response(200, chunks=chunks())

    request = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
    answer, errors = run(handler, request)
    assert b"transfer-encoding: chunked" in answer.lower()
    assert b"2\r\n0\n\r\n" in answer
    assert answer.endswith(b"0\r\n\r\n") is not leaves
    assert closed == [True]
    assert errors == []


class Http2Client:
    """An HTTP/2 client that speaks to a server's coroutine instead of a network."""

    def __init__(self, handler: Any) -> None:
        self.errors: list[Any] = []
        self.server = HttpServer(handler, self.errors.append)
        self.reader = asyncio.StreamReader()
        self.wire = Wire()
        self.state = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self.state.initiate_connection()
        self.conversation = asyncio.ensure_future(self.server._connected(self.reader, self.wire))  # type: ignore[arg-type] # a wire in memory
        self.answers: dict[Any, Any] = {}
        self.ended: set[Any] = set()

    def ask(self, method: Any, path: Any, body: bytes = b"", *, end: bool = True) -> Any:
        stream = self.state.get_next_available_stream_id()
        headers = [(":method", method), (":path", path), (":scheme", "http"), (":authority", "h")]
        self.state.send_headers(stream, headers, end_stream=end and not body)
        if body:
            self.state.send_data(stream, body, end_stream=end)
        self.answers[stream] = b""
        return stream

    async def pump(self, condition: Any) -> None:
        """Carries bytes to and fro until the condition holds."""
        async with asyncio.timeout(10):
            while not condition():
                self.reader.feed_data(self.state.data_to_send())
                await asyncio.sleep(0.001)
                data = bytes(self.wire.data)
                self.wire.data.clear()
                for event in self.state.receive_data(data):
                    if isinstance(event, DataReceived):
                        self.answers[event.stream_id] += event.data
                        self.state.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    elif isinstance(event, StreamEnded):
                        self.ended.add(event.stream_id)

    async def close(self) -> None:
        self.reader.feed_eof()
        await asyncio.wait_for(self.conversation, 10)
        assert self.errors == []


def test_http2_requests_side_by_side() -> None:
    """Requests share a connection, and an answer larger than the client's window arrives whole."""

    async def handler(request: Any) -> Any:
        if request.path == "/large":
            return Response(200, b"x" * 300_000)
        return await echo(request)

    async def scene() -> None:
        client = Http2Client(handler)
        streams = [client.ask("GET", "/large"), client.ask("POST", "/a", b"abc")]
        await client.pump(lambda: client.ended >= set(streams))
        assert len(client.answers[streams[0]]) == 300_000
        assert client.answers[streams[1]] == b"POST|/a|abc"
        await client.close()

    asyncio.run(scene())


def test_http2_a_client_that_gives_up() -> None:
    """Resetting a stream ends its answer; the connection goes on."""
    closed = []

    async def chunks() -> AsyncIterator[Any]:
        try:
            yield b"1"
            await asyncio.sleep(3600)
        finally:
            closed.append(True)

    async def handler(request: Any) -> Any:
        return Response(200, chunks=chunks()) if request.path == "/endless" else await echo(request)

    async def scene() -> None:
        client = Http2Client(handler)
        endless = client.ask("GET", "/endless")
        await client.pump(lambda: client.answers[endless] == b"1")
        client.state.reset_stream(endless)
        other = client.ask("GET", "/")
        await client.pump(lambda: other in client.ended and closed)
        await client.close()

    asyncio.run(scene())


def test_inserts_stream() -> None:
    """Rows that come over a stream are acknowledged one by one; the first that is refused ends it."""

    async def scene() -> None:
        backend = MemoryBackend()
        topics: Any = backend.env.topics
        topics.declare("t", 1)
        app = App(backend, service_id="s", credentials=None, clock_ms=lambda: 7)
        (located,) = parser.parse(
            "CREATE STREAM s (k STRING KEY, v DOUBLE) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON');"
        )
        backend.execute(located, {})
        client = Http2Client(app)
        stream = client.ask("POST", "/inserts-stream", b'{"target":"S"}\n{"K":"a","V":1}\n{"k":"b",', end=False)
        await client.pump(lambda: client.answers[stream].count(b"\n") == 1)
        client.state.send_data(stream, b'"v":2}\n{"v":"no"}\n{"v":3}\n', end_stream=True)
        await client.pump(lambda: stream in client.ended)
        answers = [json.loads(line) for line in client.answers[stream].splitlines()]
        assert [answer["status"] for answer in answers] == ["ok", "ok", "error"]
        assert [(record.key, record.value) for record in backend.records["t"]] == [
            (b"a", b'{"V":1.0}'),
            (b"b", b'{"V":2.0}'),
        ]
        unknown = client.ask("POST", "/inserts-stream", b'{"target":"nowhere"}\n')
        await client.pump(lambda: unknown in client.ended)
        assert json.loads(client.answers[unknown])["error_code"] == 40000
        await client.close()

    asyncio.run(scene())
