"""The WITH (…) clause: which properties there are, and what their values mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ksqlite import ast
from ksqlite.errors import AnalysisError, ParseError
from ksqlite.formats import FormatSpec, format_info

_COMMON = {
    "KAFKA_TOPIC",
    "KEY_FORMAT",
    "VALUE_FORMAT",
    "FORMAT",
    "PARTITIONS",
    "REPLICAS",
    "RETENTION_MS",
    "CLEANUP_POLICY",
    "TIMESTAMP",
    "TIMESTAMP_FORMAT",
    "WRAP_SINGLE_VALUE",
    "KEY_DELIMITER",
    "VALUE_DELIMITER",
    "KEY_SCHEMA_ID",
    "VALUE_SCHEMA_ID",
    "KEY_SCHEMA_FULL_NAME",
    "VALUE_SCHEMA_FULL_NAME",
    "VALUE_AVRO_SCHEMA_FULL_NAME",
    "KEY_PROTOBUF_NULLABLE_REPRESENTATION",
    "VALUE_PROTOBUF_NULLABLE_REPRESENTATION",
}
CREATE = _COMMON | {"WINDOW_TYPE", "WINDOW_SIZE", "SOURCED_BY_CONNECTOR"}
CREATE_AS = _COMMON
INSERT = {"QUERY_ID"}

# Settings of a server or session that stand in where a statement says nothing.
DEFAULT_KEY_FORMAT = "ksql.persistence.default.format.key"
DEFAULT_VALUE_FORMAT = "ksql.persistence.default.format.value"
WRAP_SINGLE_VALUES = "ksql.persistence.wrap.single.values"

_DURATION = re.compile(r"\s*(\d+)\s+([A-Za-z]+)\s*")
_UNIT_MS = {"MILLISECOND": 1, "SECOND": 1000, "MINUTE": 60_000, "HOUR": 3_600_000, "DAY": 86_400_000}


@dataclass(frozen=True, slots=True, kw_only=True)
class WithClause:
    """The properties of a CREATE or CREATE … AS statement, checked one by one; None where nothing was said.

    Formats are upper-case names that need not exist; ``key_spec`` and ``value_spec`` put the format's properties
    together, and check them.
    """

    topic: str | None = None
    key_format: str | None = None
    value_format: str | None = None
    partitions: int | None = None
    replicas: int | None = None
    retention_ms: int | None = None
    window_type: ast.WindowType | None = None
    window_size_ms: int | None = None
    timestamp_column: str | None = None
    timestamp_format: str | None = None
    wrap_single_value: bool | None = None
    key_delimiter: str | None = None
    value_delimiter: str | None = None
    key_schema_id: int | None = None
    value_schema_id: int | None = None
    key_schema_full_name: str | None = None
    value_schema_full_name: str | None = None
    query_id: str | None = None
    written: Mapping[str, Any] = field(default_factory=dict)

    def key_spec(self, format_name: str) -> FormatSpec:
        """The key's format and its properties. Raises AnalysisError, UnsupportedError for unknown formats."""
        info = format_info(format_name)
        return FormatSpec(
            info.name,
            delimiter=self.key_delimiter,
            schema_full_name=self.key_schema_full_name,
            schema_id=self.key_schema_id,
        )

    def value_spec(self, format_name: str, settings: Mapping[str, Any], *, columns: int) -> FormatSpec:
        """The value's format and its properties, for so many value columns.

        ``settings`` may say whether single values are wrapped where the statement does not. Raises AnalysisError,
        UnsupportedError.
        """
        info = format_info(format_name)
        wrap = self.wrap_single_value
        default = settings.get(WRAP_SINGLE_VALUES)
        if wrap is None and default is not None and columns == 1 and info.wraps and info.unwraps:
            wrap = _boolean(WRAP_SINGLE_VALUES, default)
        return FormatSpec(
            info.name,
            wrap=wrap,
            delimiter=self.value_delimiter,
            schema_full_name=self.value_schema_full_name,
            schema_id=self.value_schema_id,
        )


def _prepare(message: str) -> ParseError:
    return ParseError(f"Failed to prepare statement: {message}")


def read_create(properties: ast.Properties, *, shown: bool = False) -> WithClause:
    """The WITH clause of CREATE STREAM and CREATE TABLE.

    ``shown``: the statement is one that ksqlDB wrote down, with a CLEANUP_POLICY that nobody may choose. Raises
    ParseError in ksqlDB's words.
    """
    given = _checked(properties, CREATE)
    if shown:
        given.pop("CLEANUP_POLICY", None)
    if given.get("KAFKA_TOPIC") is None:
        raise _prepare('Missing required property "KAFKA_TOPIC" which has no default value.')
    clause = _read(given)
    window_type = clause.window_type
    if window_type is None and clause.window_size_ms is not None:
        raise _prepare("'WINDOW_SIZE' should not be set for non-windowed sources.")
    if window_type in {ast.WindowType.TUMBLING, ast.WindowType.HOPPING} and clause.window_size_ms is None:
        raise _prepare(
            "'WINDOW_SIZE' must be set for TUMBLING and HOPPING windows, for example WINDOW_SIZE='10 SECONDS'."
        )
    if window_type is ast.WindowType.SESSION and clause.window_size_ms is not None:
        raise _prepare("'WINDOW_SIZE' should not be set for SESSION windows.")
    return clause


def read_create_as(properties: ast.Properties) -> WithClause:
    """The WITH clause of CREATE STREAM AS and CREATE TABLE AS. Raises ParseError in ksqlDB's words."""
    return _read(_checked(properties, CREATE_AS))


def read_insert(properties: ast.Properties) -> WithClause:
    """The WITH clause of INSERT INTO … SELECT. Raises ParseError in ksqlDB's words."""
    given = _checked(properties, INSERT)
    query_id = given.get("QUERY_ID")
    return WithClause(query_id=None if query_id is None else str(query_id).upper(), written=given)


def _checked(properties: ast.Properties, allowed: set[str]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for name, value in properties:
        if name in given:
            raise _prepare(f"Duplicate property in the WITH clause: {name}")
        given[name] = value
    unknown = sorted(set(given) - allowed)
    if unknown:
        raise _prepare(f"Invalid config variable(s) in the WITH clause: {','.join(unknown)}")
    return given


def _read(given: dict[str, Any]) -> WithClause:
    if "CLEANUP_POLICY" in given:
        raise AnalysisError(
            "Invalid config variable in the WITH clause: CLEANUP_POLICY\n"
            "The CLEANUP_POLICY config for a topic is set by the kind of the statement and cannot be chosen."
        )
    for side in ("KEY_FORMAT", "VALUE_FORMAT"):
        if "FORMAT" in given and side in given:
            raise AnalysisError(
                f"Cannot supply both '{side}' and 'FORMAT' properties, as 'FORMAT' sets both key and value formats. "
                "Either use just 'FORMAT', or use 'KEY_FORMAT' and 'VALUE_FORMAT'."
            )
    both = _text(given, "FORMAT")
    if "VALUE_AVRO_SCHEMA_FULL_NAME" in given and "VALUE_SCHEMA_FULL_NAME" in given:
        raise AnalysisError(
            "Cannot supply both 'VALUE_AVRO_SCHEMA_FULL_NAME' and 'VALUE_SCHEMA_FULL_NAME' properties. "
            "Please only set 'VALUE_SCHEMA_FULL_NAME'."
        )
    timestamp = _text(given, "TIMESTAMP")
    value_name = _text(given, "VALUE_SCHEMA_FULL_NAME")
    return WithClause(
        topic=_text(given, "KAFKA_TOPIC"),
        key_format=_upper(_text(given, "KEY_FORMAT") or both),
        value_format=_upper(_text(given, "VALUE_FORMAT") or both),
        partitions=_positive(given, "PARTITIONS"),
        replicas=_positive(given, "REPLICAS"),
        retention_ms=_whole(given, "RETENTION_MS"),
        window_type=_window_type(given),
        window_size_ms=_window_size(given),
        timestamp_column=None if timestamp is None else _identifier(timestamp),
        timestamp_format=_timestamp_format(given),
        wrap_single_value=None
        if given.get("WRAP_SINGLE_VALUE") is None
        else _boolean("WRAP_SINGLE_VALUE", given["WRAP_SINGLE_VALUE"]),
        key_delimiter=_delimiter(given, "KEY_DELIMITER"),
        value_delimiter=_delimiter(given, "VALUE_DELIMITER"),
        key_schema_id=_whole(given, "KEY_SCHEMA_ID"),
        value_schema_id=_whole(given, "VALUE_SCHEMA_ID"),
        key_schema_full_name=_text(given, "KEY_SCHEMA_FULL_NAME"),
        value_schema_full_name=_text(given, "VALUE_AVRO_SCHEMA_FULL_NAME") if value_name is None else value_name,
        written=dict(given),
    )


def _upper(value: str | None) -> str | None:
    return None if value is None else value.strip().upper()


def _text(given: Mapping[str, Any], name: str) -> str | None:
    value = given.get(name)
    if value is None or isinstance(value, str):
        return value
    raise _prepare(f"Invalid value {value} for configuration {name}: Expected value to be a string.")


def _whole(given: Mapping[str, Any], name: str) -> int | None:
    value = given.get(name)
    if value is None:
        return None
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            pass
    elif isinstance(value, int) and not isinstance(value, bool):
        return value
    raise _prepare(f"Invalid value {value} for configuration {name}: Not a number of type INT")


def _positive(given: Mapping[str, Any], name: str) -> int | None:
    value = _whole(given, name)
    if value is not None and value < 1 and not (name == "REPLICAS" and value == -1):
        raise _prepare(f"Invalid value {value} for configuration {name}: Value must be at least 1")
    return value


def _boolean(name: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in {"true", "false"}:
        return value.strip().lower() == "true"
    raise _prepare(f"Invalid value {value} for configuration {name}: Expected value to be either true or false")


def _window_type(given: Mapping[str, Any]) -> ast.WindowType | None:
    value = _text(given, "WINDOW_TYPE")
    if value is None:
        return None
    try:
        return ast.WindowType(value.strip().upper())
    except ValueError:
        raise _prepare(
            f"Invalid value {value} for configuration WINDOW_TYPE: "
            "String must be one of: SESSION, HOPPING, TUMBLING, null"
        ) from None


def _window_size(given: Mapping[str, Any]) -> int | None:
    value = _text(given, "WINDOW_SIZE")
    if value is None:
        return None
    found = _DURATION.fullmatch(value)
    unit = found[2].upper().removesuffix("S") if found else ""
    if found is None or unit not in _UNIT_MS:
        raise _prepare(
            f"Configuration WINDOW_SIZE is invalid: Invalid duration: '{value}'. "
            "Format must be 'n unit', for example '10 SECONDS'."
        )
    return int(found[1]) * _UNIT_MS[unit]


def _identifier(text: str) -> str:
    """A column's name as a property gives it: upper case unless it is quoted."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in '`"':
        return text[1:-1]
    return text.upper()


def _timestamp_format(given: Mapping[str, Any]) -> str | None:
    value = _text(given, "TIMESTAMP_FORMAT")
    if value is not None and not value.strip():
        raise _prepare("Invalid datetime format for config:TIMESTAMP_FORMAT, reason: the format is empty")
    return value


def _delimiter(given: Mapping[str, Any], name: str) -> str | None:
    value = _text(given, name)
    if value is not None and len(value) != 1 and value.upper() not in {"TAB", "SPACE"}:
        raise _prepare(
            f"Configuration {name} is invalid: Invalid delimiter value: '{value}'. "
            "Delimiter must be a single character or TAB,SPACE\nExample valid value: ';'"
        )
    return value


def rewritten(properties: ast.Properties, **more: str | int | None) -> ast.Properties:
    """The properties with others put in where they are not given yet, sorted by name, as ksqlDB shows them."""
    given = dict(properties)
    for name, value in more.items():
        if value is not None:
            given.setdefault(name, value)
    return tuple(sorted(given.items()))
