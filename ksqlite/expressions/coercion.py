"""One type for several expressions: the elements of ARRAY[…], the keys and values of MAP(…), the list of IN.

Numbers widen; text literals are read as what stands before them; other literals become text beside text; arrays, maps
and structs are brought together part by part.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ksqlite import ast
from ksqlite.errors import AnalysisError, EvaluationError
from ksqlite.expressions.api import Compiled
from ksqlite.expressions.text import text_of
from ksqlite.types import (
    BIGINT,
    BOOLEAN,
    DOUBLE,
    INTEGER,
    STRING,
    ArrayType,
    Base,
    Field,
    MapType,
    SqlType,
    StructType,
    array,
    map_of,
)
from ksqlite.values import casts, decimals, text, times

if TYPE_CHECKING:
    from ksqlite.expressions.compiler import Compiler

_TIMES = {Base.TIMESTAMP: times.parse_timestamp, Base.DATE: times.parse_date, Base.TIME: times.parse_time}


class MismatchError(AnalysisError):
    """An expression does not fit those before it."""


def _mismatch(common: SqlType, found: SqlType, expression: ast.Expression) -> MismatchError:
    return MismatchError(
        f"operator does not exist: {common} = {found} ({text_of(expression)})\n"
        "Hint: You might need to add explicit type casts."
    )


def _bad_input(common: SqlType, value: str) -> MismatchError:
    return MismatchError(f'invalid input syntax for type {common.base.value}: "{value}"')


def common_type(compiler: Compiler, expressions: Sequence[ast.Expression]) -> SqlType | None:
    """The type that all can be coerced to; None when all are NULL. Raises MismatchError."""
    common: SqlType | None = None
    for expression in expressions:
        common = _combine(compiler, common, expression)
    return common


def _combine(compiler: Compiler, common: SqlType | None, expression: ast.Expression) -> SqlType | None:
    if common is None:
        return compiler.visit(expression).type
    if isinstance(expression, ast.StringLiteral) and common != STRING:
        return _combine_text(common, expression)
    if isinstance(expression, ast.ArrayConstructor) and isinstance(common, ArrayType):
        element: SqlType | None = common.element
        try:
            for part in expression.elements:
                element = _combine(compiler, element, part)
        except MismatchError as error:
            if error.message.startswith("invalid"):
                raise
            raise _mismatch(common, compiler.visit(expression).type or common, expression) from error
        return array(element or common.element)
    if isinstance(expression, ast.MapConstructor) and isinstance(common, MapType):
        key: SqlType | None = common.key
        value: SqlType | None = common.value
        for key_part, value_part in expression.entries:
            key, value = _combine(compiler, key, key_part), _combine(compiler, value, value_part)
        return map_of(key or common.key, value or common.value)
    if isinstance(expression, ast.StructConstructor) and isinstance(common, StructType):
        return _combine_struct(compiler, common, expression)
    found = compiler.visit(expression).type
    if found is None:
        return common
    if common == STRING and _literal_text(expression) is not None:
        return STRING
    combined = combine_types(common, found)
    if combined is None:
        raise _mismatch(common, found, expression)
    return combined


def _combine_struct(compiler: Compiler, common: StructType, expression: ast.StructConstructor) -> SqlType:
    """Fields are brought together by name; those that only one side has are NULL in the other."""
    written = dict(expression.fields)
    fields = []
    for field in common.fields:
        combined = _combine(compiler, field.type, written[field.name]) if field.name in written else field.type
        fields.append(Field(field.name, combined or field.type))
    for name, value in expression.fields:
        if common.index(name) is None:
            found = compiler.visit(value).type
            if found is not None:
                fields.append(Field(name, found))
    return StructType(Base.STRUCT, tuple(fields))


def _combine_text(common: SqlType, expression: ast.StringLiteral) -> SqlType:
    if casts.is_number(common):
        number = _number(expression.value)
        if number is None:
            raise _bad_input(common, expression.value)
        return casts.common_number(common, number)
    if common == BOOLEAN:
        if casts.text_to_boolean_exact(expression.value) is None:
            raise _bad_input(common, expression.value)
        return common
    if common.base in _TIMES:
        try:
            _TIMES[common.base](expression.value)
        except EvaluationError as error:
            raise _bad_input(common, expression.value) from error
        return common
    raise _mismatch(common, STRING, expression)


def _number(value: str) -> SqlType | None:
    """The type of a number in a text."""
    try:
        number = decimals.parse(value)
    except EvaluationError:
        return None
    if value.strip().lstrip("+-").isdecimal():
        if -(2**31) <= number < 2**31:
            return INTEGER
        if -(2**63) <= number < 2**63:
            return BIGINT
    return decimals.literal_type(number)


def combine_types(first: SqlType, second: SqlType) -> SqlType | None:
    """The type that holds values of both, or None."""
    if first == second:
        return first
    if casts.is_number(first) and casts.is_number(second):
        return casts.common_number(first, second)
    if isinstance(first, ArrayType) and isinstance(second, ArrayType):
        element = combine_types(first.element, second.element)
        return None if element is None else array(element)
    if isinstance(first, MapType) and isinstance(second, MapType):
        key, value = combine_types(first.key, second.key), combine_types(first.value, second.value)
        return None if key is None or value is None else map_of(key, value)
    if isinstance(first, StructType) and isinstance(second, StructType):
        return _combine_structs(first, second)
    return None


def _combine_structs(first: StructType, second: StructType) -> StructType | None:
    fields: list[Field] = []
    for field in first.fields:
        position = second.index(field.name)
        if position is None:
            fields.append(field)
            continue
        combined = combine_types(field.type, second.fields[position].type)
        if combined is None:
            return None
        fields.append(Field(field.name, combined))
    fields.extend(field for field in second.fields if first.index(field.name) is None)
    return StructType(Base.STRUCT, tuple(fields))


def _literal_text(expression: ast.Expression) -> str | None:
    """What a literal is as text; None for what is no literal."""
    if isinstance(expression, ast.Sign) and isinstance(
        expression.operand, ast.IntegerLiteral | ast.DecimalLiteral | ast.DoubleLiteral
    ):
        written = _literal_text(expression.operand)
        return f"-{written}" if expression.negative and written is not None else written
    if isinstance(expression, ast.StringLiteral):
        return expression.value
    if isinstance(expression, ast.BooleanLiteral):
        return text.boolean_to_text(expression.value)
    if isinstance(expression, ast.IntegerLiteral):
        return str(expression.value)
    if isinstance(expression, ast.DecimalLiteral):
        return text.decimal_to_text(expression.value)
    if isinstance(expression, ast.DoubleLiteral):
        return text.double_to_text(expression.value)
    return None


def coerce(compiler: Compiler, expression: ast.Expression, target: SqlType) -> Compiled:
    """Compiles an expression to the common type. Raises MismatchError when it cannot be of that type."""
    if isinstance(expression, ast.StringLiteral) and target != STRING:
        return _text_literal(compiler, expression, target)
    if isinstance(expression, ast.ArrayConstructor) and isinstance(target, ArrayType):
        parts = [coerce(compiler, part, target.element) for part in expression.elements]
        source = ", ".join(compiler.guarded(part, "array item") for part in parts)
        return _constructed(f"[{source}]", target, parts)
    if isinstance(expression, ast.MapConstructor) and isinstance(target, MapType):
        entries = [
            (coerce(compiler, key, target.key), coerce(compiler, value, target.value))
            for key, value in expression.entries
        ]
        source = ", ".join(
            f"{compiler.guarded(key, 'map key')}: {compiler.guarded(value, 'map value')}" for key, value in entries
        )
        return _constructed(f"{{{source}}}", target, [part for entry in entries for part in entry])
    if isinstance(expression, ast.StructConstructor) and isinstance(target, StructType):
        written = dict(expression.fields)
        parts = [coerce(compiler, written.get(field.name, ast.NullLiteral()), field.type) for field in target.fields]
        source = "".join(f"{compiler.guarded(part, 'struct field')}, " for part in parts)
        return _constructed(f"({source})", target, parts)
    compiled = compiler.visit(expression)
    if compiled.type == target:
        return compiled
    if compiled.type is None:
        return compiler.convert(compiled, target)
    if target == STRING:
        written_as = _literal_text(expression)
        if written_as is None:
            raise _mismatch(target, compiled.type, expression)
        return compiler.literal(written_as, STRING)
    if combine_types(target, compiled.type) != target and not (target == DOUBLE and casts.is_number(compiled.type)):
        raise _mismatch(target, compiled.type, expression)
    return compiler.convert(compiled, target)


def _constructed(source: str, target: SqlType, parts: Sequence[Compiled]) -> Compiled:
    return Compiled(source, target, nullable=False, fallible=False, constant=all(part.constant for part in parts))


def _text_literal(compiler: Compiler, expression: ast.StringLiteral, target: SqlType) -> Compiled:
    if target == BOOLEAN:
        value = casts.text_to_boolean_exact(expression.value)
        if value is None:
            raise _bad_input(target, expression.value)
        return compiler.literal(value, target)
    try:
        cast = casts.caster(STRING, target)
        if cast is None:
            raise _bad_input(target, expression.value)
        number = cast(expression.value)
    except (EvaluationError, AnalysisError) as error:
        raise _bad_input(target, expression.value) from error
    return compiler.literal(number, target)
