"""An engine in memory with JSON topics: what the tests of planner and engine share."""

import json
from decimal import Decimal
from typing import Any

from ksqlite import ast, parser
from ksqlite.engine import Engine
from ksqlite.engine.api import Input
from ksqlite.engine.murmur import murmur2
from ksqlite.formats.windowed import split_session_key, split_time_key
from ksqlite.testing.memory import memory_environment


class Play:
    """Topics with STRING keys and JSON values; what queries write is read back as (key, window, value, time)."""

    def __init__(
        self, *statements: str, partitions: int = 1, lanes: int | None = 1, stores: Any = None, settings: Any = None
    ) -> None:
        self.env: Any = memory_environment(settings, default_partitions=partitions)
        self.env.lanes = lanes
        if stores is not None:
            self.env.stores = stores
        self.engine = Engine(self.env)
        self.offsets: dict[tuple[str, int], int] = {}
        for statement in statements:
            self.run(statement)

    def run(self, text: Any) -> Any:
        for located in parser.parse(text):
            if isinstance(located.statement, ast.CreateSource):
                topic = dict(located.statement.properties)["KAFKA_TOPIC"]
                self.env.topics.declare(topic)
            entity = self.engine.execute(located)
        return entity

    def put(self, topic: Any, key: Any, value: Any, ts: int = 0, headers: Any = ()) -> None:
        """One record through everything."""
        partitions = self.env.topics.partitions(topic)
        data = None if key is None else key.encode()
        partition = 0 if data is None or self.env.lanes == 1 else murmur2(data) % partitions
        offset = self.offsets.setdefault((topic, partition), 0)
        self.offsets[topic, partition] += 1
        body = None if value is None else json.dumps(value).encode()
        self.engine.process(topic, partition, [Input(data, body, ts, offset, headers)])

    def put_all(self, topic: Any, rows: Any) -> None:
        """Records of one partition as one batch."""
        self.engine.process(
            topic,
            0,
            [
                Input(None if key is None else key.encode(), json.dumps(value).encode(), ts, number)
                for number, (key, value, ts) in enumerate(rows)
            ],
        )

    def take(self) -> dict[Any, Any]:
        """What was written since last asked, by topic."""
        self.engine.flush()
        return {topic: [self.read(topic, record) for record in records] for topic, records in self.raw().items()}

    def raw(self) -> Any:
        return self.engine.take_outputs()

    def read(self, topic: Any, record: Any) -> tuple[Any, ...]:
        info = next(each for each in self.engine.catalog.sources.values() if each.topic == topic)
        key, value, ts = record[:3]
        window = None
        if info.window_type is ast.WindowType.SESSION and key is not None:
            key, start, end = split_session_key(key)
            window = (start, end)
        elif info.window_type is not None and key is not None:
            key, start = split_time_key(key)
            window = (start, start + (info.window_size_ms or 0))
        row = None if value is None else json.loads(value, parse_float=Decimal)
        return (None if key is None else key.decode(), window, row, ts)


def last(records: Any) -> Any:
    """The last value of each key with window; those that are gone are left out."""
    state: dict[Any, Any] = {}
    for key, window, row, _ in records:
        if row is None:
            state.pop((key, window), None)
        else:
            state[key, window] = row
    return state
