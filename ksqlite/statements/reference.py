"""The statements that there are, by example: what README.md lists, and what the tests hold against the grammar."""

from __future__ import annotations

from dataclasses import dataclass

from ksqlite import ast


@dataclass(frozen=True, slots=True)
class Form:
    """A form of a statement: its syntax, an example that parses, and what is special about it here."""

    syntax: str
    example: str
    kind: type[ast.Statement]
    note: str = ""


FORMS = (
    Form(
        "CREATE [OR REPLACE] [SOURCE] STREAM|TABLE [IF NOT EXISTS] name [(columns)] WITH (…)",
        "CREATE SOURCE TABLE t (k STRING PRIMARY KEY, v INT) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON');",
        ast.CreateSource,
        "columns that are not declared come from the registry; KEY, PRIMARY KEY, HEADERS and HEADER('key') columns",
    ),
    Form(
        "CREATE [OR REPLACE] STREAM|TABLE [IF NOT EXISTS] name [WITH (…)] AS SELECT …",
        "CREATE TABLE c AS SELECT k, COUNT(*) AS n FROM s GROUP BY k EMIT CHANGES;",
        ast.CreateAsSelect,
        "OR REPLACE goes on where the old query is; only for queries without state, columns added at the end",
    ),
    Form(
        "INSERT INTO stream [WITH (QUERY_ID='…')] SELECT …",
        "INSERT INTO t SELECT * FROM s EMIT CHANGES;",
        ast.InsertInto,
    ),
    Form(
        "INSERT INTO name [(columns)] VALUES (values)",
        "INSERT INTO s (k, v) VALUES ('a', 1 + 1);",
        ast.InsertValues,
    ),
    Form("SELECT … [EMIT CHANGES] [LIMIT n]", "SELECT * FROM c WHERE k = 'a';", ast.QueryStatement, "see Queries"),
    Form(
        "DROP STREAM|TABLE [IF EXISTS] name [DELETE TOPIC]",
        "DROP STREAM IF EXISTS s DELETE TOPIC;",
        ast.DropSource,
        "ends the query that writes it",
    ),
    Form("ALTER STREAM|TABLE name ADD [COLUMN] column type, …", "ALTER STREAM s ADD COLUMN w INT;", ast.AlterSource),
    Form("CREATE TYPE [IF NOT EXISTS] name AS type", "CREATE TYPE p AS STRUCT<x INT, y INT>;", ast.CreateType),
    Form("DROP TYPE [IF EXISTS] name", "DROP TYPE p;", ast.DropType),
    Form("TERMINATE|PAUSE|RESUME query_id|ALL", "TERMINATE CTAS_C_1;", ast.QueryControl),
    Form("SET 'name' = 'value'", "SET 'auto.offset.reset' = 'earliest';", ast.SetProperty),
    Form("UNSET 'name'", "UNSET 'auto.offset.reset';", ast.UnsetProperty),
    Form("DEFINE name = 'value'; ${name}", "DEFINE topic = 'checks';", ast.DefineVariable),
    Form("UNDEFINE name", "UNDEFINE topic;", ast.UndefineVariable),
    Form(
        "SHOW|LIST STREAMS|TABLES|[ALL] TOPICS|QUERIES [EXTENDED], FUNCTIONS, PROPERTIES, TYPES, VARIABLES",
        "LIST STREAMS EXTENDED;",
        ast.Show,
        "connectors are refused: ask Kafka Connect",
    ),
    Form("DESCRIBE name|STREAMS|TABLES [EXTENDED]", "DESCRIBE c EXTENDED;", ast.Describe),
    Form("DESCRIBE FUNCTION name", "DESCRIBE FUNCTION count;", ast.DescribeFunction),
    Form(
        "EXPLAIN query_id|statement",
        "EXPLAIN SELECT * FROM s EMIT CHANGES;",
        ast.Explain,
        "the plan is ksqlite's own",
    ),
    Form(
        "PRINT topic [FROM BEGINNING] [INTERVAL n] [LIMIT n]",
        "PRINT 'checks' FROM BEGINNING LIMIT 3;",
        ast.PrintTopic,
    ),
    Form(
        "ASSERT [NOT EXISTS] TOPIC name [WITH (PARTITIONS=n)] [TIMEOUT n unit]",
        "ASSERT TOPIC checks WITH (PARTITIONS=3) TIMEOUT 5 SECONDS;",
        ast.AssertTopic,
    ),
    Form(
        "ASSERT [NOT EXISTS] SCHEMA [SUBJECT name] [ID n] [TIMEOUT n unit]",
        "ASSERT SCHEMA SUBJECT 'checks-value';",
        ast.AssertSchema,
    ),
    Form(
        "ASSERT [NULL] VALUES source (columns) VALUES|KEY (values)",
        "ASSERT VALUES s (k) VALUES ('a');",
        ast.AssertValues,
        "in test files only",
    ),
    Form(
        "ASSERT STREAM|TABLE name (columns) WITH (…)",
        "ASSERT STREAM s (k STRING KEY) WITH (KAFKA_TOPIC='s');",
        ast.AssertSource,
        "in test files only",
    ),
    Form("ALTER SYSTEM 'name' = 'value'", "ALTER SYSTEM 'a' = 'b';", ast.AlterSystem, "refused: set it and restart"),
)
