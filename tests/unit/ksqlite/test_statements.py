"""Statements that run no query: what they declare, refuse, drop, insert and show."""

import json
from typing import Any

import pytest

from ksqlite import ast, parser, readme
from ksqlite.engine.api import Input
from ksqlite.engine.engine import Engine
from ksqlite.errors import AnalysisError, KsqlError, ParseError, TopicError, UnsupportedError
from ksqlite.statements import execute, insert_values
from ksqlite.statements.reference import FORMS
from ksqlite.testing.memory import memory_environment
from ksqlite.types import BIGINT, INTEGER, STRING, Namespace, array, struct


class World:
    """An engine in memory and shorthands."""

    def __init__(self) -> None:
        self.env: Any = memory_environment(default_partitions=1)
        self.engine = Engine(self.env)

    @property
    def catalog(self) -> Any:
        return self.engine.catalog

    def topic(self, name: Any, partitions: int = 1) -> None:
        self.env.topics.declare(name, partitions)

    def run(self, text: Any) -> Any:
        """The last entity of some statements."""
        entity = None
        for located in parser.parse(text):
            entity = self.engine.execute(located)
        return entity

    def show(self, text: Any) -> Any:
        return execute(self.engine, parser.parse(text)[0])

    def insert(self, text: Any) -> Any:
        statement = parser.parse(text)[0].statement
        assert isinstance(statement, ast.InsertValues)
        return insert_values(statement, catalog=self.catalog, registry=self.env.registry, clock_ms=lambda: 42)


@pytest.fixture
def world() -> Any:
    made = World()
    made.topic("t")
    return made


STREAM = "CREATE STREAM s (k STRING KEY, v INT) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON');"


def test_create(world: Any) -> None:
    """A declared stream stands in the catalog with its columns, formats and ksqlDB's text of its statement."""
    entity = world.run(STREAM)
    source = world.catalog.require("S")
    assert entity["commandStatus"]["message"] == "Stream created"
    assert entity["commandId"] == "stream/`S`/create"
    assert entity["statementText"] == source.statement
    assert source.statement == (
        "CREATE STREAM S (K STRING KEY, V INTEGER) WITH "
        "(CLEANUP_POLICY='delete', KAFKA_TOPIC='t', KEY_FORMAT='KAFKA', VALUE_FORMAT='JSON');"
    )
    assert [(c.name, c.type, c.namespace) for c in source.schema.columns] == [
        ("K", STRING, Namespace.KEY),
        ("V", INTEGER, Namespace.VALUE),
    ]


def test_create_makes_its_topic(world: Any) -> None:
    """A topic that is not there is made where PARTITIONS says how."""
    world.run("CREATE TABLE n (k INT PRIMARY KEY, v INT) WITH (KAFKA_TOPIC='new', PARTITIONS=3, VALUE_FORMAT='JSON');")
    assert world.env.topics.partitions("new") == 3
    assert world.env.topics.configs("new") == {"cleanup.policy": "compact"}


def test_columns_from_the_registry(world: Any) -> None:
    """Columns that are not declared come from the registry, under upper-case names, or as they are by schema id."""
    schema = {"type": "record", "name": "r", "fields": [{"name": "a", "type": "long"}]}
    schema_id = world.env.registry.register("t-value", json.dumps(schema))
    world.run("CREATE STREAM s (k STRING KEY) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='AVRO');")
    assert [c.name for c in world.catalog.require("S").schema.columns] == ["K", "A"]
    world.run(f"CREATE STREAM i WITH (KAFKA_TOPIC='t', VALUE_FORMAT='AVRO', VALUE_SCHEMA_ID={schema_id});")
    assert [c.name for c in world.catalog.require("I").schema.columns] == ["a"]


def test_a_statement_that_was_kept_runs_again(world: Any) -> None:
    """The text that a server keeps brings the same source back, whatever the registry has become."""
    schema = {"type": "record", "name": "r", "fields": [{"name": "a", "type": "long"}]}
    world.env.registry.register("t-value", json.dumps(schema))
    world.run("CREATE STREAM s (k STRING KEY) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='AVRO');")
    kept = world.catalog.require("S")
    again = World()
    again.topic("t")
    again.catalog.replaying = True
    again.run(kept.statement)
    assert again.catalog.require("S").schema == kept.schema


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (
            "CREATE STREAM x (a INT) WITH (KAFKA_TOPIC='no', VALUE_FORMAT='JSON');",
            TopicError,
            "Topic 'no' does not exist.",
        ),
        ("CREATE STREAM x (a INT) WITH (VALUE_FORMAT='JSON');", ParseError, 'Missing required property "KAFKA_TOPIC"'),
        ("CREATE STREAM x (a INT) WITH (KAFKA_TOPIC='t');", AnalysisError, "missing the 'VALUE_FORMAT' property"),
        ("CREATE STREAM x (a INT) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='NO');", AnalysisError, "Unknown format: NO"),
        ("CREATE STREAM x (a INT) WITH (KAFKA_TOPIC='t', FORMAT='PROTOBUF');", UnsupportedError, "PROTOBUF"),
        ("CREATE STREAM x (a INT) WITH (KAFKA_TOPIC='t', FORMAT='JSON', Y=1);", ParseError, "WITH clause: Y"),
        ("CREATE STREAM x WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON');", AnalysisError, "No columns supplied."),
        ("CREATE TABLE x (a INT) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON');", AnalysisError, "require a PRIMARY KEY"),
        ("CREATE STREAM x (a INT, A INT) WITH (KAFKA_TOPIC='t', FORMAT='JSON');", AnalysisError, "Duplicate column"),
        ("CREATE STREAM x (ROWTIME INT) WITH (KAFKA_TOPIC='t', FORMAT='JSON');", AnalysisError, "reserved column"),
        ("CREATE STREAM x (a INT) WITH (KAFKA_TOPIC='t', FORMAT='JSON', PARTITIONS=9);", AnalysisError, "expects 9"),
        ("CREATE STREAM x (a INT) WITH (KAFKA_TOPIC='t', FORMAT='JSON', PARTITIONS='a');", ParseError, "Not a number"),
        ("CREATE STREAM x (a INT) WITH (KAFKA_TOPIC='t', FORMAT='JSON', TIMESTAMP='b');", AnalysisError, "not exist"),
        (
            "CREATE STREAM x (a INT KEY) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON', WINDOW_TYPE='TUMBLING');",
            ParseError,
            "'WINDOW_SIZE' must be set",
        ),
        ("CREATE STREAM x (a nowhere) WITH (KAFKA_TOPIC='t', FORMAT='JSON');", AnalysisError, "unknown type: NOWHERE"),
        ("DROP STREAM x;", AnalysisError, "Stream X does not exist."),
        ("DROP TYPE x;", AnalysisError, "Type X does not exist."),
        ("DESCRIBE x;", AnalysisError, "Could not find STREAM/TABLE 'X' in the Metastore"),
        ("DESCRIBE FUNCTION x;", AnalysisError, "Can't find any functions with the name 'X'"),
        ("PAUSE x;", AnalysisError, "Unknown queryId: X"),
        ("ALTER SYSTEM 'a'='b';", UnsupportedError, "ALTER SYSTEM"),
        ("SHOW CONNECTORS;", UnsupportedError, "Kafka Connect"),
    ],
)
def test_refusals(world: Any, text: str, error: Any, message: str) -> None:
    """What is wrong is refused in ksqlDB's words, and leaves nothing behind."""
    with pytest.raises(error, match=message.replace("(", r"\(")):
        world.run(text)
    assert world.catalog.sources == {}
    assert world.catalog.queries == {}


def test_existing(world: Any) -> None:
    """A name is taken once; IF NOT EXISTS only warns; OR REPLACE may add columns and nothing else."""
    world.run(STREAM)
    with pytest.raises(AnalysisError, match="A stream with the same name already exists"):
        world.run(STREAM)
    entity = world.run(STREAM.replace("STREAM s", "STREAM IF NOT EXISTS s"))
    assert entity["@type"] == "warning_entity"
    world.run(STREAM.replace("CREATE", "CREATE OR REPLACE").replace("v INT", "v INT, w BIGINT"))
    assert world.catalog.require("S").schema.find("W").type == BIGINT
    with pytest.raises(AnalysisError, match=r"columns are changed, missing or reordered: .`V` INTEGER"):
        world.run(STREAM.replace("CREATE", "CREATE OR REPLACE").replace("v INT", "v BIGINT"))


def test_drop(world: Any) -> None:
    """A source goes when nobody reads it; the query that made it goes with it."""
    world.run(STREAM + "CREATE TABLE c AS SELECT k, COUNT(*) AS n FROM s GROUP BY k; INSERT INTO s SELECT * FROM s;")
    with pytest.raises(AnalysisError, match=r"read from this source: \[C\]"):
        world.run("DROP STREAM s;")
    world.run("DROP TABLE c DELETE TOPIC;")
    assert world.env.topics.partitions("C") is None
    with pytest.raises(AnalysisError, match=r"You need to terminate them"):
        world.run("DROP STREAM s;")
    world.run("TERMINATE ALL; DROP STREAM s;")
    assert world.catalog.sources == {}


def test_source_table(world: Any) -> None:
    """A CREATE SOURCE TABLE is read-only, and what keeps its rows goes with it."""
    world.run("CREATE SOURCE TABLE r (k INT PRIMARY KEY, v INT) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON');")
    with pytest.raises(AnalysisError, match="Cannot insert values into read-only table"):
        world.insert("INSERT INTO r VALUES (1, 2);")
    with pytest.raises(AnalysisError, match="Cannot delete topic for read-only source: R"):
        world.run("DROP TABLE r DELETE TOPIC;")
    world.run("DROP TABLE r;")
    assert world.catalog.queries == {}


def test_types(world: Any) -> None:
    """Custom types are put in wherever they are named."""
    world.run("CREATE TYPE p AS STRUCT<x INT>; CREATE TYPE q AS ARRAY<p>;")
    assert world.catalog.types["Q"] == array(struct(("X", INTEGER)))
    world.run("CREATE STREAM s (a q, b MAP<STRING, p>) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON');")
    assert str(world.catalog.require("S").schema.find("B").type) == "MAP<STRING, STRUCT<`X` INTEGER>>"
    assert world.show("SHOW TYPES;")["types"]["P"]["type"] == "STRUCT"


def test_alter(world: Any) -> None:
    """ALTER adds columns to what no query makes."""
    world.run(STREAM + "ALTER STREAM s ADD COLUMN w STRING, ADD x INT;")
    assert [c.name for c in world.catalog.require("S").schema.value] == ["V", "W", "X"]
    with pytest.raises(AnalysisError, match="already exists"):
        world.run("ALTER STREAM s ADD COLUMN v INT;")


def test_insert_values(world: Any) -> None:
    """INSERT … VALUES gives the record, with defaults, ROWTIME and numbers widened."""
    world.run("CREATE STREAM s (k STRING KEY, a BIGINT, b DOUBLE) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON');")
    record = world.insert("INSERT INTO s (b, k, ROWTIME) VALUES (1, 'x', 7);")
    assert (record.topic, record.key, record.timestamp) == ("t", b"x", 7)
    assert json.loads(record.value) == {"A": None, "B": 1.0}
    assert world.insert("INSERT INTO s VALUES ('x', 1 + 1, 2.5);").timestamp == 42


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("INSERT INTO s (k, v) VALUES ('a', 'x');", "Expected type INTEGER for field `V` but got STRING(x)"),
        ("INSERT INTO s VALUES ('a');", "Expected a value for each column"),
        ("INSERT INTO s (z) VALUES (1);", "Column name `Z` does not exist."),
        ("INSERT INTO s (ROWPARTITION) VALUES (1);", "Inserting into column `ROWPARTITION` is not allowed."),
        ("INSERT INTO nowhere VALUES (1);", "Cannot insert values into an unknown stream/table: `NOWHERE`"),
    ],
)
def test_insert_refusals(world: Any, text: str, message: str) -> None:
    """What does not fit the target's columns is refused in ksqlDB's words."""
    world.run(STREAM)
    with pytest.raises(AnalysisError) as caught:
        world.insert(text)
    assert message in caught.value.message


def test_session(world: Any) -> None:
    """SET and DEFINE act on the session; what they gave is shown."""
    world.run("SET 'a'='b'; DEFINE x = 'y';")
    assert world.catalog.properties == {"a": "b"}
    assert world.show("SHOW VARIABLES;")["variables"] == [{"name": "x", "value": "y"}]
    world.run("UNSET 'a'; UNDEFINE x;")
    assert (world.catalog.properties, world.catalog.variables) == ({}, {})


def test_asserts(world: Any) -> None:
    """ASSERT TOPIC and ASSERT SCHEMA hold or are refused."""
    assert world.show("ASSERT TOPIC t WITH (PARTITIONS=1);")["@type"] == "assert_topic"
    assert world.show("ASSERT NOT EXISTS SCHEMA SUBJECT 'a';")["exists"] is False
    for text in ("ASSERT TOPIC u;", "ASSERT TOPIC t WITH (PARTITIONS=2);", "ASSERT SCHEMA SUBJECT 'a';"):
        with pytest.raises(KsqlError):
            world.show(text)


def test_describe_function(world: Any) -> None:
    """DESCRIBE FUNCTION tells every variant of a function."""
    entity = world.show("DESCRIBE FUNCTION abs;")
    assert entity["type"] == "SCALAR"
    assert {"INTEGER", "DOUBLE"} <= {variant["returnType"] for variant in entity["functions"]}


def test_every_statement_is_in_the_reference() -> None:
    """README.md lists every kind of statement that there is, and its examples parse to that kind."""
    for form in FORMS:
        assert isinstance(parser.parse(form.example)[0].statement, form.kind)
    assert {kind.__name__ for kind in ast.Statement.__subclasses__()} == {form.kind.__name__ for form in FORMS}


def test_readme_is_current() -> None:
    """README.md is what the registries give now: `python -m ksqlite readme` makes it anew."""
    assert readme.README.read_text("utf-8") == readme.render()


def test_replacing_a_query(world: Any) -> None:
    """CREATE OR REPLACE changes a query without state in place, and refuses what would lose something."""
    world.run(STREAM + "CREATE STREAM d AS SELECT k, v FROM s WHERE v > 1;")
    (before,) = world.catalog.queries
    world.run("CREATE OR REPLACE STREAM d AS SELECT k, v, v + 1 AS w FROM s WHERE v > 2;")
    assert list(world.catalog.queries) == [before]
    assert [c.name for c in world.catalog.require("D").schema.value] == ["V", "W"]
    for number in (2, 3):
        value = json.dumps({"V": number}).encode()
        world.engine.process("t", 0, [Input(b"a", value, number, number)])
    world.engine.flush()
    assert [record[1] for record in world.engine.take_outputs()["D"]] == [b'{"V":3,"W":4}']
    with pytest.raises(AnalysisError, match="columns are changed, missing or reordered"):
        world.run("CREATE OR REPLACE STREAM d AS SELECT k, v + 1 AS w FROM s;")
    world.run("CREATE TABLE c AS SELECT k, COUNT(*) AS n FROM s GROUP BY k;")
    with pytest.raises(UnsupportedError, match="keeps state"):
        world.run("CREATE OR REPLACE TABLE c AS SELECT k, COUNT(*) AS n, MAX(v) AS m FROM s GROUP BY k;")
    assert len(world.catalog.queries) == 2
