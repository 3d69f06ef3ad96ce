"""Avro schemas: parsed into small types, read as SQL columns, and written for SQL columns as ksqlDB writes them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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

NAMESPACE = "io.confluent.ksql.avro_schemas"
DEFAULT_NAME = f"{NAMESPACE}.KsqlDataSourceSchema"
MISSING = object()
"""Default of a field that has none."""


@dataclass(frozen=True, slots=True)
class AvroField:
    """A field of a record; ``default`` is its JSON, or MISSING."""

    name: str
    type: AvroType
    default: Any = MISSING


@dataclass(frozen=True, slots=True)
class AvroType:
    """Any Avro type. ``kind`` is Avro's name of it; what a kind does not have stays empty.

    ``inner`` is the type of an array's items or a map's values, ``branches`` a union's types, ``entries`` says that an
    array of records stands for a map with arbitrary keys (Connect's MapEntry).
    """

    kind: str
    logical: str | None = None
    precision: int = 0
    scale: int = 0
    size: int = 0
    symbols: tuple[str, ...] = ()
    fields: tuple[AvroField, ...] = ()
    inner: AvroType | None = None
    branches: tuple[AvroType, ...] = ()
    entries: bool = False
    name: str | None = field(default=None, compare=False)

    @property
    def optional(self) -> tuple[int, AvroType] | None:
        """Position of null and the other type, when this is a union of null with one other type."""
        if self.kind == "union" and len(self.branches) == 2:
            for null, other in ((0, 1), (1, 0)):
                if self.branches[null].kind == "null" and self.branches[other].kind != "null":
                    return null, self.branches[other]
        return None


PRIMITIVES = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")


class _Parser:
    def __init__(self) -> None:
        self.named: dict[str, AvroType | None] = {}

    def parse(self, node: Any, namespace: str | None) -> AvroType:  # noqa: ANN401 - any JSON
        if isinstance(node, str):
            if node in PRIMITIVES:
                return AvroType(node)
            for name in (node, f"{namespace}.{node}"):
                if name in self.named:
                    known = self.named[name]
                    if known is None:
                        raise UnsupportedError(f"Recursive Avro schemas are not supported: {node}")
                    return known
            raise AnalysisError(f"Undefined name in Avro schema: {node}")
        if isinstance(node, list):
            return AvroType("union", branches=tuple(self.parse(branch, namespace) for branch in node))
        if not isinstance(node, dict) or "type" not in node:
            raise AnalysisError(f"No type in Avro schema: {json.dumps(node)}")
        kind = node["type"]
        if not isinstance(kind, str):
            return self.parse(kind, namespace)
        if kind in ("record", "error", "enum", "fixed"):
            return self.parse_named(kind, node, namespace)
        if kind == "array":
            items = self.parse(node["items"], namespace)
            inner = node["items"]
            entries = isinstance(inner, dict) and (
                inner.get("connect.internal.type") == "MapEntry"
                or (inner.get("name") == "MapEntry" and inner.get("namespace") == "io.confluent.connect.avro")
            )
            return AvroType("array", inner=items, entries=entries)
        if kind == "map":
            return AvroType("map", inner=self.parse(node["values"], namespace))
        if kind not in PRIMITIVES:
            return self.parse(kind, namespace)
        return AvroType(
            kind,
            logical=node.get("logicalType"),
            precision=int(node.get("precision", 0)),
            scale=int(node.get("scale", 0)),
        )

    def parse_named(self, kind: str, node: Mapping[str, Any], namespace: str | None) -> AvroType:
        name = str(node.get("name", ""))
        namespace = name.rpartition(".")[0] if "." in name else node.get("namespace", namespace)
        full = name if "." in name or not namespace else f"{namespace}.{name}"
        self.named[full] = None
        if kind == "enum":
            made = AvroType("enum", symbols=tuple(node["symbols"]), name=full)
        elif kind == "fixed":
            made = AvroType(
                "fixed",
                size=int(node["size"]),
                logical=node.get("logicalType"),
                precision=int(node.get("precision", 0)),
                scale=int(node.get("scale", 0)),
                name=full,
            )
        else:
            fields = tuple(
                AvroField(field["name"], self.parse(field["type"], namespace), field.get("default", MISSING))
                for field in node["fields"]
            )
            made = AvroType("record", fields=fields, name=full)
        self.named[full] = made
        return made


def parse(text: str) -> AvroType:
    """The type that an Avro schema's JSON text describes.

    Raises AnalysisError for what is no schema, UnsupportedError for recursive ones.
    """
    try:
        node = json.loads(text)
    except ValueError:
        node = text  # a bare name, as some registries give primitives
    try:
        return _Parser().parse(node, None)
    except (KeyError, TypeError, ValueError) as problem:
        raise AnalysisError(f"Malformed Avro schema: {problem!r}") from None


# ----------------------------------------------------------------------------------------------------------- Avro → SQL


def sql_type(avro: AvroType, *, upper: bool = True) -> SqlType | None:
    """The SQL type that ksqlDB infers, or None where it leaves the column out.

    ``upper``: field names of structs in upper case (not so when a schema id was given).
    """
    optional = avro.optional
    if optional is not None:
        return sql_type(optional[1], upper=upper)
    if avro.kind == "union":
        if len(avro.branches) == 1:
            return sql_type(avro.branches[0], upper=upper)
        raise UnsupportedError("Avro unions other than of null with one type are not supported")
    if avro.kind in ("bytes", "fixed"):
        if avro.logical == "decimal":
            return decimal(avro.precision or 64, avro.scale)
        return BYTES
    if avro.kind == "int":
        return {"date": DATE, "time-millis": TIME}.get(avro.logical or "", INTEGER)
    if avro.kind == "long":
        return {"timestamp-millis": TIMESTAMP}.get(avro.logical or "", BIGINT)
    if avro.kind in ("string", "enum"):
        return STRING
    if avro.kind in ("float", "double"):
        return DOUBLE
    if avro.kind == "boolean":
        return BOOLEAN
    if avro.kind == "array":
        assert avro.inner is not None  # noqa: S101 - for the type checker
        if avro.entries:
            key, value = (sql_type(field.type, upper=upper) for field in avro.inner.fields)
            return map_of(key, value) if key is not None and value is not None else None
        inner = sql_type(avro.inner, upper=upper)
        return array(inner) if inner is not None else None
    if avro.kind == "map":
        assert avro.inner is not None  # noqa: S101 - for the type checker
        inner = sql_type(avro.inner, upper=upper)
        return map_of(STRING, inner) if inner is not None else None
    if avro.kind == "record":
        return struct(*record_columns(avro, upper=upper))
    return None


def record_columns(avro: AvroType, *, upper: bool = True) -> list[tuple[str, SqlType]]:
    """Names and SQL types of a record's fields, fields without SQL type left out."""
    columns = []
    for each in avro.fields:
        inferred = sql_type(each.type, upper=upper)
        if inferred is not None:
            columns.append((each.name.upper() if upper else each.name, inferred))
    return columns


# ----------------------------------------------------------------------------------------------------------- SQL → Avro

CONNECT = "org.apache.kafka.connect.data"

_SIMPLE: dict[Base, Any] = {
    Base.BOOLEAN: "boolean",
    Base.INTEGER: "int",
    Base.BIGINT: "long",
    Base.DOUBLE: "double",
    Base.STRING: "string",
    Base.BYTES: "bytes",
}
_LOGICAL = {
    Base.DATE: ("int", "Date", "date"),
    Base.TIME: ("int", "Time", "time-millis"),
    Base.TIMESTAMP: ("long", "Timestamp", "timestamp-millis"),
}

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def check_name(name: str) -> None:
    """Raises AnalysisError when Avro does not take a field name, in the words that ksqlDB has from Avro's library."""
    if _NAME.match(name):
        return
    kind = "initial character" if not re.match(r"[A-Za-z_]", name) else "character in"
    raise AnalysisError(f"Schema is not compatible with Avro: Illegal {kind}: {name}")


def _node(sql: SqlType, name: str) -> Any:  # noqa: ANN401 - any JSON
    """The non-null schema of a type; ``name`` is the full name for a record made for it."""
    if sql.base in _SIMPLE:
        return _SIMPLE[sql.base]
    if sql.base in _LOGICAL:
        kind, connect, logical = _LOGICAL[sql.base]
        return {"type": kind, "connect.version": 1, "connect.name": f"{CONNECT}.{connect}", "logicalType": logical}
    if isinstance(sql, DecimalType):
        return {
            "type": "bytes",
            "scale": sql.scale,
            "precision": sql.precision,
            "connect.version": 1,
            "connect.parameters": {"scale": str(sql.scale), "connect.decimal.precision": str(sql.precision)},
            "connect.name": f"{CONNECT}.Decimal",
            "logicalType": "decimal",
        }
    if isinstance(sql, ArrayType):
        return {"type": "array", "items": ["null", _node(sql.element, name)]}
    if isinstance(sql, MapType):
        if sql.key.base is not Base.STRING:
            raise AnalysisError("Avro only supports MAPs with STRING keys")
        entry = _record(name, [("key", sql.key), ("value", sql.value)], {"key": "MapKey", "value": "MapValue"})
        entry["connect.internal.type"] = "MapEntry"
        return {"type": "array", "items": entry, "connect.name": name}
    assert isinstance(sql, StructType)  # noqa: S101 - for the type checker
    made = _record(name, [(field.name, field.type) for field in sql.fields])
    made["connect.name"] = name
    return made


def _record(name: str, columns: Sequence[tuple[str, SqlType]], suffixes: Mapping[str, str] = {}) -> dict[str, Any]:
    namespace, _, short = name.rpartition(".")
    fields = []
    for column, sql in columns:
        check_name(column)
        inner = _node(sql, f"{name}_{suffixes.get(column, column)}")
        fields.append({"name": column, "type": ["null", _shorten(inner, namespace)], "default": None})
    made: dict[str, Any] = {"type": "record", "name": short}
    if namespace:
        made["namespace"] = namespace
    made["fields"] = fields
    return made


def _shorten(node: Any, namespace: str) -> Any:  # noqa: ANN401 - any JSON
    """Leaves out the namespace of a record that stands inside one of the same namespace, as Avro's library prints."""
    if isinstance(node, list):
        return [_shorten(branch, namespace) for branch in node]
    if isinstance(node, dict):
        if node.get("namespace") == namespace:
            node = {key: value for key, value in node.items() if key != "namespace"}
        if "items" in node:
            node = {**node, "items": _shorten(node["items"], namespace)}
    return node


def record_schema(columns: Sequence[tuple[str, SqlType]], full_name: str | None = None) -> str:
    """JSON text of the record that ksqlDB registers for these columns."""
    name = full_name or DEFAULT_NAME
    made = _record(name, columns)
    made["connect.name"] = name
    return json.dumps(made, separators=(",", ":"), ensure_ascii=False)


def single_schema(sql: SqlType, full_name: str | None = None) -> str:
    """JSON text of the schema that ksqlDB registers for an unwrapped single column."""
    return json.dumps(["null", _node(sql, full_name or DEFAULT_NAME)], separators=(",", ":"), ensure_ascii=False)


def key_name(source: str) -> str:
    """Full name of the record for the key of a source: SALE_LINES gives …SaleLinesKey."""
    return f"{NAMESPACE}.{''.join(part.capitalize() for part in source.split('_'))}Key"
