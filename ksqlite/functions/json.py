"""Functions over text that holds JSON."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any

from ksqlite.errors import EvaluationError
from ksqlite.functions.registry import scalar
from ksqlite.types import ArrayType, Base, DecimalType, MapType, SqlType, StructType
from ksqlite.values import Value, times
from ksqlite.values.text import decimal_to_text, double_to_text

_MISSING = object()
_quote = json.encoder.encode_basestring


def _no_constant(name: str) -> Value:
    raise ValueError(f"{name} is no JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)
_SPACE = " \t\n\r"


def read(text: str) -> Value:
    """The first JSON value in a text; what follows it is not looked at. Raises EvaluationError."""
    try:
        start = len(text) - len(text.lstrip(_SPACE))
        if start == len(text):
            return _MISSING
        return _DECODER.raw_decode(text, start)[0]
    except (ValueError, RecursionError) as error:
        raise EvaluationError(f"Invalid JSON: {error}") from error


def write(value: Value) -> str:
    """JSON without white space, numbers as Java writes them."""
    if value is None:
        return "null"
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, str):
        return _quote(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return double_to_text(value) if math.isfinite(value) else f'"{double_to_text(value)}"'
    if isinstance(value, list):
        return f"[{','.join(map(write, value))}]"
    return "{" + ",".join(f"{_quote(key)}:{write(item)}" for key, item in value.items()) + "}"


@lru_cache(maxsize=512)
def path_steps(path: str) -> tuple[str, ...]:
    """The steps of a JSON path such as $.a[0].b or $['a']. Raises EvaluationError."""
    if not path.startswith("$"):
        raise EvaluationError(f"Invalid JSON path: {path}")
    steps = []
    position = 1
    step = re.compile(r"\.(?P<name>[^.\[\]]+)|\[(?P<index>\d+)\]|\[(?P<quote>['\"])(?P<key>.*?)(?P=quote)\]")
    while position < len(path):
        match = step.match(path, position)
        if match is None:
            raise EvaluationError(f"Invalid JSON path: {path}")
        steps.append(next(found for found in (match["name"], match["index"], match["key"]) if found is not None))
        position = match.end()
    return tuple(steps)


@scalar("EXTRACTJSONFIELD", "STRING, STRING -> STRING")
def extract_json_field(text: str, path: str) -> str | None:
    """The value at a path, such as $.customer.name or $.items[0], as text."""
    value = read(text)
    for step in path_steps(path):
        if isinstance(value, dict):
            value = value.get(step, _MISSING)
        elif isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    if value is _MISSING or value is None:
        return None
    return value if isinstance(value, str) else write(value)


def _exactly(text: str) -> Value:
    """A text that is one JSON value and nothing else; _MISSING otherwise."""
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError):
        return _MISSING


@scalar("IS_JSON_STRING", "STRING -> BOOLEAN", skip_nulls=False, never_null=True, fallible=False)
def is_json_string(text: str | None) -> bool:
    """Whether a text is JSON."""
    return text is not None and _exactly(text) is not _MISSING


@scalar("JSON_ARRAY_CONTAINS", "STRING, T -> BOOLEAN", skip_nulls=False, make=True, fallible=False)
def json_array_contains(types: Sequence[SqlType], returns: SqlType) -> Callable[..., bool]:
    """Whether a JSON array has a number, text, boolean or null among its elements."""
    wanted = types[1] if len(types) > 1 else returns

    def contains(text: str | None, value: Value) -> bool:
        if text is None:
            return False
        try:
            elements = read(text)
        except EvaluationError:
            return False
        if not isinstance(elements, list):
            return False
        return any(_equals(element, value, wanted) for element in elements)

    return contains


def _equals(element: Value, value: Value, wanted: SqlType) -> bool:
    if value is None or element is None:
        return value is None and element is None
    if isinstance(element, bool) or isinstance(value, bool):
        return element is value
    if wanted.base in {Base.INTEGER, Base.BIGINT}:
        return isinstance(element, int) and element == value
    if wanted.base is Base.DOUBLE:
        return isinstance(element, float) and element == value
    if isinstance(value, Decimal):
        return isinstance(element, float) and Decimal(repr(element)) == value
    return isinstance(element, str) and element == value


@scalar("JSON_ARRAY_LENGTH", "STRING -> INTEGER")
def json_array_length(text: str) -> int | None:
    """The number of elements of a JSON array."""
    value = read(text)
    return len(value) if isinstance(value, list) else None


@scalar("JSON_KEYS", "STRING -> ARRAY<STRING>")
def json_keys(text: str) -> list[str] | None:
    """The names of a JSON object's members."""
    value = read(text)
    return list(value) if isinstance(value, dict) else None


@scalar("JSON_RECORDS", "STRING -> MAP<STRING, STRING>")
def json_records(text: str) -> dict[str, str] | None:
    """A JSON object as a map from its names to its values, each as text."""
    value = read(text)
    if not isinstance(value, dict):
        return None
    return {key: item if isinstance(item, str) else write(item) for key, item in value.items()}


@scalar("JSON_ITEMS", "STRING -> ARRAY<STRING>")
def json_items(text: str) -> list[str] | None:
    """The elements of a JSON array, each as JSON."""
    value = read(text)
    if not isinstance(value, list):
        return None
    return [write(item) for item in value]


@scalar("JSON_CONCAT", "STRING... -> STRING", skip_nulls=False)
def json_concat(*texts: str | None) -> str | None:
    """JSON objects merged, the last member of a name wins; arrays, and anything beside an array, one after another."""
    values: list[Value] = []
    for text in texts:
        value = _MISSING if text is None else read(text)
        if value is _MISSING:
            return None
        values.append(value)
    if not values:
        return None
    if all(isinstance(value, dict) for value in values):
        return write({key: item for value in values for key, item in value.items()})
    items: list[Any] = []
    for value in values:
        items.extend(value if isinstance(value, list) else [value])
    return write(items)


# ------------------------------------------------------------------------------------------------------- TO_JSON_STRING

_SIMPLE: dict[Base, Callable[[Any], str]] = {
    Base.BOOLEAN: lambda value: "true" if value else "false",
    Base.INTEGER: str,
    Base.BIGINT: str,
    Base.DOUBLE: write,
    Base.STRING: _quote,
    Base.BYTES: lambda value: f'"{base64.b64encode(value).decode("ascii")}"',
    Base.DATE: lambda value: f'"{times.format_date(value)}"',
    Base.TIME: lambda value: f'"{times.format_time(value)}"',
    Base.TIMESTAMP: lambda value: f'"{times.format_timestamp(value)}"',
}


def writer(sql_type: SqlType) -> Callable[[Any], str]:
    """The function that writes a value of that type, or None, as JSON."""
    body = _writer(sql_type)
    return lambda value: "null" if value is None else body(value)


def _writer(sql_type: SqlType) -> Callable[[Any], str]:
    if isinstance(sql_type, DecimalType):
        return decimal_to_text
    if isinstance(sql_type, ArrayType):
        element = writer(sql_type.element)
        return lambda values: f"[{','.join(map(element, values))}]"
    if isinstance(sql_type, MapType):
        item = writer(sql_type.value)
        return lambda entries: (
            "{" + ",".join(f"{_quote(str(key))}:{item(value)}" for key, value in entries.items()) + "}"
        )
    if isinstance(sql_type, StructType):
        # as a real server writes it, whatever the order of declaration
        places = sorted(range(len(sql_type.fields)), key=lambda place: sql_type.fields[place].name)
        members = [
            (place, f"{_quote(sql_type.fields[place].name)}:", writer(sql_type.fields[place].type)) for place in places
        ]
        return lambda values: "{" + ",".join([name + one(values[place]) for place, name, one in members]) + "}"
    return _SIMPLE[sql_type.base]


@scalar("TO_JSON_STRING", "T -> STRING", skip_nulls=False, never_null=True, make=True, fallible=False)
def to_json_string(types: Sequence[SqlType], returns: SqlType) -> Callable[[Any], str]:  # noqa: ARG001 - a maker
    """Any value as JSON."""
    return writer(types[0])
