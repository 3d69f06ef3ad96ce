"""The abstract syntax of ksql statements: small frozen types, no behaviour.

Identifiers are kept as ksqlDB resolves them: unquoted ones in upper case, quoted ones as written. ``at`` is the place
of the node's first token (line 1-based, column 0-based); it takes no part in equality, so that a printed and re-parsed
tree is equal to the first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from typing import NamedTuple, TypeVar, dataclass_transform

from ksqlite.types import SqlType

_T = TypeVar("_T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def _node(cls: type[_T]) -> type[_T]:
    """A frozen dataclass, checked by mypy alone: 80 of the real kind take longer to make than ksqlite may to start.

    Equality, hash and repr are `Node`'s.
    """
    return dataclass(repr=False, eq=False, slots=True)(cls)


class Place(NamedTuple):
    """Line (1-based) and column (0-based) in the parsed text."""

    line: int
    column: int


@_node
class Node:
    """Anything in the tree. Two nodes are equal when their positional fields are."""

    at: Place | None = field(default=None, kw_only=True)

    @classmethod
    def _fields(cls) -> tuple[str, ...]:
        return cls.__match_args__

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if type(self) is not type(other):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self._fields())

    def __hash__(self) -> int:
        return hash((type(self), *[getattr(self, name) for name in self._fields()]))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._fields())
        return f"{type(self).__name__}({fields})"


# ---------------------------------------------------------------------------------------------------------- expressions


@_node
class Expression(Node):
    """Anything that has a value."""


@_node
class NullLiteral(Expression):
    """NULL."""


@_node
class BooleanLiteral(Expression):
    """TRUE or FALSE."""

    value: bool


@_node
class IntegerLiteral(Expression):
    """A whole number: INTEGER when it fits into 32 bits, otherwise BIGINT; never negative, the sign is a Sign."""

    value: int


@_node
class DecimalLiteral(Expression):
    """A number with a point and no exponent, such as 10.50: DECIMAL with the digits as written."""

    value: Decimal


@_node
class DoubleLiteral(Expression):
    """A number with an exponent, such as 1E3."""

    value: float


@_node
class StringLiteral(Expression):
    """'text', quotes undoubled."""

    value: str


@_node
class ColumnRef(Expression):
    """A column or a lambda's parameter; ``source`` is the alias before the point, if any."""

    name: str
    source: str | None = None


@_node
class FieldAccess(Expression):
    """base->field."""

    base: Expression
    name: str


@_node
class AllFields(Expression):
    """base->* (select items only)."""

    base: Expression


@_node
class Subscript(Expression):
    """base[index]."""

    base: Expression
    index: Expression


@_node
class Lambda(Expression):
    """x => body, (x, y) => body."""

    parameters: tuple[str, ...]
    body: Expression


@_node
class IntervalUnit(Expression):
    """A bare time unit as a function's argument, such as DAYS in DATEADD(DAYS, 1, d); upper case, as written."""

    unit: str


@_node
class FunctionCall(Expression):
    """NAME(arguments). COUNT(*) is a call of COUNT without arguments."""

    name: str
    arguments: tuple[Expression, ...]


class ArithmeticOperator(Enum):
    """Binary arithmetic; + also concatenates strings."""

    ADD = "+"
    SUBTRACT = "-"
    MULTIPLY = "*"
    DIVIDE = "/"
    MODULUS = "%"


@_node
class Arithmetic(Expression):
    """left op right."""

    operator: ArithmeticOperator
    left: Expression
    right: Expression


@_node
class Sign(Expression):
    """-operand or +operand."""

    negative: bool
    operand: Expression


class ComparisonOperator(Enum):
    """Binary comparisons (!= is kept as <>)."""

    EQUAL = "="
    NOT_EQUAL = "<>"
    LESS = "<"
    LESS_OR_EQUAL = "<="
    GREATER = ">"
    GREATER_OR_EQUAL = ">="
    IS_DISTINCT_FROM = "IS DISTINCT FROM"
    IS_NOT_DISTINCT_FROM = "IS NOT DISTINCT FROM"


@_node
class Comparison(Expression):
    """left op right."""

    operator: ComparisonOperator
    left: Expression
    right: Expression


class LogicalOperator(Enum):
    """AND, OR."""

    AND = "AND"
    OR = "OR"


@_node
class Logical(Expression):
    """left AND|OR right."""

    operator: LogicalOperator
    left: Expression
    right: Expression


@_node
class Not(Expression):
    """NOT operand."""

    operand: Expression


@_node
class IsNull(Expression):
    """operand IS NULL, or IS NOT NULL when negated."""

    operand: Expression
    negated: bool = False


@_node
class Between(Expression):
    """operand [NOT] BETWEEN low AND high."""

    operand: Expression
    low: Expression
    high: Expression
    negated: bool = False


@_node
class In(Expression):
    """operand [NOT] IN (options)."""

    operand: Expression
    options: tuple[Expression, ...]
    negated: bool = False


@_node
class Like(Expression):
    """operand [NOT] LIKE pattern [ESCAPE 'c']."""

    operand: Expression
    pattern: Expression
    escape: str | None = None
    negated: bool = False


@_node
class When(Node):
    """WHEN condition THEN result."""

    condition: Expression
    result: Expression


@_node
class Case(Expression):
    """CASE [operand] WHEN … THEN … [ELSE default] END."""

    operand: Expression | None
    whens: tuple[When, ...]
    default: Expression | None


@_node
class TypeName(Node):
    """The name of a CREATE TYPE type, resolved by the analyser; every other type is a SqlType at once."""

    name: str


@_node
class Cast(Expression):
    """CAST(operand AS type)."""

    operand: Expression
    type: SqlType | TypeName


@_node
class ArrayConstructor(Expression):
    """ARRAY[a, b]."""

    elements: tuple[Expression, ...]


@_node
class MapConstructor(Expression):
    """MAP(k := v, …)."""

    entries: tuple[tuple[Expression, Expression], ...]


@_node
class StructConstructor(Expression):
    """STRUCT(name := value, …)."""

    fields: tuple[tuple[str, Expression], ...]


# -------------------------------------------------------------------------------------------------------------- queries


@_node
class SelectAll(Node):
    """* or source.*."""

    source: str | None = None


@_node
class SelectItem(Node):
    """expression [AS alias]; expression may be AllFields."""

    expression: Expression
    alias: str | None = None


@_node
class Duration(Node):
    """A length of time as written: amount and unit (MILLISECONDS … YEARS, normalised to the plural)."""

    amount: int
    unit: str


class WindowType(Enum):
    """The three window types."""

    TUMBLING = "TUMBLING"
    HOPPING = "HOPPING"
    SESSION = "SESSION"


@_node
class Window(Node):
    """WINDOW [name] TYPE (…). ``size`` is a session's inactivity gap; ``advance`` is set for HOPPING only."""

    type: WindowType
    size: Duration
    advance: Duration | None = None
    retention: Duration | None = None
    grace: Duration | None = None


class JoinType(Enum):
    """How rows without a match are treated."""

    INNER = "INNER"
    LEFT = "LEFT"
    RIGHT = "RIGHT"
    FULL = "FULL"


@_node
class Source(Node):
    """A stream or table with its alias (the name itself when none was written)."""

    name: str
    alias: str


@_node
class Within(Node):
    """WITHIN size | (before, after) [GRACE PERIOD grace]."""

    before: Duration
    after: Duration
    grace: Duration | None = None


@_node
class Join(Node):
    """One JOIN of a query: joined left to right."""

    type: JoinType
    source: Source
    condition: Expression
    within: Within | None = None


class Refinement(Enum):
    """EMIT CHANGES, EMIT FINAL."""

    CHANGES = "CHANGES"
    FINAL = "FINAL"


@_node
class Query(Node):
    """SELECT … FROM …; ``emit`` is None when nothing was written (a pull query, or EMIT CHANGES of a CSAS/CTAS)."""

    select: tuple[SelectAll | SelectItem, ...]
    source: Source
    joins: tuple[Join, ...] = ()
    window: Window | None = None
    where: Expression | None = None
    group_by: tuple[Expression, ...] = ()
    partition_by: tuple[Expression, ...] = ()
    having: Expression | None = None
    emit: Refinement | None = None
    limit: int | None = None


# ----------------------------------------------------------------------------------------------------------- statements


@_node
class Statement(Node):
    """Anything that ends with a semicolon."""


@_node
class QueryStatement(Statement):
    """A pull or push query."""

    query: Query


class Constraint(Enum):
    """What a declared column is beside a value."""

    KEY = "KEY"
    PRIMARY_KEY = "PRIMARY KEY"
    HEADERS = "HEADERS"
    HEADER = "HEADER"


@_node
class ColumnDefinition(Node):
    """name type [KEY | PRIMARY KEY | HEADERS | HEADER('key')]."""

    name: str
    type: SqlType | TypeName
    constraint: Constraint | None = None
    header_key: str | None = None


# A property's value is a literal: text, number, boolean. Names are upper case.
Property = tuple[str, "str | int | float | bool | Decimal | None"]
Properties = tuple[Property, ...]


@_node
class CreateSource(Statement):
    """CREATE [OR REPLACE] [SOURCE] STREAM|TABLE [IF NOT EXISTS] name [(columns)] WITH (…)."""

    name: str
    is_table: bool
    columns: tuple[ColumnDefinition, ...] = ()
    properties: Properties = ()
    or_replace: bool = False
    if_not_exists: bool = False
    is_source: bool = False


@_node
class CreateAsSelect(Statement):
    """CREATE [OR REPLACE] STREAM|TABLE [IF NOT EXISTS] name [WITH (…)] AS query."""

    name: str
    is_table: bool
    query: Query
    properties: Properties = ()
    or_replace: bool = False
    if_not_exists: bool = False


@_node
class InsertInto(Statement):
    """INSERT INTO target [WITH (QUERY_ID='…')] query."""

    target: str
    query: Query
    properties: Properties = ()


@_node
class InsertValues(Statement):
    """INSERT INTO target [(columns)] VALUES (values)."""

    target: str
    columns: tuple[str, ...]
    values: tuple[Expression, ...]


@_node
class DropSource(Statement):
    """DROP STREAM|TABLE [IF EXISTS] name [DELETE TOPIC]."""

    name: str
    is_table: bool
    if_exists: bool = False
    delete_topic: bool = False


@_node
class CreateType(Statement):
    """CREATE TYPE [IF NOT EXISTS] name AS type."""

    name: str
    type: SqlType | TypeName
    if_not_exists: bool = False


@_node
class DropType(Statement):
    """DROP TYPE [IF EXISTS] name."""

    name: str
    if_exists: bool = False


@_node
class AlterSource(Statement):
    """ALTER STREAM|TABLE name ADD [COLUMN] column type, …."""

    name: str
    is_table: bool
    columns: tuple[ColumnDefinition, ...]


@_node
class SetProperty(Statement):
    """SET 'name' = 'value'."""

    name: str
    value: str


@_node
class UnsetProperty(Statement):
    """UNSET 'name'."""

    name: str


@_node
class AlterSystem(Statement):
    """ALTER SYSTEM 'name' = 'value'."""

    name: str
    value: str


@_node
class DefineVariable(Statement):
    """DEFINE name = 'value'."""

    name: str
    value: str


@_node
class UndefineVariable(Statement):
    """UNDEFINE name."""

    name: str


@_node
class QueryControl(Statement):
    """TERMINATE, PAUSE or RESUME of a query; ``query_id`` is None for ALL."""

    action: str
    query_id: str | None


@_node
class Show(Statement):
    """SHOW|LIST what [EXTENDED].

    ``what`` is one of STREAMS, TABLES, TOPICS, ALL TOPICS, QUERIES, FUNCTIONS, PROPERTIES, TYPES, VARIABLES,
    CONNECTORS, CONNECTOR PLUGINS.
    """

    what: str
    extended: bool = False


@_node
class Describe(Statement):
    """DESCRIBE name [EXTENDED]; DESCRIBE STREAMS|TABLES [EXTENDED] when ``name`` is None."""

    name: str | None
    what: str | None = None
    extended: bool = False


@_node
class DescribeFunction(Statement):
    """DESCRIBE FUNCTION name."""

    name: str


@_node
class Explain(Statement):
    """EXPLAIN query_id, or EXPLAIN statement."""

    query_id: str | None = None
    statement: Statement | None = None


@_node
class PrintTopic(Statement):
    """PRINT topic [FROM BEGINNING] [INTERVAL n] [LIMIT n]."""

    topic: str
    from_beginning: bool = False
    interval: int | None = None
    limit: int | None = None


@_node
class AssertTopic(Statement):
    """ASSERT [NOT EXISTS] TOPIC name [WITH (…)] [TIMEOUT duration]."""

    topic: str
    exists: bool = True
    properties: Properties = ()
    timeout: Duration | None = None


@_node
class AssertSchema(Statement):
    """ASSERT [NOT EXISTS] SCHEMA [SUBJECT name] [ID n] [TIMEOUT duration]."""

    subject: str | None
    id: int | None
    exists: bool = True
    timeout: Duration | None = None


@_node
class AssertValues(Statement):
    """ASSERT VALUES source (columns) VALUES (…) (test files only); NULL VALUES when ``tombstone``."""

    source: str
    columns: tuple[str, ...]
    values: tuple[Expression, ...]
    tombstone: bool = False


@_node
class AssertSource(Statement):
    """ASSERT STREAM|TABLE name (columns) WITH (…) (test files only)."""

    definition: CreateSource


@_node
class Located(Node):
    """A statement together with its own text, without the semicolon and the comments around it.

    ``custom_types`` says that names of CREATE TYPE types occur, which `ksqlite.catalog.Catalog.prepare` puts in.
    """

    statement: Statement
    text: str
    custom_types: bool = field(default=False, kw_only=True)
