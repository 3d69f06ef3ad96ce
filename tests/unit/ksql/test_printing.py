"""How records are shown: Avro, keys with windows, and what cannot be decoded."""

import io
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast

import fastavro
import pytest

from ksql.printing import Decoder, iso, plain
from schemas.registry import Registry

SCHEMA = {
    "type": "record", "name": "R",
    "fields": [
        {"name": "AMOUNT", "type": {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 2}},
        {"name": "AT", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    ],
}  # fmt: skip


class FakeRegistry:
    """Knows one schema."""

    def by_id(self, schema_id: Any) -> Any:
        assert schema_id == 7
        return SCHEMA


class FakeMessage:
    """A record as the client gives it."""

    def __init__(self, key: Any, value: Any) -> None:
        self._key, self._value = key, value

    def key(self) -> Any:
        return self._key

    def value(self) -> Any:
        return self._value

    def timestamp(self) -> tuple[Any, ...]:
        return (1, 1_771_000_000_000)

    def headers(self) -> list[Any]:
        return [("h", b"v")]

    def topic(self) -> str:
        return "t"

    def partition(self) -> int:
        return 1

    def offset(self) -> int:
        return 2


def avro(amount: Any, at: Any) -> Any:
    body = io.BytesIO()
    fastavro.schemaless_writer(body, fastavro.parse_schema(SCHEMA), {"AMOUNT": amount, "AT": at})
    return b"\0" + (7).to_bytes(4, "big") + body.getvalue()


def test_avro_is_decoded_with_exact_digits_and_readable_times() -> None:
    """27.470 would be another number of digits; milliseconds stay."""
    value = avro(Decimal("27.47"), datetime(2024, 2, 7, 12, 34, 56, 789000, UTC))
    shown = Decoder(cast("Registry", FakeRegistry()), None).decode(cast("Any", FakeMessage(b"k", value)))
    assert shown.value == {"AMOUNT": "27.47", "AT": "2024-02-07T12:34:56.789Z"}
    assert (
        shown.key,
        shown.window,
        shown.headers,
        shown.timestamp,
    ) == ("k", None, {"h": "v"}, "2026-02-13T16:26:40.000Z")


@pytest.mark.parametrize(
    ("window", "raw", "key", "shown"),
    [
        ("SESSION", "74782d39392d300000019c57d36e000000019c57d36e00", "tx-99-0", ("2026-02-13T16:26:40.000Z",) * 2),
        (
            "TUMBLING",
            "7b22504c4143455f4b4559223a22303031222c2243415445474f52595f4b4559223a2263227d0000018d81142e80",
            {"PLACE_KEY": "001", "CATEGORY_KEY": "c"},
            ("2024-02-07T01:00:00.000Z", None),
        ),
        (None, "303033", "003", None),
    ],
)
def test_windowed_keys_are_taken_apart(window: str | None, raw: str, key: str | dict[Any, Any], shown: Any) -> None:
    """A session's end stands before its start; other windows have their start alone."""
    found = Decoder(cast("Registry", FakeRegistry()), window).decode(cast("Any", FakeMessage(bytes.fromhex(raw), None)))
    assert (key, shown, None) == (found.key, found.window, found.value)


def test_what_is_no_avro_is_shown_as_it_is() -> None:
    """JSON as JSON, text as text, anything else in hex."""
    decoder = Decoder(cast("Registry", FakeRegistry()), None)
    assert [decoder.value(raw) for raw in (b'{"a":1}', b"text", b"\xff\0", None)] == [{"a": 1}, "text", "ff00", None]


def test_plain_values_are_json() -> None:
    """Decimals keep their digits as text, bytes become hex."""
    assert plain({"a": [Decimal("1.50"), b"\0\xff"]}) == {"a": ["1.50", "00ff"]}
    assert iso(1) == "1970-01-01T00:00:00.001Z"
