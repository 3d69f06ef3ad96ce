"""What a request carries."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ksqlite.server.http import Request


class BadRequestError(Exception):
    """A request that is no request; the message is for the client."""


def body_of(request: Request) -> dict[str, Any]:
    """The JSON object that a request carries. Raises BadRequestError."""
    try:
        body = json.loads(request.body)
    except ValueError as error:
        raise BadRequestError(f"The request is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise BadRequestError("The request is no JSON object")
    return body


def mapping_of(body: Mapping[str, Any], name: str) -> dict[str, Any]:
    """An optional JSON object within a request's body. Raises BadRequestError."""
    value = body.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadRequestError(f"{name} is no JSON object")
    return value
