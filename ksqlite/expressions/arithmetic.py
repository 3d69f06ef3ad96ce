"""Arithmetic: result types and the code of + - * / % and of the sign.

Whole numbers wrap around as Java's do; division and remainder of whole numbers go towards zero; dividing a whole
number or a decimal by zero fails (and so gives NULL), dividing a double by zero gives an infinity.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from ksqlite import ast
from ksqlite.ast import ArithmeticOperator
from ksqlite.errors import AnalysisError
from ksqlite.expressions.api import Compiled
from ksqlite.expressions.text import text_of
from ksqlite.types import BIGINT, DOUBLE, INTEGER, STRING, Base, DecimalType, SqlType
from ksqlite.values import casts, decimals

if TYPE_CHECKING:
    from ksqlite.expressions.compiler import Compiler


def whole_divide(left: int, right: int) -> int:
    """Quotient, cut towards zero."""
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def whole_remainder(left: int, right: int) -> int:
    """Remainder with the sign of the dividend."""
    rest = abs(left) % abs(right)
    return -rest if left < 0 else rest


def double_divide(left: float, right: float) -> float:
    """Quotient as IEEE 754 has it."""
    if right != 0:
        return left / right
    if left == 0 or math.isnan(left):
        return math.nan
    return math.copysign(math.inf, left) * math.copysign(1, right)


def double_remainder(left: float, right: float) -> float:
    """Remainder with the sign of the dividend."""
    if right == 0 or math.isinf(left) or math.isnan(left) or math.isnan(right):
        return math.nan
    return math.fmod(left, right)


def result_type(operator: ArithmeticOperator, left: SqlType | None, right: SqlType | None) -> SqlType | None:
    """The type of left operator right; None where there is none."""
    if left is None or right is None:
        return None
    if operator is ArithmeticOperator.ADD and left == STRING and right == STRING:
        return STRING
    if not casts.is_number(left) or not casts.is_number(right):
        return None
    if DOUBLE in {left, right}:
        return DOUBLE
    if isinstance(left, DecimalType) or isinstance(right, DecimalType):
        return decimals.result_type(operator, decimals.to_decimal(left), decimals.to_decimal(right))
    return BIGINT if BIGINT in {left, right} else INTEGER


def binary(compiler: Compiler, node: ast.Arithmetic) -> Compiled:
    """Compiles left operator right."""
    texts = _texts(compiler, node)
    if texts is not None:
        return compiler.null_safe(texts, lambda sources: f"({' + '.join(sources)})", STRING, fallible=False)
    left, right = compiler.visit(node.left), compiler.visit(node.right)
    found = result_type(node.operator, left.type, right.type)
    if found is None:
        first, second = ("null" if side.type is None else side.type for side in (left, right))
        raise AnalysisError(
            f"Error processing expression: {text_of(node)}. Arithmetic on types {first} and {second} are not supported."
        )
    if found == DOUBLE:
        return _double(compiler, node.operator, left, right)
    if isinstance(found, DecimalType):
        return _decimal(compiler, node.operator, left, right, found)
    return _whole(compiler, node.operator, left, right, found)


def _texts(compiler: Compiler, node: ast.Expression) -> list[Compiled] | None:
    """The operands of a chain of + between texts: one flat source, for Python nests only so deep."""
    operands: list[ast.Expression] = []
    if not isinstance(node, ast.Arithmetic) or node.operator is not ArithmeticOperator.ADD:
        return None
    while isinstance(node, ast.Arithmetic) and node.operator is ArithmeticOperator.ADD:
        operands.append(node.right)
        node = node.left
    first = compiler.visit(node)
    if first.type != STRING:
        return None
    parts = [first, *(compiler.visit(operand) for operand in reversed(operands))]
    return parts if len(parts) > 1 and all(part.type == STRING for part in parts) else None


def _double(compiler: Compiler, operator: ArithmeticOperator, left: Compiled, right: Compiled) -> Compiled:
    operands = [compiler.convert(left, DOUBLE), compiler.convert(right, DOUBLE)]
    function = {
        ArithmeticOperator.DIVIDE: double_divide,
        ArithmeticOperator.MODULUS: double_remainder,
    }.get(operator)
    if function is None:
        return compiler.null_safe(
            operands, lambda sources: f"({sources[0]} {operator.value} {sources[1]})", DOUBLE, fallible=False
        )
    name = compiler.constant(function, function.__name__)
    return compiler.null_safe(operands, lambda sources: f"{name}({sources[0]}, {sources[1]})", DOUBLE, fallible=False)


def _decimal(
    compiler: Compiler, operator: ArithmeticOperator, left: Compiled, right: Compiled, found: DecimalType
) -> Compiled:
    if operator is ArithmeticOperator.DIVIDE:
        divide = compiler.constant(decimals.divider(found.precision, found.scale), "divide")
        operands = [_as_decimal(compiler, left), _as_decimal(compiler, right)]
        return compiler.null_safe(operands, lambda sources: f"{divide}({sources[0]}, {sources[1]})", found)
    # Python takes whole numbers beside decimals, and the result has the digits of the result type by itself.
    if operator is ArithmeticOperator.MODULUS:
        remainder = compiler.constant(decimals.EXACT.remainder, "remainder")
        return compiler.null_safe([left, right], lambda sources: f"{remainder}({sources[0]}, {sources[1]})", found)
    if found.precision <= decimals.NATIVE_DIGITS and _has_decimal(left, right):
        return compiler.null_safe(
            [left, right], lambda sources: f"({sources[0]} {operator.value} {sources[1]})", found, fallible=False
        )
    method = {
        ArithmeticOperator.ADD: decimals.EXACT.add,
        ArithmeticOperator.SUBTRACT: decimals.EXACT.subtract,
        ArithmeticOperator.MULTIPLY: decimals.EXACT.multiply,
    }[operator]
    name = compiler.constant(method, f"decimal_{operator.name.lower()}")
    return compiler.null_safe(
        [left, right], lambda sources: f"{name}({sources[0]}, {sources[1]})", found, fallible=False
    )


def _has_decimal(left: Compiled, right: Compiled) -> bool:
    return isinstance(left.type, DecimalType) or isinstance(right.type, DecimalType)


def _as_decimal(compiler: Compiler, operand: Compiled) -> Compiled:
    assert operand.type is not None  # noqa: S101 - the result's type was derived from it
    return compiler.convert(operand, decimals.to_decimal(operand.type))


def _whole(
    compiler: Compiler, operator: ArithmeticOperator, left: Compiled, right: Compiled, found: SqlType
) -> Compiled:
    wrap = compiler.constant(*((casts.wrap_int, "wrap_int") if found == INTEGER else (casts.wrap_long, "wrap_long")))
    bits = 31 if found == INTEGER else 63
    low, high = -(2**bits), 2**bits - 1

    def checked(source: str) -> str:
        name = compiler.temporary()
        return f"({name} if {low} <= ({name} := {source}) <= {high} else {wrap}({name}))"

    if operator in {ArithmeticOperator.DIVIDE, ArithmeticOperator.MODULUS}:
        function = whole_divide if operator is ArithmeticOperator.DIVIDE else whole_remainder
        name = compiler.constant(function, function.__name__)
        return compiler.null_safe([left, right], lambda sources: f"{name}({sources[0]}, {sources[1]})", found)
    return compiler.null_safe(
        [left, right],
        lambda sources: checked(f"{sources[0]} {operator.value} {sources[1]}"),
        found,
        fallible=False,
    )


def sign(compiler: Compiler, node: ast.Sign) -> Compiled:
    """Compiles -operand and +operand."""
    operand = compiler.visit(node.operand)
    if operand.type is None or not casts.is_number(operand.type):
        found = "NULL" if operand.type is None else operand.type
        raise AnalysisError(f"Unsupported type for {'-' if node.negative else '+'}: {found}")
    if not node.negative:
        return operand
    if operand.constant and operand.simple and not operand.nullable and operand.type.base is not Base.DECIMAL:
        return Compiled(
            f"(-{operand.source})", operand.type, nullable=False, fallible=False, constant=True, simple=True
        )
    if operand.type.base is Base.DECIMAL:
        negate = compiler.constant(decimals.EXACT.minus, "negate")
        return compiler.null_safe([operand], lambda sources: f"{negate}({sources[0]})", operand.type, fallible=False)
    if operand.type in {INTEGER, BIGINT}:
        wrap = compiler.constant(
            *((casts.wrap_int, "wrap_int") if operand.type == INTEGER else (casts.wrap_long, "wrap_long"))
        )
        return compiler.null_safe([operand], lambda sources: f"{wrap}(-{sources[0]})", operand.type, fallible=False)
    return compiler.null_safe([operand], lambda sources: f"(-{sources[0]})", operand.type, fallible=False)


VISITORS: dict[type[ast.Expression], Callable[..., Compiled]] = {
    ast.Arithmetic: binary,
    ast.Sign: sign,
}
