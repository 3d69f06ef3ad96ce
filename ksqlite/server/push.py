"""Push queries, and pull queries on streams: each runs in a thread and an engine of its own, off the topics.

The queries that write to Kafka are not held up by them, and cannot be brought down by them.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from ksqlite import ast
from ksqlite.catalog import Catalog
from ksqlite.engine.api import Environment, Input, Row
from ksqlite.engine.engine import Engine, PushQuery
from ksqlite.engine.memory import MemoryStores
from ksqlite.errors import KsqlError
from ksqlite.types import Schema

_POLL_S = 0.05
_BATCH = 2000
_MANY_ROWS = 50_000
"""Rows that wait for a slow client before the query stops reading."""


class Records(Protocol):
    """Records of some topics, in runs of one partition, as runner.feed.Feed gives them."""

    @property
    def at_end(self) -> bool:
        """Whether all was read that there is."""

    def poll(self, limit: int, timeout_s: float) -> Sequence[tuple[tuple[str, int], Sequence[Any]]]:
        """Some more: topic and partition, and records as the engine takes them."""

    def close(self) -> None:
        """Reads no more."""


class PushWorker:
    """A push query that runs until it is closed, until its LIMIT, or (``bounded``) until all that there was is read.

    ``open_records`` is given the query's topics and opens them where they are to be read from.
    """

    def __init__(
        self,
        query: ast.Query,
        text: str,
        properties: Mapping[str, Any],
        *,
        env: Environment,
        catalog: Catalog,
        open_records: Callable[[Sequence[str]], Records],
        bounded: bool,
    ) -> None:
        engine = Engine(replace(env, stores=MemoryStores(), counters=None), catalog)
        self._engine = engine
        self._query: PushQuery = engine.subscribe(query, text, properties)
        self.schema: Schema = self._query.schema
        self._records = open_records(self._query.topics)
        self._bounded = bounded
        self._rows: deque[Row] = deque()
        self._closing = threading.Event()
        self._ended = False
        self.problem: KsqlError | None = None
        self.limited = False
        self._thread = threading.Thread(target=self._run, name="ksqlite-push", daemon=True)
        self._thread.start()

    def take(self) -> list[Row]:
        """The rows that came about since last asked. Raises KsqlError when the query broke."""
        rows = [self._rows.popleft() for _ in range(len(self._rows))]
        if not rows and self.problem is not None:
            raise self.problem
        return rows

    @property
    def finished(self) -> bool:
        """Nothing will follow what `take` has not given yet."""
        return self._ended and self.problem is None

    def close(self) -> None:
        """Ends it."""
        self._closing.set()

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                if len(self._rows) > _MANY_ROWS:
                    self._closing.wait(_POLL_S)
                    continue
                self._step()
                if self._query.finished:
                    self.limited = True
                    break
                if self._bounded and self._records.at_end:
                    self._step()
                    break
        except KsqlError as problem:
            self.problem = problem
        except Exception as problem:  # noqa: BLE001 - told to the client whose query it is
            self.problem = KsqlError(f"The query failed: {problem}")
        finally:
            self._ended = True
            self._records.close()

    def _step(self) -> None:
        for (topic, partition), records in self._records.poll(_BATCH, _POLL_S):
            self._engine.process(topic, partition, [Input(*record) for record in records])
        self._engine.flush()
        self._rows.extend(self._query.take())
