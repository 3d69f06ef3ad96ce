"""Control for administrators: checks as they arrive, rejected ones, users, the pipeline, snapshot runs, the audit."""

import datetime as dt
from typing import Annotated, Any

import msgspec
from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import PathParameter, QueryParameter
from litestar.response import Redirect

from analytics_api import intervals
from analytics_api.access.services import Access
from analytics_api.audit import services as audit
from analytics_api.checks import services as checks
from analytics_api.checks.forwarding import Intake
from analytics_api.checks.schemas import Kind
from analytics_api.checks.services import Search
from analytics_api.db import Database
from analytics_api.observe import address_of
from analytics_api.pages import sessions
from analytics_api.pages.sessions import page_administrator
from analytics_api.pages.view import View
from analytics_api.problems import FieldError, Problem, invalid
from analytics_api.snapshots import services as snapshots
from analytics_api.snapshots.services import SnapshotTaker
from analytics_api.status.controllers import CONNECTOR_PATTERN
from analytics_api.status.lag import Lags
from analytics_api.status.services import StatusReader
from analytics_api.users import services as users
from analytics_api.users.schemas import UserChange

PER_PAGE = 50
Text = Annotated[str, QueryParameter(max_length=1024)]
Cursor = Annotated[str | None, QueryParameter(max_length=2000)]
FLAGS = {"is_analyst", "is_active", "is_admin"}


class _Answer(msgspec.Struct):
    errors: list[FieldError] = []


class ChecksPages(Controller):
    """What arrived."""

    path = "/admin"
    guards = (page_administrator,)

    @get("/")
    async def arrived(
        self,
        *,
        request: Request[Any, Any, Any],
        database: NamedDependency[Database],
        transaction_id: Text = "",
        place_id: Text = "",
        kind: Annotated[Kind | None, QueryParameter()] = None,
        from_: Annotated[str, QueryParameter(name="from", max_length=40)] = "",
        to: Annotated[str, QueryParameter(max_length=40)] = "",
        cursor: Cursor = None,
    ) -> Response[Any]:
        """Checks as they arrive, or those that are looked for."""
        view = View(request)
        wanted = Search(
            transaction_id=transaction_id.strip() or None,
            place_id=place_id.strip() or None,
            kind=kind,
            sold_from=_moment(from_, "/from", view),
            sold_to=_moment(to, "/to", view),
        )
        found = await checks.search(database, wanted, limit=PER_PAGE, cursor=cursor)
        mark = view.mark("checks", wanted, cursor, [(c.transaction_id, c.arrival) for c in found.items])
        if view.is_known(mark):
            return view.unchanged(mark)
        return view.page(
            "admin/checks.html",
            mark=mark,
            found=found,
            wanted={"transaction_id": transaction_id, "place_id": place_id, "kind": kind, "from": from_, "to": to},
            is_live=cursor is None,
        )

    @get("/check/")
    async def one(
        self,
        *,
        request: Request[Any, Any, Any],
        database: NamedDependency[Database],
        transaction_id: Annotated[str, QueryParameter(min_length=1, max_length=128)],
    ) -> Response[Any]:
        """Everything that arrived under one id, later versions beside the first."""
        history = await checks.history(database, transaction_id)
        return View(request).page("admin/check.html", history=history, first=history.arrivals[0])

    @get("/rejected/")
    async def rejected(
        self, *, request: Request[Any, Any, Any], database: NamedDependency[Database], cursor: Cursor = None
    ) -> Response[Any]:
        """What intake refused, the newest first."""
        view = View(request)
        found = await checks.rejected(database, limit=PER_PAGE, cursor=cursor)
        mark = view.mark("rejected", cursor, [one.rejection_id for one in found.items])
        if view.is_known(mark):
            return view.unchanged(mark)
        return view.page("admin/rejected.html", mark=mark, found=found, is_live=cursor is None)

    @get("/rejected/{rejection_id:str}/")
    async def rejected_one(
        self,
        *,
        request: Request[Any, Any, Any],
        database: NamedDependency[Database],
        rejection_id: Annotated[str, PathParameter(max_length=64)],
    ) -> Response[Any]:
        """Reasons, the raw body, and a form to send it corrected."""
        one = await checks.rejected_one(database, rejection_id)
        return View(request).page("admin/rejected_one.html", one=one, body=one.body or "", **_answered())

    @post("/rejected/{rejection_id:str}/")
    async def send_again(
        self,
        *,
        request: Request[Any, Any, Any],
        database: NamedDependency[Database],
        intake: NamedDependency[Intake],
        rejection_id: Annotated[str, PathParameter(max_length=64)],
    ) -> Response[Any]:
        """The corrected body goes the way of every check; intake's answer is shown."""
        one = await checks.rejected_one(database, rejection_id)
        body = str((await request.form()).get("body", ""))
        try:
            status, text = await intake.send(body.encode("utf-8", "replace"))
        except Problem as problem:
            # What was corrected must not be lost because intake is away.
            return View(request).page(
                "admin/rejected_one.html", status=problem.status, one=one, body=body, **_answered(problem=problem)
            )
        async with database.connection() as connection:
            await audit.record(
                connection,
                "check_sent_again",
                actor=request.user.username,
                target=rejection_id,
                details={"status": status},
                address=address_of(request),
            )
        return View(request).page("admin/rejected_one.html", one=one, body=body, **_answered(status, text))


class UsersPages(Controller):
    """Who may what."""

    path = "/admin/users"
    guards = (page_administrator,)

    @get("/")
    async def users(
        self,
        *,
        request: Request[Any, Any, Any],
        database: NamedDependency[Database],
        search: Annotated[str, QueryParameter(max_length=64)] = "",
        cursor: Cursor = None,
    ) -> Response[Any]:
        """All accounts, with the Analyst tick."""
        found = await users.page(database, search=search or None, limit=PER_PAGE, cursor=cursor)
        return View(request).page("admin/users.html", found=found, search=search)

    @post("/{username:str}/")
    async def change(
        self,
        *,
        request: Request[Any, Any, Any],
        database: NamedDependency[Database],
        access: NamedDependency[Access],
        username: Annotated[str, PathParameter(max_length=64)],
    ) -> Response[Any]:
        """Set or take one tick."""
        form = await request.form()
        flag = str(form.get("flag", ""))
        if flag not in FLAGS:
            raise invalid("/flag", "A value in the address does not fit.")
        change = msgspec.convert({flag: form.get("value") == "true"}, UserChange)
        await users.change(
            database,
            access.passwords,
            username,
            change,
            actor=request.user.username,
            address=address_of(request),
        )
        back = sessions.local_address(str(form.get("back", "")), "/admin/users/")
        return Redirect(back, status_code=303)


class PipelinePages(Controller):
    """Whether everything moves, and what was done."""

    path = "/admin"
    guards = (page_administrator,)

    @get("/pipeline/")
    async def pipeline(
        self, *, request: Request[Any, Any, Any], status_reader: NamedDependency[StatusReader]
    ) -> Response[Any]:
        """Parts, queries, connectors, lag, dead letters, reconciliation."""
        return View(request).page("admin/pipeline.html", s=await status_reader.read())

    @post("/pipeline/restart/{name:str}/")
    async def restart(
        self,
        *,
        request: Request[Any, Any, Any],
        status_reader: NamedDependency[StatusReader],
        database: NamedDependency[Database],
        name: Annotated[str, PathParameter(max_length=200, pattern=CONNECTOR_PATTERN)],
    ) -> Response[Any]:
        """Restart a connector and its failed tasks."""
        await status_reader.restart(name)
        async with database.connection() as connection:
            await audit.record(
                connection,
                "connector_restarted",
                actor=request.user.username,
                target=name,
                address=address_of(request),
            )
        return Redirect("/admin/pipeline/", status_code=303)

    @get("/snapshots/")
    async def runs(
        self, *, request: Request[Any, Any, Any], database: NamedDependency[Database], cursor: Cursor = None
    ) -> Response[Any]:
        """Snapshot runs, the newest first."""
        found = await snapshots.runs(database, limit=PER_PAGE, cursor=cursor)
        return View(request).page("admin/snapshots.html", found=found)

    @post("/snapshots/")
    async def run(
        self,
        *,
        request: Request[Any, Any, Any],
        snapshot_taker: NamedDependency[SnapshotTaker],
        lags: NamedDependency[Lags],
    ) -> Response[Any]:
        """Take a snapshot now."""
        await snapshot_taker.take_now(await lags.behind(), actor=request.user.username, address=address_of(request))
        return Redirect("/admin/snapshots/", status_code=303)

    @get("/audit/")
    async def audit(
        self,
        *,
        request: Request[Any, Any, Any],
        database: NamedDependency[Database],
        actor: Text = "",
        target: Text = "",
        action: Text = "",
        cursor: Cursor = None,
    ) -> Response[Any]:
        """What was done, by whom, to what."""
        found = await audit.page(
            database,
            actor=actor or None,
            target=target or None,
            action=action or None,
            limit=PER_PAGE,
            cursor=cursor,
        )
        wanted = {"actor": actor, "target": target, "action": action}
        return View(request).page("admin/audit.html", found=found, wanted=wanted)


def _answered(status: int = 0, text: str = "", *, problem: Problem | None = None) -> dict[str, Any]:
    """Intake's answer for the page of a rejected check, with its errors taken out of the problem document."""
    try:
        still_wrong = msgspec.json.decode(text, type=_Answer).errors if text else []
    except msgspec.MsgspecError:
        still_wrong = []
    return {"answer": (status, text) if status else None, "still_wrong": still_wrong, "problem": problem}


def _moment(text: str, pointer: str, view: View) -> dt.datetime | None:
    if not text:
        return None
    try:
        return intervals.parse_moment(text, view.zone)
    except ValueError as error:
        raise Problem(422, str(error), errors=invalid(pointer, str(error)).errors) from None
