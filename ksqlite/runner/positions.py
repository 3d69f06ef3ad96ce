"""Up to where every query has read, as one document that each transaction writes anew.

A query is *attached* when it takes part in the graph: it reads a topic at the server's one position in it, or gets the
records of another query of the graph in memory. A query that is new, or was paused, has positions of its own until it
has caught up with the others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ksqlite.runner.reading import Place, read_to_end
from ksqlite.runner.settings import RunnerSettings
from ksqlite.runner.topics import KafkaTopics
from ksqlite.state import FORMAT

_LOOK_BACK = 200


def _nested(places: Mapping[Place, int]) -> dict[str, dict[str, int]]:
    made: dict[str, dict[str, int]] = {}
    for (topic, partition), offset in places.items():
        made.setdefault(topic, {})[str(partition)] = offset
    return made


def _flat(nested: Mapping[str, Mapping[str, int]]) -> dict[Place, int]:
    return {(topic, int(p)): offset for topic, parts in nested.items() for p, offset in parts.items()}


class StateFormatError(Exception):
    """What a server of this service id left in Kafka is of another form; the message says what to do."""


@dataclass(slots=True)
class Positions:
    """Next offsets to read: of the graph's source topics, and of each query that is not attached.

    ``queries`` has every query; None is one that is attached. The document carries the form of the changelogs, which
    are written in the same transactions.
    """

    sources: dict[Place, int] = field(default_factory=dict)
    queries: dict[str, dict[Place, int] | None] = field(default_factory=dict)

    def attached(self) -> frozenset[str]:
        """Ids of the attached queries."""
        return frozenset(query for query, places in self.queries.items() if places is None)

    def encode(self) -> bytes:
        """The document's bytes."""
        document = {
            "format": FORMAT,
            "sources": _nested(self.sources),
            "queries": {q: None if places is None else _nested(places) for q, places in self.queries.items()},
        }
        return json.dumps(document, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, data: bytes) -> Positions:
        """The document of some bytes. Raises StateFormatError."""
        document: dict[str, Any] = json.loads(data)
        found = document.get("format")
        if found != FORMAT:
            raise StateFormatError(
                f"the state in Kafka was written by another version of ksqlite, in form {found or '1'}, and this one "
                f"reads and writes form {FORMAT}: go on with that version, or choose another service id and make the "
                "queries anew, with new topics for what they write"
            )
        return cls(
            _flat(document["sources"]),
            {q: None if nested is None else _flat(nested) for q, nested in document["queries"].items()},
        )


class PositionLog:
    """The topic that holds the document: one partition, compacted; the last record counts."""

    KEY = b"positions"

    def __init__(self, settings: RunnerSettings, topics: KafkaTopics) -> None:
        self._settings = settings
        self._topics = topics
        self.topic = f"{settings.prefix}ksqlite_positions"

    def prepare(self) -> tuple[str, int, int, dict[str, str]]:
        """What the topic must be, for KafkaTopics.create_all."""
        settings = {"cleanup.policy": "compact", "segment.bytes": str(16 << 20)}
        return self.topic, 1, self._settings.replicas, settings

    def read(self) -> Positions:
        """The last committed document; an empty one where there is none. Raises StateFormatError."""
        place = (self.topic, 0)
        (end,) = self._topics.end_offsets([place]).values()
        if not end:
            return Positions()
        (first,) = self._topics.end_offsets([place], earliest=True).values()
        back = _LOOK_BACK
        while True:
            start = max(first, end - back)
            last = None
            for messages in read_to_end(self._settings, {place: start}, {place: end}):
                last = messages[-1].value()
            if last is not None:
                return Positions.decode(last)
            if start <= first:
                return Positions()
            back *= 10
