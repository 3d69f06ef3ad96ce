"""Reads JSON bodies strictly before litestar, which would take 0 for false and "1" for 1, does so kindly."""

import re
from typing import Any

import msgspec
from litestar import Request

from analytics_api.problems import FieldError, Problem

_AT = re.compile(r"^(.*?) - at `\$(.*)`$", re.DOTALL)
_NAMED = re.compile(r"(?:required|unknown) field `([^`]+)`")


async def check(request: Request[Any, Any, Any]) -> None:
    """Refuse a body that does not fit the handler's type: Problem 400 (no JSON) or 422 (with the place)."""
    field = request.route_handler.parsed_data_field
    if field is None:
        return
    try:
        msgspec.json.decode(await request.body(), type=field.annotation)
        # Litestar keeps this for the handler: read later, deeper in the stack, it could still be nested too deep.
        await request.json()
    except msgspec.ValidationError as error:
        found = _AT.match(str(error))
        message, path = (found[1], found[2]) if found else (str(error), "")
        if missing := _NAMED.search(message):
            path += f".{missing[1]}"
        pointer = path.replace("[", ".").replace("]", "").replace(".", "/")
        detail = f"{message}."
        raise Problem(
            422,
            "The body does not fit; errors lists what is wrong.",
            errors=[FieldError(pointer=pointer, detail=detail)],
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Problem(400, "The body is not valid JSON.") from None
