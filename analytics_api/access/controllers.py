"""REST of /auth/."""

from typing import Annotated, Any

from litestar import Controller, Request, delete, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter
from litestar.status_codes import HTTP_200_OK, HTTP_204_NO_CONTENT

from analytics_api.access import services
from analytics_api.access.guards import PUBLIC, SECURITY, requires_user
from analytics_api.access.schemas import (
    ApiTokens,
    CreatedApiToken,
    Login,
    Me,
    NewApiToken,
    PasswordChange,
    Refresh,
    Registration,
    TokenPair,
)
from analytics_api.access.services import Access
from analytics_api.observe import address_of
from analytics_api.problems import documented


class AuthController(Controller):
    """Accounts and logins."""

    path = "/auth"
    tags = ("access",)

    @post("/registration", opt=PUBLIC, summary="Make an account", responses=documented(400, 409, 422, 429, 503))
    async def register(
        self, request: Request[Any, Any, Any], access: NamedDependency[Access], data: JSONBody[Registration]
    ) -> dict[str, str]:
        """A new account is a user; an administrator makes it an analyst."""
        await access.register(data.username, data.password1, data.password2, address=address_of(request))
        return {"username": data.username}

    @post(
        "/login",
        opt=PUBLIC,
        status_code=HTTP_200_OK,
        summary="Sign in",
        responses=documented(400, 401, 422, 429, 503),
    )
    async def login(
        self, request: Request[Any, Any, Any], access: NamedDependency[Access], data: JSONBody[Login]
    ) -> TokenPair:
        """User name and password for an access token (15 minutes) and a refresh token (one use)."""
        return await access.login(data.username, data.password, address=address_of(request))

    @post(
        "/refresh",
        opt=PUBLIC,
        status_code=HTTP_200_OK,
        summary="A new pair of tokens",
        responses=documented(400, 401, 422, 503),
    )
    async def refresh(
        self, request: Request[Any, Any, Any], access: NamedDependency[Access], data: JSONBody[Refresh]
    ) -> TokenPair:
        """Each refresh token is good once; using one twice ends its session."""
        return await access.refresh(data.refresh_token, address=address_of(request))

    @post(
        "/logout",
        guards=[requires_user],
        security=SECURITY,
        status_code=HTTP_204_NO_CONTENT,
        summary="Sign out",
        responses=documented(401, 503),
    )
    async def logout(self, request: Request[Any, Any, Any], access: NamedDependency[Access]) -> None:
        """The session's access and refresh tokens stop working at once."""
        await access.logout(request.user, address=address_of(request))

    @post(
        "/password",
        guards=[requires_user],
        security=SECURITY,
        status_code=HTTP_204_NO_CONTENT,
        summary="Change the password",
        responses=documented(400, 401, 403, 422, 429, 503),
    )
    async def change_password(
        self, request: Request[Any, Any, Any], access: NamedDependency[Access], data: JSONBody[PasswordChange]
    ) -> None:
        """All other sessions and all personal API tokens of the account end."""
        await access.change_password(
            request.user, data.password, data.password1, data.password2, address=address_of(request)
        )

    @get("/me", guards=[requires_user], security=SECURITY, summary="Who is signed in", responses=documented(401, 503))
    async def me(self, request: Request[Any, Any, Any]) -> Me:
        """The account and its role."""
        return services.me(request.user)

    @get(
        "/tokens",
        guards=[requires_user],
        security=SECURITY,
        summary="Personal API tokens",
        responses=documented(401, 503),
    )
    async def list_tokens(self, request: Request[Any, Any, Any], access: NamedDependency[Access]) -> ApiTokens:
        """Those of the account that are good now, without their secrets."""
        return ApiTokens(items=await access.api_tokens(request.user), next_cursor=None)

    @post(
        "/tokens",
        guards=[requires_user],
        security=SECURITY,
        summary="Make a personal API token",
        responses=documented(400, 401, 403, 409, 422, 503),
    )
    async def add_token(
        self, request: Request[Any, Any, Any], access: NamedDependency[Access], data: JSONBody[NewApiToken]
    ) -> CreatedApiToken:
        """For scripts: acts with the account's roles of the moment until it expires. Shown once; 403 to API tokens."""
        return await access.add_api_token(request.user, data, address=address_of(request))

    @delete(
        "/tokens/{token_id:int}",
        guards=[requires_user],
        security=SECURITY,
        summary="Revoke a personal API token",
        responses=documented(401, 404, 422, 503),
    )
    async def remove_token(
        self,
        request: Request[Any, Any, Any],
        access: NamedDependency[Access],
        token_id: Annotated[int, PathParameter(ge=1, le=2**63 - 1)],
    ) -> None:
        """It stops working at once."""
        await access.remove_api_token(request.user, token_id, address=address_of(request))
