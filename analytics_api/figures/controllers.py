"""REST of figures: places for users, analytics and hours for analysts."""

import datetime as dt
from email.utils import format_datetime
from typing import Annotated, Any

from litestar import Controller, Request, Response, get
from litestar.di import NamedDependency
from litestar.params import PathParameter, QueryParameter

from analytics_api import tables
from analytics_api.access.guards import SECURITY, requires_analyst, requires_user
from analytics_api.db import Database
from analytics_api.encoding import JsonResponse
from analytics_api.figures import rows, services
from analytics_api.figures.schemas import Analytics, Hours, PlaceAnalytics, Places
from analytics_api.figures.services import Moment
from analytics_api.intervals import Interval
from analytics_api.openapi import TableOperation
from analytics_api.parameters import Cursor, Format, Locale, PlaceIds
from analytics_api.problems import documented

PlaceId = Annotated[str, PathParameter(max_length=128, min_length=1, description="The place, as its checks name it.")]
OptionalLimit = Annotated[
    int | None,
    QueryParameter(
        ge=1,
        le=1000,
        description="How many items a page holds at most (25 where nothing is said); CSV: all, unless given.",
    ),
]
Part = Annotated[
    rows.Part,
    QueryParameter(name="part", description="CSV only: a row for each place, or for each place and category."),
]
# A page of places with twenty categories each is some 100 KB.
PAGE = 25
CACHE = "private, no-cache"


class PlacesController(Controller):
    """Which places there are."""

    path = "/api/places"
    tags = ("figures",)
    guards = (requires_user,)
    security = SECURITY

    @get(summary="Places", operation_class=TableOperation, responses=documented(401, 422, 503))
    async def list_places(
        self,
        *,
        request: Request[Any, Any, Any],
        database: NamedDependency[Database],
        search: Annotated[
            str | None, QueryParameter(max_length=128, description="Part of the place's id or name, whatever the case.")
        ] = None,
        limit: OptionalLimit = None,
        cursor: Cursor = None,
        format_: Format = None,
        locale: Locale = None,
    ) -> Response[Places]:
        """Every place that has sold something, by place_id."""
        if tables.is_wanted(request, format_):
            return await tables.respond(  # type: ignore[return-value] # a table instead of the JSON
                rows.NAMES,
                rows.places(database, search=search, limit=limit),
                tables.dialect_of(request, locale),
                name="places",
                headers=_headers(await _now(database)),
            )
        async with database.reading() as reading:
            at = await services.moment(reading)
            if fresh := _not_modified(request, at):
                return fresh
            page = await services.places(reading, at, search=search, limit=limit or PAGE, cursor=cursor)
        return JsonResponse(page, headers=_headers(at, request))


class AnalyticsController(Controller):
    """What places came to."""

    path = "/api/analytics"
    tags = ("figures",)
    guards = (requires_analyst,)
    security = SECURITY

    @get(
        summary="All places over an interval",
        operation_class=TableOperation,
        responses=documented(401, 403, 414, 422, 503),
    )
    async def overall(
        self,
        *,
        request: Request[Any, Any, Any],
        database: NamedDependency[Database],
        interval: NamedDependency[Interval],
        place_ids: PlaceIds = None,
        limit: OptionalLimit = None,
        cursor: Cursor = None,
        format_: Format = None,
        part: Part = "places",
        locale: Locale = None,
    ) -> Response[Analytics]:
        """Places by place_id with their categories, and `total` over all of them, not the page alone."""
        if tables.is_wanted(request, format_):
            return await tables.respond(  # type: ignore[return-value] # a table instead of the JSON
                rows.header(part),
                rows.analytics(database, interval, part, place_ids=place_ids, limit=limit),
                tables.dialect_of(request, locale),
                name=part,
                headers=_headers(await _now(database)),
            )
        async with database.reading() as reading:
            at = await services.moment(reading)
            if fresh := _not_modified(request, at):
                return fresh
            answer = await services.analytics(
                reading, at, interval, place_ids=place_ids, limit=limit or PAGE, cursor=cursor
            )
        return JsonResponse(answer, headers=_headers(at, request))

    @get(
        "/{place_id:str}",
        summary="One place over an interval",
        operation_class=TableOperation,
        responses=documented(401, 403, 404, 422, 503),
    )
    async def place(
        self,
        *,
        request: Request[Any, Any, Any],
        database: NamedDependency[Database],
        interval: NamedDependency[Interval],
        place_id: PlaceId,
        format_: Format = None,
        part: Part = "places",
        locale: Locale = None,
    ) -> Response[PlaceAnalytics]:
        """A place without sales in the interval has 0, and no average."""
        async with database.reading() as reading:
            at = await services.moment(reading)
            if not tables.is_wanted(request, format_) and (fresh := _not_modified(request, at)):
                return fresh
            answer = await services.place(reading, at, interval, place_id)
        if tables.is_wanted(request, format_):

            async def only() -> Any:  # noqa: ANN401  (an async generator of one batch)
                yield rows.of(answer, part)

            return await tables.respond(  # type: ignore[return-value] # a table instead of the JSON
                rows.header(part), only(), tables.dialect_of(request, locale), name=part, headers=_headers(at)
            )
        return JsonResponse(answer, headers=_headers(at, request))


class HoursController(Controller):
    """Hour by hour."""

    path = "/api/hours"
    tags = ("figures",)
    guards = (requires_analyst,)
    security = SECURITY

    @get(summary="Hours with sales", operation_class=TableOperation, responses=documented(401, 403, 404, 414, 422, 503))
    async def list_hours(
        self,
        *,
        request: Request[Any, Any, Any],
        database: NamedDependency[Database],
        interval: NamedDependency[Interval],
        place_ids: PlaceIds = None,
        limit: Annotated[
            int | None, QueryParameter(ge=1, le=10000, description="As everywhere; up to 10,000 hours.")
        ] = None,
        cursor: Cursor = None,
        format_: Format = None,
        locale: Locale = None,
    ) -> Response[Hours]:
        """Summed over all places, or over those that place_id names; hours without sales are no rows."""
        if tables.is_wanted(request, format_):
            return await tables.respond(  # type: ignore[return-value] # a table instead of the JSON
                rows.HOURS,
                rows.hours(database, interval, place_ids=place_ids, limit=limit),
                tables.dialect_of(request, locale),
                name="hours",
                headers=_headers(await _now(database)),
            )
        async with database.reading() as reading:
            at = await services.moment(reading)
            if fresh := _not_modified(request, at):
                return fresh
            page = await services.hours(reading, at, interval, place_ids=place_ids, limit=limit or 1000, cursor=cursor)
        return JsonResponse(page, headers=_headers(at, request))


async def _now(database: NamedDependency[Database]) -> Moment:
    async with database.reading() as reading:
        return await services.moment(reading)


def _etag(at: Moment) -> str:
    return f'W/"{at.mark}"'


def _headers(at: Moment, request: Request[Any, Any, Any] | None = None) -> dict[str, str]:
    headers = {
        "Cache-Control": CACHE,
        "Vary": "Accept, Accept-Language, Authorization",
        "X-As-Of": at.as_of.isoformat().replace("+00:00", "Z"),
    }
    if request is not None:
        headers["ETag"] = _etag(at)
        if at.changed_at is not None:
            changed = at.changed_at.astimezone(dt.UTC).replace(microsecond=0)
            headers["Last-Modified"] = format_datetime(changed, usegmt=True)
    return headers


def _not_modified(request: Request[Any, Any, Any], at: Moment) -> Response[Any] | None:
    """304 when the client has this very state: the answer depends on the address and the state alone."""
    known = [tag.strip() for tag in request.headers.get("if-none-match", "").split(",")]
    if _etag(at) not in known:
        return None
    return Response(None, status_code=304, headers=_headers(at, request))
