"""Joins against naive models that look at all rows there ever were."""

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.ksqlite.playing import Play, last

STREAMS = """
CREATE STREAM L (K STRING KEY, V BIGINT) WITH (kafka_topic='l', value_format='JSON');
CREATE STREAM R (K STRING KEY, W BIGINT) WITH (kafka_topic='r', value_format='JSON');
"""
TABLES = """
CREATE TABLE L (K STRING PRIMARY KEY, V BIGINT, REF STRING) WITH (kafka_topic='l', value_format='JSON');
CREATE TABLE R (K STRING PRIMARY KEY, W BIGINT) WITH (kafka_topic='r', value_format='JSON');
"""
EVENTS = st.lists(
    st.tuples(st.sampled_from("lr"), st.sampled_from("ab"), st.integers(0, 9), st.integers(0, 60)), max_size=30
)
CHANGES = st.lists(
    st.tuples(
        st.sampled_from("lr"), st.sampled_from("ab"), st.none() | st.integers(0, 9), st.sampled_from("abc") | st.none()
    ),
    max_size=30,
)


def stream_row(left: Any, right: Any) -> dict[Any, Any]:
    return {"V": left, "W": right}


@given(EVENTS, st.integers(0, 20), st.integers(0, 20))
def test_inner_join_pairs_all_within_the_window(events: Any, before: int, after: int) -> None:
    """Each pair comes out once, when its later row arrives, at the later of both times."""
    world = Play(
        STREAMS,
        f"CREATE STREAM O AS SELECT L.K, V, W FROM L JOIN R WITHIN ({before} MILLISECONDS, {after} MILLISECONDS) "
        "GRACE PERIOD 1 DAY ON L.K = R.K;",
    )
    expected: list[Any] = []
    seen: list[Any] = []
    for side, key, value, ts in events:
        for other, other_key, other_value, other_ts in sorted(seen, key=lambda each: each[3]):
            if other == side or other_key != key:
                continue
            left, right = (value, other_value) if side == "l" else (other_value, value)
            left_ts, right_ts = (ts, other_ts) if side == "l" else (other_ts, ts)
            if left_ts - before <= right_ts <= left_ts + after:
                expected.append((key, None, stream_row(left, right), max(ts, other_ts)))
        seen.append((side, key, value, ts))
        world.put(side, key, {"V" if side == "l" else "W": value}, ts)
    assert expected == world.take().get("O", [])


@given(EVENTS, st.integers(0, 20), st.integers(0, 30), st.sampled_from(["LEFT", "RIGHT", "FULL OUTER"]))
def test_outer_joins_tell_rows_without_match_when_their_window_has_closed(
    events: Any, size: int, grace: int, kind: Any
) -> None:
    """A row of an outer side that found no match comes out once; those that found one never alone."""
    world = Play(
        STREAMS,
        f"CREATE STREAM O AS SELECT {'ROWKEY' if 'FULL' in kind else 'L.K'} AS ID, V, W FROM L {kind} JOIN R "
        f"WITHIN {size} MILLISECONDS GRACE PERIOD {grace} MILLISECONDS ON L.K = R.K;",
    )
    ordered = sorted(events, key=lambda each: each[3])  # nothing is late then, and the model stays simple
    for side, key, value, ts in ordered:
        world.put(side, key, {"V" if side == "l" else "W": value}, ts)
    end = 10_000
    for side in "lr":
        world.put(side, "end", {"V" if side == "l" else "W": -1}, end)
    got = [(key, row["V"], row["W"]) for key, _, row, _ in world.take().get("O", []) if key != "end"]

    def matches(side: Any, key: Any, ts: Any) -> list[Any]:
        return [each for each in ordered if each[0] != side and each[1] == key and abs(each[3] - ts) <= size]

    expected = []
    for side, key, value, ts in ordered:
        found = matches(side, key, ts)
        if side == "l":
            expected += [(key, value, each[2]) for each in found]
        if not found and (("LEFT" in kind and side == "l") or ("RIGHT" in kind and side == "r") or "FULL" in kind):
            expected.append((key, value, None) if side == "l" else (key, None, value))
    assert Counter(expected) == Counter(got)


@given(CHANGES, st.sampled_from(["", "LEFT", "RIGHT", "FULL OUTER"]))
def test_table_joins_end_as_a_join_of_what_the_tables_end_as(changes: Any, kind: Any) -> None:
    """Whatever the order of inserts, updates and deletes, the result is the join of the last rows."""
    key = "ROWKEY AS ID" if "FULL" in kind else "L.K"
    world = Play(TABLES, f"CREATE TABLE O AS SELECT {key}, V, W FROM L {kind} JOIN R ON L.K = R.K;")
    left: dict[Any, Any] = {}
    right: dict[Any, Any] = {}
    for ts, (side, key, value, _) in enumerate(changes):
        state = left if side == "l" else right
        world.put(side, key, None if value is None else {"V" if side == "l" else "W": value}, ts)
        if value is None:
            state.pop(key, None)
        else:
            state[key] = value
    keys = {
        "": left.keys() & right.keys(),
        "LEFT": left.keys(),
        "RIGHT": right.keys(),
        "FULL OUTER": left.keys() | right.keys(),
    }[kind]
    expected = {(key, None): stream_row(left.get(key), right.get(key)) for key in keys}
    assert expected == last(world.take().get("O", []))


@given(CHANGES, st.booleans())
def test_foreign_key_joins_end_as_a_join_of_what_the_tables_end_as(changes: Any, outer: bool) -> None:
    """A row finds its partner by a column, follows it when it changes, and loses it when it goes."""
    kind = "LEFT" if outer else ""
    world = Play(TABLES, f"CREATE TABLE O AS SELECT L.K, V, W FROM L {kind} JOIN R ON L.REF = R.K;")
    left: dict[Any, Any] = {}
    right: dict[Any, Any] = {}
    for ts, (side, key, value, ref) in enumerate(changes):
        if side == "l":
            world.put("l", key, None if value is None else {"V": value, "REF": ref}, ts)
            left[key] = None if value is None else (value, ref)
        else:
            world.put("r", key, None if value is None else {"W": value}, ts)
            right[key] = value
    expected = {}
    for key, row in left.items():
        if row is None:
            continue
        partner = right.get(row[1])
        if partner is not None or outer:
            expected[key, None] = stream_row(row[0], partner)
    assert expected == last(world.take().get("O", []))


@given(EVENTS, st.booleans())
def test_stream_table_join_sees_the_table_as_it_stands(events: Any, outer: bool) -> None:
    """A stream row meets the row that the table has at that moment; the table's changes bring out nothing."""
    kind = "LEFT" if outer else ""
    world = Play(
        "CREATE STREAM L (K STRING KEY, V BIGINT) WITH (kafka_topic='l', value_format='JSON');",
        "CREATE TABLE R (K STRING PRIMARY KEY, W BIGINT) WITH (kafka_topic='r', value_format='JSON');",
        f"CREATE STREAM O AS SELECT L.K, V, W FROM L {kind} JOIN R ON L.K = R.K;",
    )
    expected: list[Any] = []
    state: dict[Any, Any] = {}
    for side, key, value, ts in events:
        if side == "r":
            gone = value == 0
            world.put("r", key, None if gone else {"W": value}, ts)
            state.pop(key, None)
            if not gone:
                state[key] = value
        else:
            world.put("l", key, {"V": value}, ts)
            if key in state or outer:
                expected.append((key, None, stream_row(value, state.get(key)), ts))
    assert expected == world.take().get("O", [])
