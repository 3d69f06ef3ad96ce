"""Writes the abstract syntax as ksql text.

It reads as ksqlDB writes it in the answers of its REST API, and parses back to the same tree.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from functools import singledispatch

from ksqlite import ast
from ksqlite.lexer import RESERVED
from ksqlite.types import ArrayType, DecimalType, MapType, SqlType, StructType

_PLAIN = re.compile(r"[A-Z_][A-Z0-9_@]*")
# Words that the grammar takes for its own somewhere an identifier may stand; quoted, they are always identifiers.
_AMBIGUOUS = frozenset(
    """
    ALL ALTER ARRAY ASSERT CONNECTOR DEFINE EMIT EXPLAIN FUNCTION IF MAP PARTITION PAUSE RESUME SET SHOW STREAMS
    STRUCT TABLES UNDEFINE UNSET YEAR YEARS MONTH MONTHS WEEK WEEKS DAY DAYS HOUR HOURS MINUTE MINUTES SECOND
    SECONDS MILLISECOND MILLISECONDS
    """.split()  # noqa: SIM905 - a word a line is no better
)


def format_identifier(name: str) -> str:
    """An identifier, in backticks where it would not be read as itself without them."""
    if _PLAIN.fullmatch(name) and name not in RESERVED:
        return name
    return "`" + name.replace("`", "``") + "`"


def _safe(name: str) -> str:
    """As `format_identifier`, for places where words of the grammar may stand as well."""
    return f"`{name}`" if name in _AMBIGUOUS else format_identifier(name)


def format_string(value: str) -> str:
    """A string literal."""
    return "'" + value.replace("'", "''") + "'"


def format_type(sql_type: SqlType | ast.TypeName) -> str:
    """A type in ksqlDB's spelling; names of fields are in backticks only where they must be."""
    if isinstance(sql_type, ast.TypeName):
        return format_identifier(sql_type.name)
    if isinstance(sql_type, ArrayType):
        return f"ARRAY<{format_type(sql_type.element)}>"
    if isinstance(sql_type, MapType):
        return f"MAP<{format_type(sql_type.key)}, {format_type(sql_type.value)}>"
    if isinstance(sql_type, StructType):
        fields = (f"{_safe(field.name)} {format_type(field.type)}" for field in sql_type.fields)
        return f"STRUCT<{', '.join(fields)}>"
    if isinstance(sql_type, DecimalType):
        return f"DECIMAL({sql_type.precision}, {sql_type.scale})"
    return sql_type.base.value


# ---------------------------------------------------------------------------------------------------------- expressions


def format_expression(expression: ast.Expression) -> str:
    """An expression, with a pair of parentheses around every operation."""
    return _expression(expression)


@singledispatch
def _expression(node: ast.Expression) -> str:
    raise TypeError(f"cannot print {type(node).__name__}")


@_expression.register
def _(_node: ast.NullLiteral) -> str:
    return "null"


@_expression.register
def _(node: ast.BooleanLiteral) -> str:
    return "true" if node.value else "false"


@_expression.register
def _(node: ast.IntegerLiteral) -> str:
    return str(node.value)


@_expression.register
def _(node: ast.DecimalLiteral) -> str:
    return format_decimal(node.value)


def format_decimal(value: Decimal) -> str:
    """A decimal literal, with a point even where there are no digits behind it."""
    text = format(value, "f")
    return text if "." in text else text + "."


@_expression.register
def _(node: ast.DoubleLiteral) -> str:
    return format_double(node.value)


def format_double(value: float) -> str:
    """A double literal in Java's scientific form, such as 1E3 or 1.5E-7."""
    if value == 0:
        return "0E0"
    mantissa, _, exponent = format(Decimal(repr(value)), "E").partition("E")
    whole, _, fraction = mantissa.partition(".")
    fraction = fraction.rstrip("0")
    return f"{whole}{'.' if fraction else ''}{fraction}E{int(exponent or 0)}"


@_expression.register
def _(node: ast.StringLiteral) -> str:
    return format_string(node.value)


@_expression.register
def _(node: ast.ColumnRef) -> str:
    if node.source is None:
        return _safe(node.name)
    return f"{_safe(node.source)}.{format_identifier(node.name)}"


@_expression.register
def _(node: ast.FieldAccess) -> str:
    return f"{_base(node.base)}->{format_identifier(node.name)}"


def _base(node: ast.Expression) -> str:
    """What stands before -> or [: a signed operand needs parentheses there."""
    text = _expression(node)
    return f"({text})" if isinstance(node, ast.Sign) else text


@_expression.register
def _(node: ast.AllFields) -> str:
    return f"{_base(node.base)}->*"


@_expression.register
def _(node: ast.Subscript) -> str:
    return f"{_base(node.base)}[{_expression(node.index)}]"


@_expression.register
def _(node: ast.Lambda) -> str:
    return f"({', '.join(map(_safe, node.parameters))}) => {_expression(node.body)}"


@_expression.register
def _(node: ast.IntervalUnit) -> str:
    return node.unit


@_expression.register
def _(node: ast.FunctionCall) -> str:
    if not node.arguments and node.name == "COUNT":
        return "COUNT(*)"
    return f"{format_identifier(node.name)}({_listed(node.arguments)})"


def _listed(expressions: Iterable[ast.Expression]) -> str:
    return ", ".join(map(_expression, expressions))


@_expression.register(ast.Arithmetic)
@_expression.register(ast.Comparison)
@_expression.register(ast.Logical)
def _(node: ast.Arithmetic | ast.Comparison | ast.Logical) -> str:
    return f"({_expression(node.left)} {node.operator.value} {_expression(node.right)})"


@_expression.register
def _(node: ast.Sign) -> str:
    operand = _expression(node.operand)
    # --1 would begin a comment
    separator = " " if isinstance(node.operand, ast.Sign) else ""
    return f"{'-' if node.negative else '+'}{separator}{operand}"


@_expression.register
def _(node: ast.Not) -> str:
    return f"(NOT {_expression(node.operand)})"


@_expression.register
def _(node: ast.IsNull) -> str:
    return f"({_expression(node.operand)} IS {'NOT ' if node.negated else ''}NULL)"


def _negation(*, negated: bool) -> str:
    return "NOT " if negated else ""


@_expression.register
def _(node: ast.Between) -> str:
    bounds = f"{_expression(node.low)} AND {_expression(node.high)}"
    return f"({_expression(node.operand)} {_negation(negated=node.negated)}BETWEEN {bounds})"


@_expression.register
def _(node: ast.In) -> str:
    return f"({_expression(node.operand)} {_negation(negated=node.negated)}IN ({_listed(node.options)}))"


@_expression.register
def _(node: ast.Like) -> str:
    escape = "" if node.escape is None else f" ESCAPE {format_string(node.escape)}"
    pattern = _expression(node.pattern)
    return f"({_expression(node.operand)} {_negation(negated=node.negated)}LIKE {pattern}{escape})"


@_expression.register
def _(node: ast.Case) -> str:
    parts = ["(CASE"]
    if node.operand is not None:
        parts.append(_expression(node.operand))
    parts += [f"WHEN {_expression(when.condition)} THEN {_expression(when.result)}" for when in node.whens]
    if node.default is not None:
        parts.append(f"ELSE {_expression(node.default)}")
    return " ".join(parts) + " END)"


@_expression.register
def _(node: ast.Cast) -> str:
    return f"CAST({_expression(node.operand)} AS {format_type(node.type)})"


@_expression.register
def _(node: ast.ArrayConstructor) -> str:
    return f"ARRAY[{_listed(node.elements)}]"


@_expression.register
def _(node: ast.MapConstructor) -> str:
    return f"MAP({', '.join(f'{_expression(key)}:={_expression(value)}' for key, value in node.entries)})"


@_expression.register
def _(node: ast.StructConstructor) -> str:
    return f"STRUCT({', '.join(f'{_safe(name)}:={_expression(value)}' for name, value in node.fields)})"


# -------------------------------------------------------------------------------------------------------------- queries


def format_query(query: ast.Query) -> str:
    """A query over several lines, as ksqlDB lays it out."""
    items = [_select_item(item) for item in query.select]
    lines = [f"SELECT {items[0]}"] if len(items) == 1 else ["SELECT\n  " + ",\n  ".join(items)]
    lines.append(f"FROM {_source(query.source)}" + "".join(f"\n{_join(join)}" for join in query.joins))
    if query.window is not None:
        lines.append(f"WINDOW {format_window(query.window)} ")
    if query.where is not None:
        lines.append(f"WHERE {_expression(query.where)}")
    if query.group_by:
        lines.append(f"GROUP BY {_listed(query.group_by)}")
    if query.partition_by:
        lines.append(f"PARTITION BY {_listed(query.partition_by)}")
    if query.having is not None:
        lines.append(f"HAVING {_expression(query.having)}")
    if query.emit is not None:
        lines.append(f"EMIT {query.emit.value}")
    if query.limit is not None:
        lines.append(f"LIMIT {query.limit}")
    return "\n".join(lines)


def _select_item(item: ast.SelectAll | ast.SelectItem) -> str:
    if isinstance(item, ast.SelectAll):
        return "*" if item.source is None else f"{_safe(item.source)}.*"
    text = _expression(item.expression)
    return text if item.alias is None else f"{text} {_safe(item.alias)}"


def _source(source: ast.Source) -> str:
    return f"{_safe(source.name)} {_safe(source.alias)}"


def _join(join: ast.Join) -> str:
    within = "" if join.within is None else f"WITHIN {_within(join.within)} "
    kind = {"INNER": "INNER", "LEFT": "LEFT OUTER", "RIGHT": "RIGHT OUTER", "FULL": "FULL OUTER"}[join.type.value]
    return f"{kind} JOIN {_source(join.source)} {within}ON ({_expression(join.condition)})"


def _within(within: ast.Within) -> str:
    grace = "" if within.grace is None else f" GRACE PERIOD {_duration(within.grace)}"
    if within.before == within.after:
        return _duration(within.before) + grace
    return f"({_duration(within.before)}, {_duration(within.after)}){grace}"


def _duration(duration: ast.Duration) -> str:
    return f"{duration.amount} {duration.unit}"


def format_window(window: ast.Window) -> str:
    """A window, such as ``TUMBLING ( SIZE 1 HOURS ) ``, as ksqlDB lays it out."""
    size = _duration(window.size)
    parts = [size if window.type is ast.WindowType.SESSION else f"SIZE {size}"]
    if window.advance is not None:
        parts.append(f"ADVANCE BY {_duration(window.advance)}")
    if window.retention is not None:
        parts.append(f"RETENTION {_duration(window.retention)}")
    if window.grace is not None:
        parts.append(f"GRACE PERIOD {_duration(window.grace)}")
    return f"{window.type.value} ( {' , '.join(parts)} )"


# ----------------------------------------------------------------------------------------------------------- statements


def format_statement(statement: ast.Statement) -> str:
    """A statement with its semicolon."""
    return _statement(statement) + ";"


@singledispatch
def _statement(node: ast.Statement) -> str:
    raise TypeError(f"cannot print {type(node).__name__}")


@_statement.register
def _(node: ast.QueryStatement) -> str:
    return format_query(node.query)


def _flags(*flags: tuple[bool, str]) -> str:
    return "".join(f" {word}" for given, word in flags if given)


def _kind(*, is_table: bool) -> str:
    return "TABLE" if is_table else "STREAM"


def format_property_value(value: str | float | bool | Decimal | None) -> str:  # noqa: FBT001 - it is the value
    """A property's value as a literal."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return format_string(value)
    if isinstance(value, float):
        return format_double(value)
    return format_decimal(value) if isinstance(value, Decimal) else str(value)


def _with(properties: ast.Properties) -> str:
    if not properties:
        return ""
    listed = ", ".join(f"{format_identifier(name)}={format_property_value(value)}" for name, value in properties)
    return f" WITH ({listed})"


def format_column(column: ast.ColumnDefinition) -> str:
    """A column of a CREATE statement."""
    constraint = ""
    if column.constraint is ast.Constraint.HEADER:
        constraint = f" HEADER({format_string(column.header_key or '')})"
    elif column.constraint is not None:
        constraint = f" {column.constraint.value}"
    return f"{_safe(column.name)} {format_type(column.type)}{constraint}"


def _columns(columns: tuple[ast.ColumnDefinition, ...]) -> str:
    return f" ({', '.join(map(format_column, columns))})" if columns else ""


@_statement.register
def _(node: ast.CreateSource) -> str:
    words = _flags((node.or_replace, "OR REPLACE"), (node.is_source, "SOURCE"))
    exists = _flags((node.if_not_exists, "IF NOT EXISTS"))
    name = _safe(node.name)
    columns = _columns(node.columns)
    return f"CREATE{words} {_kind(is_table=node.is_table)}{exists} {name}{columns}{_with(node.properties)}"


@_statement.register
def _(node: ast.CreateAsSelect) -> str:
    words = _flags((node.or_replace, "OR REPLACE"))
    exists = _flags((node.if_not_exists, "IF NOT EXISTS"))
    head = f"CREATE{words} {_kind(is_table=node.is_table)}{exists} {_safe(node.name)}{_with(node.properties)}"
    return f"{head} AS {format_query(node.query)}"


@_statement.register
def _(node: ast.InsertInto) -> str:
    head = f"INSERT INTO {_safe(node.target)}{_with(node.properties)}"
    return f"{head} {format_query(node.query)}"


def _names(names: tuple[str, ...]) -> str:
    return f" ({', '.join(map(_safe, names))})" if names else ""


@_statement.register
def _(node: ast.InsertValues) -> str:
    values = _listed(node.values)
    return f"INSERT INTO {_safe(node.target)}{_names(node.columns)} VALUES ({values})"  # noqa: S608 - printed, not run


@_statement.register
def _(node: ast.DropSource) -> str:
    exists = _flags((node.if_exists, "IF EXISTS"))
    topic = _flags((node.delete_topic, "DELETE TOPIC"))
    return f"DROP {_kind(is_table=node.is_table)}{exists} {_safe(node.name)}{topic}"


@_statement.register
def _(node: ast.CreateType) -> str:
    exists = _flags((node.if_not_exists, "IF NOT EXISTS"))
    return f"CREATE TYPE{exists} {_safe(node.name)} AS {format_type(node.type)}"


@_statement.register
def _(node: ast.DropType) -> str:
    return f"DROP TYPE{_flags((node.if_exists, 'IF EXISTS'))} {_safe(node.name)}"


@_statement.register
def _(node: ast.AlterSource) -> str:
    added = ", ".join(f"ADD COLUMN {format_column(column)}" for column in node.columns)
    return f"ALTER {_kind(is_table=node.is_table)} {_safe(node.name)} {added}"


@_statement.register
def _(node: ast.SetProperty) -> str:
    return f"SET {format_string(node.name)}={format_string(node.value)}"


@_statement.register
def _(node: ast.UnsetProperty) -> str:
    return f"UNSET {format_string(node.name)}"


@_statement.register
def _(node: ast.AlterSystem) -> str:
    return f"ALTER SYSTEM {format_string(node.name)}={format_string(node.value)}"


@_statement.register
def _(node: ast.DefineVariable) -> str:
    return f"DEFINE {node.name} = {format_string(node.value)}"


@_statement.register
def _(node: ast.UndefineVariable) -> str:
    return f"UNDEFINE {node.name}"


@_statement.register
def _(node: ast.QueryControl) -> str:
    return f"{node.action} {'ALL' if node.query_id is None else _safe(node.query_id)}"


@_statement.register
def _(node: ast.Show) -> str:
    return f"SHOW {node.what}{_flags((node.extended, 'EXTENDED'))}"


@_statement.register
def _(node: ast.Describe) -> str:
    what = node.what if node.name is None else _safe(node.name)
    return f"DESCRIBE {what}{_flags((node.extended, 'EXTENDED'))}"


@_statement.register
def _(node: ast.DescribeFunction) -> str:
    return f"DESCRIBE FUNCTION {_safe(node.name)}"


@_statement.register
def _(node: ast.Explain) -> str:
    if node.statement is not None:
        return f"EXPLAIN {_statement(node.statement)}"
    return f"EXPLAIN {_safe(node.query_id or '')}"


@_statement.register
def _(node: ast.PrintTopic) -> str:
    interval = "" if node.interval is None else f" INTERVAL {node.interval}"
    limit = "" if node.limit is None else f" LIMIT {node.limit}"
    beginning = _flags((node.from_beginning, "FROM BEGINNING"))
    return f"PRINT {format_string(node.topic)}{beginning}{interval}{limit}"


def _timeout(duration: ast.Duration | None) -> str:
    return "" if duration is None else f" TIMEOUT {_duration(duration)}"


@_statement.register
def _(node: ast.AssertTopic) -> str:
    exists = _flags((not node.exists, "NOT EXISTS"))
    return f"ASSERT{exists} TOPIC {format_string(node.topic)}{_with(node.properties)}{_timeout(node.timeout)}"


@_statement.register
def _(node: ast.AssertSchema) -> str:
    exists = _flags((not node.exists, "NOT EXISTS"))
    subject = "" if node.subject is None else f" SUBJECT {format_string(node.subject)}"
    schema_id = "" if node.id is None else f" ID {node.id}"
    return f"ASSERT{exists} SCHEMA{subject}{schema_id}{_timeout(node.timeout)}"


@_statement.register
def _(node: ast.AssertValues) -> str:
    null = _flags((node.tombstone, "NULL"))
    word = "KEY" if node.tombstone else "VALUES"
    return f"ASSERT{null} VALUES {_safe(node.source)}{_names(node.columns)} {word} ({_listed(node.values)})"


@_statement.register
def _(node: ast.AssertSource) -> str:
    definition = node.definition
    head = f"ASSERT {_kind(is_table=definition.is_table)} {_safe(definition.name)}"
    return f"{head}{_columns(definition.columns)}{_with(definition.properties)}"
