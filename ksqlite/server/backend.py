"""What the REST server asks of the engine and runner behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from ksqlite import ast
from ksqlite.engine.api import EngineApi
from ksqlite.statements import Entity, Inspector, NewRecord
from ksqlite.types import Schema

T = TypeVar("T")


class UnavailableError(Exception):
    """The server cannot answer now; the message says why."""


@dataclass(frozen=True, slots=True)
class TopicRecord:
    """A record as PRINT shows it. ``timestamp`` in ms."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


class TopicReader(Protocol):
    """Reads a topic as it stands and grows, for PRINT."""

    def take(self) -> list[TopicRecord]:
        """The records that came since last asked; waits a moment for the first."""

    @property
    def at_end(self) -> bool:
        """Whether all records that were there at the beginning have been taken."""

    def close(self) -> None:
        """End it."""


class PushQuery(Protocol):
    """A running push query; its methods return at once, and may be called from any thread."""

    schema: Schema
    limited: bool
    """Its LIMIT was reached."""

    def take(self) -> list[tuple[Any, ...]]:
        """The rows that came about since last asked, in order. Raises KsqlError when the query broke."""

    @property
    def finished(self) -> bool:
        """Nothing will follow what ``take`` has not given yet."""

    def close(self) -> None:
        """End it."""


class Backend(Protocol):
    """An engine in its own thread, with what runs around it.

    Everything of ``engine`` is used within ``run`` alone.
    """

    @property
    def engine(self) -> EngineApi:
        """The engine."""

    @property
    def inspector(self) -> Inspector:
        """What SHOW and DESCRIBE ask."""

    def run(self, work: Callable[[], T]) -> Future[T]:
        """Does some work between two batches, in the engine's own thread. Raises UnavailableError."""

    def execute(self, located: ast.Located, properties: Mapping[str, Any]) -> Entity | None:
        """Runs a statement (within ``run``); one that changes something is kept, so that a restart repeats it.

        Gives the entity that ksqlDB answers, its ``commandSequenceNumber`` filled in. Raises KsqlError.
        """

    def write(self, record: NewRecord) -> None:
        """Writes a record (INSERT INTO … VALUES), and returns when Kafka has it."""

    def subscribe(
        self, query: ast.Query, text: str, properties: Mapping[str, Any], *, bounded: bool = False
    ) -> PushQuery:
        """Starts a push query; outside of ``run``. ``auto.offset.reset`` says where it begins to read.

        A ``bounded`` one (a pull query on a stream) reads all that there is now, and has finished then.
        """

    def read_topic(self, topic: str, *, from_beginning: bool) -> TopicReader:
        """Reads a topic; outside of ``run``. Raises KsqlError when there is none of that name."""

    def complaint(self) -> str | None:
        """Why it is not well, or None."""

    def health(self) -> Mapping[str, bool]:
        """Whether each part is well: metastore, kafka, commandRunner."""

    def cluster_id(self) -> str:
        """Kafka's cluster id."""

    def metrics(self) -> str:
        """Prometheus' text format."""

    def command_statuses(self) -> Mapping[str, str]:
        """The status of each command, by its id (``stream/`S`/create``)."""
