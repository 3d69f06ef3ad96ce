"""All running queries as one graph: what they read is handed to them, what they write goes on in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from ksqlite.catalog import SourceInfo
from ksqlite.engine.api import Environment, Input, Output
from ksqlite.engine.feed import Adapter, Feed
from ksqlite.engine.operators.base import Event
from ksqlite.engine.runtime import Port, Query
from ksqlite.engine.sinks import RowSink, TableSink, TopicSink
from ksqlite.formats import SerializationError
from ksqlite.types import Schema
from ksqlite.values.decimals import describe_error

Sink = TopicSink | TableSink | RowSink


_Reading = tuple[str, Schema]
"""A source as some queries read it: its name and the columns that it had when they were made."""


def _headers_of(record: Input) -> Any:  # noqa: ANN401 - as the client gives them
    return record[4] if len(record) > 4 else ()


class QueryFailedError(Exception):
    """A query cannot go on with a row that it must not leave out (a sum that overflows, a row that cannot be written).

    What it did with the batch so far must not be committed.
    """

    def __init__(self, query_id: str, problem: BaseException) -> None:
        what = "Unable to serialize record: " if isinstance(problem, SerializationError) else ""
        super().__init__(f"Query {query_id} failed: {what}{describe_error(problem)}")
        self.query_id = query_id
        self.problem = problem


class Node:
    """A query in the graph."""

    def __init__(self, query: Query, sink: Sink, sources: Sequence[SourceInfo]) -> None:
        self.query = query
        self.sink = sink
        self.sources = {info.name: info for info in sources}
        self.paused = False
        self.detached = False
        """Reads on its own (history, after a pause): gets only what is fed to it by name."""
        sink.query = query


@dataclass(frozen=True, slots=True)
class _Passing:
    """How rows of a sink go on to the readers of one source."""

    adapter: Adapter
    ports: list[tuple[Node, Port]]
    changes: bool

    def to(self, ports: list[tuple[Node, Port]]) -> _Passing:
        """The same to some of the readers."""
        return _Passing(self.adapter, ports, self.changes)


class Graph:
    """The running queries and how they feed each other."""

    def __init__(self, env: Environment) -> None:
        self.env = env
        self.nodes: dict[str, Node] = {}
        self.outputs: dict[str, list[Output]] = {}
        self.headers: Any = None
        self.only: frozenset[str] | None = None
        self._feeds: dict[_Reading, Feed] = {}
        self._readers: dict[str, list[tuple[Feed, list[tuple[Node, Port]]]]] = {}
        self._adapters: dict[tuple[str, int], Adapter] = {}
        self._own: frozenset[str] = frozenset()
        self._written: dict[tuple[str, int], int] = {}

    # ---------------------------------------------------------------------------------------------------------- changes

    def add(self, node: Node) -> None:
        """Puts a query into the graph."""
        self.nodes[node.query.plan.query_id] = node
        self._rewire()

    def remove(self, query_id: str) -> Node | None:
        """Takes a query out of the graph."""
        node = self.nodes.pop(query_id, None)
        self._rewire()
        return node

    def _rewire(self) -> None:
        readers: dict[str, dict[_Reading, tuple[Feed, list[tuple[Node, Port]]]]] = {}
        feeds: dict[_Reading, Feed] = {}
        for node in self.nodes.values():
            for port in node.query.ports:
                info = node.sources[port.source]
                # a source may have got columns since an older query was made, which goes on as it was
                reading = (info.name, info.schema)
                feed = feeds.get(reading)
                if feed is None:
                    old = self._feeds.get(reading)
                    feed = old if old is not None and old.info == info else self._feed(info)
                    feeds[reading] = feed
                entry = readers.setdefault(info.topic, {}).setdefault(reading, (feed, []))
                entry[1].append((node, port))
        # A topic that a CREATE … AS made is its query's own: its records go on in memory. Into the topic of a declared
        # stream others may write as well as INSERT INTO does: it is read back, as others' records are.
        self._own = frozenset(
            node.sink.topic
            for node in self.nodes.values()
            if isinstance(node.sink, TopicSink) and (self.env.offsets_known or node.query.plan.kind != "INSERT")
        )
        self._feeds = feeds
        self._readers = {topic: list(entries.values()) for topic, entries in readers.items()}
        self._adapters = {}

    def _feed(self, info: SourceInfo) -> Feed:
        def on_error(partition: int, record: Input, is_key: bool, message: str) -> None:  # noqa: FBT001 - a callback
            for node, _ in self._ports(info):
                node.query.tally.errors += 1
                self.env.log.deserialization_error(
                    node.query.plan.query_id,
                    info.topic,
                    partition,
                    record[3],
                    is_key=is_key,
                    message=message,
                    record=record,
                )

        return Feed(info, self.env, on_error)

    def _ports(self, info: SourceInfo) -> list[tuple[Node, Port]]:
        for feed, ports in self._readers.get(info.topic, ()):
            if feed.info is info:
                return ports
        return []

    # ------------------------------------------------------------------------------------------------------------ asked

    def source_topics(self) -> frozenset[str]:
        """Topics that are read here, and not written here alone."""
        return frozenset(self._readers) - self._own

    def readers(self, topic: str) -> list[str]:
        """The ids of the queries that read a topic."""
        ids = [node.query.plan.query_id for _, ports in self._readers.get(topic, ()) for node, _ in ports]
        return list(dict.fromkeys(ids))

    # -------------------------------------------------------------------------------------------------------------- run

    def process(
        self, topic: str, partition: int, records: Sequence[Input], queries: frozenset[str] | None = None
    ) -> None:
        """Records of one topic partition through the queries that read it, and on from there."""
        if topic not in self._readers:
            return
        for record in records:
            if len(record) > 4 and record[4]:
                break
        else:
            self._run(topic, partition, records, queries)
            return
        # headers of a record go on to what comes of it: records with the same ones, as of one request, go together
        for headers, run in groupby(records, _headers_of):
            self.headers = headers or None
            try:
                self._run(topic, partition, list(run), queries)
            finally:
                self.headers = None

    def _run(self, topic: str, partition: int, records: Sequence[Input], queries: frozenset[str] | None) -> None:
        for feed, ports in self._readers[topic]:
            wanted = [
                each
                for each in ports
                if not each[0].paused
                and (not each[0].detached if queries is None else each[0].query.plan.query_id in queries)
            ]
            plain = [each for each in wanted if not each[1].pseudo]
            if len(plain) == len(wanted):
                if wanted:
                    events = feed.events(partition, records)
                    for node, port in wanted:
                        self._push(node, port, partition, events)
                continue
            read = feed.read(partition, records)
            events = [event for event, _ in read]
            extended = [feed.extend(event, _headers_of(record), partition, record[3]) for event, record in read]
            for node, port in wanted:
                self._push(node, port, partition, extended if port.pseudo else events)

    def _push(self, node: Node, port: Port, partition: int, events: list[Event]) -> None:
        if not events:
            return
        try:
            node.query.push(port, partition, events)
        except QueryFailedError:
            raise
        except Exception as problem:
            raise QueryFailedError(node.query.plan.query_id, problem) from problem

    def written(self, sink: TopicSink, lane: int, events: list[Event], records: list[Output]) -> None:
        """A query's records: kept for whoever runs the graph, and passed on to those who read the topic."""
        topic = sink.topic
        kept = self.outputs.get(topic)
        if kept is None:
            self.outputs[topic] = records
        else:
            kept.extend(records)
        entries = self._readers.get(topic)
        if entries is None or topic not in self._own:
            return
        for feed, ports in entries:
            adapter = self._adapters.get((sink.plan.query_id, id(feed)))
            if adapter is None:
                adapter = Adapter(sink.info, feed, stamped=sink.stamp is not None)
                self._adapters[sink.plan.query_id, id(feed)] = adapter
            active = [each for each in ports if not each[0].paused and not each[0].detached]
            if not active:
                continue
            passing = _Passing(adapter, active, sink.step.changes)
            if self.env.lanes == 1 or feed.info.partitions == 1:
                self._pass(passing, 0, events, records)
                continue
            keyed = [each for each in active if each[1].keyed or each[1].pseudo]
            loose = [each for each in active if each not in keyed]
            if loose:
                self._pass(passing.to(loose), 0, events, records)
            if keyed:
                for partition, (part, bytes_) in _by_partition(sink, lane, events, records).items():
                    self._pass(passing.to(keyed), partition, part, bytes_)

    def _pass(self, passing: _Passing, partition: int, events: list[Event], records: list[Output]) -> None:
        adapter, ports = passing.adapter, passing.ports
        pseudo = any(port.pseudo for _, port in ports)
        if adapter.direct and not pseudo:
            passed = adapter.events(events, partition, changes=passing.changes)
            for node, port in ports:
                self._push(node, port, partition, passed)
            return
        place = (adapter.feed.info.topic, partition)
        first = self._written.get(place, 0)
        self._written[place] = first + len(records)
        inputs = [
            Input(record[0], record[1], record[2], first + number, record[3] or ())
            for number, record in enumerate(records)
        ]
        read = adapter.feed.read(partition, inputs)
        plain = [event for event, _ in read]
        for node, port in ports:
            if port.pseudo:
                extended = [
                    adapter.feed.extend(event, record.headers, partition, record.offset) for event, record in read
                ]
                self._push(node, port, partition, extended)
            else:
                self._push(node, port, partition, plain)

    def flush(self) -> None:
        """Brings out what queries hold back, in the order in which they were made, until nothing comes any more."""
        for node in list(self.nodes.values()):
            try:
                node.query.flush()
            except QueryFailedError:
                raise
            except Exception as problem:
                raise QueryFailedError(node.query.plan.query_id, problem) from problem
            node.query.expire()
            if self.env.counters is not None:
                tally = node.query.tally
                self.env.counters.add(
                    node.query.plan.query_id,
                    records_in=tally.records_in,
                    records_out=tally.records_out,
                    late=tally.late,
                    errors=tally.errors,
                )
                tally.records_in = tally.records_out = tally.late = tally.errors = 0

    def take_outputs(self) -> dict[str, list[Output]]:
        """Topic to records since last asked."""
        outputs, self.outputs = self.outputs, {}
        return outputs


def _by_partition(
    sink: TopicSink, lane: int, events: list[Event], records: list[Output]
) -> dict[int, tuple[list[Event], list[Output]]]:
    parts: dict[int, tuple[list[Event], list[Output]]] = {}
    for event, record in zip(events, records, strict=True):
        part = parts.setdefault(sink.partition_of(record, event, lane), ([], []))
        part[0].append(event)
        part[1].append(record)
    return parts


__all__ = ["Graph", "Node", "QueryFailedError"]
