"""Checks at the limits, through the whole pipeline to PostgreSQL: the largest, the earliest, the refused."""

import datetime as dt
import json
import uuid
from decimal import Decimal
from typing import Any

import httpx
import psycopg
import pytest

from intake.contract.contract import Contract
from intake.contract.numbers import zigzag
from intake.contract.rules import Limits, check_rules
from tests.fix_stack import Stack, wait_for
from tests.integration.intake.service import CHECK, SCHEMAS, check

LIMIT_S = 120


@pytest.fixture
def whole(stack: Stack) -> Stack:
    """The stack, if it runs all that a check passes on its way."""
    missing = [part for part in ("ksqlite", "connect", "postgres", "intake") if not stack.has(part)]
    if missing:
        pytest.skip(f"this stack runs without {', '.join(missing)}")
    return stack


def rows(stack: Stack, query: str, *values: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(stack.owner_url) as connection:
        return connection.execute(query, values).fetchall()


def wait_for_sale(stack: Stack, transaction_id: str) -> tuple[Any, ...]:
    query = "SELECT place_id, sold_at, total_amount FROM figures.sales WHERE transaction_id = %s"
    wait_for(lambda: rows(stack, query, transaction_id), limit_s=LIMIT_S, what=f"{transaction_id[:20]} is a sale")
    return rows(stack, query, transaction_id)[0]


def send(stack: Stack, document: dict[str, Any]) -> httpx.Response:
    return httpx.post(stack.intake_url + CHECK, json=document, timeout=60)


def largest_check(limits: Limits) -> dict[str, Any]:
    """A check at every limit at once: most items, longest ids, and just as many bytes as may be."""

    def an_id(length: int) -> str:
        return (uuid.uuid4().hex * 40)[:length]

    measured = Contract(SCHEMAS["check"], 1, 1, check_rules(Limits(max_encoded_bytes=1 << 20)))

    def left(document: dict[str, Any]) -> int:
        text = json.dumps(document, ensure_ascii=False).encode()
        return limits.max_encoded_bytes - len(measured.take(text, 1_770_000_000_000, zigzag(1_770_000_000_000))[2])

    made = check(
        an_id(limits.max_id_length),
        place_id=an_id(limits.max_id_length),
        place_name="М" * limits.max_name_length,
        payment_method="p" * limits.max_id_length,
        total_amount=0.01,
        items=[
            {"product_id": an_id(limits.max_id_length), "quantity": 0.001, "price": 0.01, "category": f"c{number % 7}"}
            for number in range(limits.max_items)
        ],
    )
    # Categories fill up what is left; from 64 characters on a length takes a second byte.
    more = left(made)
    for item in made["items"]:
        longest = next(
            length
            for length in range(limits.max_id_length, len(item["category"]) - 1, -1)
            if length - len(item["category"]) + (length >= 64) <= more
        )
        more -= longest - len(item["category"]) + (longest >= 64)
        item["category"] = item["category"].ljust(longest, "x")
    assert left(made) == 0
    return made


def test_largest_check(whole: Any) -> None:
    """A check at every limit at once reaches PostgreSQL with every line; one byte more is refused."""
    document = largest_check(Limits())
    over = {
        **document,
        "transaction_id": document["transaction_id"][::-1],
        "place_name": document["place_name"][:-1] + "€",
    }
    refused = send(whole, over)
    assert refused.status_code == 422
    assert "and at most 262144 are taken" in refused.json()["errors"][0]["detail"]
    assert send(whole, document).status_code == 201
    place_id, _, total_amount = wait_for_sale(whole, document["transaction_id"])
    assert (place_id, total_amount) == (document["place_id"], Decimal("0.01"))
    count = "SELECT count(*) FROM figures.sale_lines WHERE transaction_id = %s"
    wait_for(
        lambda: rows(whole, count, document["transaction_id"])[0][0] == len(document["items"]),
        limit_s=LIMIT_S,
        what="every line of the largest check is there",
    )
    after = check(uuid.uuid4().hex)
    assert send(whole, after).status_code == 201
    wait_for_sale(whole, after["transaction_id"])


def test_check_ahead_of_time(whole: Any) -> None:
    """A check 29 minutes ahead is counted, and those after it are, too: it stalls nothing."""
    place = f"ahead-{uuid.uuid4().hex[:8]}"
    sold_at = dt.datetime.now(dt.UTC).replace(microsecond=0) + dt.timedelta(minutes=29)
    ahead = check(uuid.uuid4().hex, place_id=place, timestamp=sold_at.isoformat())
    late = check(uuid.uuid4().hex, place_id=place, timestamp=(sold_at - dt.timedelta(days=3600)).isoformat())
    now = check(uuid.uuid4().hex, place_id=place, timestamp=dt.datetime.now(dt.UTC).isoformat())
    assert [send(whole, one).status_code for one in (ahead, late, now)] == [201, 201, 201]
    assert wait_for_sale(whole, ahead["transaction_id"])[1] == sold_at
    counted = "SELECT coalesce(sum(purchases), 0) FROM figures.place_hours WHERE place_id = %s"
    wait_for(lambda: rows(whole, counted, place)[0][0] == 3, limit_s=LIMIT_S, what="all three are counted by hour")


def test_refused_check_is_kept(whole: Any) -> None:
    """A refused check is in PostgreSQL as it came, with every reason, for the administrator to see."""
    document = check(uuid.uuid4().hex, total_amount="27.47", place_id="0/11")
    refused = send(whole, document)
    assert refused.status_code == 422
    query = "SELECT reasons_json, body, body_encoding FROM figures.rejected_checks WHERE transaction_id = %s"
    wait_for(lambda: rows(whole, query, document["transaction_id"]), limit_s=LIMIT_S, what="the refused check is kept")
    [(reasons, body, encoding)] = rows(whole, query, document["transaction_id"])
    assert json.loads(reasons) == refused.json()["errors"]
    assert (json.loads(body), encoding) == (document, "utf-8")
