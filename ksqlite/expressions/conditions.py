"""AND, OR, NOT, IS NULL, LIKE and CASE."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ksqlite import ast
from ksqlite.errors import AnalysisError
from ksqlite.expressions.api import Compiled
from ksqlite.expressions.literals import NULL
from ksqlite.expressions.patterns import like_matcher
from ksqlite.expressions.text import text_of
from ksqlite.types import BOOLEAN, STRING, SqlType

if TYPE_CHECKING:
    from ksqlite.expressions.compiler import Compiler


def logical(compiler: Compiler, node: ast.Logical) -> Compiled:
    """Left AND right, left OR right; a chain of one operator is one flat source, for Python nests only so deep."""
    operands: list[ast.Expression] = []
    part: ast.Expression = node
    while isinstance(part, ast.Logical) and part.operator is node.operator:
        operands.append(part.right)
        part = part.left
    parts = [_condition(compiler, operand) for operand in (part, *reversed(operands))]
    word = " and " if node.operator is ast.LogicalOperator.AND else " or "
    return Compiled(
        f"({word.join([compiler.truth(each) for each in parts])})",
        BOOLEAN,
        nullable=False,
        fallible=any(each.fallible or each.nullable for each in parts),
        constant=all(each.constant for each in parts),
    )


def negation(compiler: Compiler, node: ast.Not) -> Compiled:
    """NOT operand."""
    operand = _condition(compiler, node.operand)
    return Compiled(
        f"(not {compiler.truth(operand)})",
        BOOLEAN,
        nullable=False,
        fallible=operand.fallible or operand.nullable,
        constant=operand.constant,
    )


def _condition(compiler: Compiler, node: ast.Expression) -> Compiled:
    compiled = compiler.visit(node)
    if compiled.type not in {BOOLEAN, None}:
        raise AnalysisError(f"Expected a BOOLEAN but {text_of(node)} is {compiled.type}")
    return compiled


def is_null(compiler: Compiler, node: ast.IsNull) -> Compiled:
    """Operand IS [NOT] NULL."""
    operand = compiler.visit(node.operand)
    return Compiled(
        f"({operand.source} is {'not ' if node.negated else ''}None)",
        BOOLEAN,
        nullable=False,
        fallible=operand.fallible,
        constant=operand.constant,
    )


def like(compiler: Compiler, node: ast.Like) -> Compiled:
    """Operand [NOT] LIKE pattern."""
    operand, pattern = compiler.visit(node.operand), compiler.visit(node.pattern)
    for part, source in ((operand, node.operand), (pattern, node.pattern)):
        if part.type not in {STRING, None}:
            raise AnalysisError(
                f"The column type for Like condition must be VARCHAR. The column type is {part.type}: {text_of(source)}"
            )
    if isinstance(node.pattern, ast.StringLiteral):
        matches = compiler.constant(like_matcher(node.pattern.value, node.escape), "like")
        operands, build = [operand], (lambda sources: f"{matches}({sources[0]})")
    else:
        escape = node.escape
        find = compiler.constant(lambda value, written: like_matcher(written, escape)(value), "like")
        operands, build = [operand, pattern], (lambda sources: f"{find}({sources[0]}, {sources[1]})")
    compiled = compiler.null_safe(operands, build, BOOLEAN, fallible=False)
    if not node.negated:
        return compiled
    return Compiled(f"(not {compiler.truth(compiled)})", BOOLEAN, nullable=False, fallible=compiled.nullable)


def case(compiler: Compiler, node: ast.Case) -> Compiled:
    """CASE WHEN … END: all results are of one type."""
    if node.operand is not None:
        raise AnalysisError(
            "CASE with an operand is not supported by ksqlDB: write CASE WHEN operand = value THEN result … END"
        )
    conditions = []
    results = []
    found: SqlType | None = None
    for when in node.whens:
        condition = compiler.visit(when.condition)
        if condition.type != BOOLEAN:
            raise AnalysisError(
                f"WHEN operand type should be boolean.\n"
                f"Type for '{text_of(when.condition)}' is {condition.type or 'NULL'}"
            )
        result = compiler.visit(when.result)
        if result.type is not None and found is not None and result.type != found:
            raise AnalysisError(
                "Invalid Case expression. Type for all 'THEN' clauses should be the same.\n"
                f"THEN expression '{text_of(when.result)}' has type: {result.type}.\n"
                f"Previous THEN expression(s) type: {found}."
            )
        found = found or result.type
        conditions.append(condition)
        results.append(result)
    default = NULL if node.default is None else compiler.visit(node.default)
    if default.type is not None and found is not None and default.type != found:
        raise AnalysisError(
            "Invalid Case expression. Type for the default clause should be the same as for 'THEN' clauses.\n"
            f"THEN type: {found}.\nDEFAULT type: {default.type}."
        )
    found = found or default.type
    if found is None:
        raise AnalysisError("Invalid Case expression. All case branches have a NULL type")
    parts = [
        f"{result.source} if {compiler.truth(condition)} else "
        for condition, result in zip(conditions, results, strict=True)
    ]
    every = [*conditions, *results, default]
    return Compiled(
        f"({''.join(parts)}{default.source})",
        found,
        nullable=any(result.nullable for result in [*results, default]),
        fallible=any(part.fallible for part in every) or any(condition.nullable for condition in conditions),
        constant=all(part.constant for part in every),
    )


VISITORS: dict[type[ast.Expression], Callable[..., Compiled]] = {
    ast.Logical: logical,
    ast.Not: negation,
    ast.IsNull: is_null,
    ast.Like: like,
    ast.Case: case,
}
