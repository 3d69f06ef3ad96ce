"""The printer: what is printed parses back to the same."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ksqlite import ast, parser, printer, types

NAMES = st.one_of(
    st.from_regex(r"[A-Z_][A-Z0-9_]{0,5}", fullmatch=True),
    st.sampled_from(sorted(parser._tables().keywords)),
    st.sampled_from(
        ["key", "a b", "`", "SELECT", "DATE", "EMIT", "WINDOW", "DAYS", "MAP", "ARRAY", "1R", "Ж", "ALL", "ID"]
    ),
)
TEXT = st.text(max_size=8)
SIMPLE_TYPES = st.sampled_from(
    [types.INTEGER, types.STRING, types.BOOLEAN, types.TIMESTAMP, types.BYTES, types.decimal(10, 3)]
)
TYPES = st.recursive(
    SIMPLE_TYPES,
    lambda inner: st.one_of(
        st.builds(types.array, inner),
        st.builds(types.map_of, inner, inner),
        st.lists(st.tuples(NAMES, inner), max_size=3, unique_by=lambda pair: pair[0]).map(
            lambda fields: types.struct(*fields)
        ),
    ),
    max_leaves=5,
)
LITERALS = st.one_of(
    st.just(ast.NullLiteral()),
    st.builds(ast.BooleanLiteral, st.booleans()),
    st.builds(ast.IntegerLiteral, st.integers(0, 2**63 - 1)),
    st.decimals(0, 10**12, places=3).map(ast.DecimalLiteral),
    st.floats(0, allow_infinity=False, allow_nan=False).map(abs).map(ast.DoubleLiteral),
    st.builds(ast.StringLiteral, TEXT),
    st.builds(ast.ColumnRef, NAMES, st.none() | NAMES),
)


def _compound(inner: Any) -> Any:
    return st.one_of(
        st.builds(ast.Arithmetic, st.sampled_from(ast.ArithmeticOperator), inner, inner),
        st.builds(ast.Comparison, st.sampled_from(ast.ComparisonOperator), inner, inner),
        st.builds(ast.Logical, st.sampled_from(ast.LogicalOperator), inner, inner),
        st.builds(ast.Sign, st.booleans(), inner),
        st.builds(ast.Not, inner),
        st.builds(ast.IsNull, inner, st.booleans()),
        st.builds(ast.Between, inner, inner, inner, st.booleans()),
        st.builds(ast.In, inner, st.lists(inner, min_size=1, max_size=3).map(tuple), st.booleans()),
        st.builds(ast.Like, inner, inner, st.none() | st.sampled_from("!'\\"), st.booleans()),
        st.builds(
            ast.Case,
            st.none() | inner,
            st.lists(st.builds(ast.When, inner, inner), min_size=1, max_size=2).map(tuple),
            st.none() | inner,
        ),
        st.builds(ast.Cast, inner, TYPES),
        st.builds(ast.FieldAccess, inner, NAMES),
        st.builds(ast.Subscript, inner, inner),
        st.builds(ast.ArrayConstructor, st.lists(inner, max_size=3).map(tuple)),
        st.builds(ast.MapConstructor, st.lists(st.tuples(inner, inner), max_size=2).map(tuple)),
        st.builds(
            ast.StructConstructor,
            st.lists(st.tuples(NAMES, inner), max_size=2, unique_by=lambda pair: pair[0]).map(tuple),
        ),
        st.builds(
            ast.FunctionCall,
            st.from_regex(r"F[A-Z_]{0,4}", fullmatch=True),
            st.lists(
                st.one_of(
                    inner,
                    st.builds(ast.Lambda, st.lists(NAMES, min_size=1, max_size=2).map(tuple), inner),
                    st.builds(ast.IntervalUnit, st.sampled_from(["DAYS", "HOUR"])),
                ),
                max_size=3,
            ).map(tuple),
        ),
    )


EXPRESSIONS = st.recursive(LITERALS, _compound, max_leaves=4)
DURATIONS = st.builds(ast.Duration, st.integers(0, 99), st.sampled_from(["DAYS", "HOURS", "MILLISECONDS"]))
SOURCES = st.builds(ast.Source, NAMES, NAMES)
WINDOWS = st.one_of(
    st.builds(
        ast.Window,
        st.sampled_from([ast.WindowType.TUMBLING, ast.WindowType.SESSION]),
        DURATIONS,
        st.none(),
        st.none() | DURATIONS,
        st.none() | DURATIONS,
    ),
    st.builds(
        ast.Window,
        st.just(ast.WindowType.HOPPING),
        DURATIONS,
        DURATIONS,
        st.none() | DURATIONS,
        st.none() | DURATIONS,
    ),
)
QUERIES = st.builds(
    ast.Query,
    st.lists(
        st.one_of(
            st.builds(ast.SelectAll, st.none() | NAMES),
            st.builds(ast.SelectItem, EXPRESSIONS, st.none() | NAMES),
            st.builds(ast.SelectItem, st.builds(ast.AllFields, LITERALS)),
        ),
        min_size=1,
        max_size=3,
    ).map(tuple),
    SOURCES,
    st.lists(
        st.builds(
            ast.Join,
            st.sampled_from(ast.JoinType),
            SOURCES,
            EXPRESSIONS,
            st.none() | st.builds(ast.Within, DURATIONS, DURATIONS, st.none() | DURATIONS),
        ),
        max_size=2,
    ).map(tuple),
    st.none() | WINDOWS,
    st.none() | EXPRESSIONS,
    st.lists(EXPRESSIONS, max_size=2).map(tuple),
    st.lists(EXPRESSIONS, max_size=2).map(tuple),
    st.none() | EXPRESSIONS,
    st.none() | st.sampled_from(ast.Refinement),
    st.none() | st.integers(0, 1000),
)
PROPERTIES = st.lists(
    st.tuples(
        st.from_regex(r"[A-Z_]{1,6}", fullmatch=True),
        st.one_of(TEXT, st.integers(-9, 10**12), st.booleans(), st.decimals(-9, 9, places=2), st.none()),
    ),
    max_size=2,
).map(tuple)
COLUMNS = st.lists(
    st.one_of(
        st.builds(ast.ColumnDefinition, NAMES, TYPES, st.sampled_from([None, ast.Constraint.HEADERS])),
        st.builds(ast.ColumnDefinition, NAMES, TYPES, st.just(ast.Constraint.HEADER), TEXT),
    ),
    max_size=3,
).map(tuple)
STATEMENTS = st.one_of(
    st.builds(ast.QueryStatement, QUERIES),
    st.builds(ast.CreateSource, NAMES, st.booleans(), COLUMNS, PROPERTIES, st.booleans(), st.booleans(), st.booleans()),
    st.builds(ast.CreateAsSelect, NAMES, st.booleans(), QUERIES, PROPERTIES, st.booleans(), st.booleans()),
    st.builds(ast.InsertInto, NAMES, QUERIES, PROPERTIES),
    st.builds(
        ast.InsertValues,
        NAMES,
        st.lists(NAMES, max_size=2).map(tuple),
        st.lists(EXPRESSIONS, min_size=1, max_size=2).map(tuple),
    ),
    st.builds(ast.DropSource, NAMES, st.booleans(), st.booleans(), st.booleans()),
    st.builds(ast.CreateType, NAMES, TYPES, st.booleans()),
    st.builds(ast.SetProperty, TEXT, TEXT),
    st.builds(ast.QueryControl, st.sampled_from(["TERMINATE", "PAUSE", "RESUME"]), st.none() | NAMES),
    st.builds(ast.PrintTopic, TEXT, st.booleans(), st.none() | st.integers(1, 9), st.none() | st.integers(0, 9)),
    st.builds(ast.AssertTopic, TEXT, st.booleans(), PROPERTIES, st.none() | DURATIONS),
    st.builds(ast.AssertSchema, st.none() | TEXT, st.none() | st.integers(0, 9), st.booleans(), st.none() | DURATIONS),
)


LARGE = pytest.mark.filterwarnings("ignore:Generating overly large repr")
"""The strategies are a whole grammar; hypothesis writes them out when it gives a draw up, which is no fault."""


@LARGE
@given(EXPRESSIONS)
@settings(max_examples=60, deadline=None)
def test_expressions_round_trip(expression: Any) -> None:
    """A printed expression parses back to the same tree."""
    assert expression == parser.parse_expression(printer.format_expression(expression))


@given(TYPES)
@settings(deadline=None)
def test_types_round_trip(sql_type: Any) -> None:
    """A printed type, in the printer's spelling and in its own, parses back to the same type."""
    assert sql_type == parser.parse_type(printer.format_type(sql_type))
    assert "`" in str(sql_type) or sql_type == parser.parse_type(str(sql_type))


@LARGE
@given(STATEMENTS)
@settings(max_examples=60, deadline=None)
def test_statements_round_trip(statement: Any) -> None:
    """A printed statement parses back to the same tree."""
    assert [statement] == [one.statement for one in parser.parse(printer.format_statement(statement))]


@pytest.mark.parametrize(
    ("value", "text"),
    [(1000.0, "1E3"), (1.5e-7, "1.5E-7"), (0.0, "0E0"), (12.0, "1.2E1")],
)
def test_doubles(value: float, text: str) -> None:
    """Doubles are printed in scientific form, so that they are not read as decimals."""
    assert text == printer.format_double(value)


def test_decimals_keep_their_digits() -> None:
    """A decimal literal keeps its scale when it is printed."""
    assert printer.format_decimal(Decimal("10.50")) == "10.50"
    assert printer.format_decimal(Decimal(7)) == "7."


def test_layout() -> None:
    """A query is laid out over lines as ksqlDB's REST answers show it."""
    statement = parser.parse_statement(
        "create table x as select k, count(*) n from s window tumbling (size 1 hour, grace period 1 day) "
        "where a > 1 and not b group by k having count(*) > 2 emit changes"
    )
    assert printer.format_statement(statement) == (
        "CREATE TABLE X AS SELECT\n  K,\n  COUNT(*) N\nFROM S S\n"
        "WINDOW TUMBLING ( SIZE 1 HOURS , GRACE PERIOD 1 DAYS ) \n"
        "WHERE ((A > 1) AND (NOT B))\nGROUP BY K\nHAVING (COUNT(*) > 2)\nEMIT CHANGES;"
    )
