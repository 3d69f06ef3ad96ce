"""Expressions: their types, their values, and how wrong ones are refused."""

import ctypes
import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksqlite.errors import AnalysisError, EvaluationError, UnsupportedError
from ksqlite.expressions import evaluate
from ksqlite.parser import parse_expression
from ksqlite.types import (
    BIGINT,
    BOOLEAN,
    BYTES,
    DATE,
    DOUBLE,
    INTEGER,
    STRING,
    TIME,
    TIMESTAMP,
    array,
    decimal,
    map_of,
    struct,
)
from tests.unit.ksqlite.evaluating import compiled, type_of, value

COLUMNS = {
    "I": INTEGER,
    "J": INTEGER,
    "L": BIGINT,
    "D": DOUBLE,
    "N": decimal(4, 2),
    "S": STRING,
    "T": STRING,
    "B": BOOLEAN,
    "Y": BYTES,
    "TS": TIMESTAMP,
    "DT": DATE,
    "TM": TIME,
    "ARR": array(INTEGER),
    "WORDS": array(STRING),
    "M": map_of(STRING, INTEGER),
    "R": struct(("X", INTEGER), ("Y", STRING)),
    "ROWTIME": BIGINT,
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I + 1", "INTEGER"),
        ("I + L", "BIGINT"),
        ("I + D", "DOUBLE"),
        ("N + I", "DECIMAL(13, 2)"),
        ("N * 2.5", "DECIMAL(7, 3)"),
        ("S + T", "STRING"),
        ("2147483648", "BIGINT"),
        ("ARRAY[1, L]", "ARRAY<BIGINT>"),
        ("ARRAY[null, 10, '2e1', I, L]", "ARRAY<DECIMAL(19, 0)>"),
        ("MAP('a' := I, 1 := L)", "MAP<STRING, BIGINT>"),
        ("STRUCT(X := I, Y := S)", "STRUCT<`X` INTEGER, `Y` STRING>"),
        ("CASE WHEN B THEN I ELSE null END", "INTEGER"),
        ("I > 1 AND S LIKE 'a%'", "BOOLEAN"),
        ("R->X", "INTEGER"),
        ("ARR[1]", "INTEGER"),
        ("M['a']", "INTEGER"),
        ("TRANSFORM(ARR, x => x + L)", "ARRAY<BIGINT>"),
        ("TRANSFORM(M, (k, v) => UCASE(k), (k, v) => v * 1.5)", "MAP<STRING, DECIMAL(13, 1)>"),
        ("REDUCE(ARR, L, (s, x) => s + x)", "BIGINT"),
        ("ROUND(N)", "DECIMAL(2, 0)"),
        ("LEAST(N, 1.234)", "DECIMAL(5, 3)"),
        ("-N", "DECIMAL(4, 2)"),
    ],
)
def test_types(text: str, expected: str) -> None:
    """An expression's type is what ksqlDB derives."""
    assert type_of(text, COLUMNS) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3", 7),
        ("7 / 2", 3),
        ("-7 / 2", -3),
        ("-7 % 3", -1),
        ("1.0 / 3", Decimal("0.333333333333")),
        ("2.5 * 2.5", Decimal("6.25")),
        ("1E0 / 0", math.inf),
        ("'a' + 'b'", "ab"),
        ("NOT 1 > 2", True),
        ("1 = 1.0", True),
        ("1.1E0 = 1.1", True),
        ("5 BETWEEN 1 AND 5", True),
        ("5 NOT BETWEEN 1 AND 4", True),
        ("5 IN (1, '5', 2.0)", True),
        ("'10.30' IN (10.30)", True),
        ("'foobar' LIKE '%oba%'", True),
        ("'f.o' LIKE 'f_o'", True),
        ("'50%' LIKE '50!%' ESCAPE '!'", True),
        ("NULL IS NULL", True),
        ("CASE WHEN 1 > 2 THEN 'a' WHEN 2 > 1 THEN 'b' END", "b"),
        ("ARRAY[10, 20, 30][-1]", 30),
        ("ARRAY[10][0]", None),
        ("ARRAY[10][2]", None),
        ("MAP('a' := 1)['b']", None),
        ("STRUCT(A := 1)->A", 1),
        ("CAST('2e1' AS DECIMAL(4, 1))", Decimal("20.0")),
        ("CAST(9.99 AS INT)", 9),
        ("CAST(0.99 AS DECIMAL(2, 1))", Decimal("1.0")),
        ("CAST(1E10 AS STRING)", "1.0E10"),
        ("CAST(ARRAY[1, 2] AS STRING)", "[1, 2]"),
        ("CAST(MAP('this' := 1) AS STRING)", "{this=1}"),
        ("CAST(STRUCT(A := 'bar', B := CAST(NULL AS INT)) AS STRING)", "Struct{A=bar}"),
        ("CAST('tr' AS BOOLEAN)", True),
        ("CAST('2022-04-28T21:44:47.943Z' AS TIMESTAMP)", 1651182287943),
        ("CAST('2020-02' AS DATE)", 18293),
        ("CAST(CAST(-1 AS BIGINT) AS STRING)", "-1"),
        ("TRANSFORM(ARRAY[1, 2], x => TRANSFORM(ARRAY[x, 3], y => x * y))", [[1, 3], [4, 6]]),
        ("FILTER(ARRAY[1, 2, 3], x => x > 1)", [2, 3]),
        ("REDUCE(ARRAY[1, 2, 3], 10, (s, x) => s + x)", 16),
        ("REDUCE(MAP('a' := 1, 'b' := 2), 0, (s, k, v) => s + v)", 3),
    ],
)
def test_values(text: str, expected: Any) -> None:
    """Constant expressions have the value that ksqlDB gives them."""
    assert evaluate(parse_expression(text))[0] == expected


@pytest.mark.parametrize(
    "text",
    [
        "I + 1",
        "I * L",
        "-I",
        "S + 'x'",
        "R->X",
        "ARR[1]",
        "M['a']",
        "CAST(I AS STRING)",
        "S LIKE 'a'",
        "TRANSFORM(ARR, x => x)",
        "LEN(S)",
        "CAST(S AS DECIMAL(4, 1))",
    ],
)
def test_null_in_null_out(text: str) -> None:
    """NULL operands make NULL, without an error."""
    assert value(text, COLUMNS) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I = J", False),
        ("I <> J", False),
        ("I < J", False),
        ("I BETWEEN 1 AND 2", False),
        ("I IN (1, J)", False),
        ("I IS DISTINCT FROM J", False),
        ("I IS DISTINCT FROM 1", True),
        ("I IS NOT DISTINCT FROM J", True),
        ("NOT (I = J)", True),
    ],
)
def test_comparisons_with_null_are_false(text: str, expected: bool) -> None:
    """A comparison with NULL is false, never NULL; IS DISTINCT FROM knows NULL."""
    assert value(text, COLUMNS) is expected


@given(st.integers(-(2**31), 2**31 - 1), st.integers(-(2**31), 2**31 - 1))
def test_integers_wrap_around(left: int, right: int) -> None:
    """INTEGER arithmetic keeps 32 bits, as Java's does."""
    for operator, exact in (("+", left + right), ("-", left - right), ("*", left * right)):
        assert value(f"I {operator} J", COLUMNS, I=left, J=right) == ctypes.c_int32(exact).value


@given(st.integers(-(2**31), 2**31 - 1), st.integers(-(2**31), 2**31 - 1).filter(bool))
def test_division_goes_towards_zero(left: int, right: Any) -> None:
    """Quotient and remainder of whole numbers are cut towards zero, and belong together."""
    quotient = value("L / J", COLUMNS, L=left, J=right)
    remainder = value("L % J", COLUMNS, L=left, J=right)
    assert quotient == int(Decimal(left) / Decimal(right))
    assert quotient * right + remainder == left


@given(st.text("ab%_", max_size=6), st.text("ab", max_size=6))
def test_like_against_a_naive_matcher(pattern: str, text: str) -> None:
    """LIKE is what a matcher of a few lines says."""

    def like(want: Any, have: Any) -> Any:
        if not want:
            return not have
        if want[0] == "%":
            return any(like(want[1:], have[at:]) for at in range(len(have) + 1))
        return bool(have) and want[0] in {"_", have[0]} and like(want[1:], have[1:])

    assert value("S LIKE T", COLUMNS, S=text, T=pattern) is like(pattern, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("M < M", r"Cannot compare M \(MAP<STRING, INTEGER>\) to M \(MAP<STRING, INTEGER>\) with LESS_THAN\."),
        ("S > I", r"Cannot compare S \(STRING\) to I \(INTEGER\) with GREATER_THAN\."),
        ("I = NULL", "Comparison with NULL not supported"),
        ("I + B", r"\(I \+ B\). Arithmetic on types INTEGER and BOOLEAN are not supported"),
        ("CAST(S AS ARRAY<INT>)", "Invalid Select: Cast of STRING to ARRAY<INTEGER> is not supported"),
        ("B IN (true, 10)", r"Invalid Select: operator does not exist: BOOLEAN = INTEGER \(10\)"),
        ("L IN (10, 'ten')", 'invalid input syntax for type BIGINT: "ten"'),
        ("S IN (10, D)", r"operator does not exist: STRING = DOUBLE \(D\)"),
        ("ARRAY[1, 'x']", 'invalid input syntax for type INTEGER: "x"'),
        ("ARRAY[NULL]", "Cannot construct an array with all NULL elements"),
        ("MAP('a' := NULL)", "Cannot construct a map with all NULL values"),
        ("MAP(NULL := I)", "Cannot construct a map with all NULL keys"),
        ("R->NOPE", "Could not find field 'NOPE' in 'R'"),
        ("I->X", "Expected STRUCT type, got: INTEGER"),
        ("CASE WHEN I THEN 1 END", "WHEN operand type should be boolean"),
        ("CASE WHEN B THEN 1 ELSE 'a' END", "Type for the default clause should be the same"),
        ("CASE WHEN B THEN NULL END", "All case branches have a NULL type"),
        ("LEN(I)", r"Function 'LEN' does not accept parameters \(INTEGER\)"),
        ("GREATEST(NULL, NULL)", r"cannot be resolved due to ambiguous method parameters \(null, null\)"),
        ("LEAST(I, L, N)", r"ambiguous method parameters \(INTEGER, BIGINT, DECIMAL\(4, 2\)\)"),
        ("SUM(I)", "Aggregate function SUM cannot be used here"),
        ("FILTER(ARR, x => x)", "FILTER needs a lambda that gives a BOOLEAN"),
        ("TRANSFORM(ARR, (x, y) => x)", "A lambda of 1 parameter is needed here"),
        ("DATEADD(DT, 5, DT)", r"Function 'dateadd' does not accept parameters \(DATE, INTEGER, DATE\)"),
        ("NOPE", "cannot be resolved"),
    ],
)
def test_refusals(text: str, message: str) -> None:
    """What makes no sense is refused in ksqlDB's words."""
    with pytest.raises(AnalysisError, match=message):
        compiled(text, COLUMNS)


def test_unknown_functions_are_refused_by_name() -> None:
    """A function that does not exist is refused as such, and as something not supported."""
    with pytest.raises(AnalysisError, match="Can't find any functions with the name 'NOSUCH'"):
        compiled("NOSUCH(I)", COLUMNS)
    with pytest.raises(UnsupportedError):
        compiled("NOSUCH(I)", COLUMNS)


def test_predicates_must_be_boolean() -> None:
    """WHERE refuses what is no condition, and names the clause for conditions that do not compare."""
    with pytest.raises(
        AnalysisError, match=r"Should evaluate to boolean but is \(RANDOM\(\) \+ 1.5\) \(DOUBLE\) instead"
    ):
        compiled("RANDOM() + 1.5", predicate=True)
    with pytest.raises(
        AnalysisError, match=r"Error in WHERE expression: Cannot compare I \(INTEGER\) to 'x' \(STRING\)"
    ):
        compiled("I >= 'x'", COLUMNS, predicate=True)


def test_text_beside_rowtime_is_a_time() -> None:
    """In a condition, text that is compared with ROWTIME is read as a time."""
    _, function = compiled("ROWTIME > '2019-01-01T00:00:00+0445'", COLUMNS, predicate=True)
    assert [function(ROWTIME=ms) for ms in (0, 1546283700000, 1546283700001)] == [False, False, True]


def test_text_beside_times_is_read_as_such() -> None:
    """Text compared with TIMESTAMP, DATE and TIME columns is a value of that type."""
    assert value("TS = '1970-01-01T00:00:00.005'", COLUMNS, TS=5) is True
    assert value("DT = '1970-01-11'", COLUMNS, DT=10) is True
    assert value("TM BETWEEN '00:00:00.005' AND '00:00:00.010'", COLUMNS, TM=6) is True
    assert value("DT < TS", COLUMNS, DT=0, TS=1) is True


def test_bytes_are_ordered_as_signed_bytes() -> None:
    """Bytes from 0x80 on are smaller than the others, as in Java."""
    types = {"A": BYTES, "B": BYTES}
    assert value("A < B", types, A=b"\x80", B=b"\x01") is True


@pytest.mark.parametrize(
    ("text", "expected"),
    [("ARRAY[44, CAST(S AS INT)]", [44, None]), ("STRUCT(A := 'moo', B := CAST(S AS INT))", ("moo", None))],
)
def test_a_part_that_fails_is_null(text: str, expected: list[Any] | tuple[Any, ...]) -> None:
    """A failing element or field is NULL and is told of; the rest stands."""
    errors: list[Any] = []
    _, function = compiled(text, COLUMNS, errors=errors)
    assert function(S="foo") == expected
    assert len(errors) == 1


def test_an_argument_that_fails_is_null() -> None:
    """A function is called with NULL for an argument that cannot be computed."""
    assert value("IFNULL(CAST(PARSE_DATE(S, 'yyyy-MM-dd') AS STRING), 'none')", COLUMNS, S="abcd") == "none"


def test_a_condition_that_is_null_fails() -> None:
    """A NULL among conditions makes the evaluation fail, so that the whole is NULL."""
    with pytest.raises(EvaluationError):
        value("NOT B", COLUMNS)
    with pytest.raises(EvaluationError):
        value("CASE WHEN B THEN 1 ELSE 2 END", COLUMNS)


def test_branches_are_evaluated_lazily() -> None:
    """A branch that is not taken does not fail."""
    assert value("CASE WHEN I = 0 THEN 0 ELSE 1 / I END", COLUMNS, I=0) == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" OR ".join(f"I = {number}" for number in range(500)), True),
        (" + ".join(["S"] * 300), "x" * 300),
        (f"CASE {' '.join(f'WHEN I = {number} THEN {number}' for number in range(300))} END", 3),
    ],
)
def test_long_chains_compile(text: str, expected: Any) -> None:
    """Hundreds of conditions, texts or branches do not outgrow what Python's parser nests."""
    assert value(text, COLUMNS, I=3, S="x") == expected


def test_struct_literals_are_read_as_the_struct_they_stand_beside() -> None:
    """IN reads texts within a struct as the fields' types."""
    assert value("R IN (STRUCT(X := '5', Y := 'a'))", COLUMNS, R=(5, "a")) is True


def test_custom_types_are_resolved() -> None:
    """CAST takes the name of a type made by CREATE TYPE."""
    expression = parse_expression("CAST('12.5' AS MONEY)")
    assert evaluate(expression, custom_types={"MONEY": decimal(18, 2)}) == (Decimal("12.50"), decimal(18, 2))
