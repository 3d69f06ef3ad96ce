"""``python -m ksqlite readme``: writes ksqlite/README.md from the registries of statements, functions and formats.

``python -m ksqlite functions`` lists the functions alone.
"""

from __future__ import annotations

import ast as python
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from ksqlite import properties
from ksqlite.formats import FORMATS
from ksqlite.formats.rules import UNSUPPORTED
from ksqlite.functions import REGISTRY
from ksqlite.functions.api import Kind
from ksqlite.functions.registry import Function
from ksqlite.statements.reference import FORMS
from ksqlite.types import Base

README = Path(__file__).parent / "README.md"

_COMMANDS = (
    ("`python -m ksqlite serve`", "the server: ksqlDB's REST API over Kafka, exactly once"),
    ("`python -m ksqlite test DIR [--json]`", "runs .sql files against input and output cases, in memory"),
    (
        "`python -m ksqlite conformance DIR [--json] [--list] [--file F]`",
        'runs a folder of ksqlDB\'s own cases; the last line is `{"passed": n, "refused": n, "wrong": n}`',
    ),
    ("`python -m ksqlite functions`", "lists the functions"),
    ("`python -m ksqlite readme`", "writes this page anew"),
)

_INTRODUCTION = """\
# ksqlite

An embedded runtime for a subset of ksqlDB's SQL over a real Kafka broker: the pipeline's `ksql/*.sql` run, and an edit
of them is tested in a second, where no ksqlDB server is at hand. What it does, it does as ksqlDB 7.6 does, and what it
does not do, it refuses by name, with line and column. It is for one machine; beyond that, the same files run on ksqlDB.

This page is made by `python -m ksqlite readme` from the code's own registries; a unit test tells when it is stale.

"""

_CLAUSES = (
    (
        "SELECT",
        "expressions, `*`, `source.*`, `struct->*`, aliases; table functions (EXPLODE and its kin), several in step",
    ),
    ("FROM", "a stream or table, with an alias"),
    (
        "JOIN",
        (
            "INNER, LEFT, RIGHT, FULL: stream-stream (WITHIN, GRACE PERIOD), stream-table, table-table, foreign-"
            "key table-table; several in a row"
        ),
    ),
    ("WINDOW", "TUMBLING, HOPPING, SESSION, each with RETENTION and GRACE PERIOD"),
    ("WHERE, GROUP BY, PARTITION BY, HAVING", "any expressions, as ksqlDB takes them"),
    ("EMIT", "CHANGES; FINAL for windowed aggregations"),
    ("push queries", "`SELECT … EMIT CHANGES [LIMIT n]`, each in a thread of its own, from `auto.offset.reset` on"),
    (
        "pull queries",
        (
            "on tables that a CTAS or CREATE SOURCE TABLE keeps: by key, IN, ranges, full scan, window bounds, "
            "LIMIT; on streams: all that there is"
        ),
    ),
    (
        "expressions",
        (
            "arithmetic, comparison, AND OR NOT, BETWEEN, IN, LIKE ESCAPE, IS [NOT] NULL, IS [NOT] DISTINCT FROM,"
            " CASE, CAST, `->`, `[]`, ARRAY[…], MAP(…), STRUCT(…), lambdas"
        ),
    ),
)

_TIME = """\
Event time is the record's timestamp or the TIMESTAMP column; stream time is kept by partition, and a record that is
later than its window's GRACE PERIOD is dropped and counted (`ksqlite_query_late_total`). A record that cannot be read
is skipped, counted, and told to the processing log with its offset.
"""

_REST = """\
## REST API

HTTP/1.1, and HTTP/2 by prior knowledge, on 127.0.0.1:8088 unless set otherwise. `POST /ksql`, `POST /query`, `POST
/query-stream`, `POST /close-query`, `GET /info`, `/healthcheck`, `/status`, `/status/{type}/{name}/{action}`,
`/is_valid_property/{name}`, `/clusterStatus`, `/v1/metadata`, `/v1/metadata/id`, and `/metrics` (Prometheus).
`/query-stream` answers in lines (`application/vnd.ksqlapi.delimited.v1`), as one JSON array (`application/json`), or
as `/query` does (`application/vnd.ksql.v1+json`). All statements of a `/ksql` request are looked at before the first
of them runs. `POST /inserts-stream` takes rows over HTTP/2 alone, as on ksqlDB. Websockets and TLS are not there: put
a proxy before it.
"""


def render() -> str:
    """The whole page."""
    parts = [
        _INTRODUCTION,
        "## Commands\n\n" + _table(("command", "what it does"), _COMMANDS),
        _settings(),
        "## Statements\n\n" + _table(("statement", "notes"), ((f"`{form.syntax}`", form.note) for form in FORMS)),
        "## Queries\n\n" + _table(("clause", "supported"), _CLAUSES),
        _TIME,
        _types(),
        _formats(),
        _with(),
        _REST,
        _functions(),
    ]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _settings() -> str:
    """The fields of `ksqlite.settings.Settings`, with the line that stands below each."""
    source = (Path(__file__).parent / "settings.py").read_text("utf-8")
    (settings,) = (
        node for node in python.parse(source).body if isinstance(node, python.ClassDef) and node.name == "Settings"
    )
    rows = []
    for field, told in zip(settings.body, settings.body[1:], strict=False):
        if isinstance(field, python.AnnAssign) and isinstance(told, python.Expr):
            assert isinstance(told.value, python.Constant)  # noqa: S101 - a docstring
            text, _, variable = str(told.value.value).rstrip(".").rpartition(" (")
            default = python.unparse(field.value) if field.value is not None else ""
            shown = "" if default.startswith("field(") or default == "''" else f"`{default.strip(chr(39))}`"
            rows.append((variable.rstrip(")") if text else "", text or str(told.value.value), shown))
    return "## Settings of the server\n\n" + _table(("variable", "what it is", "default"), rows)


def _types() -> str:
    names = [base.value for base in Base]
    listed = ", ".join("DECIMAL(precision, scale)" if name == "DECIMAL" else name for name in names)
    return f"## Types\n\n{listed}; VARCHAR is STRING, INT is INTEGER, DEC is DECIMAL; CREATE TYPE names others.\n"


def _formats() -> str:
    rows = []
    for info in FORMATS.values():
        single = {(True, True): "either way", (True, False): "wrapped", (False, True): "bare"}.get(
            (info.wraps, info.unwraps), "one column, bare" if info.name == "KAFKA" else ""
        )
        rows.append((info.name, "yes" if info.inference else "", single))
    rows += [(name, "", "refused") for name in UNSUPPORTED]
    return "## Formats of keys and values\n\n" + _table(("format", "columns from the registry", "single values"), rows)


def _with() -> str:
    refused = {name for name in properties.CREATE_AS if "PROTOBUF" in name or name == "CLEANUP_POLICY"}
    both = sorted(properties.CREATE_AS - refused)
    create = sorted(properties.CREATE - properties.CREATE_AS)
    return (
        "## WITH properties\n\n"
        f"CREATE and CREATE … AS: {', '.join(both)}. CREATE alone: {', '.join(create)}. "
        f"INSERT INTO … SELECT: {', '.join(sorted(properties.INSERT))}. "
        f"Refused: {', '.join(sorted(refused))}.\n"
    )


def _signature(function: Function) -> str:
    return ", ".join(dict.fromkeys(f"`{variant.signature}`" for variant in function.variants))


def _functions() -> str:
    heads = {Kind.SCALAR: "Scalar functions", Kind.AGGREGATE: "Aggregates", Kind.TABLE: "Table functions"}
    found = REGISTRY.functions()
    parts = [f"## Functions\n\n{len(found)} functions. A name that is not here is refused.\n"]
    for kind, head in heads.items():
        rows = [
            (f"{function.name}", _signature(function), function.description)
            for function in found
            if function.kind is kind
        ]
        parts.append(f"### {head}\n\n" + _table(("name", "forms", "what it gives"), rows))
    return "\n".join(parts)


def main(_arguments: Sequence[str] = ()) -> int:
    """Writes the page."""
    README.write_text(render(), "utf-8")
    return 0


def functions(_arguments: Sequence[str] = ()) -> int:
    """Lists the functions."""
    for function in REGISTRY.functions():
        print(f"{function.name:<28} {function.kind.value:<10} {function.description}", file=sys.stdout)
    return 0
