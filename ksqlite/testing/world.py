"""A case's own little world: topics, a registry and an engine in memory, filled as the case says."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ksqlite import ast, parser
from ksqlite.catalog import SourceInfo
from ksqlite.engine import Engine, PushQuery
from ksqlite.engine.api import Input, Output
from ksqlite.engine.murmur import murmur2
from ksqlite.errors import KsqlError, UnsupportedError
from ksqlite.formats import NodeCodec, format_info, serde, subject_of
from ksqlite.formats.api import FormatSpec
from ksqlite.formats.windowed import session_key, split_session_key, split_time_key, time_key
from ksqlite.statements.create import create
from ksqlite.statements.insert import insert_values
from ksqlite.testing.memory import MemoryTopics, memory_environment


@dataclass(slots=True)
class Codecs:
    """How a topic's keys and values are written."""

    key: NodeCodec
    value: NodeCodec
    window: ast.WindowType | None
    window_size_ms: int | None


@dataclass(slots=True)
class Waiting:
    """A query whose rows are looked at when all inputs are through."""

    query: ast.Query
    text: str
    subscription: PushQuery | None = None


@dataclass(slots=True)
class Answer:
    """What a statement answered: an entity, or a query to ask. Both are None for INSERT … VALUES."""

    entity: dict[str, Any] | None = None
    waiting: Waiting | None = None


class World:
    """Where a case is played. A REST case has partitions, others have one lane, as with ksqlDB's own two runners."""

    def __init__(self, body: Mapping[str, Any], before: Sequence[str] = ()) -> None:
        self.body = body
        self.statements = [*before, *body["statements"]]
        self.is_rest = "responses" in body or "expectedError" in body
        settings = {
            name: value for name, value in (body.get("properties") or {}).items() if not isinstance(value, dict)
        }
        settings.setdefault("auto.offset.reset", "earliest")
        env = memory_environment(settings)
        if self.is_rest:
            env.lanes = None
        assert isinstance(env.topics, MemoryTopics)  # noqa: S101 - for the type checker
        self.topics = env.topics
        self.engine = Engine(env)
        self.given: dict[str, Mapping[str, Any]] = {}
        self.answers: list[Answer] = []
        self._codecs: dict[str, Codecs] = {}

    # ----------------------------------------------------------------------------------------------------------- topics

    def declare_topics(self) -> None:
        """Topics and schemas that are there before the first statement."""
        text = "\n".join(self.statements)
        for record in self.body.get("inputs") or ():
            if not _is_made_by(record["topic"], text):
                self.topics.declare(record["topic"], self._partitions_of(record["topic"]))
        for name in re.findall(r"kafka_topic\s*=\s*'([^']+)'", text, re.IGNORECASE):
            if not self._partitions_of(name):
                self.topics.declare(name)
        topics = [{"name": each} if isinstance(each, str) else each for each in self.body.get("topics") or ()]
        self._register_declared({topic["name"] for topic in topics if "valueSchema" in topic or "keySchema" in topic})
        for topic in topics:
            name = topic["name"]
            self.given[name] = topic
            self.topics.topics.pop(name, None)
            self.topics.declare(name, topic.get("partitions") or self._partitions_of(name))  # type: ignore[arg-type] # any JSON
            for side in ("key", "value"):
                schema = topic.get(f"{side}Schema")
                if schema is not None:
                    self._register(name, side, topic, schema)

    def _statements_over(self, topic: str) -> Iterator[str]:
        for statement in "\n".join(self.statements).split(";"):
            if re.search(rf"kafka_topic\s*=\s*'{re.escape(topic)}'", statement, re.IGNORECASE):
                yield statement

    def _partitions_of(self, topic: str) -> int | None:
        """PARTITIONS of the CREATE statement over the topic."""
        for statement in self._statements_over(topic):
            found = re.search(r"\bpartitions\s*=\s*'?(\d+)", statement, re.IGNORECASE)
            if found and " as select" not in statement.lower():
                return int(found[1])
        return None

    def _register_declared(self, given: set[str]) -> None:
        """Registers the schemas of declared columns before those that the case brings: its ids count on that."""
        if not given:
            return
        for located in self._parsed(tolerant=True):
            statement = located.statement
            if not isinstance(statement, ast.CreateSource) or not statement.columns:
                continue
            topic = str(dict(statement.properties).get("KAFKA_TOPIC"))
            if topic in given:
                continue
            self.topics.declare(topic, self._partitions_of(topic))
            try:
                source = create(
                    statement,
                    catalog=self.engine.catalog,
                    topics=self.topics,
                    registry=self.engine.env.registry,
                    settings=self.engine.settings(),
                ).source
            except KsqlError:
                continue  # it will be refused again, in its turn
            for spec, columns, is_key in (
                (source.key_format, source.schema.key, True),
                (source.value_format, source.schema.value, False),
            ):
                subject = subject_of(topic, is_key=is_key)
                serde(spec, columns, is_key=is_key, registry=self.engine.env.registry, subject=subject).register()

    def _register(self, name: str, side: str, topic: Mapping[str, Any], schema: Any) -> None:  # noqa: ANN401
        declared = topic.get(f"{side}Format") or topic.get("format") or self._declared_format(name, side)
        format_name = str(declared or ("AVRO" if isinstance(schema, dict) else "PROTOBUF")).upper()
        info = format_info(format_name if format_name != "JSON" else "JSON_SR")
        if topic.get(f"{side}SchemaReferences"):
            raise UnsupportedError("Schemas with references to others are not supported")
        kind = "AVRO" if info.name == "AVRO" else "JSON"
        text = schema if isinstance(schema, str) else json.dumps(schema, default=float)
        subject = subject_of(name, is_key=side == "key")
        self.engine.env.registry.register(subject, text, kind, topic.get(f"{side}SchemaId"))

    def _declared_format(self, topic: str, side: str) -> str | None:
        """The format that a statement over the topic names."""
        for statement in self._statements_over(topic):
            for name in (f"{side}_format", "format"):
                found = re.search(rf"\b{name}\s*=\s*'([^']+)'", statement, re.IGNORECASE)
                if found:
                    return found[1]
        return None

    # ------------------------------------------------------------------------------------------------------- statements

    def _parsed(self, *, tolerant: bool = False) -> Iterator[ast.Located]:
        """The statements: of a REST case one after the other, of others as one text (places count on that)."""
        texts = self.statements if self.is_rest else ["\n".join(self.statements)]
        for text in texts:
            try:
                yield from parser.parse(text, self.engine.catalog.variables)
            except KsqlError:
                if not tolerant:
                    raise

    def run_statements(self) -> None:
        """Every statement in its turn. Raises KsqlError."""
        for located in self._parsed():
            self._statement(located)

    def _statement(self, located: ast.Located) -> None:
        statement = self.engine.catalog.prepare(located).statement
        if isinstance(statement, ast.InsertValues):
            record = insert_values(
                statement, catalog=self.engine.catalog, registry=self.engine.env.registry, clock_ms=lambda: 0
            )
            self.write(record.topic, (record.key, record.value, record.timestamp, None, None))
            self.answers.append(Answer())
        elif isinstance(statement, ast.QueryStatement):
            self._query(statement.query, located.text)
        else:
            entity = self.engine.execute(located)
            session = ast.SetProperty | ast.UnsetProperty | ast.DefineVariable | ast.UndefineVariable
            if not isinstance(statement, session):
                self.answers.append(Answer(entity=entity))

    def _query(self, query: ast.Query, text: str) -> None:
        from ksqlite.pull import check_shape, plan_pull  # noqa: PLC0415 - slow to load, and seldom needed

        waiting = Waiting(query, text)
        info = self.engine.catalog.get(query.source.name)
        if query.emit is not None:
            waiting.subscription = self.engine.subscribe(query, text)
        elif info is None or info.is_table:
            plan_pull(query, self.engine, self.engine.settings())
        else:
            check_shape(query)
        self.answers.append(Answer(waiting=waiting))

    # ---------------------------------------------------------------------------------------------------------- records

    def codecs(self, topic: str) -> Codecs:
        """How the topic's records are written: by the schema that the case gives, or by its source's columns."""
        known = self._codecs.get(topic)
        if known is not None:
            return known
        given = self.given.get(topic, {})
        sources = [source for source in self.engine.catalog.sources.values() if source.topic == topic]
        source = next((each for each in sources if each.made_by_query), sources[0] if sources else None)
        made = self._codecs[topic] = Codecs(
            self._codec(topic, source, given, is_key=True),
            self._codec(topic, source, given, is_key=False),
            source.window_type if source else None,
            source.window_size_ms if source else None,
        )
        return made

    def _codec(self, topic: str, source: SourceInfo | None, given: Mapping[str, Any], *, is_key: bool) -> NodeCodec:
        side = "key" if is_key else "value"
        columns = (source.schema.key if is_key else source.schema.value) if source else ()
        spec = (source.key_format if is_key else source.value_format) if source else None
        named = given.get(f"{side}Format") or (None if is_key else given.get("format"))
        if named is not None and (spec is None or spec.name == "NONE"):
            spec = FormatSpec(format_info(str(named)).name)
        if spec is None or (spec.name == "NONE" and is_key):
            spec = FormatSpec("KAFKA" if is_key else "JSON")
        subject = subject_of(topic, is_key=is_key)
        registry = self.engine.env.registry
        known = registry.latest(subject)
        text = known.text if known is not None and given.get(f"{side}Schema") is not None else None
        return NodeCodec(spec, columns, is_key=is_key, registry=registry, subject=subject, text=text)

    def run_inputs(self) -> None:
        """Every input in its turn, each through all queries."""
        for record in self.body.get("inputs") or ():
            self._input(record)
        self.engine.flush()
        self._collect()

    def _input(self, record: Mapping[str, Any]) -> None:
        topic = record["topic"]
        codecs = self.codecs(topic)
        key = codecs.key.encode(record.get("key"))
        window = record.get("window")
        if window is not None and key is not None:
            if str(window.get("type", "")).lower() == "session":
                key = session_key(key, window["start"], window["end"])
            else:
                key = time_key(key, window["start"])
        headers = [(each["KEY"], _bytes(each.get("VALUE"))) for each in record.get("headers") or ()]
        value = codecs.value.encode(record.get("value"))
        self.write(topic, (key, value, record.get("timestamp") or 0, headers or None, None))

    def write(self, topic: str, record: Output) -> None:
        """A record into a topic, and through all queries."""
        there = self.topics.declare(topic)
        partition = 0
        if self.engine.env.lanes is None and record[0] is not None:
            partition = murmur2(record[0]) % there.partitions
        record = (*record[:4], partition)
        there.records.append(record)
        offset = sum(each[4] == partition for each in there.records) - 1
        self.engine.process(topic, partition, [Input(record[0], record[1], record[2], offset, record[3] or ())])
        self._collect()

    def _collect(self) -> None:
        for topic, records in self.engine.take_outputs().items():
            self.topics.declare(topic).records.extend(records)

    def decoded(self, codecs: Codecs, record: Output) -> dict[str, Any]:
        """A record as a case describes it. Raises DeserializationError."""
        key, value, timestamp, headers, _ = record
        row: dict[str, Any] = {}
        if codecs.window is ast.WindowType.SESSION and key is not None:
            key, start, end = split_session_key(key)
            row["window"] = {"start": start, "end": end}
        elif codecs.window is not None and key is not None:
            key, start = split_time_key(key)
            row["window"] = {"start": start, "end": start + (codecs.window_size_ms or 0)}
        row["key"] = codecs.key.decode(key)
        row["value"] = codecs.value.decode(value)
        row["timestamp"] = timestamp
        row["headers"] = [
            {"KEY": name, "VALUE": None if data is None else base64.b64encode(data).decode()}
            for name, data in headers or ()
        ]
        return row

    # ---------------------------------------------------------------------------------------------------------- queries

    def rows(self, waiting: Waiting) -> Iterator[dict[str, Any]]:
        """The lines of a query's answer: a header, rows, and a final message where there is one."""
        query = waiting.query
        info = self.engine.catalog.get(query.source.name)
        if query.emit is None and info is not None and info.is_table:
            from ksqlite.pull import plan_pull  # noqa: PLC0415 - slow to load, and seldom needed

            plan = plan_pull(query, self.engine, self.engine.settings())
            yield from _lines(plan.schema, plan.rows(), None)
            return
        subscription = waiting.subscription
        if query.emit is None:
            subscription = self.engine.subscribe(query, waiting.text)
            for topic in subscription.topics:
                self._replay(subscription, topic)
        assert subscription is not None  # noqa: S101 - push queries have one
        self.engine.flush()
        final = "Limit Reached" if subscription.finished else "Query Completed" if query.emit is None else None
        yield from _lines(subscription.schema, subscription.take(), final)

    def _replay(self, subscription: PushQuery, topic: str) -> None:
        there = self.topics.topics.get(topic)
        offsets: dict[int, int] = {}
        for key, value, timestamp, headers, partition in there.records if there is not None else ():
            place = partition or 0
            offset = offsets[place] = offsets.get(place, -1) + 1
            self.engine.feed(subscription, topic, place, [Input(key, value, timestamp, offset, headers or ())])


def _is_made_by(topic: str, statements: str) -> bool:
    """Whether a CREATE … AS SELECT of the topic's name makes it."""
    pattern = rf"create\s+(stream|table)\s+{re.escape(topic)}\b[^;]*\bas\s+select"
    return re.search(pattern, statements, re.IGNORECASE) is not None


def _lines(schema: Any, rows: Any, final: str | None) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - a Schema, rows
    from ksqlite.server.answers import RowWriter, schema_text  # noqa: PLC0415 - seldom needed

    yield {"header": {"schema": schema_text(schema)}}
    writer = RowWriter(schema)
    for row in rows:
        line: dict[str, Any] = {"columns": json.loads(writer.row(row), parse_float=Decimal)}
        if getattr(row, "tombstone", False):
            line["tombstone"] = True
        yield {"row": line}
    if final is not None:
        yield {"finalMessage": final}


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)
