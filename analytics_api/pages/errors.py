"""Errors as pages: says what is wrong and what to do, in the reader's language."""

from typing import Any

import psycopg
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.response import Redirect

from analytics_api.pages import sessions
from analytics_api.pages.view import View
from analytics_api.problems import Problem

log = structlog.get_logger("analytics_api.pages")


def show(request: Request[Any, Any, Any], problem: Problem) -> Response[Any]:
    """The page of a problem."""
    view = View(request)
    return view.page("error.html", status=problem.status, problem=problem)


def _on_sign_in(request: Request[Any, Any, Any], _: sessions.SignInFirst) -> Response[Any]:
    return Redirect(sessions.sign_in_address(request), status_code=303)


def _on_problem(request: Request[Any, Any, Any], problem: Problem) -> Response[Any]:
    return show(request, problem)


def _on_validation(request: Request[Any, Any, Any], error: ValidationException) -> Response[Any]:
    log.info("page asked for with values that do not fit", error=error.detail)
    return show(request, Problem(422, "A value in the address does not fit."))


def nowhere(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any] | None:
    """The page of an address that no route knows, for a browser; None for programs, which get a problem document."""
    is_read_by_people = request.accept.best_match(["application/json", "text/html"]) == "text/html"
    if error.status_code == 404 and request.method in {"GET", "HEAD"} and is_read_by_people:
        return _on_http(request, error)
    return None


def _on_http(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    detail = {404: "There is nothing at this address.", 413: "The body is too large."}.get(error.status_code)
    return show(request, Problem(error.status_code, detail or error.detail))


def _on_database(request: Request[Any, Any, Any], error: psycopg.Error) -> Response[Any]:
    log.warning("database does not answer", error=str(error))
    if isinstance(error, psycopg.errors.QueryCanceled):
        return show(request, Problem(503, "This took too long; try a shorter interval or fewer places."))
    return show(request, Problem(503, "The database does not answer; try again."))


def _on_data(request: Request[Any, Any, Any], _: psycopg.DataError) -> Response[Any]:
    return show(request, Problem(422, "A value in the address does not fit."))


def _on_anything(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    log.error("page failed", exc_info=error)
    return show(request, Problem(500, "Something went wrong here; it has been logged under this request's id."))


HANDLERS: dict[Any, Any] = {
    sessions.SignInFirst: _on_sign_in,
    Problem: _on_problem,
    ValidationException: _on_validation,
    HTTPException: _on_http,
    psycopg.OperationalError: _on_database,
    psycopg.InterfaceError: _on_database,
    psycopg.DataError: _on_data,
    Exception: _on_anything,
}
