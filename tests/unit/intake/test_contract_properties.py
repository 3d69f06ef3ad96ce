"""What holds for every check and every document, tried with made-up ones."""

import datetime as dt
import io
import json
from decimal import Decimal
from typing import Any

import fastavro
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from intake.contract.contract import Contract, UnfitCheckError
from intake.contract.explain import NotJsonError
from intake.contract.numbers import zigzag
from stack.settings import CHECKOUT

SCHEMA = (CHECKOUT / "schemas" / "check.avsc").read_text(encoding="utf-8")
NOW_MS = 1_770_000_000_000
CONTRACT = Contract(SCHEMA, 7, 1)
PARSED: Any = fastavro.parse_schema(json.loads(SCHEMA))

characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0\uffff")


def texts(most: int, least: int = 0) -> st.SearchStrategy[str]:
    return st.text(characters, min_size=least, max_size=most)


def amounts(places: int, least: int = 0) -> st.SearchStrategy[Decimal]:
    return st.integers(least, 10**18 - 1).map(lambda unscaled: Decimal(unscaled).scaleb(-places))


items = st.fixed_dictionaries(
    {
        "product_id": texts(128, 1),
        "quantity": amounts(3, 1),
        "price": amounts(2),
        "category": texts(128),
    }
)
checks = st.fixed_dictionaries(
    {
        "transaction_id": texts(128, 1),
        "timestamp": st.datetimes(dt.datetime(2016, 3, 1), dt.datetime(2026, 2, 2), timezones=st.just(dt.UTC)),  # noqa: DTZ001
        "items": st.lists(items, min_size=1, max_size=5),
        "total_amount": amounts(2),
        "nds_amount": amounts(2),
        "tips_amount": amounts(2),
        "payment_method": texts(128),
        "place_id": st.text(
            st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/\uffff"), min_size=1, max_size=128
        ),
        "place_name": texts(255),
    }
)


def as_json(value: Any, indent: int | None) -> str:
    """JSON with decimals as numbers, their digits exact."""
    marked = json.dumps(value, default=lambda one: f"\uffff{one}\uffff", ensure_ascii=False, indent=indent)
    return marked.replace('"\uffff', "").replace('\uffff"', "")


@given(checks, st.sampled_from([None, 0, 2]))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_encoder_writes_what_fastavro_writes(check: Any, indent: Any) -> None:
    """The generated encoder's bytes are those of a general Avro writer, for any check that fits."""
    text = as_json({**check, "timestamp": check["timestamp"].isoformat()}, indent)
    _, key, value = CONTRACT.take(text.encode(), NOW_MS, zigzag(NOW_MS))
    found: Any = fastavro.schemaless_reader(io.BytesIO(value[5:]), PARSED)
    wanted = {
        **check,
        "timestamp": check["timestamp"].replace(microsecond=check["timestamp"].microsecond // 1000 * 1000),
        "received_at": dt.datetime.fromtimestamp(NOW_MS / 1000, dt.UTC),
        "content_hash": found["content_hash"],
    }
    out = io.BytesIO()
    fastavro.schemaless_writer(out, PARSED, wanted)
    assert value[5:] == out.getvalue()
    assert key == check["transaction_id"].encode()


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = [field["name"] for field in json.loads(SCHEMA)["fields"]]
EXAMPLE: dict[str, Any] = {
    "transaction_id": "t",
    "timestamp": "2024-02-07T12:34:56",
    "items": [{"product_id": "p", "quantity": 2, "price": 10.99, "category": "c"}],
    "total_amount": 27.47,
    "nds_amount": 2.47,
    "tips_amount": 3.0,
    "payment_method": "card",
    "place_id": "011",
    "place_name": "n",
}


@st.composite
def nearly_checks(draw: st.DrawFn) -> str:
    """A good check in which some values are anything at all."""
    document: dict[str, Any] = json.loads(json.dumps(EXAMPLE))
    for name in draw(st.lists(st.sampled_from([*FIELDS, "other"]), max_size=3)):
        document[name] = draw(json_values)
    if draw(st.booleans()):
        document["items"] = [
            {**EXAMPLE["items"][0], draw(st.sampled_from(["product_id", "quantity", "price"])): draw(json_values)}
        ]
    return json.dumps(document, ensure_ascii=draw(st.booleans()))


@given(nearly_checks() | json_values.map(json.dumps) | st.text())
@example('{"transaction_id": "\\ud800"}')
@settings(max_examples=600, deadline=None)
def test_any_document_is_taken_or_explained(text: Any) -> None:
    """Whatever is sent is taken, or refused with reasons that point into it; nothing else can happen."""
    body = text.encode("utf-8", "surrogatepass")
    found: list[tuple[str, str]] = []
    try:
        CONTRACT.take(body, NOW_MS, zigzag(NOW_MS))
    except NotJsonError as error:
        found.append(("", str(error)))
    except UnfitCheckError as error:
        found += [(one.pointer, one.detail) for one in error.errors]
    for pointer, detail in found:
        assert detail
        assert not detail.startswith("Expected")  # msgspec's own words would mean that explain missed it
        assert pointer == "" or pointer.startswith("/")


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_refused(body: bytes) -> None:
    """Random bytes are refused and break nothing."""
    try:
        CONTRACT.take(body, NOW_MS, zigzag(NOW_MS))
    except (NotJsonError, UnfitCheckError):
        return
    raise AssertionError("random bytes were taken for a check")
