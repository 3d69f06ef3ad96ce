"""Tables as CSV: streamed, with a BOM, in the dialect of the reader's spreadsheet, with no cell that is a formula."""

import csv
import datetime as dt
import io
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from litestar import Request
from litestar.response import Stream

BOM = b"\xef\xbb\xbf"
MEDIA_TYPE = "text/csv"
# What a spreadsheet takes for the beginning of a formula; the wide forms count in East Asian versions.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # fmt: skip


@dataclass(frozen=True)
class Dialect:
    """How cells and numbers are written."""

    delimiter: str
    decimal_point: str
    time_format: str


ENGLISH = Dialect(",", ".", "%Y-%m-%dT%H:%M:%SZ")
# A Russian Excel splits at semicolons and reads 1.05 as the first of May.
RUSSIAN = Dialect(";", ",", "%Y-%m-%d %H:%M:%S")


def is_wanted(request: Request[Any, Any, Any], format_: Literal["json", "csv"] | None) -> bool:
    """Whether the request asks for CSV: by `format`, else by its Accept header."""
    if format_ is not None:
        return format_ == "csv"
    return request.accept.best_match(["application/json", "text/csv"]) == "text/csv"


def dialect_of(request: Request[Any, Any, Any], locale: Literal["en", "ru"] | None) -> Dialect:
    """The dialect: by `locale`, else by the first language of Accept-Language."""
    language = locale or request.headers.get("accept-language", "").strip().lower()[:2]
    return RUSSIAN if language == "ru" else ENGLISH


def safe(text: str) -> str:
    """Text that a spreadsheet shows as it stands: an apostrophe before what would begin a formula."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def cell(value: Any, dialect: Dialect) -> str:  # noqa: ANN401  (whatever a figure is)
    """One value as text."""
    if value is None:
        return ""
    if isinstance(value, str):
        return safe(value)
    if isinstance(value, Decimal):
        return format(value, "f").replace(".", dialect.decimal_point)
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).strftime(dialect.time_format)
    return str(value)


def lines(rows: Iterable[Sequence[Any]], dialect: Dialect) -> bytes:
    """Rows as bytes of CSV."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=dialect.delimiter, lineterminator="\r\n")
    writer.writerows([[cell(value, dialect) for value in row] for row in rows])
    return buffer.getvalue().encode("utf-8", "replace")


async def respond(
    header: Sequence[str],
    batches: AsyncIterator[list[Sequence[Any]]],
    dialect: Dialect,
    *,
    name: str,
    headers: dict[str, str],
) -> Stream:
    """A streamed response. The first batch is read before it begins, so that an error still gets its own status."""
    first: list[Sequence[Any]] = await anext(batches, [])

    async def chunks() -> AsyncIterator[bytes]:
        yield BOM + lines([header], dialect) + lines(first, dialect)
        async for batch in batches:
            yield lines(batch, dialect)

    return Stream(
        chunks(),
        media_type=MEDIA_TYPE,
        headers={
            **headers,
            "Content-Disposition": f'attachment; filename="{name}.csv"',
            "Vary": "Accept, Accept-Language, Authorization",
        },
    )
