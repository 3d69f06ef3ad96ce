"""Guards of routes: each names the least role that passes. A route without one says so with `opt={"public": True}`."""

from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler

from analytics_api.access import accounts
from analytics_api.access.accounts import Account
from analytics_api.problems import Problem

PUBLIC = {"public": True}
# Both schemes carry the same token.
SECURITY: list[dict[str, list[str]]] = [{"bearer": []}, {"token": []}]


async def requires_user(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Any active account."""
    await _authenticate(connection)


async def requires_analyst(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """An account with the Analyst tick, or an administrator."""
    account = await _authenticate(connection)
    if not account.may_analyse:
        raise Problem(403, "Figures are for analysts; an administrator can make this account one.")


async def requires_administrator(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """An administrator."""
    account = await _authenticate(connection)
    if not account.is_admin:
        raise Problem(403, "This is for administrators.")


async def _authenticate(connection: ASGIConnection[Any, Any, Any, Any]) -> Account:
    state = connection.app.state
    account = await accounts.by_header(state.database, state.signing_keys, connection.headers.get("authorization"))
    connection.scope["user"] = account
    return account
