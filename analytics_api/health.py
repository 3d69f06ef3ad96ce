"""Liveness, readiness, metrics, and the OpenAPI page."""

import os
from collections.abc import Iterator
from typing import Any

import prometheus_client
import psycopg
from litestar import Controller, MediaType, Request, Response, get
from litestar.di import NamedDependency
from msgspec import Struct
from prometheus_client import CollectorRegistry, multiprocess
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from analytics_api.access.guards import PUBLIC
from analytics_api.db import Database
from analytics_api.observe import SWAGGER_POLICY
from analytics_api.problems import documented, unavailable
from analytics_api.reconcile import services as reconciling
from analytics_api.status.services import last_snapshot


class Health(Struct):
    """The service says it is well."""

    status: str


class HealthController(Controller):
    """For supervisors and balancers."""

    path = "/health"
    tags = ("health",)
    opt = PUBLIC

    @get("/live", summary="The process answers")
    async def live(self) -> Health:
        """Nothing else is asked."""
        return Health("ok")

    @get("/ready", summary="Requests can be served", responses=documented(503))
    async def ready(self, *, database: NamedDependency[Database]) -> Health:
        """The database answers and has its tables."""
        try:
            async with database.connection() as connection:
                await connection.execute("SELECT 1 FROM app.pipelines WHERE is_read")
        except psycopg.Error:
            raise unavailable("The database does not answer.") from None
        return Health("ok")


class _State(Collector):
    """Gauges read from PostgreSQL when they are asked for."""

    def __init__(self, gauges: dict[str, tuple[str, float]]) -> None:
        self._gauges = gauges

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for name, (about, value) in self._gauges.items():
            yield GaugeMetricFamily(name, about, value=value)


@get("/metrics", opt=PUBLIC, include_in_schema=False, media_type=MediaType.TEXT)
async def metrics(*, database: NamedDependency[Database]) -> Response[bytes]:
    """Prometheus metrics of all workers together, and the state of snapshots and reconciliation."""
    registry = CollectorRegistry()
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call] # the library gives it no types
        parts = [prometheus_client.generate_latest(registry)]
    else:
        parts = [prometheus_client.generate_latest()]
    state = CollectorRegistry()
    state.register(_State(await _gauges(database)))
    parts.append(prometheus_client.generate_latest(state))
    return Response(b"".join(parts), headers={"Content-Type": prometheus_client.CONTENT_TYPE_LATEST})


async def _gauges(database: NamedDependency[Database]) -> dict[str, tuple[str, float]]:
    try:
        compared = await reconciling.latest(database)
        run = await last_snapshot(database)
        async with database.connection() as connection:
            row = await (await connection.execute("SELECT max(changed_at) AS at FROM figures.changes")).fetchone()
    except psycopg.Error:
        return {"analytics_database_up": ("Whether PostgreSQL answers", 0)}
    gauges: dict[str, tuple[str, float]] = {"analytics_database_up": ("Whether PostgreSQL answers", 1)}
    if row and row["at"]:
        gauges["analytics_figures_changed_timestamp_seconds"] = ("When a figure changed last", row["at"].timestamp())
    if run:
        gauges["analytics_snapshot_last_run_timestamp_seconds"] = (
            "When the last snapshot run began",
            run.started_at.timestamp(),
        )
    if compared:
        gauges |= {
            "analytics_reconcile_last_run_timestamp_seconds": (
                "When the log was last compared with PostgreSQL",
                compared.finished_at.timestamp(),
            ),
            "analytics_reconcile_differences": (
                "Differences that stayed longer than the pipeline may lag",
                sum(difference.count for difference in compared.differences),
            ),
            "analytics_reconcile_missing_checks": (
                "Checks of the log that PostgreSQL lacks for longer than the pipeline may lag",
                sum(d.count for d in compared.differences if d.kind == "missing_checks"),
            ),
            "analytics_reconcile_log_records": ("Records of topic checks read", compared.log_records),
            "analytics_reconcile_sale_records": ("Records of topic sales read", compared.sale_records),
        }
    return gauges


_SWAGGER = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>analytics_api</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="/swagger/assets/swagger-ui.css">
<script src="/swagger/assets/swagger-ui-bundle.js" defer></script>
<script src="/swagger/start.js" defer></script>
</head><body><div id="swagger-ui"></div></body></html>
"""
_START = """SwaggerUIBundle({
  url: "/swagger/openapi.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null,
  persistAuthorization: false, layout: "BaseLayout",
});
"""


class SwaggerController(Controller):
    """The OpenAPI document as a page, without anything from other hosts."""

    path = "/swagger"
    opt = PUBLIC
    include_in_schema = False

    @get("/", media_type=MediaType.HTML)
    async def page(self) -> Response[str]:
        """Swagger UI."""
        return Response(_SWAGGER, media_type=MediaType.HTML, headers={"Content-Security-Policy": SWAGGER_POLICY})

    @get("/start.js", media_type="text/javascript")
    async def start(self) -> Response[str]:
        """What starts Swagger UI: a file of its own, so that no script stands in the page."""
        return Response(_START, media_type="text/javascript")

    @get("/openapi.json")
    async def document(self, *, request: Request[Any, Any, Any]) -> dict[str, Any]:
        """The OpenAPI document."""
        return request.app.openapi_schema.to_schema()
