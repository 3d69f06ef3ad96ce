"""``/inserts-stream``: rows as JSON lines, each acknowledged when Kafka has it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from ksqlite.errors import KsqlError
from ksqlite.server.answers import BAD_REQUEST, SERVER_ERROR, generic_error
from ksqlite.server.backend import Backend
from ksqlite.server.http import Request, Response, json_response
from ksqlite.statements import NewRecord, insert_row

_DELIMITED = "application/vnd.ksqlapi.delimited.v1"
_MAX_LINE_BYTES = 4 * 1024 * 1024


class _Lines:
    """The lines of a body that comes in pieces."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._pieces:
            *whole, self._rest = (self._rest + piece).split(b"\n")
            for line in whole:
                if line.strip():
                    yield line
            if len(self._rest) > _MAX_LINE_BYTES:
                raise KsqlError("A row is too large.")
        if self._rest.strip():
            yield self._rest


async def inserts_stream(request: Request, backend: Backend, clock_ms: Callable[[], int]) -> Response:
    """Takes the target from the first line and a row from each other one."""
    assert request.pieces is not None  # noqa: S101 - HTTP/1.1 was refused before
    lines = aiter(_Lines(request.pieces))
    try:
        head = json.loads(await anext(lines, b"null"))
    except ValueError:
        head = None
    target = head.get("target") if isinstance(head, dict) else None
    if not isinstance(target, str):
        return json_response(generic_error('The first line must be {"target": "…"}', BAD_REQUEST), 400)
    name = target[1:-1] if target[:1] in {"`", '"'} else target.upper()
    if await asyncio.wrap_future(backend.run(lambda: backend.engine.catalog.get(name))) is None:
        message = f"Cannot insert values into an unknown stream/table: `{name}`"
        return json_response(generic_error(message, BAD_REQUEST), 400)
    as_lines = _DELIMITED in request.headers.get("accept", _DELIMITED)

    async def acknowledgements() -> AsyncIterator[bytes]:
        number = 0
        if not as_lines:
            yield b"["
        async for line in lines:
            entity = await _insert(line, name, number, backend, clock_ms)
            text = json.dumps(entity, ensure_ascii=False, separators=(",", ":")).encode()
            yield text + b"\n" if as_lines else (b"," if number else b"") + text
            number += 1
            if entity["status"] != "ok":
                break
        if not as_lines:
            yield b"]"

    kind = _DELIMITED if as_lines else "application/json"
    return Response(200, content_type=kind, chunks=acknowledgements())


async def _insert(
    line: bytes, target: str, number: int, backend: Backend, clock_ms: Callable[[], int]
) -> dict[str, Any]:
    """Writes one row and says whether that went well; ksqlDB ends the stream at the first that did not."""

    def make() -> NewRecord:
        row = json.loads(line)
        if not isinstance(row, dict):
            raise KsqlError("A row must be a JSON object.")
        engine = backend.engine
        return insert_row(target, row, catalog=engine.catalog, registry=engine.env.registry, clock_ms=clock_ms)

    try:
        record = await asyncio.wrap_future(backend.run(make))
        await asyncio.to_thread(backend.write, record)
    except ValueError as error:
        return {"status": "error", "seq": number, "error_code": BAD_REQUEST, "message": f"Not JSON: {error}"}
    except KsqlError as error:
        return {"status": "error", "seq": number, "error_code": SERVER_ERROR, "message": error.message}
    return {"status": "ok", "seq": number}
