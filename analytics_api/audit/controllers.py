"""REST of the audit."""

from typing import Annotated

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from analytics_api.access.guards import SECURITY, requires_administrator
from analytics_api.audit import services
from analytics_api.audit.schemas import AuditPage
from analytics_api.db import Database
from analytics_api.parameters import Cursor, Limit
from analytics_api.problems import documented

Name = Annotated[str | None, QueryParameter(max_length=128)]


class AuditController(Controller):
    """Who did what to whom, for administrators."""

    path = "/api/audit"
    tags = ("administration",)
    guards = (requires_administrator,)
    security = SECURITY

    @get(summary="Audit of logins and changes, the newest first", responses=documented(401, 403, 422, 503))
    async def list_audit(
        self,
        *,
        database: NamedDependency[Database],
        actor: Name = None,
        target: Name = None,
        action: Name = None,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> AuditPage:
        """Logins and their failures, role changes, resets, runs by hand: filter by who, on whom and what."""
        return await services.page(database, actor=actor, target=target, action=action, limit=limit, cursor=cursor)
