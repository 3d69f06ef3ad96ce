"""A new version of the schema needs no code: what it adds is accepted, checked, stored, and changes no old hash."""

import io
import json
from typing import Any

import fastavro
import pytest

from intake.contract.avro import SchemaUnsupportedError
from intake.contract.contract import Contract, UnfitCheckError
from intake.contract.numbers import zigzag
from stack.settings import CHECKOUT

NOW_MS = 1_770_000_000_000
DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}


def schema_with(*fields: dict[str, Any], item_fields: tuple[dict[str, Any], ...] = ()) -> str:
    schema = json.loads((CHECKOUT / "schemas" / "check.avsc").read_text(encoding="utf-8"))
    schema["fields"] += fields
    schema["fields"][2]["type"]["items"]["fields"] += item_fields
    return json.dumps(schema)


def take(schema: str, text: str) -> dict[str, Any]:
    value = Contract(schema, 7, 2).take(text.encode(), NOW_MS, zigzag(NOW_MS))[2]
    found: Any = fastavro.schemaless_reader(io.BytesIO(value[5:]), fastavro.parse_schema(json.loads(schema)))
    return dict(found)


def errors(schema: str, text: str) -> list[tuple[str, str]]:
    with pytest.raises(UnfitCheckError) as caught:
        take(schema, text)
    return [(error.pointer, error.detail) for error in caught.value.errors]


OPTIONAL: list[tuple[Any, Any, str | None, Any, str, str]] = [
    (["null", "string"], None, '"Иван"', "Иван", "5", "must be a string"),
    (["null", "int"], None, "-3", -3, "2147483648", "must be a whole number from"),
    (["null", "long"], None, "9007199254740993", 9007199254740993, "1.5", "must have no decimal places"),
    (["null", "boolean"], None, "true", True, '"true"', "must be true or false"),
    (["null", "double"], None, "1.5e3", 1500.0, "1e999", "is too large a number"),
    (["null", {"type": "enum", "name": "Kind", "symbols": ["A", "B"]}], None, '"B"', "B", '"C"', "must be one of A, B"),
    (["null", {"type": "array", "items": "string"}], None, '["a", "b"]', ["a", "b"], "[1]", "must be a string"),
    (["null", {"type": "map", "values": "long"}], None, '{"a": 1}', {"a": 1}, '{"a": "x"}', "must be a number"),
    (["null", {"type": "string", "logicalType": "uuid"}], None, None, None, '"x"', "must be a UUID"),
    (["string", "null"], "none", '"x"', "x", "7", "must be a string"),
    ("string", "cash desk 1", '"2"', "2", "null", "must be a string, not null"),
    ("int", 5, "6", 6, "null", "must be a number, not null"),
    (["null", {"type": "int", "logicalType": "date"}], None, None, None, '"2024-02-30"', "is no date of the calendar"),
]


@pytest.mark.parametrize("case", OPTIONAL, ids=lambda case: str(case[0]))
def test_optional_field(check_text: Any, case: Any) -> None:
    """An optional field of any type that JSON can show is stored when sent, defaulted when not, refused when wrong."""
    kind, default, token, stored, wrong, sentence = case
    schema = schema_with({"name": "class", "type": kind, "default": default})
    assert take(schema, check_text)["class"] == default
    if token is not None:
        assert take(schema, check_text[:-1] + f', "class": {token}' + "}")["class"] == stored
    found = errors(schema, check_text[:-1] + f', "class": {wrong}' + "}")
    assert found[0][0].startswith("/class")
    assert sentence in found[0][1]
    if isinstance(kind, list):
        assert take(schema, check_text[:-1] + ', "class": null}')["class"] is None


def test_optional_decimal_and_record(check_text: Any) -> None:
    """Money in a new optional record is as exact as any."""
    kind = ["null", {"type": "record", "name": "Discount", "fields": [{"name": "amount", "type": DECIMAL}]}]
    schema = schema_with({"name": "discount", "type": kind, "default": None})
    assert str(take(schema, check_text[:-1] + ', "discount": {"amount": 1.50}}')["discount"]["amount"]) == "1.50"
    assert errors(schema, check_text[:-1] + ', "discount": {"amount": 1.501}}')[0][0] == "/discount/amount"
    assert errors(schema, check_text[:-1] + ', "discount": {}}') == [("/discount/amount", "is required")]


def test_optional_field_of_items(check_text: Any) -> None:
    """An item may get a field, too."""
    schema = schema_with(item_fields=({"name": "barcode", "type": ["null", "string"], "default": None},))
    text = check_text.replace('"quantity": 2,', '"quantity": 2, "barcode": "460",')
    assert [item["barcode"] for item in take(schema, text)["items"]] == ["460", None]


def test_hash_is_the_same_across_versions(check_text: Any) -> None:
    """A check without the new field has the hash it had before there was one: sent again, it is no conflict."""
    before = take(schema_with(), check_text)["content_hash"]
    fields: list[dict[str, Any]] = [
        {"name": "a", "type": ["null", "string"], "default": None},
        {"name": "b", "type": "int", "default": 5},
        {"name": "c", "type": {"type": "map", "values": "string"}, "default": {}},
    ]
    item_field = {"name": "barcode", "type": ["null", "string"], "default": None}
    for schema in (schema_with(*fields), schema_with(*fields, item_fields=(item_field,))):
        assert take(schema, check_text)["content_hash"] == before
        assert take(schema, check_text[:-1] + ', "a": null, "b": 5}')["content_hash"] == before
        assert take(schema, check_text[:-1] + ', "a": "x"}')["content_hash"] != before


def test_order_of_a_map_is_no_content(check_text: Any) -> None:
    """Two maps that differ in order alone have one hash."""
    schema = schema_with({"name": "m", "type": ["null", {"type": "map", "values": "string"}], "default": None})
    one = take(schema, check_text[:-1] + ', "m": {"a": "1", "b": "2"}}')
    two = take(schema, check_text[:-1] + ', "m": {"b": "2", "a": "1"}}')
    assert one["content_hash"] == two["content_hash"]


@pytest.mark.parametrize(
    "kind",
    [
        ["null", "string", "int"],
        ["string", "int"],
        "bytes",
        "null",
        {"type": "fixed", "name": "F", "size": 4},
        {"type": "long", "logicalType": "time-micros"},
    ],
)
def test_type_that_json_cannot_show(kind: Any) -> None:
    """A schema that intake cannot follow is refused by the field's name, not half followed."""
    with pytest.raises(SchemaUnsupportedError, match="odd"):
        Contract(schema_with({"name": "odd", "type": kind}), 7, 2)


@pytest.mark.parametrize(
    "text", ["{", '"string"', '{"type": "record", "name": "X"}', '{"type": "record", "name": "X", "fields": []}']
)
def test_schema_that_is_none(text: str) -> None:
    """What is no schema of a check is refused as such."""
    with pytest.raises(SchemaUnsupportedError):
        Contract(text, 7, 2)


def test_record_within_itself() -> None:
    """A type that contains itself has no end in JSON and is refused."""
    with pytest.raises(SchemaUnsupportedError, match="contains itself"):
        Contract(schema_with({"name": "twin", "type": ["null", "Check"], "default": None}), 7, 2)
