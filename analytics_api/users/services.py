"""Lists and changes accounts; the last administrator stays one."""

import secrets
from typing import Any

from msgspec import UNSET
from psycopg import AsyncConnection

from analytics_api import cursors
from analytics_api.access.passwords import Passwords, broken_rule
from analytics_api.access.services import add_user, end_sessions, set_password, username_key
from analytics_api.audit import services as audit
from analytics_api.db import Database
from analytics_api.problems import Problem, invalid
from analytics_api.users.schemas import User, UserChange, Users

ADMIN = "admin"
_COLUMNS = "username, is_active, is_analyst, is_admin, created_at, last_login_at"


async def page(database: Database, *, search: str | None, limit: int, cursor: str | None) -> Users:
    """Accounts by name; `search` is looked for in the name."""
    query = ("users", search)
    position = cursors.unpack(query, cursor, tuple[str])
    pattern = "%" + username_key(search or "").replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    async with database.connection() as connection:
        found = await connection.execute(
            f"SELECT {_COLUMNS}, username_key FROM app.users"  # noqa: S608  (fixed column names)
            " WHERE username_key > %(after)s AND username_key LIKE %(pattern)s ORDER BY username_key LIMIT %(limit)s",
            {"after": position[0] if position else "", "pattern": pattern, "limit": limit + 1},
        )
        rows = await found.fetchall()
    more = cursors.pack(query, (rows[limit - 1]["username_key"],)) if len(rows) > limit else None
    return Users(items=[_user(row) for row in rows[:limit]], next_cursor=more)


async def change(
    database: Database, passwords: Passwords, username: str, wanted: UserChange, *, actor: str, address: str
) -> User:
    """Change an account. Raises Problem 404 (no such user), 409 (the last administrator), 422 (a rule)."""
    flags = {
        name: value
        for name, value in (
            ("is_analyst", wanted.is_analyst),
            ("is_active", wanted.is_active),
            ("is_admin", wanted.is_admin),
        )
        if value is not UNSET
    }
    password_hash = None
    if isinstance(wanted.password, str):
        if broken := broken_rule(wanted.password, username):
            raise invalid("/password", broken)
        password_hash = await passwords.hash(wanted.password)
    async with database.transaction() as connection:
        row = await _locked(connection, username)
        before = {name: row[name] for name in flags}
        after = {**row, **flags}
        if row["is_admin"] and row["is_active"] and not (after["is_admin"] and after["is_active"]):
            await _keep_one_administrator(connection, row["user_id"])
        await connection.execute(
            "UPDATE app.users SET is_active = %(is_active)s, is_analyst = %(is_analyst)s, is_admin = %(is_admin)s"
            " WHERE user_id = %(user_id)s",
            after,
        )
        if row["is_active"] and not after["is_active"]:
            # Who is let in again later signs in again: what was handed out before is worth nothing.
            await end_sessions(connection, row["user_id"])
        if changed := {name: value for name, value in flags.items() if before[name] != value}:
            await audit.record(
                connection, "user_changed", actor=actor, target=row["username"], details=changed, address=address
            )
        if password_hash is not None:
            await set_password(connection, row["user_id"], password_hash)
            await audit.record(connection, "password_reset", actor=actor, target=row["username"], address=address)
    return _user(after)


async def ensure_administrator(database: Database, passwords: Passwords, password: str) -> str | None:
    """Make the first administrator where there is none. Gives the made-up password when `password` is empty."""
    async with database.connection() as connection:
        found = await connection.execute("SELECT EXISTS (SELECT FROM app.users WHERE is_admin) AS there")
        row = await found.fetchone()
    if row and row["there"]:
        return None
    made_up = password or secrets.token_urlsafe(12)
    password_hash = await passwords.hash(made_up)
    async with database.transaction() as connection:
        # Several processes may start at once: one makes the account, and only it tells the password.
        await connection.execute("SELECT pg_advisory_xact_lock(hashtext('first administrator'))")
        found = await connection.execute("SELECT EXISTS (SELECT FROM app.users WHERE is_admin) AS there")
        row = await found.fetchone()
        if row and row["there"]:
            return None
        await add_user(connection, ADMIN, password_hash, is_admin=True)
        await audit.record(connection, "first_administrator", target=ADMIN)
    return None if password else made_up


async def _locked(connection: AsyncConnection[Any], username: str) -> dict[str, Any]:
    found = await connection.execute(
        f"SELECT user_id, {_COLUMNS} FROM app.users WHERE username_key = %s FOR UPDATE",  # noqa: S608  (fixed column names)
        (username_key(username),),
    )
    row = await found.fetchone()
    if row is None:
        raise Problem(404, "There is no such user.")
    return dict(row)


async def _keep_one_administrator(connection: AsyncConnection[Any], user_id: int) -> None:
    # All administrators are locked, so that two of them cannot demote each other at the same moment.
    found = await connection.execute(
        "SELECT user_id FROM app.users WHERE is_admin AND is_active ORDER BY user_id FOR UPDATE"
    )
    if all(row["user_id"] == user_id for row in await found.fetchall()):
        raise Problem(409, "This is the last administrator; make another one first.")


def _user(row: dict[str, Any]) -> User:
    role = "administrator" if row["is_admin"] else "analyst" if row["is_analyst"] else "user"
    return User(
        username=row["username"],
        role=role,  # type: ignore[arg-type] # one of the three words
        is_active=row["is_active"],
        is_analyst=row["is_analyst"],
        is_admin=row["is_admin"],
        created_at=row["created_at"],
        last_login_at=row["last_login_at"],
    )
