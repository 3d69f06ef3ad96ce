"""The form of state on disk and in changelogs has a number, and state of another number is not read."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from ksqlite.runner.changelogs import ChangelogStores
from ksqlite.runner.positions import Positions, StateFormatError
from ksqlite.runner.reading import Place
from ksqlite.runner.settings import RunnerSettings
from ksqlite.runner.topics import KafkaTopics
from ksqlite.state import FORMAT
from ksqlite.state.database import Database
from tests.unit.ksqlite.playing import Play

STATEMENTS = """
CREATE STREAM S (K STRING KEY, V BIGINT, D DECIMAL(6, 2), G STRING, L ARRAY<STRING>) WITH (kafka_topic='s', value_format='JSON');
CREATE TABLE T (K STRING PRIMARY KEY, V BIGINT, G STRING) WITH (kafka_topic='t', value_format='JSON');
CREATE STREAM O (K STRING KEY, G STRING) WITH (kafka_topic='o', value_format='JSON');
CREATE TABLE COUNTS AS SELECT G, COUNT(*) AS N, SUM(D) AS D, AVG(V) AS A, COLLECT_SET(K) AS KS FROM S GROUP BY G;
CREATE TABLE HOURS AS SELECT G, EARLIEST_BY_OFFSET(V) AS V, LATEST_BY_OFFSET(L) AS L FROM S WINDOW TUMBLING (SIZE 1 HOUR) GROUP BY G;
CREATE TABLE VISITS AS SELECT G, MIN(V) AS V, TOPK(V, 2) AS TOP FROM S WINDOW SESSION (10 SECONDS) GROUP BY G;
CREATE TABLE FINAL AS SELECT G, COUNT(*) AS N FROM S WINDOW TUMBLING (SIZE 1 SECOND) GROUP BY G EMIT FINAL;
CREATE STREAM JOINED AS SELECT S.K, S.V, T.G FROM S LEFT JOIN T ON S.K = T.K;
CREATE STREAM PAIRS AS SELECT A.K, A.V, B.G FROM S A LEFT JOIN O B WITHIN 1 SECOND GRACE PERIOD 1 SECOND ON A.K = B.K;
CREATE TABLE PER_GROUP AS SELECT G, SUM(V) AS V FROM T GROUP BY G;
CREATE TABLE BOTH AS SELECT T.K, T.V, C.N FROM T LEFT JOIN COUNTS C ON T.G = C.G;
"""  # noqa: E501 - a statement a line
FORMS = {3: "ca2488cd754d8910"}
"""The digest of what these statements keep, by FORMAT. Another digest means another form: raise FORMAT."""


class NoTopics:
    """Topics of a broker that keeps nothing."""

    def create_all(self, topics: Sequence[tuple[str, int, int, dict[str, str]]]) -> set[str]:
        return {topic for topic, *_ in topics}

    def end_offsets(self, places: Iterable[Place], *, earliest: bool = False) -> dict[Place, int]:
        return dict.fromkeys(places, 0) if earliest else {}


def test_another_form_of_state_has_another_number(tmp_path: Path) -> None:
    """What queries of every kind put into changelogs, byte for byte, is what the number of the form stands for."""
    settings = RunnerSettings("nowhere:9092", "pinned", tmp_path)
    database = Database(tmp_path / "state")
    stores = ChangelogStores(settings, cast("KafkaTopics", NoTopics()), database)
    world = Play(*STATEMENTS.strip().splitlines(), stores=stores)
    for number in range(4):
        value = {"V": number, "D": f"{number}.25", "G": "ab"[number % 2], "L": [str(number), None]}
        world.put("t", "k", {"V": number, "G": "a"}, number * 400)
        world.put("s", "k", value, number * 400)
        world.put("o", "k" if number % 2 else "o", {"G": "x"}, number * 400)
        world.put("s", "o", value, number * 400)
    world.engine.flush()
    kept: list[Any] = [
        (opened.topic, opened.partition, sorted((key.hex(), value and value.hex()) for key, value in changes))
        for opened, changes in stores.drain()
    ]
    specs = [
        (store.name, store.kind.name, store.window_size_ms, store.retention_ms, [str(each) for each in store.key_types])
        for query in world.engine.queries()
        for store in query.stores
    ]
    database.close()
    assert len(kept) >= 12
    found = hashlib.sha256(json.dumps([sorted(kept), specs]).encode()).hexdigest()[:16]
    assert FORMS.get(FORMAT) == found


def test_state_of_another_form_on_disk_is_thrown_away(tmp_path: Path) -> None:
    """A database of another number comes up empty: it is read anew from the changelogs."""
    database = Database(tmp_path)
    database.write([(database.slice("one/s", 0).head, [(b"k", b"v")])], {("one/s", 0): 7})
    database.close()
    database = Database(tmp_path)
    assert (database.slice("one/s", 0).get(b"k"), database.place("one/s", 0)) == (b"v", 7)
    database.set_meta("format", FORMAT - 1)
    database.close()
    database = Database(tmp_path)
    assert (database.slice("one/s", 0).get(b"k"), database.place("one/s", 0)) == (None, None)
    database.close()


@pytest.mark.parametrize("form", [None, FORMAT - 1, FORMAT + 1])
def test_changelogs_of_another_form_are_refused(form: int | None) -> None:
    """Positions that were committed with changelogs of another form, or of none that is known, are not taken up."""
    document = json.loads(Positions({("s", 0): 5}, {"Q": None}).encode())
    assert Positions.decode(json.dumps(document).encode()).sources == {("s", 0): 5}
    document["format"] = form
    if form is None:
        del document["format"]
    with pytest.raises(StateFormatError, match=r"another version of ksqlite, .* choose another service id"):
        Positions.decode(json.dumps(document).encode())
