"""The service as a client and an operator meet it: real HTTP, real Kafka, real registry."""

import asyncio
import gzip
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from intake.kafka.producer import KafkaUnavailableError, RecordProducer
from intake.settings import load
from stack import free_ports
from tests.fix_stack import wait_for
from tests.integration.intake.service import BATCH, CHECK, SCHEMAS, check, registry_at


def test_check_becomes_a_record(service: Any, topics: Any) -> None:
    """A check is in Kafka when its answer comes: exact, keyed by its id, with headers; a bad one in its own topic."""
    with service.client() as client:
        answer = client.post(CHECK, json=check("one"), headers={"X-Request-Id": "mine"})
        assert (answer.status_code, answer.json()) == (201, {"transaction_id": "one", "status": "accepted"})
        refused = client.post(CHECK, json=check("two", total_amount=27.471))
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/total_amount")
    [(key, value, headers)] = topics.read(topics.checks)
    assert (key, value["transaction_id"], value["total_amount"]) == ("one", "one", Decimal("27.47"))
    assert headers["request-id"] == b"mine"
    assert headers["received-at"].startswith(value["received_at"].isoformat()[:19].encode())
    [(key, value, _)] = topics.read(topics.rejected)
    assert (key, value["transaction_id"]) == (value["rejection_id"], "two")
    assert json.loads(value["reasons_json"]) == refused.json()["errors"]
    assert json.loads(value["body"])["total_amount"] == 27.471
    assert value["request_id"] == refused.headers["X-Request-Id"]


def test_partition_is_that_of_java_clients(service: Any, topics: Any) -> None:
    """Records lie where every Java client would put them: murmur2 of the id."""
    from confluent_kafka import Consumer, TopicPartition  # noqa: PLC0415 - this test alone reads partitions

    ids = [f"id-{number}" for number in range(60)]
    with service.client() as client:
        assert client.post(BATCH, json=[check(one) for one in ids]).status_code == 200
    consumer = Consumer({"bootstrap.servers": topics.kafka, "group.id": topics.checks})
    consumer.assign([TopicPartition(topics.checks, number, 0) for number in range(3)])
    found: dict[str, int] = {}
    deadline = time.monotonic() + 30
    while len(found) < len(ids) and time.monotonic() < deadline:
        found |= {str(one.key(), "utf-8"): one.partition() for one in consumer.consume(100, 1.0)}  # type: ignore[arg-type,misc] # keys of ours are there
    consumer.close()
    assert found == {one: (murmur2(one.encode()) & 0x7FFFFFFF) % 3 for one in ids}


def murmur2(data: bytes) -> int:
    """Kafka's hash, as its Java client computes it."""
    magic, mask = 0x5BD1E995, 0xFFFFFFFF
    value = 0x9747B28C ^ len(data)
    for at in range(0, len(data) - 3, 4):
        part = int.from_bytes(data[at : at + 4], "little") * magic & mask
        value = (value * magic & mask) ^ ((part ^ part >> 24) * magic & mask)
    rest = data[len(data) & ~3 :]
    if rest:
        value = (value ^ int.from_bytes(rest, "little")) * magic & mask
    value = (value ^ value >> 13) * magic & mask
    return value ^ value >> 15


def test_new_schema_version_without_restart(service: Any, topics: Any) -> None:
    """An optional field of a new schema version is accepted, checked and stored, and nothing was restarted."""
    with service.client() as client:
        assert client.post(CHECK, json=check("before", cashier="ignored")).status_code == 201
        schema = json.loads(SCHEMAS["check"])
        schema["fields"].append({"name": "cashier", "type": ["null", "string"], "default": None})
        topics.register(topics.checks, json.dumps(schema))
        wait_for(lambda: service.ready().json()["schema_version"] == 2, limit_s=30, what="version 2 is in force")
        assert client.post(CHECK, json=check("after", cashier="Иван")).status_code == 201
        assert client.post(CHECK, json=check("without")).status_code == 201
        wrong = client.post(CHECK, json=check("wrong", cashier=5))
        assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/cashier")
        document = client.get("/openapi.json").json()
        assert "cashier" in document["components"]["schemas"]["Check"]["properties"]
    found = {key: value for key, value, _ in topics.read(topics.checks)}
    assert {key: value.get("cashier", "no field") for key, value in found.items()} == {
        "before": "no field",
        "after": "Иван",
        "without": None,
    }


def test_repeat_across_schema_versions_is_no_conflict(service: Any, topics: Any) -> None:
    """The same check sent again, in other words and under a newer schema, has the same content_hash."""
    with service.client() as client:
        assert client.post(CHECK, json=check("same")).status_code == 201
        schema = json.loads(SCHEMAS["check"])
        schema["fields"].append({"name": "cashier", "type": ["null", "string"], "default": None})
        topics.register(topics.checks, json.dumps(schema))
        wait_for(lambda: service.ready().json()["schema_version"] == 2, limit_s=30, what="version 2 is in force")
        text = json.dumps(check("same"), indent=2).replace("27.47", "27.470")
        assert client.post(CHECK, content=text, headers={"Content-Type": "application/json"}).status_code == 201
    hashes = [value["content_hash"] for _, value, _ in topics.read(topics.checks)]
    assert len(hashes) == 2
    assert len(set(hashes)) == 1


def test_registry_away_at_start_and_later(start: Any, topics: Any) -> None:
    """Without the registry intake starts, says so and keeps asking; once it had the schema it needs it no more."""
    port = int(free_ports.choose()["CHECKS_REGISTRY_PORT"])
    service = start(wait=False, CHECKS_REGISTRY_URL=f"http://127.0.0.1:{port}", CHECKS_INTAKE_SCHEMA_REFRESH_S="0.2")

    def says_why() -> bool:
        try:
            return "registry does not answer" in str(service.ready().json()["reasons"])
        except httpx.HTTPError:
            return False

    wait_for(says_why, limit_s=60, what="ready says that the registry is away")
    with service.client() as client:
        answer = client.post(CHECK, json=check("early"))
        assert (answer.status_code, answer.json()["status"]) == (503, 503)
        assert "Retry-After" in answer.headers
        assert client.post(BATCH, json=[check("early")]).status_code == 503
        with registry_at(port, topics):
            wait_for(service.is_ready, limit_s=30, what="ready once the registry is there")
            assert client.post(CHECK, json=check("with")).status_code == 201
        wait_for(lambda: service.ready().json()["alarms"], limit_s=30, what="an alarm that the registry is away")
        assert service.ready().status_code == 200
        assert client.post(CHECK, json=check("without")).status_code == 201
    assert sorted(key for key, _, _ in topics.read(topics.checks)) == ["with", "without"]


def test_other_number_of_partitions_is_refused(start: Any) -> None:
    """With another number of partitions than the topic was made for, an id could count twice: nothing is taken."""
    service = start(wait=False, CHECKS_PARTITIONS="7")

    def says_why() -> bool:
        try:
            return "3 partitions and was made with 7" in str(service.ready().json()["reasons"])
        except httpx.HTTPError:
            return False

    wait_for(says_why, limit_s=60, what="ready names the partitions")
    with service.client() as client:
        assert client.post(CHECK, json=check("one")).status_code == 503


def test_partitions_added_while_running(service: Any, topics: Any) -> None:
    """Partitions added to a topic in use are noticed, and nothing is taken from then on."""
    from confluent_kafka.admin import AdminClient, NewPartitions  # noqa: PLC0415 - this test alone adds some

    with service.client() as client:
        assert client.post(CHECK, json=check("one")).status_code == 201
        admin = AdminClient({"bootstrap.servers": topics.kafka})
        admin.create_partitions([NewPartitions(topics.checks, 4)])[topics.checks].result(30)
        wait_for(lambda: not service.is_ready(), limit_s=60, what="ready says that partitions were added")
        assert client.post(CHECK, json=check("two")).status_code == 503


def test_journal_that_cannot_be_written(start: Any, tmp_path: Path) -> None:
    """A journal that cannot be written stops nothing: it is an alarm, in readiness and metrics."""
    (tmp_path / "file").write_text("in the way")
    service = start(CHECKS_JOURNAL_DIR=str(tmp_path / "file" / "journal"))
    with service.client() as client:
        assert client.post(CHECK, json=check("one")).status_code == 201
    wait_for(lambda: service.ready().json()["alarms"], limit_s=30, what="an alarm")
    assert service.ready().status_code == 200
    wait_for(lambda: service.metric("intake_journal_failing") == 1, limit_s=30, what="the metric of it")
    assert service.metric("intake_journal_lines_dropped_total") >= 1


def raw(service: Any, *parts: bytes, pause_s: float = 0.0) -> bytes:
    """Bytes to the service's socket, and all that it answers until it closes or is done."""
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        for part in parts:
            connection.sendall(part)
            threading.Event().wait(pause_s)
        connection.settimeout(5)
        found = b""
        try:
            while data := connection.recv(65536):
                found += data
                head, _, body = found.partition(b"\r\n\r\n")
                length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                if length and len(body) >= int(length[0].split(b":")[1]):
                    break
        except TimeoutError:
            pass
        return found


def test_chunked_body(service: Any) -> None:
    """A check in HTTP chunks, cut inside a character, is taken."""
    body = json.dumps(check("chunked"), ensure_ascii=False).encode()
    cut = body.index("Магазин".encode()) + 1
    chunks = [b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:cut], body[cut:])]
    head = (
        b"POST /api/checks/ HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    answer = raw(service, head, chunks[0], chunks[1], b"0\r\n\r\n", pause_s=0.05)
    assert answer.startswith(b"HTTP/1.1 201")


def test_client_that_falls_silent(start: Any) -> None:
    """A client that stops in the middle of its body is given up with 408, and the service goes on."""
    service = start(CHECKS_INTAKE_BODY_TIMEOUT_S="1")
    head = b"POST /api/checks/ HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
    assert raw(service, head, pause_s=4).startswith(b"HTTP/1.1 408")
    with service.client() as client:
        assert client.post(CHECK, json=check("next")).status_code == 201


def test_client_that_leaves(service: Any) -> None:
    """A client that closes in the middle of its body breaks nothing."""
    host, port = service.url.removeprefix("http://").split(":")
    head = b"POST /api/checks/batch/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n[{"
    for _ in range(20):
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            connection.sendall(head)
    with service.client() as client:
        assert client.post(CHECK, json=check("next")).status_code == 201
    assert "Traceback" not in service.log()


def test_large_body_is_refused_before_it_is_sent(service: Any) -> None:
    """An announced size over the limit gets 413 at once, whatever was sent of it."""
    head = (
        b"POST /api/checks/ HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 99999999\r\n\r\n"
    )
    assert raw(service, head).startswith(b"HTTP/1.1 413")


def test_batch_keeps_memory_flat(service: Any, request: Any) -> None:
    """A batch far larger than memory should hold is taken whole, plain and packed, and memory stays where it was."""
    size = 100_000_000 if request.config.getoption("--long") else 25_000_000
    line = json.dumps(check("@"), ensure_ascii=False).encode()
    count = size // len(line)
    [worker] = service.workers()
    largest = 0
    stop = threading.Event()

    def watch() -> None:
        nonlocal largest
        while not stop.wait(0.02):
            largest = max(largest, worker.memory_info().rss)

    def lines(prefix: str) -> Iterator[bytes]:
        for start_at in range(0, count, 200):
            numbers = range(start_at, min(start_at + 200, count))
            yield b"\n".join(line.replace(b"@", f"{prefix}{number}".encode()) for number in numbers) + b"\n"

    with service.client() as client:
        assert client.post(BATCH, json=[check(f"warm{number}") for number in range(5000)]).status_code == 200
        before = worker.memory_info().rss
        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            headers = {"Content-Type": "application/x-ndjson"}
            answer = client.post(BATCH, content=lines("a"), headers=headers, timeout=300)
            assert (answer.status_code, answer.json()["accepted"]) == (200, count)
            packed = gzip.compress(b"".join(lines("b")), 1)
            answer = client.post(BATCH, content=packed, headers={**headers, "Content-Encoding": "gzip"}, timeout=300)
            assert (answer.status_code, answer.json()["accepted"]) == (200, count)
        finally:
            stop.set()
            watcher.join()
    assert largest - before < 48_000_000
    wait_for(
        lambda: service.metric('intake_checks_accepted_total{way="batch"}') == 2 * count + 5000,
        limit_s=30,
        what="all counted",
    )


def test_several_workers(start: Any, topics: Any) -> None:
    """Several processes share the port, the journal and the metrics; one that dies is replaced."""
    service = start(
        CHECKS_INTAKE_WORKERS="3", CHECKS_INTAKE_JOURNAL_FILE_BYTES="20000", CHECKS_INTAKE_JOURNAL_FILES="1000"
    )
    wait_for(lambda: len(service.workers()) == 3, limit_s=30, what="three workers")

    def send(number: int) -> int:
        with service.client() as client:
            return int(client.post(CHECK, json=check(f"w{number}")).status_code)

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(send, range(300))) == {201}
    wait_for(lambda: service.metric("intake_checks_accepted_total") == 300, limit_s=30, what="all processes counted")
    victim = service.workers()[0].pid
    # granian takes several deaths within 5.5 s of a start for a loop
    wait_for(lambda: time.time() - psutil.Process(victim).create_time() > 6, limit_s=30, what="workers are 6 s old")
    os.kill(victim, signal.SIGKILL)
    wait_for(
        lambda: len(service.workers()) == 3 and victim not in {worker.pid for worker in service.workers()},
        limit_s=60,
        what="the dead worker is replaced",
    )
    wait_for(service.is_ready, limit_s=60, what="ready again")
    assert send(300) == 201
    assert service.stop() == 0
    assert sorted(line["check"]["transaction_id"] for line in service.journal()) == sorted(f"w{n}" for n in range(301))
    assert len(topics.read(topics.checks)) == 301


def test_main_process_killed(service: Any) -> None:
    """When the main process is killed its workers stop by themselves, so that the next one finds the port free."""
    workers = service.workers()
    service.process.kill()
    service.process.wait(10)
    wait_for(lambda: not any(worker.is_running() for worker in workers), limit_s=60, what="the workers are gone")


def test_busy_port_is_one_line(service: Any, start: Any) -> None:
    """A port in use is one clear line that names the mend, and exit code 1."""
    port = service.url.rpartition(":")[2]
    second = start(wait=False, CHECKS_INTAKE_PORT=port)
    assert second.process.wait(60) == 1
    lines = [line for line in second.log().splitlines() if "CHECKS_INTAKE_PORT" in line]
    assert len(lines) == 1
    assert port in lines[0]


@pytest.mark.parametrize("path", ["/swagger/", "/swagger", "/openapi.json", "/metrics", "/health/live"])
def test_documentation_and_health(service: Any, path: str) -> None:
    """Documentation, metrics and health answer as they are."""
    assert httpx.get(service.url + path, timeout=30).status_code == 200


def test_silent_client_does_not_hold_up_a_stop(service: Any) -> None:
    """A client in the middle of its body does not keep intake from stopping in good time."""
    host, port = service.url.removeprefix("http://").split(":")
    head = b"POST /api/checks/ HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(head)
        wait_for(lambda: service.metric("intake_requests_under_way") >= 2, limit_s=30, what="the body is being read")
        began_s = time.monotonic()
        assert service.stop(40) == 0
        assert time.monotonic() - began_s < 20
        connection.settimeout(5)
        assert connection.recv(65536).startswith(b"HTTP/1.1 503")
    assert "refused to gracefully stop" not in service.log()


def test_producer_that_cannot_go_on_is_made_anew(stack: Any, topics: Any) -> None:
    """After a fatal error of librdkafka a new producer takes over, and whoever waited for the old one is answered."""

    async def drill() -> None:
        producer = RecordProducer(load({**topics.environment(), "CHECKS_INTAKE_LINGER_MS": "1000"}))
        waiting = producer.send(topics.checks, b"old", b"value", [])
        producer._suspect(fatal=True)
        with pytest.raises(KafkaUnavailableError):
            await asyncio.wait_for(waiting, 20)
        await asyncio.wait_for(producer.send(topics.checks, b"new", b"value", []), 30)
        assert await producer.close(10) == 0

    assert stack.kafka == topics.kafka
    asyncio.run(drill())
