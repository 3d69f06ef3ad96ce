"""Figures for analysts: all places over an interval, one place, and each table as CSV."""

import datetime as dt
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from litestar import Controller, Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, PathParameter, QueryParameter

from analytics_api import tables
from analytics_api.db import Database, Reading
from analytics_api.figures import ranking, rows, services
from analytics_api.figures.queries import NAMED_PLACES
from analytics_api.figures.ranking import Order
from analytics_api.figures.schemas import HourFigures
from analytics_api.figures.services import Moment
from analytics_api.pages import charts, periods, zones
from analytics_api.pages.periods import Choice, Period
from analytics_api.pages.sessions import page_analyst, path_of
from analytics_api.pages.view import View
from analytics_api.pages.watch import Watch
from analytics_api.snapshots import services as snapshots

PER_PAGE = 100
HOURS_AT_ONCE = 10_000
FIGURES = ("purchases", "spent", "nds", "tips")
Chosen = Annotated[Choice, QueryParameter(name="interval")]
Bound = Annotated[str, QueryParameter(max_length=40)]
From = Annotated[str, QueryParameter(name="from", max_length=40)]
PlaceIds = Annotated[list[str] | None, QueryParameter(name="place_id", max_items=1000)]
PlaceId = Annotated[str, PathParameter(min_length=1, max_length=128)]


@dataclass(frozen=True)
class Selection:
    """What the address says: kept whole in every link, so that a link can be sent."""

    period: Period
    zone: str
    place_ids: tuple[str, ...] = ()
    search: str = ""
    sort: Order = "spent"
    descending: bool = True
    page: int = 1
    path: str = "/analytics/"

    def link(self, path: str | None = None, **changes: Any) -> str:  # noqa: ANN401  (fields of this class)
        """The address of the selection with `changes`."""
        fields = {**self.__dict__, **changes}
        choice = fields.get("choice", self.period.choice)
        pairs: list[tuple[str, str]] = [("interval", choice)]
        if choice == "own":
            pairs += [("from", _utc(self.period.start)), ("to", _utc(self.period.end))]
        pairs.append(("zone", fields["zone"]))
        pairs += [("place_id", place_id) for place_id in fields["place_ids"]]
        if fields["search"]:
            pairs.append(("search", fields["search"]))
        if (fields["sort"], fields["descending"]) != ("spent", True):
            pairs += [("sort", fields["sort"]), ("order", "desc" if fields["descending"] else "asc")]
        if fields["page"] > 1:
            pairs.append(("page", str(fields["page"])))
        return f"{path or self.path}?{urlencode(pairs)}"


class FiguresPages(Controller):
    """What an analyst looks at."""

    path = "/analytics"
    guards = (page_analyst,)

    @get("/")
    async def overall(
        self,
        *,
        request: Request[Any, Any, Any],
        database: NamedDependency[Database],
        watch: NamedDependency[Watch],
        interval_: Chosen = "today",
        from_: From = "",
        to: Bound = "",
        place_id: PlaceIds = None,
        search: Annotated[str, QueryParameter(max_length=128)] = "",
        sort: FromQuery[Order] = "spent",
        order: FromQuery[Literal["asc", "desc"]] = "desc",
        page: Annotated[int, QueryParameter(ge=1, le=100_000)] = 1,
    ) -> Response[Any]:
        """Totals, charts, places, categories."""
        view = View(request)
        period = periods.choose(interval_, view.zone, dt.datetime.now(dt.UTC), from_=from_, to=to)
        chosen = tuple(dict.fromkeys(place_id or []))
        selection = Selection(period, view.zone.key, chosen, search, sort, order == "desc", page)
        async with database.reading() as reading:
            at = await services.moment(reading)
            away = watch.away()
            mark = view.mark(at.mark, period, away)
            if view.is_known(mark):
                return view.unchanged(mark)
            total = await services.total(reading, period.interval, place_ids=chosen or None)
            before = await services.total(reading, period.before, place_ids=chosen or None)
            ranked = await ranking.rank(
                reading,
                period.interval,
                place_ids=chosen or None,
                search=search,
                order=sort,
                descending=order == "desc",
                limit=PER_PAGE,
                offset=(page - 1) * PER_PAGE,
            )
            hours = await _hours(reading, at, period, list(chosen))
            names = await _names(reading, chosen)
        return view.page(
            "analytics.html",
            mark=mark,
            sel=selection,
            period=period,
            choices=periods.CHOICES,
            zones=zones.offered(view.zone, request.app.state.settings.zone),
            total=total,
            before=before,
            ranked=ranked,
            pages=-(-ranked.count // PER_PAGE),
            names=names,
            place=None,
            at=at,
            away=away,
            **_drawn(hours, period, view),
        )

    @get("/place/{place_id:str}/")
    async def place(
        self,
        *,
        request: Request[Any, Any, Any],
        database: NamedDependency[Database],
        watch: NamedDependency[Watch],
        place_id: PlaceId,
        interval_: Chosen = "today",
        from_: From = "",
        to: Bound = "",
    ) -> Response[Any]:
        """One place: totals, charts, categories, the revisions of its snapshots."""
        view = View(request)
        period = periods.choose(interval_, view.zone, dt.datetime.now(dt.UTC), from_=from_, to=to)
        async with database.reading() as reading:
            at = await services.moment(reading)
            away = watch.away()
            last = await snapshots.page(
                reading, period.interval, place_ids=[place_id], revision="all", limit=500, cursor=None
            )
            mark = view.mark(at.mark, period, away, last.items[-1:], len(last.items))
            if view.is_known(mark):
                return view.unchanged(mark)
            total = await services.place(reading, at, period.interval, place_id)
            before = await services.total(reading, period.before, place_ids=[place_id])
            hours = await _hours(reading, at, period, [place_id])
        selection = Selection(period, view.zone.key, path=path_of(request).rstrip("/") + "/")
        return view.page(
            "analytics.html",
            mark=mark,
            sel=selection,
            period=period,
            choices=periods.CHOICES,
            zones=zones.offered(view.zone, request.app.state.settings.zone),
            total=total,
            before=before,
            place=total,
            snapshots=last,
            at=at,
            away=away,
            **_drawn(hours, period, view),
        )

    @get("/csv/{table:str}/")
    async def csv(
        self,
        *,
        request: Request[Any, Any, Any],
        database: NamedDependency[Database],
        table: FromPath[Literal["places", "categories", "hours", "snapshots"]],
        interval_: Chosen = "today",
        from_: From = "",
        to: Bound = "",
        place_id: PlaceIds = None,
    ) -> Response[Any]:
        """The tables of the page as REST writes them, in the page's language."""
        view = View(request)
        period = periods.choose(interval_, view.zone, dt.datetime.now(dt.UTC), from_=from_, to=to)
        dialect = tables.RUSSIAN if view.language == "ru" else tables.ENGLISH
        header: tuple[str, ...]
        if table == "hours":
            header, batches = rows.HOURS, rows.hours(database, period.interval, place_ids=place_id, limit=None)
        elif table == "snapshots":
            header = snapshots.COLUMNS
            batches = snapshots.rows(database, period.interval, place_ids=place_id, revision="all", limit=None)
        else:
            header = rows.header(table)
            batches = rows.analytics(database, period.interval, table, place_ids=place_id, limit=None)
        return await tables.respond(
            header, batches, dialect, name=table, headers={"Cache-Control": "private, no-cache"}
        )


def _drawn(hours: list[HourFigures], period: Period, view: View) -> dict[str, Any]:
    shown = charts.series(hours, period, view.formats)
    return {
        "series": shown,
        "charts": {figure: charts.draw(shown, figure, view.formats) for figure in FIGURES},
        "geometry": charts,
    }


async def _hours(reading: Reading, at: Moment, period: Period, place_ids: list[str]) -> list[HourFigures]:
    found: list[HourFigures] = []
    cursor = None
    # A link may name a place that no check has named yet: its hours are none, and the page says so.
    known = [name for name, _ in await _names(reading, tuple(place_ids))] if place_ids else []
    if place_ids and not known:
        return []
    while True:
        page = await services.hours(
            reading, at, period.interval, place_ids=known or None, limit=HOURS_AT_ONCE, cursor=cursor
        )
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            return found


async def _names(reading: Reading, place_ids: tuple[str, ...]) -> list[tuple[str, str]]:
    if not place_ids:
        return []
    wanted = [place_id for place_id in place_ids if "\0" not in place_id]
    found = await reading.rows(NAMED_PLACES, {"place_ids": wanted})
    return [(row[0], row[1] or row[0]) for row in found]


def _utc(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%MZ")
