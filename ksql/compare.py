"""Whether a statement of the files and one that a server tells of say the same.

A server gives a statement back in its own words: columns carry their source's name, defaults stand in WITH. Both are
brought to one form before they are compared.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any

from ksqlite import ast
from ksqlite.errors import KsqlError
from ksqlite.parser import parse


def same_statement(ours: ast.Statement, theirs: str) -> bool:
    """Whether the server's text is our statement; False also when it cannot be read."""
    try:
        parsed = parse(theirs if theirs.rstrip().endswith(";") else theirs + ";")
    except KsqlError:
        return False
    if len(parsed) != 1:
        return False
    other = parsed[0].statement
    if not isinstance(ours, ast.CreateAsSelect | ast.CreateSource) or type(other) is not type(ours):
        return False
    wanted = {name for name, _value in ours.properties}
    other = replace(other, properties=tuple(pair for pair in other.properties if pair[0] in wanted))
    if isinstance(ours, ast.CreateSource) and isinstance(other, ast.CreateSource) and not _columns(ours):
        # columns that come from the registry are listed by the server, keys stay as they were declared
        other = replace(other, columns=tuple(one for one in other.columns if one.constraint is not None))
    return bool(_normal(ours) == _normal(other))


def _columns(source: ast.CreateSource) -> list[ast.ColumnDefinition]:
    return [column for column in source.columns if column.constraint is None]


def _normal(node: ast.Statement) -> Any:  # noqa: ANN401 - any node
    """The statement without what is only another way to say it."""
    if isinstance(node, ast.CreateAsSelect | ast.CreateSource):
        node = replace(node, properties=tuple(sorted(node.properties, key=str)), or_replace=False, if_not_exists=False)
    if isinstance(node, ast.CreateAsSelect):
        query = replace(node.query, emit=ast.Refinement.CHANGES if node.query.emit is None else node.query.emit)
        single = not query.joins

        def bare(part: Any) -> Any:  # noqa: ANN401 - any node
            if isinstance(part, ast.ColumnRef) and single:
                return replace(part, source=None)
            if isinstance(part, ast.Source) and single:
                return replace(part, alias=part.name)
            if isinstance(part, ast.SelectItem) and part.alias is None and isinstance(part.expression, ast.ColumnRef):
                return replace(part, alias=part.expression.name)
            return part

        node = replace(node, query=rewrite(query, bare))
    return node


def rewrite(node: Any, change: Callable[[Any], Any]) -> Any:  # noqa: ANN401 - any node, tuple or value
    """The tree with ``change`` applied to every node, innermost first."""
    if isinstance(node, tuple):
        return tuple(rewrite(part, change) for part in node)
    if is_dataclass(node) and isinstance(node, ast.Node):
        changed = {one.name: rewrite(getattr(node, one.name), change) for one in fields(node) if one.name != "at"}
        return change(replace(node, **changed))
    return node
