"""Windowed aggregations against naive models that keep every row and look at all of them."""

from collections.abc import Iterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.ksqlite.playing import Play, last

STREAM = "CREATE STREAM S (K STRING KEY, V BIGINT) WITH (kafka_topic='s', value_format='JSON');"
ROWS = st.lists(st.tuples(st.sampled_from("ab"), st.integers(-50, 50), st.integers(0, 120)), max_size=40)


def table(window: Any, having: str = "", final: str = "") -> str:
    return (
        f"CREATE TABLE T AS SELECT K, COUNT(*) AS N, SUM(V) AS TOTAL, MAX(V) AS MOST FROM S WINDOW {window} "
        f"GROUP BY K {having} EMIT {'FINAL' if final else 'CHANGES'};"
    )


def play(statement: Any, rows: Any, *, batch: Any) -> Any:
    world = Play(STREAM, statement)
    if batch:
        world.put_all("s", [(key, {"V": value}, ts) for key, value, ts in rows])
    else:
        for key, value, ts in rows:
            world.put("s", key, {"V": value}, ts)
    return world.take().get("T", [])


def figures(values: Any) -> dict[Any, Any]:
    return {"N": len(values), "TOTAL": sum(values), "MOST": max(values)}


class NaiveWindows:
    """Every row of every window is kept; a row is late for a window that ended grace or more before the latest row."""

    def __init__(self, size: Any, advance: Any, grace: Any) -> None:
        self.size, self.advance, self.grace = size, advance, grace
        self.clock = -1
        self.rows: dict[Any, Any] = {}

    def put(self, key: Any, value: Any, ts: Any) -> Iterator[Any]:
        self.clock = max(self.clock, ts)
        for start in range(0, ts + 1, self.advance):
            end = start + self.size
            if ts < end and end > self.clock - self.grace:
                rows = self.rows.setdefault((key, (start, end)), [])
                rows.append((value, ts))
                yield key, (start, end), figures([each for each, _ in rows]), max(each for _, each in rows)


class NaiveSessions:
    """Sessions as lists of rows; a row takes in every session within the gap on either side."""

    def __init__(self, gap: Any, grace: Any) -> None:
        self.gap, self.grace = gap, grace
        self.clock = -1
        self.newest = -1
        self.sessions: list[Any] = []

    def put(self, key: Any, value: Any, ts: Any) -> Iterator[Any]:
        self.clock = max(self.clock, ts)
        oldest = self.newest - (self.gap + self.grace)
        near = [
            each
            for each in self.sessions
            if each[0] == key and each[2] >= oldest and each[2] >= ts - self.gap and each[1] <= ts + self.gap
        ]
        start = min([ts, *(each[1] for each in near)])
        end = max([ts, *(each[2] for each in near)])
        if end < self.clock - self.grace - self.gap:
            return
        if (start, end) != (ts, ts):
            for each in sorted(near, key=lambda session: (session[2], session[1])):
                yield key, (each[1], each[2]), None, each[2]
        rows = [row for each in near for row in each[3]] + [value]
        self.sessions = [each for each in self.sessions if each not in near] + [(key, start, end, rows)]
        self.newest = max(self.newest, end)
        yield key, (start, end), figures(rows), end


@given(ROWS, st.integers(1, 30), st.integers(0, 60), st.booleans())
def test_tumbling_windows_are_those_of_the_naive_model(rows: Any, size: int, grace: int, batch: bool) -> None:
    """Every update of a tumbling window, in order, with its time, late rows left out."""
    model = NaiveWindows(size, size, grace)
    expected = [update for row in rows for update in model.put(*row)]
    statement = table(f"TUMBLING (SIZE {size} MILLISECONDS, GRACE PERIOD {grace} MILLISECONDS)")
    assert expected == play(statement, rows, batch=batch)


@given(ROWS, st.integers(1, 30), st.data(), st.integers(0, 60))
def test_hopping_windows_are_those_of_the_naive_model(rows: Any, size: int, data: st.DataObject, grace: int) -> None:
    """A row updates every window it lies in, the earliest first."""
    advance = data.draw(st.integers(1, size))
    model = NaiveWindows(size, advance, grace)
    expected = [update for row in rows for update in model.put(*row)]
    statement = table(
        f"HOPPING (SIZE {size} MILLISECONDS, ADVANCE BY {advance} MILLISECONDS, GRACE PERIOD {grace} MILLISECONDS)"
    )
    assert expected == play(statement, rows, batch=True)


@given(ROWS, st.integers(1, 30), st.integers(0, 60), st.booleans())
def test_sessions_are_those_of_the_naive_model(rows: Any, gap: int, grace: int, batch: bool) -> None:
    """Sessions grow and merge; those that were merged get tombstones before the new one is told."""
    model = NaiveSessions(gap, grace)
    expected = [list(model.put(*row)) for row in rows]
    got = play(table(f"SESSION ({gap} MILLISECONDS, GRACE PERIOD {grace} MILLISECONDS)"), rows, batch=batch)
    assert [update for updates in expected for update in updates] == got


@given(ROWS, st.integers(1, 30))
def test_sessions_without_late_rows_are_clusters(rows: Any, gap: int) -> None:
    """With time enough, what stands in the end are each key's rows, parted at gaps."""
    got = last(play(table(f"SESSION ({gap} MILLISECONDS, GRACE PERIOD 1 DAY)"), rows, batch=True))
    expected = {}
    for key in "ab":
        cluster: list[Any] = []
        for ts, value in sorted((ts, value) for each, value, ts in rows if each == key):
            if cluster and ts - cluster[-1][0] > gap:
                expected[key, (cluster[0][0], cluster[-1][0])] = figures([v for _, v in cluster])
                cluster = []
            cluster.append((ts, value))
        if cluster:
            expected[key, (cluster[0][0], cluster[-1][0])] = figures([v for _, v in cluster])
    assert expected == got


@given(ROWS, st.integers(1, 30), st.integers(0, 60))
def test_final_results_come_once_and_complete(rows: Any, size: int, grace: int) -> None:
    """EMIT FINAL tells a window once, when it has closed, with all rows that were in time."""
    model = NaiveWindows(size, size, grace)
    for row in rows:
        list(model.put(*row))
    closed = {
        place: figures([value for value, _ in kept])
        for place, kept in model.rows.items()
        if place[1][1] <= model.clock - grace
    }
    window = f"TUMBLING (SIZE {size} MILLISECONDS, RETENTION 1 DAY, GRACE PERIOD {grace} MILLISECONDS)"
    got = play(table(window, final="FINAL"), rows, batch=False)
    assert closed == {(key, bounds): row for key, bounds, row, _ in got}
    assert len(closed) == len(got)


@given(ROWS, st.integers(1, 30), st.integers(-20, 20))
def test_having_tells_what_enters_and_what_leaves(rows: Any, size: int, limit: int) -> None:
    """With HAVING, the table holds exactly the windows for which it is true; none leaves that was not in."""
    model = NaiveWindows(size, size, 1000)
    for row in rows:
        list(model.put(*row))
    expected = {
        place: figures([value for value, _ in kept])
        for place, kept in model.rows.items()
        if sum(value for value, _ in kept) > limit
    }
    window = f"TUMBLING (SIZE {size} MILLISECONDS, GRACE PERIOD 1 SECONDS)"
    got = play(table(window, having=f"HAVING SUM(V) > {limit}"), rows, batch=True)
    assert expected == last(got)
    there: set[Any] = set()
    for key, bounds, row, _ in got:
        assert row is not None or (key, bounds) in there
        (there.add if row is not None else there.discard)((key, bounds))
