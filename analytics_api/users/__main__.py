"""Recovers a lost administrator and lists accounts, straight in the database: `scripts/users`."""

import argparse
import asyncio
import getpass
import os
import secrets
import sys

import psycopg

from analytics_api.access.passwords import Passwords, broken_rule
from analytics_api.access.services import add_user, end_sessions, set_password, username_key
from analytics_api.audit import services as audit
from analytics_api.db import Database
from analytics_api.problems import Problem
from analytics_api.settings import Settings, SettingsError


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit code is 0 when it was done."""
    parser = argparse.ArgumentParser(prog="scripts/users", description="Accounts of analytics_api, without signing in.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="all accounts with their roles")
    for name, about in (
        ("password", "set a new password (asked for, or made up with --generate)"),
        ("recover", "make the account an active administrator with a new, made-up password; made when missing"),
    ):
        command = commands.add_parser(name, help=about)
        command.add_argument("username")
        command.add_argument("--generate", action="store_true", help="make a password up and print it")
    for name, about in (
        ("analyst", "give the Analyst tick"),
        ("user", "take the Analyst tick and the administrator's role"),
        ("administrator", "make it an administrator"),
        ("activate", "let it sign in again"),
        ("deactivate", "let it sign in no more"),
    ):
        commands.add_parser(name, help=about).add_argument("username")
    options = parser.parse_args(arguments)
    try:
        settings = Settings.from_environment()
        return asyncio.run(_run(settings, options))
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
    except Problem as problem:
        sys.stderr.write(f"{problem.detail}\n")
    except psycopg.OperationalError as error:
        sys.stderr.write(f"PostgreSQL does not answer: {' '.join(str(error).split())}\n")
    return 1


async def _run(settings: Settings, options: argparse.Namespace) -> int:
    database = Database(settings, application_name="scripts/users")
    await database.open()
    try:
        if options.command == "list":
            return await _list(database)
        if options.command in {"password", "recover"}:
            return await _password(database, options)
        return await _roles(database, options.command, options.username)
    finally:
        await database.close()


async def _list(database: Database) -> int:
    async with database.connection() as connection:
        found = await connection.execute(
            "SELECT username, is_active, is_analyst, is_admin, last_login_at FROM app.users ORDER BY username_key"
        )
        rows = await found.fetchall()
    for row in rows:
        role = "administrator" if row["is_admin"] else "analyst" if row["is_analyst"] else "user"
        state = "" if row["is_active"] else "  deactivated"
        seen = row["last_login_at"].isoformat(timespec="seconds") if row["last_login_at"] else "never"
        sys.stdout.write(f"{row['username']:<32} {role:<14} last login {seen}{state}\n")
    return 0


async def _password(database: Database, options: argparse.Namespace) -> int:
    made_up = ""
    if options.generate or options.command == "recover":
        password = made_up = secrets.token_urlsafe(12)
    else:
        password = getpass.getpass("New password: ")
        if password != getpass.getpass("Again: "):
            raise Problem(422, "The two passwords differ.")
        if broken := broken_rule(password, options.username):
            raise Problem(422, broken)
    password_hash = await Passwords(1).hash(password)
    async with database.transaction() as connection:
        found = await connection.execute(
            "SELECT user_id FROM app.users WHERE username_key = %s FOR UPDATE", (username_key(options.username),)
        )
        row = await found.fetchone()
        if row is None and options.command == "password":
            raise Problem(404, "There is no such user.")
        user_id = row["user_id"] if row else await add_user(connection, options.username, password_hash)
        await set_password(connection, user_id, password_hash)
        if options.command == "recover":
            await connection.execute(
                "UPDATE app.users SET is_admin = true, is_active = true WHERE user_id = %s", (user_id,)
            )
        await audit.record(
            connection, f"tool_{options.command}", actor=f"{_who()} (scripts/users)", target=options.username
        )
    sys.stdout.write(f"password of {options.username}: {made_up}\n" if made_up else "done\n")
    return 0


async def _roles(database: Database, command: str, username: str) -> int:
    change = {
        "analyst": "is_analyst = true",
        "user": "is_analyst = false, is_admin = false",
        "administrator": "is_admin = true",
        "activate": "is_active = true",
        "deactivate": "is_active = false",
    }[command]
    async with database.transaction() as connection:
        found = await connection.execute(
            f"UPDATE app.users SET {change} WHERE username_key = %s RETURNING user_id",  # noqa: S608  (fixed texts)
            (username_key(username),),
        )
        changed = await found.fetchone()
        if changed is None:
            raise Problem(404, "There is no such user.")
        if command == "deactivate":
            await end_sessions(connection, changed["user_id"])
        found = await connection.execute(
            "SELECT EXISTS (SELECT FROM app.users WHERE is_admin AND is_active) AS remains"
        )
        row = await found.fetchone()
        if row and not row["remains"]:
            raise Problem(409, "This is the last administrator; make another one first.")
        await audit.record(connection, f"tool_{command}", actor=f"{_who()} (scripts/users)", target=username)
    sys.stdout.write("done\n")
    return 0


def _who() -> str:
    return os.environ.get("SUDO_USER") or getpass.getuser()


if __name__ == "__main__":
    sys.exit(main())
