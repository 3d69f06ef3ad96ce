"""The account behind a request: read from PostgreSQL each time, so that a changed role counts at once."""

import datetime as dt
from dataclasses import dataclass
from uuid import UUID

from analytics_api.access import tokens
from analytics_api.access.keys import Keys
from analytics_api.access.schemas import Role
from analytics_api.db import Database
from analytics_api.problems import unauthorized


@dataclass(frozen=True, kw_only=True)
class Account:
    """Who asks."""

    user_id: int
    username: str
    is_analyst: bool
    is_admin: bool
    created_at: dt.datetime
    last_login_at: dt.datetime | None
    session_id: UUID | None = None
    """The login it came with; None with a personal API token."""

    @property
    def may_analyse(self) -> bool:
        """Whether figures are shown to it."""
        return self.is_analyst or self.is_admin

    @property
    def role(self) -> Role:
        """The highest of its roles."""
        return "administrator" if self.is_admin else "analyst" if self.is_analyst else "user"


_COLUMNS = "u.user_id, u.username, u.is_analyst, u.is_admin, u.created_at, u.last_login_at"

_BY_SESSION = f"""
SELECT {_COLUMNS}, s.session_id FROM app.sessions s JOIN app.users u USING (user_id)
WHERE s.session_id = %s AND u.user_id = %s AND s.kind = 'api'
  AND s.revoked_at IS NULL AND s.expires_at > now() AND u.is_active
"""  # noqa: S608  (fixed column names)

_BY_API_TOKEN = f"""
SELECT {_COLUMNS}, t.token_id, t.last_used_at AS token_used_at FROM app.api_tokens t JOIN app.users u USING (user_id)
WHERE t.token_hash = %s AND t.revoked_at IS NULL AND t.expires_at > now() AND u.is_active
"""  # noqa: S608  (fixed column names)

_BY_COOKIE = f"""
SELECT {_COLUMNS}, s.session_id FROM app.refresh_tokens r
JOIN app.sessions s USING (session_id) JOIN app.users u USING (user_id)
WHERE r.token_hash = %s AND s.kind = 'page' AND s.revoked_at IS NULL AND s.expires_at > now() AND u.is_active
"""  # noqa: S608  (fixed column names)

_TOUCH_EVERY = dt.timedelta(minutes=1)


async def by_header(database: Database, keys: Keys, header: str | None) -> Account:
    """The account that an Authorization header stands for. Raises Problem 401 when it stands for none."""
    scheme, _, token = (header or "").partition(" ")
    token = token.strip()
    if not header:
        raise unauthorized("Sign in first: POST /auth/login/ gives a token for the Authorization header.")
    if scheme.lower() not in {"bearer", "token"} or not token or " " in token:
        raise unauthorized("The Authorization header must be `Bearer <token>` or `Token <token>`.")
    if token.startswith(tokens.API_TOKEN_PREFIX):
        return await _by_api_token(database, token)
    try:
        claims = tokens.verify(keys, token)
    except tokens.TokenError as error:
        raise unauthorized(str(error)) from None
    async with database.connection() as connection:
        found = await connection.execute(_BY_SESSION, (claims.session_id, claims.user_id))
        row = await found.fetchone()
    if row is None:
        raise unauthorized("The token is not valid any more; sign in again.")
    return Account(**row)


async def _by_api_token(database: Database, token: str) -> Account:
    async with database.connection() as connection:
        found = await connection.execute(_BY_API_TOKEN, (tokens.digest(token),))
        row = await found.fetchone()
        if row is None:
            raise unauthorized("The token is not valid.")
        token_id, used_at = row.pop("token_id"), row.pop("token_used_at")
        if used_at is None or used_at < dt.datetime.now(dt.UTC) - _TOUCH_EVERY:
            await connection.execute("UPDATE app.api_tokens SET last_used_at = now() WHERE token_id = %s", (token_id,))
    return Account(**row)


async def by_cookie(database: Database, secret: str) -> Account | None:
    """The account that a browser's session cookie stands for, or None."""
    async with database.connection() as connection:
        found = await connection.execute(_BY_COOKIE, (tokens.digest(secret),))
        row = await found.fetchone()
    return Account(**row) if row else None
