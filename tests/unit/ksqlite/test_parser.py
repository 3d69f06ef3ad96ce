"""The parser: what it reads, and how it refuses what it cannot read."""

import json
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ksqlite import ast, grammar, parser
from ksqlite.errors import ParseError, UnsupportedError
from ksqlite.types import INTEGER, STRING, array, decimal, map_of, struct

ROOT = Path(__file__).parents[3]
CASES = ROOT.parent / "shared" / "ksqldb-cases"


def test_tables_are_current() -> None:
    """grammar.json was made from the grammar.lark that lies beside it."""
    tables = json.loads(grammar.TABLES.read_text("utf-8"))
    assert grammar.fingerprint() == tables["fingerprint"]


def test_grammar_compiles_to_the_tables() -> None:
    """Compiling the grammar anew gives a parser of the same size, without a conflict."""
    tables = json.loads(grammar.TABLES.read_text("utf-8"))
    assert len(tables["states"]) == len(grammar.compile_tables()["states"])


def test_project_files_parse() -> None:
    """Every statement of the project's own ksql files is in the grammar."""
    for path in sorted((ROOT / "ksql").glob("*.sql")):
        assert parser.parse(path.read_text("utf-8"))


@pytest.mark.skipif(not CASES.exists(), reason="ksqlDB's cases are not on this machine")
def test_ksqldb_cases_parse() -> None:
    """Every statement of ksqlDB's own cases parses, unless the case expects a refusal."""
    refused = []
    for path in sorted(CASES.glob("*/*.json")):
        for case in json.loads(path.read_text("utf-8"))["tests"]:
            if "expectedException" in case or case["name"] in {"error on ORDER BY", "error on negative limit"}:
                continue
            for statement in case["statements"]:
                try:
                    parser.parse(statement.replace("{FORMAT}", "JSON"))
                except ParseError as error:
                    refused.append((path.name, case["name"], str(error)))
    assert refused == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SELEC * FROM t;", "line 1:1: Syntax Error\nUnknown statement 'SELEC'\nDid you mean 'SELECT'?"),
        ("RUN SCRIPT 'a';", "line 1:1: Syntax Error\nUnknown statement 'RUN'"),
        ("SHOW STREAMS", "line 1:13: Syntax Error\nmissing ';' at '<EOF>'"),
        ("CREATE STREAM I (K STRING (KEY));", "line 1:28: Syntax Error\nExpecting {'STRING', INTEGER_VALUE}"),
        ("CREATE STREAM I (K VARCHAR(STRING) (KEY));", "line 1:36: Syntax Error\nExpecting {',', ')'}"),
        ("SELECT a FROM t GROUP BY b, (c, d);", "line 1:31: Syntax Error\nmissing ')' at ','"),
        (
            "CREATE TABLE INPUT (ID INT KEY);",
            "Line: 1, Col: 21: Column `ID` is a 'KEY' column: please use 'PRIMARY KEY' for tables.",
        ),
        (
            "SELECT from FROM t;",
            (
                'line 1:8: Syntax Error\n"from" is a reserved keyword and it can\'t be used as an identifier.'
                " You can use it as an identifier by escaping it as 'from'"
            ),
        ),
        ("SELECT 'a FROM t;", "line 1:8: Syntax Error\na string that is not closed"),
        ("SELECT 99999999999999999999 FROM t;", "Line: 1, Col: 8: Invalid numeric literal: 99999999999999999999"),
    ],
)
def test_refusals(text: str, message: str) -> None:
    """A text that is not ksql is refused in ksqlDB's words, with its place."""
    with pytest.raises(ParseError) as caught:
        parser.parse(text)
    assert message == str(caught.value)
    assert caught.value.line == 1


def test_place_of_error_in_a_later_statement() -> None:
    """Lines are counted through the whole text, columns from 0 in the attribute and from 1 in the message."""
    with pytest.raises(ParseError) as caught:
        parser.parse("SHOW STREAMS;\n\n  SHOW TABBLES;")
    assert (caught.value.line, caught.value.column) == (3, 7)


def test_connectors_are_refused_by_name() -> None:
    """Connector statements name what to use instead."""
    with pytest.raises(UnsupportedError, match="Kafka Connect's own REST API"):
        parser.parse("CREATE SINK CONNECTOR c WITH ('a'='b');")


def test_words_of_the_grammar_as_columns() -> None:
    """Words that are not reserved are identifiers wherever their keyword has no place."""
    located = parser.parse("SELECT key, date, size, string, session, type, window_, topic FROM source AS stream1;")
    statement = located[0].statement
    assert isinstance(statement, ast.QueryStatement)
    query: Any = statement.query
    assert query.select[0].expression == ast.ColumnRef("KEY")
    assert query.select[3].expression == ast.ColumnRef("STRING")
    assert query.source == ast.Source("SOURCE", "STREAM1")


def test_located_text() -> None:
    """A statement's text is its own: without its semicolon and the comments around it."""
    located = parser.parse("-- one\nSHOW STREAMS ; /* two */ SHOW\n TABLES; -- end")
    assert [one.text for one in located] == ["SHOW STREAMS", "SHOW\n TABLES"]
    assert [one.at for one in located] == [(2, 0), (2, 25)]


def test_variables() -> None:
    """Variables are put in everywhere, DEFINE acts on what follows it, and unknown names stay."""
    located = parser.parse(
        "DEFINE t = 'in'; CREATE STREAM ${s} (a INT) WITH (KAFKA_TOPIC='${t}-${s}', X='${no} $${t}');", {"s": "foo"}
    )
    statement = located[1].statement
    assert isinstance(statement, ast.CreateSource)
    assert statement.name == "FOO"
    assert dict(statement.properties) == {"KAFKA_TOPIC": "in-foo", "X": "${no} ${t}"}


def test_properties() -> None:
    """The values of properties keep their kind."""
    statement = parser.parse_statement("CREATE STREAM s (a INT) WITH (a='1', B=-1, 'c'=TRUE, d=1.5, e=2)")
    assert isinstance(statement, ast.CreateSource)
    expected = (("A", "1"), ("B", -1), ("C", True), ("D", Decimal("1.5")), ("E", 2))
    assert expected == statement.properties


def test_types() -> None:
    """Types are read into the type system at once; other names are left to the catalog."""
    text = "ARRAY<STRUCT<a INT, `b` MAP<VARCHAR, DECIMAL(4, 2)>>>"
    assert parser.parse_type(text) == array(struct(("A", INTEGER), ("b", map_of(STRING, decimal(4, 2)))))
    assert parser.parse_type("address") == ast.TypeName("ADDRESS")
    assert parser.parse("CREATE TYPE p AS STRUCT<a address>;")[0].custom_types


def test_schema() -> None:
    """A list of columns is read with or without its parentheses."""
    columns = parser.parse_schema("`ID` STRING KEY, `V` INTEGER")
    assert columns == parser.parse_schema("(ID VARCHAR KEY, V INT)")


def test_precedence() -> None:
    """AND binds before OR, NOT before AND, products before sums, signs before products."""
    assert parser.parse_expression("a OR NOT b AND c") == parser.parse_expression("a OR ((NOT b) AND c)")
    assert parser.parse_expression("a + -b * c % 2 = d") == parser.parse_expression("(a + (((-b) * c) % 2)) = d")


def test_lambdas_and_units() -> None:
    """Lambdas take one bare parameter or several in parentheses; a bare unit is an argument of its own kind."""
    call: Any = parser.parse_expression("REDUCE(a, 0, (s, x) => s + (x))")
    assert call.arguments[2].parameters == ("S", "X")
    call = parser.parse_expression("DATEADD(DAYS, 1, `DAYS`)")
    assert call.arguments == (
        ast.IntervalUnit("DAYS"),
        ast.IntegerLiteral(1),
        ast.ColumnRef("DAYS"),
    )


def test_start_is_fast() -> None:
    """Importing the parser and reading the first statement leaves the start of the server nearly a second."""
    code = (
        "import time; started = time.process_time(); from ksqlite import parser; "
        "parser.parse('SELECT * FROM t;'); print(time.process_time() - started)"
    )
    best = min(
        float(subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True).stdout)
        for _ in range(3)
    )
    assert best < 0.25  # 0.08 on an idle machine


def test_speed() -> None:
    """A thousand statements are parsed in well under a second."""
    text = (ROOT / "ksql" / "40_lines.sql").read_text("utf-8")
    parser.parse(text)
    started = time.process_time()
    for _ in range(100):
        parser.parse(text)
    assert time.process_time() - started < 2.0
