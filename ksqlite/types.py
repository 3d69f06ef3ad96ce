"""SQL types, as ksqlDB has them, and how a value of each stands in Python.

=============  ==========================================================
SQL            Python value (None is NULL everywhere)
=============  ==========================================================
BOOLEAN        bool
INTEGER        int, 32 bits signed
BIGINT         int, 64 bits signed
DOUBLE         float
DECIMAL(p, s)  decimal.Decimal with exactly s digits behind the point
STRING         str
BYTES          bytes
DATE           int, days since 1970-01-01
TIME           int, milliseconds since midnight
TIMESTAMP      int, milliseconds since 1970-01-01T00:00:00Z
ARRAY<T>       list
MAP<K, V>      dict
STRUCT<...>    tuple, one value a field, in the order of the fields
=============  ==========================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Base(Enum):
    """The kinds of SQL type; the value is the name that ksqlDB's REST answers use."""

    BOOLEAN = "BOOLEAN"
    INTEGER = "INTEGER"
    BIGINT = "BIGINT"
    DOUBLE = "DOUBLE"
    DECIMAL = "DECIMAL"
    STRING = "STRING"
    BYTES = "BYTES"
    DATE = "DATE"
    TIME = "TIME"
    TIMESTAMP = "TIMESTAMP"
    ARRAY = "ARRAY"
    MAP = "MAP"
    STRUCT = "STRUCT"


@dataclass(frozen=True, slots=True)
class SqlType:
    """Any SQL type. ``str()`` gives ksqlDB's own spelling, which parses back to the same type."""

    base: Base

    def __str__(self) -> str:
        return self.base.value


@dataclass(frozen=True, slots=True)
class DecimalType(SqlType):
    """DECIMAL(precision, scale)."""

    precision: int
    scale: int

    def __str__(self) -> str:
        return f"DECIMAL({self.precision}, {self.scale})"


@dataclass(frozen=True, slots=True)
class ArrayType(SqlType):
    """ARRAY<element>."""

    element: SqlType

    def __str__(self) -> str:
        return f"ARRAY<{self.element}>"


@dataclass(frozen=True, slots=True)
class MapType(SqlType):
    """MAP<key, value>."""

    key: SqlType
    value: SqlType

    def __str__(self) -> str:
        return f"MAP<{self.key}, {self.value}>"


@dataclass(frozen=True, slots=True)
class Field:
    """A named field of a STRUCT."""

    name: str
    type: SqlType

    def __str__(self) -> str:
        return f"`{self.name}` {self.type}"


@dataclass(frozen=True, slots=True)
class StructType(SqlType):
    """STRUCT<field type, ...>."""

    fields: tuple[Field, ...]

    def __str__(self) -> str:
        return f"STRUCT<{', '.join(map(str, self.fields))}>"

    def index(self, name: str) -> int | None:
        """The position of a field, or None when there is no such field."""
        for position, field in enumerate(self.fields):
            if field.name == name:
                return position
        return None


BOOLEAN = SqlType(Base.BOOLEAN)
INTEGER = SqlType(Base.INTEGER)
BIGINT = SqlType(Base.BIGINT)
DOUBLE = SqlType(Base.DOUBLE)
STRING = SqlType(Base.STRING)
BYTES = SqlType(Base.BYTES)
DATE = SqlType(Base.DATE)
TIME = SqlType(Base.TIME)
TIMESTAMP = SqlType(Base.TIMESTAMP)

MAX_DECIMAL_PRECISION = 38


def decimal(precision: int, scale: int) -> DecimalType:
    """The type DECIMAL(precision, scale)."""
    return DecimalType(Base.DECIMAL, precision, scale)


def array(element: SqlType) -> ArrayType:
    """The type ARRAY<element>."""
    return ArrayType(Base.ARRAY, element)


def map_of(key: SqlType, value: SqlType) -> MapType:
    """The type MAP<key, value>."""
    return MapType(Base.MAP, key, value)


def struct(*fields: tuple[str, SqlType]) -> StructType:
    """The type STRUCT<name type, ...>."""
    return StructType(Base.STRUCT, tuple(Field(name, field_type) for name, field_type in fields))


class Namespace(Enum):
    """Where a column of a source is kept in a record."""

    KEY = "KEY"
    VALUE = "VALUE"
    HEADERS = "HEADERS"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a stream or table. ``header_key`` is set for HEADER('key') columns."""

    name: str
    type: SqlType
    namespace: Namespace = Namespace.VALUE
    header_key: str | None = None


@dataclass(frozen=True, slots=True)
class Schema:
    """The columns of a stream or table, keys first as declared."""

    columns: tuple[Column, ...]

    @property
    def key(self) -> tuple[Column, ...]:
        """The key columns."""
        return tuple(c for c in self.columns if c.namespace is Namespace.KEY)

    @property
    def value(self) -> tuple[Column, ...]:
        """The value columns, header columns excluded."""
        return tuple(c for c in self.columns if c.namespace is Namespace.VALUE)

    @property
    def headers(self) -> tuple[Column, ...]:
        """The columns read from record headers."""
        return tuple(c for c in self.columns if c.namespace is Namespace.HEADERS)

    def find(self, name: str) -> Column | None:
        """The column of that exact name, or None."""
        for column in self.columns:
            if column.name == name:
                return column
        return None
