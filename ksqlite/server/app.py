"""The routes of ksqlDB's REST API."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ksqlite import ast, parser
from ksqlite.errors import KsqlError
from ksqlite.server import answers
from ksqlite.server.answers import error_of, generic_error, statement_error
from ksqlite.server.backend import Backend, UnavailableError
from ksqlite.server.http import Request, Response, json_response
from ksqlite.server.inserts import inserts_stream
from ksqlite.server.queries import Queries
from ksqlite.server.requests import BadRequestError, body_of, mapping_of
from ksqlite.server.validation import validate
from ksqlite.statements import Entity, insert_values, with_text

VERSION = "7.6.1"
"""The ksqlDB release whose API and behaviour this is; clients ask for it."""

T = TypeVar("T")
_MISPLACED = "The following statement types should be issued to the websocket endpoint '/query':\n\t* PRINT\n\t* SELECT"


class App:
    """Answers requests from a backend. ``credentials`` is user and password where basic authentication is asked for."""

    def __init__(
        self, backend: Backend, *, service_id: str, credentials: tuple[str, str] | None, clock_ms: Callable[[], int]
    ) -> None:
        self.backend = backend
        self.service_id = service_id
        self._credentials = credentials
        self._clock_ms = clock_ms
        self.queries = Queries(backend, clock_ms)
        self._one_at_a_time = asyncio.Lock()

    async def __call__(self, request: Request) -> Response:
        """The answer to a request."""
        if not self._allowed(request):
            response = json_response(generic_error("Unauthorized", answers.UNAUTHORIZED), 401)
            response.headers["www-authenticate"] = 'Basic realm="ksqlite"'
            return response
        try:
            return await self._route(request)
        except BadRequestError as error:
            return json_response(generic_error(str(error)), 400)
        except UnavailableError as error:
            response = json_response(generic_error(str(error), answers.UNAVAILABLE), 503)
            response.headers["retry-after"] = "1"
            return response

    def _allowed(self, request: Request) -> bool:
        return request.path in {"/healthcheck", "/chc/live", "/chc/ready"} or self._may(request)

    def _may(self, request: Request) -> bool:
        """Whether the request comes with the password, where one is asked for."""
        if self._credentials is None:
            return True
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            user, _, password = base64.b64decode(given, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return False
        same_user = hmac.compare_digest(user.encode(), self._credentials[0].encode())
        return hmac.compare_digest(password.encode(), self._credentials[1].encode()) and same_user

    async def _route(self, request: Request) -> Response:
        path = request.path.rstrip("/") or "/"
        if request.method == "POST":
            match path:
                case "/ksql":
                    return await self._ksql(request)
                case "/query":
                    return await self.queries.query(request)
                case "/query-stream":
                    return await self.queries.query_stream(request)
                case "/close-query":
                    return self._close_query(request)
                case "/inserts-stream" if request.pieces is not None:
                    return await inserts_stream(request, self.backend, self._clock_ms)
                case "/inserts-stream":
                    message = "This endpoint is only available when using HTTP2"
                    return json_response(generic_error(message, answers.HTTP2_ONLY), 400)
                case "/heartbeat" | "/lag":
                    return json_response({"isOk": True})
                case "/ksql/terminate":
                    message = (
                        "Terminating a cluster is not supported by ksqlite: TERMINATE ALL, DROP, and stop the server."
                    )
                    return json_response(generic_error(message), 400)
        elif request.method in {"GET", "HEAD"}:
            response = await self._get(path, request)
            if response is not None:
                return response
        return Response(404, b"<html><body><h1>Resource not found</h1></body></html>", "text/html; charset=utf-8")

    async def _get(self, path: str, request: Request) -> Response | None:
        match path.split("/")[1:]:
            case [""] | ["info"]:
                return await self._info()
            case ["healthcheck"] | ["chc", "ready"]:
                return self._healthcheck(tell=self._may(request))
            case ["chc", "live"]:
                return json_response({})
            case ["status"]:
                return json_response({"commandStatuses": dict(self.backend.command_statuses())})
            case ["status", kind, entity, action]:
                return self._status(f"{kind}/{entity}/{action}")
            case ["is_valid_property", name]:
                return _is_valid_property(name)
            case ["clusterStatus"]:
                return json_response({"clusterStatus": {}})
            case ["v1", "metadata"]:
                cluster = await asyncio.to_thread(self.backend.cluster_id)
                return json_response({"version": VERSION, "ksqlServiceId": self.service_id, "kafkaClusterId": cluster})
            case ["v1", "metadata", "id"]:
                return await self._metadata_id()
            case ["metrics"]:
                text = await asyncio.to_thread(self.backend.metrics)
                return Response(200, text.encode(), "text/plain; version=0.0.4; charset=utf-8")
            case ["inserts-stream"]:
                message = "This endpoint is only available when using HTTP2"
                return json_response(generic_error(message, answers.HTTP2_ONLY), 400)
            case _:
                return None

    # --------------------------------------------------------------------------------------------------- small answers

    async def _info(self) -> Response:
        return json_response(
            {
                "KsqlServerInfo": {
                    "version": VERSION,
                    "kafkaClusterId": await asyncio.to_thread(self.backend.cluster_id),
                    "ksqlServiceId": self.service_id,
                    "serverStatus": "RUNNING",
                }
            }
        )

    async def _metadata_id(self) -> Response:
        cluster = await asyncio.to_thread(self.backend.cluster_id)
        clusters = {"kafka-cluster": cluster, "ksql-cluster": self.service_id}
        return json_response({"id": "", "scope": {"path": [], "clusters": clusters}})

    def _healthcheck(self, *, tell: bool) -> Response:
        """``tell``: why, if it is not well; the reason may quote a record, which is not for everybody."""
        parts = dict(self.backend.health())
        healthy = all(parts.values())
        body = {
            "isHealthy": healthy,
            "details": {name: {"isHealthy": state} for name, state in parts.items()},
            "serverState": "READY",
        }
        if tell and not healthy:
            body["reason"] = self.backend.complaint()
        return json_response(body, 200 if healthy else 503)

    def _status(self, command: str) -> Response:
        status = self.backend.command_statuses().get(command)
        if status is None:
            return json_response(generic_error("Command not found", answers.NOT_FOUND), 404)
        return json_response({"status": status, "message": "", "queryId": None})

    def _close_query(self, request: Request) -> Response:
        query_id = body_of(request).get("queryId")
        if not isinstance(query_id, str) or not self.queries.close(query_id):
            return json_response(generic_error(f"No query with id {query_id}"), 400)
        return Response(200)

    # ------------------------------------------------------------------------------------------------------------ /ksql

    async def _ksql(self, request: Request) -> Response:
        """Runs statements, one after the other; all are looked at before the first one runs."""
        body = body_of(request)
        text = body.get("ksql")
        if not isinstance(text, str):
            raise BadRequestError('Missing the statements to run: {"ksql": "..."}')
        properties = mapping_of(body, "streamsProperties")
        variables = {name: str(value) for name, value in mapping_of(body, "sessionVariables").items()}
        async with self._one_at_a_time:
            return await self._run_all(text, properties, variables)

    async def _run_all(self, text: str, properties: Mapping[str, Any], variables: Mapping[str, str]) -> Response:
        entities: list[Entity] = []
        try:
            statements = parser.parse(text, variables)
            for located in statements:
                if isinstance(located.statement, (ast.QueryStatement, ast.PrintTopic)):
                    return json_response(statement_error(_MISPLACED, f"{located.text};", answers.NOT_HERE), 400)
            await self._run(lambda: self._begin(variables))
            if len(statements) > 1:
                engine = self.backend.engine
                await self._run(lambda: validate(engine, statements, properties, self.backend.inspector))
            for located in statements:
                entity = await self._execute(located, properties)
                if entity is not None:
                    entities.append(entity)
        except KsqlError as error:
            return json_response(error_of(error, text, entities), 400)
        return json_response(entities)

    def _begin(self, variables: Mapping[str, str]) -> None:
        """A request is a session of its own: what SET and DEFINE do ends with it."""
        catalog = self.backend.engine.catalog
        catalog.properties = {}
        catalog.variables = dict(variables)

    async def _execute(self, located: ast.Located, properties: Mapping[str, Any]) -> Entity | None:
        engine = self.backend.engine
        if isinstance(located.statement, ast.InsertValues):
            await self._insert(located)
            return None
        if isinstance(located.statement, (ast.AssertTopic, ast.AssertSchema)) and located.statement.timeout:
            return await self._assert(located, properties)
        entity = await self._run(lambda: self.backend.execute(located, {**properties, **engine.catalog.properties}))
        return None if entity is None else with_text(entity, f"{located.text};")

    async def _insert(self, located: ast.Located) -> None:
        engine = self.backend.engine

        def make() -> Any:  # noqa: ANN401 - a NewRecord
            statement = engine.catalog.prepare(located).statement
            return insert_values(
                statement, catalog=engine.catalog, registry=engine.env.registry, clock_ms=self._clock_ms
            )

        try:
            record = await self._run(make)
        except KsqlError as error:
            error.statement = error.statement or f"{located.text};"
            raise
        await asyncio.to_thread(self.backend.write, record)

    async def _assert(self, located: ast.Located, properties: Mapping[str, Any]) -> Entity | None:
        """ASSERT … TIMEOUT: asks until it holds or the time is over."""
        from ksqlite.planner.durations import milliseconds  # noqa: PLC0415 - rarely needed

        timeout = getattr(located.statement, "timeout", None)
        deadline = self._clock_ms() + (milliseconds(timeout) if timeout is not None else 0)
        while True:
            try:
                entity = await self._run(lambda: self.backend.execute(located, properties))
            except KsqlError:
                if self._clock_ms() >= deadline:
                    raise
                await asyncio.sleep(0.1)
            else:
                return None if entity is None else with_text(entity, f"{located.text};")

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.wrap_future(self.backend.run(work))


_EDITABLE = ("auto.", "cache.", "commit.", "processing.", "ksql.query.", "ksql.persistence.", "ksql.streams.", "num.")


def _is_valid_property(name: str) -> Response:
    if name.startswith(_EDITABLE) or name in {"ksql.functions.collect_list.limit", "ksql.functions.collect_set.limit"}:
        return json_response(True)  # noqa: FBT003 - the answer itself
    message = f"One or more properties overrides set locally are prohibited by the KSQL server: [{name}]"
    return json_response(generic_error(message), 400)
