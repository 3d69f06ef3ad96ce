"""What the audit says over REST."""

import datetime as dt
from typing import Any

from msgspec import Struct


class AuditEntry(Struct):
    """One thing that was done."""

    audit_id: int
    at: dt.datetime
    actor: str | None
    """User name of who did it; null where nobody was signed in."""
    action: str
    """For example login, login_failed, registration, user_changed, password_reset, refresh_reused."""
    target: str | None
    """User name or thing that was acted upon."""
    details: dict[str, Any]
    address: str | None
    request_id: str | None


class AuditPage(Struct):
    """A page of the audit, the newest first."""

    items: list[AuditEntry]
    next_cursor: str | None
