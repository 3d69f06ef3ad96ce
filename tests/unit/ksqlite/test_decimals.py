"""DECIMAL against Python's own decimals: arithmetic, casts, sums, text."""

from decimal import ROUND_HALF_UP, Context, Decimal, Rounded, localcontext
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksqlite.ast import ArithmeticOperator, NullLiteral
from ksqlite.errors import EvaluationError
from ksqlite.functions import REGISTRY
from ksqlite.types import decimal
from ksqlite.values import casts, decimals, text
from tests.unit.ksqlite.evaluating import compiled, type_of, value

EXACT = Context(prec=400)


@st.composite
def typed(draw: Any, digits: int = 38) -> tuple[Any, ...]:
    """A DECIMAL type and a value of it."""
    precision = draw(st.integers(1, digits))
    scale = draw(st.integers(0, precision))
    unscaled = draw(st.integers(-(10**precision) + 1, 10**precision - 1))
    return decimal(precision, scale), Decimal(unscaled).scaleb(-scale, EXACT)


def fits(number: Any, sql_type: Any) -> Any:
    return -number.as_tuple().exponent == sql_type.scale and abs(number) < Decimal(10) ** (
        sql_type.precision - sql_type.scale
    )


@pytest.mark.parametrize(
    ("operator", "exact"),
    [("+", EXACT.add), ("-", EXACT.subtract), ("*", EXACT.multiply)],
)
@given(left=typed(), right=typed())
def test_sums_and_products_are_exact_and_fit_their_type(operator: str, exact: Any, left: Any, right: Any) -> None:
    """A + b, a - b and a * b are what exact arithmetic gives, with the scale and within the digits of their type."""
    result, function = compiled(f"A {operator} B", {"A": left[0], "B": right[0]})
    found = function(A=left[1], B=right[1])
    assert found == exact(left[1], right[1])
    assert fits(found, result.type)


@given(left=typed(), right=typed())
def test_results_do_not_depend_on_the_threads_context(left: Any, right: Any) -> None:
    """A thread whose context keeps few digits gets the same product: nothing is rounded behind one's back."""
    _, function = compiled("A * B", {"A": left[0], "B": right[0]})
    with localcontext(Context(prec=28)):
        assert function(A=left[1], B=right[1]) == EXACT.multiply(left[1], right[1])


@given(left=typed(18), right=typed(18))
def test_quotients_are_the_nearest_of_their_type(left: Any, right: Any) -> None:
    """A / b is nearer to the true quotient than one unit in the last place of its type; by zero it fails."""
    result, function = compiled("A / B", {"A": left[0], "B": right[0]})
    if right[1] == 0:
        with pytest.raises(ArithmeticError):
            function(A=left[1], B=right[1])
        return
    found = function(A=left[1], B=right[1])
    assert -found.as_tuple().exponent == result.type.scale
    distance = abs(Fraction(found) - Fraction(left[1]) / Fraction(right[1]))
    assert distance <= Fraction(1, 2 * 10**result.type.scale) * Fraction(101, 100)


@given(left=typed(), right=typed())
def test_remainders_have_the_sign_of_the_dividend(left: Any, right: Any) -> None:
    """A % b is the remainder of division towards zero."""
    if right[1] == 0:
        return
    found = value("A % B", {"A": left[0], "B": right[0]}, A=left[1], B=right[1])
    assert found == EXACT.remainder(left[1], right[1])


@given(source=typed(), precision=st.integers(1, 38), data=st.data())
def test_casts_round_half_up_or_refuse(source: Any, precision: int, data: st.DataObject) -> None:
    """CAST to another DECIMAL rounds half up, and fails exactly when the digits before the point are too many."""
    target = decimal(precision, data.draw(st.integers(0, precision)))
    cast = casts.caster(source[0], target) or (lambda number: number)
    rounded = source[1].quantize(Decimal(1).scaleb(-target.scale), ROUND_HALF_UP, EXACT)
    if fits(rounded, target):
        assert cast(source[1]) == rounded
        assert fits(cast(source[1]), target)
    else:
        with pytest.raises(EvaluationError, match="Numeric field overflow"):
            cast(source[1])


@given(numbers=st.lists(st.integers(-(10**5) + 1, 10**5 - 1)), precision=st.integers(5, 7))
def test_sum_is_exact_or_overflows(numbers: list[Any], precision: int) -> None:
    """SUM adds exactly, and overflows at the first sum that has more digits than the type."""
    sql_type = decimal(precision, 2)
    udaf = REGISTRY.aggregate("SUM", (NullLiteral(),), [sql_type]).udaf
    state = udaf.init()
    total = 0
    for number in numbers:
        total += number
        if abs(total) >= 10**precision:
            with pytest.raises(Rounded):
                udaf.update(state, Decimal(number).scaleb(-2))
            return
        state = udaf.update(state, Decimal(number).scaleb(-2))
    assert udaf.result(state) == Decimal(total).scaleb(-2)


@given(source=typed())
def test_text_is_plain_and_reads_back(source: Any) -> None:
    """A decimal is written without exponent, and the text is the same decimal."""
    written = text.decimal_to_text(source[1])
    assert "E" not in written
    assert decimals.parse(written) == source[1]


@given(number=st.floats(allow_nan=False, allow_infinity=False))
def test_doubles_read_back(number: float) -> None:
    """A double's text in Java's form reads back to the same double."""
    assert casts.text_to_double(text.double_to_text(number)) == number


@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        (ArithmeticOperator.ADD, decimal(6, 3)),
        (ArithmeticOperator.SUBTRACT, decimal(6, 3)),
        (ArithmeticOperator.MULTIPLY, decimal(10, 5)),
        (ArithmeticOperator.DIVIDE, decimal(13, 8)),
        (ArithmeticOperator.MODULUS, decimal(5, 3)),
    ],
)
def test_result_types(operator: Any, expected: Any) -> None:
    """Precision and scale of the result of each operator on DECIMAL(4, 2) and DECIMAL(5, 3)."""
    assert decimals.result_type(operator, decimal(4, 2), decimal(5, 3)) == expected


def test_widening_to_more_digits_costs_nothing() -> None:
    """A CAST to more digits of the same scale is no operation at all in the generated code."""
    result, _ = compiled("CAST(A AS DECIMAL(38, 2))", {"A": decimal(18, 2)})
    assert result.source == "c_A"
    assert not result.fallible


@pytest.mark.parametrize(
    ("literal", "expected"),
    [("2.345", "DECIMAL(4, 3)"), ("0.08", "DECIMAL(2, 2)"), ("10.50", "DECIMAL(4, 2)"), ("1E3", "DOUBLE")],
)
def test_literals(literal: str, expected: str) -> None:
    """A number with a point is a DECIMAL of the digits that are written."""
    assert type_of(literal) == expected


@pytest.mark.parametrize("unfit", ["DECIMAL(0, 0)", "DECIMAL(2, 3)"])
def test_impossible_types_are_refused(unfit: str) -> None:
    """A DECIMAL without digits, or with more behind the point than it has, is refused."""
    with pytest.raises(Exception, match=r"DECIMAL|precision|scale"):
        type_of(f"CAST(1 AS {unfit})")
