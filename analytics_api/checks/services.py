"""Searches what arrived. A page costs the same however many checks there are: every filter has an index to walk."""

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from analytics_api import cursors
from analytics_api.checks.schemas import (
    Arrival,
    ArrivedCheck,
    ArrivedChecks,
    CheckHistory,
    CheckLine,
    Kind,
    RejectedCheck,
    RejectedChecks,
)
from analytics_api.db import Database
from analytics_api.problems import Problem

_items = msgspec.json.Decoder(list[dict[str, Any]], float_hook=Decimal)


@dataclass(frozen=True, kw_only=True)
class Search:
    """What to look for; None means all. Times are half-open intervals."""

    transaction_id: str | None = None
    place_id: str | None = None
    kind: Kind | None = None
    other_place: bool = False
    """Only arrivals that name another place than the first one."""
    sold_from: dt.datetime | None = None
    sold_to: dt.datetime | None = None
    received_from: dt.datetime | None = None
    received_to: dt.datetime | None = None


_SALES = (
    "SELECT transaction_id, 'sale' AS kind, 1::bigint AS arrival, place_id, place_name, place_id AS first_place_id,"
    " sold_at, received_at, total_amount, nds_amount, tips_amount, payment_method FROM figures.sales"
)
_REPEATS = (
    "SELECT transaction_id, CASE WHEN is_conflict THEN 'conflict' ELSE 'repeat' END AS kind, arrivals AS arrival,"
    " place_id, place_name, first_place_id, sold_at, received_at, total_amount, nds_amount, tips_amount,"
    " payment_method FROM figures.repeated_checks"
)


async def search(database: Database, wanted: Search, *, limit: int, cursor: str | None) -> ArrivedChecks:
    """Arrivals that match, the newest first: by time of sale where place or time of sale is asked for, else receipt."""
    query = ("checks", wanted)
    by_sale = wanted.sold_from is not None or wanted.sold_to is not None or wanted.place_id is not None
    order = "sold_at" if by_sale else "received_at"
    position = cursors.unpack(query, cursor, tuple[dt.datetime, str, int])
    parameters: dict[str, Any] = {"limit": limit + 1}
    conditions = [f"{order} IS NOT NULL"]
    for column, sign, value in (
        ("transaction_id", "=", wanted.transaction_id),
        ("place_id", "=", wanted.place_id),
        ("sold_at", ">=", wanted.sold_from),
        ("sold_at", "<", wanted.sold_to),
        ("received_at", ">=", wanted.received_from),
        ("received_at", "<", wanted.received_to),
    ):
        if value is not None:
            name = f"value_{len(parameters)}"
            parameters[name] = value
            conditions.append(f"{column} {sign} %({name})s")
    if position:
        parameters.update(at=position[0], id=position[1], arrival=position[2])
        conditions.append(f"({order}, transaction_id) <= (%(at)s, %(id)s)")
    parts = []
    if wanted.kind in {None, "sale"} and not wanted.other_place:
        more = [f"({order}, transaction_id, 1) < (%(at)s, %(id)s, %(arrival)s)"] if position else []
        parts.append((_SALES, [*conditions, *more], f"{order} DESC, transaction_id DESC"))
    if wanted.kind != "sale":
        more = [f"({order}, transaction_id, arrivals) < (%(at)s, %(id)s, %(arrival)s)"] if position else []
        if wanted.kind is not None:
            more.append("is_conflict" if wanted.kind == "conflict" else "NOT is_conflict")
        if wanted.other_place:
            more.append("place_id IS DISTINCT FROM first_place_id")
        parts.append((_REPEATS, [*conditions, *more], f"{order} DESC, transaction_id DESC, arrivals DESC"))
    union = " UNION ALL ".join(
        f"({select} WHERE {' AND '.join(where)} ORDER BY {by} LIMIT %(limit)s)" for select, where, by in parts
    )
    if not union:
        return ArrivedChecks(items=[], next_cursor=None)
    async with database.connection() as connection:
        found = await connection.execute(
            f"SELECT * FROM ({union}) a ORDER BY {order} DESC, transaction_id DESC, arrival DESC LIMIT %(limit)s",  # noqa: S608  (names from this file)
            parameters,
        )
        rows = await found.fetchall()
    items = [ArrivedCheck(**row) for row in rows[:limit]]
    last = items[-1] if items else None
    more_to_come = (
        cursors.pack(query, (getattr(last, order), last.transaction_id, last.arrival))
        if last and len(rows) > limit
        else None
    )
    return ArrivedChecks(items=items, next_cursor=more_to_come)


async def history(database: Database, transaction_id: str) -> CheckHistory:
    """Every arrival of one id with its lines. Raises Problem 404 when none ever came."""
    async with database.connection() as connection:
        found = await connection.execute(
            f"{_SALES} WHERE transaction_id = %(id)s UNION ALL {_REPEATS} WHERE transaction_id = %(id)s"
            " ORDER BY arrival",
            {"id": transaction_id},
        )
        checks = [ArrivedCheck(**row) for row in await found.fetchall()]
        if not checks:
            raise Problem(404, "No check with this transaction_id has arrived.")
        found = await connection.execute(
            "SELECT line_no, product_id, category, quantity, price FROM figures.sale_lines"
            " WHERE transaction_id = %s ORDER BY line_no",
            (transaction_id,),
        )
        lines: dict[int, list[CheckLine]] = {1: [CheckLine(**row) for row in await found.fetchall()]}
        found = await connection.execute(
            "SELECT arrivals, items_json FROM figures.repeated_checks WHERE transaction_id = %s", (transaction_id,)
        )
        lines.update({row["arrivals"]: _lines(row["items_json"]) for row in await found.fetchall()})
    return CheckHistory(
        transaction_id=transaction_id,
        arrivals=[Arrival(check=check, items=lines.get(check.arrival, [])) for check in checks],
    )


async def rejected(
    database: Database,
    *,
    transaction_id: str | None = None,
    received_from: dt.datetime | None = None,
    received_to: dt.datetime | None = None,
    limit: int,
    cursor: str | None,
) -> RejectedChecks:
    """What intake refused, the newest first."""
    query = ("rejected", transaction_id, received_from, received_to)
    position = cursors.unpack(query, cursor, tuple[dt.datetime, str])
    parameters: dict[str, Any] = {"limit": limit + 1}
    conditions = ["received_at IS NOT NULL"]
    for condition, value in (
        ("transaction_id = {}", transaction_id),
        ("received_at >= {}", received_from),
        ("received_at < {}", received_to),
    ):
        if value is not None:
            name = f"value_{len(parameters)}"
            parameters[name] = value
            conditions.append(condition.format(f"%({name})s"))
    if position:
        parameters.update(at=position[0], id=position[1])
        conditions.append("(received_at, rejection_id) < (%(at)s, %(id)s)")
    async with database.connection() as connection:
        found = await connection.execute(
            "SELECT rejection_id, received_at, request_id, source_address, transaction_id, reasons_json, body,"  # noqa: S608  (fixed texts)
            f" body_encoding FROM figures.rejected_checks WHERE {' AND '.join(conditions)}"
            " ORDER BY received_at DESC, rejection_id DESC LIMIT %(limit)s",
            parameters,
        )
        rows = await found.fetchall()
    items = [_rejected(row) for row in rows[:limit]]
    last = items[-1] if items else None
    more = cursors.pack(query, (last.received_at, last.rejection_id)) if last and len(rows) > limit else None
    return RejectedChecks(items=items, next_cursor=more)


async def rejected_one(database: Database, rejection_id: str) -> RejectedCheck:
    """One rejected check. Raises Problem 404."""
    async with database.connection() as connection:
        found = await connection.execute(
            "SELECT rejection_id, received_at, request_id, source_address, transaction_id, reasons_json, body,"
            " body_encoding FROM figures.rejected_checks WHERE rejection_id = %s",
            (rejection_id,),
        )
        row = await found.fetchone()
    if row is None:
        raise Problem(404, "There is no such rejected check.")
    return _rejected(row)


def _rejected(row: dict[str, Any]) -> RejectedCheck:
    text = row.pop("reasons_json")
    try:
        reasons = msgspec.json.decode(text or "[]", type=list[dict[str, Any]])
    except msgspec.DecodeError:
        reasons = [{"pointer": "", "detail": text}]
    return RejectedCheck(reasons=reasons, **row)


def _lines(items_json: str | None) -> list[CheckLine]:
    """Lines out of ksql's JSON, whose names are in upper case."""
    try:
        items = _items.decode(items_json or "[]")
    except (msgspec.DecodeError, TypeError):
        return []
    return [
        CheckLine(
            line_no=number,
            product_id=item.get("PRODUCT_ID"),
            category=item.get("CATEGORY"),
            quantity=_decimal(item.get("QUANTITY")),
            price=_decimal(item.get("PRICE")),
        )
        for number, item in enumerate(items, start=1)
    ]


def _decimal(value: Any) -> Decimal | None:  # noqa: ANN401  (what JSON holds)
    return None if value is None else Decimal(str(value))
