"""``/query`` and ``/query-stream``: pull queries, push queries and PRINT."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, TypeVar

from ksqlite import ast, parser
from ksqlite.errors import KsqlError
from ksqlite.server.answers import RowWriter, error_of, generic_error, quoted, schema_text, statement_error
from ksqlite.server.backend import Backend, PushQuery
from ksqlite.server.http import Request, Response, json_response
from ksqlite.server.printing import TopicPrinter
from ksqlite.server.requests import BadRequestError, body_of, mapping_of
from ksqlite.types import Schema

T = TypeVar("T")

LEGACY = "application/vnd.ksql.v1+json"
DELIMITED = "application/vnd.ksqlapi.delimited.v1"
JSON = "application/json"

_POLL_S = 0.02
_ROWS_A_CHUNK = 500
MAX_RUNNING = 100
"""Push queries that run at once: each holds a thread, a consumer and state of its own."""


class Format:
    """How rows are laid out. The pieces are written in order: begin, row …, end.

    ``endless``: the rows of a push query, each of which ends its line at once, for clients that read lines. Such an
    answer always has an end with a message.
    """

    content_type = LEGACY

    def __init__(self, query_id: str, schema: Schema, *, endless: bool) -> None:
        self.query_id = query_id
        self.schema = schema
        self.rows = RowWriter(schema)
        self._before, self._behind = ("", ",\n") if endless else (",\n", "")

    def begin(self) -> str:
        """Before the first row."""
        header = f'{{"header":{{"queryId":{quoted(self.query_id)},"schema":{quoted(schema_text(self.schema))}}}}}'
        return f"[{header}{self._behind}"

    def row(self, values: Sequence[Any]) -> str:
        """A row."""
        return f'{self._before}{{"row":{{"columns":{self.rows.row(values)}}}}}{self._behind}'

    def end(self, message: str | None) -> str:
        """Behind the last row; ``message`` says why a push query ended."""
        return "]" if message is None else f'{self._before}{{"finalMessage":{quoted(message)}}}]'

    def error(self, error: dict[str, Any]) -> str:
        """An error after rows were sent."""
        return f'{self._before}{{"errorMessage":{json.dumps(error, ensure_ascii=False)}}}]'


class Delimited(Format):
    """A JSON document a line."""

    content_type = DELIMITED

    def _header(self) -> str:
        names = ",".join(quoted(column.name) for column in self.schema.columns)
        types = ",".join(quoted(str(column.type)) for column in self.schema.columns)
        return f'{{"queryId":{quoted(self.query_id)},"columnNames":[{names}],"columnTypes":[{types}]}}'

    def begin(self) -> str:
        """Before the first row."""
        return self._header() + "\n"

    def row(self, values: Sequence[Any]) -> str:
        """A row."""
        return self.rows.row(values) + "\n"

    def end(self, message: str | None) -> str:  # noqa: ARG002 - the interface
        """Behind the last row."""
        return ""

    def error(self, error: dict[str, Any]) -> str:
        """An error after rows were sent."""
        return json.dumps(error, ensure_ascii=False) + "\n"


class JsonArray(Delimited):
    """One JSON array: the header, then the rows."""

    content_type = JSON

    def begin(self) -> str:
        """Before the first row."""
        return "[" + self._header()

    def row(self, values: Sequence[Any]) -> str:
        """A row."""
        return "," + self.rows.row(values)

    def end(self, message: str | None) -> str:  # noqa: ARG002 - the interface
        """Behind the last row."""
        return "]"

    def error(self, error: dict[str, Any]) -> str:
        """An error after rows were sent."""
        return "," + json.dumps(error, ensure_ascii=False) + "]"


class Running:
    """A push query that is being sent."""

    def __init__(self, text: str, subscription: PushQuery, *, bounded: bool) -> None:
        self.text = text
        self.bounded = bounded
        self.subscription = subscription
        self.closed = asyncio.Event()


class Queries:
    """Runs queries for clients."""

    def __init__(self, backend: Backend, clock_ms: Callable[[], int]) -> None:
        self.backend = backend
        self._clock_ms = clock_ms
        self.running: dict[str, Running] = {}

    def texts(self) -> dict[str, str]:
        """The text of each running push query, by its id."""
        return {query_id: running.text for query_id, running in self.running.items()}

    def close(self, query_id: str) -> bool:
        """Ends a push query; False when there is none of that id."""
        running = self.running.get(query_id)
        if running is None:
            return False
        running.closed.set()
        return True

    async def query(self, request: Request) -> Response:
        """``/query``: ksql and streamsProperties; a header, rows, a final message."""
        return await self._serve(request, "ksql", "streamsProperties", Format)

    async def query_stream(self, request: Request) -> Response:
        """``/query-stream``: sql and properties; lines, or one JSON array where that alone is accepted."""
        accepted = request.headers.get("accept", "")
        layout: type[Format] = Delimited
        if LEGACY in accepted:
            layout = Format
        elif JSON in accepted and DELIMITED not in accepted:
            layout = JsonArray
        return await self._serve(request, "sql", "properties", layout)

    async def _serve(self, request: Request, text_name: str, properties_name: str, layout: type[Format]) -> Response:
        body = body_of(request)
        text = body.get(text_name)
        if not isinstance(text, str):
            raise BadRequestError(f'Missing the query to run: {{"{text_name}": "..."}}')
        properties = mapping_of(body, properties_name)
        variables = {name: str(value) for name, value in mapping_of(body, "sessionVariables").items()}
        try:
            statements = parser.parse(text, variables)
            if len(statements) != 1:
                message = f"Expected exactly one KSQL statement; found {len(statements)} instead"
                return json_response(statement_error(message, text), 400)
            located = statements[0]
            statement = located.statement
            if isinstance(statement, ast.PrintTopic):
                return await self._print(statement)
            if not isinstance(statement, ast.QueryStatement):
                message = f"Statement type `{type(statement).__name__}` not supported for this resource"
                return json_response(generic_error(message), 400)
            return await self._answer(located, properties, layout)
        except KsqlError as error:
            return json_response(error_of(error, text), 400)

    async def _answer(self, located: ast.Located, properties: Mapping[str, Any], layout: type[Format]) -> Response:
        """A pull query's rows, or a push query's as they come about."""
        engine = self.backend.engine
        prepared = await self._run(lambda: engine.catalog.prepare(located))
        assert isinstance(prepared.statement, ast.QueryStatement)  # noqa: S101 - looked at before
        query = prepared.statement.query
        if query.emit is not None:
            return await self._push(query, located.text, properties, layout, bounded=False)
        source = await self._run(lambda: engine.catalog.get(query.source.name))
        if source is not None and not source.is_table:
            from ksqlite.pull import check_shape  # noqa: PLC0415 - slow to load

            check_shape(query)
            history = {**properties, "auto.offset.reset": "earliest"}
            return await self._push(query, located.text, history, layout, bounded=True)
        return await self._pull(query, properties, layout)

    async def _pull(self, query: ast.Query, properties: Mapping[str, Any], layout: type[Format]) -> Response:
        from ksqlite.pull import plan_pull  # noqa: PLC0415 - slow to load

        engine = self.backend.engine

        def read() -> tuple[Schema, list[tuple[Any, ...]]]:
            plan = plan_pull(query, engine, {**engine.env.settings, **properties})
            return plan.schema, list(plan.rows())

        schema, rows = await self._run(read)
        laid_out = layout(f"query_{self._clock_ms()}", schema, endless=False)

        async def chunks() -> AsyncIterator[bytes]:
            yield laid_out.begin().encode()
            for start in range(0, len(rows), _ROWS_A_CHUNK):
                yield "".join(map(laid_out.row, rows[start : start + _ROWS_A_CHUNK])).encode()
                await asyncio.sleep(0)
            tail = laid_out.end(None)
            if tail:
                yield tail.encode()

        return Response(200, content_type=layout.content_type, chunks=chunks())

    async def _push(
        self, query: ast.Query, text: str, properties: Mapping[str, Any], layout: type[Format], *, bounded: bool
    ) -> Response:
        if len(self.running) >= MAX_RUNNING:
            raise KsqlError(
                "Not executing push query(s) because it would cause the number of active, push queries to exceed the "
                f"configured limit. Current active push query count: {len(self.running)}. "
                f"Configured limit: {MAX_RUNNING}."
            )
        query_id = f"transient_{query.source.name}_{random.getrandbits(63)}"
        subscription = await asyncio.to_thread(self.backend.subscribe, query, text, properties, bounded=bounded)
        running = Running(f"{text};", subscription, bounded=bounded)
        self.running[query_id] = running
        laid_out = layout(query_id, subscription.schema, endless=True)
        return Response(200, content_type=layout.content_type, chunks=self._follow(query_id, running, laid_out))

    async def _follow(self, query_id: str, running: Running, laid_out: Format) -> AsyncIterator[bytes]:
        subscription = running.subscription

        try:
            yield laid_out.begin().encode()
            while True:
                finished = subscription.finished
                rows = subscription.take()
                for start in range(0, len(rows), _ROWS_A_CHUNK):
                    yield "".join(map(laid_out.row, rows[start : start + _ROWS_A_CHUNK])).encode()
                if finished:
                    limited = not running.bounded or subscription.limited
                    yield laid_out.end("Limit Reached" if limited else "Query Completed").encode()
                    return
                if running.closed.is_set():
                    yield laid_out.end("Query terminated").encode()
                    return
                await asyncio.sleep(_POLL_S)
        except KsqlError as error:
            yield laid_out.error(error_of(error, running.text)).encode()
        finally:
            self.running.pop(query_id, None)
            subscription.close()

    async def _print(self, statement: ast.PrintTopic) -> Response:
        reader = await asyncio.to_thread(
            self.backend.read_topic, statement.topic, from_beginning=statement.from_beginning
        )
        printer = TopicPrinter(statement, self.backend.engine.env.registry)

        async def chunks() -> AsyncIterator[bytes]:
            try:
                while not printer.finished:
                    records = await asyncio.to_thread(reader.take)
                    text = printer.text(records)
                    if text:
                        yield text.encode()
                    elif not records:
                        await asyncio.sleep(_POLL_S)
            finally:
                await asyncio.to_thread(reader.close)

        return Response(200, content_type=JSON, chunks=chunks())

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.wrap_future(self.backend.run(work))
