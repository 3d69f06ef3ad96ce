"""State stores over RocksDB against plain dictionaries."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ksqlite import types as t
from ksqlite.engine.api import StoreKind, StoreSpec
from ksqlite.state.database import Database, StateLockedError
from ksqlite.state.keys import KeyCodec
from ksqlite.state.store import PersistentStore, behind
from ksqlite.state.values import ValueCodec

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=6)  # type: ignore[arg-type] # hypothesis wants a literal
LONG = st.integers(-(2**63), 2**63 - 1)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Any]:
    made = Database(tmp_path / "db")
    yield made
    made.close()


def commit(database: Any, store: Any, part: Any, place: Any = None) -> None:
    changes = store.drain()
    database.write([(part.head, changes)], {} if place is None else {place[0]: place[1]})
    store.settle()


@pytest.mark.parametrize(
    ("sql", "values"),
    [
        (t.BIGINT, LONG),
        (t.STRING, TEXT),
        (t.BYTES, st.binary(max_size=6)),
        (t.DOUBLE, st.floats(allow_nan=False)),
        (t.decimal(38, 4), st.integers(-(10**38) + 1, 10**38 - 1).map(lambda n: Decimal(f"{n}e-4"))),
        (t.BOOLEAN, st.booleans()),
    ],
)
@given(data=st.data())
def test_key_bytes_keep_the_order(sql: Any, values: Any, data: st.DataObject) -> None:
    """Keys come back from their bytes, which sort as the values do, part by part."""
    codec = KeyCodec((t.STRING, sql, t.BIGINT))
    one, two = (data.draw(st.tuples(TEXT, values, LONG)) for _ in range(2))
    first, second = codec.encode(one), codec.encode(two)
    assert (one, two) == (codec.decode(first), codec.decode(second))
    ordered = tuple(part.encode() if isinstance(part, str) else part for part in one) < tuple(
        part.encode() if isinstance(part, str) else part for part in two
    )
    assert ordered == (first < second) or one == two


@given(key=st.tuples(st.none() | TEXT, st.none() | LONG, st.none() | TEXT), size=st.integers(0, 3))
def test_bytes_of_first_parts_are_a_prefix(key: tuple[Any, ...], size: int) -> None:
    """A scan by the first parts of a key finds the key."""
    codec = KeyCodec((t.STRING, t.BIGINT, t.STRING))
    assert codec.encode(key).startswith(codec.encode(key[:size]))


@given(key=st.lists(st.none() | TEXT, max_size=3), fields=st.tuples(st.none() | LONG, st.none() | TEXT))
def test_compound_key_parts(key: list[Any], fields: tuple[Any, ...]) -> None:
    """Arrays and structs may be parts of keys."""
    codec = KeyCodec((t.array(t.STRING), t.struct(("A", t.BIGINT), ("B", t.STRING))))
    assert (key, fields) == codec.decode(codec.encode((key, fields)))


@given(rows=st.lists(st.tuples(LONG, LONG, st.none() | TEXT), max_size=3))
def test_values(rows: list[Any]) -> None:
    """A session list comes back as it was."""
    codec = ValueCodec((t.array(t.struct(("s", t.BIGINT), ("e", t.BIGINT), ("v", t.STRING))),))
    assert (rows,) == codec.decode(codec.encode((rows,)))


def test_behind() -> None:
    """The end of a prefix's range."""
    assert (behind(b"ab"), behind(b"a\xff"), behind(b"\xff\xff")) == (b"ac", b"b", None)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["put", "put", "put", "delete", "get", "prefix", "items", "commit", "drain", "reopen"]),
        st.sampled_from(["", "a", "b", "\x00", "ab"]),
        st.integers(-3, 3),
        st.integers(0, 9),
    ),
    max_size=60,
)


@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_store_is_a_dictionary(tmp_path_factory: pytest.TempPathFactory, steps: Any) -> None:
    """Whatever is put, deleted, scanned and committed, in any order: a store is a dictionary with sorted scans."""
    database = Database(tmp_path_factory.mktemp("state") / "db")
    spec = StoreSpec("s", StoreKind.WINDOW, (t.STRING, t.BIGINT), (t.INTEGER,))
    part = database.slice("q-s", 1)
    other = PersistentStore(spec, database.slice("q-s", 2))
    other.put(("a", 1), (77,))
    store = PersistentStore(spec, part, memory_entries=2)
    model, drained = {}, None
    for action, name, number, value in steps:
        key = (name, number)
        if action == "put":
            store.put(key, (value,))
            model[key] = (value,)
        elif action == "delete":
            store.delete(key)
            model.pop(key, None)
        elif action == "get":
            assert model.get(key) == store.get(key)
        elif action == "prefix":
            expected = [(k, v) for k, v in sorted(model.items()) if k[0] == name]
            assert expected == list(store.prefix((name,)))
        elif action == "items":
            assert sorted(model.items()) == sorted(store.items())
        else:
            if drained is not None:
                database.write([(part.head, drained)], {})
                store.settle()
            drained = store.drain()
            if action != "drain":
                database.write([(part.head, drained)], {})
                store.settle()
                drained = None
            if action == "reopen":
                store = PersistentStore(spec, part, memory_entries=2)
    assert sorted(model.items()) == sorted(store.items())
    database.close()


def test_timed_store(database: Any) -> None:
    """A store by time gives what is due, in order, while entries go and come; also after a restart."""
    spec = StoreSpec("t", StoreKind.TIMED, (t.BIGINT, t.STRING), (t.STRING,))
    part = database.slice("q-t", 0)
    store = PersistentStore(spec, part)
    for time, name in ((30, "c"), (10, "a"), (20, "b"), (10, "z")):
        store.put((time, name), (name,))
    seen = []
    for key, value in store.until(20):
        seen.append(value[0])
        store.delete(key)
        if key == (10, "a"):
            store.put((15, "new"), ("new",))
    assert seen == ["a", "z", "new", "b"]
    commit(database, store, part)
    again = PersistentStore(spec, part)
    again.load()
    assert list(again.until(100)) == [((30, "c"), ("c",))]
    assert list(again.until(100)) == [((30, "c"), ("c",))]


def test_sweep_forgets_ended_windows(database: Any) -> None:
    """Windows that ended before the retention go; others stay."""
    spec = StoreSpec("w", StoreKind.WINDOW, (t.STRING, t.BIGINT), (t.BIGINT,), window_size_ms=10, retention_ms=100)
    part = database.slice("q-w", 0)
    store = PersistentStore(spec, part)
    for start in range(0, 200, 10):
        store.put(("k", start), (start,))
    commit(database, store, part)
    store.expire(200)
    assert store.sweep(1000) == 20
    assert [start for (_, start), _ in store.items()] == list(range(100, 200, 10))
    commit(database, store, part)
    assert store.sweep(1000) == 0


def test_sweep_forgets_ended_sessions_bit_by_bit(database: Any) -> None:
    """A sweep with a small budget goes on where it stopped."""
    session = t.array(t.struct(("start", t.BIGINT), ("end", t.BIGINT)))
    spec = StoreSpec("s", StoreKind.SESSION, (t.STRING,), (session,), retention_ms=50)
    part = database.slice("q-s", 0)
    store = PersistentStore(spec, part)
    for number in range(10):
        store.put((str(number),), ([(number * 10, number * 10 + 5)],))
    commit(database, store, part)
    store.expire(100)
    while store.sweep(3):
        commit(database, store, part)
    assert [key for (key,), _ in store.items()] == ["5", "6", "7", "8", "9"]


def test_database_keeps_places_and_stores_apart(tmp_path: Path) -> None:
    """Places in changelogs and slices survive a restart; a dropped store is gone and a new one of its name is empty."""
    database = Database(tmp_path / "db")
    spec = StoreSpec("s", StoreKind.KEY_VALUE, (t.STRING,), (t.BIGINT,))
    one, two = database.slice("one", 0), database.slice("two", 0)
    first, second = PersistentStore(spec, one), PersistentStore(spec, two)
    first.put(("a",), (1,))
    second.put(("a",), (2,))
    commit(database, first, one, (("one", 0), 7))
    commit(database, second, two)
    with pytest.raises(StateLockedError):
        Database(tmp_path / "db")
    database.close()
    database = Database(tmp_path / "db")
    assert (database.place("one", 0), database.place("two", 0)) == (7, None)
    assert PersistentStore(spec, database.slice("one", 0)).get(("a",)) == (1,)
    database.drop("one")
    assert database.place("one", 0) is None
    assert PersistentStore(spec, database.slice("one", 0)).get(("a",)) is None
    assert PersistentStore(spec, database.slice("two", 0)).get(("a",)) == (2,)
    database.clear("two", 0)
    assert PersistentStore(spec, database.slice("two", 0)).get(("a",)) is None
    database.close()


def test_values_of_every_type() -> None:
    """Each type's Python values come back, decimals with their scale; texts that UTF-8 cannot express are taken too."""
    types = (
        t.BOOLEAN,
        t.INTEGER,
        t.DOUBLE,
        t.BYTES,
        t.decimal(38, 5),
        t.map_of(t.STRING, t.array(t.decimal(4, 2))),
        t.struct(("A", t.TIMESTAMP), ("B", t.STRING)),
    )
    codec = ValueCodec(types)
    row = (True, -7, 1.5, b"\x00", Decimal("-1.50000"), {"a": [Decimal("0.00"), None]}, (1795000000000, None))
    assert repr(codec.decode(codec.encode(row))) == repr(row)
    nothing = (None,) * len(types)
    assert codec.decode(codec.encode(nothing)) == nothing
    text = ValueCodec((t.array(t.STRING),))
    assert text.decode(text.encode((["a\ud800b"],))) == (["a?b"],)
