"""Both languages say everything, and numbers read as each language writes them."""

import datetime as dt
import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from analytics_api.pages import periods, sessions, texts, view
from analytics_api.pages.formats import MINUS, NO_BREAK, Formats
from intake.contract.contract import Contract, UnfitCheckError
from intake.contract.numbers import zigzag
from stack.settings import CHECKOUT

TEMPLATES = Path(view.__file__).parent / "templates"
NOW = dt.datetime(2026, 11, 24, 15, 40, tzinfo=dt.UTC)


def test_every_text_of_the_templates_has_a_russian_one() -> None:
    """No page mixes languages because somebody forgot the catalogue."""
    used = {text for path in TEMPLATES.rglob("*.html") for text in re.findall(r'_\("([^"]*)"', path.read_text("utf-8"))}
    known = json.loads((TEMPLATES.parent / "i18n" / "ru.json").read_text("utf-8"))["texts"]
    assert sorted(used - set(known)) == []


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            "011 2026-11-24T15h: expected 3 / 82.41, found nothing",
            "011 2026-11-24T15h: ожидалось 3 / 82.41, найдено ничего",
        ),
        (
            "011 2026-11-24T15h: expected 3 / 82.41, found 2 / 54.94",
            "011 2026-11-24T15h: ожидалось 3 / 82.41, найдено 2 / 54.94",
        ),
        (
            "x: expected 1, found 2 2026-11-24: expected 4, found nothing",
            "x: expected 1, found 2 2026-11-24: ожидалось 4, найдено ничего",
        ),
        (
            "2026-11-24T15:40Z: log 5, topic sales 4, sales 3, repeats 1",
            "2026-11-24T15:40Z: в журнале 5, в топике sales 4, продаж 3, повторов 1",
        ),
        ("unique_transaction_id", "unique_transaction_id"),
    ],
)
def test_what_the_reconciliation_found_is_said_in_russian(said: str, expected: str) -> None:
    """Whatever a place is called; English is left as it is."""
    assert texts.translate("ru", said) == expected
    assert texts.translate("en", said) == said


@pytest.mark.parametrize(
    ("chosen", "header", "expected"),
    [
        (None, "ru-RU,ru;q=0.9,en;q=0.8", "ru"),
        (None, "de, en;q=0.5, ru;q=0.4", "en"),
        (None, "", "en"),
        ("ru", "en", "ru"),
        ("xx", "ru;q=0, fr", "en"),
    ],
)
def test_the_language_is_the_switch_then_the_browser_then_english(
    chosen: str | None, header: str, expected: str
) -> None:
    """A choice outlasts the header, and a broken header costs nothing."""
    assert texts.negotiate(chosen, header) == expected


def test_money_keeps_its_exact_digits_in_both_languages() -> None:
    """No digit is lost, whatever the size."""
    value = Decimal("-12345678901234567890.10")
    assert Formats("en", ZoneInfo("UTC")).number(value) == f"{MINUS}12,345,678,901,234,567,890.10"
    assert (
        Formats("ru", ZoneInfo("UTC")).number(value)
        == f"{MINUS}12,345,678,901,234,567,890".replace(",", NO_BREAK) + ",10"
    )


def test_a_count_has_no_digits_after_its_point() -> None:
    """A number of checks is a whole number."""
    assert Formats("en", ZoneInfo("UTC")).number(2001) == "2,001"
    assert Formats("ru", ZoneInfo("UTC")).number(2001) == "2001"
    assert Formats("en", ZoneInfo("UTC")).number(0) == "0"


@pytest.mark.parametrize("choice", periods.CHOICES)
@pytest.mark.parametrize("zone", ["UTC", "Europe/Moscow", "Asia/Kolkata", "America/New_York"])
def test_a_period_is_whole_hours_and_compared_with_no_longer_one(choice: Any, zone: str) -> None:
    """Whatever zone is shown, services get whole hours of UTC."""
    period = periods.choose(choice, ZoneInfo(zone), NOW)
    bounds = (period.start, period.end, period.before_start, period.before_end)
    assert all(bound == bound.replace(minute=0, second=0, microsecond=0) for bound in bounds)
    assert period.before_start < period.before_end <= period.start < period.end
    assert period.before_end - period.before_start <= period.end - period.start


@pytest.mark.parametrize("address", ["//evil.example/", "/\\evil.example", "https://evil.example/", "/a\nb", "", None])
def test_a_way_back_never_leads_to_another_site(address: str | None) -> None:
    """What stands in `next` is a path here, or is not followed."""
    assert sessions.local_address(address, "/") == "/"


def test_sentences_of_services_are_translated_by_pattern() -> None:
    """Alarms carry numbers, and still are Russian."""
    assert texts.translate("ru", "dlq_sales holds 3 dead letters.") == "В dlq_sales недоставленных записей: 3."


@pytest.mark.parametrize(
    "broken",
    [
        {"nds_amount": -1, "tips_amount": "1", "total_amount": 1.234, "items": []},
        {"timestamp": "2090-01-01T00:00:00Z", "place_id": "a/b", "transaction_id": "", "place_name": 5},
        {"timestamp": "1990-01-01T00:00:00Z", "items": "tea", "payment_method": None, "total_amount": 1e40},
        {"timestamp": "2024-02-30T00:00:00", "items": [{"quantity": 0, "price": [], "product_id": "x" * 200}, 7]},
        {"timestamp": "yesterday", "place_name": "\0", "category": True, "items": [{}]},
        {"timestamp": "2024-02-07T12:00:60Z", "place_id": "\ud800", "items": {}},
        {"timestamp": 5, "total_amount": {}, "nds_amount": True, "items": None},
    ],
)
def test_every_reason_of_a_rejected_check_has_a_russian_one(broken: dict[Any, Any]) -> None:
    """What intake says of a wrong check reaches a Russian administrator in Russian."""
    contract = Contract((CHECKOUT / "schemas" / "check.avsc").read_text("utf-8"), 1, 1)
    good = {"transaction_id": "t", "timestamp": "2026-11-24T12:00:00Z", "items": [], "total_amount": 1}
    now_ms = int(NOW.timestamp() * 1000)
    with pytest.raises(UnfitCheckError) as caught:
        contract.take(json.dumps({**good, **broken}).encode(), now_ms, zigzag(now_ms))
    errors = caught.value.errors
    assert errors
    english = [one.detail for one in errors if not re.search("[а-я]", texts.translate("ru", one.detail))]
    assert english == []


def test_a_value_inside_a_reason_is_never_translated() -> None:
    """What somebody sent stays as it was sent, also when it is a word of the catalogue."""
    assert texts.translate("ru", "must be 0 or more, and is Total") == "должно быть не меньше 0, а здесь Total"
    assert texts.translate("ru", "must be a string, not a number") == "должна быть строка, а здесь число"


def test_a_scale_is_short_and_exact() -> None:
    """Round numbers of an axis are shortened only where nothing is lost."""
    english, russian = Formats("en", ZoneInfo("UTC")), Formats("ru", ZoneInfo("UTC"))
    assert [english.short_number(Decimal(n)) for n in (0, 750, 1500, 400_000, 2_000_000, 1_234_567)] == [
        "0", "750", "1.5k", "400k", "2m", "1,234,567",
    ]  # fmt: skip
    assert russian.short_number(Decimal(1_500_000)) == f"1,5{NO_BREAK}млн"


def test_a_recent_time_leaves_its_day_out_only_today() -> None:
    """Today is the reader's day, in the zone that the page names."""
    moscow = Formats("en", ZoneInfo("Europe/Moscow"))
    assert moscow.recent(dt.datetime(2026, 11, 23, 21, 5, 7, tzinfo=dt.UTC), NOW) == "00:05:07"
    assert moscow.recent(dt.datetime(2026, 11, 23, 20, 59, 59, tzinfo=dt.UTC), NOW) == "23 Nov 2026, 23:59:59"
    assert moscow.recent(None, NOW) == "—"
