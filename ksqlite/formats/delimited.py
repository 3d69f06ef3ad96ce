"""DELIMITED bodies: one line of comma-separated values, quoted as Apache Commons CSV does by default."""

from __future__ import annotations

import base64
import binascii
import csv
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from ksqlite.errors import AnalysisError
from ksqlite.formats.api import DeserializationError, Row
from ksqlite.formats.avro_codec import fit_decimal
from ksqlite.types import Base, DecimalType, SqlType
from ksqlite.values.text import double_to_text

Columns = Sequence[tuple[str, SqlType]]


def delimiter_of(written: str | None, *, is_key: bool = False) -> str:
    """The character that VALUE_DELIMITER or KEY_DELIMITER names. Raises AnalysisError."""
    if written is None:
        return ","
    name = "KEY_DELIMITER" if is_key else "VALUE_DELIMITER"
    if not written.strip():
        raise AnalysisError(
            "Delimiter cannot be empty, if you meant to have a tab or space for delimiter, please use the "
            f"special values 'TAB' or 'SPACE'\nExample valid value: ';' ({name})"
        )
    named = {"SPACE": " ", "TAB": "\t"}.get(written.upper())
    if named is not None:
        return named
    if len(written) != 1:
        raise AnalysisError(
            f"Invalid delimiter value: '{written}'. Delimiter must be a single character or TAB,SPACE\n"
            "Example valid value: ';'"
        )
    return written


def _quoted(text: str, delimiter: str, *, first: bool) -> str:
    """Commons CSV's minimal quoting."""
    if not text:
        return '""' if first else ""
    start = text[0]
    plain_start = "0" <= start <= "9" or "A" <= start <= "Z" or "a" <= start <= "z"
    if (
        (first and not plain_start)
        or start <= "#"
        or text[-1] <= " "
        or any(character in text for character in ("\n", "\r", '"', delimiter))
    ):
        doubled = text.replace('"', '""')
        return f'"{doubled}"'
    return text


def _text(value: Any, sql: SqlType) -> str:  # noqa: ANN401 - any value of the type
    if sql.base is Base.STRING:
        return value  # type: ignore[no-any-return]
    if sql.base is Base.BOOLEAN:
        return "true" if value else "false"
    if sql.base is Base.DOUBLE:
        return double_to_text(value)
    if sql.base is Base.DECIMAL:
        return f"{value:f}"
    if sql.base is Base.BYTES:
        return base64.b64encode(value).decode()
    return str(value)


def encoder(columns: Columns, delimiter: str) -> Callable[[Row], bytes | None]:
    """A row to bytes."""
    types = [sql for _, sql in columns]

    def encode(row: Row) -> bytes:
        parts = [
            "" if value is None else _quoted(_text(value, sql), delimiter, first=index == 0)
            for index, (value, sql) in enumerate(zip(row, types, strict=True))
        ]
        return delimiter.join(parts).encode(errors="replace")

    return encode


def _parse_boolean(text: str) -> bool:
    return text.lower() == "true"


def _parse_decimal(sql: DecimalType) -> Callable[[str], Any]:
    def parse(text: str) -> Decimal:
        return fit_decimal(Decimal(text), sql.precision, sql.scale)

    return parse


def _parse_integer(bits: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if "_" in text:
            raise ValueError(text)
        value = int(text)
        if not -(1 << (bits - 1)) <= value < 1 << (bits - 1):
            raise ValueError(text)
        return value

    return parse


def _parse_double(text: str) -> float:
    if "_" in text:
        raise ValueError(text)
    return float(text)


def _parser(sql: SqlType) -> Callable[[str], Any]:
    if isinstance(sql, DecimalType):
        return _parse_decimal(sql)
    simple: dict[Base, Callable[[str], Any]] = {
        Base.BOOLEAN: _parse_boolean,
        Base.INTEGER: _parse_integer(32),
        Base.BIGINT: _parse_integer(64),
        Base.DOUBLE: _parse_double,
        Base.STRING: str,
        Base.BYTES: lambda text: base64.b64decode(text, validate=True),
        Base.DATE: _parse_integer(32),
        Base.TIME: _parse_integer(32),
        Base.TIMESTAMP: _parse_integer(64),
    }
    return simple[sql.base]


def decoder(columns: Columns, delimiter: str) -> Callable[[bytes], Row | None]:
    """Bytes to a row."""
    parsers = [(name, _parser(sql), sql) for name, sql in columns]

    def decode(data: bytes) -> Row:
        try:
            lines = csv.reader(data.decode().splitlines() or [""], delimiter=delimiter, strict=True)
            fields = next(lines, [""]) or [""]
        except (csv.Error, UnicodeDecodeError) as problem:
            raise DeserializationError(f"Invalid DELIMITED value: {problem}") from None
        if len(fields) != len(parsers):
            raise DeserializationError(f"Unexpected field count, csvFields:{len(fields)} schemaFields:{len(parsers)}")
        made: list[Any] = []
        for (name, parse, sql), text in zip(parsers, fields, strict=True):
            if not text:
                made.append(None)
                continue
            try:
                made.append(parse(text))
            except (ValueError, InvalidOperation, binascii.Error):
                raise DeserializationError(f"Column `{name}`: '{text}' is no {sql}") from None
        return tuple(made)

    return decode
