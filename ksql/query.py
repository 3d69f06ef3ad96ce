"""Runs one statement on the server and tells its answer: rows of a SELECT, lists of a SHOW, lines of a DESCRIBE."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from ksql.console import table
from ksql.record import Applied
from ksql.server import KsqlServer, sql_type
from ksql.settings import Settings

_DELIMITED = "application/vnd.ksqlapi.delimited.v1"


def run_statement(
    settings: Settings, statement: str, *, as_json: bool, idle_s: float | None, offset_reset: str
) -> Iterator[str]:
    """The answer's lines; raises StatementRefusedError for a statement that the server does not take.

    Names are those of the files: after a rebuild ``sales`` means the version in force.
    """
    text = Applied.load(settings).rename(statement.strip().rstrip(";") + ";")
    with KsqlServer(settings.ksql_url, settings.timeout_s) as server:
        if text.split(None, 1)[0].upper() == "SELECT":
            yield from _select(server, text, as_json=as_json, idle_s=idle_s, offset_reset=offset_reset)
        else:
            for entity in server.execute(text):
                yield json.dumps(entity, ensure_ascii=False) if as_json else _entity(entity)


def _select(server: KsqlServer, text: str, *, as_json: bool, idle_s: float | None, offset_reset: str) -> Iterator[str]:
    body = {"sql": text, "properties": {"auto.offset.reset": offset_reset}}
    names: list[str] = []
    waiting: list[list[str]] = []
    is_push = " EMIT " in f" {text.upper()} "
    for line in server.stream("/query-stream", body, accept=_DELIMITED, idle_s=idle_s):
        if not line.strip():
            continue
        value = json.loads(line, parse_float=Decimal)
        if isinstance(value, dict):
            if "columnNames" in value:
                names = value["columnNames"]
                if is_push and not as_json:
                    yield "  ".join(names)
            continue
        if as_json:
            yield json.dumps(dict(zip(names, value, strict=True)), ensure_ascii=False, default=_number)
        elif is_push:
            yield "  ".join(_cell(cell) for cell in value)
        else:
            waiting.append([_cell(cell) for cell in value])
    if names and not is_push and not as_json:
        yield table(waiting, names)


def _number(value: object) -> object:
    """A decimal as JSON takes it: json has no other way to keep its digits than a string."""
    return str(value) if isinstance(value, Decimal) else value


def _cell(value: Any) -> str:  # noqa: ANN401 - JSON
    if value is None:
        return "NULL"
    return json.dumps(value, ensure_ascii=False, default=_number) if isinstance(value, dict | list) else str(value)


def _entity(entity: dict[str, Any]) -> str:
    kind = entity.get("@type")
    if kind in {"streams", "tables"}:
        return table(
            [(one["name"], one["topic"], one.get("keyFormat", ""), one.get("valueFormat", "")) for one in entity[kind]],
            ("name", "topic", "key", "value"),
        )
    if kind == "queries":
        rows = [(one["id"], one.get("state", ""), ", ".join(one.get("sinks") or ())) for one in entity["queries"]]
        return table(rows, ("query", "state", "writes"))
    if kind == "kafka_topics":
        return table([(one["name"], len(one["replicaInfo"])) for one in entity["topics"]], ("topic", "partitions"))
    if kind == "sourceDescription":
        found = entity["sourceDescription"]
        rows = [(one["name"], sql_type(one["schema"]), one.get("type") or "") for one in found["fields"]]
        return f"{found['type']} {found['name']} over {found['topic']}\n{table(rows)}"
    if kind == "currentStatus":
        return str(entity["commandStatus"]["message"])
    return json.dumps(entity, ensure_ascii=False, indent=2)
