"""Made-up checks: the same for the same seed, and such as a till could send."""

import itertools
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from bench.checks import Plan, arrivals, checks, one_check, places

END = datetime(2026, 2, 14, 12, 0, tzinfo=UTC)


def plan(**changes: object) -> Plan:
    return Plan(**{"seed": 5, "count": 2_000, "end": END, **changes})  # type: ignore[arg-type] # whatever a test sets


def test_the_same_seed_makes_the_same_checks() -> None:
    """A test or a measurement can be repeated."""
    assert arrivals(plan()) == arrivals(plan())
    assert arrivals(plan()) != arrivals(plan(seed=6))


def test_every_id_is_its_own() -> None:
    """What is not sent as a repeat is a sale."""
    ids = Counter(check.transaction_id for check in checks(plan()))
    assert {1} == set(ids.values())
    assert len(ids) == 2_000


def test_sales_lie_within_the_hours_asked_for() -> None:
    """None after the end, and in order unless any order is asked for."""
    moments = [check.sold_at for check in checks(plan(hours=48))]
    assert min(moments) >= END - timedelta(hours=48)
    assert max(moments) <= END
    assert moments == sorted(moments)
    shuffled = [check.sold_at for check in checks(plan(hours=48, shuffled=True))]
    assert shuffled != sorted(shuffled)


def test_amounts_are_exact_and_fit_the_schema() -> None:
    """Two digits of money, three of quantity, numbers in the JSON and no exponents."""
    for check in checks(plan(count=300)):
        body = json.loads(check.json(), parse_float=Decimal)
        assert str(check.total_amount) == str(body["total_amount"])
        assert check.total_amount >= check.tips_amount >= 0
        for item in check.items:
            assert item.quantity > 0
            assert item.quantity == round(item.quantity, 3)
            assert item.price.as_tuple().exponent == -2
        assert b"E" not in check.json().split(b'"total_amount":')[1].split(b",")[0]


def test_repeats_and_conflicts_come_after_their_first() -> None:
    """A repeat says the same, a conflict something else, under an id that was sent before."""
    first = {}
    kinds: Counter[str] = Counter()
    for arrival in arrivals(plan(repeat_share=0.1, conflict_share=0.05)):
        kinds[arrival.kind] += 1
        check = arrival.check
        if arrival.kind == "first":
            assert check.transaction_id not in first
            first[check.transaction_id] = check
        else:
            assert (arrival.kind == "repeat") == (first[check.transaction_id] == check)
    assert kinds["first"] == 2_000
    assert 120 < kinds["repeat"] < 280
    assert 50 < kinds["conflict"] < 160


def test_some_checks_come_late() -> None:
    """The order of sending is nearly the order of sale, and not quite."""
    moments = [arrival.check.sold_at for arrival in arrivals(plan()) if arrival.kind == "first"]
    late = sum(1 for before, after in itertools.pairwise(moments) if after < before)
    assert 20 < late < 200


def test_places_have_names_categories_and_tips() -> None:
    """The first is the README's shop; cafés get tips, shops do not."""
    made = places(12)
    assert (made[0].place_id, made[0].name) == ("011", "Магазин №1")
    assert len({place.place_id for place in made}) == 12
    tipped = {check.place_id for check in checks(plan()) if check.tips_amount}
    assert tipped <= {place.place_id for place in made if place.tips}


@pytest.mark.parametrize("number", [1, 2])
def test_one_check_at_a_time(number: int) -> None:
    """For load at a rate: each number is a check of its own."""
    assert one_check(plan(), number) == one_check(plan(), number)
    assert one_check(plan(), number) != one_check(plan(), number + 2)
