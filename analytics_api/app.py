"""Puts the application together: one setting, controller or dependency a line."""

import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog
import swagger_ui_bundle
from litestar import Litestar, Request, Response, Router
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import NotFoundException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.static_files import create_static_files_router
from litestar.types import ASGIApp

from analytics_api import bodies, logs, problems
from analytics_api.access.controllers import AuthController
from analytics_api.access.guards import PUBLIC
from analytics_api.access.keys import Keys
from analytics_api.access.limits import Limits
from analytics_api.access.passwords import Passwords
from analytics_api.access.services import Access
from analytics_api.audit.controllers import AuditController
from analytics_api.checks import forwarding
from analytics_api.checks.controllers import AddChecksController, ChecksController, RejectedChecksController
from analytics_api.checks.forwarding import Intake
from analytics_api.db import Database
from analytics_api.encoding import JsonResponse
from analytics_api.figures.controllers import AnalyticsController, HoursController, PlacesController
from analytics_api.health import HealthController, SwaggerController, metrics
from analytics_api.observe import observed
from analytics_api.openapi import DecimalNumbers
from analytics_api.pages import errors as page_errors
from analytics_api.pages.routes import pages
from analytics_api.parameters import provide_interval
from analytics_api.reconcile.services import Reconciler
from analytics_api.scheduler import Jobs
from analytics_api.settings import Settings
from analytics_api.snapshots.controllers import SnapshotsController
from analytics_api.snapshots.services import SnapshotTaker
from analytics_api.status.controllers import StatusController
from analytics_api.status.lag import Lags
from analytics_api.status.services import StatusReader
from analytics_api.users.controllers import UsersController

log = structlog.get_logger("analytics_api.app")

MOST_BODY_BYTES = 1024 * 1024
# The folders of files have no folders in them.
_FILE_NAME = re.compile(r"/?[A-Za-z0-9_.-]{1,100}")
ABOUT = """
Exact analytics over purchase checks.

* **Sign in**: `POST /auth/registration/`, then `POST /auth/login/`; send the token as
  `Authorization: Bearer …` or `Authorization: Token …`.
* **Roles**: user < analyst < administrator. A changed role counts from the next request.
* **Intervals**: `from` and `to` are whole hours, half-open; hours and days are UTC's.
* **Money** is a number with its exact digits. **CSV**: `Accept: text/csv` or `?format=csv`.
* **Errors** are problem documents (RFC 9457).
"""


def _provide(value: Any) -> Provide:  # noqa: ANN401  (whatever a handler wants by name)
    return Provide(lambda: value, sync_to_thread=False)


def build(settings: Settings) -> Litestar:
    """The application without what stands around every request (see `create`)."""
    database = Database(settings)
    keys = Keys(settings.keys_dir)
    client = forwarding.client()
    access = Access(database, settings, keys, Passwords(settings.hash_concurrency), Limits.of(settings))
    lags = Lags(settings, database)
    snapshots = SnapshotTaker(database, settings)
    reconciler = Reconciler(database, settings)
    status_reader = StatusReader(client, database, settings, lags)

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        await database.open()
        jobs = Jobs(settings, database, snapshots, reconciler, lags) if settings.scheduler else None
        if jobs:
            jobs.start()
        try:
            yield
        finally:
            if jobs:
                jobs.stop()
            await client.aclose()
            await database.close()

    return Litestar(
        route_handlers=[
            AuthController,
            PlacesController,
            AnalyticsController,
            HoursController,
            SnapshotsController,
            AddChecksController,
            ChecksController,
            RejectedChecksController,
            UsersController,
            StatusController,
            AuditController,
            HealthController,
            SwaggerController,
            metrics,
            *pages(status_reader, snapshots),
            create_static_files_router(
                path="/swagger/assets",
                directories=[swagger_ui_bundle.swagger_ui_path],
                opt=PUBLIC,
                include_in_schema=False,
                cache_control=None,
            ),
        ],
        dependencies={
            "settings": _provide(settings),
            "database": _provide(database),
            "access": _provide(access),
            "intake": _provide(Intake(client, settings)),
            "lags": _provide(lags),
            "snapshots": _provide(snapshots),
            "status_reader": _provide(status_reader),
            "interval": Provide(provide_interval),
        },
        before_request=_check,
        exception_handlers={**problems.HANDLERS, NotFoundException: _nowhere},
        plugins=[DecimalNumbers()],
        lifespan=[lifespan],
        state=State({"settings": settings, "database": database, "signing_keys": keys, "access": access}),
        response_class=JsonResponse,
        request_max_body_size=MOST_BODY_BYTES,
        openapi_config=OpenAPIConfig(
            title="analytics_api",
            version="1.0.0",
            description=ABOUT,
            components=Components(
                security_schemes={
                    "bearer": SecurityScheme(type="http", scheme="bearer", description="`Bearer <token>`"),
                    "token": SecurityScheme(
                        type="apiKey",
                        name="Authorization",
                        security_scheme_in="header",
                        description="`Token <token>`",
                    ),
                }
            ),
            use_handler_docstrings=True,
            openapi_router=Router(
                "/schema", route_handlers=[], opt=PUBLIC, include_in_schema=False, after_request=_told_as_problem
            ),
            render_plugins=[JsonRenderPlugin()],
        ),
        logging_config=None,
        debug=False,
    )


async def _check(request: Request[Any, Any, Any]) -> None:
    """Refuse a file's name that the file system would stumble over (404), and a body that does not fit."""
    name = request.path_params.get("file_path")
    if name is not None and not _FILE_NAME.fullmatch(str(name)):
        raise NotFoundException
    await bodies.check(request)


def _nowhere(request: Request[Any, Any, Any], error: NotFoundException) -> Response[Any]:
    """People get a page, programs a problem document."""
    return page_errors.nowhere(request, error) or problems.on_http(request, error)


def _told_as_problem(answer: Response[Any]) -> Response[Any]:
    """Litestar's page for a schema address that is not there becomes a problem document like every other error."""
    if answer.status_code == 404:
        return problems.respond(problems.Problem(404, "There is nothing at this address."))
    return answer


def create() -> ASGIApp:
    """What the HTTP server runs: the application within its observer."""
    logs.configure()
    return observed(build(Settings.from_environment(os.environ)))
