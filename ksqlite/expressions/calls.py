"""Calls of scalar functions, and CAST."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ksqlite import ast
from ksqlite.errors import AnalysisError
from ksqlite.expressions.api import Compiled
from ksqlite.expressions.text import text_of
from ksqlite.functions.api import Kind
from ksqlite.functions.registry import REGISTRY, BoundScalar
from ksqlite.functions.signatures import INTERVAL_UNIT, ArgumentType, Unit

if TYPE_CHECKING:
    from ksqlite.expressions.compiler import Compiler

INTERVAL_UNITS = frozenset({
    "YEARS", "MONTHS", "WEEKS", "DAYS", "HOURS", "MINUTES", "SECONDS", "MILLISECONDS",
    "YEAR", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND", "MILLISECOND",
})  # fmt: skip


def cast(compiler: Compiler, node: ast.Cast) -> Compiled:
    """CAST(operand AS type)."""
    target = compiler.type_named(node.type)
    operand = compiler.visit(node.operand)
    try:
        return compiler.convert(operand, target)
    except AnalysisError as error:
        raise compiler.invalid(error.message) from error


def call(compiler: Compiler, node: ast.FunctionCall) -> Compiled:
    """A call of a scalar function."""
    function = REGISTRY.require(node.name)
    if any(isinstance(argument, ast.Lambda) for argument in node.arguments):
        from ksqlite.functions import lambdas  # noqa: PLC0415 - it uses the compiler

        return lambdas.compile_call(compiler, node)
    if function.kind is Kind.AGGREGATE:
        raise AnalysisError(f"Aggregate function {node.name} cannot be used here: {text_of(node)}")
    if function.kind is Kind.TABLE:
        raise AnalysisError(f"Table function {node.name} cannot be used here: {text_of(node)}")
    takes_unit = any(
        isinstance(parameter, Unit) for variant in function.variants for parameter in variant.signature.parameters
    )
    arguments: list[Compiled] = []
    types: list[ArgumentType] = []
    for position, argument in enumerate(node.arguments):
        unit = _unit(compiler, argument) if takes_unit and position == 0 else None
        if unit is not None:
            arguments.append(Compiled(repr(unit), None, nullable=False, fallible=False, constant=True, simple=True))
            types.append(INTERVAL_UNIT)
        else:
            compiled = compiler.visit(argument)
            arguments.append(compiled)
            types.append(compiled.type)
    bound = REGISTRY.scalar(node.name, types)
    converted = [
        argument if wanted is None or argument.type == wanted else compiler.convert(argument, wanted)
        for argument, wanted in zip(arguments, bound.input_types, strict=True)
    ]
    return _invoke(compiler, node.name, bound, converted)


def _unit(compiler: Compiler, argument: ast.Expression) -> str | None:
    if isinstance(argument, ast.IntervalUnit):
        return argument.unit
    if isinstance(argument, ast.ColumnRef) and argument.source is None and argument.name in INTERVAL_UNITS:
        try:
            compiler.visit(argument)
        except AnalysisError:
            return argument.name
    return None


def _invoke(compiler: Compiler, name: str, bound: BoundScalar, arguments: Sequence[Compiled]) -> Compiled:
    variant = bound.variant
    call = ""
    if bound.call is not None and (variant.inline is None or "{f}" in variant.inline):
        call = compiler.constant(bound.call, name.lower())
    operands = [_guarded_argument(compiler, argument) for argument in arguments]
    inline = variant.inline
    if inline == "{0}":
        return replace(operands[0], type=bound.returns)

    def build(sources: list[str]) -> str:
        if inline is None:
            return f"{call}({', '.join(sources)})"
        return inline.format(*sources, f=call)

    if variant.skip_nulls:
        return compiler.null_safe(
            operands,
            build,
            bound.returns,
            fallible=variant.fallible,
            nullable=not variant.never_null,
            reused=inline is not None and any(inline.count(f"{{{n}}}") > 1 for n in range(len(operands))),
        )
    if inline is None:
        source = build([operand.source for operand in operands])
    else:
        source = _fill(compiler, inline, operands, call)
    return Compiled(
        source,
        bound.returns,
        nullable=not variant.never_null,
        fallible=variant.fallible,
        constant=bool(operands) and all(operand.constant for operand in operands),
    )


def _guarded_argument(compiler: Compiler, argument: Compiled) -> Compiled:
    """An argument that fails is NULL; the function is called all the same."""
    if not argument.fallible:
        return argument
    return Compiled(
        compiler.guarded(argument, "function argument"), argument.type, fallible=False, constant=argument.constant
    )


def _fill(compiler: Compiler, inline: str, operands: Sequence[Compiled], call: str) -> str:
    """Puts the operands into the template; one that it names twice is computed at its first place."""
    sources = []
    for position, operand in enumerate(operands):
        mark = f"{{{position}}}"
        if operand.simple or inline.count(mark) < 2:
            sources.append(operand.source)
            continue
        name = compiler.temporary()
        inline = inline.replace(mark, f"({name} := {mark})", 1)
        before, _, after = inline.partition(f"({name} := {mark})")
        inline = f"{before}({name} := {mark}){after.replace(mark, name)}"
        sources.append(operand.source)
    return inline.format(*sources, f=call)


VISITORS: dict[type[ast.Expression], Callable[..., Compiled]] = {
    ast.FunctionCall: call,
    ast.Cast: cast,
}
