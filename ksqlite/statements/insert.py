"""INSERT INTO … VALUES: one row, checked against the target's columns, as the record that it becomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ksqlite import ast
from ksqlite.catalog import Catalog, SourceInfo
from ksqlite.errors import AnalysisError, EvaluationError
from ksqlite.formats import DeserializationError, SchemaRegistry, SerializationError, serde, subject_of
from ksqlite.statements.create import SYSTEM_COLUMNS
from ksqlite.types import BIGINT, STRING, ArrayType, Base, DecimalType, MapType, Namespace, SqlType, StructType

_ROWTIME = "ROWTIME"


@dataclass(frozen=True, slots=True)
class NewRecord:
    """A record to write. ``timestamp`` in ms."""

    topic: str
    key: bytes | None
    value: bytes | None
    timestamp: int


class _MismatchError(Exception):
    """A value that its column cannot take."""


def insert_values(
    statement: ast.InsertValues, *, catalog: Catalog, registry: SchemaRegistry, clock_ms: Callable[[], int]
) -> NewRecord:
    """The record that the statement writes.

    Raises AnalysisError in ksqlDB's words.
    """
    source = _target(statement.target, catalog)
    _check_columns(statement, source)
    try:
        values = _values(statement, source, catalog.types)
    except (AnalysisError, EvaluationError) as error:
        raise _refused(source, error) from error
    return _record(source, values, registry, clock_ms)


def insert_row(
    target: str,
    row: Mapping[str, Any],
    *,
    catalog: Catalog,
    registry: SchemaRegistry,
    clock_ms: Callable[[], int],
) -> NewRecord:
    """The record of a row that came as JSON (``/inserts-stream``); names are upper case unless they are quoted.

    Raises AnalysisError in ksqlDB's words.
    """
    from ksqlite.formats.json_format import reader  # noqa: PLC0415 - rarely needed

    source = _target(target, catalog)
    types = {column.name: column.type for column in source.schema.columns if column.namespace is not Namespace.HEADERS}
    types[_ROWTIME] = BIGINT
    values: dict[str, Any] = {}
    for written, given in row.items():
        name = written[1:-1] if written[:1] in {"`", '"'} else written.upper()
        if name not in types:
            raise _refused(source, AnalysisError(f"Column name `{name}` does not exist."))
        try:
            values[name] = None if given is None else _from_json(given, types[name], reader)
        except (DeserializationError, EvaluationError) as error:
            raise _refused(source, error) from error
    return _record(source, values, registry, clock_ms)


def _from_json(given: Any, sql_type: SqlType, reader: Callable[[SqlType], Callable[[Any], Any]]) -> Any:  # noqa: ANN401
    """A JSON value as one of the column's type; times may be written as text."""
    if isinstance(given, str) and sql_type.base in {Base.TIMESTAMP, Base.DATE, Base.TIME}:
        return _coerce_simple(given, STRING, sql_type)
    return reader(sql_type)(given)


def _refused(source: SourceInfo, error: Exception) -> AnalysisError:
    message = error.message if isinstance(error, AnalysisError) else str(error)
    return AnalysisError(f"Failed to insert values into '{source.name}'. {message}")


def _target(name: str, catalog: Catalog) -> SourceInfo:
    source = catalog.get(name)
    if source is None:
        raise AnalysisError(f"Cannot insert values into an unknown stream/table: `{name}`")
    if source.is_read_only:
        raise AnalysisError(f"Cannot insert values into read-only {source.kind.lower()}: {source.name}")
    if source.window_type is not None:
        raise AnalysisError("Cannot insert values into windowed stream/table!")
    return source


def _record(
    source: SourceInfo, values: dict[str, Any], registry: SchemaRegistry, clock_ms: Callable[[], int]
) -> NewRecord:
    """The record of a row's values by column; ROWTIME may be among them."""
    timestamp = values.pop(_ROWTIME, None)
    key = tuple(values.get(column.name) for column in source.schema.key)
    value = tuple(values.get(column.name) for column in source.schema.value)
    if source.is_table and any(part is None for part in key):
        names = ", ".join(column.name for column in source.schema.key)
        raise _refused(source, AnalysisError(f"Value for primary key column(s) {names} is required for tables"))
    try:
        encoded = [
            serde(
                spec, columns, is_key=is_key, registry=registry, subject=subject_of(source.topic, is_key=is_key)
            ).serialize(row)
            for spec, columns, row, is_key in (
                (source.key_format, source.schema.key, key, True),
                (source.value_format, source.schema.value, value, False),
            )
        ]
    except SerializationError as error:
        raise _refused(source, error) from error
    return NewRecord(source.topic, encoded[0], encoded[1], clock_ms() if timestamp is None else timestamp)


def _check_columns(statement: ast.InsertValues, source: SourceInfo) -> None:
    for name in statement.columns:
        if name in SYSTEM_COLUMNS and name != _ROWTIME:
            raise AnalysisError(f"Inserting into column `{name}` is not allowed.")
    headers = [name for name in statement.columns if any(name == column.name for column in source.schema.headers)]
    if not statement.columns:
        headers = [column.name for column in source.schema.headers]
    if headers:
        raise AnalysisError(f"Cannot insert into HEADER columns: {', '.join(headers)}")


def _values(statement: ast.InsertValues, source: SourceInfo, types: Mapping[str, SqlType]) -> dict[str, Any]:
    """The value of each named column, by its name."""
    from ksqlite.expressions import evaluate  # noqa: PLC0415 - the compiler is slow to load

    insertable = {
        column.name: column.type for column in source.schema.columns if column.namespace is not Namespace.HEADERS
    }
    names = statement.columns or tuple(insertable)
    for name in names:
        if name not in insertable and name != _ROWTIME:
            raise AnalysisError(f"Column name `{name}` does not exist.")
    if len(names) != len(statement.values):
        if statement.columns:
            raise AnalysisError(
                f"Expected number columns and values to match: {list(names)}, got {len(statement.values)} values"
            )
        raise AnalysisError(
            f"Expected a value for each column. "
            f"Expected Columns: [{', '.join(names)}]. Got {len(statement.values)} values"
        )
    values: dict[str, Any] = {}
    for name, expression in zip(names, statement.values, strict=True):
        target = insertable.get(name, BIGINT)
        value, found = evaluate(expression, custom_types=types)
        try:
            values[name] = coerce(value, found, target)
        except _MismatchError:
            raise AnalysisError(
                f"Expected type {target} for field `{name}` but got {found}({_shown(value, found)})"
            ) from None
    return values


def _shown(value: Any, sql_type: SqlType | None) -> str:  # noqa: ANN401 - a value of any type
    from ksqlite.values.text import formatter  # noqa: PLC0415 - only a refusal needs it

    return "null" if value is None or sql_type is None else formatter(sql_type)(value)


def coerce(value: Any, found: SqlType | None, target: SqlType) -> Any:  # noqa: ANN401 - values of any type
    """A value as one of the target's type: numbers widen, texts become times, nested values part by part.

    Raises EvaluationError where a text or number does not fit, _MismatchError where the types do not.
    """
    if value is None:
        return None
    if found is None or found == target:
        return value
    if isinstance(target, ArrayType) and isinstance(found, ArrayType):
        return [coerce(item, found.element, target.element) for item in value]
    if isinstance(target, MapType) and isinstance(found, MapType):
        return {
            coerce(key, found.key, target.key): coerce(item, found.value, target.value) for key, item in value.items()
        }
    if isinstance(target, StructType) and isinstance(found, StructType):
        return _coerce_struct(value, found, target)
    return _coerce_simple(value, found, target)


def _coerce_struct(value: tuple[Any, ...], found: StructType, target: StructType) -> tuple[Any, ...]:
    if any(target.index(field.name) is None for field in found.fields):
        raise _MismatchError
    parts: list[Any] = []
    for field in target.fields:
        position = found.index(field.name)
        parts.append(None if position is None else coerce(value[position], found.fields[position].type, field.type))
    return tuple(parts)


def _coerce_simple(value: Any, found: SqlType, target: SqlType) -> Any:  # noqa: ANN401 - values of any type
    from ksqlite.values import casts, decimals  # noqa: PLC0415 - with the compiler, see above

    if not casts.can_implicitly_cast(found, target):
        raise _MismatchError
    if isinstance(target, DecimalType) and isinstance(found, DecimalType):
        if found.scale > target.scale or found.precision - found.scale > target.precision - target.scale:
            exact = decimals.fitter(target.precision, target.scale)(value)
            if exact != value:
                raise _MismatchError
            return exact
        return decimals.fitter(target.precision, target.scale)(value)
    convert = casts.caster(found, target)
    return value if convert is None else convert(value)
