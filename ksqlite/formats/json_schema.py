"""JSON Schemas of JSON_SR: read as SQL columns, and written as Connect's converter writes them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ksqlite.errors import AnalysisError, UnsupportedError
from ksqlite.types import (
    BIGINT,
    BOOLEAN,
    BYTES,
    DATE,
    DOUBLE,
    INTEGER,
    STRING,
    TIME,
    TIMESTAMP,
    ArrayType,
    Base,
    DecimalType,
    MapType,
    SqlType,
    StructType,
    array,
    decimal,
    map_of,
    struct,
)

CONNECT = "org.apache.kafka.connect.data"
Columns = Sequence[tuple[str, SqlType]]

_TITLES = {f"{CONNECT}.Date": DATE, f"{CONNECT}.Time": TIME, f"{CONNECT}.Timestamp": TIMESTAMP}
_INTEGERS = {"int8": INTEGER, "int16": INTEGER, "int32": INTEGER, "int64": BIGINT}


def sql_type(node: Any, *, upper: bool = True) -> SqlType | None:  # noqa: ANN401 - any JSON
    """The SQL type that ksqlDB infers from a JSON Schema node; None where it leaves the column out."""
    if not isinstance(node, dict):
        return None
    if "oneOf" in node:
        others = [branch for branch in node["oneOf"] if branch.get("type") != "null"]
        if len(others) != 1:
            raise UnsupportedError("JSON Schema oneOf other than of null with one type is not supported")
        return sql_type(others[0], upper=upper)
    if "$ref" in node or "allOf" in node or "anyOf" in node:
        raise UnsupportedError("JSON Schema $ref, allOf and anyOf are not supported")
    kind = node.get("type")
    if isinstance(kind, list):
        kinds = [each for each in kind if each != "null"]
        if len(kinds) != 1:
            raise UnsupportedError("JSON Schema with several types is not supported")
        kind = kinds[0]
    title, connect = node.get("title"), node.get("connect.type")
    if title in _TITLES:
        return _TITLES[title]
    if title == f"{CONNECT}.Decimal":
        parameters = node.get("connect.parameters", {})
        return decimal(int(parameters.get("connect.decimal.precision", 64)), int(parameters.get("scale", 0)))
    if kind == "integer":
        return _INTEGERS.get(connect or "int64", BIGINT)
    if kind == "string":
        return BYTES if connect == "bytes" else STRING
    if kind in ("number", "boolean"):
        return DOUBLE if kind == "number" else BOOLEAN
    if kind == "array":
        return _array_type(node, upper=upper)
    if kind == "object":
        if connect == "map" or ("properties" not in node and isinstance(node.get("additionalProperties"), dict)):
            inner = sql_type(node.get("additionalProperties"), upper=upper)
            return map_of(STRING, inner) if inner is not None else None
        return struct(*object_columns(node, upper=upper))
    return None


def _array_type(node: dict[str, Any], *, upper: bool) -> SqlType | None:
    items = node.get("items")
    if node.get("connect.type") == "map" and isinstance(items, dict):
        entry = dict(object_columns(items, upper=False))
        if "key" in entry and "value" in entry:
            return map_of(entry["key"], entry["value"])
    inner = sql_type(items, upper=upper)
    return array(inner) if inner is not None else None


def object_columns(node: dict[str, Any], *, upper: bool = True) -> list[tuple[str, SqlType]]:
    """Names and SQL types of an object's properties, in order of connect.index, otherwise as written."""
    properties = list(node.get("properties", {}).items())
    properties.sort(key=lambda pair: pair[1].get("connect.index", 0) if isinstance(pair[1], dict) else 0)
    columns = []
    for name, inner in properties:
        inferred = sql_type(inner, upper=upper)
        if inferred is not None:
            columns.append((name.upper() if upper else name, inferred))
    return columns


def parse(text: str) -> dict[str, Any]:
    """The schema as JSON. Raises AnalysisError."""
    try:
        node = json.loads(text)
    except ValueError as problem:
        raise AnalysisError(f"Malformed JSON Schema: {problem}") from None
    if not isinstance(node, dict):
        raise AnalysisError("Malformed JSON Schema: not an object")
    return node


_SIMPLE: dict[Base, dict[str, Any]] = {
    Base.BOOLEAN: {"type": "boolean"},
    Base.INTEGER: {"type": "integer", "connect.type": "int32"},
    Base.BIGINT: {"type": "integer", "connect.type": "int64"},
    Base.DOUBLE: {"type": "number", "connect.type": "float64"},
    Base.STRING: {"type": "string"},
    Base.BYTES: {"type": "string", "connect.type": "bytes"},
    Base.DATE: {"type": "integer", "title": f"{CONNECT}.Date", "connect.version": 1, "connect.type": "int32"},
    Base.TIME: {"type": "integer", "title": f"{CONNECT}.Time", "connect.version": 1, "connect.type": "int32"},
    Base.TIMESTAMP: {"type": "integer", "title": f"{CONNECT}.Timestamp", "connect.version": 1, "connect.type": "int64"},
}


def _node(sql: SqlType) -> dict[str, Any]:
    if isinstance(sql, DecimalType):
        return {
            "type": "number",
            "title": f"{CONNECT}.Decimal",
            "connect.version": 1,
            "connect.type": "bytes",
            "connect.parameters": {"scale": str(sql.scale), "connect.decimal.precision": str(sql.precision)},
        }
    if isinstance(sql, ArrayType):
        return {"type": "array", "items": _optional(sql.element)}
    if isinstance(sql, MapType):
        if sql.key.base is not Base.STRING:
            raise AnalysisError("JSON only supports MAP types with STRING keys")
        return {"type": "object", "connect.type": "map", "additionalProperties": _optional(sql.value)}
    if isinstance(sql, StructType):
        return _object([(field.name, field.type) for field in sql.fields])
    return dict(_SIMPLE[sql.base])


def _optional(sql: SqlType, index: int | None = None) -> dict[str, Any]:
    made: dict[str, Any] = {} if index is None else {"connect.index": index}
    made["oneOf"] = [{"type": "null"}, _node(sql)]
    return made


def _object(columns: Columns) -> dict[str, Any]:
    return {"type": "object", "properties": {name: _optional(sql, i) for i, (name, sql) in enumerate(columns)}}


def object_schema(columns: Columns, full_name: str | None = None) -> str:
    """JSON text of the schema for these columns."""
    made = _object(columns)
    if full_name:
        made["title"] = full_name
    return json.dumps(made, separators=(",", ":"), ensure_ascii=False)


def single_schema(sql: SqlType) -> str:
    """JSON text of the schema for an unwrapped single column."""
    return json.dumps(_optional(sql), separators=(",", ":"), ensure_ascii=False)
