"""intake as a process of its own, on topics and subjects of its own, and what its topics then hold."""

from __future__ import annotations

import contextlib
import http.server
import io
import json
import os
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import fastavro
import httpx
import psutil
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from stack import free_ports
from stack.settings import CHECKOUT
from tests.fix_stack import wait_for

SCHEMAS = {
    name: (CHECKOUT / "schemas" / f"{name}.avsc").read_text(encoding="utf-8") for name in ("check", "rejected_check")
}
CHECK = "/api/checks/"
BATCH = "/api/checks/batch/"

EXAMPLE: dict[str, Any] = {
    "transaction_id": "unique_transaction_id",
    "timestamp": "2024-02-07T12:34:56",
    "items": [
        {"product_id": "product_id_1", "quantity": 2, "price": 10.99, "category": "groceries"},
        {"product_id": "product_id_2", "quantity": 1, "price": 5.49, "category": "electronics"},
    ],
    "total_amount": 27.47,
    "nds_amount": 2.47,
    "tips_amount": 3.0,
    "payment_method": "credit_card",
    "place_id": "011",
    "place_name": "Магазин №1",
}


def check(transaction_id: str, **fields: Any) -> dict[str, Any]:
    """A good check."""
    return {**EXAMPLE, "transaction_id": transaction_id, **fields}


@dataclass
class Topics:
    """Topics and subjects that no other test uses."""

    kafka: str
    registry_url: str
    checks: str = field(default_factory=lambda: f"checks_{uuid.uuid4().hex[:12]}")
    rejected: str = field(default_factory=lambda: f"rejected_{uuid.uuid4().hex[:12]}")

    def create(self, partitions: int = 3, *, register: bool = True) -> None:
        admin = AdminClient({"bootstrap.servers": self.kafka})
        config = {"retention.ms": "-1", "message.timestamp.type": "LogAppendTime", "max.message.bytes": "8388608"}
        for made in admin.create_topics(
            [NewTopic(name, partitions, 1, config=config) for name in (self.checks, self.rejected)]
        ).values():
            made.result(30)
        if register:
            self.register(self.checks, SCHEMAS["check"])
            self.register(self.rejected, SCHEMAS["rejected_check"])

    def register(self, topic: str, schema: str) -> None:
        answer = httpx.post(f"{self.registry_url}/subjects/{topic}-value/versions", json={"schema": schema}, timeout=30)
        assert answer.status_code == 200, answer.text

    def read(self, topic: str) -> list[tuple[str, dict[str, Any], dict[str, bytes]]]:
        """Every record of a topic: key, value decoded by the schema that it names, headers."""
        schemas: dict[int, Any] = {}
        consumer = Consumer(
            {"bootstrap.servers": self.kafka, "group.id": uuid.uuid4().hex, "enable.auto.commit": False}
        )
        found: list[tuple[str, dict[str, Any], dict[str, bytes]]] = []
        try:
            partitions = consumer.list_topics(topic, 30).topics[topic].partitions
            ends = {
                number: consumer.get_watermark_offsets(TopicPartition(topic, number), 30)[1] for number in partitions
            }
            consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
            wanted, deadline = sum(ends.values()), time.monotonic() + 120
            while len(found) < wanted and time.monotonic() < deadline:
                for message in consumer.consume(10_000, 1.0):
                    assert message.error() is None, message.error()
                    key, value = message.key(), message.value()
                    assert key is not None
                    assert value is not None
                    schema_id = int.from_bytes(value[1:5], "big")
                    if schema_id not in schemas:
                        schemas[schema_id] = fastavro.parse_schema(json.loads(self.schema(schema_id)))
                    decoded: Any = fastavro.schemaless_reader(io.BytesIO(value[5:]), schemas[schema_id])
                    headers: Any = message.headers() or []
                    found.append((key.decode(), decoded, dict(headers)))
            assert len(found) == wanted
        finally:
            consumer.close()
        return found

    def schema(self, schema_id: int) -> str:
        answer = httpx.get(f"{self.registry_url}/schemas/ids/{schema_id}", timeout=30)
        return str(answer.json()["schema"])

    def environment(self) -> dict[str, str]:
        return {
            "CHECKS_KAFKA": self.kafka,
            "CHECKS_REGISTRY_URL": self.registry_url,
            "CHECKS_CHECKS_TOPIC": self.checks,
            "CHECKS_REJECTED_TOPIC": self.rejected,
        }


@contextlib.contextmanager
def registry_at(port: int, topics: Topics) -> Iterator[None]:
    """A registry that serves two schemas, so that it can be away and come back without the stack's doing so."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = "check" if topics.checks in self.path or self.path.endswith("/ids/1") else "rejected_check"
            schema_id = {"check": 1, "rejected_check": 2}[name]
            body = json.dumps({"version": 1, "id": schema_id, "schema": SCHEMAS[name]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Service:
    """A running intake."""

    url: str
    process: psutil.Popen
    state: Path

    def workers(self) -> list[psutil.Process]:
        found: list[psutil.Process] = []
        for child in self.process.children():
            with contextlib.suppress(psutil.Error):
                if "resource_tracker" not in " ".join(child.cmdline()):
                    found.append(child)
        return found

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60)

    def ready(self) -> httpx.Response:
        return httpx.get(f"{self.url}/health/ready", timeout=10)

    def is_ready(self) -> bool:
        try:
            return self.ready().status_code == 200
        except httpx.HTTPError:
            return False

    def metric(self, line: str) -> float:
        text = httpx.get(f"{self.url}/metrics", timeout=10).text
        return sum(float(one.rpartition(" ")[2]) for one in text.splitlines() if one.startswith(line))

    def journal(self) -> list[dict[str, Any]]:
        folder = self.state / "intake" / ".journal"
        files = [path for path in folder.glob("journal*") if path.name != "journal.lock"]
        return [json.loads(line) for path in files for line in path.read_text(encoding="utf-8").splitlines()]

    def stop(self, limit_s: float = 60) -> int:
        self.process.terminate()
        return int(self.process.wait(limit_s))

    def log(self) -> str:
        return (self.state / "intake.log").read_text(encoding="utf-8")


@contextlib.contextmanager
def running(state: Path, environment: dict[str, str], *, wait: bool = True) -> Iterator[Service]:
    """Intake on a free port, until the end of the block."""
    port = free_ports.choose()["CHECKS_INTAKE_PORT"]
    state.mkdir(parents=True, exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CHECKS_")}
    with (state / "intake.log").open("wb") as log:
        process = psutil.Popen(
            [sys.executable, "-m", "intake"],
            env={**kept, "CHECKS_STATE": str(state), "CHECKS_INTAKE_PORT": port, **environment},
            cwd=CHECKOUT,
            stdout=log,
            stderr=log,
        )
    service = Service(f"http://127.0.0.1:{port}", process, state)
    try:
        if wait:
            wait_for(lambda: service.is_ready() or process.poll() is not None, limit_s=90, what="intake is ready")
            assert process.poll() is None, service.log()
        yield service
    finally:
        for one in [process, *_children(process)]:
            with contextlib.suppress(psutil.Error):
                one.kill()
        process.wait(30)


def _children(process: psutil.Popen) -> list[psutil.Process]:
    try:
        return list(process.children(recursive=True))
    except psutil.Error:
        return []


@dataclass
class Load:
    """Checks sent from several threads until told to stop: which got 201, which 503, which no answer."""

    url: str
    prefix: str
    threads: int = 4
    size: int = 0
    """0: single checks; else batches of so many."""
    accepted: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    others: list[str] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _running: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        for number in range(self.threads):
            thread = threading.Thread(target=self._send, args=(number,), daemon=True)
            thread.start()
            self._running.append(thread)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._running:
            thread.join(90)
            assert not thread.is_alive()

    def _send(self, number: int) -> None:
        turn = 0
        with httpx.Client(base_url=self.url, timeout=60) as client:
            while not self._stopping.is_set():
                turn += 1
                ids = [f"{self.prefix}-{number}-{turn}-{one}" for one in range(self.size or 1)]
                try:
                    if self.size:
                        answer = client.post(BATCH, json=[check(one) for one in ids])
                    else:
                        answer = client.post(CHECK, json=check(ids[0]))
                except httpx.HTTPError:
                    self.unknown.update(ids)
                    if self._stopping.wait(0.05):
                        return
                    continue
                if answer.status_code in {200, 201}:
                    self.accepted.update(ids)
                elif answer.status_code == 503:
                    self.refused.update(ids)
                    self._stopping.wait(0.05)
                else:
                    self.others.append(f"{answer.status_code} {answer.text[:300]}")
