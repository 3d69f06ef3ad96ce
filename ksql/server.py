"""A client of ksqlDB's REST API, which ksqlite speaks too: statements, listings, and how far queries have read."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from ksql.errors import ToolError

_JSON = "application/vnd.ksql.v1+json; charset=utf-8"
_DONE = {"SUCCESS", "TERMINATED"}


class StatementRefusedError(ToolError):
    """The server refused a statement; nothing of it was done."""


@dataclass(frozen=True, slots=True)
class ServerSource:
    """A stream or table as the server lists it."""

    name: str
    kind: str
    topic: str
    key_format: str
    value_format: str
    windowed: bool


@dataclass(frozen=True, slots=True)
class ServerQuery:
    """A persistent query as the server lists it."""

    query_id: str
    sinks: tuple[str, ...]
    state: str
    text: str


@dataclass(frozen=True, slots=True)
class Position:
    """How far a query has read one partition: committed offset and the end of the log."""

    topic: str
    partition: int
    committed: int
    end: int


@dataclass(frozen=True, slots=True)
class SourceDescription:
    """What DESCRIBE … EXTENDED tells of a source."""

    name: str
    statement: str
    columns: tuple[tuple[str, str], ...]
    """Name and SQL type of every column, keys included, in order."""
    write_queries: tuple[str, ...]
    read_queries: tuple[str, ...]
    groups: tuple[str, ...]
    positions: tuple[Position, ...]


class KsqlServer:
    """Talks to one server; every failure is a ToolError that names the address or the statement."""

    def __init__(self, url: str, timeout_s: float = 60.0) -> None:
        self.url = url
        self._timeout_s = timeout_s
        self._http = httpx.Client(timeout=httpx.Timeout(timeout_s, connect=10.0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._http.close()

    def info(self) -> dict[str, Any]:
        """Version, service id and state of the server."""
        found: dict[str, Any] = self._ask("GET", "/info").json()["KsqlServerInfo"]
        return found

    def is_ksqlite(self) -> bool:
        """Whether it is ksqlite, which tells its metrics where ksqlDB has no such page."""
        return self._ask("GET", "/metrics").status_code == httpx.codes.OK

    def execute(
        self, statement: str, *, properties: Mapping[str, str] | None = None, variables: Mapping[str, str] | None = None
    ) -> list[dict[str, Any]]:
        """Run one statement and wait until the server has carried it out; raises StatementRefusedError."""
        body = {
            "ksql": statement.rstrip().rstrip(";") + ";",
            "streamsProperties": dict(properties or {}),
            "sessionVariables": dict(variables or {}),
        }
        answer = self._ask("POST", "/ksql", body)
        if answer.is_error:
            raise StatementRefusedError(f"{self.url} refused a statement: {_reason(answer)}")
        entities: list[dict[str, Any]] = answer.json()
        for entity in entities:
            if "commandStatus" in entity:
                self._wait(entity)
        return entities

    def sources(self) -> dict[str, ServerSource]:
        """All streams and tables by name."""
        found = {}
        for what, kind in (("STREAMS", "STREAM"), ("TABLES", "TABLE")):
            (entity,) = self.execute(f"SHOW {what};")
            for entry in entity[what.lower()]:
                found[entry["name"]] = ServerSource(
                    name=entry["name"],
                    kind=kind,
                    topic=entry["topic"],
                    key_format=entry.get("keyFormat", ""),
                    value_format=entry.get("valueFormat", ""),
                    windowed=bool(entry.get("isWindowed")),
                )
        return found

    def queries(self) -> list[ServerQuery]:
        """All persistent queries."""
        (entity,) = self.execute("SHOW QUERIES;")
        return [
            ServerQuery(
                query_id=entry["id"],
                sinks=tuple(entry.get("sinks") or ()),
                state=str(entry.get("state", "")),
                text=str(entry.get("queryString", "")),
            )
            for entry in entity["queries"]
            if entry.get("queryType", "PERSISTENT") == "PERSISTENT"
        ]

    def describe(self, name: str) -> SourceDescription:
        """Columns, statement, queries and positions of one source; raises StatementRefusedError for an unknown one."""
        (entity,) = self.execute(f"DESCRIBE `{name}` EXTENDED;")
        found = entity["sourceDescription"]
        return SourceDescription(
            name=found["name"],
            statement=found.get("statement") or "",
            columns=tuple((column["name"], sql_type(column["schema"])) for column in found["fields"]),
            write_queries=tuple(query["id"] for query in found.get("writeQueries") or ()),
            read_queries=tuple(query["id"] for query in found.get("readQueries") or ()),
            groups=tuple(summary["groupId"] for summary in found.get("queryOffsetSummaries") or ()),
            positions=tuple(_positions(found)),
        )

    def stream(self, path: str, body: Mapping[str, Any], *, accept: str, idle_s: float | None) -> Iterator[str]:
        """The lines of an answer that is as long as the query runs; ``idle_s`` limits the wait for each."""
        timeout = httpx.Timeout(self._timeout_s, connect=10.0, read=idle_s)
        headers = {"Accept": accept, "Content-Type": "application/json"}
        try:
            with self._http.stream("POST", self.url + path, json=body, headers=headers, timeout=timeout) as answer:
                if answer.is_error:
                    answer.read()
                    raise StatementRefusedError(f"{self.url} refused a statement: {_reason(answer)}")
                yield from answer.iter_lines()
        except httpx.ReadTimeout:
            return
        except httpx.HTTPError as error:
            raise ToolError(f"ksql at {self.url} does not answer: {error!r}") from error

    def _wait(self, entity: Mapping[str, Any]) -> None:
        status = entity["commandStatus"]
        deadline = time.monotonic() + self._timeout_s
        while status["status"] not in _DONE:
            if status["status"] == "ERROR":
                raise StatementRefusedError(f"{self.url} could not carry out a statement: {status['message']}")
            if time.monotonic() > deadline:
                raise ToolError(f"{self.url} has not carried out {entity['commandId']} within {self._timeout_s:.0f} s.")
            time.sleep(0.1)
            status = self._ask("GET", "/status/" + quote(entity["commandId"], safe="/")).json()

    def _ask(self, method: str, path: str, body: object = None) -> httpx.Response:
        try:
            return self._http.request(
                method, self.url + path, json=body, headers={"Content-Type": _JSON, "Accept": "application/json"}
            )
        except httpx.HTTPError as error:
            raise ToolError(f"ksql at {self.url} does not answer: {error!r}") from error


def sql_type(schema: Mapping[str, Any]) -> str:
    """A column's type as ksqlDB writes it, from the form in which its API describes it."""
    kind = str(schema["type"])
    inner = schema.get("memberSchema")
    parameters = schema.get("parameters") or {}
    if kind == "ARRAY" and inner:
        return f"ARRAY<{sql_type(inner)}>"
    if kind == "MAP" and inner:
        return f"MAP<STRING, {sql_type(inner)}>"
    if kind == "STRUCT":
        parts = ", ".join(f"`{part['name']}` {sql_type(part['schema'])}" for part in schema.get("fields") or ())
        return f"STRUCT<{parts}>"
    if kind == "DECIMAL" and parameters:
        return f"DECIMAL({parameters.get('precision')}, {parameters.get('scale')})"
    return kind


def _positions(description: Mapping[str, Any]) -> Iterator[Position]:
    for summary in description.get("queryOffsetSummaries") or ():
        for topic in summary.get("topicSummaries") or ():
            for offset in topic.get("offsets") or ():
                yield Position(
                    topic=topic["kafkaTopic"],
                    partition=offset["partition"],
                    committed=offset["consumerOffset"],
                    end=offset["logEndOffset"],
                )


def _reason(answer: httpx.Response) -> str:
    try:
        body = answer.json()
    except ValueError:
        return f"{answer.status_code} {answer.text[:300]}"
    return str(body.get("message", body)) if isinstance(body, dict) else str(body)[:600]
