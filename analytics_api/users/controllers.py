"""REST of accounts, for administrators."""

from typing import Annotated, Any

from litestar import Controller, Request, get, patch
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter, QueryParameter

from analytics_api.access.guards import SECURITY, requires_administrator
from analytics_api.access.services import Access
from analytics_api.db import Database
from analytics_api.observe import address_of
from analytics_api.parameters import Cursor, Limit
from analytics_api.problems import documented
from analytics_api.users import services
from analytics_api.users.schemas import User, UserChange, Users


class UsersController(Controller):
    """Who there is, and what they may."""

    path = "/api/users"
    tags = ("administration",)
    guards = (requires_administrator,)
    security = SECURITY

    @get(summary="Accounts", responses=documented(401, 403, 422, 503))
    async def list_users(
        self,
        *,
        database: NamedDependency[Database],
        search: Annotated[str | None, QueryParameter(max_length=64, description="Part of the name.")] = None,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Users:
        """All accounts by name, deactivated ones included."""
        return await services.page(database, search=search, limit=limit, cursor=cursor)

    @patch("/{username:str}", summary="Change an account", responses=documented(400, 401, 403, 404, 409, 422, 503))
    async def change_user(
        self,
        *,
        request: Request[Any, Any, Any],
        database: NamedDependency[Database],
        access: NamedDependency[Access],
        username: Annotated[str, PathParameter(max_length=64)],
        data: JSONBody[UserChange],
    ) -> User:
        """The Analyst tick, deactivation, administrators, a reset password. Counts from the account's next request."""
        return await services.change(
            database,
            access.passwords,
            username,
            data,
            actor=request.user.username,
            address=address_of(request),
        )
