"""REST of checks: forwarding for users, search for administrators."""

from dataclasses import dataclass
from typing import Annotated, Any

from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.openapi.spec import Example, OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIType
from litestar.params import QueryParameter

from analytics_api import intervals
from analytics_api.access.guards import SECURITY, requires_administrator, requires_user
from analytics_api.checks import services
from analytics_api.checks.forwarding import Intake
from analytics_api.checks.schemas import ArrivedChecks, CheckHistory, Kind, RejectedChecks
from analytics_api.checks.services import Search
from analytics_api.db import Database
from analytics_api.parameters import Cursor, Limit
from analytics_api.problems import FieldError, Problem, documented
from analytics_api.settings import Settings

EXAMPLE = {
    "transaction_id": "unique_transaction_id",
    "timestamp": "2024-02-07T12:34:56",
    "items": [
        {"product_id": "product_id_1", "quantity": 2, "price": 10.99, "category": "groceries"},
        {"product_id": "product_id_2", "quantity": 1, "price": 5.49, "category": "electronics"},
    ],
    "total_amount": 27.47,
    "nds_amount": 2.47,
    "tips_amount": 3.0,
    "payment_method": "credit_card",
    "place_id": "011",
    "place_name": "Магазин №1",
}


@dataclass
class AddChecksOperation(Operation):
    """OpenAPI of add_checks: the body is intake's business and passes through unread."""

    def __post_init__(self) -> None:
        """Describe the body."""
        check = Schema(type=OpenAPIType.OBJECT, title="Check", description="As intake takes it; see its OpenAPI.")
        self.request_body = RequestBody(
            required=True,
            content={
                "application/json": OpenAPIMediaType(
                    schema=Schema(one_of=[check, Schema(type=OpenAPIType.ARRAY, items=check)]),
                    examples={
                        "one": Example(summary="One check", value=EXAMPLE),
                        "several": Example(summary="A list of checks", value=[EXAMPLE]),
                    },
                )
            },
        )


Time = Annotated[
    str | None, QueryParameter(max_length=40, description="An ISO 8601 time; without an offset in CHECKS_TIMEZONE.")
]


SoldFrom = Annotated[str | None, QueryParameter(name="from", max_length=40, description="Sold at or after this time.")]
SoldTo = Annotated[str | None, QueryParameter(name="to", max_length=40, description="Sold before this time.")]


class AddChecksController(Controller):
    """Checks on their way in."""

    path = "/api/add_checks"
    tags = ("checks",)
    guards = (requires_user,)
    security = SECURITY

    @post(
        summary="Send a check or a list of checks",
        description="Goes to intake as it is; the answer is intake's: 201 for one check, 200 or 207 for a list.",
        operation_class=AddChecksOperation,
        request_max_body_size=None,
        responses=documented(400, 401, 413, 415, 422, 503),
    )
    async def add_checks(self, *, request: Request[Any, Any, Any], intake: NamedDependency[Intake]) -> Response[Any]:
        """Forward."""
        return await intake.forward(request)


class ChecksController(Controller):
    """Checks that arrived."""

    path = "/api/checks"
    tags = ("checks",)
    guards = (requires_administrator,)
    security = SECURITY

    @get(summary="Search what arrived, the newest first", responses=documented(401, 403, 422, 503))
    async def search(
        self,
        *,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        transaction_id: Annotated[str | None, QueryParameter(max_length=128)] = None,
        place_id: Annotated[str | None, QueryParameter(max_length=128)] = None,
        kind: Annotated[Kind | None, QueryParameter(description="sale counts; repeat and conflict do not.")] = None,
        other_place: Annotated[
            bool, QueryParameter(description="Only arrivals that name another place than the first.")
        ] = False,
        from_: SoldFrom = None,
        to: SoldTo = None,
        received_from: Time = None,
        received_to: Time = None,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> ArrivedChecks:
        """Every arrival: first ones, repeats, and conflicts (the same id with other content)."""
        times = _times(settings, from_=from_, to=to, received_from=received_from, received_to=received_to)
        wanted = Search(
            transaction_id=transaction_id,
            place_id=place_id,
            kind=kind,
            other_place=other_place,
            sold_from=times["from"],
            sold_to=times["to"],
            received_from=times["received_from"],
            received_to=times["received_to"],
        )
        return await services.search(database, wanted, limit=limit, cursor=cursor)

    @get("/history", summary="Everything that arrived under one id", responses=documented(401, 403, 404, 422, 503))
    async def history(
        self,
        *,
        database: NamedDependency[Database],
        transaction_id: Annotated[str, QueryParameter(min_length=1, max_length=128)],
    ) -> CheckHistory:
        """The first version and every repeat and conflict, with their lines."""
        return await services.history(database, transaction_id)


class RejectedChecksController(Controller):
    """Checks that intake refused."""

    path = "/api/rejected_checks"
    tags = ("checks",)
    guards = (requires_administrator,)
    security = SECURITY

    @get(summary="Rejected checks, the newest first", responses=documented(401, 403, 422, 503))
    async def rejected(
        self,
        *,
        database: NamedDependency[Database],
        settings: NamedDependency[Settings],
        transaction_id: Annotated[str | None, QueryParameter(max_length=1024)] = None,
        received_from: Time = None,
        received_to: Time = None,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> RejectedChecks:
        """What was refused, why, and the body as it came."""
        times = _times(settings, received_from=received_from, received_to=received_to)
        return await services.rejected(
            database,
            transaction_id=transaction_id,
            received_from=times["received_from"],
            received_to=times["received_to"],
            limit=limit,
            cursor=cursor,
        )


def _times(settings: NamedDependency[Settings], **texts: str | None) -> dict[str, Any]:
    times: dict[str, Any] = {}
    errors = []
    for name, text in texts.items():
        key = name.removesuffix("_")
        try:
            times[key] = intervals.parse_moment(text, settings.zone) if text else None
        except ValueError as error:
            errors.append(FieldError(pointer=f"/{key}", detail=str(error)))
    if errors:
        raise Problem(422, "A time does not fit; errors lists what is wrong.", errors=errors)
    return times
