"""REST of the pipeline's state."""

from typing import Annotated, Any

from litestar import Controller, Request, get, post
from litestar.di import NamedDependency
from litestar.params import PathParameter
from litestar.status_codes import HTTP_204_NO_CONTENT

from analytics_api.access.guards import SECURITY, requires_administrator
from analytics_api.audit import services as audit
from analytics_api.db import Database
from analytics_api.observe import address_of
from analytics_api.problems import documented
from analytics_api.status.schemas import Status
from analytics_api.status.services import StatusReader

# Python's $ also stands before a line break at the end.
CONNECTOR_PATTERN = r"^[A-Za-z0-9_.-]+(?!\n)$"


class StatusController(Controller):
    """Whether the pipeline moves."""

    path = "/api/status"
    tags = ("administration",)
    guards = (requires_administrator,)
    security = SECURITY

    @get(summary="Every part, lag, dead letters, reconciliation", responses=documented(401, 403, 503))
    async def read(self, *, status_reader: NamedDependency[StatusReader]) -> Status:
        """Health is progress of offsets, not what a query says of itself; `alarms` says what is not right."""
        return await status_reader.read()

    @post(
        "/connectors/{name:str}/restart",
        status_code=HTTP_204_NO_CONTENT,
        summary="Restart a connector",
        responses=documented(401, 403, 404, 422, 503),
    )
    async def restart(
        self,
        *,
        request: Request[Any, Any, Any],
        status_reader: NamedDependency[StatusReader],
        database: NamedDependency[Database],
        name: Annotated[str, PathParameter(max_length=200, pattern=CONNECTOR_PATTERN)],
    ) -> None:
        """The connector and its failed tasks."""
        await status_reader.restart(name)
        async with database.connection() as connection:
            await audit.record(
                connection,
                "connector_restarted",
                actor=request.user.username,
                target=name,
                address=address_of(request),
            )
