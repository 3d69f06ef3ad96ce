"""Registration, login, refresh with reuse detection, logout, passwords, personal API tokens."""

import datetime as dt
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import structlog
from psycopg import AsyncConnection
from psycopg.errors import UniqueViolation

from analytics_api.access import limits as counting
from analytics_api.access import tokens
from analytics_api.access.accounts import Account
from analytics_api.access.keys import Keys
from analytics_api.access.limits import Limits
from analytics_api.access.passwords import Passwords, broken_rule, normal
from analytics_api.access.schemas import ApiToken, CreatedApiToken, Me, NewApiToken, TokenPair
from analytics_api.audit import services as audit
from analytics_api.db import Database
from analytics_api.problems import FieldError, Problem, unauthorized
from analytics_api.settings import Settings

log = structlog.get_logger("analytics_api.access")

MOST_API_TOKENS = 50


def username_key(username: str) -> str:
    """What makes two user names the same."""
    return normal(username).casefold()


@dataclass(frozen=True)
class Access:
    """Everything about signing in, over one database."""

    database: Database
    settings: Settings
    keys: Keys
    passwords: Passwords
    limits: Limits

    async def register(self, username: str, password1: str, password2: str, *, address: str) -> None:
        """Make an account with role user. Raises Problem 422 (a rule), 409 (the name is taken), 429."""
        errors = check_new_password(password1, password2, username)
        if errors:
            raise Problem(422, "The account cannot be made; errors says why.", errors=errors)
        async with self.database.connection() as connection:
            await counting.count(connection, [(self.limits.registration_address, address)])
        password_hash = await self.passwords.hash(password1)
        async with self.database.transaction() as connection:
            await add_user(connection, username, password_hash)
            await audit.record(connection, "registration", actor=username, target=username, address=address)

    async def login(self, username: str, password: str, *, address: str) -> TokenPair:
        """Sign in for REST. Raises Problem 401 for whatever is wrong, 429 after too many attempts."""
        user_id, session_id, secret = await self._sign_in(username, password, kind="api", address=address)
        return self._pair(user_id, session_id, secret, dt.datetime.now(dt.UTC))

    async def login_page(self, username: str, password: str, *, address: str) -> str:
        """Sign in for pages; gives the secret of the browser's cookie. Raises as `login` does."""
        _, _, secret = await self._sign_in(username, password, kind="page", address=address)
        return secret

    async def refresh(self, refresh_token: str, *, address: str) -> TokenPair:
        """A new pair for a refresh token; the old one is used up. Raises Problem 401; a second use ends the session."""
        now = dt.datetime.now(dt.UTC)
        hashed = tokens.digest(refresh_token)
        reused_by = None
        async with self.database.transaction() as connection:
            found = await connection.execute(
                """
                SELECT r.used_at, s.session_id, s.user_id, u.username,
                       s.revoked_at IS NULL AND s.expires_at > now() AND u.is_active AS is_good
                FROM app.refresh_tokens r JOIN app.sessions s USING (session_id) JOIN app.users u USING (user_id)
                WHERE r.token_hash = %s AND s.kind = 'api' FOR UPDATE OF r
                """,
                (hashed,),
            )
            row = await found.fetchone()
            secret = ""
            if row and row["used_at"] is not None:
                reused_by = row["username"]
                await connection.execute(
                    "UPDATE app.sessions SET revoked_at = now() WHERE session_id = %s AND revoked_at IS NULL",
                    (row["session_id"],),
                )
                await audit.record(connection, "refresh_reused", actor=None, target=reused_by, address=address)
            elif row and row["is_good"]:
                secret = tokens.new_secret()
                await connection.execute(
                    "UPDATE app.refresh_tokens SET used_at = now() WHERE token_hash = %s", (hashed,)
                )
                await connection.execute(
                    "INSERT INTO app.refresh_tokens (token_hash, session_id) VALUES (%s, %s)",
                    (tokens.digest(secret), row["session_id"]),
                )
        if not row or not secret:
            raise unauthorized("The refresh token is not valid; sign in again.")
        return self._pair(row["user_id"], row["session_id"], secret, now)

    async def logout(self, account: Account, *, address: str) -> None:
        """End the session of the access token, its refresh tokens included. A personal API token has no session."""
        async with self.database.transaction() as connection:
            await connection.execute(
                "UPDATE app.sessions SET revoked_at = now() WHERE session_id = %s AND revoked_at IS NULL",
                (account.session_id,),
            )
            await audit.record(connection, "logout", actor=account.username, target=account.username, address=address)

    async def change_password(
        self, account: Account, password: str, password1: str, password2: str, *, address: str
    ) -> None:
        """Set a new password and end all other sessions. Raises Problem 403 (wrong old one), 422 (broken rule), 429."""
        attempts = [(self.limits.login_user, username_key(account.username)), (self.limits.login_address, address)]
        async with self.database.connection() as connection:
            await counting.count(connection, attempts)
            found = await connection.execute(
                "SELECT password_hash FROM app.users WHERE user_id = %s", (account.user_id,)
            )
            row = await found.fetchone()
        if not await self.passwords.verify(password, row["password_hash"] if row else None):
            wrong = "This is not the password of the account."
            raise Problem(403, wrong, errors=[FieldError(pointer="/password", detail=wrong)])
        errors = check_new_password(password1, password2, account.username)
        if errors:
            raise Problem(422, "The password cannot be changed; errors says why.", errors=errors)
        password_hash = await self.passwords.hash(password1)
        async with self.database.transaction() as connection:
            # The account's row before the attempts, as signing in does: they wait for each other but never deadlock.
            await set_password(connection, account.user_id, password_hash, keep_session=account.session_id)
            await counting.forgive(connection, attempts)
            await audit.record(
                connection, "password_changed", actor=account.username, target=account.username, address=address
            )

    async def api_tokens(self, account: Account) -> list[ApiToken]:
        """The account's personal API tokens that are good now."""
        async with self.database.connection() as connection:
            found = await connection.execute(
                "SELECT token_id, name, created_at, expires_at, last_used_at FROM app.api_tokens"
                " WHERE user_id = %s AND revoked_at IS NULL AND expires_at > now() ORDER BY token_id",
                (account.user_id,),
            )
            return [ApiToken(**row) for row in await found.fetchall()]

    async def add_api_token(self, account: Account, wanted: NewApiToken, *, address: str) -> CreatedApiToken:
        """Make a personal API token; its secret is shown this once.

        Raises Problem 403 (asked for with an API token), 401 (the session has ended), 409 (there are too many).
        """
        if account.session_id is None:
            raise Problem(403, "An API token cannot make further tokens. Sign in with the password to make one.")
        secret = tokens.new_secret(tokens.API_TOKEN_PREFIX)
        async with self.database.transaction() as connection:
            await connection.execute("SELECT FROM app.users WHERE user_id = %s FOR UPDATE", (account.user_id,))
            found = await connection.execute(
                "SELECT FROM app.sessions WHERE session_id = %s AND revoked_at IS NULL", (account.session_id,)
            )
            if not found.rowcount:
                raise unauthorized("The token is not valid any more; sign in again.")
            found = await connection.execute(
                "SELECT count(*) AS n FROM app.api_tokens"
                " WHERE user_id = %s AND revoked_at IS NULL AND expires_at > now()",
                (account.user_id,),
            )
            row = await found.fetchone()
            if row and row["n"] >= MOST_API_TOKENS:
                raise Problem(409, f"There are {MOST_API_TOKENS} tokens already; delete one first.")
            found = await connection.execute(
                "INSERT INTO app.api_tokens (user_id, name, token_hash, expires_at)"
                " VALUES (%s, %s, %s, now() + make_interval(days => %s))"
                " RETURNING token_id, name, created_at, expires_at",
                (account.user_id, wanted.name, tokens.digest(secret), wanted.expires_in_days),
            )
            made = await found.fetchone()
            await audit.record(
                connection,
                "api_token_created",
                actor=account.username,
                target=account.username,
                details={"name": wanted.name},
                address=address,
            )
        if made is None:
            raise RuntimeError("INSERT … RETURNING gave no row")
        return CreatedApiToken(token=secret, **made)

    async def remove_api_token(self, account: Account, token_id: int, *, address: str) -> None:
        """Revoke a personal API token. Raises Problem 404 when the account has none of that id."""
        async with self.database.transaction() as connection:
            found = await connection.execute(
                "UPDATE app.api_tokens SET revoked_at = now()"
                " WHERE token_id = %s AND user_id = %s AND revoked_at IS NULL RETURNING name",
                (token_id, account.user_id),
            )
            row = await found.fetchone()
            if row is None:
                raise Problem(404, "There is no such token.")
            await audit.record(
                connection,
                "api_token_revoked",
                actor=account.username,
                target=account.username,
                details={"name": row["name"]},
                address=address,
            )

    async def _sign_in(self, username: str, password: str, *, kind: str, address: str) -> tuple[int, UUID, str]:
        """Check the password and open a session: the user's id, the session's, its secret. Raises as `login` does."""
        attempts = [(self.limits.login_user, username_key(username)), (self.limits.login_address, address)]
        async with self.database.connection() as connection:
            await counting.count(connection, [*attempts, (self.limits.login_overall, "")])
            found = await connection.execute(
                "SELECT user_id, username, password_hash, password_changed_at, is_active FROM app.users"
                " WHERE username_key = %s",
                (username_key(username).replace("\0", "\ufffd").encode("utf-8", "replace").decode(),),
            )
            row = await found.fetchone()
        is_right = await self.passwords.verify(password, row["password_hash"] if row else None)
        opened = None
        async with self.database.transaction() as connection:
            if row and is_right and await _is_as_read(connection, row):
                await counting.forgive(connection, attempts)
                opened = await self._open_session(connection, row["user_id"], kind=kind, address=address)
                name, details = row["username"], {"by": "page"} if kind == "page" else None
                await audit.record(connection, "login", actor=name, target=name, address=address, details=details)
            else:
                if row is None:
                    reason = "no such user"
                elif not is_right:
                    reason = "password"
                else:
                    reason = "changed meanwhile" if row["is_active"] else "deactivated"
                await audit.record(
                    connection,
                    "login_failed",
                    target=row["username"] if row else None,
                    details={"reason": reason},
                    address=address,
                )
        if row is None or opened is None:
            raise unauthorized("The user name or the password is wrong.")
        if self.passwords.needs_rehash(row["password_hash"]):
            await self._rehash(row["user_id"], password, row["password_hash"])
        return row["user_id"], *opened

    async def _rehash(self, user_id: int, password: str, old_hash: str) -> None:
        password_hash = await self.passwords.hash(password)
        async with self.database.connection() as connection:
            # Not where the password was changed meanwhile: the old one would be good again.
            await connection.execute(
                "UPDATE app.users SET password_hash = %s WHERE user_id = %s AND password_hash = %s",
                (password_hash, user_id, old_hash),
            )

    async def _open_session(
        self, connection: AsyncConnection[Any], user_id: int, *, kind: str, address: str
    ) -> tuple[UUID, str]:
        session_id, secret = uuid4(), tokens.new_secret()
        await connection.execute(
            "INSERT INTO app.sessions (session_id, user_id, kind, expires_at, address)"
            " VALUES (%s, %s, %s, now() + make_interval(secs => %s), %s)",
            (session_id, user_id, kind, self.settings.refresh_token_s, address),
        )
        await connection.execute(
            "INSERT INTO app.refresh_tokens (token_hash, session_id) VALUES (%s, %s)",
            (tokens.digest(secret), session_id),
        )
        # Old logins of this user go when a new one comes: the table grows with users, not with time.
        await connection.execute(
            "DELETE FROM app.sessions WHERE user_id = %s AND expires_at < now() - interval '1 day'", (user_id,)
        )
        return session_id, secret

    def _pair(self, user_id: int, session_id: UUID, refresh_token: str, now: dt.datetime) -> TokenPair:
        life_s = self.settings.access_token_s
        claims = tokens.Claims(user_id=user_id, session_id=session_id)
        token = tokens.sign(self.keys, claims, life_s=life_s, now=now)
        return TokenPair(token=token, refresh_token=refresh_token, expires_in=life_s)


def me(account: Account) -> Me:
    """The account as it sees itself."""
    return Me(
        username=account.username,
        role=account.role,
        is_analyst=account.is_analyst,
        is_admin=account.is_admin,
        created_at=account.created_at,
        last_login_at=account.last_login_at,
    )


async def _is_as_read(connection: AsyncConnection[Any], row: dict[str, Any]) -> bool:
    # Locks the account: while the password was checked it may have been changed, or the account deactivated.
    found = await connection.execute(
        "UPDATE app.users SET last_login_at = now() WHERE user_id = %s AND is_active AND password_changed_at = %s",
        (row["user_id"], row["password_changed_at"]),
    )
    return found.rowcount == 1


def check_new_password(password1: str, password2: str, username: str) -> list[FieldError]:
    """What is wrong with a new password given twice."""
    errors = []
    if broken := broken_rule(password1, username):
        errors.append(FieldError(pointer="/password1", detail=broken))
    if password1 != password2:
        errors.append(FieldError(pointer="/password2", detail="The two passwords differ."))
    return errors


async def add_user(
    connection: AsyncConnection[Any], username: str, password_hash: str, *, is_admin: bool = False
) -> int:
    """Insert an account. Raises Problem 409 when the name is taken."""
    try:
        found = await connection.execute(
            "INSERT INTO app.users (username, username_key, password_hash, is_admin) VALUES (%s, %s, %s, %s)"
            " RETURNING user_id",
            (username, username_key(username), password_hash, is_admin),
        )
    except UniqueViolation:
        taken = "This user name is taken."
        raise Problem(409, taken, errors=[FieldError(pointer="/username", detail=taken)]) from None
    row = await found.fetchone()
    return int(row["user_id"]) if row else 0


async def set_password(
    connection: AsyncConnection[Any], user_id: int, password_hash: str, *, keep_session: UUID | None = None
) -> None:
    """Store a new password; every session but `keep_session` and every API token of the account ends."""
    await connection.execute(
        "UPDATE app.users SET password_hash = %s, password_changed_at = now() WHERE user_id = %s",
        (password_hash, user_id),
    )
    await end_sessions(connection, user_id, but=keep_session)


async def end_sessions(connection: AsyncConnection[Any], user_id: int, *, but: UUID | None = None) -> None:
    """End every session but one and every API token of an account."""
    await connection.execute(
        "UPDATE app.sessions SET revoked_at = now()"
        " WHERE user_id = %s AND revoked_at IS NULL AND session_id IS DISTINCT FROM %s",
        (user_id, but),
    )
    await connection.execute(
        "UPDATE app.api_tokens SET revoked_at = now() WHERE user_id = %s AND revoked_at IS NULL", (user_id,)
    )
