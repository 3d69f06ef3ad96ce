"""JSON bodies: read as leniently as ksqlDB reads them, written as it writes them."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from json.encoder import encode_basestring
from typing import Any

from ksqlite.formats.api import DeserializationError, Row, SerializationError
from ksqlite.formats.primitives import WIDE, Memory
from ksqlite.formats.source import Source
from ksqlite.types import ArrayType, Base, DecimalType, MapType, SqlType, StructType
from ksqlite.values.text import double_to_text

Columns = Sequence[tuple[str, SqlType]]
Reader = Callable[[Any], Any]
"""From a parsed JSON value that is not null to the column's value."""

_CONTROL = re.compile(r"\\u00([01][0-9a-f])")


def quote(text: str) -> str:
    """A JSON string as Jackson writes it."""
    made = encode_basestring(text)
    return _CONTROL.sub(lambda match: f"\\u00{match[1].upper()}", made) if "\\u00" in made else made


class TextMemory(Memory):
    """Strings to JSON strings, remembered."""

    __slots__ = ()

    def __missing__(self, value: str) -> str:
        made = quote(value)
        return made if len(made) > 256 else self.keep(value, made)


# -------------------------------------------------------------------------------------------------------------- reading


def _fail(value: Any, sql: SqlType) -> DeserializationError:  # noqa: ANN401 - any JSON
    shown = json.dumps(value, default=str, ensure_ascii=False)
    return DeserializationError(
        f"Can't convert type. sourceType: {_node_type(value)}, requiredType: {sql}, value: {shown}"
    )


def _node_type(value: Any) -> str:  # noqa: ANN401 - any JSON
    if isinstance(value, bool):
        return "BooleanNode"
    names = {str: "TextNode", int: "IntNode", Decimal: "DecimalNode", dict: "ObjectNode", list: "ArrayNode"}
    return names.get(type(value), type(value).__name__)


def _read_boolean(value: Any) -> bool:  # noqa: ANN401 - any JSON
    if isinstance(value, bool):
        return value
    raise DeserializationError(f"Can't convert type. sourceType: {_node_type(value)}, requiredType: BOOLEAN")


def _integer(sql: SqlType, bits: int) -> Reader:
    lowest, highest = -(1 << (bits - 1)), (1 << (bits - 1)) - 1

    def read(value: Any) -> int:  # noqa: ANN401 - any JSON
        if isinstance(value, bool):
            raise _fail(value, sql)
        if isinstance(value, str):
            if not re.fullmatch(r"[+-]?[0-9]+", value):
                raise _fail(value, sql)
            value = int(value)
            if not lowest <= value <= highest:
                raise _fail(str(value), sql)
            return value  # type: ignore[no-any-return]
        if isinstance(value, Decimal):
            value = max(lowest, min(highest, int(value)))  # as Java narrows a double
        if not isinstance(value, int):
            raise _fail(value, sql)
        if lowest <= value <= highest:
            return value
        return (value - lowest) % (1 << bits) + lowest  # as Java narrows a longer whole number

    return read


def _read_double(sql: SqlType) -> Reader:
    def read(value: Any) -> float:  # noqa: ANN401 - any JSON
        if isinstance(value, bool) or not isinstance(value, (int, Decimal, str)):
            raise _fail(value, sql)
        try:
            return float(value)
        except (ValueError, OverflowError):
            raise _fail(value, sql) from None

    return read


def _read_decimal(sql: DecimalType) -> Reader:
    unit = Decimal(1).scaleb(-sql.scale)
    whole = sql.precision - sql.scale

    def read(value: Any) -> Decimal:  # noqa: ANN401 - any JSON
        if isinstance(value, bool) or not isinstance(value, (int, Decimal, str)):
            raise _fail(value, sql)
        try:
            given = Decimal(value)
            fitted = WIDE.quantize(given, unit)
        except (InvalidOperation, ValueError):
            raise _fail(value, sql) from None
        if fitted != given:
            raise DeserializationError(f"Cannot fit decimal '{given}' into {sql}: rounding necessary")
        if fitted and fitted.adjusted() + 1 > whole:
            raise DeserializationError(
                f"Numeric field overflow: A field with precision {sql.precision} and scale "
                f"{sql.scale} must round to an absolute value less than 10^{whole}. Got {given}"
            )
        return fitted

    return read


def text_of(value: Any) -> str:  # noqa: ANN401 - any JSON
    """A JSON value read as STRING: a text as it is, anything else as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, list):
        return f"[{', '.join(map(text_of, value))}]"
    if isinstance(value, dict):
        return write_any(value)
    return str(value)


def write_any(value: Any) -> str:  # noqa: ANN401 - any JSON
    """A parsed JSON value as compact JSON text, digits of numbers kept."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{quote(key)}:{write_any(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(write_any, value)) + "]"
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, float):
        return double_to_text(value)
    if isinstance(value, bytes):
        return f'"{base64.b64encode(value).decode()}"'
    return text_of(value)


def _read_bytes(sql: SqlType) -> Reader:
    def read(value: Any) -> bytes:  # noqa: ANN401 - any JSON
        try:
            if not isinstance(value, str):
                raise _fail(value, sql)
            return base64.b64decode(value, validate=True)
        except binascii.Error:
            raise _fail(value, sql) from None

    return read


def reader(sql: SqlType) -> Reader:
    """How parsed JSON (numbers with a point as Decimal) becomes a value of the type; raises DeserializationError."""
    if isinstance(sql, DecimalType):
        return _read_decimal(sql)
    if isinstance(sql, ArrayType):
        item = reader(sql.element)

        def read_array(value: Any) -> list[Any]:  # noqa: ANN401 - any JSON
            if not isinstance(value, list):
                raise _fail(value, sql)
            return [None if part is None else item(part) for part in value]

        return read_array
    if isinstance(sql, MapType):
        inner = reader(sql.value)

        def read_map(value: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
            if not isinstance(value, dict):
                raise _fail(value, sql)
            return {key: None if part is None else inner(part) for key, part in value.items()}

        return read_map
    if isinstance(sql, StructType):
        return struct_reader([(field.name, field.type) for field in sql.fields], sql)
    simple: dict[Base, Reader] = {
        Base.BOOLEAN: _read_boolean,
        Base.INTEGER: _integer(sql, 32),
        Base.BIGINT: _integer(sql, 64),
        Base.DOUBLE: _read_double(sql),
        Base.STRING: text_of,
        Base.BYTES: _read_bytes(sql),
        Base.DATE: _integer(sql, 32),
        Base.TIME: _integer(sql, 32),
        Base.TIMESTAMP: _integer(sql, 64),
    }
    return simple[sql.base]


def struct_reader(columns: Columns, sql: SqlType | None = None) -> Reader:
    """How a JSON object becomes a tuple: a field by its exact name, otherwise by its name in upper case."""
    wanted = [(name, reader(column)) for name, column in columns]

    def read(value: Any) -> Row:  # noqa: ANN401 - any JSON
        if not isinstance(value, dict):
            raise _fail(value, sql) if sql else DeserializationError("A JSON object was expected")
        folded: dict[str, Any] | None = None
        made = []
        for name, read_field in wanted:
            found = value.get(name)
            if found is None and name not in value:
                if folded is None:
                    folded = {key.upper(): part for key, part in value.items()}
                found = folded.get(name)
            made.append(None if found is None else read_field(found))
        return tuple(made)

    return read


def parse(data: bytes) -> Any:  # noqa: ANN401 - any JSON
    """JSON with exact numbers. Raises DeserializationError."""
    try:
        return json.loads(data, parse_float=Decimal, parse_constant=_no_constant)
    except (ValueError, RecursionError) as problem:
        raise DeserializationError(f"Invalid JSON: {problem}") from None


def _no_constant(text: str) -> Any:  # noqa: ANN401 - never returns
    raise ValueError(f"Non-standard token '{text}'")


def decoder(columns: Columns, *, single: bool) -> Callable[[bytes], Row | None]:
    """Bytes to a row. ``single``: the document is the one column's value itself."""
    if single:
        read_one = reader(columns[0][1])

        def decode_single(data: bytes) -> Row | None:
            value = parse(data)
            return None if value is None else (read_one(value),)

        return decode_single
    read_all = struct_reader(columns)

    def decode(data: bytes) -> Row | None:
        value = parse(data)
        return None if value is None else read_all(value)

    return decode


# -------------------------------------------------------------------------------------------------------------- writing

_FLAGS = {None: "null", True: "true", False: "false"}
_TEXTS = TextMemory({None: "null"})


def _double(value: float) -> str:
    text = double_to_text(value)
    return text if value - value == 0 else f'"{text}"'  # Jackson quotes NaN and the infinities


def _write(source: Source, sql: SqlType, value: str) -> str:
    """The source of an expression: the JSON text of ``value`` (the source of a simple name)."""
    if sql.base is Base.STRING:
        source.env["_texts"] = _TEXTS
        return f"_texts[{value}]"
    if sql.base is Base.BOOLEAN:
        source.env["_flags"] = _FLAGS
        return f"_flags[{value}]"
    if sql.base is Base.DOUBLE:
        source.env["_number"] = _double
        return f"(_number({value}) if {value} is not None else 'null')"
    if sql.base is Base.BYTES:
        source.env["_base64"] = base64.b64encode
        return f"""('"' + _base64({value}).decode() + '"' if {value} is not None else 'null')"""
    if isinstance(sql, (ArrayType, MapType, StructType)):
        return f"{source.bind(_compound(sql), 'compound')}({value})"
    return f"(str({value}) if {value} is not None else 'null')"


def _object(source: Source, columns: Columns) -> str:
    """The source of the JSON object of columns ``c0``, ``c1`` and so on."""
    parts: list[str] = []
    for index, (name, sql) in enumerate(columns):
        parts += [repr(("," if index else "{") + quote(name) + ":"), _write(source, sql, f"c{index}")]
    parts.append(repr("}" if columns else "{}"))
    return f"_join(({', '.join(parts)},))"


def _compound(sql: SqlType) -> Callable[[Any], str]:
    source = Source()
    source.env.update(_join="".join, _comma=",".join, _texts=_TEXTS)
    source.add(0, "def write(value):", "    if value is None:", "        return 'null'")
    if isinstance(sql, ArrayType):
        source.add(1, f"return '[' + _comma([{_write(source, sql.element, 'item')} for item in value]) + ']'")
    elif isinstance(sql, MapType):
        item = _write(source, sql.value, "item")
        name = "_texts['null' if key is None else key]"
        source.add(1, f"return '{{' + _comma([{name} + ':' + {item} for key, item in value.items()]) + '}}'")
    else:
        assert isinstance(sql, StructType)  # noqa: S101 - for the type checker
        columns = [(field.name, field.type) for field in sql.fields]
        if columns:
            source.add(1, f"{''.join(f'c{i}, ' for i in range(len(columns)))} = value")
        source.add(1, f"return {_object(source, columns)}")
    return source.build("write", "json writer")


def encoder(columns: Columns, *, single: bool) -> Callable[[Row], bytes | None]:
    """A row to bytes; of a single column that is NULL to None. Raises SerializationError."""
    source = Source()
    source.env.update(_join="".join, _error=SerializationError)
    source.add(0, "def encode(row):")
    if columns:
        source.add(1, f"{''.join(f'c{i}, ' for i in range(len(columns)))} = row")
    if single:
        source.add(1, "if c0 is None:", "    return None", f"text = {_write(source, columns[0][1], 'c0')}")
    else:
        source.add(1, f"text = {_object(source, columns)}")
    source.add(1, "try:", "    return text.encode()")
    source.add(1, "except UnicodeEncodeError:", "    return text.encode(errors='replace')")
    return source.build("encode", "json encoder")
