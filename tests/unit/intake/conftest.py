"""The application without a server and without Kafka: requests go in as ASGI, records come out in a list."""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from intake.app import create_app
from intake.contract.contract import Contract
from intake.kafka.producer import KafkaUnavailableError, QueueFullError
from intake.rejections import RejectionEncoder
from intake.service import Intake
from intake.settings import load
from stack.settings import CHECKOUT

SCHEMA = (CHECKOUT / "schemas" / "check.avsc").read_text(encoding="utf-8")
REJECTED_SCHEMA = (CHECKOUT / "schemas" / "rejected_check.avsc").read_text(encoding="utf-8")


@dataclass
class FakeProducer:
    """Takes records into a list, until it is told to fail."""

    records: list[tuple[str, bytes, bytes, Any]] = field(default_factory=list)
    fail_after: int | None = None
    full: bool = False
    queued: int = 0
    is_down: bool = False

    def _take(self, topic: str, key: bytes, value: bytes, headers: Any) -> None:
        if self.full:
            raise QueueFullError("too many records wait for Kafka")
        if self.fail_after is not None and len(self.records) >= self.fail_after:
            raise KafkaUnavailableError("Kafka does not answer")
        self.records.append((topic, key, value, headers))

    def send(self, topic: str, key: bytes, value: bytes, headers: Any) -> "asyncio.Future[None]":
        self._take(topic, key, value, headers)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.set_result(None)
        return future

    def add(self, tally: Any, topic: str, key: bytes, value: bytes, headers: Any) -> None:
        self._take(topic, key, value, headers)
        tally.sent += 1
        tally.done += 1

    def settled(self, _one: object) -> None:
        pass

    def of(self, topic: str) -> list[tuple[str, bytes, bytes, Any]]:
        return [record for record in self.records if record[0] == topic]


@dataclass
class Reply:
    """An answer as it left the application."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Harness:
    """One application and what it works with."""

    def __init__(self, tmp_path: Path, **environment: str) -> None:
        self.settings = load({"CHECKS_STATE": str(tmp_path), **environment})
        self.intake = Intake(self.settings)
        self.producer = FakeProducer()
        self.intake.producer = self.producer  # type: ignore[assignment] # a producer in memory
        self.intake.topic_problem = None
        self.intake.schemas.checks = Contract(SCHEMA, 7, 1, self.intake.watcher._rules, self.settings.timezone)
        self.intake.schemas.rejections = RejectionEncoder(REJECTED_SCHEMA, 8)
        self.app = create_app(self.intake)

    async def ask(
        self,
        method: str,
        path: str,
        body: bytes | list[bytes] = b"",
        headers: dict[str, str] | None = None,
        client: str = "127.0.0.1",
    ) -> Reply:
        chunks = body if isinstance(body, list) else [body]
        messages = [
            {"type": "http.request", "body": chunk, "more_body": number < len(chunks)}
            for number, chunk in enumerate(chunks, 1)
        ]
        sent: list[dict[str, Any]] = []

        async def receive() -> Any:
            return messages.pop(0) if messages else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        given = {"host": "127.0.0.1:8000", **(headers or {})}
        if body and "content-type" not in given:
            given["content-type"] = "application/json"
        scope: Any = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in given.items()],
            "client": (client, 50000),
            "server": ("127.0.0.1", 8000),
            "state": {},
        }
        await self.app(scope, receive, send)
        start = sent[0]
        return Reply(
            start["status"],
            {name.decode().lower(): value.decode() for name, value in start["headers"]},
            b"".join(message["body"] for message in sent[1:]),
        )

    def post(self, body: bytes | list[bytes], path: str = "/api/checks/", **more: Any) -> Reply:
        return asyncio.run(self.ask("POST", path, body, **more))

    def get(self, path: str, **more: Any) -> Reply:
        return asyncio.run(self.ask("GET", path, **more))

    def journal(self) -> list[dict[str, Any]]:
        """The journal's lines; call it last, it ends the journal."""
        self.intake.journal.close()
        path = self.settings.journal_dir / "journal"
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


@pytest.fixture
def make_harness(tmp_path: Path) -> Iterator[Callable[..., Harness]]:
    """Makes an application under other settings than the default ones."""
    made: list[Harness] = []

    def make(**environment: str) -> Harness:
        made.append(Harness(tmp_path, **environment))
        return made[-1]

    yield make
    for harness in made:
        harness.intake.journal.close()


@pytest.fixture
def harness(make_harness: Callable[..., Harness]) -> Harness:
    """An application under default settings."""
    return make_harness()


@pytest.fixture
def check_text() -> str:
    """The check of the design, which is accepted, old as it is."""
    return (
        '{"transaction_id": "unique_transaction_id", "timestamp": "2024-02-07T12:34:56", "items": ['
        '{"product_id": "product_id_1", "quantity": 2, "price": 10.99, "category": "groceries"}, '
        '{"product_id": "product_id_2", "quantity": 1, "price": 5.49, "category": "electronics"}], '
        '"total_amount": 27.47, "nds_amount": 2.47, "tips_amount": 3.0, "payment_method": "credit_card", '
        '"place_id": "011", "place_name": "Магазин №1"}'
    )
