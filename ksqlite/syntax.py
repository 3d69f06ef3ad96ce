# ruff: noqa: D102 - each method is named for the grammar's rule, whose children it takes
"""Makes nodes of the abstract syntax from what the parser has read: one method for each rule of the grammar."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NoReturn, cast

from ksqlite import ast
from ksqlite.errors import ParseError, UnsupportedError
from ksqlite.lexer import Text
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
    SqlType,
    array,
    decimal,
    map_of,
    struct,
)

_SIMPLE_TYPES = {
    "BOOLEAN": BOOLEAN,
    "INT": INTEGER,
    "INTEGER": INTEGER,
    "BIGINT": BIGINT,
    "DOUBLE": DOUBLE,
    "VARCHAR": STRING,
    "STRING": STRING,
    "BYTES": BYTES,
    "DATE": DATE,
    "TIME": TIME,
    "TIMESTAMP": TIMESTAMP,
}
_UNITS = {
    unit[:-1]: unit for unit in ("YEARS", "MONTHS", "WEEKS", "DAYS", "HOURS", "MINUTES", "SECONDS", "MILLISECONDS")
}
_UNITS |= {unit: unit for unit in list(_UNITS.values())}
_MAX_BIGINT = 2**63 - 1

Children = list[Any]


class Builder:
    """Builds the nodes of one text.

    Every method takes the children of its rule and the offset of its first token. ``custom_types`` tells whether a
    type was named that is not one of ksqlDB's own.
    """

    def __init__(self, text: Text) -> None:
        self._text = text
        self._place = text.place
        self.custom_types = False

    def _refuse(self, offset: int, message: str) -> NoReturn:
        place = self._place(offset)
        raise ParseError(
            f"Line: {place.line}, Col: {place.column + 1}: {message}", line=place.line, column=place.column
        )

    # ---------------------------------------------------------------------------------------------------- small parts

    def yes(self, _children: Children, _offset: int) -> bool:
        return True

    def no(self, _children: Children, _offset: int) -> bool:
        return False

    def none(self, _children: Children, _offset: int) -> None:
        return None

    def items(self, children: Children, _offset: int) -> tuple[Any, ...]:
        return tuple(child for child in children if child is not None)

    def option(self, children: Children, _offset: int) -> Any:  # noqa: ANN401 - whatever the option holds
        return children[0]

    def shown(self, children: Children, _offset: int) -> str:
        return " ".join(children)

    described = shown

    # ----------------------------------------------------------------------------------------------------- statements

    def query_statement(self, children: Children, offset: int) -> ast.Statement:
        return ast.QueryStatement(children[0], at=self._place(offset))

    def create_source(self, children: Children, offset: int) -> ast.CreateSource:
        or_replace, is_source, is_table, if_not_exists, name, columns, properties = children
        self._check_keys(columns or (), is_table=is_table)
        return ast.CreateSource(
            name,
            is_table,
            columns or (),
            properties or (),
            or_replace=bool(or_replace),
            if_not_exists=bool(if_not_exists),
            is_source=bool(is_source),
            at=self._place(offset),
        )

    def _check_keys(self, columns: Sequence[ast.ColumnDefinition], *, is_table: bool) -> None:
        wrong = ast.Constraint.KEY if is_table else ast.Constraint.PRIMARY_KEY
        for column in columns:
            if column.constraint is wrong:
                right = ("PRIMARY KEY", "tables") if is_table else ("KEY", "streams")
                assert column.at is not None  # noqa: S101 - set by `column`
                raise ParseError(
                    f"Line: {column.at.line}, Col: {column.at.column + 1}: Column `{column.name}` is a "
                    f"'{wrong.value}' column: please use '{right[0]}' for {right[1]}.",
                    line=column.at.line,
                    column=column.at.column,
                )

    def create_as_select(self, children: Children, offset: int) -> ast.CreateAsSelect:
        or_replace, is_table, if_not_exists, name, properties, query = children
        return ast.CreateAsSelect(
            name,
            is_table,
            query,
            properties or (),
            or_replace=bool(or_replace),
            if_not_exists=bool(if_not_exists),
            at=self._place(offset),
        )

    def create_connector(self, _children: Children, offset: int) -> NoReturn:
        self._unsupported_connector(offset)

    drop_connector = describe_connector = create_connector

    def _unsupported_connector(self, offset: int) -> NoReturn:
        place = self._place(offset)
        raise UnsupportedError(
            "Connector statements are not supported by ksqlite: "
            "manage connectors through Kafka Connect's own REST API (scripts/connectors).",
            line=place.line,
            column=place.column,
        )

    def create_type(self, children: Children, offset: int) -> ast.CreateType:
        if_not_exists, name, sql_type = children
        return ast.CreateType(name, sql_type, bool(if_not_exists), at=self._place(offset))

    def insert_into(self, children: Children, offset: int) -> ast.InsertInto:
        name, properties, query = children
        return ast.InsertInto(name, query, properties or (), at=self._place(offset))

    def insert_values(self, children: Children, offset: int) -> ast.InsertValues:
        name, columns, values = children
        return ast.InsertValues(name, columns or (), values, at=self._place(offset))

    def drop_source(self, children: Children, offset: int) -> ast.DropSource:
        is_table, if_exists, name, delete_topic = children
        return ast.DropSource(name, is_table, bool(if_exists), bool(delete_topic), at=self._place(offset))

    def drop_type(self, children: Children, offset: int) -> ast.DropType:
        return ast.DropType(children[1], bool(children[0]), at=self._place(offset))

    def alter_source(self, children: Children, offset: int) -> ast.AlterSource:
        is_table, name, *columns = children
        return ast.AlterSource(name, is_table, tuple(columns), at=self._place(offset))

    def added(self, children: Children, offset: int) -> ast.ColumnDefinition:
        name, sql_type = children
        return ast.ColumnDefinition(name, sql_type, at=self._place(offset))

    def alter_system(self, children: Children, offset: int) -> ast.AlterSystem:
        return ast.AlterSystem(children[0], children[1], at=self._place(offset))

    def set_property(self, children: Children, offset: int) -> ast.SetProperty:
        return ast.SetProperty(children[0], children[1], at=self._place(offset))

    def unset_property(self, children: Children, offset: int) -> ast.UnsetProperty:
        return ast.UnsetProperty(children[0], at=self._place(offset))

    def define(self, children: Children, offset: int) -> ast.DefineVariable:
        return ast.DefineVariable(children[0], children[1], at=self._place(offset))

    def undefine(self, children: Children, offset: int) -> ast.UndefineVariable:
        return ast.UndefineVariable(children[0], at=self._place(offset))

    def as_written(self, children: Children, offset: int) -> str:
        return self._text.source[offset : offset + len(children[0])]

    def _control(self, action: str, children: Children, offset: int) -> ast.QueryControl:
        return ast.QueryControl(action, children[0] or None, at=self._place(offset))

    def terminate(self, children: Children, offset: int) -> ast.QueryControl:
        return self._control("TERMINATE", children, offset)

    def pause(self, children: Children, offset: int) -> ast.QueryControl:
        return self._control("PAUSE", children, offset)

    def resume(self, children: Children, offset: int) -> ast.QueryControl:
        return self._control("RESUME", children, offset)

    def show(self, children: Children, offset: int) -> ast.Show:
        return ast.Show(children[0], bool(children[1]), at=self._place(offset))

    def describe_all(self, children: Children, offset: int) -> ast.Describe:
        return ast.Describe(None, children[0], bool(children[1]), at=self._place(offset))

    def describe(self, children: Children, offset: int) -> ast.Describe:
        return ast.Describe(children[0], None, bool(children[1]), at=self._place(offset))

    def describe_function(self, children: Children, offset: int) -> ast.DescribeFunction:
        return ast.DescribeFunction(children[0], at=self._place(offset))

    def explain_query(self, children: Children, offset: int) -> ast.Explain:
        return ast.Explain(children[0], at=self._place(offset))

    def explain_statement(self, children: Children, offset: int) -> ast.Explain:
        return ast.Explain(statement=children[0], at=self._place(offset))

    def print_topic(self, children: Children, offset: int) -> ast.PrintTopic:
        topic, from_beginning, interval, limit = children
        return ast.PrintTopic(
            topic,
            bool(from_beginning),
            None if interval is None else int(interval),
            None if limit is None else int(limit),
            at=self._place(offset),
        )

    def assert_topic(self, children: Children, offset: int) -> ast.AssertTopic:
        not_exists, topic, properties, timeout = children
        return ast.AssertTopic(topic, not not_exists, properties or (), timeout, at=self._place(offset))

    def assert_schema(self, children: Children, offset: int) -> ast.AssertSchema:
        not_exists, subject, schema_id, timeout = children
        return ast.AssertSchema(
            subject, None if schema_id is None else int(schema_id), not not_exists, timeout, at=self._place(offset)
        )

    def assert_values(self, children: Children, offset: int) -> ast.AssertValues:
        source, columns, values = children
        return ast.AssertValues(source, columns or (), values, at=self._place(offset))

    def assert_null_values(self, children: Children, offset: int) -> ast.AssertValues:
        source, columns, values = children
        return ast.AssertValues(source, columns or (), values, tombstone=True, at=self._place(offset))

    def assert_source(self, children: Children, offset: int) -> ast.AssertSource:
        is_table, name, columns, properties = children
        definition = ast.CreateSource(name, is_table, columns or (), properties or (), at=self._place(offset))
        return ast.AssertSource(definition, at=self._place(offset))

    def column(self, children: Children, offset: int) -> ast.ColumnDefinition:
        name, sql_type, constraint = children
        kind, header_key = constraint or (None, None)
        return ast.ColumnDefinition(name, sql_type, kind, header_key, at=self._place(offset))

    def key(self, _children: Children, _offset: int) -> tuple[ast.Constraint, str | None]:
        return ast.Constraint.KEY, None

    def primary_key(self, _children: Children, _offset: int) -> tuple[ast.Constraint, str | None]:
        return ast.Constraint.PRIMARY_KEY, None

    def headers(self, _children: Children, _offset: int) -> tuple[ast.Constraint, str | None]:
        return ast.Constraint.HEADERS, None

    def header(self, children: Children, _offset: int) -> tuple[ast.Constraint, str | None]:
        return ast.Constraint.HEADER, children[0]

    def property(self, children: Children, offset: int) -> ast.Property:
        name, value = children
        return name.upper(), self._property_value(value, offset)

    def _property_value(self, value: object, offset: int) -> str | int | float | bool | Decimal | None:
        if not isinstance(value, str):
            return cast("bool | int | float | Decimal | None", value)
        # a number is text here, as is a string: the character where it begins tells them apart
        source = self._text.source
        start = source.find("=", offset) + 1
        while source[start].isspace():
            start += 1
        return value if source[start] == "'" else self._plain_number(value)

    def _plain_number(self, text: str) -> int | float | Decimal:
        if text.isdigit():
            return int(text)
        return float(text) if "e" in text.lower() else Decimal(text)

    def negative(self, children: Children, _offset: int) -> int | float | Decimal:
        return -self._plain_number(children[0])

    # ---------------------------------------------------------------------------------------------------------- types

    def simple_type(self, children: Children, offset: int) -> SqlType | ast.TypeName:
        name, arguments = children
        if name in _SIMPLE_TYPES and (arguments is None or name in {"VARCHAR", "STRING"}):
            return _SIMPLE_TYPES[name]
        if name in {"DECIMAL", "DEC"}:
            return self._decimal_type(arguments, offset)
        if arguments is not None:
            if name in _SIMPLE_TYPES:
                return _SIMPLE_TYPES[name]
            self._refuse(offset, f"Cannot resolve unknown type: {name}({', '.join(arguments)})")
        self.custom_types = True
        return ast.TypeName(name, at=self._place(offset))

    def _decimal_type(self, arguments: tuple[str, ...] | None, offset: int) -> SqlType:
        if arguments is None or len(arguments) != 2 or not all(argument.isdigit() for argument in arguments):
            self._refuse(offset, "Cannot create DECIMAL without a precision and a scale: DECIMAL(precision, scale)")
        precision, scale = map(int, arguments)
        if precision < 1:
            self._refuse(offset, f"DECIMAL precision must be >= 1: DECIMAL({precision},{scale})")
        if scale > precision:
            self._refuse(offset, f"DECIMAL precision must be >= scale: DECIMAL({precision},{scale})")
        return decimal(precision, scale)

    def type_argument(self, children: Children, _offset: int) -> str:
        return cast("str", children[0])

    def array_type(self, children: Children, _offset: int) -> SqlType:
        return array(children[0])

    postfix_array_type = array_type

    def map_type(self, children: Children, _offset: int) -> SqlType:
        return map_of(children[0], children[1])

    def struct_type(self, children: Children, offset: int) -> SqlType:
        fields = [child for child in children if child is not None]
        if len({name for name, _ in fields}) < len(fields):
            self._refuse(offset, "Duplicate field names found in STRUCT: " + ", ".join(name for name, _ in fields))
        return struct(*fields)

    def field(self, children: Children, _offset: int) -> tuple[str, SqlType]:
        return children[0], children[1]

    # -------------------------------------------------------------------------------------------------------- queries

    def query(self, children: Children, offset: int) -> ast.Query:
        select, source, joins, window, where, group_by, partition_by, having, emit, limit = children
        return ast.Query(
            select,
            source,
            joins,
            window,
            where,
            group_by or (),
            partition_by or (),
            having,
            emit,
            None if limit is None else int(limit),
            at=self._place(offset),
        )

    def select_all(self, _children: Children, offset: int) -> ast.SelectAll:
        return ast.SelectAll(at=self._place(offset))

    def select_all_of(self, children: Children, offset: int) -> ast.SelectAll:
        return ast.SelectAll(children[0], at=self._place(offset))

    def select_all_fields(self, children: Children, offset: int) -> ast.SelectItem:
        at = self._place(offset)
        return ast.SelectItem(ast.AllFields(children[0], at=at), at=at)

    def select_expression(self, children: Children, offset: int) -> ast.SelectItem:
        return ast.SelectItem(children[0], children[1] if len(children) > 1 else None, at=self._place(offset))

    def source(self, children: Children, offset: int) -> ast.Source:
        name, alias = children
        return ast.Source(name, alias or name, at=self._place(offset))

    def joins(self, children: Children, _offset: int) -> tuple[ast.Join, ...]:
        return tuple(children)

    def join(self, children: Children, offset: int) -> ast.Join:
        join_type, source, within, condition = children
        return ast.Join(join_type or ast.JoinType.INNER, source, condition, within, at=self._place(offset))

    def inner(self, _children: Children, _offset: int) -> ast.JoinType:
        return ast.JoinType.INNER

    def left(self, _children: Children, _offset: int) -> ast.JoinType:
        return ast.JoinType.LEFT

    def right(self, _children: Children, _offset: int) -> ast.JoinType:
        return ast.JoinType.RIGHT

    def full(self, _children: Children, _offset: int) -> ast.JoinType:
        return ast.JoinType.FULL

    def within(self, children: Children, offset: int) -> ast.Within:
        size, grace = children
        return ast.Within(size, size, grace, at=self._place(offset))

    def within_both(self, children: Children, offset: int) -> ast.Within:
        before, after, grace = children
        return ast.Within(before, after, grace, at=self._place(offset))

    def window(self, children: Children, _offset: int) -> ast.Window | None:
        return cast("ast.Window | None", children[1])

    def tumbling(self, children: Children, offset: int) -> ast.Window:
        size, retention, grace = children
        return ast.Window(ast.WindowType.TUMBLING, size, None, retention, grace, at=self._place(offset))

    def hopping(self, children: Children, offset: int) -> ast.Window:
        size, advance, retention, grace = children
        return ast.Window(ast.WindowType.HOPPING, size, advance, retention, grace, at=self._place(offset))

    def session(self, children: Children, offset: int) -> ast.Window:
        gap, retention, grace = children
        return ast.Window(ast.WindowType.SESSION, gap, None, retention, grace, at=self._place(offset))

    def duration(self, children: Children, offset: int) -> ast.Duration:
        amount, unit = children
        if unit not in _UNITS:
            self._refuse(offset, f"Invalid time unit: {unit}. Expecting one of {', '.join(sorted(_UNITS))}")
        return ast.Duration(int(amount), _UNITS[unit], at=self._place(offset))

    def no_emit(self, _children: Children, _offset: int) -> None:
        return None

    def emit_changes(self, _children: Children, _offset: int) -> ast.Refinement:
        return ast.Refinement.CHANGES

    def emit_final(self, _children: Children, _offset: int) -> ast.Refinement:
        return ast.Refinement.FINAL

    # ---------------------------------------------------------------------------------------------------- expressions

    def or_(self, children: Children, offset: int) -> ast.Logical:
        return ast.Logical(ast.LogicalOperator.OR, children[0], children[1], at=self._place(offset))

    def and_(self, children: Children, offset: int) -> ast.Logical:
        return ast.Logical(ast.LogicalOperator.AND, children[0], children[1], at=self._place(offset))

    def not_(self, children: Children, offset: int) -> ast.Not:
        return ast.Not(children[0], at=self._place(offset))

    def compare(self, children: Children, offset: int) -> ast.Comparison:
        left, comparison, right = children
        return ast.Comparison(comparison, left, right, at=self._place(offset))

    def comparison(self, children: Children, _offset: int) -> ast.ComparisonOperator:
        written = children[0]
        return ast.ComparisonOperator("<>" if written == "!=" else written)

    def between(self, children: Children, offset: int) -> ast.Between:
        operand, negated, low, high = children
        return ast.Between(operand, low, high, bool(negated), at=self._place(offset))

    def in_(self, children: Children, offset: int) -> ast.In:
        operand, negated, *options = children
        return ast.In(operand, tuple(options), bool(negated), at=self._place(offset))

    def like(self, children: Children, offset: int) -> ast.Like:
        operand, negated, pattern, escape = children
        return ast.Like(operand, pattern, escape, bool(negated), at=self._place(offset))

    def is_null(self, children: Children, offset: int) -> ast.IsNull:
        return ast.IsNull(children[0], bool(children[1]), at=self._place(offset))

    def is_distinct(self, children: Children, offset: int) -> ast.Comparison:
        left, negated, right = children
        how = ast.ComparisonOperator.IS_NOT_DISTINCT_FROM if negated else ast.ComparisonOperator.IS_DISTINCT_FROM
        return ast.Comparison(how, left, right, at=self._place(offset))

    def _arithmetic(self, how: ast.ArithmeticOperator, children: Children, offset: int) -> ast.Arithmetic:
        return ast.Arithmetic(how, children[0], children[1], at=self._place(offset))

    def add(self, children: Children, offset: int) -> ast.Arithmetic:
        return self._arithmetic(ast.ArithmeticOperator.ADD, children, offset)

    def subtract(self, children: Children, offset: int) -> ast.Arithmetic:
        return self._arithmetic(ast.ArithmeticOperator.SUBTRACT, children, offset)

    def multiply(self, children: Children, offset: int) -> ast.Arithmetic:
        return self._arithmetic(ast.ArithmeticOperator.MULTIPLY, children, offset)

    def divide(self, children: Children, offset: int) -> ast.Arithmetic:
        return self._arithmetic(ast.ArithmeticOperator.DIVIDE, children, offset)

    def modulus(self, children: Children, offset: int) -> ast.Arithmetic:
        return self._arithmetic(ast.ArithmeticOperator.MODULUS, children, offset)

    def concat(self, children: Children, offset: int) -> ast.FunctionCall:
        return ast.FunctionCall("CONCAT", (children[0], children[1]), at=self._place(offset))

    def minus(self, children: Children, offset: int) -> ast.Sign:
        return ast.Sign(negative=True, operand=children[0], at=self._place(offset))

    def plus(self, children: Children, offset: int) -> ast.Sign:
        return ast.Sign(negative=False, operand=children[0], at=self._place(offset))

    def column_ref(self, children: Children, offset: int) -> ast.ColumnRef:
        return ast.ColumnRef(children[0], at=self._place(offset))

    def qualified_ref(self, children: Children, offset: int) -> ast.ColumnRef:
        return ast.ColumnRef(children[1], children[0], at=self._place(offset))

    def call(self, children: Children, offset: int) -> ast.FunctionCall:
        name, *arguments = children
        return ast.FunctionCall(
            name.upper(),
            tuple(self._argument(argument) for argument in arguments if argument is not None),
            at=self._place(offset),
        )

    def _argument(self, argument: ast.Expression) -> ast.Expression:
        """A bare time unit as an argument is the unit, whatever columns there are."""
        if isinstance(argument, ast.ColumnRef) and argument.name in _UNITS and argument.source is None:
            at = argument.at
            if at is not None and self._text.at(at) not in '`"':
                return ast.IntervalUnit(argument.name, at=at)
        return argument

    def call_all(self, children: Children, offset: int) -> ast.FunctionCall:
        return ast.FunctionCall(children[0].upper(), (), at=self._place(offset))

    def lambda_(self, children: Children, offset: int) -> ast.Lambda:
        *parameters, body = children
        return ast.Lambda(tuple(parameters), body, at=self._place(offset))

    def field_access(self, children: Children, offset: int) -> ast.FieldAccess:
        return ast.FieldAccess(children[0], children[1], at=self._place(offset))

    def subscript(self, children: Children, offset: int) -> ast.Subscript:
        return ast.Subscript(children[0], children[1], at=self._place(offset))

    def parenthesised(self, children: Children, _offset: int) -> ast.Expression:
        return cast("ast.Expression", children[0])

    def searched_case(self, children: Children, offset: int) -> ast.Case:
        whens, default = children
        return ast.Case(None, whens, default, at=self._place(offset))

    def simple_case(self, children: Children, offset: int) -> ast.Case:
        operand, whens, default = children
        return ast.Case(operand, whens, default, at=self._place(offset))

    def when(self, children: Children, offset: int) -> ast.When:
        return ast.When(children[0], children[1], at=self._place(offset))

    def cast(self, children: Children, offset: int) -> ast.Cast:
        return ast.Cast(children[0], children[1], at=self._place(offset))

    def array(self, children: Children, offset: int) -> ast.ArrayConstructor:
        return ast.ArrayConstructor(self.items(children, offset), at=self._place(offset))

    def map(self, children: Children, offset: int) -> ast.MapConstructor:
        return ast.MapConstructor(self.items(children, offset), at=self._place(offset))

    def entry(self, children: Children, _offset: int) -> tuple[Any, Any]:
        return children[0], children[1]

    named = entry

    def struct(self, children: Children, offset: int) -> ast.StructConstructor:
        fields = self.items(children, offset)
        if len({name for name, _ in fields}) < len(fields):
            self._refuse(offset, "Duplicate field names found in STRUCT: " + ", ".join(name for name, _ in fields))
        return ast.StructConstructor(fields, at=self._place(offset))

    def null(self, _children: Children, offset: int) -> ast.NullLiteral:
        return ast.NullLiteral(at=self._place(offset))

    def true(self, _children: Children, offset: int) -> ast.BooleanLiteral:
        return ast.BooleanLiteral(value=True, at=self._place(offset))

    def false(self, _children: Children, offset: int) -> ast.BooleanLiteral:
        return ast.BooleanLiteral(value=False, at=self._place(offset))

    def integer(self, children: Children, offset: int) -> ast.IntegerLiteral:
        value = int(children[0])
        if value > _MAX_BIGINT:
            self._refuse(offset, f"Invalid numeric literal: {children[0]}")
        return ast.IntegerLiteral(value, at=self._place(offset))

    def decimal(self, children: Children, offset: int) -> ast.DecimalLiteral:
        return ast.DecimalLiteral(Decimal(children[0]), at=self._place(offset))

    def double(self, children: Children, offset: int) -> ast.DoubleLiteral:
        value = float(children[0])
        if value == float("inf"):
            place = self._place(offset)
            # ksqlDB counts this one column from 2
            raise ParseError(
                f"Failed to prepare statement: line {place.line}:{place.column + 2}: "
                f"Number overflows DOUBLE: {children[0]}",
                line=place.line,
                column=place.column,
            )
        return ast.DoubleLiteral(value, at=self._place(offset))

    def string(self, children: Children, offset: int) -> ast.StringLiteral:
        return ast.StringLiteral(children[0], at=self._place(offset))
