"""What the front leaves for handlers with a request."""

from __future__ import annotations

from typing import Any

from litestar import Request
from litestar.datastructures import State

from intake.service import Intake
from intake.source import Source

IntakeRequest = Request[Any, Any, State]


def intake_of(request: IntakeRequest) -> Intake:
    """The process's state."""
    found: Intake = request.scope["state"]["intake"]
    return found


def source_of(request: IntakeRequest) -> Source:
    """Where the request came from."""
    found: Source = request.scope["state"]["source"]
    return found


def headers_of(request: IntakeRequest) -> dict[bytes, bytes]:
    """The request's headers, names in lower case; the last of several with one name."""
    found: dict[bytes, bytes] = request.scope["state"]["headers"]
    return found
