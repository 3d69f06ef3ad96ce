"""Which formats there are, what they can hold, and ksqlDB's words for refusing the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ksqlite.errors import AnalysisError, UnsupportedError
from ksqlite.formats import avro_schema
from ksqlite.formats.api import FormatSpec
from ksqlite.formats.delimited import delimiter_of
from ksqlite.types import ArrayType, Base, Column, MapType, Namespace, SqlType, StructType


@dataclass(frozen=True, slots=True)
class FormatInfo:
    """What a format can do. ``wraps``/``unwraps``: a single value with, or without, a record around it."""

    name: str
    wraps: bool
    unwraps: bool
    inference: bool
    properties: tuple[str, ...] = ()


FORMATS = {
    info.name: info
    for info in (
        FormatInfo("AVRO", wraps=True, unwraps=True, inference=True, properties=("fullSchemaName", "schemaId")),
        FormatInfo("JSON", wraps=True, unwraps=True, inference=False),
        FormatInfo("JSON_SR", wraps=True, unwraps=True, inference=True, properties=("fullSchemaName", "schemaId")),
        FormatInfo("DELIMITED", wraps=False, unwraps=False, inference=False, properties=("delimiter",)),
        FormatInfo("KAFKA", wraps=False, unwraps=False, inference=False),
        FormatInfo("NONE", wraps=False, unwraps=False, inference=False),
    )
}
UNSUPPORTED = ("PROTOBUF", "PROTOBUF_NOSR")


def format_info(name: str) -> FormatInfo:
    """The format of a name, in any case. Raises AnalysisError when there is none, UnsupportedError for PROTOBUF."""
    upper = name.strip().upper()
    if upper in UNSUPPORTED:
        raise UnsupportedError(f"The {upper} format is not supported: use AVRO, JSON_SR or JSON instead")
    if upper not in FORMATS:
        raise AnalysisError(f"Unknown format: {upper}")
    return FORMATS[upper]


def unwrapped(spec: FormatSpec, columns: Sequence[Column], *, is_key: bool) -> bool:
    """Whether the one column's value stands by itself, without a record around it."""
    info = format_info(spec.name)
    if len(columns) != 1 or not info.unwraps:
        return False
    return is_key if spec.wrap is None else not spec.wrap


def _contains_map(sql: SqlType) -> bool:
    if isinstance(sql, MapType):
        return True
    if isinstance(sql, ArrayType):
        return _contains_map(sql.element)
    return isinstance(sql, StructType) and any(_contains_map(field.type) for field in sql.fields)


def _all_types(sql: SqlType) -> list[SqlType]:
    if isinstance(sql, ArrayType):
        return [sql, *_all_types(sql.element)]
    if isinstance(sql, MapType):
        return [sql, *_all_types(sql.key), *_all_types(sql.value)]
    if isinstance(sql, StructType):
        return [sql, *(part for field in sql.fields for part in _all_types(field.type))]
    return [sql]


def describe(columns: Sequence[Column], *, is_key: bool = False) -> str:
    """Columns as ksqlDB lists them in messages: [`K` STRING KEY]."""
    suffix = " KEY" if is_key else ""
    return "[" + ", ".join(f"`{c.name}` {c.type}{suffix}" for c in columns) + "]"


def check_keys(columns: Sequence[Column]) -> None:
    """Raises AnalysisError for key columns that contain a MAP."""
    for column in columns:
        if _contains_map(column.type):
            raise AnalysisError(
                "Map keys, including types that contain maps, are not supported as they may lead to unexpected "
                f"behavior due to inconsistent serialization. Key column name: `{column.name}`. "
                f"Column type: {column.type}. See https://github.com/confluentinc/ksql/issues/6621 for more."
            )


def check_properties(spec: FormatSpec) -> None:
    """Raises AnalysisError for format properties that the format does not have, or that are no good."""
    info = format_info(spec.name)
    given = {
        "delimiter": spec.delimiter,
        "fullSchemaName": spec.schema_full_name,
        "schemaId": spec.schema_id,
    }
    alien = [name for name, value in given.items() if value is not None and name not in info.properties]
    if alien:
        raise AnalysisError(f"{info.name} does not support the following configs: [{', '.join(alien)}]")
    if spec.schema_full_name is not None and not spec.schema_full_name.strip():
        raise AnalysisError("fullSchemaName cannot be empty. Format configuration: {fullSchemaName=}")
    delimiter_of(spec.delimiter)


def check_spec(spec: FormatSpec, columns: Sequence[Column], *, is_key: bool) -> None:
    """Raises AnalysisError, in ksqlDB's words, where the format cannot hold the columns."""
    info = format_info(spec.name)
    if is_key:
        check_keys(columns)
    check_properties(spec)
    if spec.wrap is not None and not is_key:
        if spec.wrap and not info.wraps and info.name != "NONE":
            raise AnalysisError(f"Format '{info.name}' does not support 'WRAP_SINGLE_VALUE' set to 'true'.")
        if not spec.wrap and len(columns) > 1:
            raise AnalysisError("'WRAP_SINGLE_VALUE' is only valid for single-field value schemas")
    if info.name == "NONE":
        if columns:
            got = describe(columns, is_key=is_key)
            raise AnalysisError(f"The 'NONE' format can only be used when no columns are defined. Got: {got}")
        return
    reason = _reason(info.name, columns, is_key=is_key)
    if reason is not None:
        features = "[UNWRAP_SINGLES]" if unwrapped(spec, columns, is_key=is_key) else "[]"
        raise AnalysisError(
            f"{'Key' if is_key else 'Value'} format does not support schema.\nformat: {info.name}\nschema: "
            f"Persistence{{columns={describe(columns, is_key=is_key)}, features={features}}}\nreason: {reason}"
        )


_KAFKA_TYPES = (Base.INTEGER, Base.BIGINT, Base.DOUBLE, Base.STRING, Base.BYTES)


def _reason(name: str, columns: Sequence[Column], *, is_key: bool) -> str | None:
    if name == "KAFKA":
        if len(columns) > 1:
            got = describe(columns, is_key=is_key)
            return f"The 'KAFKA' format only supports a single field. Got: {got}"
        for column in columns:
            if column.type.base not in _KAFKA_TYPES:
                return f"The 'KAFKA' format does not support type '{column.type.base.value}'"
    if name == "DELIMITED":
        for column in columns:
            if isinstance(column.type, (ArrayType, MapType, StructType)):
                kind = column.type.base.value
                return f"The 'DELIMITED' format does not support type '{kind}', column: `{column.name}`"
    if name in ("JSON", "JSON_SR", "AVRO"):
        for column in columns:
            for part in _all_types(column.type):
                if isinstance(part, MapType) and part.key.base is not Base.STRING:
                    return (
                        "Avro only supports MAPs with STRING keys"
                        if name == "AVRO"
                        else "JSON only supports MAP types with STRING keys"
                    )
    if name == "AVRO":
        try:
            for column in columns:
                avro_schema.check_name(column.name)
                for part in _all_types(column.type):
                    if isinstance(part, StructType):
                        for field in part.fields:
                            avro_schema.check_name(field.name)
        except AnalysisError as problem:
            return problem.message
    return None


def key_columns(names_and_types: Sequence[tuple[str, SqlType]], *, is_key: bool) -> tuple[Column, ...]:
    """Columns of the key's or the value's namespace."""
    namespace = Namespace.KEY if is_key else Namespace.VALUE
    return tuple(Column(name, sql, namespace) for name, sql in names_and_types)
