"""CSV cells: safe, exact, in the dialect of the reader."""

import csv
import datetime as dt
import io
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics_api.tables import ENGLISH, RUSSIAN, cell, lines, safe


@pytest.mark.parametrize("text", ["=1+1", "+7", "-x", "@SUM(A1)", "\t=1", "\r=1", "  =1", "\uff1d1"])
def test_formulas_are_made_text(text: str) -> None:
    """What a spreadsheet would run gets an apostrophe."""
    assert safe(text) == f"'{text}"


def test_numbers_stay_numbers() -> None:
    """A negative number is no formula; a Russian reader gets a decimal comma; nothing is nothing."""
    assert cell(Decimal("-27.40"), ENGLISH) == "-27.40"
    assert cell(Decimal("1E+3"), ENGLISH) == "1000"
    assert cell(Decimal("27.47"), RUSSIAN) == "27,47"
    assert cell(None, ENGLISH) == ""
    assert cell(dt.datetime(2024, 2, 7, 12, tzinfo=dt.UTC), ENGLISH) == "2024-02-07T12:00:00Z"
    assert cell(dt.datetime(2024, 2, 7, 12, tzinfo=dt.UTC), RUSSIAN) == "2024-02-07 12:00:00"


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=1, max_size=4))
def test_any_text_comes_back(texts: list[str]) -> None:
    """Quotes, delimiters and line breaks survive; only the apostrophe is added."""
    for dialect in (ENGLISH, RUSSIAN):
        written = lines([texts], dialect).decode()
        (row,) = csv.reader(io.StringIO(written, newline=""), delimiter=dialect.delimiter)
        assert row == [safe(text) for text in texts]
