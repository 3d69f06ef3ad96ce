"""Bodies and answers of /auth/."""

import datetime as dt
from typing import Annotated, Literal

from msgspec import Meta, Struct

# Python's $ also stands before a line break at the end; the lookahead forbids it in OpenAPI's dialect too.
USERNAME_PATTERN = r"^[A-Za-z0-9_\u00C0-\u024F\u0400-\u04FF][A-Za-z0-9_.@+\-\u00C0-\u024F\u0400-\u04FF]{1,63}(?!\n)$"
Username = Annotated[
    str,
    Meta(
        min_length=2,
        max_length=64,
        pattern=USERNAME_PATTERN,
        description="2 to 64 letters (Latin or Cyrillic), digits or _ . @ + -, beginning with a letter, digit or _.",
        examples=["ann"],
    ),
]
NewPassword = Annotated[
    str,
    Meta(
        description="8 to 128 characters; not the user name, not one of the commonest.",
        examples=["correct horse battery staple"],
    ),
]
AnyText = Annotated[str, Meta(max_length=1024)]

Role = Literal["user", "analyst", "administrator"]


class Registration(Struct):
    """A new account."""

    username: Username
    password1: NewPassword
    password2: NewPassword


class Login(Struct):
    """User name and password."""

    username: Annotated[str, Meta(max_length=1024, examples=["ann"])]
    password: Annotated[str, Meta(max_length=1024, examples=["correct horse battery staple"])]


class Refresh(Struct):
    """A refresh token; good for one use."""

    refresh_token: AnyText


class PasswordChange(Struct):
    """The old password and the new one, twice."""

    password: AnyText
    password1: NewPassword
    password2: NewPassword


class TokenPair(Struct):
    """What a login gives."""

    token: str
    """Access token: `Authorization: Bearer …` or `Authorization: Token …`."""
    refresh_token: str
    """For /auth/refresh/, once."""
    expires_in: int
    """Seconds until the access token expires."""


class Me(Struct):
    """The account that is signed in."""

    username: str
    role: Role
    """The highest of the account's roles."""
    is_analyst: bool
    is_admin: bool
    created_at: dt.datetime
    last_login_at: dt.datetime | None


class NewApiToken(Struct):
    """A personal API token to make."""

    name: Annotated[str, Meta(min_length=1, max_length=64, description="What it is for", examples=["nightly report"])]
    expires_in_days: Annotated[int, Meta(ge=1, le=365)] = 90


class ApiToken(Struct):
    """A personal API token, without its secret."""

    token_id: int
    name: str
    created_at: dt.datetime
    expires_at: dt.datetime
    last_used_at: dt.datetime | None


class CreatedApiToken(Struct):
    """A personal API token just made; `token` is shown this once."""

    token_id: int
    name: str
    created_at: dt.datetime
    expires_at: dt.datetime
    token: str


class ApiTokens(Struct):
    """All personal API tokens of the account that are good now."""

    items: list[ApiToken]
    next_cursor: str | None
