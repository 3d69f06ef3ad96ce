"""The order in which objects are dropped: a server refuses to drop what another object still reads."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from ksql.apply import readers_first
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
