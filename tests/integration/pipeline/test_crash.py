"""kill -9 of any part while checks arrive: none is lost, none is counted twice."""

import threading
import time
import uuid
from functools import partial
from typing import Any

import httpx
import psycopg
import pytest

from bench.checks import Plan, checks
from tests.fix_stack import wait_for
from tests.integration.pipeline.expected import Expected, differences, hours_back, placed

pytestmark = [pytest.mark.alone, pytest.mark.timeout(900)]

SHORT = ("ksqlite", "connect")
LONG = ("kafka", "registry", "postgres", "intake", "analytics_api")


class Till(threading.Thread):
    """Sends checks one after the other, each again until it is accepted, as a till does; notes what was accepted."""

    def __init__(self, url: Any, made: Any) -> None:
        super().__init__(daemon=True)
        self._url = url
        self._made = made
        self._stopped = threading.Event()
        self.accepted: list[Any] = []
        self.problem: str | None = None

    def run(self) -> None:
        with httpx.Client(timeout=15) as client:
            for check in self._made:
                while not self._stopped.is_set():
                    status = self._post(client, check)
                    if status == 201:
                        self.accepted.append(check)
                        break
                    if status not in {None, 503, 429}:
                        self.problem = f"{status} for {check.transaction_id}"
                        return
                    time.sleep(0.2)
                if self._stopped.is_set():
                    return
                time.sleep(0.01)

    def _post(self, client: Any, check: Any) -> Any:
        try:
            answer = client.post(
                f"{self._url}/api/checks/", content=check.json(), headers={"Content-Type": "application/json"}
            )
        except httpx.TransportError:
            return None  # it may have been accepted: a till sends it again, and it counts once
        return answer.status_code

    def stop(self) -> None:
        self._stopped.set()
        self.join(60)


def accepted(tills: list[Till]) -> int:
    return sum(len(till.accepted) for till in tills)


def accepted_more(tills: list[Till], count: int) -> bool:
    return accepted(tills) > count


def drill(stack: Any, parts: Any, *, rounds: Any) -> Any:
    """Send all the while, kill the parts one after the other, and compare in the end."""
    prefix = f"k{uuid.uuid4().hex[:8]}"
    plan = Plan(seed=3, count=20_000, end=hours_back(1), hours=48, shuffled=True)
    tills = [Till(stack.intake_url, [placed(check, f"{prefix}{number}") for check in checks(plan)]) for number in "ab"]
    for till in tills:
        till.start()
    try:
        for _round in range(rounds):
            for part in parts:
                wait_for(partial(accepted_more, tills, accepted(tills) + 50), limit_s=60, what="checks are accepted")
                pid = stack.kill(part)
                stack.wait_ready(part, other_than=pid, limit_s=180)
    finally:
        for till in tills:
            till.stop()
    expected = Expected()
    for till in tills:
        assert till.problem is None
        for check in till.accepted:
            expected.add(check)
    # a check whose answer was lost may be there, too: it was sent again unless the till stopped just then
    unanswered = {till._made[len(till.accepted)] for till in tills}
    try:
        wait_for(lambda: settled(stack, expected, prefix, unanswered), limit_s=240, what="figures are exact", every_s=1)
    except pytest.fail.Exception:
        pytest.fail("\n".join(differences(stack.owner_url, expected, prefix)))
    return expected


def settled(stack: Any, expected: Any, prefix: Any, unanswered: Any) -> Any:
    """Whether every accepted check is there once, and all figures are those of the checks that are there."""
    with psycopg.connect(stack.owner_url) as connection:
        rows = connection.execute(
            "SELECT transaction_id FROM figures.sales WHERE starts_with(transaction_id, %s)", (prefix,)
        ).fetchall()
    known = {check.transaction_id for check in expected.checks}
    found = {row[0] for row in rows}
    for check in unanswered:
        if check.transaction_id in found and check.transaction_id not in known:
            expected.add(check)
            known.add(check.transaction_id)
    return found == known and not differences(stack.owner_url, expected, prefix)


@pytest.mark.parametrize("part", SHORT)
def test_a_killed_part_loses_nothing_and_counts_nothing_twice(stack: Any, part: Any) -> None:
    """One kill -9 while checks arrive."""
    expected = drill(stack, [part], rounds=1)
    assert len(expected.checks) > 50


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_every_part_killed_in_turn_loses_nothing(stack: Any) -> None:
    """Three rounds over every part, under load all the while."""
    expected = drill(stack, [*SHORT, *LONG], rounds=3)
    assert len(expected.checks) > 500
