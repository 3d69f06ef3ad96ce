"""What a check must be: the nasty list, by hand."""

import datetime as dt
import io
import json
from typing import Any
from zoneinfo import ZoneInfo

import fastavro
import pytest

from intake.contract.contract import Contract, UnfitCheckError
from intake.contract.explain import NotJsonError
from intake.contract.numbers import zigzag
from intake.contract.rules import DAY_MS, Limits, check_rules
from stack.settings import CHECKOUT

SCHEMA = (CHECKOUT / "schemas" / "check.avsc").read_text(encoding="utf-8")
NOW_MS = 1_770_000_000_000  # 2026-02-02T02:40:00Z
CONTRACT = Contract(SCHEMA, 7, 1)
PARSED: Any = fastavro.parse_schema(json.loads(SCHEMA))


def take(text: str | bytes, contract: Contract = CONTRACT, now_ms: int = NOW_MS) -> dict[str, Any]:
    """The record that a check becomes, decoded by another library than ours."""
    body = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    transaction_id, key, value = contract.take(body, now_ms, zigzag(now_ms))
    assert value[:5] == b"\0\0\0\0\7"
    found: Any = fastavro.schemaless_reader(io.BytesIO(value[5:]), PARSED)
    assert (found["transaction_id"], found["transaction_id"].encode()) == (transaction_id, key)
    return dict(found)


def errors(text: str | bytes, contract: Contract = CONTRACT, now_ms: int = NOW_MS) -> list[tuple[str, str]]:
    """The errors that a check gets."""
    with pytest.raises(UnfitCheckError) as caught:
        take(text, contract, now_ms)
    return [(error.pointer, error.detail) for error in caught.value.errors]


def with_value(check_text: str, field: str, token: str) -> str:
    """The check with other characters for a field's value."""
    document = json.loads(check_text)
    target = document["items"][0] if field in document["items"][0] else document
    target[field] = "@@@"
    return json.dumps(document, ensure_ascii=False).replace('"@@@"', token)


def test_check_of_the_design_is_taken_exactly(check_text: Any) -> None:
    """The check that the design shows becomes the record that it should, to the last digit."""
    found = take(check_text)
    assert str(found["total_amount"]) == "27.47"
    assert [str(item["quantity"]) for item in found["items"]] == ["2.000", "1.000"]
    assert found["timestamp"] == dt.datetime(2024, 2, 7, 12, 34, 56, tzinfo=dt.UTC)
    assert found["received_at"] == dt.datetime.fromtimestamp(NOW_MS / 1000, dt.UTC)
    assert found["place_name"] == "Магазин №1"
    assert len(found["content_hash"]) == 64


@pytest.mark.parametrize(
    ("token", "amount"),
    [
        ("27.470", "27.47"),
        ("27.4700000000000000000000000000000000", "27.47"),
        ("2747e-2", "27.47"),
        ("0.2747E+2", "27.47"),
        ("0", "0.00"),
        ("-0", "0.00"),
        ("-0.000", "0.00"),
        ("0e999999999999999999999", "0.00"),
        ("0e-999999999999999999999", "0.00"),
        ("9999999999999999.99", "9999999999999999.99"),
        ("1e15", "1000000000000000.00"),
        ("100000000000000000e-17", "1.00"),
        ("0.1", "0.10"),
    ],
)
def test_amount_is_taken_exactly(check_text: Any, token: str, amount: str) -> None:
    """An amount is what its digits say, however they are written."""
    assert str(take(with_value(check_text, "total_amount", token))["total_amount"]) == amount


@pytest.mark.parametrize(
    ("field", "token", "sentence"),
    [
        ("total_amount", "27.471", "must have at most 2 decimal places, and 27.471 has more"),
        ("total_amount", "1e-3", "must have at most 2 decimal places, and 1e-3 has more"),
        ("total_amount", "1e400", "must have at most 16 digits before the decimal point, and 1e400 has more"),
        ("total_amount", "1e999999999999", "must have at most 16 digits before the decimal point"),
        ("total_amount", "1e-999999999999", "must have at most 2 decimal places"),
        ("total_amount", "10000000000000000", "must have at most 16 digits before the decimal point"),
        ("total_amount", "1" * 5000, "must have at most 16 digits before the decimal point"),
        ("total_amount", "-0.01", "must be 0 or more, and is -0.01"),
        ("nds_amount", "-1", "must be 0 or more, and is -1"),
        ("tips_amount", '"3.0"', "must be a number, not a string (leave the quotation marks out)"),
        ("tips_amount", "null", "must be a number, not null"),
        ("tips_amount", "true", "must be a number, not true or false"),
        ("tips_amount", "[]", "must be a number, not a list"),
        ("quantity", "0", "must be more than 0, and is 0"),
        ("quantity", "-2", "must be more than 0, and is -2"),
        ("quantity", "0.0001", "must have at most 3 decimal places, and 0.0001 has more"),
        ("price", '{"a": 1}', "must be a number, not an object"),
        ("price", "-0.01", "must be 0 or more"),
        ("place_id", "11", "must be a string, not a number"),
        ("place_id", '""', "must not be empty"),
        ("place_id", '"0/11"', "must not contain a slash or a control character: U+002F at position 1"),
        ("place_id", '"0\\n11"', "must not contain a slash or a control character: U+000A"),
        ("place_id", '"0\x7f11"', "must not contain a slash or a control character: U+007F"),
        ("place_id", '"0\\u009b"', "must not contain a slash or a control character: U+009B"),
        ("place_id", '"a\\u0000"', "must not contain the NUL character"),
        ("place_name", '"a\\u0000b"', "must not contain the NUL character"),
        ("place_name", '"\\ud800"', "contains half of a surrogate pair"),
        ("place_name", '"\\udc00\\ud800"', "contains half of a surrogate pair"),
        ("place_name", '"' + "ж" * 256 + '"', "has 256 characters, and at most 255 are taken"),
        ("transaction_id", '""', "must not be empty"),
        ("transaction_id", '"' + "😀" * 129 + '"', "has 129 characters, and at most 128 are taken"),
        ("product_id", '""', "must not be empty"),
        ("category", '"' + "c" * 129 + '"', "has 129 characters"),
        ("payment_method", "null", "must be a string, not null"),
        ("items", "[]", "must have at least 1 item"),
        ("items", "{}", "must be a list, not an object"),
        ("items", "null", "must be a list, not null"),
        ("timestamp", "1707309296", "must be a string, not a number"),
    ],
)
def test_wrong_value_is_told_with_its_place(check_text: Any, field: str, token: Any, sentence: str) -> None:
    """A value that does not fit is named by its pointer and a sentence, and nothing else is said to be wrong."""
    found = errors(with_value(check_text, field, token))
    pointer = f"/items/0/{field}" if field in {"quantity", "price", "product_id", "category"} else f"/{field}"
    assert [one for one, _ in found] == [pointer]
    assert sentence in found[0][1]


def test_all_errors_at_once(check_text: Any) -> None:
    """Every error of a check is in one answer, in the order of the schema."""
    document = json.loads(check_text)
    document["items"][1]["quantity"] = 0
    document["items"][0]["price"] = "10.99"
    document["total_amount"] = 27.471
    document["place_id"] = ""
    del document["tips_amount"]
    assert [pointer for pointer, _ in errors(json.dumps(document))] == [
        "/items/0/price",
        "/items/1/quantity",
        "/total_amount",
        "/tips_amount",
        "/place_id",
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" \n",
        b"{",
        b"{'a': 1}",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": -Infinity}',
        b'{"a": 01}',
        b'{"a": 1.}',
        b'{"a": .5}',
        b'{"a": +1}',
        b'{"a": 1,}',
        b'{"a": "\x01"}',
        b'{"a": "\\q"}',
        b'{"a": "\\u12"}',
        b'{"a": 1} {"b": 2}',
        b"\xff\xfe{\x00}\x00",
        '{"a": "Магазин"}'.encode("cp1251"),
        b'{"a": "\xed\xa0\x80"}',
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        b"nul",
    ],
)
def test_what_is_not_json_is_not_taken(body: Any) -> None:
    """Bytes that are no JSON text in UTF-8 are told apart from a check that does not fit."""
    with pytest.raises(NotJsonError):
        take(body)


@pytest.mark.parametrize("body", [b"1", b'"a"', b"null", b"true", b"[]", b"[{}]", b"1e400", b"-0"])
def test_json_that_is_no_object(body: bytes) -> None:
    """A JSON value of another kind is told what it should be."""
    assert errors(body)[0][0] == ""
    assert "must be an object with the fields of a check" in errors(body)[0][1]


@pytest.mark.parametrize(
    ("first", "second"),
    [("total_amount", "1"), ("place_id", '"other"'), ("items", "[]"), ("transaction_id", '"x\\\\"')],
)
def test_name_that_stands_twice(check_text: Any, first: str, second: str) -> None:
    """Which of two amounts was meant is anyone's guess, so a name that is there twice is an error."""
    text = check_text[:-1] + f', "{first}": {second}' + "}"
    assert (f"/{first}", "is there more than once") in errors(text)


def test_name_that_stands_twice_in_an_item(check_text: Any) -> None:
    """The same inside an item, written with an escape."""
    text = check_text.replace('"quantity": 2,', '"quantity": 2, "quantit\\u0079": 3,')
    assert errors(text) == [("/items/0/quantity", "is there more than once")]


def test_unknown_fields_are_ignored(check_text: Any) -> None:
    """Fields that the schema does not have are nobody's business, whatever they hold, twice or not."""
    more = (
        ', "cashier": "Иван \\"И\\" \\\\", "received_at": [1e999], "content_hash": null, "x": {"price": 1, "price": 2}}'
    )
    plain, extended = take(check_text), take(check_text[:-1] + more)
    assert plain == extended


@pytest.mark.parametrize("text", ["", "no ascii here: ключ"])
def test_unknown_field_must_be_utf8_too(check_text: Any, text: str) -> None:
    """The whole body is UTF-8, ignored parts included."""
    with pytest.raises(NotJsonError):
        take(check_text[:-1].encode() + b', "x": "\xff' + text.encode() + b'"}')


def test_byte_order_mark_is_let_pass(check_text: Any) -> None:
    """A mark that some Windows programs write first is no error."""
    assert take(b"\xef\xbb\xbf" + check_text.encode()) == take(check_text)


def test_same_content_has_the_same_hash(check_text: Any) -> None:
    """However a check is written, its hash is that of its content: a repeat is no conflict."""
    document = json.loads(check_text)
    turned = json.dumps(dict(reversed(document.items())), indent=3, ensure_ascii=True)
    variants = [
        check_text.replace("27.47", "27.470"),
        check_text.replace('"quantity": 2', '"quantity": 2.0'),
        check_text.replace("2024-02-07T12:34:56", "2024-02-07T15:34:56.0009+03:00"),
        turned,
    ]
    hashes = {take(text)["content_hash"] for text in [check_text, *variants]}
    assert len(hashes) == 1
    later = take(check_text, now_ms=NOW_MS + 5)
    assert {later["content_hash"]} == hashes


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("27.47", "27.48"),
        ("Магазин №1", "Магазин №2"),
        ('"quantity": 2', '"quantity": 2.001'),
        ("12:34:56", "12:34:57"),
    ],
)
def test_other_content_has_another_hash(check_text: Any, old: str, new: str) -> None:
    """Any difference in content shows in the hash."""
    assert take(check_text)["content_hash"] != take(check_text.replace(old, new))["content_hash"]


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2024-02-07T12:34:56", "2024-02-07T12:34:56+00:00"),
        ("2024-02-07 12:34:56", "2024-02-07T12:34:56+00:00"),
        ("2024-02-07t12:34:56z", "2024-02-07T12:34:56+00:00"),
        ("2024-02-07T12:34:56.789Z", "2024-02-07T12:34:56.789000+00:00"),
        ("2024-02-07T12:34:56.7899999999999Z", "2024-02-07T12:34:56.789000+00:00"),
        ("2024-02-07T12:34:59.9999999", "2024-02-07T12:34:59.999000+00:00"),
        ("2024-02-07T12:34:56+03:00", "2024-02-07T09:34:56+00:00"),
        ("2024-02-07T12:34:56-0330", "2024-02-07T16:04:56+00:00"),
        ("2024-02-29T23:59:59", "2024-02-29T23:59:59+00:00"),
    ],
)
def test_timestamp_is_stored_in_utc(check_text: Any, text: str, utc: str) -> None:
    """With an offset a time is taken as is, without one in the zone of the settings; finer than milliseconds is cut."""
    assert take(with_value(check_text, "timestamp", f'"{text}"'))["timestamp"].isoformat() == utc


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("2024-02-07", "must be a date and time"),
        ("", "must be a date and time"),
        ("2024-02-07T12:34", "must be a date and time"),
        ("20240207T123456", "must be a date and time"),
        ("2024-02-07T12:34:56,5", "must be a date and time"),
        ("2024-02-07T12:34:56 Europe/Moscow", "must be a date and time"),
        ("٢٠٢٤-02-07T12:34:56", "must be a date and time"),
        ("2024-02-07T12:34:56." + "1" * 60, "must be a date and time"),
        ("2024-13-07T12:34:56", "is no time of the calendar"),
        ("2023-02-29T12:34:56", "is no time of the calendar"),
        ("2024-02-07T24:00:00", "is no time of the calendar"),
        ("2016-12-31T23:59:60Z", "leap second"),
        ("2024-02-07T12:34:56+24:00", "has an offset from UTC that is none"),
        ("9999-12-31T23:59:59-23:59", "in the future"),
        ("0001-01-01T00:00:00+23:59", "old"),
        ("0000-01-01T00:00:00", "is no time of the calendar"),
    ],
)
def test_timestamp_that_is_not_taken(check_text: Any, text: Any, sentence: str) -> None:
    """A time that is none, or that cannot have been, is refused with a reason."""
    found = errors(with_value(check_text, "timestamp", f'"{text}"'))
    assert found[0][0] == "/timestamp"
    assert sentence in found[0][1]


def iso(at_ms: int) -> str:
    return f'"{dt.datetime.fromtimestamp(at_ms / 1000, dt.UTC).isoformat(timespec="milliseconds")}"'


@pytest.mark.parametrize(
    ("distance_ms", "taken"),
    [
        (29 * 60_000, True),
        (30 * 60_000, True),
        (30 * 60_000 + 1, False),
        (-3650 * DAY_MS, True),
        (-3650 * DAY_MS - 1, False),
    ],
)
def test_age_limits(check_text: Any, distance_ms: Any, taken: bool) -> None:
    """30 minutes ahead and 3,650 days back are taken, a millisecond more is not, and the answer asks about the zone."""
    text = with_value(check_text, "timestamp", iso(NOW_MS + distance_ms))
    if taken:
        assert take(text)["timestamp"] == dt.datetime.fromtimestamp((NOW_MS + distance_ms) / 1000, dt.UTC)
    else:
        assert "time zone" in errors(text)[0][1]


@pytest.mark.parametrize(
    ("local", "utc"),
    [
        ("2025-03-30T01:59:59", "2025-03-30T00:59:59+00:00"),
        ("2025-03-30T03:00:00", "2025-03-30T01:00:00+00:00"),
        ("2025-10-26T02:30:00", "2025-10-26T00:30:00+00:00"),  # there twice: the first
        ("2025-10-26T02:30:00+01:00", "2025-10-26T01:30:00+00:00"),
    ],
)
def test_local_time_of_a_zone(check_text: Any, local: str, utc: str) -> None:
    """A local time is in the configured zone, and of one that is there twice the first is meant."""
    contract = Contract(SCHEMA, 7, 1, zone=ZoneInfo("Europe/Berlin"))
    assert take(with_value(check_text, "timestamp", f'"{local}"'), contract)["timestamp"].isoformat() == utc


def test_local_time_that_does_not_exist(check_text: Any) -> None:
    """A local time in the gap of a clock put forward is refused, and the answer says how to send it."""
    contract = Contract(SCHEMA, 7, 1, zone=ZoneInfo("Europe/Berlin"))
    found = errors(with_value(check_text, "timestamp", '"2025-03-30T02:30:00"'), contract)
    assert "does not exist in time zone Europe/Berlin" in found[0][1]
    assert "+03:00" in found[0][1]


def big_check(check_text: str, items: int, name: str) -> str:
    document = json.loads(check_text)
    document["items"] = [{"product_id": "p", "quantity": 1, "price": 1, "category": name}] * items
    return json.dumps(document)


def test_item_limit(check_text: Any) -> None:
    """A check has at most so many items; more are one error, not one for each."""
    take(big_check(check_text, 1000, "c"))
    assert errors(big_check(check_text, 1001, "c")) == [("/items", "has 1001 items, and at most 1000 are taken")]
    assert errors(big_check(check_text, 10_000, "c")) == [("/items", "has 10000 items, and at most 1000 are taken")]


def test_encoded_size_limit(check_text: Any) -> None:
    """A check of exactly the limit once encoded is taken, and one byte more is refused with both numbers."""
    most = 2000
    contract = Contract(SCHEMA, 7, 1, check_rules(Limits(max_encoded_bytes=most, max_name_length=5000)))
    size = len(contract.take(check_text.encode(), NOW_MS, zigzag(NOW_MS))[2])
    largest = 0
    refused: list[list[tuple[str, str]]] = []
    for name_length in range(most - size, most - size + 30):
        text = with_value(check_text, "place_name", json.dumps("n" * name_length))
        try:
            largest = len(contract.take(text.encode(), NOW_MS, zigzag(NOW_MS))[2])
        except UnfitCheckError as error:
            refused.append([(one.pointer, one.detail) for one in error.errors])
            break
    assert refused == [[("", f"is {most + 1} bytes when encoded, and at most {most} are taken")]]
    assert largest == most


def test_transaction_id_of_a_refused_check(check_text: Any) -> None:
    """The id of a check that does not fit is told where there is one that can be stored."""

    def told(text: str) -> str | None:
        with pytest.raises(UnfitCheckError) as caught:
            take(text)
        return caught.value.transaction_id

    assert told(with_value(check_text, "total_amount", "-1")) == "unique_transaction_id"
    assert told(with_value(check_text, "transaction_id", '"\\ud800"')) is None
    assert told(with_value(check_text, "transaction_id", '"a\\u0000"')) is None
    assert told(with_value(check_text, "transaction_id", "12")) is None
    assert told("[]") is None
