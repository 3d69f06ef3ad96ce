"""The REST API over an engine in memory, held against what a real ksqlDB answered."""

import asyncio
import json
from typing import Any

import pytest

from ksqlite.server.app import App
from ksqlite.server.backend import UnavailableError
from ksqlite.server.http import Request
from ksqlite.server.memory import MemoryBackend
from ksqlite.server.serve import PROCESSING_LOG
from ksqlite.statements import NewRecord
from tests.golden_rest import GOLDEN, differences

VERIFIED = GOLDEN.parents[1] / "verified.sql"


class Client:
    """Sends requests to an app without a network."""

    def __init__(self, credentials: Any = None) -> None:
        self.backend = MemoryBackend({"ksql.streams.auto.offset.reset": "latest"})
        self.now_ms = 1_795_481_137_889
        self.app = App(self.backend, service_id="golden_", credentials=credentials, clock_ms=self.clock)
        self.backend.push_texts = self.app.queries.texts

    def clock(self) -> Any:
        return self.now_ms

    def send(
        self, method: Any, path: Any, body: Any = None, accept: str = "application/json", headers: Any = None
    ) -> Any:
        """Status, content type and text of the answer."""
        raw = b"" if body is None else (body if isinstance(body, bytes) else json.dumps(body).encode())
        request = Request(method, path, {"accept": accept, **(headers or {})}, raw)

        async def answer() -> tuple[Any, ...]:
            response = await self.app(request)
            data = response.body
            if response.chunks is not None:
                data = b"".join([chunk async for chunk in response.chunks])
            return response.status, response.content_type, data.decode()

        return asyncio.run(asyncio.wait_for(answer(), 20))

    def ksql(self, text: Any) -> tuple[Any, ...]:
        """Status and JSON of the answer of /ksql."""
        status, _, body = self.send("POST", "/ksql", {"ksql": text})
        return status, json.loads(body)

    def query(
        self, text: Any, properties: Any = None, path: str = "/query", accept: str = "application/json"
    ) -> tuple[Any, ...]:
        """Status and text of the answer of a query."""
        names = ("ksql", "streamsProperties") if path == "/query" else ("sql", "properties")
        body = {names[0]: text, names[1]: properties or {}}
        status, _, answer = self.send("POST", path, body, accept)
        return status, answer


@pytest.fixture
def client() -> Any:
    return Client()


def _golden_client() -> Any:
    """A client of a server in the state that the golden requests were sent to."""
    client = Client()
    schemas = json.loads((GOLDEN.parent / "one-partition" / "topics.json").read_text("utf-8"))["schemas"]
    topics: Any = client.backend.env.topics
    topics.declare("checks", 1)
    schema_id = client.backend.env.registry.register("checks-value", json.dumps(schemas["checks-value"]))
    status, answer = client.ksql(PROCESSING_LOG.format(topic="golden_ksql_processing_log") + ";")
    assert status == 400  # no such topic yet
    topics.declare("golden_ksql_processing_log", 1)
    for text in (PROCESSING_LOG.format(topic="golden_ksql_processing_log") + ";", VERIFIED.read_text("utf-8")):
        status, answer = client.ksql(text)
        assert status == 200, answer
    for line in (GOLDEN.parent / "one-partition" / "checks.jsonl").read_text("utf-8").splitlines():
        record = json.loads(line)
        value = b"\0" + schema_id.to_bytes(4, "big") + bytes.fromhex(record["value_hex"])
        client.backend.write(NewRecord("checks", bytes.fromhex(record["key_hex"]), value, record["timestamp"]))
    return client


@pytest.mark.skipif(not GOLDEN.exists(), reason="the golden data is not on this machine")
def test_golden_answers() -> None:
    """Every request that a real ksqlDB 7.6.1 was sent gets the same status, error code, type and shape."""
    client = _golden_client()
    problems = []
    for number, line in enumerate(GOLDEN.read_text("utf-8").splitlines()):
        golden = json.loads(line)
        body = golden["request"]
        if body is not None and "ksql" in body:
            text = body["ksql"]
            if "T1C_27" in text:
                query_id = next((q.query_id for q in client.backend.engine.queries() if q.sink == "T1C"), "none")
                body = {**body, "ksql": text.replace("CTAS_T1C_27", query_id)}
        status, _, answer = client.send(golden["method"], golden["path"], body, golden["accept"])
        found = differences(golden, status, answer)
        if found:
            problems.append(f"{number} {golden['path']} {json.dumps(golden['request'])}: " + "; ".join(found))
    assert not problems, "\n".join(problems)


def test_authentication() -> None:
    """With a user set, only health is answered without the password."""
    client = Client(credentials=("u", "p"))
    assert client.send("GET", "/info")[0] == 401
    assert client.send("GET", "/info", headers={"authorization": "Basic dTpw"})[0] == 200
    assert client.send("GET", "/info", headers={"authorization": "Basic !"})[0] == 401
    assert client.send("GET", "/healthcheck")[0] == 200


@pytest.mark.parametrize("credentials", [None, ("u", "p")])
def test_an_unwell_server_says_why(credentials: tuple[str, str] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The health check gives the reason, which may quote a record, to those who may read records."""
    client = Client(credentials=credentials)
    monkeypatch.setattr(client.backend, "health", lambda: {"metastore": True, "queries": False})
    monkeypatch.setattr(client.backend, "complaint", lambda: "Q is in ERROR")
    status, _, answer = client.send("GET", "/healthcheck")
    assert (status, json.loads(answer)["isHealthy"]) == (503, False)
    assert json.loads(answer).get("reason") == (None if credentials else "Q is in ERROR")
    allowed = client.send("GET", "/healthcheck", headers={"authorization": "Basic dTpw"})
    assert json.loads(allowed[2])["reason"] == "Q is in ERROR"


def test_not_ready(client: Any) -> None:
    """While the runner starts or has failed, requests get 503 and are asked to come again."""

    def unavailable(_work: Any) -> None:
        raise UnavailableError("The server is not ready: starting")

    client.backend.run = unavailable
    status, _, body = client.send("POST", "/ksql", {"ksql": "SHOW STREAMS;"})
    assert (status, json.loads(body)["error_code"]) == (503, 50300)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"ksql": 1}', b'{"ksql": "", "streamsProperties": []}', b"\xff"])
@pytest.mark.parametrize("path", ["/ksql", "/query", "/query-stream", "/close-query"])
def test_bad_bodies(client: Any, path: str, body: bytes) -> None:
    """A body that is no request gets 400 in ksqlDB's shape."""
    status, _, answer = client.send("POST", path, body)
    assert (status, json.loads(answer)["@type"]) == (400, "generic_error")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("SHOW STREAMS; SHOW TABLES;", 40001),
        ("SHOW STREAMS;", 40000),
        ("SELECT * FROM nowhere;", 40001),
        ("SELECT * FROM nowhere EMIT CHANGES;", 40001),
        ("PRINT nowhere;", 40001),
    ],
)
def test_bad_queries(client: Any, text: str, code: int) -> None:
    """What /query cannot run is refused before anything is sent."""
    status, answer = client.query(text)
    assert (status, json.loads(answer)["error_code"]) == (400, code)


def test_variables_and_properties_end_with_the_request(client: Any) -> None:
    """Each request is a session of its own; its variables and properties come with it."""
    client.backend.env.topics.declare("t", 1)
    status, _, _ = client.send(
        "POST",
        "/ksql",
        {
            "ksql": "SET 'auto.offset.reset'='earliest';"
            "CREATE STREAM ${n} (v INT) WITH (KAFKA_TOPIC='${t}', FORMAT='JSON');",
            "sessionVariables": {"n": "s", "t": "t"},
        },
    )
    assert status == 200
    assert client.ksql("SHOW VARIABLES;")[1][0]["variables"] == []
    assert client.backend.engine.catalog.properties == {}
    assert [one["name"] for one in client.ksql("SHOW STREAMS;")[1][0]["streams"]] == ["S"]


def test_validation_runs_nothing(client: Any) -> None:
    """A request whose last statement is wrong leaves no stream, query or topic behind."""
    client.backend.env.topics.declare("t", 1)
    status, answer = client.ksql(
        "CREATE STREAM s (k STRING KEY, v INT) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='AVRO');"
        "CREATE TABLE c AS SELECT k, COUNT(*) AS n FROM s GROUP BY k; DROP STREAM s;"
    )
    assert (status, answer["error_code"]) == (400, 40001)
    assert "read from this source: [C]" in answer["message"]
    assert client.backend.engine.catalog.sources == {}
    assert client.backend.engine.queries() == []
    assert list(client.backend.topics()) == ["t"]
    assert client.backend.env.registry.subjects() == []


def test_explain_of_a_query(client: Any) -> None:
    """EXPLAIN tells a running query's plan."""
    client.backend.env.topics.declare("t", 1)
    client.ksql(
        "CREATE STREAM s (k STRING KEY, v INT) WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON');"
        "CREATE TABLE c AS SELECT k, COUNT(*) AS n FROM s GROUP BY k;"
    )
    (query,) = client.backend.engine.queries()
    status, answer = client.ksql(f"EXPLAIN {query.query_id};")
    assert status == 200
    assert answer[0]["queryDescription"]["sinks"] == ["C"]
    plan = answer[0]["queryDescription"]["executionPlan"]
    assert [line.split("]")[0].split("[ ")[1] for line in plan.splitlines()] == ["SINK ", "AGGREGATE ", "SOURCE "]
