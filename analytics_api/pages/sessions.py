"""The browser: its session cookie, the guards of pages, and the token that every form carries against CSRF."""

import hashlib
import hmac
import secrets
from typing import Any
from urllib.parse import quote

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie
from litestar.handlers.base import BaseRouteHandler

from analytics_api.access import accounts
from analytics_api.access.accounts import Account
from analytics_api.problems import Problem

SESSION = "session"
VISITOR = "visitor"
LANGUAGE = "language"
FIELD = "csrf"
PAGE = {"page": True}
YEAR_S = 365 * 24 * 3600

Connection = ASGIConnection[Any, Any, Any, Any]


class SignInFirst(Exception):  # noqa: N818  (named for what the browser is told)
    """Nobody is signed in; the browser goes to the sign-in page and comes back."""


async def remember_account(connection: Connection) -> Account | None:
    """The account of the session cookie, read once a request; None when nobody is signed in."""
    if "page_account" not in connection.scope["state"]:
        secret = connection.cookies.get(SESSION, "")
        account = await accounts.by_cookie(connection.app.state.database, secret) if secret else None
        connection.scope["state"]["page_account"] = account
        connection.scope["user"] = account
    found: Account | None = connection.scope["state"]["page_account"]
    return found


async def page_visitor(connection: Connection, _: BaseRouteHandler) -> None:
    """Anybody; who is signed in is known afterwards."""
    await remember_account(connection)


async def page_user(connection: Connection, _: BaseRouteHandler) -> None:
    """Any active account."""
    await _signed_in(connection)


async def page_analyst(connection: Connection, _: BaseRouteHandler) -> None:
    """An account with the Analyst tick, or an administrator."""
    account = await _signed_in(connection)
    if not account.may_analyse:
        raise Problem(403, "Figures are for analysts; an administrator can make this account one.")


async def page_administrator(connection: Connection, _: BaseRouteHandler) -> None:
    """An administrator."""
    account = await _signed_in(connection)
    if not account.is_admin:
        raise Problem(403, "This is for administrators.")


async def _signed_in(connection: Connection) -> Account:
    account = await remember_account(connection)
    if account is None:
        raise SignInFirst
    return account


def csrf_token(connection: Connection, salt: str = "") -> str:
    """What the forms of this browser carry: bound to its session, or to its visitor cookie before there is one.

    Another one on each page: pages are compressed, and the size of a compressed page tells what is the same in many.
    """
    salt = salt or secrets.token_hex(16)
    secret = connection.cookies.get(SESSION) or connection.scope["state"].get(VISITOR)
    secret = secret or connection.cookies.get(VISITOR)
    if not secret:
        secret = connection.scope["state"][VISITOR] = secrets.token_urlsafe(24)
    return f"{salt}.{hmac.new(secret.encode(), f'form {salt}'.encode(), hashlib.sha256).hexdigest()}"


async def refuse_forged(request: Request[Any, Any, Any]) -> None:
    """Before every request to a page: what changes something must come from a form of this browser's page."""
    if request.method in {"GET", "HEAD", "OPTIONS"}:
        return
    known = request.cookies.get(SESSION) or request.cookies.get(VISITOR)
    given = str((await request.form()).get(FIELD, ""))
    is_foreign = request.headers.get("sec-fetch-site") in {"cross-site", "same-site"}
    expected = csrf_token(request, given.partition(".")[0])
    if is_foreign or not known or not hmac.compare_digest(expected.encode(), given.encode()):
        raise Problem(403, "This form is out of date; go back, reload the page and send it again.")


def session_cookie(request: Request[Any, Any, Any], secret: str, life_s: int) -> Cookie:
    """The cookie of a login; scripts cannot read it and other sites' forms do not carry it."""
    return cookie(request, SESSION, secret, max_age=life_s)


def cookie(request: Request[Any, Any, Any], name: str, value: str, *, max_age: int) -> Cookie:
    """A cookie that only this service sees."""
    return Cookie(
        key=name,
        value=value,
        max_age=max_age,
        path="/",
        httponly=True,
        samesite="lax",
        secure=request.scope.get("scheme") == "https",
    )


def sign_in_address(connection: Connection) -> str:
    """The sign-in page, which leads back to the address that was asked for."""
    if connection.scope.get("method") != "GET":
        return "/"
    path = path_of(connection)
    query = connection.scope.get("query_string", b"").decode("latin-1")
    return f"/?next={quote(path + ('?' + query if query else ''), safe='')}"


def path_of(connection: Connection) -> str:
    """The path that was asked for as an address holds it: the server hands it on decoded."""
    return quote(connection.scope["path"], safe="/")


def local_address(address: str | None, default: str) -> str:
    """`address` when it is one of this service, else `default`: a link must not lead away."""
    if not address or not address.startswith("/") or address.startswith(("//", "/\\")):
        return default
    return default if any(ord(letter) < 32 or letter == "\\" for letter in address) else address
