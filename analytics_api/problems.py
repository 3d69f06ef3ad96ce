"""Every error as an RFC 9457 problem document, with nothing in it about the database or other users."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import psycopg
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, SerializationException, ValidationException
from litestar.openapi.datastructures import ResponseSpec
from msgspec import Struct

from analytics_api.encoding import JsonResponse

log = structlog.get_logger("analytics_api.problems")

MEDIA_TYPE = "application/problem+json"
DATABASE_RETRY_S = 2


class FieldError(Struct):
    """One thing that is wrong and where."""

    pointer: str
    """JSON pointer into the body, or / and the name of a query parameter."""
    detail: str
    """A sentence that says what is wrong."""


class ProblemDocument(Struct, omit_defaults=True):
    """Problem details (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldError] = []


class Problem(Exception):  # noqa: N818  (named for what the client gets)
    """Raised anywhere to answer with a problem document."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = list(errors)
        self.headers = dict(headers or {})


def invalid(pointer: str, detail: str) -> Problem:
    """422 with one error."""
    return Problem(422, detail, errors=[FieldError(pointer=pointer, detail=detail)])


def unauthorized(detail: str) -> Problem:
    """401 with the challenge that says how to sign in."""
    return Problem(401, detail, headers={"WWW-Authenticate": 'Bearer realm="analytics_api"'})


def unavailable(detail: str, retry_after_s: int = DATABASE_RETRY_S) -> Problem:
    """503 that says when to come again."""
    return Problem(503, detail, headers={"Retry-After": str(retry_after_s)})


def respond(problem: Problem) -> Response[Any]:
    """The response of a problem."""
    document = ProblemDocument(
        type="about:blank",
        title=HTTPStatus(problem.status).phrase,
        status=problem.status,
        detail=problem.detail,
        errors=problem.errors,
    )
    return JsonResponse(document, status_code=problem.status, media_type=MEDIA_TYPE, headers=problem.headers)


def _on_problem(_: Request[Any, Any, Any], error: Problem) -> Response[Any]:
    return respond(error)


def _on_validation(_: Request[Any, Any, Any], error: ValidationException) -> Response[Any]:
    errors = []
    for item in error.extra if isinstance(error.extra, list) else []:
        key = str(item.get("key", "")) if isinstance(item, dict) else ""
        key = "" if key == "data" else key.removesuffix("_").replace("[", ".").replace("]", "")
        message = str(item.get("message", "")) if isinstance(item, dict) else str(item)
        errors.append(FieldError(pointer="/" + key.replace(".", "/") if key else "", detail=message))
    if not errors:
        errors = [FieldError(pointer="", detail=error.detail.split(" for ")[0])]
    return respond(Problem(422, "The request does not fit; errors lists what is wrong.", errors=errors))


def on_http(_: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    """The framework's own errors."""
    details = {
        404: "There is nothing at this address.",
        405: "This address does not take that method.",
        413: "The body is too large.",
    }
    status = error.status_code
    if status >= 500:
        log.error("request failed", error=str(error))
    if isinstance(error.__cause__, SerializationException):
        return respond(Problem(400, "The body is not valid JSON."))
    detail = details.get(status, error.detail if status < 500 else "Something went wrong here; it has been logged.")
    return respond(Problem(status, detail, headers=error.headers))


def _on_serialization(_: Request[Any, Any, Any], __: SerializationException) -> Response[Any]:
    return respond(Problem(400, "The body is not valid JSON."))


def _on_database(_: Request[Any, Any, Any], error: psycopg.Error) -> Response[Any]:
    if isinstance(error, psycopg.errors.QueryCanceled):
        log.warning("statement took too long", error=str(error))
        return respond(unavailable("This took too long; try a shorter interval or fewer places.", 10))
    log.warning("database does not answer", error=str(error))
    return respond(unavailable("The database does not answer; try again."))


def _on_data(_: Request[Any, Any, Any], error: psycopg.DataError) -> Response[Any]:
    log.info("value refused by the database", error=str(error))
    return respond(Problem(422, "A value cannot be stored or compared: it has characters or a size that do not fit."))


def _on_anything(_: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    log.error("request failed", exc_info=error)
    return respond(Problem(500, "Something went wrong here; it has been logged under this request's id."))


HANDLERS: dict[Any, Any] = {
    Problem: _on_problem,
    ValidationException: _on_validation,
    SerializationException: _on_serialization,
    HTTPException: on_http,
    psycopg.OperationalError: _on_database,
    psycopg.InterfaceError: _on_database,
    psycopg.DataError: _on_data,
    Exception: _on_anything,
}

_DESCRIPTIONS = {
    400: "The body is not JSON",
    401: "No token, or one that is expired, forged, revoked or whose user is deactivated",
    403: "The role does not allow it",
    404: "Not found",
    405: "Method not allowed",
    409: "It contradicts what is there",
    413: "The body is too large",
    414: "The address is too long: the server itself refuses it, without a document",
    415: "The body's media type is not taken",
    422: "A value does not fit; errors says which",
    429: "Too many attempts; Retry-After says when to come again",
    503: "Something behind this service does not answer; Retry-After says when to come again",
}


def documented(*statuses: int) -> dict[int, ResponseSpec]:
    """What OpenAPI says about the problems an operation may answer with."""
    return {
        status: ResponseSpec(
            data_container=None if status == 414 else ProblemDocument,
            description=_DESCRIPTIONS[status],
            media_type=MEDIA_TYPE,
            generate_examples=False,
        )
        for status in statuses
    }
