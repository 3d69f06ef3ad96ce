"""Every figure of every endpoint equals an independent computation from the checks, as JSON and as CSV."""

import csv
import datetime as dt
import io
import json
import random
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import psycopg
import pytest

from tests.conftest import SEED
from tests.integration.analytics_api import made_up
from tests.integration.analytics_api.conftest import HOURS, START
from tests.integration.analytics_api.made_up import Check
from tests.integration.analytics_api.servers import Api

HOUR = dt.timedelta(hours=1)


def ranges() -> list[tuple[dt.datetime | None, dt.datetime | None]]:
    """The full range, ten random ones, and the shapes that days and edge hours can take."""
    rng = random.Random(SEED)
    found: list[tuple[dt.datetime | None, dt.datetime | None]] = [(None, None)]
    for _ in range(10):
        first, last = sorted(rng.sample(range(-30, HOURS + 30), 2))
        found.append((START + first * HOUR, START + last * HOUR))
    midnight = dt.datetime(2024, 2, 7, tzinfo=dt.UTC)
    found += [
        (midnight, midnight + 24 * HOUR),
        (midnight + HOUR, midnight + 2 * HOUR),
        (midnight - HOUR, midnight + 25 * HOUR),
        (midnight - HOUR, midnight + HOUR),
        (None, midnight + 5 * HOUR),
        (midnight + 5 * HOUR, None),
    ]
    return found


@pytest.fixture(scope="module")
def client(api: Api) -> Iterator[httpx.Client]:
    with api.client(api.token()) as client:
        yield client


def parameters(start: dt.datetime | None, end: dt.datetime | None, **more: Any) -> dict[str, Any]:
    bounds = {"from": start.isoformat() if start else None, "to": end.isoformat() if end else None}
    return {name: value for name, value in {**bounds, **more}.items() if value is not None}


def get(client: httpx.Client, path: str, **params: Any) -> Any:
    answer = client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return json.loads(answer.text, parse_float=Decimal)


def rows(client: httpx.Client, path: str, **params: Any) -> list[dict[str, str]]:
    answer = client.get(path, params={**params, "format": "csv"})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.content.startswith(b"\xef\xbb\xbf")
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))


def text(value: Any) -> str:
    return (
        ""
        if value is None
        else value
        if isinstance(value, str)
        else format(value, "f")
        if isinstance(value, Decimal)
        else str(value)
    )


def cell(value: str) -> str:
    return f"'{value}" if value.lstrip(" ").startswith(("=", "+", "-", "@")) else value


@pytest.mark.parametrize("bounds", ranges(), ids=str)
def test_analytics_of_a_range(client: httpx.Client, sales: list[Check], bounds: tuple[Any, Any]) -> None:
    """Items and total of a range are exactly the sums of its checks, page by page."""
    some = made_up.within(sales, *bounds)
    items, cursor, pages = [], None, 0
    while True:
        answer = get(client, "/api/analytics/", **parameters(*bounds, limit=3, cursor=cursor))
        items += answer["items"]
        assert made_up.total(some) == answer["total"]
        cursor, pages = answer["next_cursor"], pages + 1
        if cursor is None:
            break
    assert made_up.by_place(sales, some) == items
    assert pages == 3


@pytest.mark.parametrize("bounds", ranges(), ids=str)
def test_one_place_of_a_range(client: httpx.Client, sales: list[Check], bounds: tuple[Any, Any]) -> None:
    """Each place by itself says what the list says of it."""
    expected = made_up.by_place(sales, made_up.within(sales, *bounds))
    for item in expected:
        answer = get(client, f"/api/analytics/{item['place_id']}/", **parameters(*bounds))
        assert answer.pop("as_of")
        assert item == answer


@pytest.mark.parametrize("bounds", ranges(), ids=str)
def test_hours_of_a_range(client: httpx.Client, sales: list[Check], bounds: tuple[Any, Any]) -> None:
    """Hours over all places, of one place, and of two, are the sums of their checks; empty hours are no rows."""
    some = made_up.within(sales, *bounds)
    assert made_up.by_hour(some) == get(client, "/api/hours/", **parameters(*bounds))["items"]
    for ids in (["003"], ["001", "004"]):
        mine = [check for check in some if check.place_id in ids]
        assert made_up.by_hour(mine) == get(client, "/api/hours/", **parameters(*bounds, place_id=ids))["items"]


@pytest.mark.parametrize("bounds", ranges()[:6], ids=str)
def test_csv_equals_json(client: httpx.Client, sales: list[Check], bounds: tuple[Any, Any]) -> None:
    """CSV holds the same figures as JSON, all places without paging, names that begin like formulas made safe."""
    some = made_up.within(sales, *bounds)
    expected = made_up.by_place(sales, some)
    places = [
        {
            "place_id": e["place_id"],
            "place_name": e["place_name"],
            "total_purchases": text(e["total_purchases"]),
            "total_spent": text(e["total_spent"]),
            "average_receipt": text(e["average_receipt"]),
            "total_nds": text(e["taxes_amount"]["total_nds"]),
            "total_tips": text(e["taxes_amount"]["total_tips"]),
            "unallocated": text(e["unallocated"]),
        }
        for e in expected
    ]
    assert places == rows(client, "/api/analytics/", **parameters(*bounds))
    categories = [
        {
            "place_id": e["place_id"],
            "place_name": e["place_name"],
            "category": cell(name),
            **{key: text(value) for key, value in e["category_analytics"][name].items()},
        }
        for e in expected
        for name in sorted(e["category_analytics"])
    ]
    assert categories == rows(client, "/api/analytics/", **parameters(*bounds, part="categories"))
    assert places[:1] == rows(client, f"/api/analytics/{expected[0]['place_id']}/", **parameters(*bounds))
    hours = [{name: text(value) for name, value in hour.items()} for hour in made_up.by_hour(some)]
    assert hours == rows(client, "/api/hours/", **parameters(*bounds))


def test_places(client: httpx.Client, sales: list[Check]) -> None:
    """Places have names, counts, first and last sale; search finds parts of both names and ids."""
    items = get(client, "/api/places/")["items"]
    assert sorted({check.place_id for check in sales}) == [item["place_id"] for item in items]
    for item in items:
        mine = [check for check in sales if check.place_id == item["place_id"]]
        assert len(mine) == item["total_purchases"]
        assert min(c.sold_at for c in mine) == dt.datetime.fromisoformat(item["first_sold_at"])
        assert max(c.sold_at for c in mine) == dt.datetime.fromisoformat(item["last_sold_at"])
    assert [item["place_id"] for item in get(client, "/api/places/", search="газин №3")["items"]] == ["003"]
    assert get(client, "/api/places/", search="%")["items"] == []


def test_totals_of_chosen_places(client: httpx.Client, sales: list[Check]) -> None:
    """With place_id given, items and total are of those places alone; unknown ones are left out."""
    answer = get(client, "/api/analytics/", place_id=["002", "005", "nowhere"])
    chosen = [check for check in sales if check.place_id in {"002", "005"}]
    assert [item["place_id"] for item in answer["items"]] == ["002", "005"]
    assert made_up.total(chosen) == answer["total"]


def test_russian_csv(client: httpx.Client) -> None:
    """A Russian browser gets semicolons and decimal commas; `locale` decides where it is given."""
    answer = client.get(
        "/api/hours/", params={"format": "csv", "limit": 1}, headers={"Accept-Language": "ru-RU,ru;q=0.9"}
    )
    head, line = answer.content.decode("utf-8-sig").splitlines()
    assert head == "hour_start;total_purchases;total_spent;total_nds;total_tips"
    assert "," in line.split(";")[2]
    other = client.get(
        "/api/hours/", params={"format": "csv", "limit": 1, "locale": "en"}, headers={"Accept-Language": "ru"}
    )
    assert other.text.splitlines()[0].endswith("hour_start,total_purchases,total_spent,total_nds,total_tips")
    accepted = client.get("/api/hours/?limit=1", headers={"Accept": "text/csv"})
    assert accepted.headers["content-type"].startswith("text/csv")


def test_unchanged_figures_are_304(client: httpx.Client, api: Api) -> None:
    """The same state is answered with 304; a changed row changes the tag."""
    first = client.get("/api/analytics/")
    again = client.get("/api/analytics/", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
    assert again.content == b""
    with psycopg.connect(api.environment["CHECKS_DATABASE_OWNER_URL"]) as connection:
        connection.execute("UPDATE pipeline_v1.place_hours SET tips = tips WHERE place_id = '000'")
    assert client.get("/api/analytics/", headers={"If-None-Match": first.headers["etag"]}).status_code == 200


@pytest.mark.parametrize(
    ("params", "pointers"),
    [
        ({"from": "2024-02-07T12:30:00"}, ["/from"]),
        ({"from": "yesterday", "to": "x"}, ["/from", "/to"]),
        ({"from": "2024-02-07T12:00:00", "to": "2024-02-07T12:00:00"}, ["/from"]),
        ({"from": "2024-02-08", "to": "2024-02-07"}, ["/from"]),
        ({"from": "2024-02-07T12:00:00+05:30"}, ["/from"]),
        ({"to": "0001-01-01T00:00:00+14:00"}, ["/to"]),
        ({"limit": "0"}, ["/limit"]),
        ({"limit": "many"}, ["/limit"]),
        ({"cursor": "nonsense"}, ["/cursor"]),
        ({"format": "xml"}, ["/format"]),
    ],
)
def test_bad_parameters(client: httpx.Client, params: dict[str, str], pointers: list[str]) -> None:
    """A value that does not fit is a problem document that names the parameter."""
    answer = client.get("/api/analytics/", params=params)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert pointers == [error["pointer"] for error in answer.json()["errors"]]


def test_offsets_are_honoured(client: httpx.Client, sales: list[Check]) -> None:
    """An offset moves the interval, whether its plus sign was encoded or not."""
    start = dt.datetime(2024, 2, 6, 21, tzinfo=dt.UTC)
    expected = made_up.total(made_up.within(sales, start, start + 5 * HOUR))
    for query in (
        "from=2024-02-07T00:00:00%2B03:00&to=2024-02-07T05:00:00%2B03:00",
        "from=2024-02-07T00:00:00+03:00&to=2024-02-07T05:00:00+03:00",
    ):
        answer = client.get(f"/api/analytics/?{query}")
        assert expected == json.loads(answer.text, parse_float=Decimal)["total"]


def test_unknown_place_is_404(client: httpx.Client) -> None:
    """A place that no check named does not exist, whatever its name."""
    for name in ("nowhere", "%00", "a%20b", "'; drop table x; --"):
        assert client.get(f"/api/analytics/{name}/").status_code == 404
    assert client.get("/api/hours/?place_id=nowhere").status_code == 404


def test_cursor_of_another_query_is_refused(client: httpx.Client) -> None:
    """A cursor is good for its own query only."""
    cursor = get(client, "/api/analytics/", limit=1)["next_cursor"]
    answer = client.get("/api/analytics/", params={"limit": 1, "cursor": cursor, "from": "2024-02-07"})
    assert answer.status_code == 422


def test_huge_sums_stay_exact(api: Api, client: httpx.Client) -> None:
    """Sums of 30 digits come through digit by digit."""
    huge = Decimal("123456789012345678901234567890.12")
    with psycopg.connect(api.environment["CHECKS_DATABASE_OWNER_URL"], autocommit=True) as connection:
        try:
            for table, column in (("place_hours", "hour_start"), ("place_days", "day_start")):
                connection.execute(
                    f"INSERT INTO pipeline_v1.{table} (place_id, {column}, purchases, revenue, nds, tips)"
                    " VALUES ('huge', '1999-01-01', 3, %s, 0, 0)",
                    (huge,),
                )
            answer = get(client, "/api/analytics/huge/", **{"from": "1999-01-01", "to": "1999-01-02"})
            assert huge == answer["total_spent"]
            assert Decimal("41152263004115226300411522630.04") == answer["average_receipt"]
            assert huge == get(client, "/api/analytics/", to="1999-01-02")["total"]["total_spent"]
        finally:
            connection.execute("DELETE FROM pipeline_v1.place_hours WHERE place_id = 'huge'")
            connection.execute("DELETE FROM pipeline_v1.place_days WHERE place_id = 'huge'")
