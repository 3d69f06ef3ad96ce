"""CREATE … AS statements as ksqlDB shows them: every column qualified, every alias and property written out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar, cast

from ksqlite import ast, properties
from ksqlite.catalog import SourceInfo
from ksqlite.printer import format_statement

_N = TypeVar("_N")
_PSEUDO = ("ROWTIME", "ROWPARTITION", "ROWOFFSET")


def shown_create_as(
    statement: ast.CreateAsSelect, *, sources: Mapping[str, SourceInfo], topic: str, settings: Mapping[str, Any]
) -> str:
    """A CREATE … AS statement as the API shows it.

    ``sources`` are those of the query by alias; ``settings`` holds the sink topic's ``partitions``, ``replicas``,
    ``cleanup_policy`` and ``retention_ms``.
    """
    query = shown_query(statement.query, sources)
    given = properties.rewritten(
        statement.properties,
        CLEANUP_POLICY=settings.get("cleanup_policy"),
        KAFKA_TOPIC=topic,
        PARTITIONS=settings.get("partitions"),
        REPLICAS=settings.get("replicas"),
        RETENTION_MS=settings.get("retention_ms"),
    )
    return format_statement(replace(statement, query=query, properties=given))


def shown_insert(statement: ast.InsertInto, sources: Mapping[str, SourceInfo]) -> str:
    """An INSERT INTO … SELECT statement as the API shows it."""
    return format_statement(replace(statement, query=shown_query(statement.query, sources)))


def shown_query(query: ast.Query, sources: Mapping[str, SourceInfo]) -> ast.Query:
    """A query of a persistent statement with every column qualified and every item aliased."""
    columns = {alias: _names(source) for alias, source in sources.items()}
    qualified = _qualify(query, columns)
    taken = {name for names in columns.values() for name in names}
    numbers = iter(range(10**6))
    items: list[ast.SelectAll | ast.SelectItem] = []
    for written, item in zip(query.select, qualified.select, strict=True):
        if isinstance(item, ast.SelectAll) or isinstance(item.expression, ast.AllFields):
            items.append(item)
        elif item.alias is None:
            expression = written.expression if isinstance(written, ast.SelectItem) else item.expression
            items.append(replace(item, alias=_alias(expression, columns, taken, numbers)))
        else:
            items.append(item)
    return replace(qualified, select=tuple(items), emit=query.emit or ast.Refinement.CHANGES)


def _names(source: SourceInfo) -> frozenset[str]:
    return frozenset(column.name for column in source.schema.columns) | frozenset(_PSEUDO)


def _alias(
    expression: ast.Expression, columns: Mapping[str, frozenset[str]], taken: set[str], numbers: Iterable[int]
) -> str:
    """The name that a selected expression gets when none was written."""
    if isinstance(expression, ast.ColumnRef):
        owners = [alias for alias, names in columns.items() if expression.name in names]
        if expression.source is not None and len(owners) > 1:
            return f"{expression.source}_{expression.name}"
        return expression.name
    if isinstance(expression, ast.FieldAccess):
        return expression.name
    for number in numbers:
        name = f"KSQL_COL_{number}"
        if name not in taken:
            return name
    raise AssertionError("unreachable: there is no end of numbers")


def _qualify(node: _N, columns: Mapping[str, frozenset[str]], bound: frozenset[str] = frozenset()) -> _N:
    """The node with the alias of its source before every column; a lambda's own names stay."""
    if isinstance(node, ast.ColumnRef):
        if node.source is None and node.name not in bound:
            owners = [alias for alias, names in columns.items() if node.name in names]
            if owners:
                return cast("_N", replace(node, source=owners[0]))
        return node
    if isinstance(node, ast.Lambda):
        bound |= frozenset(node.parameters)
    if isinstance(node, tuple):
        return cast("_N", tuple(_qualify(item, columns, bound) for item in node)) if not _is_place(node) else node
    if isinstance(node, ast.Node) and is_dataclass(node):
        changed = {
            part.name: _qualify(getattr(node, part.name), columns, bound) for part in fields(node) if part.name != "at"
        }
        return cast("_N", replace(cast("Any", node), **changed))
    return node


def _is_place(node: object) -> bool:
    return isinstance(node, ast.Place)
