"""The order in which objects are dropped: a server refuses to drop what another object still reads."""

from pathlib import Path
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from ksql.apply import as_optional, readers_first, takes_all_columns
from ksql.files import read_pipeline
from ksql.record import AppliedObject


def made(name: str, version: int, *reads: str) -> AppliedObject:
    return AppliedObject(
        name=name,
        version=version,
        checksum="ab",
        statements=(f"CREATE STREAM {name} …",),
        settings={},
        reads=reads,
        topic=name.lower(),
        kind="STREAM",
        writes=True,
        is_select=True,
    )


def test_readers_come_before_what_they_read() -> None:
    """Whatever the order they are given in."""
    arrivals, sales, hours = made("ARRIVALS", 2), made("SALES", 2, "ARRIVALS"), made("HOURS", 2, "SALES")
    assert readers_first((arrivals, sales, hours)) == [hours, sales, arrivals]


def test_a_reader_may_be_of_a_later_version() -> None:
    """A rebuild of one table alone reads what the rebuild before made."""
    lines, hours, days = made("LINES", 3), made("HOURS", 5, "LINES"), made("DAYS", 5, "LINES")
    assert readers_first((lines, hours, days)) == [hours, days, lines]


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(1, 4), st.sets(st.integers(0, 5), max_size=3)), max_size=12),
    st.randoms(),
)
def test_no_object_comes_before_a_reader_of_it(drawn: list[tuple[int, int, set[int]]], shuffled: Random) -> None:
    """For any names and versions in which names read only names before them."""
    wanted = {(name, version): {one for one in reads if one < name} for name, version, reads in drawn}
    doomed = [made(f"N{name}", version, *(f"N{one}" for one in reads)) for (name, version), reads in wanted.items()]
    shuffled.shuffle(doomed)
    order = readers_first(tuple(doomed))
    assert sorted(map(str, order)) == sorted(map(str, doomed))
    for place, one in enumerate(order):
        for later in order[place + 1 :]:
            assert not (one.name in later.reads and later.version >= one.version)


def test_only_a_stream_without_columns_of_its_own_follows_the_registry(tmp_path: Path) -> None:
    """One that names some of the topic's fields asked for no others: a new one is no change to it."""
    with_topic = "WITH (KAFKA_TOPIC='checks', VALUE_FORMAT='AVRO');\n"
    (tmp_path / "10.sql").write_text(
        f"CREATE STREAM follows (check_key STRING KEY) {with_topic}"
        f"CREATE STREAM names (check_key STRING KEY, place_id STRING) {with_topic}"
        "CREATE TYPE money AS STRUCT<amount DECIMAL(10,2)>;\n",
        "utf-8",
    )
    pipeline = read_pipeline(tmp_path)
    assert [one.name for one in pipeline if takes_all_columns(one)] == ["FOLLOWS"]


def test_a_type_is_created_only_where_it_is_not() -> None:
    """However the statement is written."""
    assert as_optional("create  type money AS DOUBLE") == "create  type IF NOT EXISTS money AS DOUBLE"
    assert as_optional("CREATE TYPE IF NOT EXISTS money AS DOUBLE") == "CREATE TYPE IF NOT EXISTS money AS DOUBLE"
