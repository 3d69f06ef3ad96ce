"""What can be joined with what, and by which condition; the rest is refused in ksqlDB's words."""

from __future__ import annotations

from ksqlite import ast
from ksqlite.errors import AnalysisError, UnsupportedError
from ksqlite.planner.relation import Relation
from ksqlite.planner.sources import SourceRef, Sources
from ksqlite.planner.wording import shown

_NAMES = {
    ast.JoinType.INNER: "[INNER] JOIN",
    ast.JoinType.LEFT: "LEFT [OUTER] JOIN",
    ast.JoinType.RIGHT: "RIGHT [OUTER] JOIN",
    ast.JoinType.FULL: "FULL [OUTER] JOIN",
}
REPARTITION = (
    "Implicit repartitioning of windowed sources is not supported. "
    "See https://github.com/confluentinc/ksql/issues/4385."
)


def condition_text(sources: Sources, join: ast.Join) -> str:
    """A join's condition as messages show it, with columns qualified."""
    condition = join.condition
    if isinstance(condition, ast.Comparison):
        sides = [
            shown(sources.qualified(sources.resolve(side, "JOIN ON"))) for side in (condition.left, condition.right)
        ]
        return f"{sides[0]} = {sides[1]}"
    return shown(condition)


def resolve_condition(
    sources: Sources, left: list[SourceRef], join: ast.Join, ref: SourceRef
) -> tuple[ast.Expression, ast.Expression]:
    """The condition's side over what stands before, and its side over the joined source. Raises AnalysisError."""
    condition = join.condition
    if isinstance(condition, ast.Logical):
        raise AnalysisError(f"JOINs on multiple conditions are not yet supported: {shown(condition)}")
    if not isinstance(condition, ast.Comparison) or condition.operator is not ast.ComparisonOperator.EQUAL:
        raise AnalysisError(f"Only equality join criteria is supported: {shown(condition)}")
    first = sources.resolve(condition.left, "JOIN ON")
    second = sources.resolve(condition.right, "JOIN ON")
    sides = []
    for written, side in ((condition.left, first), (condition.right, second)):
        named = sources.sources_of(side)
        if len(named) != 1:
            raise AnalysisError(
                f"Invalid comparison expression '{shown(written)}' in join "
                f"'{shown(condition)}'. Each side of the join comparision must contain references from "
                "exactly one source."
            )
        sides.append(named[0])
    if sides[0] is sides[1]:
        raise AnalysisError(
            "Each side of the join must reference exactly one source and not the same source. Left side references "
            f"`{sides[0].alias}` and right references `{sides[1].alias}`"
        )
    if ref not in sides:
        raise AnalysisError(
            f"A join criteria is expected to reference the source (`{ref.alias}`) in the FROM clause, "
            "instead the right "
            f"source references `{sides[1].alias}` and the left source references `{sides[0].alias}`"
        )
    other = sides[0] if sides[1] is ref else sides[1]
    if other not in left:
        raise AnalysisError(
            f"A join criteria is expected to reference a source that stands before `{ref.alias}`, not `{other.alias}`"
        )
    return (first, second) if sides[1] is ref else (second, first)


def check_order(left: Relation, join: ast.Join, ref: SourceRef) -> None:
    """Which kinds of source can be joined how. Raises AnalysisError."""
    if left.is_table and not ref.is_table:
        raise AnalysisError(
            "Invalid join order: table-stream joins are not supported; only stream-table joins. Got "
            f"{left.left_alias} {_NAMES[join.type]} {ref.alias}."
        )
    if left.is_table or ref.is_table:
        if join.within is not None:
            kind = "Table-Table" if left.is_table else "Stream-Table"
            raise AnalysisError(
                f"A window definition was provided for a {kind} join. These joins are not windowed. Please "
                "drop the "
                "window definition (ie. the WITHIN clause) and try to execute your join again."
            )
        if not left.is_table and join.type in (ast.JoinType.FULL, ast.JoinType.RIGHT):
            name = "Full outer" if join.type is ast.JoinType.FULL else "Right outer"
            raise AnalysisError(f"{name} joins between streams and tables are not supported.")
    elif join.within is None:
        raise AnalysisError(
            "Stream-Stream joins must have a WITHIN clause specified. None was provided. To learn about "
            "how to specify "
            "a WITHIN clause with a stream-stream join, please visit: https://docs.confluent.io/current/ksql/docs/"
            "syntax-reference.html#create-stream-as-select"
        )


def check_windows(left: Relation, right: Relation) -> None:
    """Windowed sources join windowed ones of the same kind and size only. Raises AnalysisError, UnsupportedError."""
    if left.window is None and right.window is None:
        return
    if left.window is None or right.window is None:
        plain, windowed = (left, right) if left.window is None else (right, left)
        if plain is left and windowed.is_table:
            raise UnsupportedError(
                f"Joining {plain.left_alias}, which is not windowed, with {windowed.left_alias}, which is, is not "
                "supported: read the windowed topic as a stream without WINDOW_TYPE"
            )
        raise AnalysisError(REPARTITION)
    session = ast.WindowType.SESSION
    if (left.window.type is session) != (right.window.type is session):
        raise AnalysisError(
            f"Incompatible windowed sources.\nLeft source: {left.window.type.value}\nRight source: "
            f"{right.window.type.value}\nSession windowed sources can only be joined to other session "
            "windowed sources, "
            "and may still not result in expected behaviour as session bounds must be an exact match for "
            "the join to "
            "work\nHopping and tumbling windowed sources can only be joined to other hopping and tumbling windowed "
            "sources"
        )
    if left.window.size_ms != right.window.size_ms:
        raise AnalysisError(REPARTITION)


def check_table_join(  # noqa: PLR0917 - one call
    left: Relation,
    join: ast.Join,
    right: Relation,
    left_expression: ast.Expression,
    right_expression: ast.Expression,
    shown: str,
) -> bool:
    """Whether it is a foreign-key join. Raises AnalysisError where the table is not joined by its key."""
    primary = len(right.key) == 1 and right_expression in right.key[0].viable
    if not left.is_table:
        if not primary:
            raise AnalysisError(
                f"Invalid join condition: stream-table joins require to join on the table's primary key. Got {shown}."
            )
        return False
    if not primary:
        raise AnalysisError(
            "Invalid join condition: table-table joins require to join on the primary key of the right "
            "input table. Got "
            f"{shown}."
        )
    if len(left.key) == 1 and left_expression in left.key[0].viable:
        return False
    if len(left.refs) > 1:
        raise AnalysisError(
            "Invalid join condition: foreign-key table-table joins are not supported as part of n-way joins. Got "
            f"{shown}."
        )
    if join.type in (ast.JoinType.RIGHT, ast.JoinType.FULL):
        name = "RIGHT" if join.type is ast.JoinType.RIGHT else "FULL"
        raise AnalysisError(f"Invalid join type: {name} OUTER JOIN on a foreign key is not supported")
    return True


def check_partitions(
    left: Relation, right: Relation, left_expression: ast.Expression, right_expression: ast.Expression
) -> None:
    """Sources that are joined by their keys as they are must have the same number of partitions."""
    left_stays = any(left_expression in column.viable for column in left.key) and len(left.key) == 1
    right_stays = any(right_expression in column.viable for column in right.key) and len(right.key) == 1
    if left_stays and right_stays and left.partitions != right.partitions and len(left.refs) == 1:
        first, second = left.refs[0], right.refs[0]
        raise AnalysisError(
            f"Can't join `{first.info.name}` with `{second.info.name}` since the number of partitions don't match. "
            f"`{first.info.name}` partitions = {left.partitions}; `{second.info.name}` partitions = "
            f"{right.partitions}. Please repartition either one so that the number of partitions match."
        )


def key_name(left_expression: ast.Expression, right_expression: ast.Expression) -> str:
    """The join key's name in messages."""
    for expression in (left_expression, right_expression):
        if isinstance(expression, ast.ColumnRef):
            return expression.name
    return "ROWKEY"
