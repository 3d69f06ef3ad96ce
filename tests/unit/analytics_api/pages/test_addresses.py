"""Addresses on pages: what a place's id may contain stays part of the path."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from zoneinfo import ZoneInfo

import pytest
from litestar import Response
from litestar.testing import RequestFactory

from analytics_api.figures.queries import NAMED_PLACES
from analytics_api.pages import sessions
from analytics_api.pages.figures import FiguresPages

IDS = ["shop#1", "what?", "100%25", "кофе & чай"]


class NoSales:
    """A database that knows every place, and no sale."""

    @asynccontextmanager
    async def reading(self) -> AsyncIterator["NoSales"]:
        yield self

    async def row(self, *_: Any) -> None:
        """Nothing is there."""

    async def rows(self, query: str, parameters: dict[str, Any]) -> Sequence[tuple[Any, ...]]:
        return [(place_id, None) for place_id in parameters["place_ids"]] if query is NAMED_PLACES else []


def browser(place_id: str) -> Any:
    """A request for the page of a place, as the server hands it on: its path is decoded."""
    request = RequestFactory().get("/", headers={"accept-language": "en"}, query_params={"interval": "today"})
    request.scope["path"] = f"/analytics/place/{place_id}/"
    settings = SimpleNamespace(zone=ZoneInfo("UTC"), intake_url="http://127.0.0.1:8000")
    request.app.state.settings = settings
    request.scope["state"]["page_account"] = SimpleNamespace(
        username="ann", role="analyst", may_analyse=True, is_admin=False
    )
    return request


@pytest.mark.parametrize("place_id", IDS)
def test_the_page_of_a_place_links_to_itself(place_id: str) -> None:
    """Its intervals, its form and the switch of language lead to the same place."""
    pages, watch = SimpleNamespace(), SimpleNamespace(away=list)

    async def work() -> Response[bytes]:
        answer: Response[bytes] = await FiguresPages.place.fn(
            pages, request=browser(place_id), database=NoSales(), watch=watch, place_id=place_id
        )
        return answer

    answer = asyncio.run(work())
    html = answer.content.decode().replace("&amp;", "&")
    path = f"/analytics/place/{quote(place_id)}/"
    intervals = re.findall(r'<a href="([^"]*\?interval=[^"]*)"(?: aria-current="true")?>(?:Today|Yesterday)<', html)
    assert [urlsplit(address).path for address in intervals] == [path, path]
    assert f'<form class="row" method="get" action="{path}">' in html
    switches = [parse_qs(query)["next"] for query in re.findall(r'href="/language/../\?([^"]*)"', html)]
    assert switches == [[f"{path}?interval=today"]] * 2


@pytest.mark.parametrize("place_id", IDS)
def test_signing_in_leads_back_to_the_place(place_id: str) -> None:
    """`next` is the address that was asked for."""
    [address] = parse_qs(urlsplit(sessions.sign_in_address(browser(place_id))).query)["next"]
    assert urlsplit(address).query == "interval=today"
    assert unquote(urlsplit(address).path) == f"/analytics/place/{place_id}/"
