"""ARRAY[…], MAP(…), STRUCT(…). A part whose evaluation fails is NULL, and the processing log is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ksqlite import ast
from ksqlite.errors import AnalysisError
from ksqlite.expressions import coercion
from ksqlite.expressions.api import Compiled
from ksqlite.types import Base, Field, StructType, array, map_of

if TYPE_CHECKING:
    from ksqlite.expressions.compiler import Compiler


def array_constructor(compiler: Compiler, node: ast.ArrayConstructor) -> Compiled:
    """ARRAY[…]."""
    if not node.elements:
        raise AnalysisError(
            "Array constructor cannot be empty. Please supply at least one element "
            "(see https://github.com/confluentinc/ksql/issues/4239)."
        )
    element = coercion.common_type(compiler, node.elements)
    if element is None:
        raise AnalysisError(
            "Cannot construct an array with all NULL elements "
            "(see https://github.com/confluentinc/ksql/issues/4239). "
            "As a workaround, you may cast a NULL value to the desired type."
        )
    parts = [coercion.coerce(compiler, part, element) for part in node.elements]
    return Compiled(
        f"[{', '.join(compiler.guarded(part, 'array item') for part in parts)}]",
        array(element),
        nullable=False,
        fallible=False,
        constant=all(part.constant for part in parts),
    )


def map_constructor(compiler: Compiler, node: ast.MapConstructor) -> Compiled:
    """MAP(…)."""
    if not node.entries:
        raise AnalysisError(
            "Map constructor cannot be empty. Please supply at least one key value pair "
            "(see https://github.com/confluentinc/ksql/issues/4239)."
        )
    keys = [key for key, _ in node.entries]
    values = [value for _, value in node.entries]
    key_type, value_type = coercion.common_type(compiler, keys), coercion.common_type(compiler, values)
    hint = (
        "(see https://github.com/confluentinc/ksql/issues/4239). "
        "As a workaround, you may cast a NULL {} to the desired type."
    )
    if key_type is None:
        raise AnalysisError(f"Cannot construct a map with all NULL keys {hint.format('key')}")
    if value_type is None:
        raise AnalysisError(f"Cannot construct a map with all NULL values {hint.format('value')}")
    entries = [
        (coercion.coerce(compiler, key, key_type), coercion.coerce(compiler, value, value_type))
        for key, value in node.entries
    ]
    written = [f"{compiler.guarded(key, 'map key')}: {compiler.guarded(value, 'map value')}" for key, value in entries]
    return Compiled(
        f"{{{', '.join(written)}}}",
        map_of(key_type, value_type),
        nullable=False,
        fallible=False,
        constant=all(key.constant and value.constant for key, value in entries),
    )


def struct_constructor(compiler: Compiler, node: ast.StructConstructor) -> Compiled:
    """STRUCT(…)."""
    names = [name for name, _ in node.fields]
    duplicates = sorted({name for name in names if names.count(name) > 1})
    if duplicates:
        raise AnalysisError(f"Duplicate field names found in STRUCT: {', '.join(duplicates)}")
    parts = []
    fields = []
    for name, value in node.fields:
        part = compiler.visit(value)
        if part.type is None:
            raise AnalysisError(
                f"Cannot construct a struct with a NULL field of no type: cast it, as in {name} := CAST(NULL AS STRING)"
            )
        parts.append(compiler.guarded(part, "struct field"))
        fields.append(Field(name, part.type))
    return Compiled(
        f"({''.join(f'{part}, ' for part in parts)})",
        StructType(Base.STRUCT, tuple(fields)),
        nullable=False,
        fallible=False,
    )


VISITORS: dict[type[ast.Expression], Callable[..., Compiled]] = {
    ast.ArrayConstructor: array_constructor,
    ast.MapConstructor: map_constructor,
    ast.StructConstructor: struct_constructor,
}
