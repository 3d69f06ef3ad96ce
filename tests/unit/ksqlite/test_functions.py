"""The scalar and table functions: one line for each thing that a function promises."""

import json
import math
import re
import time
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksqlite.errors import EvaluationError
from ksqlite.expressions import evaluate
from ksqlite.functions import REGISTRY
from ksqlite.parser import parse_expression
from ksqlite.types import DOUBLE, INTEGER, STRING, TIME, array, decimal, map_of, struct
from ksqlite.values.java_maps import in_order
from tests.unit.ksqlite.evaluating import type_of, value

GOLDEN = Path(__file__).parents[4] / "shared" / "golden" / "functions.json"


@pytest.mark.skipif(not GOLDEN.is_file(), reason="the list of a real ksqlDB is not at hand")
def test_every_function_of_ksqldb_is_there() -> None:
    """Names, kinds and parameter types are those that a real server lists."""
    expected = json.loads(GOLDEN.read_text())
    assert sorted(expected) == list(REGISTRY.names())
    for name, listed in expected.items():
        function = REGISTRY.find(name)
        assert function is not None
        assert function.kind.value.lower() == listed["kind"]
        ours = {str(variant.signature).rpartition(" -> ")[0] for variant in function.variants}
        for variant in listed["variants"]:
            arguments = ", ".join(variant["args"]).replace("VARCHAR", "STRING").replace("INTERVAL UNIT", "INTERVALUNIT")
            arguments = re.sub(r"\bINT\b", "INTEGER", arguments)
            assert f"({arguments})" in ours, name


def test_every_function_is_described() -> None:
    """DESCRIBE FUNCTION and the table of functions have words for each."""
    for function in REGISTRY.functions():
        assert function.description, function.name


def test_the_registry_loads_quickly() -> None:
    """Looking for the first function imports all of them in a fraction of a second."""
    started = time.process_time()
    assert REGISTRY.find("ABS")
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # strings
        ("UCASE('aß')", "ASS"),
        ("LCASE('AB')", "ab"),
        ("TRIM('  a b ')", "a b"),
        ("LEN('好')", 1),
        ("LEN('𘊸')", 2),
        ("LEN(TO_BYTES('ab', 'utf8'))", 2),
        ("SUBSTRING('some_string', 6)", "string"),
        ("SUBSTRING('some_string', -6, 3)", "str"),
        ("SUBSTRING('abc', 0)", "abc"),
        ("SUBSTRING('abc', 9)", ""),
        ("CONCAT('a', NULL, 'b')", "ab"),
        ("CONCAT_WS('-', 'a', NULL, 'b')", "a-b"),
        ("LPAD('yes', 8, 'no')", "nononyes"),
        ("RPAD('yes', 2, 'no')", "ye"),
        ("LPAD('yes', -1, 'no')", None),
        ("RPAD('yes', 5, '')", None),
        ("REPLACE('anaconda', 'a', 'o')", "onocondo"),
        ("INITCAP('the   Quick br0wn fOx')", "The   Quick Br0wn Fox"),
        ("INSTR('corporate floor', 'or')", 2),
        ("INSTR('corporate floor', 'or', 3)", 5),
        ("INSTR('corporate floor', 'or', 3, 2)", 14),
        ("INSTR('corporate floor', 'or', -4)", 5),
        ("INSTR('corporate floor', 'or', -4, 2)", 2),
        ("INSTR('short', 'or', -4)", 0),
        ("CHR(22909)", "好"),
        ("CHR(-1)", None),
        ("CHR('\\ud820\\udeb8')", "𘊸"),
        ("CHR('75')", None),
        ("ELT(2, 'a', 'b')", "b"),
        ("ELT(3, 'a', 'b')", None),
        ("FIELD('b', 'a', 'b')", 2),
        ("FIELD('c', 'a', 'b')", 0),
        ("MASK('My Test $123')", "Xx-Xxxx--nnn"),
        ("MASK('My 1', '*', NULL, NULL, NULL)", "*y 1"),
        ("MASK_LEFT('abcd', 2)", "xxcd"),
        ("MASK_RIGHT('abcd', 2)", "abxx"),
        ("MASK_KEEP_LEFT('abcd', 1)", "axxx"),
        ("MASK_KEEP_RIGHT('abcd', 1)", "xxxd"),
        ("ENCODE('YWJj', 'base64', 'hex')", "616263"),
        ("ENCODE('0x616263', 'hex', 'ascii')", "abc"),
        ("MD5('abc')", "900150983cd24fb0d6963f7d28e17f72"),
        ("SPLIT('..a..', '.')", ["", "", "a", "", ""]),
        ("SPLIT('abc', '')", ["a", "b", "c"]),
        ("SPLIT_TO_MAP('a:1//b:2/', '/', ':')", {"a": "1", "b": "2"}),
        ("SPLIT_TO_MAP('a:1', '', ':')", None),
        # bytes
        ("FROM_BYTES(TO_BYTES('IQ==', 'base64'), 'utf8')", "!"),
        ("INT_FROM_BYTES(TO_BYTES('AAAH5Q==', 'base64'))", 2021),
        ("BIGINT_FROM_BYTES(TO_BYTES('AAAAASoF8gA=', 'base64'))", 5000000000),
        ("DOUBLE_FROM_BYTES(TO_BYTES('QICm/ZvJ9YI=', 'base64'), 'BIG_ENDIAN')", 532.8738323),
        # numbers
        ("ABS(-5)", 5),
        ("ABS(-1.5)", Decimal("1.5")),
        ("CEIL(1.1)", Decimal("2.0")),
        ("FLOOR(-1.1E0)", -2.0),
        ("ROUND(1.5E0)", 2),
        ("ROUND(-1.5E0)", -1),
        ("ROUND(1.25, 1)", Decimal("1.30")),
        ("ROUND(15.0, -1)", Decimal("20.0")),
        ("ROUND(2.5)", Decimal(3)),
        ("TRUNC(-1.7E0)", -1),
        ("TRUNC(1.77, 1)", Decimal("1.70")),
        ("SIGN(-3)", -1),
        ("SQRT(4)", 2.0),
        ("CBRT(-8)", -2.0),
        ("LN(0)", -math.inf),
        ("LOG(15, 13)", 0.9471572411831843),
        ("EXP(0)", 1.0),
        ("POWER(2, 10)", 1024.0),
        ("ATAN2(0, -1)", math.pi),
        ("DEGREES(PI())", 180.0),
        ("COT(0)", math.inf),
        ("GREATEST(1, NULL, 3)", 3),
        ("LEAST(1.5, 0.25)", Decimal("0.25")),
        ("GREATEST('a', 'b')", "b"),
        ("GEO_DISTANCE(37.4439, -122.1663, 51.5257, -0.1122)", 8634.659796579544),
        # arrays
        ("ARRAY_LENGTH(ARRAY[1, 2])", 2),
        ("ARRAY_CONTAINS(ARRAY['a', 'b'], 'b')", True),
        ("ARRAY_CONTAINS(CAST(NULL AS ARRAY<INT>), 1)", False),
        ("ARRAY_DISTINCT(ARRAY[1, 2, 1])", [1, 2]),
        ("ARRAY_EXCEPT(ARRAY[0, 0, 1, -1], ARRAY[1])", [0, -1]),
        ("ARRAY_INTERSECT(ARRAY[1, 2, 2], ARRAY[2])", [2]),
        ("ARRAY_UNION(ARRAY[1], ARRAY[2, 1])", [1, 2]),
        ("ARRAY_CONCAT(ARRAY[1], CAST(NULL AS ARRAY<INT>))", [1]),
        ("ARRAY_REMOVE(ARRAY[1, 2, 1], 1)", [2]),
        ("ARRAY_MAX(ARRAY[1, NULL, 3])", 3),
        ("ARRAY_MIN(ARRAY['b', 'a'])", "a"),
        ("ARRAY_SORT(ARRAY[3, NULL, 1])", [1, 3, None]),
        ("ARRAY_SORT(ARRAY[3, NULL, 1], 'DESC')", [3, 1, None]),
        ("ARRAY_JOIN(ARRAY[true, NULL], '|')", "true|null"),
        ("ARRAY_JOIN(ARRAY[1.50], NULL)", "1.50"),
        ("SLICE(ARRAY[1, 2, 3], 2, 3)", [2, 3]),
        ("SLICE(ARRAY[1, 2, 3], 1, 0)", []),
        ("SLICE(ARRAY[1, 2, 3], 2, 9)", None),
        ("SLICE(ARRAY[1, 2, 3], NULL, NULL)", [1, 2, 3]),
        ("GENERATE_SERIES(1, 3)", [1, 2, 3]),
        ("GENERATE_SERIES(3, 1)", [3, 2, 1]),
        ("GENERATE_SERIES(-2, 1, 2)", [-2, 0]),
        # maps
        ("AS_MAP(ARRAY['a', 'b'], ARRAY[1, 2])", {"a": 1, "b": 2}),
        ("MAP_KEYS(MAP('a' := 1))", ["a"]),
        ("MAP_VALUES(MAP('a' := 1))", [1]),
        ("MAP_UNION(MAP('a' := 1), MAP('a' := 2))", {"a": 2}),
        ("ENTRIES(MAP('b' := 1, 'a' := 2), true)", [("a", 2), ("b", 1)]),
        # conditionals
        ("COALESCE(NULL, 2, 3)", 2),
        ("IFNULL(CAST(NULL AS INT), 7)", 7),
        ("NULLIF(1, 1)", None),
        ("NULLIF(1, 2)", 1),
        ("AS_VALUE(5)", 5),
        # JSON
        ("EXTRACTJSONFIELD('{\"a\": {\"b\": [1, 2.50]}}', '$.a.b[1]')", "2.5"),
        ("EXTRACTJSONFIELD('{\"@type\": \"x\"}}', '$.@type')", "x"),
        ("EXTRACTJSONFIELD('{\"a\": {\"b\": 1}}', '$[''a'']')", '{"b":1}'),
        ("EXTRACTJSONFIELD('{\"a\": null}', '$.a')", None),
        ("IS_JSON_STRING('[1]')", True),
        ("IS_JSON_STRING('[1')", False),
        ("IS_JSON_STRING('NaN')", False),
        ("JSON_ARRAY_CONTAINS('[1, \"a\", null]', 'a')", True),
        ("JSON_ARRAY_CONTAINS('[1.0]', 1)", False),
        ("JSON_ARRAY_LENGTH('[1, 2]')", 2),
        ("JSON_ARRAY_LENGTH('{}')", None),
        ("JSON_KEYS('{\"a\": 1}')", ["a"]),
        ('JSON_RECORDS(\'{"a": "x", "b": [1]}\')', {"a": "x", "b": "[1]"}),
        ("JSON_ITEMS('[{\"a\": 1}, 2]')", ['{"a":1}', "2"]),
        ("JSON_CONCAT('[1]', '{\"a\": 1}')", '[1,{"a":1}]'),
        ("JSON_CONCAT('{\"a\": 1}', '{\"b\": 2}')", '{"a":1,"b":2}'),
        ("TO_JSON_STRING(STRUCT(A := 1.50, B := ARRAY['x', NULL]))", '{"A":1.50,"B":["x",null]}'),
        ("TO_JSON_STRING(CAST('16:43:40' AS TIME))", '"16:43:40"'),
        ("TO_JSON_STRING(NULL)", "null"),
        # regular expressions
        ("REGEXP_EXTRACT('test.', 'some_test_string')", "test_"),
        ("REGEXP_EXTRACT('(.*) (.*)', 'steven zhang', 2)", "zhang"),
        ("REGEXP_EXTRACT('(?<a>x)', 'x', 3)", None),
        ("REGEXP_EXTRACT_ALL('(\\w+) (\\w*)', 'a b c d', 2)", ["b", "d"]),
        ("REGEXP_REPLACE('baababaa', '(ab)+', '<$1>')", "ba<ab>aa"),
        ("REGEXP_SPLIT_TO_ARRAY('a1b22c', '\\d+')", ["a", "b", "c"]),
        ("REGEXP_EXTRACT('\\p{Upper}\\Q.\\E', 'aB.')", "B."),
        # dates
        ("PARSE_DATE('2003-12-24-01-01', 'yyyy-MM-dd')", 12410),
        ("PARSE_DATE('2003-13-01', 'yyyy-MM-dd')", 12418),
        ("STRINGTODATE('2018-05-11Lit', 'yyyy-MM-dd''Lit''')", 17662),
        ("PARSE_TIME('13:05', 'HH:mm')", 47100000),
        ("PARSE_TIMESTAMP('2020-01-01 00:00', 'yyyy-MM-dd HH:mm', '+0100')", 1577833200000),
        ("FORMAT_TIMESTAMP(FROM_UNIXTIME(0), 'yyyy-MM-dd HH:mm:ss.SSS')", "1970-01-01 00:00:00.000"),
        ("FORMAT_DATE(FROM_DAYS(10), 'dd.MM.yyyy')", "11.01.1970"),
        ("FORMAT_TIME(CAST('10:11:12' AS TIME), 'H-m-s')", "10-11-12"),
        ("TIMESTAMPTOSTRING(1526075913000, 'HH:mm', 'America/Los_Angeles')", "14:58"),
        ("CONVERT_TZ(FROM_UNIXTIME(100), '+0200', '+0500')", 10800100),
        ("UNIX_DATE(FROM_DAYS(10))", 10),
        ("UNIX_TIMESTAMP(FROM_UNIXTIME(5))", 5),
        ("DATEADD(MONTHS, 1, CAST('2024-01-31' AS DATE))", 19782),
        ("DATESUB(DAYS, 10, FROM_DAYS(10))", 0),
        ("TIMEADD(MILLISECONDS, 10, CAST('23:59:59.995' AS TIME))", 5),
        ("TIMESUB(HOURS, 1, CAST('00:30' AS TIME))", 84600000),
        ("TIMESTAMPADD(YEARS, 1, FROM_UNIXTIME(0))", 31536000000),
        ("TIMESTAMPSUB(SECONDS, 1, FROM_UNIXTIME(0))", -1000),
        # URLs
        ("URL_ENCODE_PARAM('?foo $bar')", "%3Ffoo+%24bar"),
        ("URL_DECODE_PARAM('url%20encoded')", "url encoded"),
        ("URL_EXTRACT_HOST('http://a@b.io:80/p?q=1#f')", "b.io"),
        ("URL_EXTRACT_PORT('http://a@b.io:80/p')", 80),
        ("URL_EXTRACT_PATH('http://a@b.io:80/p/q?x')", "/p/q"),
        ("URL_EXTRACT_QUERY('http://b.io/p?q=1')", "q=1"),
        ("URL_EXTRACT_FRAGMENT('http://b.io')", None),
        ("URL_EXTRACT_PROTOCOL('www.b.io')", None),
        ("URL_EXTRACT_PARAMETER('http://b.io/?one=a&two=b%20c', 'two')", "b c"),
    ],
)
def test_values(text: str, expected: Any) -> None:
    """A function gives what ksqlDB's gives."""
    assert evaluate(parse_expression(text))[0] == expected


@pytest.mark.parametrize("text", ["SQRT(-1)", "LN(-1)", "ACOS(2)", "LOG(1, 13)", "POWER(-8, 1E0 / 3)"])
def test_without_a_value_it_is_not_a_number(text: str) -> None:
    """What has no value is NaN, no error."""
    assert math.isnan(evaluate(parse_expression(text))[0])


@pytest.mark.parametrize(
    "text",
    [
        "PARSE_DATE('2004', 'yyyy-MM-dd')",
        "STRINGTODATE('2003-12-24x', 'yyyy-MM-dd')",
        "PARSE_TIMESTAMP('x', 'yyyy')",
        "INT_FROM_BYTES(TO_BYTES('AA==', 'base64'))",
        "TO_BYTES('zz', 'hex')",
        "FROM_BYTES(TO_BYTES('a', 'utf8'), 'nope')",
        "EXTRACTJSONFIELD('{', '$.a')",
        "EXTRACTJSONFIELD('{}', 'a')",
        "REGEXP_EXTRACT('(', 'a')",
        "REGEXP_EXTRACT('[a&&b]', 'a')",
        "GENERATE_SERIES(1, 2, 0)",
        "GEO_DISTANCE(91, 0, 0, 0)",
        "CONVERT_TZ(FROM_UNIXTIME(0), 'Nowhere', 'UTC')",
        "MASK_LEFT('a', -1)",
    ],
)
def test_what_fails(text: str) -> None:
    """Bad input fails, so that the value is NULL and the processing log is told."""
    with pytest.raises(EvaluationError):
        evaluate(parse_expression(text))


def test_random_functions_differ() -> None:
    """RANDOM and UUID give something else each time."""
    assert evaluate(parse_expression("RANDOM()"))[0] != evaluate(parse_expression("RANDOM()"))[0]
    assert UUID(evaluate(parse_expression("UUID()"))[0]).version == 4


def test_now_is_now() -> None:
    """UNIX_TIMESTAMP() is the clock's time in milliseconds."""
    assert abs(evaluate(parse_expression("UNIX_TIMESTAMP()"))[0] - time.time() * 1000) < 60_000


def test_text_is_taken_for_times() -> None:
    """A text literal beside TIME columns is a time, as implicit casts have it."""
    assert value("GREATEST(A, NULL, '09:16:00')", {"A": TIME}, A=5) == 33360000


@pytest.mark.parametrize(
    ("text", "types", "expected"),
    [
        ("ROUND(V)", {"V": decimal(33, 16)}, "DECIMAL(17, 0)"),
        ("ROUND(V, 2)", {"V": decimal(33, 16)}, "DECIMAL(33, 16)"),
        ("LEAST(A, B)", {"A": decimal(9, 2), "B": decimal(7, 6)}, "DECIMAL(13, 6)"),
        ("ARRAY_MAX(A)", {"A": array(DOUBLE)}, "DOUBLE"),
        ("ENTRIES(M, true)", {"M": map_of(STRING, INTEGER)}, "ARRAY<STRUCT<`K` STRING, `V` INTEGER>>"),
        ("AS_VALUE(R)", {"R": struct(("A", INTEGER))}, "STRUCT<`A` INTEGER>"),
    ],
)
def test_result_types(text: str, types: dict[Any, Any], expected: str) -> None:
    """Result types follow the arguments' types."""
    assert type_of(text, types) == expected


@given(st.lists(st.integers(0, 3), max_size=5), st.integers(-1, 7), st.integers(-1, 7))
def test_slice_against_python(values: list[Any], first: int, last: int) -> None:
    """SLICE gives the elements from the first to the last position, or NULL where those are not there."""
    found = value("SLICE(A, F, L)", {"A": array(INTEGER), "F": INTEGER, "L": INTEGER}, A=values, F=first, L=last)
    positions = range(first, last + 1)
    there = first >= 1 and last <= len(values) and first - 1 <= last
    assert found == ([values[position - 1] for position in positions] if there else None)


@given(st.dictionaries(st.text(max_size=3), st.integers(), max_size=12))
def test_javas_order_loses_nothing(entries: dict[Any, Any]) -> None:
    """Java's order of a map's entries is some order of all of them."""
    assert dict(in_order(entries)) == entries


def test_table_functions() -> None:
    """EXPLODE and CUBE_EXPLODE give their rows; NULL and an empty array give none."""
    explode = REGISTRY.table("EXPLODE", [array(decimal(4, 2))])
    assert explode.returns == decimal(4, 2)
    assert [list(explode.call(values)) for values in ([1, 2], [], None)] == [[1, 2], [], []]
    cube = REGISTRY.table("CUBE_EXPLODE", [array(INTEGER)])
    assert list(cube.call([1, 2])) == [[None, None], [None, 2], [1, None], [1, 2]]
