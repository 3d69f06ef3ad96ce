"""Query parameters that many operations share."""

from typing import Annotated, Literal

from litestar.di import NamedDependency
from litestar.openapi.spec import Example
from litestar.params import QueryParameter

from analytics_api import intervals
from analytics_api.intervals import Interval
from analytics_api.settings import Settings

Limit = Annotated[int, QueryParameter(ge=1, le=1000, description="How many items a page holds at most.")]
Cursor = Annotated[
    str | None,
    QueryParameter(
        description="next_cursor of the page before, as it stands; good for the same query only.", max_length=2000
    ),
]
From = Annotated[
    str | None,
    QueryParameter(
        name="from",
        description="First hour, included: an ISO 8601 time on a whole hour. Without an offset it is in"
        " CHECKS_TIMEZONE; hours and days are UTC's. Left out: from the beginning.",
        max_length=40,
        examples=[Example(value="2024-02-07T00:00:00")],
    ),
]
To = Annotated[
    str | None,
    QueryParameter(
        name="to",
        description="End of the last hour, excluded (half-open); as `from`. Left out: to the end.",
        max_length=40,
        examples=[Example(value="2024-02-08T00:00:00+03:00")],
    ),
]
PlaceIds = Annotated[
    list[str] | None,
    QueryParameter(name="place_id", description="Only this place; repeat it for several.", max_items=1000),
]
Format = Annotated[
    Literal["json", "csv"] | None,
    QueryParameter(name="format", description="csv answers as `Accept: text/csv` does."),
]
Locale = Annotated[
    Literal["en", "ru"] | None,
    QueryParameter(
        name="locale",
        description="Dialect of CSV: en is RFC 4180 (comma, decimal point); ru is what a Russian spreadsheet opens"
        " (semicolon, decimal comma). Left out: by Accept-Language.",
    ),
]


async def provide_interval(settings: NamedDependency[Settings], from_: From = None, to: To = None) -> Interval:
    """The interval that `from` and `to` name."""
    return intervals.parse(from_, to, settings.zone)
