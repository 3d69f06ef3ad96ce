"""Requests made to cost much or to break something: bombs, endless spaces, deep JSON, odd names. No server runs."""

import asyncio
import gzip
import re
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import msgspec
import pytest
import zstandard

from analytics_api.access.schemas import Username
from analytics_api.app import build
from analytics_api.checks.forwarding import SNIFFED_BYTES, _beginning, _is_batch
from analytics_api.settings import Settings
from analytics_api.status.controllers import CONNECTOR_PATTERN

BOMB_BYTES = 64 * 1024 * 1024


def bomb(encoding: str, start: bytes) -> bytes:
    """`start` and 64 MiB of spaces, packed into some kilobytes."""
    content = start + b" " * BOMB_BYTES
    return gzip.compress(content) if encoding == "gzip" else zstandard.compress(content)


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
@pytest.mark.parametrize(("start", "is_batch"), [(b" [", True), (b"{", False), (b"", False)])
def test_a_bomb_is_not_unpacked(encoding: str, start: bytes, *, is_batch: bool) -> None:
    """Looking at a packed body takes as little memory as its first bytes."""
    body = bomb(encoding, start)
    tracemalloc.start()
    try:
        assert _is_batch(body, {"content-encoding": encoding}) is is_batch
        assert tracemalloc.get_traced_memory()[1] < 1024 * 1024
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("body", [b"", b"x", b"not zstd", zstandard.compress(b"[1]")[:6]])
def test_broken_zstd_is_no_batch(body: bytes) -> None:
    """What cannot be unpacked goes on as a single check; intake says what is wrong."""
    assert _is_batch(body, {"content-encoding": "zstd"}) is False


@pytest.mark.parametrize("size", [1, 1000, 100_000])
def test_endless_spaces_are_read_to_a_bound(size: int) -> None:
    """Of a body of spaces only the first 64 KiB are waited for; it counts as a single check."""
    asked = 0

    async def spaces() -> AsyncIterator[bytes]:
        nonlocal asked
        while True:
            asked += 1
            assert asked <= SNIFFED_BYTES, "asked on and on"
            yield b" " * size

    first = asyncio.run(_beginning(spaces()))
    assert asked == -(-SNIFFED_BYTES // size)
    assert first == b" " * (asked * size)
    assert _is_batch(first, {}) is False


def test_reading_stops_where_the_body_begins() -> None:
    """Chunks after the first one with more than spaces are left for sending; nothing is lost."""

    async def work() -> None:
        async def body() -> AsyncIterator[bytes]:
            for chunk in (b" \n", b"", b"\t[", b"1", b"]"):
                yield chunk

        chunks = body()
        assert await _beginning(chunks) == b" \n\t["
        assert [chunk async for chunk in chunks] == [b"1", b"]"]

    asyncio.run(work())


@pytest.mark.parametrize("name", ["admin\n", "admin\n\n", "\nadmin", "ad\nmin", "admin "])
def test_a_line_break_is_no_part_of_a_user_name(name: str) -> None:
    """A name that looks like another's on paper is refused."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(name, Username)
    assert msgspec.convert("admin", Username) == "admin"


def test_a_line_break_is_no_part_of_a_connector() -> None:
    """The same for the connectors' names, which become parts of addresses."""
    assert re.search(CONNECTOR_PATTERN, "checks-sink_v1.a")
    assert not re.search(CONNECTOR_PATTERN, "checks-sink\n")


async def answers(folder: Path, requests: list[tuple[str, str, bytes]]) -> list[httpx.Response]:
    """What the application answers, without a server and without a database."""
    transport = httpx.ASGITransport(build(Settings(keys_dir=folder)), raise_app_exceptions=False)  # type: ignore[arg-type] # litestar's own names of the same types
    headers = {"Content-Type": "application/json"}
    async with httpx.AsyncClient(transport=transport, base_url="http://here", headers=headers) as client:
        return [await client.request(method, path, content=content) for method, path, content in requests]


@pytest.mark.parametrize(
    ("path", "known"),
    [
        ("/auth/login/", b'"username": 1, "password": "x"'),
        ("/auth/registration/", b'"username": 1, "password1": "x", "password2": "x"'),
        ("/auth/refresh/", b'"refresh_token": 1'),
    ],
)
def test_deep_json_is_unreadable_json(tmp_path: Path, path: str, known: bytes) -> None:
    """However deep the nesting: a problem document, never 500."""
    bodies = [
        template.replace(b"DEEP", b"[" * depth + b"]" * depth)
        for depth in (1000, 1200, 100_000)
        for template in (b'{"more": DEEP, ' + known + b"}", b'{"more": DEEP}')
    ]
    for answer in asyncio.run(answers(tmp_path, [("POST", path, body) for body in bodies])):
        assert (answer.status_code, answer.json()["detail"]) == (400, "The body is not valid JSON.")
        assert answer.headers["content-type"] == "application/problem+json"


def test_no_depth_in_between_fails_later(tmp_path: Path) -> None:
    """What the first reading just manages, the second one, deeper in the stack, does too."""
    deep = [b"[" * depth + b"]" * depth for depth in range(900, 1000)]
    body = b'{"more": %s, "username": "ann", "password1": "x", "password2": "x"}'  # refused for its password
    requests = [("POST", "/auth/registration/", body % nested) for nested in deep]
    assert {answer.status_code for answer in asyncio.run(answers(tmp_path, requests))} == {400, 422}


@pytest.mark.parametrize("folder", ["/static/", "/swagger/assets/"])
def test_names_that_no_file_has(tmp_path: Path, folder: str) -> None:
    """Whatever the name of a file that is not there: 404."""
    names = ["%00", "a%00b.css", "x" * 300, "x" * 5000, "%D1%8F" * 200, "a/" * 3000, "swagger-ui.css/x", "pages.css/x"]
    asked = [(method, folder + name, b"") for name in names for method in ("GET", "HEAD")]
    assert [answer.status_code for answer in asyncio.run(answers(tmp_path, asked))] == [404] * len(asked)


def test_the_files_are_still_there(tmp_path: Path) -> None:
    """Names that files do have are answered with the files."""
    asked = [("GET", path, b"") for path in ("/static/pages.css", "/swagger/assets/swagger-ui-bundle.js.map")]
    assert [answer.status_code for answer in asyncio.run(answers(tmp_path, asked))] == [200, 200]
