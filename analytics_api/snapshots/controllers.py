"""REST of snapshots."""

from typing import Annotated, Any

from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import QueryParameter
from litestar.status_codes import HTTP_200_OK

from analytics_api import tables
from analytics_api.access.guards import SECURITY, requires_administrator, requires_analyst
from analytics_api.db import Database
from analytics_api.encoding import JsonResponse
from analytics_api.intervals import Interval
from analytics_api.observe import address_of
from analytics_api.openapi import TableOperation
from analytics_api.parameters import Cursor, Format, Limit, Locale, PlaceIds
from analytics_api.problems import documented
from analytics_api.snapshots import services
from analytics_api.snapshots.schemas import Revision, SnapshotRun, SnapshotRuns, Snapshots
from analytics_api.snapshots.services import SnapshotTaker
from analytics_api.status.lag import Lags


class SnapshotsController(Controller):
    """What hours came to when they were looked at."""

    path = "/api/snapshots"
    tags = ("snapshots",)
    security = SECURITY

    @get(
        guards=[requires_analyst],
        summary="Snapshots of finished hours",
        operation_class=TableOperation,
        responses=documented(401, 403, 414, 422, 503),
    )
    async def list_snapshots(
        self,
        *,
        request: Request[Any, Any, Any],
        database: NamedDependency[Database],
        interval: NamedDependency[Interval],
        place_ids: PlaceIds = None,
        revision: Annotated[
            Revision, QueryParameter(description="latest: the newest revision of each hour; all: every revision.")
        ] = "latest",
        limit: Annotated[
            int | None,
            QueryParameter(
                ge=1, le=10000, description="How many items a page holds at most (1,000); CSV: all, unless given."
            ),
        ] = None,
        cursor: Cursor = None,
        format_: Format = None,
        locale: Locale = None,
    ) -> Response[Snapshots]:
        """By hour, place and revision; late checks add a revision and leave the earlier ones as they are."""
        if tables.is_wanted(request, format_):
            return await tables.respond(  # type: ignore[return-value] # a table instead of the JSON
                services.COLUMNS,
                services.rows(database, interval, place_ids=place_ids, revision=revision, limit=limit),
                tables.dialect_of(request, locale),
                name="snapshots",
                headers={"Cache-Control": "private, no-cache"},
            )
        async with database.reading() as reading:
            answer = await services.page(
                reading, interval, place_ids=place_ids, revision=revision, limit=limit or 1000, cursor=cursor
            )
        return JsonResponse(answer, headers={"Cache-Control": "private, no-cache"})

    @get(
        "/runs",
        guards=[requires_administrator],
        summary="Runs of the snapshot, the newest first",
        responses=documented(401, 403, 422, 503),
    )
    async def list_runs(
        self, *, database: NamedDependency[Database], limit: Limit = 100, cursor: Cursor = None
    ) -> SnapshotRuns:
        """Each with how far behind the pipeline was, and what it wrote."""
        return await services.runs(database, limit=limit, cursor=cursor)

    @post(
        "/run",
        guards=[requires_administrator],
        status_code=HTTP_200_OK,
        summary="Take a snapshot now",
        responses=documented(401, 403, 503),
    )
    async def run(
        self, *, request: Request[Any, Any, Any], snapshots: NamedDependency[SnapshotTaker], lags: NamedDependency[Lags]
    ) -> SnapshotRun:
        """Writes a revision of every finished hour that differs from its latest one."""
        behind = await lags.behind()
        return await snapshots.take_now(behind, actor=request.user.username, address=address_of(request))
