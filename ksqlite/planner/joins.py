"""Plans FROM and its joins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ksqlite import ast
from ksqlite.engine.api import StoreKind, StoreSpec
from ksqlite.errors import AnalysisError, UnsupportedError
from ksqlite.expressions import Binding, Compiled
from ksqlite.formats import FORMATS, FormatSpec, check_keys
from ksqlite.planner.conditions import (
    REPARTITION,
    check_order,
    check_partitions,
    check_table_join,
    check_windows,
    condition_text,
    key_name,
    resolve_condition,
)
from ksqlite.planner.durations import DAY_MS, milliseconds
from ksqlite.planner.model import (
    ForeignKeyJoinStep,
    RepartitionStep,
    SourceStep,
    Step,
    StreamStreamJoinStep,
    StreamTableJoinStep,
    TableTableJoinStep,
    TransformStep,
)
from ksqlite.planner.relation import Expressions, KeyColumn, Relation
from ksqlite.planner.sides import side_of
from ksqlite.planner.sources import NameGenerator, SourceRef, Sources
from ksqlite.planner.wording import shown
from ksqlite.properties import DEFAULT_KEY_FORMAT
from ksqlite.types import BIGINT, Column, Namespace, SqlType


class JoinPlanner:
    """Joins the sources of one query, left to right."""

    def __init__(
        self,
        query: ast.Query,
        sources: Sources,
        used: set[str],
        expressions: Expressions,
        settings: Mapping[str, Any],
    ) -> None:
        self.query = query
        self.settings = settings
        self.sources = sources
        self.used = used
        self.expressions = expressions
        self.internal: list[tuple[str, object, object]] = []
        self.names = NameGenerator([column for ref in sources.refs for column in ref.columns])
        self.value_format = sources.refs[0].info.value_format

    def plan(self) -> Relation:
        """The relation of all sources joined."""
        before: list[SourceRef] = [self.sources.refs[0]]
        for join, ref in zip(self.query.joins, self.sources.refs[1:], strict=True):
            resolve_condition(self.sources, before, join, ref)
            before.append(ref)
        relation = self._side(self.sources.refs[0])
        for position, (join, ref) in enumerate(zip(self.query.joins, self.sources.refs[1:], strict=True)):
            prefix = "L_" * (len(self.query.joins) - 1 - position)
            relation = self._join(relation, join, ref, prefix)
        return relation

    def _side(self, ref: SourceRef) -> Relation:
        return side_of(ref, self.sources, self.used, f"{ref.alias}-Materialize")

    def _join(self, left: Relation, join: ast.Join, ref: SourceRef, prefix: str) -> Relation:
        left_expression, right_expression = resolve_condition(self.sources, left.refs, join, ref)
        right = self._side(ref)
        check_order(left, join, ref)
        check_windows(left, right)
        shown = condition_text(self.sources, join)
        left_key = self.expressions.compile(left_expression, left.bindings, "JOIN ON")
        right_key = self.expressions.compile(right_expression, right.bindings, "JOIN ON")
        foreign = False
        if ref.is_table:
            foreign = check_table_join(left, join, right, left_expression, right_expression, shown)
        if left_key.type != right_key.type:
            got = (
                f"{self._text(left_expression)}{{{left_key.type}}} = {self._text(right_expression)}{{{right_key.type}}}"
            )
            raise AnalysisError(f"Invalid join condition: types don't match. Got {got}.")
        if foreign:
            return self._foreign(left, join, right, left_key)
        key_type = left_key.type
        if key_type is None:
            raise AnalysisError(f"Invalid join condition: {shown} compares with NULL.")
        check_keys([Column(key_name(left_expression, right_expression), key_type, Namespace.KEY)])
        check_partitions(left, right, left_expression, right_expression)
        self._choose_key_format(left, right, right_expression)
        left_step = self._keyed(left, left_expression, left_key, f"{prefix}Join-left", ref)
        right_step = right.step
        if not ref.is_table:
            right_step = self._keyed(right, right_expression, right_key, f"{prefix}Join-right", ref, left=left)
        viable, synthetic = self._viable(left, join, left_expression, right_expression)
        bindings = {**left.bindings, **_shifted(right.bindings, left.width)}
        if left.synthetic is not None:
            bindings.pop(left.synthetic)
        if synthetic is not None:
            bindings[synthetic] = Binding("k[0]", key_type)
        result = Relation(
            step=left_step,
            is_table=left.is_table,
            changes=left.is_table,
            key=[KeyColumn(key_type, viable)],
            bindings=bindings,
            width=left.width + right.width,
            window=left.window,
            key_format=self._key_format(left),
            refs=[*left.refs, ref],
            partitions=max(left.partitions, right.partitions),
            synthetic=synthetic,
            left_alias=left.left_alias,
        )
        key_types = (key_type,) if left.window is None else (key_type, BIGINT, BIGINT)
        if left.is_table:
            result.step = self._table_table(left, right, left_step, right_step, join, key_types, prefix)
        elif ref.is_table:
            result.step = StreamTableJoinStep(
                left_step, right_step, left=join.type is ast.JoinType.LEFT, right_width=right.width
            )
        else:
            result.step = self._stream_stream(left, right, left_step, right_step, join, key_types, prefix)
        return result

    def _text(self, expression: ast.Expression) -> str:
        return shown(self.sources.qualified(expression))

    # ----------------------------------------------------------------------------------------------------------- wiring

    def _choose_key_format(self, left: Relation, right: Relation, right_expression: ast.Expression) -> None:
        """A side without key takes the other's key format where that side stays as it is, otherwise the default."""
        if left.key_format is None or left.key_format.name != "NONE":
            return
        stays = len(right.key) == 1 and right_expression in right.key[0].viable
        if stays and right.key_format.name != "NONE":
            left.key_format = right.key_format
        else:
            left.key_format = FormatSpec(str(self.settings.get(DEFAULT_KEY_FORMAT) or "KAFKA"))

    def _key_format(self, left: Relation) -> object:
        return left.key_format

    def _keyed(  # noqa: PLR0917 - one call
        self,
        side: Relation,
        expression: ast.Expression,
        compiled: Compiled,
        name: str,
        ref: SourceRef,
        left: Relation | None = None,
    ) -> Step:
        """The side's step, repartitioned where the join's key is not its key."""
        stays = len(side.key) == 1 and expression in side.key[0].viable
        target = (left or side).key_format
        format_changes = left is not None and target is not None and side.key_format != target
        registered = bool(side.key_format is not None and FORMATS[side.key_format.name].inference)
        if stays and side.window is None and (format_changes or registered):
            stream_table = ref.is_table and not side.is_table
            self.internal.append((f"{'Join' if stream_table else name}-repartition", target, self.value_format))
            if stream_table:
                self.internal.append(("RightSourceKeyed-SelectKey-repartition", target, self.value_format))
        if stays:
            return side.step
        if side.window is not None:
            raise AnalysisError(REPARTITION)
        if side.is_table:
            raise UnsupportedError("Joining a table by an expression over its key is not supported")
        assert compiled.type is not None  # noqa: S101 - for the type checker
        topic = f"{'Join' if ref.is_table else name}-repartition"
        self.internal.append((topic, target, self.value_format))
        rekeyed = TransformStep(side.step, keys=[compiled], width=side.width)
        return RepartitionStep(rekeyed, topic, (compiled.type,), ("KEY",), target)

    def _viable(
        self, left: Relation, join: ast.Join, left_expression: ast.Expression, right_expression: ast.Expression
    ) -> tuple[list[ast.Expression], str | None]:
        """The columns that the result's key is, and the made-up one's name where there is none."""
        if join.type is ast.JoinType.FULL:
            viable: list[ast.Expression] = []
        elif len(left.key) == 1 and left_expression in left.key[0].viable and left.synthetic is None:
            viable = list(left.key[0].viable)
        else:
            viable = [left_expression] if isinstance(left_expression, ast.ColumnRef) else []
        if join.type is not ast.JoinType.FULL and isinstance(right_expression, ast.ColumnRef):
            viable.append(right_expression)
        if viable:
            return viable, None
        synthetic = self.names.unique("ROWKEY")
        return [ast.ColumnRef(synthetic)], synthetic

    def _foreign(self, left: Relation, join: ast.Join, right: Relation, foreign: Compiled) -> Relation:
        left_types = tuple(column.type for column in left.key)
        right_types = tuple(column.type for column in right.key)
        right_ref = right.refs[0]
        if right_ref.info.key_format is not None and FORMATS[right_ref.info.key_format.name].inference:
            self.internal.append(
                ("RightSourceKeyed-SelectKey-repartition", self._key_format(left), right_ref.info.value_format)
            )
        left_step, right_step = left.step, right.step
        assert isinstance(left_step, SourceStep)  # noqa: S101 - an FK join stands first
        assert isinstance(right_step, SourceStep)  # noqa: S101 - the joined source
        left_store, right_store = left_step.store, right_step.store
        assert left_store is not None  # noqa: S101 - tables have one
        assert right_store is not None  # noqa: S101 - tables have one
        step = ForeignKeyJoinStep(
            left=left_step,
            right=right_step,
            foreign=foreign,
            left_outer=join.type is ast.JoinType.LEFT,
            left_width=left.width,
            right_width=right.width,
            left_store=left_store,
            right_store=right_store,
            index_store=StoreSpec("FK-JOIN-SUBSCRIPTION", StoreKind.KEY_VALUE, (*right_types, *left_types), (BIGINT,)),
        )
        return Relation(
            step=step,
            is_table=True,
            changes=True,
            key=left.key,
            bindings={**left.bindings, **_shifted(right.bindings, left.width)},
            width=left.width + right.width,
            window=None,
            key_format=left.key_format,
            refs=[*left.refs, *right.refs],
            partitions=left.partitions,
            foreign=True,
            left_alias=left.left_alias,
        )

    def _table_table(  # noqa: PLR0917 - one call
        self,
        left: Relation,
        right: Relation,
        left_step: Step,
        right_step: Step,
        join: ast.Join,
        key_types: tuple[SqlType, ...],
        prefix: str,
    ) -> Step:
        if left_step is left.step and isinstance(left_step, SourceStep):
            assert left_step.store is not None  # noqa: S101 - tables have one
            left_store = left_step.store
        else:
            types = _types(left)
            left_store = StoreSpec(f"{prefix}Join-left", StoreKind.KEY_VALUE, key_types, (*types, BIGINT))
        assert isinstance(right_step, SourceStep)  # noqa: S101 - the joined source
        assert right_step.store is not None  # noqa: S101 - tables have one
        if any(f and FORMATS[f.name].inference for f in (left.key_format, right.key_format)):
            for side, relation in (("Left", left), ("Right", right)):
                if relation.key_format and FORMATS[relation.key_format.name].inference:
                    topic = f"{side}SourceKeyed-SelectKey-repartition"
                    self.internal.append((topic, self._key_format(left), self.value_format))
        return TableTableJoinStep(
            left=left_step,
            right=right_step,
            type=join.type,
            left_width=left.width,
            right_width=right.width,
            left_store=left_store,
            right_store=right_step.store,
        )

    def _stream_stream(  # noqa: PLR0917 - one call
        self,
        left: Relation,
        right: Relation,
        left_step: Step,
        right_step: Step,
        join: ast.Join,
        key_types: tuple[SqlType, ...],
        prefix: str,
    ) -> Step:
        within = join.within
        assert within is not None  # noqa: S101 - checked before
        before, after = milliseconds(within.before), milliseconds(within.after)
        eager = within.grace is None
        grace = DAY_MS if within.grace is None else milliseconds(within.grace)
        retention = before + after + grace

        def store(name: str, types: list[SqlType]) -> StoreSpec:
            return StoreSpec(name, StoreKind.WINDOW, (*key_types, BIGINT, BIGINT), tuple(types), retention_ms=retention)

        outer = None
        if join.type is not ast.JoinType.INNER and not eager:
            outer = StoreSpec(
                f"{prefix}Join-outer",
                StoreKind.TIMED,
                (BIGINT, BIGINT, *key_types, BIGINT),
                (*_types(left), *_types(right)),
            )
        return StreamStreamJoinStep(
            left=left_step,
            right=right_step,
            type=join.type,
            before_ms=before,
            after_ms=after,
            grace_ms=grace,
            eager=eager,
            left_width=left.width,
            right_width=right.width,
            left_store=store(f"{prefix}Join-this", _types(left)),
            right_store=store(f"{prefix}Join-other", _types(right)),
            outer_store=outer,
        )


def _types(relation: Relation) -> list[SqlType]:
    """The types of the columns of a joined side's value tuple, in order."""
    placed = {binding.source: binding.type for binding in relation.bindings.values()}
    return [placed[f"v[{position}]"] for position in range(relation.width)]


def _shifted(bindings: dict[str, Binding], by: int) -> dict[str, Binding]:
    """The right side's bindings behind the left side's columns."""
    shifted = {}
    for name, binding in bindings.items():
        position = int(binding.source[2:-1])
        shifted[name] = Binding(f"v[{position + by}]", binding.type)
    return shifted
