"""Which changes of an Avro schema are told apart as incompatible, and with what reason."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from schemas.apply import line_of_field, same_schema
from schemas.compatibility import incompatibilities
from schemas.files import read_schemas

SCHEMAS = Path(__file__).parents[3] / "schemas"
CHECK = json.loads((SCHEMAS / "check.avsc").read_text(encoding="utf-8"))


def changed(**fields: dict[str, Any] | None) -> Any:
    """The check's schema with these fields set, or removed where None is given."""
    schema = copy.deepcopy(CHECK)
    schema["fields"] = [field for field in schema["fields"] if field["name"] not in fields]
    schema["fields"] += [{"name": name, **rest} for name, rest in fields.items() if rest is not None]
    return schema


def paths(new: Any) -> list[Any]:
    return [one.path for one in incompatibilities(new, CHECK)]


def test_the_same_schema_is_compatible() -> None:
    """A schema reads its own records."""
    assert incompatibilities(CHECK, CHECK) == []


def test_an_optional_field_may_be_added() -> None:
    """A field with a default can be read from old records, and old readers pass over it."""
    assert paths(changed(discount={"type": ["null", "string"], "default": None})) == []


def test_a_field_without_default_may_not_be_added() -> None:
    """Records written before it existed have no value for it."""
    assert paths(changed(discount={"type": "string"})) == ["discount"]


def test_a_required_field_may_not_be_removed() -> None:
    """Readers of the old version would miss it."""
    assert paths(changed(tips_amount=None)) == ["tips_amount"]


@pytest.mark.parametrize(
    "decimal", [{"precision": 18, "scale": 3}, {"precision": 20, "scale": 2}], ids=["scale", "precision"]
)
def test_a_decimal_keeps_its_scale_and_precision(decimal: dict[Any, Any]) -> None:
    """The bytes of a decimal mean another number under another scale."""
    assert "total_amount" in paths(
        changed(total_amount={"type": {"type": "bytes", "logicalType": "decimal", **decimal}})
    )


def test_a_nested_field_is_named_with_its_path() -> None:
    """The reason names items.price, not only items."""
    schema = copy.deepcopy(CHECK)
    items = next(field for field in schema["fields"] if field["name"] == "items")
    items["type"]["items"]["fields"][2]["type"] = "string"
    assert "items.price" in paths(schema)


def test_documentation_is_no_change() -> None:
    """Two schemas that differ in doc alone are the same version."""
    assert same_schema(CHECK, {**CHECK, "doc": "other words"})
    assert not same_schema(CHECK, changed(tips_amount=None))


def test_the_line_of_a_field_is_found_in_the_file() -> None:
    """A refusal can point at the line that caused it."""
    text = (SCHEMAS / "check.avsc").read_text(encoding="utf-8")
    line = line_of_field(text, "items.price")
    assert '"price"' in text.splitlines()[line - 1]


def test_every_subject_of_the_project_can_be_read() -> None:
    """subjects.json and the files agree."""
    assert [one.subject for one in read_schemas(SCHEMAS)] == ["checks-value", "rejected_checks-value"]
