"""Sign in, register, sign out, the account's own password; the switch of language."""

from typing import Annotated, Any

import msgspec
from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import PathParameter, QueryParameter
from litestar.response import Redirect

from analytics_api.access.accounts import Account
from analytics_api.access.schemas import Registration
from analytics_api.access.services import Access
from analytics_api.observe import address_of
from analytics_api.pages import sessions, texts
from analytics_api.pages.sessions import page_user, page_visitor
from analytics_api.pages.view import View
from analytics_api.problems import Problem, invalid

Back = Annotated[str | None, QueryParameter(name="next", max_length=4000)]
WRONG_NAME = (
    "A user name has 2 to 64 letters (Latin or Cyrillic), digits or _ . @ + -, and begins with a letter, digit or _."
)


def home_of(account: Account) -> str:
    """Where an account goes after signing in."""
    return "/analytics/" if account.may_analyse else "/"


class AccessPages(Controller):
    """The way in and out."""

    guards = (page_visitor,)

    @get("/")
    async def front(self, *, request: Request[Any, Any, Any], next_: Back = None) -> Response[Any]:
        """Sign in; who is signed in is led on, or told what is missing."""
        view = View(request)
        account = view.account
        if account is None:
            return view.page("sign_in.html", next=next_ or "", username="", problem=None)
        if account.may_analyse:
            return Redirect(sessions.local_address(next_, home_of(account)), status_code=303)
        return view.page("waiting.html")

    @post("/")
    async def sign_in(self, *, request: Request[Any, Any, Any], access: NamedDependency[Access]) -> Response[Any]:
        """Open a session of the browser."""
        form = await request.form()
        username, back = str(form.get("username", ""))[:1024], str(form.get("next", ""))
        try:
            secret = await access.login_page(
                username, str(form.get("password", ""))[:1024], address=address_of(request)
            )
        except Problem as problem:
            return View(request).page(
                "sign_in.html", status=problem.status, next=back, username=username, problem=problem
            )
        answer = Redirect(sessions.local_address(back, "/"), status_code=303)
        answer.cookies.append(sessions.session_cookie(request, secret, access.settings.refresh_token_s))
        return answer

    @get("/register/")
    async def registration(self, *, request: Request[Any, Any, Any]) -> Response[Any]:
        """The form of a new account."""
        return View(request).page("register.html", username="", problem=None)

    @post("/register/")
    async def register(self, *, request: Request[Any, Any, Any], access: NamedDependency[Access]) -> Response[Any]:
        """Make the account and sign it in."""
        form = await request.form()
        fields = {name: str(form.get(name, ""))[:1024] for name in ("username", "password1", "password2")}
        try:
            wanted = _registration(fields)
            await access.register(wanted.username, wanted.password1, wanted.password2, address=address_of(request))
            secret = await access.login_page(wanted.username, wanted.password1, address=address_of(request))
        except Problem as problem:
            return View(request).page(
                "register.html", status=problem.status, username=fields["username"], problem=problem
            )
        answer = Redirect("/", status_code=303)
        answer.cookies.append(sessions.session_cookie(request, secret, access.settings.refresh_token_s))
        return answer

    @post("/sign_out/", guards=[page_user])
    async def sign_out(self, *, request: Request[Any, Any, Any], access: NamedDependency[Access]) -> Response[Any]:
        """End the session everywhere, not in the browser alone."""
        await access.logout(request.user, address=address_of(request))
        answer = Redirect("/", status_code=303)
        answer.cookies.append(sessions.session_cookie(request, "", 0))
        return answer

    @get("/account/", guards=[page_user])
    async def account(self, *, request: Request[Any, Any, Any]) -> Response[Any]:
        """The account's own page."""
        return View(request).page("account.html", problem=None, is_done=False)

    @post("/account/", guards=[page_user])
    async def change_password(
        self, *, request: Request[Any, Any, Any], access: NamedDependency[Access]
    ) -> Response[Any]:
        """A new password; other sessions end."""
        form = await request.form()
        old, new, again = (str(form.get(name, ""))[:1024] for name in ("password", "password1", "password2"))
        try:
            await access.change_password(request.user, old, new, again, address=address_of(request))
        except Problem as problem:
            return View(request).page("account.html", status=problem.status, problem=problem, is_done=False)
        return View(request).page("account.html", problem=None, is_done=True)

    @get("/language/{language:str}/")
    async def switch_language(
        self,
        *,
        request: Request[Any, Any, Any],
        language: Annotated[str, PathParameter(max_length=2)],
        next_: Back = None,
    ) -> Response[Any]:
        """Keep the language and go back to where the switch was."""
        answer = Redirect(sessions.local_address(next_, "/"), status_code=303)
        if language in texts.LANGUAGES:
            answer.cookies.append(sessions.cookie(request, sessions.LANGUAGE, language, max_age=sessions.YEAR_S))
        return answer


def _registration(fields: dict[str, str]) -> Registration:
    try:
        return msgspec.convert(fields, Registration)
    except msgspec.ValidationError:
        raise invalid("/username", WRONG_NAME) from None
