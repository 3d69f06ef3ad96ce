"""Literals, columns, and what is reached from them by -> and [ ]."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ksqlite import ast
from ksqlite.errors import AnalysisError
from ksqlite.expressions.api import Binding, Compiled
from ksqlite.expressions.text import text_of
from ksqlite.types import BIGINT, BOOLEAN, DOUBLE, INTEGER, STRING, ArrayType, MapType, StructType
from ksqlite.values import Value, decimals

if TYPE_CHECKING:
    from ksqlite.expressions.compiler import Compiler

NULL = Compiled("None", None, nullable=True, fallible=False, constant=True, simple=True)


def null(_compiler: Compiler, _: ast.NullLiteral) -> Compiled:
    """NULL."""
    return NULL


def boolean(compiler: Compiler, node: ast.BooleanLiteral) -> Compiled:
    """TRUE or FALSE."""
    return compiler.literal(node.value, BOOLEAN)


def integer(compiler: Compiler, node: ast.IntegerLiteral) -> Compiled:
    """INTEGER when it fits into 32 bits, otherwise BIGINT."""
    return compiler.literal(node.value, INTEGER if node.value < 2**31 else BIGINT)


def decimal_literal(compiler: Compiler, node: ast.DecimalLiteral) -> Compiled:
    """DECIMAL with the digits as written."""
    return compiler.literal(node.value, decimals.literal_type(node.value))


def double(compiler: Compiler, node: ast.DoubleLiteral) -> Compiled:
    """DOUBLE."""
    return compiler.literal(node.value, DOUBLE)


def string(compiler: Compiler, node: ast.StringLiteral) -> Compiled:
    """STRING."""
    return compiler.literal(node.value, STRING)


def interval_unit(_compiler: Compiler, node: ast.IntervalUnit) -> Compiled:
    """A bare time unit is no value."""
    raise AnalysisError(f"{node.unit} is no value: a time unit can only be a function's argument")


def column(compiler: Compiler, node: ast.ColumnRef) -> Compiled:
    """A lambda's parameter or a column."""
    binding: Binding | None = None
    if node.source is None:
        for parameters in reversed(compiler.lambda_parameters):
            binding = parameters.get(node.name)
            if binding is not None:
                break
    if binding is None:
        binding = compiler.scope.resolve(node)
    return Compiled(
        binding.source, binding.type, nullable=binding.nullable, fallible=False, constant=False, simple=True
    )


def field(compiler: Compiler, node: ast.FieldAccess) -> Compiled:
    """base->field: NULL when the base is."""
    base = compiler.visit(node.base)
    if not isinstance(base.type, StructType):
        raise AnalysisError(f"Expected STRUCT type, got: {base.type}")
    position = base.type.index(node.name)
    if position is None:
        raise AnalysisError(f"Could not find field '{node.name}' in '{text_of(node.base)}'.")
    return compiler.null_safe(
        [base],
        lambda sources: f"{sources[0]}[{position}]",
        base.type.fields[position].type,
        fallible=False,
        nullable=True,
    )


def subscript(compiler: Compiler, node: ast.Subscript) -> Compiled:
    """base[index]: NULL when there is no such element."""
    base = compiler.visit(node.base)
    index = compiler.visit(node.index)
    if isinstance(base.type, ArrayType):
        if index.type not in {INTEGER, BIGINT}:
            raise AnalysisError(f"Array index must be a whole number: {text_of(node)}")
        if isinstance(node.index, ast.IntegerLiteral) and node.index.value > 0:
            at = node.index.value
            return compiler.null_safe(
                [base],
                lambda sources: f"({sources[0]}[{at - 1}] if len({sources[0]}) >= {at} else None)",
                base.type.element,
                fallible=False,
                nullable=True,
                reused=True,
            )
        function = compiler.constant(element_at, "element_at")
        return compiler.null_safe(
            [base, index],
            lambda sources: f"{function}({sources[0]}, {sources[1]})",
            base.type.element,
            fallible=False,
            nullable=True,
        )
    if isinstance(base.type, MapType):
        return compiler.null_safe(
            [base, index],
            lambda sources: f"{sources[0]}.get({sources[1]})",
            base.type.value,
            fallible=False,
            nullable=True,
        )
    raise AnalysisError(f"Subscript is not supported for {base.type}: {text_of(node)}")


def element_at(values: list[Any], index: int) -> Value:
    """The element at a 1-based index, from the end when it is negative; None when there is none."""
    position = index - 1 if index > 0 else len(values) + index
    return values[position] if index != 0 and 0 <= position < len(values) else None


VISITORS: dict[type[ast.Expression], Callable[..., Compiled]] = {
    ast.NullLiteral: null,
    ast.BooleanLiteral: boolean,
    ast.IntegerLiteral: integer,
    ast.DecimalLiteral: decimal_literal,
    ast.DoubleLiteral: double,
    ast.StringLiteral: string,
    ast.IntervalUnit: interval_unit,
    ast.ColumnRef: column,
    ast.FieldAccess: field,
    ast.Subscript: subscript,
}
