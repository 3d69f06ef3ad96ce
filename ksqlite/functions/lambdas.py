"""TRANSFORM, FILTER and REDUCE: the lambda becomes part of the generated code, so no element costs a call."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import TYPE_CHECKING

from ksqlite import ast
from ksqlite.errors import AnalysisError
from ksqlite.expressions.api import Binding, Compiled
from ksqlite.functions.registry import REGISTRY, scalar
from ksqlite.types import BOOLEAN, ArrayType, MapType, SqlType, array, map_of
from ksqlite.values.java_maps import in_order

if TYPE_CHECKING:
    from ksqlite.expressions.compiler import Compiler


def _described_only() -> None:
    """Never called: calls are compiled by ``compile_call``."""


scalar(
    "TRANSFORM",
    "MAP<K, V>, LAMBDA (K, V) => R, LAMBDA (K, V) => T -> MAP<R, T>",
    "ARRAY<T>, LAMBDA (T) => R -> ARRAY<R>",
    description="Applies a lambda to each element of an array, or two to each entry of a map, for key and value",
)(_described_only)
scalar(
    "FILTER",
    "MAP<K, V>, LAMBDA (K, V) => BOOLEAN -> MAP<K, V>",
    "ARRAY<T>, LAMBDA (T) => BOOLEAN -> ARRAY<T>",
    description="The elements or entries for which a lambda is true",
)(_described_only)
scalar(
    "REDUCE",
    "ARRAY<T>, S, LAMBDA (S, T) => S -> S",
    "MAP<K, V>, S, LAMBDA (S, K, V) => S -> S",
    description="Goes through an array or a map with a state that a lambda renews, and gives the last state",
)(_described_only)


def compile_call(compiler: Compiler, node: ast.FunctionCall) -> Compiled:
    """Compiles a call with lambdas among its arguments. Raises AnalysisError when they do not fit."""
    arguments = [None if isinstance(argument, ast.Lambda) else compiler.visit(argument) for argument in node.arguments]
    shape = tuple("lambda" if argument is None else "value" for argument in arguments)
    collection = arguments[0] if arguments else None
    if collection is not None and isinstance(collection.type, ArrayType | MapType):
        is_map = isinstance(collection.type, MapType)
        lambdas = [argument for argument in node.arguments if isinstance(argument, ast.Lambda)]
        if node.name == "TRANSFORM" and shape == (("value", "lambda", "lambda") if is_map else ("value", "lambda")):
            return _transform(compiler, collection, lambdas)
        if node.name == "FILTER" and shape == ("value", "lambda"):
            return _filter(compiler, collection, lambdas[0])
        if node.name == "REDUCE" and shape == ("value", "value", "lambda"):
            state = arguments[1]
            assert state is not None  # noqa: S101 - its shape is a value
            return _reduce(compiler, collection, state, lambdas[0])
    raise _refusal(node, arguments)


def _refusal(node: ast.FunctionCall, arguments: Sequence[Compiled | None]) -> AnalysisError:
    function = REGISTRY.require(node.name)
    types = ", ".join(
        "LAMBDA" if argument is None else "null" if argument.type is None else str(argument.type)
        for argument in arguments
    )
    valid = "\n".join(f"{function.display_name}{variant.signature}" for variant in function.variants)
    return AnalysisError(
        f"Function '{function.display_name}' does not accept parameters ({types}).\nValid alternatives are:\n{valid}"
    )


def _body(compiler: Compiler, function: ast.Lambda, types: Sequence[SqlType]) -> tuple[list[str], Compiled]:
    """The Python names of the parameters, and the compiled body."""
    if len(function.parameters) != len(types):
        raise AnalysisError(
            f"A lambda of {len(types)} parameter{'s' if len(types) > 1 else ''} is needed here, "
            f"but one of {len(function.parameters)} was given"
        )
    names = [compiler.temporary().replace("_t", "_v") for _ in types]
    bindings = {
        parameter: Binding(name, sql_type)
        for parameter, name, sql_type in zip(function.parameters, names, types, strict=True)
    }
    with compiler.parameters(bindings):
        return names, compiler.visit(function.body)


def _typed(compiled: Compiled) -> SqlType:
    if compiled.type is None:
        raise AnalysisError("A lambda's result must have a type: cast the NULL")
    return compiled.type


def _transform(compiler: Compiler, collection: Compiled, lambdas: Sequence[ast.Lambda]) -> Compiled:
    if isinstance(collection.type, ArrayType):
        (name,), body = _body(compiler, lambdas[0], [collection.type.element])
        return compiler.null_safe(
            [collection],
            lambda sources: f"[{body.source} for {name} in {sources[0]}]",
            array(_typed(body)),
            fallible=body.fallible,
            reused=True,
        )
    assert isinstance(collection.type, MapType)  # noqa: S101 - the caller looked
    types = [collection.type.key, collection.type.value]
    (key, value), new_key = _body(compiler, lambdas[0], types)
    (key2, value2), new_value = _body(compiler, lambdas[1], types)
    names = f"(({key}, {value}), ({key2}, {value2}))"
    return compiler.null_safe(
        [collection],
        lambda sources: (
            f"{{{new_key.source}: {new_value.source} for {names} in zip({sources[0]}.items(), {sources[0]}.items())}}"
        ),
        map_of(_typed(new_key), _typed(new_value)),
        fallible=new_key.fallible or new_value.fallible,
        reused=True,
    )


def _filter(compiler: Compiler, collection: Compiled, function: ast.Lambda) -> Compiled:
    if isinstance(collection.type, ArrayType):
        names, body = _body(compiler, function, [collection.type.element])
        template = "[{0} for {0} in {collection} if {condition}]"
    else:
        assert isinstance(collection.type, MapType)  # noqa: S101 - the caller looked
        names, body = _body(compiler, function, [collection.type.key, collection.type.value])
        template = "{{{0}: {1} for {0}, {1} in {collection}.items() if {condition}}}"
    if body.type != BOOLEAN:
        raise AnalysisError(f"FILTER needs a lambda that gives a BOOLEAN, but this one gives {body.type or 'NULL'}")
    condition = compiler.truth(body)
    return compiler.null_safe(
        [collection],
        lambda sources: template.format(*names, collection=sources[0], condition=condition),
        collection.type,
        fallible=body.fallible or body.nullable,
        reused=True,
    )


def _reduce(compiler: Compiler, collection: Compiled, state: Compiled, function: ast.Lambda) -> Compiled:
    if state.type is None:
        raise AnalysisError("REDUCE needs a state of some type: cast the NULL")
    types: list[SqlType]
    if isinstance(collection.type, ArrayType):
        types = [state.type, collection.type.element]
    else:
        assert isinstance(collection.type, MapType)  # noqa: S101 - the caller looked
        types = [state.type, collection.type.key, collection.type.value]
    names, body = _body(compiler, function, types)
    if body.type is not None and body.type != state.type:
        raise AnalysisError(
            f"The lambda of REDUCE must give the type of its state, {state.type}, but it gives {body.type}"
        )
    fold = compiler.constant(reduce, "reduce")
    ordered = ""
    head = f"{names[0]}, {names[1]}"
    source = body.source
    if len(names) == 3:
        pair = compiler.temporary()
        head = f"{names[0]}, {pair}"
        ordered = compiler.constant(in_order, "in_order")
        source = f"(lambda {names[1]}, {names[2]}: {body.source})(*{pair})"
    # Without a collection the state stays as it was; a state of NULL stays NULL.
    everything = compiler.temporary()
    return compiler.null_safe(
        [state],
        lambda sources: (
            f"({sources[0]} if ({everything} := {collection.source}) is None else "
            f"{fold}(lambda {head}: {source}, {ordered}({everything}), {sources[0]}))"
        ),
        state.type,
        fallible=collection.fallible or body.fallible,
        nullable=body.nullable,
        reused=True,
    )
