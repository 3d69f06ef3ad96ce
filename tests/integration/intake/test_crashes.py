"""What was acknowledged is in Kafka, whatever is killed meanwhile; what was not may be sent again."""

import os
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from stack import free_ports
from tests import fix_stack
from tests.fix_stack import Stack, wait_for
from tests.integration.intake.service import BATCH, Load, Topics, check, registry_at, running


def assert_nothing_lost(load: Load, records: list[str]) -> None:
    """Every acknowledged check is in the topic; nothing is there that was never sent; nothing else was answered."""
    assert load.others == []
    assert load.accepted
    assert load.accepted - set(records) == set()
    assert set(records) <= load.accepted | load.refused | load.unknown


@pytest.mark.parametrize("size", [0, 100])
def test_sigterm_during_load(service: Any, topics: Any, size: int) -> None:
    """Stopping in the middle of a load loses nothing that was acknowledged, nor a journal line of it."""
    with Load(service.url, "term", size=size) as load:
        wait_for(lambda: len(load.accepted) > 300, limit_s=60, what="some checks were accepted")
        assert service.stop() == 0
    records = [key for key, _, _ in topics.read(topics.checks)]
    assert_nothing_lost(load, records)
    assert len(records) == len(set(records))
    accepted = {line["check"]["transaction_id"] for line in service.journal() if line["outcome"] == "accepted"}
    assert load.accepted <= accepted


def test_sighup_during_load(start: Any, topics: Any) -> None:
    """New workers take over from old ones in the middle of a load: nothing acknowledged is lost, and no 5xx is seen."""
    service = start(CHECKS_INTAKE_WORKERS="2")
    with Load(service.url, "hup") as load:
        wait_for(lambda: len(load.accepted) > 200, limit_s=60, what="some checks were accepted")
        old = {worker.pid for worker in service.workers()}
        service.process.send_signal(signal.SIGHUP)
        wait_for(
            lambda: len(service.workers()) == 2 and not old & {worker.pid for worker in service.workers()},
            limit_s=90,
            what="both workers are new",
        )
        before = len(load.accepted)
        wait_for(lambda: len(load.accepted) > before + 200, limit_s=60, what="the new workers accept")
    assert load.refused == set()
    assert_nothing_lost(load, [key for key, _, _ in topics.read(topics.checks)])


def test_worker_killed_during_load(service: Any, topics: Any) -> None:
    """A worker that is killed outright takes no acknowledged check with it."""
    with Load(service.url, "kill") as load:
        wait_for(lambda: len(load.accepted) > 300, limit_s=60, what="some checks were accepted")
        for worker in service.workers():
            os.kill(worker.pid, signal.SIGKILL)
        service.process.kill()
    assert_nothing_lost(load, [key for key, _, _ in topics.read(topics.checks)])


@pytest.fixture(scope="module")
def broker() -> Iterator[Stack]:
    """A broker of this module alone, to be killed; its supervisor starts it again."""
    with tempfile.TemporaryDirectory(prefix="checks-test-") as folder:
        Path(folder).chmod(0o755)
        state = Path(folder) / "state"
        try:
            yield fix_stack.start(state, CHECKS_ONLY="kafka")
        finally:
            fix_stack.stop(state)


def _more_than(found: set[str], count: int) -> bool:
    return len(found) > count


def test_kafka_killed_during_load(broker: Any, tmp_path: Path, request: Any) -> None:
    """Kafka killed and back, again and again: each 201 is in the topic, everything else got 503, memory stays flat."""
    port = int(free_ports.choose()["CHECKS_REGISTRY_PORT"])
    topics = Topics(broker.kafka, f"http://127.0.0.1:{port}")
    topics.create(register=False)
    rounds = 5 if request.config.getoption("--long") else 1
    with (
        registry_at(port, topics),
        running(tmp_path / "state", {**topics.environment(), "CHECKS_INTAKE_DELIVERY_TIMEOUT_S": "3"}) as service,
    ):
        [worker] = service.workers()
        with Load(service.url, "single", threads=6) as load, Load(service.url, "batch", threads=1, size=200) as batches:
            wait_for(lambda: len(load.accepted) > 300, limit_s=60, what="some checks were accepted")
            memory = worker.memory_info().rss
            largest = memory
            for _ in range(rounds):
                refused, accepted = len(load.refused), len(load.accepted)
                # Stopped first: connections stay open and nothing answers, which is the worse way to be away.
                pid = broker.kill("kafka", signal.SIGSTOP)
                wait_for(partial(_more_than, load.refused, refused + 20), limit_s=60, what="503 while Kafka hangs")
                wait_for(lambda: not service.is_ready(), limit_s=60, what="ready says that Kafka hangs")
                os.kill(pid, signal.SIGKILL)
                wait_for(lambda: not service.is_ready(), limit_s=60, what="ready says that Kafka is away")
                largest = max(largest, worker.memory_info().rss)
                broker.wait_ready("kafka", other_than=pid)
                wait_for(partial(_more_than, load.accepted, accepted + 300), limit_s=90, what="accepted again")
                largest = max(largest, worker.memory_info().rss)
            with service.client() as client:
                again = sorted(load.refused | load.unknown | batches.refused | batches.unknown)
                for at in range(0, len(again), 500):
                    answer = client.post(BATCH, json=[check(one) for one in again[at : at + 500]])
                    assert answer.json()["accepted"] == len(again[at : at + 500])
        assert largest - memory < 60_000_000
        records = [key for key, _, _ in topics.read(topics.checks)]
        assert load.others + batches.others == []
        assert load.accepted | batches.accepted | set(again) <= set(records)
        # Kafka has an acknowledged check once: only one that got no 201 can be there again.
        counts = Counter(records)
        assert {one for one in load.accepted | batches.accepted if counts[one] > 1} == set()


def test_kafka_away_from_the_start(tmp_path: Path) -> None:
    """Without Kafka intake starts, says so, answers 503 at once, and stops at once when told to."""
    ports = free_ports.choose()
    topics = Topics(f"127.0.0.1:{ports['CHECKS_KAFKA_PORT']}", f"http://127.0.0.1:{ports['CHECKS_REGISTRY_PORT']}")
    with (
        registry_at(int(ports["CHECKS_REGISTRY_PORT"]), topics),
        running(tmp_path / "state", topics.environment(), wait=False) as service,
    ):

        def says_why() -> bool:
            try:
                return "Kafka does not answer" in str(service.ready().json()["reasons"])
            except httpx.HTTPError:
                return False

        wait_for(says_why, limit_s=60, what="ready says that Kafka is away")
        with service.client() as client:
            assert client.post("/api/checks/", json=check("one")).status_code == 503
            assert client.post("/api/checks/", json={}).status_code == 503
        assert service.stop(30) == 0
