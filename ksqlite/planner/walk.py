"""Walks and rewrites expression trees, whatever their nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from typing import Any

from ksqlite import ast


def _parts(value: Any) -> Iterator[ast.Node]:  # noqa: ANN401 - fields of any kind
    if isinstance(value, ast.Node) and not isinstance(value, ast.TypeName):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _parts(item)


def children(node: ast.Node) -> Iterator[ast.Node]:
    """The nodes directly below, in order of writing."""
    for field in fields(node):
        if field.name != "at":
            yield from _parts(getattr(node, field.name))


def walk(node: ast.Node) -> Iterator[ast.Node]:
    """The node and all below it, depth first."""
    yield node
    for child in children(node):
        yield from walk(child)


def column_refs(node: ast.Node, bound: frozenset[str] = frozenset()) -> Iterator[ast.ColumnRef]:
    """The columns an expression names; a lambda's parameters are none."""
    if isinstance(node, ast.ColumnRef):
        if node.source is not None or node.name not in bound:
            yield node
        return
    if isinstance(node, ast.Lambda):
        bound |= frozenset(node.parameters)
    for child in children(node):
        yield from column_refs(child, bound)


def function_calls(node: ast.Node) -> Iterator[ast.FunctionCall]:
    """All calls in an expression, outer ones first."""
    for each in walk(node):
        if isinstance(each, ast.FunctionCall):
            yield each


Visit = Callable[[ast.Expression, frozenset[str]], "ast.Expression | None"]


def rewrite(node: ast.Expression, visit: Visit, bound: frozenset[str] = frozenset()) -> ast.Expression:
    """A copy in which ``visit`` replaced what it gives another expression for; it is asked from the top down.

    ``visit`` also gets the lambda parameters in force, which hide columns.
    """
    replaced = visit(node, bound)
    if replaced is not None:
        return replaced
    if isinstance(node, ast.Lambda):
        bound |= frozenset(node.parameters)
    copied: ast.Expression = _copy(node, visit, bound)
    return copied


def _copy(node: Any, visit: Visit, bound: frozenset[str]) -> Any:  # noqa: ANN401 - nodes of any kind
    changes = {}
    for field in fields(node):
        if field.name == "at":
            continue
        old = getattr(node, field.name)
        new = _rewritten(old, visit, bound)
        if new is not old:
            changes[field.name] = new
    return replace(node, **changes) if changes else node


def _rewritten(value: Any, visit: Visit, bound: frozenset[str]) -> Any:  # noqa: ANN401 - fields of any kind
    if isinstance(value, ast.Expression):
        return rewrite(value, visit, bound)
    if isinstance(value, ast.Node):
        return value if isinstance(value, ast.TypeName) else _copy(value, visit, bound)
    if isinstance(value, tuple):
        items = tuple(_rewritten(item, visit, bound) for item in value)
        return items if any(a is not b for a, b in zip(items, value, strict=True)) else value
    return value
