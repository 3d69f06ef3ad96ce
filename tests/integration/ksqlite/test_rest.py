"""The REST API of a server over a real broker, held against what a real ksqlDB answered."""

import json
import re
import threading
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.fix_stack import wait_for
from tests.golden_rest import GOLDEN, differences

VERIFIED = GOLDEN.parents[1] / "verified.sql"
KINDS = {"content-type": "application/json"}


def send(
    server: Any, method: Any, path: Any, body: Any = None, *, accept: str = "application/json", authorization: str = ""
) -> tuple[Any, ...]:
    """Status and text of an answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(  # noqa: S310 - this server's
        f"{server.url}{path}", data, {**KINDS, "accept": accept, "authorization": authorization}, method=method
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - this server's
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read().decode()


def pull(server: Any, text: Any) -> Any:
    """The answer to a pull query."""
    return send(server, "POST", "/query", {"ksql": text})[1]


@pytest.fixture
def golden_server(space: Any, serve: Any) -> Any:
    """A server in the state that the golden requests were sent to."""
    settings = {
        "ksql.output.topic.name.prefix": space.prefix,
        "cache.max.bytes.buffering": "0",
        "ksql.streams.auto.offset.reset": "earliest",
    }
    properties = ";".join(f"{name}={value}" for name, value in settings.items())
    server = serve(environment={"CHECKS_KSQL_PROPERTIES": properties})
    schemas = json.loads((GOLDEN.parent / "one-partition" / "topics.json").read_text("utf-8"))["schemas"]
    space.create("checks", 1, retention_ms=-1)
    schema_id = space.registry.register(space.name("checks-value"), json.dumps(schemas["checks-value"]))
    server.start()
    server.ksql(space.own(VERIFIED.read_text("utf-8")))
    records = []
    for line in (GOLDEN.parent / "one-partition" / "checks.jsonl").read_text("utf-8").splitlines():
        record = json.loads(line)
        value = b"\0" + schema_id.to_bytes(4, "big") + bytes.fromhex(record["value_hex"])
        records.append((bytes.fromhex(record["key_hex"]), value, record["timestamp"]))
    space.produce("checks", records)

    def all_counted() -> bool:
        counts = re.findall(r'"columns":\[(\d+)\]', pull(server, "SELECT purchases FROM place_totals;"))
        return sum(map(int, counts)) == 60

    wait_for(all_counted, limit_s=60, what="all sales are counted")
    return server


@pytest.mark.skipif(not GOLDEN.exists(), reason="the golden data is not on this machine")
def test_golden_answers(space: Any, golden_server: Any) -> None:
    """Every request that a real ksqlDB 7.6.1 was sent gets the same status, error code, type and shape."""
    problems = []
    query_id = ""
    for number, line in enumerate(GOLDEN.read_text("utf-8").splitlines()):
        golden = json.loads(line)
        body = golden["request"]
        if body is not None and "ksql" in body:
            text = space.own(body["ksql"]).replace("PRINT '", f"PRINT '{space.prefix}")
            body = {**body, "ksql": text.replace("CTAS_T1C_27", query_id or "CTAS_T1C_27")}
        status, answer = send(golden_server, golden["method"], golden["path"], body, accept=golden["accept"])
        made = re.search(r"Created query with ID (CTAS_T1C_\d+)", answer)
        query_id = made[1] if made else query_id
        if made:
            wait_for(lambda: '"row"' in pull(golden_server, "SELECT * FROM t1c;"), limit_s=30, what="T1C has its row")
        found = differences(golden, status, answer)
        if found:
            problems.append(f"{number} {golden['path']} {json.dumps(body)}: " + "; ".join(found))
    assert not problems, "\n".join(problems)


def test_query_ids_and_sequence_numbers(space: Any, serve: Any) -> None:
    """Queries and commands are numbered as on ksqlDB, and a restart brings all back under the same ids."""
    server = serve()
    server.start()
    text = space.own(
        "CREATE STREAM s (k STRING KEY, v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=2, VALUE_FORMAT='JSON');"
        "CREATE TABLE c WITH (KAFKA_TOPIC='c') AS SELECT k, COUNT(*) AS n FROM s GROUP BY k EMIT CHANGES;"
        "CREATE TYPE p AS STRUCT<x INT>;"
    )
    entities = server.ksql(text, **{"auto.offset.reset": "earliest"})
    assert [entity["commandSequenceNumber"] for entity in entities] == [2, 4, 6]
    assert entities[1]["commandStatus"]["queryId"] == "CTAS_C_3"
    server.ksql("INSERT INTO s VALUES ('a', 1); INSERT INTO s VALUES ('a', 2);")
    server.kill()
    server.start()
    assert [query["id"] for query in server.ksql("SHOW QUERIES;")[0]["queries"]] == ["CTAS_C_3"]
    assert list(server.ksql("SHOW TYPES;")[0]["types"]) == ["P"]
    server.ksql("INSERT INTO s VALUES ('a', 3);")

    def counted() -> bool:
        return '["a",3]' in pull(server, "SELECT * FROM c WHERE k='a';")

    wait_for(counted, limit_s=30, what="all three are counted once")


def test_nothing_is_half_applied(space: Any, serve: Any) -> None:
    """A request with a statement that is wrong does nothing at all, topics included."""
    server = serve()
    server.start()
    body = {
        "ksql": space.own(
            "CREATE STREAM s (v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1, VALUE_FORMAT='JSON');"
            "CREATE STREAM d WITH (KAFKA_TOPIC='d') AS SELECT nope FROM s;"
        )
    }
    status, answer = send(server, "POST", "/ksql", body)
    assert (status, json.loads(answer)["error_code"]) == (400, 40001)
    assert [one["name"] for one in server.ksql("SHOW STREAMS;")[0]["streams"]] == ["KSQL_PROCESSING_LOG"]
    assert space.name("s") not in space.admin.list_topics(timeout=30).topics


def test_push_query_sees_what_comes(space: Any, serve: Any) -> None:
    """A push query sends rows as they come about, each line at once, and ends when it is closed."""
    server = serve()
    server.start()
    server.ksql(space.own("CREATE STREAM s (v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1, VALUE_FORMAT='JSON');"))
    server.ksql("INSERT INTO s VALUES (1);")
    lines: list[Any] = []
    body = json.dumps({"sql": "SELECT v FROM s EMIT CHANGES;", "properties": {"auto.offset.reset": "earliest"}})
    kind = {**KINDS, "accept": "application/vnd.ksqlapi.delimited.v1"}
    request = urllib.request.Request(f"{server.url}/query-stream", body.encode(), kind)  # noqa: S310 - this server's

    def follow() -> None:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - this server's
            lines.extend(line.decode().rstrip("\n") for line in answer)

    follower = threading.Thread(target=follow)
    follower.start()
    wait_for(lambda: lines[1:] == ["[1]"], limit_s=30, what="history is read")
    (query,) = server.ksql("SHOW QUERIES;")[0]["queries"]
    assert query["queryType"] == "PUSH"
    server.ksql("INSERT INTO s VALUES (2);")
    wait_for(lambda: lines[1:] == ["[1]", "[2]"], limit_s=30, what="the new record is sent")
    assert send(server, "POST", "/close-query", {"queryId": query["id"]})[0] == 200
    follower.join(30)
    assert not follower.is_alive()
    assert json.loads(lines[0])["queryId"] == query["id"]


def test_basic_authentication(serve: Any) -> None:
    """With a user set, nothing but health is answered without the password."""
    server = serve(environment={"CHECKS_KSQL_USER": "u", "CHECKS_KSQL_PASSWORD": "p"})
    server.start()
    assert send(server, "GET", "/info")[0] == 401
    assert send(server, "GET", "/info", authorization="Basic dTpw")[0] == 200
    assert send(server, "GET", "/info", authorization="Basic dTpx")[0] == 401
    assert send(server, "GET", "/healthcheck")[0] == 200


def test_replaced_query_goes_on(space: Any, serve: Any) -> None:
    """CREATE OR REPLACE of a query neither reads again nor leaves out a record, before and after a restart."""
    server = serve()
    server.start()
    server.ksql(
        space.own(
            "CREATE STREAM s (k STRING KEY, v INT) WITH (KAFKA_TOPIC='s', PARTITIONS=1, VALUE_FORMAT='JSON');"
            "CREATE STREAM d WITH (KAFKA_TOPIC='d') AS SELECT k, v FROM s EMIT CHANGES;"
        )
    )
    server.ksql("INSERT INTO s VALUES ('a', 1);")
    wait_for(lambda: len(space.read("d")) == 1, limit_s=30, what="the first record is through")
    server.ksql(
        space.own("CREATE OR REPLACE STREAM d WITH (KAFKA_TOPIC='d') AS SELECT k, v, v * 2 AS w FROM s EMIT CHANGES;")
    )
    server.ksql("INSERT INTO s VALUES ('a', 2);")
    wait_for(lambda: len(space.read("d")) == 2, limit_s=30, what="the second record is through")
    server.kill()
    server.start()
    server.ksql("INSERT INTO s VALUES ('a', 3);")
    wait_for(lambda: len(space.read("d")) == 3, limit_s=30, what="the third record is through")
    assert [value for _, _, value, _ in space.read("d")] == [b'{"V":1}', b'{"V":2,"W":4}', b'{"V":3,"W":6}']
