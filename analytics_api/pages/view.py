"""Renders pages: one environment that escapes everything, and what every template may ask for."""

import datetime as dt
import gzip
import hashlib
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import MediaType, Request, Response
from litestar.datastructures import Cookie

from analytics_api.access.accounts import Account
from analytics_api.observe import PAGE_POLICY
from analytics_api.pages import sessions, texts, zones
from analytics_api.pages.formats import Formats, iso
from analytics_api.settings import Settings

FOLDER = Path(__file__).parent
STATIC = FOLDER / "static"
VARY = "Cookie, Accept-Language, Accept-Encoding"
COMPRESS_LEVEL = 3


@cache
def version() -> str:
    """Changes with every static file, so that browsers may keep them."""
    parts = [path.read_bytes() for path in sorted(STATIC.iterdir()) if path.is_file()]
    return hashlib.sha256(b"".join(parts)).hexdigest()[:12]


@cache
def environment() -> Environment:
    """The templates; a name that is not there is an error, never an empty text."""
    made = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters["iso"] = iso
    return made


def _shown_intake(url: str) -> str:
    """Where to send checks, for a reader: the service's own address of intake when that is on this machine."""
    return url if urlsplit(url).hostname in {"127.0.0.1", "localhost"} else "http://127.0.0.1:8000"


class View:
    """One request's page: who looks, in which language and zone."""

    def __init__(self, request: Request[Any, Any, Any], *, zone: str | None = None) -> None:
        settings: Settings = request.app.state.settings
        self.request = request
        self.account: Account | None = request.scope["state"].get("page_account")
        self.language = texts.negotiate(
            request.cookies.get(sessions.LANGUAGE), request.headers.get("accept-language", "")
        )
        self.zone = zones.choose(
            zone or request.query_params.get("zone"), request.cookies.get(zones.COOKIE), settings.zone
        )
        self.formats = Formats(self.language, self.zone)

    def text(self, english: Any, *values: Any) -> str:  # noqa: ANN401  (whatever a template shows)
        """`english` in the reader's language, with `values` in its braces."""
        found = texts.translate(self.language, str(english))
        return found.format(*values) if values else found

    def mark(self, *parts: object) -> str:
        """An entity tag: the same one means the same page for this browser."""
        who = self.request.cookies.get(sessions.SESSION, "")
        role = self.account.role if self.account else ""
        seen = (who, role, self.language, self.zone.key, version(), *parts)
        return f'W/"{hashlib.sha256(repr(seen).encode()).hexdigest()[:20]}"'

    def is_known(self, mark: str) -> bool:
        """Whether the browser has that very page."""
        return mark in [tag.strip() for tag in self.request.headers.get("if-none-match", "").split(",")]

    def unchanged(self, mark: str) -> Response[Any]:
        """304: nothing is sent again."""
        return Response(None, status_code=304, headers=self._headers(mark))

    def page(
        self,
        template: str,
        *,
        status: int = 200,
        mark: str | None = None,
        cookies: list[Cookie] | None = None,
        **context: Any,  # noqa: ANN401  (what the template shows)
    ) -> Response[bytes]:
        """A page from `template`."""
        request = self.request
        token = sessions.csrf_token(request)
        path = sessions.path_of(request).rstrip("/") + "/"
        query = request.scope.get("query_string", b"").decode("latin-1")
        html = (
            environment()
            .get_template(template)
            .render(
                _=self.text,
                f=self.formats,
                view=self,
                account=self.account,
                language=self.language,
                languages=texts.LANGUAGES,
                zone=self.zone.key,
                csrf=token,
                version=version(),
                path=path,
                here=path + (f"?{query}" if query and request.method == "GET" else ""),
                now=dt.datetime.now(dt.UTC),
                intake=_shown_intake(request.app.state.settings.intake_url),
                **context,
            )
        )
        jar = list(cookies or [])
        if (visitor := request.scope["state"].get(sessions.VISITOR)) and sessions.SESSION not in request.cookies:
            jar.append(sessions.cookie(request, sessions.VISITOR, visitor, max_age=sessions.YEAR_S))
        body, headers = html.encode(), self._headers(mark)
        if "gzip" in request.headers.get("accept-encoding", ""):
            body = gzip.compress(body, COMPRESS_LEVEL, mtime=0)
            headers["Content-Encoding"] = "gzip"
        return Response(body, status_code=status, media_type=MediaType.HTML, cookies=jar, headers=headers)

    def _headers(self, mark: str | None) -> dict[str, str]:
        headers = {
            "Content-Security-Policy": PAGE_POLICY,
            "Cache-Control": "private, no-cache" if mark else "no-store",
            "Content-Language": self.language,
            "Vary": VARY,
            "X-As-Of": iso(dt.datetime.now(dt.UTC)),
        }
        if mark:
            headers["ETag"] = mark
        return headers
