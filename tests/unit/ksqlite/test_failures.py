"""Sessions that fail again and again: pauses, limits, what is told, and that nothing of them stays."""

import gc
import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ksqlite.catalog import Catalog
from ksqlite.engine import QueryFailedError
from ksqlite.errors import TopicError
from ksqlite.formats import RegistryError
from ksqlite.runner import failures, runner
from ksqlite.runner.failures import Failures
from ksqlite.runner.positions import StateFormatError
from ksqlite.runner.runner import Runner
from ksqlite.runner.settings import RunnerSettings
from ksqlite.server.kafka import KafkaBackend


def raised(problem: Exception) -> Exception:
    with pytest.raises(type(problem)) as caught:
        raise problem
    return caught.value


class FakeSession:
    """A session of nothing; each step does what the test says."""

    def __init__(self, act: Callable[["FakeSession"], None]) -> None:
        self.act = act
        self.idle = True
        self.commits = 0
        self.closed = threading.Event()
        self.engine = SimpleNamespace(catalog=Catalog(), session=self)  # a cycle, as engines and queries are

    def step(self) -> None:
        self.act(self)

    def commit(self) -> None:
        self.commits += 1

    def close(self) -> None:
        self.closed.set()


class Sessions:
    """A runner over sessions that all do the same."""

    def __init__(self, folder: Path, act: Callable[[FakeSession], None]) -> None:
        self.made: list[weakref.ref[FakeSession]] = []
        self.act = act
        self.runner = Runner(RunnerSettings("nowhere:9092", "fake", folder), lambda _: None, None)  # type: ignore[arg-type, return-value] # no engine is made
        self.runner._make = self.make  # type: ignore[assignment] # not a real session

    def make(self) -> FakeSession:
        session = FakeSession(self.act)
        self.made.append(weakref.ref(session))
        return session

    def wait(self, until: Callable[[], bool]) -> None:
        limit = time.monotonic() + 20
        while not until():
            assert time.monotonic() < limit, "it did not come about"
            time.sleep(0.002)


@pytest.fixture
def sessions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Sessions]]:
    monkeypatch.setattr(failures, "FIRST_S", 0.002)
    monkeypatch.setattr(runner, "PROVEN_S", 0.05)
    made: list[Sessions] = []

    def make(act: Callable[[FakeSession], None], *, start: bool = True) -> Sessions:
        made.append(Sessions(tmp_path, act))
        if start:
            made[-1].runner.start()
        return made[-1]

    yield make
    for each in made:
        each.runner.stop()
    gc.enable()


def test_pauses_double_until_a_session_does_well() -> None:
    """A start alone makes no pause shorter; what Kafka is to blame for is tried more often than what is our own."""
    counted = Failures()
    pauses = [counted.count(raised(ValueError(f"at {n}")), committed=False).pause_s for n in range(12)]
    assert pauses[:4] == [0.2, 0.4, 0.8, 1.6]
    assert pauses[-1] == failures.LONGEST_OWN_S
    assert counted.count(raised(TopicError("away")), committed=False).pause_s == failures.LONGEST_S
    counted.did_well()
    assert counted.count(raised(TopicError("away")), committed=False).pause_s == 0.2


def test_commits_between_make_the_same_failure_no_better() -> None:
    """A poison cause returns though other records are committed before it; another failure begins anew."""
    counted = Failures()
    same = [counted.count(raised(ValueError(f"record {n}")), committed=True) for n in range(3)]
    assert [each.count for each in same] == [1, 2, 3]
    assert [each.pause_s for each in same] == [0.2, 0.4, 0.8]
    assert counted.count(KeyError("x"), committed=True).pause_s == 0.2


def test_a_query_that_fails_again_and_again_is_in_error() -> None:
    """Three failures of one query, whatever the others do between, and the graph goes on without it, at once."""
    counted = Failures()
    for number in range(2):
        counted.count(QueryFailedError("ONE", ValueError(f"record {number}")), committed=True)
        counted.count(QueryFailedError("TWO", RegistryError("away")), committed=False)
    assert counted.queries == {}
    failure = counted.count(QueryFailedError("ONE", ValueError("record 2")), committed=False)
    assert counted.queries == {"ONE": "QueryFailedError: Query ONE failed: record 2"}
    assert (failure.pause_s, counted.in_a_row) == (0.2, 0)


@pytest.mark.parametrize("problem", [RegistryError("away"), OSError("disk"), TopicError("gone")])
def test_what_is_no_fault_of_a_query_does_not_end_it(problem: Exception) -> None:
    """While the registry or Kafka is away, a query is tried for ever."""
    counted = Failures()
    for _ in range(20):
        assert counted.count(QueryFailedError("Q", problem), committed=False).pause_s <= failures.LONGEST_S
    assert counted.queries == {}


def test_no_session_stays_behind(sessions: Callable[..., Sessions], monkeypatch: pytest.MonkeyPatch) -> None:
    """The collector of cycles is off; a session that has failed is gone before the next is made all the same."""
    monkeypatch.setattr(runner._log, "disabled", True)  # what pytest keeps of the log holds on to the trace's frames

    def act(_: FakeSession) -> None:
        raise ValueError("poison")

    running = sessions(act)
    running.wait(lambda: len(running.made) >= 5)
    running.runner.stop()
    assert [ref() for ref in running.made] == [None] * len(running.made)


def test_a_repeated_failure_is_told_once_and_seen(
    sessions: Callable[..., Sessions], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One stack trace, then a line each; the reason is seen though sessions start, until one does well."""
    poison = threading.Event()
    poison.set()
    problems: list[str | None] = []
    monkeypatch.setattr(failures, "LONGEST_OWN_S", 0.01)

    def act(session: FakeSession) -> None:
        problems.append(running.runner.problem)
        session.commits += 1
        if poison.is_set():
            raise ValueError("poison")
        time.sleep(0.001)

    running = sessions(act, start=False)
    with caplog.at_level(logging.ERROR, logger="ksqlite.runner"):
        running.runner.start()
        running.wait(lambda: len(running.made) >= 6)
        seen = list(problems)
        poison.clear()
        running.wait(lambda: running.runner.ready.is_set() and running.runner.problem is None)
    assert seen[0] is None
    assert set(seen[1:5]) == {"ValueError: poison"}
    assert [bool(record.exc_info) for record in caplog.records][:4] == [True, False, False, False]
    assert "ksqlite_failures_in_a_row " in running.runner.metrics.text((), (), ())


def test_state_of_another_version_ends_the_server(sessions: Callable[..., Sessions]) -> None:
    """It is tried once, and said in one line why it cannot be read."""

    def act(_: FakeSession) -> None:
        raise StateFormatError("another form")

    running = sessions(act)
    running.wait(running.runner.stopped.is_set)
    assert len(running.made) == 1
    assert (running.runner.refused, running.runner.problem) == (True, "service id fake: another form")


def test_queries_in_error_make_the_server_unwell(tmp_path: Path) -> None:
    """The health check says which query is in ERROR and why."""

    def declare(_: Any) -> None:
        """Nothing."""

    backend = KafkaBackend(RunnerSettings("nowhere:9092", "fake", tmp_path), "http://nowhere", {}, declare)
    backend.runner.ready.set()
    backend.runner.problem = None
    assert all(backend.health().values())
    backend.runner.failures.queries["Q_1"] = "sum overflows"
    assert backend.health() == {"metastore": True, "kafka": True, "commandRunner": True, "queries": False}
    assert backend.complaint() == "Q_1 is in ERROR (sum overflows)"
