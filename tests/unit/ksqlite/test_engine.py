"""The engine: queries that feed each other, partitions, keys, headers, undo, caches, restarts, refusals."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksqlite import ast, parser
from ksqlite.engine import QueryFailedError
from ksqlite.engine.api import Input, QueryState
from ksqlite.engine.memory import MemoryStores
from ksqlite.engine.murmur import Partitions, murmur2
from ksqlite.errors import AnalysisError, UnsupportedError
from tests.unit.ksqlite.playing import Play, last

STREAM = "CREATE STREAM S (K STRING KEY, V BIGINT, G STRING) WITH (kafka_topic='s', value_format='JSON');"
TABLE = "CREATE TABLE T (K STRING PRIMARY KEY, V BIGINT, G STRING) WITH (kafka_topic='t', value_format='JSON');"
CHANGES = st.lists(
    st.tuples(st.sampled_from("abc"), st.none() | st.integers(0, 9), st.sampled_from("xy") | st.none()), max_size=30
)


def query(text: Any) -> Any:
    (located,) = parser.parse(text)
    assert isinstance(located.statement, ast.QueryStatement)
    return located.statement.query


def test_murmur2_partitions_as_kafkas_producer() -> None:
    """Partitions of keys as Kafka's own client computes them."""
    known = {b"21": 5, b"foobar": 2, b"a-little-bit-long-string": 5, b"": 0}
    assert {key: (murmur2(key) % 10, Partitions(10)[key])[1] for key in known} == {
        key: murmur2(key) % 10 for key in known
    }
    # values of Kafka's own test of its murmur2
    assert [murmur2(each) for each in (b"21", b"foobar")] == [-973932308 & 0x7FFFFFFF, -790332482 & 0x7FFFFFFF]


def test_queries_feed_each_other() -> None:
    """What one query writes, the next reads, down to the last, without a topic in between being consumed."""
    world = Play(
        STREAM,
        "CREATE STREAM A AS SELECT K, V + 1 AS V FROM S;",
        "CREATE STREAM B AS SELECT K, V * 2 AS V FROM A WHERE V > 1;",
        "CREATE TABLE C AS SELECT V, COUNT(*) AS N FROM B GROUP BY V;",
    )
    for value in (0, 1, 2, 1):
        world.put("s", "k", {"V": value})
    written = world.take()
    assert [row["V"] for _, _, row, _ in written["B"]] == [4, 6, 4]
    assert list(world.engine.source_topics()) == ["s"]
    assert len(written["C"]) == 3


def test_another_declaration_of_the_same_topic_reads_its_bytes() -> None:
    """A stream over a windowed table's topic, with fewer columns and no key, gets its rows in memory."""
    world = Play(
        STREAM,
        "CREATE TABLE W AS SELECT K, COUNT(*) AS N, SUM(V) AS TOTAL FROM S WINDOW TUMBLING (SIZE 1 SECOND) GROUP BY K;",
        "CREATE STREAM AGAIN (TOTAL BIGINT) WITH (kafka_topic='W', value_format='JSON');",
        "CREATE STREAM O AS SELECT TOTAL FROM AGAIN;",
        "CREATE STREAM TEXTS (N STRING) WITH (kafka_topic='W', value_format='JSON');",
        "CREATE STREAM P AS SELECT N FROM TEXTS;",
    )
    world.put("s", "k", {"V": 5})
    world.put("s", "k", {"V": 6})
    written = world.take()
    assert [row for _, _, row, _ in written["O"]] == [{"TOTAL": 5}, {"TOTAL": 11}]
    assert [row for _, _, row, _ in written["P"]] == [{"N": "1"}, {"N": "2"}]


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 9), st.sampled_from("xyz")), max_size=40))
def test_partitions_change_no_figure(rows: list[Any]) -> None:
    """With four partitions and a repartition, each group's updates are those of one partition, in order."""
    statements = (
        STREAM,
        "CREATE TABLE C AS SELECT G, COUNT(*) AS N, SUM(V) AS TOTAL FROM S GROUP BY G;",
        "CREATE STREAM P AS SELECT * FROM S PARTITION BY G;",
        "CREATE TABLE D AS SELECT G, MAX(V) AS MOST FROM P WINDOW TUMBLING (SIZE 1 DAY) GROUP BY G;",
    )
    by_lanes = []
    for lanes, partitions in ((1, 1), (None, 4)):
        world = Play(*statements, lanes=lanes, partitions=partitions)
        for key, value, group in rows:
            world.put("s", key, {"V": value, "G": group})
        written = world.take()
        by_key: dict[Any, Any] = {}
        for topic in ("C", "D"):
            for key, window, row, _ in written.get(topic, []):
                by_key.setdefault((topic, key, window), []).append(row)
        by_lanes.append(by_key)
    assert by_lanes[0] == by_lanes[1]


@given(CHANGES)
def test_aggregates_over_a_table_follow_its_rows(changes: Any) -> None:
    """COUNT and SUM of a group are those of the rows that the table holds, whatever moved between groups."""
    world = Play(TABLE, "CREATE TABLE C AS SELECT G, COUNT(*) AS N, SUM(V) AS TOTAL FROM T WHERE V > 2 GROUP BY G;")
    rows = {}
    for ts, (key, value, group) in enumerate(changes):
        world.put("t", key, None if value is None else {"V": value, "G": group}, ts)
        rows[key] = None if value is None else (value, group)
    expected: dict[Any, Any] = {}
    for row in rows.values():
        if row is not None and row[0] > 2 and row[1] is not None:
            figures = expected.setdefault((row[1], None), {"N": 0, "TOTAL": 0})
            figures["N"] += 1
            figures["TOTAL"] += row[0]
    got = {place: row for place, row in last(world.take().get("C", [])).items() if row["N"]}
    assert expected == got


def test_a_filtered_table_tells_only_rows_that_were_there() -> None:
    """WHERE over a table: a row that leaves gets a tombstone, one that never was in gets none."""
    world = Play(TABLE, "CREATE TABLE O AS SELECT K, V FROM T WHERE V > 2;")
    for value in (1, 3, 2, None, 4):
        world.put("t", "a", None if value is None else {"V": value})
    assert [row for _, _, row, _ in world.take()["O"]] == [{"V": 3}, None, {"V": 4}]
    table = world.engine.table("O")
    assert table is not None
    assert list(table.scan()) == [(("a",), (4,), 0)]


def test_cached_updates_come_out_as_one() -> None:
    """With a cache, many updates of a group are told once, at the flush, and only if there were any."""
    world = Play(
        STREAM,
        "CREATE TABLE C AS SELECT K, COUNT(*) AS N FROM S GROUP BY K;",
        settings={"cache.max.bytes.buffering": "1000"},
    )
    for key in "aab":
        world.put("s", key, {"V": 1}, 7)
    assert world.raw() == {}
    assert world.take()["C"] == [("a", None, {"N": 2}, 7), ("b", None, {"N": 1}, 7)]
    assert world.take() == {}


def test_late_stays_late_after_a_restart() -> None:
    """Stream time is part of the state: what was too late before a restart is so after it."""
    stores = MemoryStores()
    window = "TUMBLING (SIZE 10 MILLISECONDS, GRACE PERIOD 0 MILLISECONDS)"
    statements = (STREAM, f"CREATE TABLE W AS SELECT K, COUNT(*) AS N FROM S WINDOW {window} GROUP BY K;")
    first = Play(*statements, stores=stores)
    first.put("s", "k", {"V": 1}, 5)
    first.put("s", "k", {"V": 1}, 100)
    first.take()
    second = Play(*statements, stores=stores)
    second.put("s", "k", {"V": 1}, 6)
    second.put("s", "k", {"V": 1}, 101)
    assert second.take()["W"] == [("k", (100, 110), {"N": 2}, 101)]


def test_headers_go_on_to_what_comes_of_a_record() -> None:
    """A record's headers are those of what it leads to, through all queries, and of nothing else."""
    world = Play(STREAM, "CREATE STREAM A AS SELECT * FROM S;", "CREATE STREAM B AS SELECT * FROM A;")
    world.put("s", "k", {"V": 1}, headers=[("trace", b"1")])
    world.put("s", "k", {"V": 2})
    assert [record[3] for record in world.raw()["B"]] == [[("trace", b"1")], None]


def test_a_record_that_cannot_be_read_is_skipped_and_told() -> None:
    """The query goes on, and the processing log has topic and offset."""
    world = Play(STREAM, "CREATE STREAM A AS SELECT * FROM S;")
    world.engine.process("s", 0, [Input(b"k", b"{", 0, 0), Input(b"k", b'{"V": 1}', 0, 1)])
    assert len(world.take()["A"]) == 1
    (entry,) = world.env.log.entries
    assert (entry.topic, entry.offset, entry.query_id) == ("s", 0, "CSAS_A_0")


def test_an_expression_that_fails_is_null_and_told() -> None:
    """A column that cannot be worked out is NULL, its row stays."""
    world = Play(STREAM, "CREATE STREAM A AS SELECT K, V, CAST(G AS INT) AS I FROM S;")
    world.put("s", "k", {"V": 1, "G": "no number"})
    assert [row for _, _, row, _ in world.take()["A"]] == [{"V": 1, "I": None}]
    assert len(world.env.log.entries) == 1


def test_a_query_that_cannot_go_on_names_itself() -> None:
    """A sum that overflows stops its query by name, for the row may not be left out."""
    world = Play(
        "CREATE STREAM D (K STRING KEY, V DECIMAL(2, 1)) WITH (kafka_topic='d', value_format='JSON');",
        "CREATE TABLE C AS SELECT K, SUM(V) AS TOTAL FROM D GROUP BY K;",
    )
    world.put("d", "k", {"V": 9.9})
    with pytest.raises(QueryFailedError, match="CTAS_C_0 failed: Numeric field overflow"):
        world.put("d", "k", {"V": 9.9})


def test_rows_without_key_or_group() -> None:
    """A null key goes through a stream, a null group is left out, a table has no row without key."""
    world = Play(
        STREAM,
        TABLE,
        "CREATE STREAM A AS SELECT * FROM S;",
        "CREATE TABLE C AS SELECT G, COUNT(*) AS N FROM S GROUP BY G;",
        "CREATE TABLE O AS SELECT * FROM T;",
    )
    world.put("s", None, {"V": 1, "G": None})
    world.put("t", None, {"V": 1})
    written = world.take()
    assert written["A"] == [(None, None, {"V": 1, "G": None}, 0)]
    assert written.keys() == {"A"}


def test_a_paused_query_gets_nothing() -> None:
    """PAUSE keeps records from a query, RESUME lets them in again, TERMINATE takes it away with its state."""
    world = Play(STREAM, "CREATE TABLE C AS SELECT K, COUNT(*) AS N FROM S GROUP BY K;")
    world.run("PAUSE CTAS_C_0;")
    world.put("s", "k", {"V": 1})
    assert (world.take(), world.engine.state("CTAS_C_0")) == ({}, QueryState.PAUSED)
    world.run("RESUME CTAS_C_0;")
    world.put("s", "k", {"V": 1})
    assert [row for _, _, row, _ in world.take()["C"]] == [{"N": 1}]
    world.run("TERMINATE CTAS_C_0;")
    assert (list(world.engine.queries()), world.env.stores.stores) == ([], {})


def test_a_refused_statement_changes_nothing() -> None:
    """Catalog, queries and topics are as they were before."""
    world = Play(STREAM)
    before = (dict(world.engine.catalog.sources), dict(world.env.topics.topics))
    with pytest.raises(AnalysisError, match="cannot be resolved"):
        world.run("CREATE STREAM A AS SELECT NOTHING FROM S;")
    assert before == (world.engine.catalog.sources, world.env.topics.topics)
    assert world.engine.queries() == []


def test_a_push_query_sees_rows_until_its_limit() -> None:
    """Rows as selected, in order, tombstones of tables with their key, and nothing behind LIMIT."""
    world = Play(TABLE)
    pushed = world.engine.subscribe(query("SELECT V, K FROM T EMIT CHANGES LIMIT 3;"), "")
    for value in (1, None, 2, 3):
        world.put("t", "a", None if value is None else {"V": value})
    rows = pushed.take()
    assert rows == [(1, "a"), (None, "a"), (2, "a")]
    assert [getattr(row, "tombstone", False) for row in rows] == [False, True, False]
    assert pushed.finished
    pushed.close()
    assert not world.engine.graph.nodes


def test_array_keys_group() -> None:
    """Lists can be keys: groups by an ARRAY are told apart by its items."""
    world = Play(
        "CREATE STREAM L (K STRING KEY, A ARRAY<INT>) WITH (kafka_topic='l', format='JSON');",
        "CREATE TABLE C AS SELECT A, COUNT(*) AS N FROM L GROUP BY A;",
    )
    for items in ([1, 2], [1, 2], [2, 1]):
        world.put("l", '"k"', {"A": items})
    assert [key for key, _, _, _ in world.take()["C"]] == ["[1,2]", "[1,2]", "[2,1]"]


REFUSED = {
    "CREATE TABLE O AS SELECT K, V FROM S;": "produces a STREAM",
    "CREATE STREAM O AS SELECT V FROM S;": "must include the key column K in its projection",
    "CREATE TABLE O AS SELECT K, COUNT(*) FROM S;": "without a GROUP BY clause",
    "CREATE STREAM O AS SELECT * FROM NOWHERE;": "NOWHERE does not exist",
    "CREATE STREAM O AS SELECT K, V FROM S WHERE V;": "Should evaluate to boolean but is V",
    "CREATE TABLE O AS SELECT K, COUNT(*) FROM S WINDOW TUMBLING (SIZE 2 SECONDS, RETENTION 1 SECOND) GROUP BY K;": (
        "no smaller than its window size plus the grace period"
    ),
    "CREATE TABLE O AS SELECT K, MAX(V) AS M FROM T GROUP BY K;": "cannot be applied to a table source",
    "CREATE STREAM O AS SELECT S.K, EXPLODE(ARRAY[1]) AS V FROM S JOIN S WITHIN 1 SECOND ON S.K = S.K;": "self joins",
}


@pytest.mark.parametrize(("statement", "reason"), REFUSED.items())
def test_refusals_say_why(statement: Any, reason: Any) -> None:
    """What ksqlDB refuses is refused with its reason."""
    world = Play(STREAM, TABLE)
    with pytest.raises(AnalysisError, match=reason):
        world.run(statement)


def test_a_query_without_state_can_be_replaced() -> None:
    """Its filter changes and columns come at the end; its id stays, and those who read it go on as they were."""
    world = Play(STREAM, "CREATE STREAM A AS SELECT K, V FROM S WHERE V > 1;", "CREATE STREAM B AS SELECT * FROM A;")
    world.run("CREATE OR REPLACE STREAM A AS SELECT K, V, G FROM S WHERE V > 2;")
    world.run("CREATE STREAM C AS SELECT * FROM A;")
    for value in (2, 3):
        world.put("s", "k", {"V": value, "G": "g"})
    written = {topic: [row for _, _, row, _ in records] for topic, records in world.take().items()}
    assert written == {"A": [{"V": 3, "G": "g"}], "B": [{"V": 3}], "C": [{"V": 3, "G": "g"}]}
    assert [info.query_id for info in world.engine.queries()][:2] == ["CSAS_A_0", "CSAS_B_1"]
    with pytest.raises(AnalysisError, match="changed, missing or reordered"):
        world.run("CREATE OR REPLACE STREAM A AS SELECT K, G FROM S;")


def test_what_is_not_supported_is_refused_by_name() -> None:
    """CREATE OR REPLACE of a query that keeps state is ksqlDB's alone."""
    world = Play(STREAM, "CREATE TABLE A AS SELECT K, COUNT(*) AS N FROM S GROUP BY K;")
    with pytest.raises(UnsupportedError, match="CREATE OR REPLACE of A"):
        world.run("CREATE OR REPLACE TABLE A AS SELECT K, COUNT(*) AS N FROM S WHERE V > 1 GROUP BY K;")
