"""Accounts as administrators see and change them."""

import datetime as dt

from msgspec import UNSET, Struct, UnsetType

from analytics_api.access.schemas import NewPassword, Role


class User(Struct):
    """An account."""

    username: str
    role: Role
    is_active: bool
    is_analyst: bool
    is_admin: bool
    created_at: dt.datetime
    last_login_at: dt.datetime | None


class Users(Struct):
    """A page of accounts, by name."""

    items: list[User]
    next_cursor: str | None


class UserChange(Struct, forbid_unknown_fields=True):
    """What to change; what is left out stays."""

    is_analyst: bool | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET
    is_admin: bool | UnsetType = UNSET
    password: NewPassword | UnsetType = UNSET
    """A new password; the account's sessions and API tokens end."""
