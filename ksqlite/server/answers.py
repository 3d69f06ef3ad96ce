"""Values, rows and errors as ksqlDB's REST API writes them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

from ksqlite.errors import KsqlError, ParseError, TopicError
from ksqlite.types import ArrayType, Base, DecimalType, MapType, Namespace, Schema, SqlType, StructType
from ksqlite.values import times
from ksqlite.values.text import double_to_text

Writer = Callable[[Any], str]

BAD_REQUEST = 40000
BAD_STATEMENT = 40001
NOT_HERE = 40002
HTTP2_ONLY = 40004
UNAUTHORIZED = 40100
NOT_FOUND = 40400
SERVER_ERROR = 50000
UNAVAILABLE = 50300


# --------------------------------------------------------------------------------------------------------------- values


def quoted(text: str) -> str:
    """A JSON string."""
    return json.dumps(text, ensure_ascii=False)


def _double(value: float) -> str:
    text = double_to_text(value)
    return f'"{text}"' if text in {"NaN", "Infinity", "-Infinity"} else text


def _optional(write: Writer) -> Writer:
    return lambda value: "null" if value is None else write(value)


@cache
def writer(sql_type: SqlType, *, nested: bool = False) -> Writer:
    """A function that writes a value of that type, or None, as JSON.

    Decimals keep their digits at the top (188.20), and are written as doubles inside other values, as ksqlDB does.
    """
    return _optional(_writer(sql_type, nested=nested))


def _writer(sql_type: SqlType, *, nested: bool) -> Writer:
    if isinstance(sql_type, ArrayType):
        item = writer(sql_type.element, nested=True)
        return lambda values: "[" + ",".join(map(item, values)) + "]"
    if isinstance(sql_type, MapType):
        item = writer(sql_type.value, nested=True)
        return lambda values: "{" + ",".join(f"{quoted(str(key))}:{item(value)}" for key, value in values.items()) + "}"
    if isinstance(sql_type, StructType):
        parts = [(f"{quoted(field.name)}:", writer(field.type, nested=True)) for field in sql_type.fields]
        return lambda values: (
            "{" + ",".join(name + write(value) for (name, write), value in zip(parts, values, strict=True)) + "}"
        )
    if isinstance(sql_type, DecimalType):
        return (lambda value: _double(float(value))) if nested else (lambda value: format(value, "f"))
    return _SIMPLE[sql_type.base]


_SIMPLE: dict[Base, Writer] = {
    Base.BOOLEAN: lambda value: "true" if value else "false",
    Base.INTEGER: str,
    Base.BIGINT: str,
    Base.DOUBLE: _double,
    Base.STRING: quoted,
    Base.BYTES: lambda value: f'"{base64.b64encode(value).decode("ascii")}"',
    Base.DATE: lambda value: f'"{times.format_date(value)}"',
    Base.TIME: lambda value: f'"{times.format_time(value)}"',
    Base.TIMESTAMP: lambda value: f'"{times.format_timestamp(value)}"',
}


class RowWriter:
    """Writes the rows of one schema as JSON arrays."""

    def __init__(self, schema: Schema) -> None:
        self._writers = [writer(column.type) for column in schema.columns]

    def row(self, values: Sequence[Any]) -> str:
        """One row."""
        return "[" + ",".join([write(value) for write, value in zip(self._writers, values, strict=True)]) + "]"


def schema_text(schema: Schema) -> str:
    """A schema as the header of ``/query``'s answer shows it."""
    return ", ".join(
        f"`{column.name}` {column.type}" + " KEY" * (column.namespace is Namespace.KEY) for column in schema.columns
    )


# --------------------------------------------------------------------------------------------------------------- errors


def generic_error(message: str, code: int = BAD_REQUEST) -> dict[str, Any]:
    """An error that belongs to no statement."""
    return {"@type": "generic_error", "error_code": code, "message": message}


def statement_error(
    message: str, statement: str, code: int = BAD_STATEMENT, entities: Iterable[dict[str, Any]] = ()
) -> dict[str, Any]:
    """An error of a statement; ``entities`` are the answers to those before it."""
    return {
        "@type": "statement_error",
        "error_code": code,
        "message": message,
        "statementText": statement,
        "entities": list(entities),
    }


def error_of(error: KsqlError, text: str, entities: Iterable[dict[str, Any]] = ()) -> dict[str, Any]:
    """A refusal as the API tells it. ``text`` is what was sent, for errors that do not know their statement."""
    if isinstance(error, TopicError):
        return generic_error(error.message)
    message = str(error) if isinstance(error, ParseError) else _placed(error)
    return statement_error(message, error.statement or text, entities=entities)


def _placed(error: KsqlError) -> str:
    """The message with the place that it lacks, as ksqlDB's analyser writes places."""
    message = error.message
    if error.line is None or error.column is None or message.lower().startswith(("line ", "line:")):
        return message
    return f"Line: {error.line}, Col: {error.column + 1}: {message}"
