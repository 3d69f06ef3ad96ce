"""intake with no-op handlers beside its own, for measuring: same process, same server, same front."""

from __future__ import annotations

import sys
from typing import Any

from litestar import Request, post

from intake import logs, settings
from intake.app import create_app
from intake.http.answers import Answer
from intake.http.front import Front
from intake.serve import serve
from intake.service import Intake

_BODY = b'{"transaction_id":"bench-0000000001","status":"accepted"}'


@post("/noop", status_code=201)
async def noop(request: Request[Any, Any, Any]) -> Answer:
    """Read the body as Litestar reads it, and answer what intake answers."""
    await request.body()
    return Answer(201, _BODY)


@post("/noop-lean", status_code=201)
async def noop_lean(request: Request[Any, Any, Any]) -> Answer:
    """The least there can be: read the body with intake's own reader, which is quicker than Litestar's."""
    state = request.scope["state"]
    await state["intake"].reader.whole(request.receive, state["headers"], 1_048_576)
    return Answer(201, _BODY)


@post("/noop-plain", status_code=201)
async def noop_plain(request: Request[Any, Any, Any]) -> dict[str, str]:
    """The way Litestar's documentation writes it: the answer is a dict, which Litestar serializes."""
    await request.body()
    return {"transaction_id": "bench-0000000001", "status": "accepted"}


def create() -> Front:
    """The application, settings from the environment."""
    loaded = settings.load()
    logs.configure(loaded.log_level)
    return create_app(Intake(loaded), noop, noop_lean, noop_plain)


if __name__ == "__main__":
    sys.exit(serve(settings.load(), "bench.intake_app:create"))
