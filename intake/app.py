"""Wires the application: Litestar's handlers behind the front, one `Intake` a process."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import structlog
from litestar import Litestar, Request
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler

from intake import logs, settings
from intake.http.answers import Answer, problem
from intake.http.batch import add_batch
from intake.http.check import add_check
from intake.http.docs import documentation
from intake.http.front import Front
from intake.http.health import live, metrics, ready
from intake.service import Intake

log = structlog.get_logger("intake")


def http_problem(request: Request[Any, Any, Any], error: HTTPException) -> Answer:
    """What Litestar itself refuses (no such path, method or host) as a problem document."""
    status = error.status_code
    if status == 405:
        allowed = ", ".join(sorted(METHODS.get(request.scope["path"].rstrip("/"), {"GET", "HEAD", "OPTIONS"})))
        return problem(405, f"This address takes {allowed}.", headers=[(b"allow", allowed.encode())])
    if status == 404:
        return problem(404, "There is nothing at this address; /swagger/ shows what there is.")
    return problem(status, str(error.detail))


def unexpected_problem(request: Request[Any, Any, Any], error: Exception) -> Answer:
    """A fault of ours."""
    source = request.scope["state"].get("source")
    log.error("unexpected error", request_id=source.request_id.decode() if source else "", exc_info=error)
    return problem(500, "Something went wrong here; the log has it under the request id of this answer.")


METHODS: dict[str, set[str]] = {
    "/api/checks": {"POST", "OPTIONS"},
    "/api/checks/batch": {"POST", "OPTIONS"},
}


def create_app(intake: Intake, *more: HTTPRouteHandler) -> Front:
    """The ASGI application of one process; `more` handlers stand beside its own, for measuring."""

    @contextlib.asynccontextmanager
    async def lifespan(_app: Litestar) -> AsyncIterator[None]:
        await intake.start()
        try:
            yield
        finally:
            await intake.stop()

    app = Litestar(
        route_handlers=[add_check, add_batch, live, ready, metrics, *documentation(), *more],
        lifespan=[lifespan],
        exception_handlers={HTTPException: http_problem, Exception: unexpected_problem},  # type: ignore[dict-item] # litestar types handlers by Exception alone
        openapi_config=None,  # the document follows the schema in force, see http.openapi
        logging_config=None,
        request_max_body_size=None,  # bodies have limits of their own, see bodies.reading
    )
    return Front(app, intake)


def create() -> Front:
    """The application as the server's workers make it, settings from the environment."""
    loaded = settings.load()
    logs.configure(loaded.log_level)
    return create_app(Intake(loaded))
