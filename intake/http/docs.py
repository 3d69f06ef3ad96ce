"""The OpenAPI document and Swagger UI, from files of this machine alone."""

from __future__ import annotations

import datetime as dt
from functools import cache
from pathlib import Path

import msgspec
from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from swagger_ui_bundle import swagger_ui_path

from intake.http.answers import Answer, problem
from intake.http.openapi import document
from intake.http.requests import IntakeRequest, intake_of

_FILES = {
    "swagger-ui.css": b"text/css; charset=utf-8",
    "swagger-ui-bundle.js": b"text/javascript; charset=utf-8",
    "favicon-32x32.png": b"image/png",
}
_PAGE = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Intake of purchase checks</title>
<link rel="stylesheet" href="/swagger/swagger-ui.css">
<link rel="icon" type="image/png" href="/swagger/favicon-32x32.png">
</head>
<body>
<div id="ui"></div>
<script src="/swagger/swagger-ui-bundle.js"></script>
<script src="/swagger/start.js"></script>
</body>
</html>
"""
_START = b'SwaggerUIBundle({ url: "/openapi.json", dom_id: "#ui", deepLinking: true, validatorUrl: null });\n'
_POLICY = [
    (b"content-security-policy", b"default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"),
    (b"x-content-type-options", b"nosniff"),
]


@cache
def _file(name: str) -> bytes:
    return (Path(swagger_ui_path) / name).read_bytes()


@get("/openapi.json")
async def openapi(request: IntakeRequest) -> Answer:
    """The document, as of the schema in force."""
    intake = intake_of(request)
    return Answer(200, msgspec.json.encode(document(intake, dt.datetime.now(dt.UTC).date())))


@get("/swagger")
async def swagger() -> Answer:
    """Swagger UI."""
    return Answer(200, _PAGE, b"text/html; charset=utf-8", _POLICY)


@get("/swagger/{name:str}")
async def swagger_file(name: FromPath[str]) -> Answer:
    """A file of Swagger UI."""
    if name == "start.js":
        return Answer(200, _START, b"text/javascript; charset=utf-8", _POLICY)
    if name not in _FILES:
        return problem(404, "Swagger UI has no such file.")
    return Answer(200, _file(name), _FILES[name], [*_POLICY, (b"cache-control", b"max-age=86400")])


@get("/")
async def index() -> Answer:
    """Shows the way to the documentation."""
    return Answer(302, b"", b"text/plain", [(b"location", b"/swagger/")])


def documentation() -> list[HTTPRouteHandler]:
    """The handlers of this module."""
    return [openapi, swagger, swagger_file, index]
