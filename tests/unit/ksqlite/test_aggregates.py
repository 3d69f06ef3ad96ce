"""Aggregates: each alone, merged over sessions, undone over tables, and in generated code."""

import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksqlite.errors import AnalysisError
from ksqlite.functions import REGISTRY, order
from ksqlite.parser import parse_expression
from ksqlite.types import BIGINT, BYTES, DOUBLE, INTEGER, STRING, array, decimal, map_of, struct
from tests.unit.ksqlite.evaluating import Columns, compiled

TYPES = {"I": INTEGER, "L": BIGINT, "D": DOUBLE, "N": decimal(4, 1), "S": STRING, "Y": BYTES, "A": array(INTEGER)}


def bind(call: Any, *, merges: bool = True) -> Any:
    """The aggregate of a call over the columns of TYPES."""
    node: Any = parse_expression(call)
    types = [compiled(call_argument, TYPES)[0].type for call_argument in arguments(call)]
    return REGISTRY.aggregate(node.name, node.arguments, types, merges=merges)


def arguments(call: Any) -> Any:
    inside = call[call.index("(") + 1 : -1]
    return [part.strip() for part in inside.split(",")] if inside and inside != "*" else []


def run(call: Any, rows: Any, *, merges: bool = True) -> Any:
    """The results after each row."""
    udaf = bind(call, merges=merges).udaf
    state = udaf.init()
    results = []
    for row in rows:
        state = udaf.update(state, *row)
        results.append(udaf.result(state))
    return results


def of(*values: object) -> list[Any]:
    return [(value,) for value in values]


@pytest.mark.parametrize(
    ("call", "rows", "expected"),
    [
        ("COUNT(*)", [(), ()], [1, 2]),
        ("COUNT(I)", of(1, None, 3), [1, 1, 2]),
        ("SUM(I)", of(None, 2, 2**31 - 1), [0, 2, -(2**31) + 1]),
        ("SUM(L)", of(2**31, 100), [2**31, 2**31 + 100]),
        ("SUM(D)", of(5.4, 100.1), [5.4, 105.5]),
        ("SUM(N)", of(Decimal("5.4"), None), [Decimal("5.4"), Decimal("5.4")]),
        ("SUM_LIST(A)", of([1, 1], [2, None], None), [2, 4, 4]),
        ("MIN(D)", of(None, 5.1, 100.1, -1.0), [None, 5.1, 5.1, -1.0]),
        ("MAX(S)", of("B", "A", None, "F"), ["B", "B", "B", "F"]),
        ("MAX(Y)", of(b"\x01", b"\x80"), [b"\x01", b"\x01"]),
        (
            "AVG(L)",
            of(-1, 2**63 - 1, 1, None),
            [-1.0, 4.611686018427388e18, 3.0744573456182584e18, 3.0744573456182584e18],
        ),
        ("STDDEV_SAMPLE(I)", of(0, 10, 7, 6), [0.0, 7.0710678118654755, 5.131601439446884, 4.193248541803041]),
        ("STDDEV_SAMP(L)", of(500, 100, 0, -6), [0.0, 80000.0, 70000.0, 57275.666666666664]),
        ("COLLECT_LIST(S)", of("a", None, "a"), [["a"], ["a", None], ["a", None, "a"]]),
        ("COLLECT_SET(S)", of("a", "b", "a"), [["a"], ["a", "b"], ["a", "b"]]),
        ("HISTOGRAM(S)", of("a", "a", None), [{"a": 1}, {"a": 2}, {"a": 2}]),
        ("ATTR(S)", of("a", "a", "b"), ["a", "a", None]),
        ("COUNT_DISTINCT(S)", of("a", "b", "a", None), [1, 2, 2, 2]),
        (
            "TOPK(D, 3)",
            of(9.0, 1.5, 1.0, 7.0, 1.5),
            [[9.0], [9.0, 1.5], [9.0, 1.5, 1.0], [9.0, 7.0, 1.5], [9.0, 7.0, 1.5]],
        ),
        ("TOPKDISTINCT(I, 2)", of(0, 100, None, 99, 100), [[0], [100, 0], [100, 0], [100, 99], [100, 99]]),
        ("EARLIEST_BY_OFFSET(I)", of(None, 13, 14), [None, 13, 13]),
        ("EARLIEST_BY_OFFSET(I, false)", of(None, 13), [None, None]),
        ("EARLIEST_BY_OFFSET(I, 2)", of(None, 1, 2, 3), [[], [1], [1, 2], [1, 2]]),
        ("EARLIEST_BY_OFFSET(I, 2, false)", of(None, 1), [[None], [None, 1]]),
        ("LATEST_BY_OFFSET(I)", of(12, None, 13), [12, 12, 13]),
        ("LATEST_BY_OFFSET(I, false)", of(12, None), [12, None]),
        ("LATEST_BY_OFFSET(I, 2)", of(1, None, 2, 3), [[1], [1], [1, 2], [2, 3]]),
        ("LATEST_BY_OFFSET(I, 2, false)", of(1, None, 3), [[1], [1, None], [None, 3]]),
    ],
)
@pytest.mark.parametrize("merges", [True, False])
def test_results_row_by_row(call: str, rows: Any, expected: list[Any], merges: bool) -> None:
    """After each row an aggregate's result is ksqlDB's, with the state for sessions and with the plain one."""
    assert run(call, rows, merges=merges) == expected


def test_topk_with_columns_gives_structs() -> None:
    """TOPK with further columns gives structs, equals in order of arrival."""
    bound = bind("TOPK(I, S, 3)")
    assert bound.udaf.result_type == array(struct(("sort_col", INTEGER), ("col0", STRING)))
    assert run("TOPK(I, S, 3)", [(0, "zero"), (100, "one"), (None, "x"), (100, None)])[-1] == [
        (100, "one"),
        (100, None),
        (0, "zero"),
    ]


def test_correlation() -> None:
    """CORRELATION is Pearson's coefficient, NaN while a value does not vary."""
    results = run("CORRELATION(D, D)", [(1.5, 8.0), (-1.0, -2.0), (-4.5, -1.0), (None, 1.0)])
    assert math.isnan(results[0])
    assert results[1:] == [1.0, 0.7580764521133173, 0.7580764521133173]


MERGEABLE = [
    "COUNT(I)", "SUM(I)", "SUM(D)", "MIN(I)", "MAX(I)", "AVG(I)", "COLLECT_LIST(I)", "COLLECT_SET(I)", "ATTR(I)",
    "COUNT_DISTINCT(I)", "TOPK(I, 3)", "TOPKDISTINCT(I, 3)", "EARLIEST_BY_OFFSET(I)", "LATEST_BY_OFFSET(I)",
    "EARLIEST_BY_OFFSET(I, 2)", "LATEST_BY_OFFSET(I, 2)", "EARLIEST_BY_OFFSET(I, false)", "LATEST_BY_OFFSET(I, false)",
]  # fmt: skip


@pytest.mark.parametrize("call", MERGEABLE)
@given(rows=st.lists(st.none() | st.integers(-5, 5), max_size=8), cut=st.integers(0, 8))
def test_two_sessions_merge_to_one(call: Any, rows: list[Any], cut: int) -> None:
    """What two sessions aggregated one after the other merges to what one would have."""
    udaf = bind(call).udaf
    first = second = udaf.init()
    for row in rows[:cut]:
        first = udaf.update(first, row)
    for row in rows[cut:]:
        second = udaf.update(second, row)
    expected = run(call, of(*rows))[-1] if rows else udaf.result(udaf.init())
    assert udaf.result(udaf.merge(first, second)) == expected


def test_arrival_decides_when_sessions_merge() -> None:
    """The earliest value of merged sessions is the one that arrived first, whichever session is the earlier."""
    udaf = bind("EARLIEST_BY_OFFSET(I)").udaf
    late_session = udaf.update(udaf.init(), 1)
    early_session = udaf.update(udaf.init(), 2)
    assert udaf.result(udaf.merge(early_session, late_session)) == 1
    latest = bind("LATEST_BY_OFFSET(I)").udaf
    late_session = latest.update(latest.init(), 1)
    early_session = latest.update(latest.init(), 2)
    assert latest.result(latest.merge(early_session, late_session)) == 2


@pytest.mark.parametrize("call", ["COUNT(I)", "SUM(I)", "AVG(I)", "COLLECT_LIST(I)", "STDDEV_SAMPLE(I)", "ATTR(I)"])
@given(rows=st.lists(st.none() | st.integers(-5, 5), min_size=1, max_size=6))
def test_undo_takes_a_row_back(call: str, rows: list[Any]) -> None:
    """Undoing the last row gives the result before it."""
    udaf = bind(call).udaf
    state = udaf.init()
    for row in rows[:-1]:
        state = udaf.update(state, row)
    before = udaf.result(state)
    after = udaf.result(udaf.undo(udaf.update(state, rows[-1]), rows[-1]))
    assert after == pytest.approx(before) if isinstance(before, float) else after == before


@pytest.mark.parametrize("call", ["MIN(I)", "LATEST_BY_OFFSET(I)", "TOPK(I, 3)", "COLLECT_SET(I)", "COUNT_DISTINCT(I)"])
def test_what_cannot_be_undone(call: str) -> None:
    """Aggregates that ksqlDB refuses over tables have no undo."""
    assert bind(call).udaf.undo is None


INLINED = [
    "COUNT(*)", "COUNT(I)", "SUM(I)", "SUM(L)", "SUM(D)", "SUM(N)", "MIN(I)", "MAX(S)", "EARLIEST_BY_OFFSET(I)",
    "LATEST_BY_OFFSET(I)", "LATEST_BY_OFFSET(I, false)", "EARLIEST_BY_OFFSET(I, false)",
]  # fmt: skip


@pytest.mark.parametrize("call", INLINED)
@pytest.mark.parametrize("merges", [True, False])
def test_generated_code_agrees_with_the_call(call: Any, merges: bool) -> None:
    """The source for the engine's code does what ``update`` and ``result`` do."""
    bound = bind(call, merges=merges)
    udaf = bound.udaf
    names = [f"x{position}" for position in range(len(bound.inputs))]
    env = dict(udaf.inline_names)
    source = (
        f"lambda s, {', '.join(names)}: {udaf.inline_update('s', *names)}"
        if names
        else f"lambda s: {udaf.inline_update('s')}"
    )
    update = eval(source, env)  # noqa: S307 - what is tested is source
    result = eval(f"lambda s: {udaf.inline_result('s')}", env)  # noqa: S307 - what is tested is source
    samples: dict[str, list[Any]] = {
        "S": ["b", None, "a", "c"],
        "N": [Decimal("1.5"), None, Decimal("99.9")],
        "D": [1.5, None, -2.0],
    }
    column = arguments(call)[0] if names else "I"
    state = udaf.init()
    for sample in samples.get(column, [5, None, 2**31 - 1, -3, None]):
        row = (sample,) if names else ()
        expected = udaf.result(udaf.update(state, *row))
        state = update(state, *row)
        assert result(state) == expected


def test_states_of_single_values_are_plain_without_sessions() -> None:
    """Where states never merge, EARLIEST and LATEST keep the value alone."""
    assert bind("LATEST_BY_OFFSET(S)", merges=False).udaf.state_type == STRING
    assert bind("LATEST_BY_OFFSET(S)").udaf.state_type == struct(("SEQ", BIGINT), ("VAL", STRING))


def test_distinct_counts_are_estimated_when_many() -> None:
    """Beyond 2,048 values COUNT_DISTINCT is right within a few percent, also merged."""
    udaf = bind("COUNT_DISTINCT(I)").udaf
    first = second = udaf.init()
    for number in range(6000):
        if number < 4000:
            first = udaf.update(first, number)
        if number > 2000:
            second = udaf.update(second, number)
    assert udaf.result(first) == pytest.approx(4000, rel=0.06)
    assert udaf.result(udaf.merge(first, second)) == pytest.approx(6000, rel=0.06)


def test_constant_arguments_must_be_literals() -> None:
    """A column where a constant is wanted is refused, by its position."""
    with pytest.raises(
        AnalysisError,
        match="Parameter 2 passed to function EARLIEST_BY_OFFSET must be a literal constant, but was expression: 'I'",
    ):
        bind("EARLIEST_BY_OFFSET(I, I)")
    with pytest.raises(AnalysisError, match="earliestN must be 1 or greater"):
        bind("EARLIEST_BY_OFFSET(I, 0)")


def test_bound_aggregates_name_their_inputs() -> None:
    """The planner is told which arguments to compute for each row, and to what type."""
    bound = bind("TOPK(I, S, 3)")
    assert bound.inputs == (0, 1)
    assert bound.input_types == (INTEGER, STRING)
    assert bind("HISTOGRAM(S)").udaf.result_type == map_of(STRING, BIGINT)
    assert Columns(TYPES).types["I"] == INTEGER


@given(
    sessions=st.lists(
        st.lists(st.tuples(*[st.none() | st.integers(0, 9)] * 2), min_size=1, max_size=4), min_size=1, max_size=3
    ),
    data=st.data(),
)
def test_a_shared_order_merges_as_single_numbers_do(sessions: list[Any], data: st.DataObject) -> None:
    """Sessions whose rows arrive in any order merge to the same values with one shared order as with one each."""
    calls = ["EARLIEST_BY_OFFSET(I)", "LATEST_BY_OFFSET(I)", "EARLIEST_BY_OFFSET(L)", "LATEST_BY_OFFSET(L)"]
    alone = [bind(call) for call in calls]
    shared, places = order.share(alone, [INTEGER, INTEGER, BIGINT, BIGINT])
    assert places == [0, 1, 2, 3]
    assert [bound.udaf.state_type for bound in shared[:4]] == [INTEGER, INTEGER, BIGINT, BIGINT]
    remaining = [list(rows) for rows in sessions]
    lone_states = [[bound.udaf.init() for bound in alone] for _ in sessions]
    shared_states = [[bound.udaf.init() for bound in shared] for _ in sessions]
    while any(remaining):
        at = data.draw(st.sampled_from([position for position, rows in enumerate(remaining) if rows]))
        first, second = remaining[at].pop(0)
        row = [first, first, second, second]
        inputs = [*((value,) for value in row), row]
        lone_states[at] = [
            bound.udaf.update(state, value) for bound, state, value in zip(alone, lone_states[at], row, strict=True)
        ]
        shared_states[at] = [
            bound.udaf.update(state, *values)
            for bound, state, values in zip(shared, shared_states[at], inputs, strict=True)
        ]
    lone, together = lone_states[0], shared_states[0]
    for other_lone, other in zip(lone_states[1:], shared_states[1:], strict=True):
        lone = [bound.udaf.merge(mine, its) for bound, mine, its in zip(alone, lone, other_lone, strict=True)]
        together = [
            bound.udaf.merge(mine, its) if bound.pick is None else bound.pick(mine, its, together[-1], other[-1])
            for bound, mine, its in zip(shared, together, other, strict=True)
        ]
    assert together[:4] == [bound.udaf.result(state) for bound, state in zip(alone, lone, strict=True)]


def test_the_orders_generated_code_agrees_with_the_call() -> None:
    """The quick way of the shared order's source and the slow one give what ``update`` gives."""
    shared, _ = order.share([bind("EARLIEST_BY_OFFSET(I)"), bind("LATEST_BY_OFFSET(L)")], [INTEGER, BIGINT])
    udaf = shared[-1].udaf
    update = eval(f"lambda s, a, b: {udaf.inline_update('s', 'a', 'b')}", dict(udaf.inline_names))  # noqa: S307
    state = None
    for row in [(None, 1), (2, None), (3, 4), (None, None)]:
        expected = udaf.update(state, *row)
        state = update(state, *row)
        known = {place for place, _ in (state[2] or {}).items()}
        assert known == set(expected[2] or {})
    assert udaf.inline_result("s") == "s"
