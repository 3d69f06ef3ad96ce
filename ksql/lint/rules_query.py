"""Rules about queries: windows, sums, names, and the settings they run under."""

from __future__ import annotations

from collections.abc import Iterator

from ksql.files import FileStatement, PipelineObject
from ksql.lint.context import Context, Finding, finding, walk
from ksqlite import ast
from ksqlite.printer import format_expression
from ksqlite.types import DecimalType, SqlType, StructType

_UNIT_MS = {
    "MILLISECONDS": 1, "SECONDS": 1_000, "MINUTES": 60_000, "HOURS": 3_600_000, "DAYS": 86_400_000,
    "WEEKS": 7 * 86_400_000, "MONTHS": 30 * 86_400_000, "YEARS": 365 * 86_400_000,
}  # fmt: skip
_WIDEST = 38
_BOUNDS = {"WINDOWSTART", "WINDOWEND"}


def query_findings(context: Context) -> Iterator[Finding]:
    """Findings in each query."""
    for one, statement, query in context.selects():
        yield from _window(statement, query)
        yield from _bounds_without_alias(statement, query)
        yield from _star(statement, query)
        yield from _sums(context, one, statement, query)
        yield from _skipped_nulls(context, one, statement, query)
        yield from _settings(statement)
        yield from _cache(context, one, statement)


def milliseconds(duration: ast.Duration) -> int:
    """The length of a duration as written."""
    unit = duration.unit if duration.unit.endswith("S") else duration.unit + "S"
    return duration.amount * _UNIT_MS[unit]


def _window(statement: FileStatement, query: ast.Query) -> Iterator[Finding]:
    window = query.window
    if window is None:
        return
    if window.grace is None:
        yield finding(
            statement, window, "window-without-grace",
            "Without GRACE PERIOD a record is dropped as soon as its window has passed by 24 hours: late checks vanish "
            "from the figures and nobody is told.",
            "Write GRACE PERIOD with the longest delay that still counts, for example GRACE PERIOD 3653 DAYS.",
        )  # fmt: skip
    if window.retention is None:
        yield finding(
            statement, window, "window-without-retention",
            "Without RETENTION the state of a window is kept for size and grace only, rounded by the server, and the "
            "topic's retention with it.",
            "Write RETENTION with a little more than size and grace together.",
        )  # fmt: skip
    if window.grace is not None and window.retention is not None:
        needed = milliseconds(window.size) + milliseconds(window.grace)
        if milliseconds(window.retention) < needed:
            yield finding(
                statement, window, "retention-too-short",
                "RETENTION is shorter than size and grace together: a late record would find its window's state gone "
                "and begin it again at nothing.",
                f"Write a RETENTION of at least {-(-needed // 86_400_000)} DAYS.",
            )  # fmt: skip


def _bounds_without_alias(statement: FileStatement, query: ast.Query) -> Iterator[Finding]:
    for item in query.select:
        if (
            isinstance(item, ast.SelectItem)
            and item.alias is None
            and isinstance(item.expression, ast.ColumnRef)
            and item.expression.name in _BOUNDS
        ):
            name = item.expression.name
            yield finding(
                statement, item.expression, "window-bound-without-alias",
                f"{name} without an alias is refused: the result has a column of this name already.",
                f"Write FROM_UNIXTIME({name}) AS hour_start (or another name), so that a sink can store it as a time.",
            )  # fmt: skip


def _star(statement: FileStatement, query: ast.Query) -> Iterator[Finding]:
    for item in query.select:
        if isinstance(item, ast.SelectAll):
            yield finding(
                statement, item, "select-star",
                "SELECT * in a query that stays: its columns are those of the day it was created, and differ from the "
                "file's as soon as the source has another.",
                "List the columns.",
            )  # fmt: skip


def _sums(context: Context, one: PipelineObject, statement: FileStatement, query: ast.Query) -> Iterator[Finding]:
    del one
    columns = _columns(context, query)
    for node in walk(query):
        if not isinstance(node, ast.FunctionCall) or node.name != "SUM" or len(node.arguments) != 1:
            continue
        kind = type_of(node.arguments[0], columns)
        if isinstance(kind, DecimalType) and kind.precision < _WIDEST:
            argument = format_expression(node.arguments[0])
            yield finding(
                statement, node, "sum-of-narrow-decimal",
                f"SUM keeps the {kind.precision} digits of {argument}; a sum that needs more stalls the query.",
                f"Write SUM(CAST({argument} AS DECIMAL({_WIDEST},{kind.scale}))).",
            )  # fmt: skip


def _columns(context: Context, query: ast.Query) -> dict[str, SqlType]:
    found: dict[str, SqlType] = {}
    for source in (query.source, *(join.source for join in query.joins)):
        typed = context.typed.get(source.name)
        if typed is not None:
            for name, kind in {**typed.keys, **typed.values}.items():
                found.setdefault(name, kind)
                found[f"{source.alias}.{name}"] = kind
    return found


def type_of(expression: ast.Expression, columns: dict[str, SqlType]) -> SqlType | None:
    """The type of an expression as far as sums of decimals need it, None where it is not followed."""
    match expression:
        case ast.Cast(type=kind) if isinstance(kind, SqlType):
            return kind
        case ast.ColumnRef(name=name, source=source):
            return columns.get(f"{source}.{name}" if source else name)
        case ast.FieldAccess(base=base, name=name):
            inner = type_of(base, columns)
            if isinstance(inner, StructType):
                return next((field.type for field in inner.fields if field.name == name), None)
        case ast.Sign(operand=operand):
            return type_of(operand, columns)
        case ast.Arithmetic(operator=operator, left=left, right=right):
            return _arithmetic(operator, type_of(left, columns), type_of(right, columns))
        case ast.Case(whens=whens, default=default):
            results = [when.result for when in whens] + ([default] if default is not None else [])
            kinds = [type_of(result, columns) for result in results]
            decimals = [kind for kind in kinds if isinstance(kind, DecimalType)]
            return max(decimals, key=lambda kind: kind.precision) if decimals else None
        case _:
            pass
    return None


def _arithmetic(operator: ast.ArithmeticOperator, left: SqlType | None, right: SqlType | None) -> SqlType | None:
    if not isinstance(left, DecimalType) or not isinstance(right, DecimalType):
        return left if isinstance(left, DecimalType) else right if isinstance(right, DecimalType) else None
    if operator is ast.ArithmeticOperator.MULTIPLY:
        return DecimalType(left.base, min(_WIDEST, left.precision + right.precision + 1), left.scale + right.scale)
    scale = max(left.scale, right.scale)
    whole = max(left.precision - left.scale, right.precision - right.scale)
    return DecimalType(left.base, min(_WIDEST, whole + scale + 1), scale)


def _skipped_nulls(
    context: Context, one: PipelineObject, statement: FileStatement, query: ast.Query
) -> Iterator[Finding]:
    """Only sources from outside have columns that are known to be optional: their schema says so."""
    del one
    source = context.pipeline.objects[query.source.name]
    schema = context.outside.get(source.topic) if not source.writes else None
    if schema is None or context.pipeline.writer_of(source.topic) is not None:
        return
    optional = {
        str(part["name"]).upper()
        for part in schema["fields"]
        if isinstance(part["type"], list) and "null" in part["type"]
    }
    for node in walk(query):
        if (
            isinstance(node, ast.FunctionCall)
            and node.name in {"EARLIEST_BY_OFFSET", "LATEST_BY_OFFSET"}
            and len(node.arguments) == 1
            and isinstance(node.arguments[0], ast.ColumnRef)
            and node.arguments[0].name in optional
        ):
            name = format_expression(node.arguments[0])
            yield finding(
                statement, node, "skipped-nulls",
                f"{node.name} passes over nulls, and {name} is optional: the value would be another record's.",
                f"Write {node.name}({name}, false).",
            )  # fmt: skip


def _settings(statement: FileStatement) -> Iterator[Finding]:
    if statement.settings.get("auto.offset.reset") != "earliest":
        yield finding(
            statement, None, "starts-at-the-end",
            "Without auto.offset.reset=earliest the query passes over everything that was there before it.",
            "Write SET 'auto.offset.reset'='earliest'; above.",
        )  # fmt: skip
    if statement.settings.get("processing.guarantee") != "exactly_once_v2":
        yield finding(
            statement, None, "not-exactly-once",
            "Without processing.guarantee=exactly_once_v2 a crash counts records twice.",
            "Write SET 'processing.guarantee'='exactly_once_v2'; above.",
        )  # fmt: skip


def _cache(context: Context, one: PipelineObject, statement: FileStatement) -> Iterator[Finding]:
    reader = next((other for other in context.pipeline if not other.writes and other.topic == one.topic), None)
    if one.kind != "TABLE" or reader is None or reader.kind != "STREAM":
        return
    if statement.settings.get("cache.max.bytes.buffering") != "0":
        yield finding(
            statement, None, "cache-hides-updates",
            f"{reader.name} reads this table's updates one by one, and with a cache some of them are never written: "
            f"a count can go from 1 to 2 unseen.",
            "Write SET 'cache.max.bytes.buffering'='0'; above, and the old value again below.",
        )  # fmt: skip
