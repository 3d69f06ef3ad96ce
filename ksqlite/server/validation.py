"""Looks at all statements of a request before the first of them runs, so that a request is done whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ksqlite import ast
from ksqlite.engine.api import EngineApi, Input, Row, Topics
from ksqlite.engine.engine import Engine
from ksqlite.engine.memory import MemoryStores
from ksqlite.formats import RegisteredSchema, SchemaRegistry
from ksqlite.statements import Inspector, execute, insert_values


class _Topics:
    """Topics as they would be: what is made or deleted stays a thought."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self._made: dict[str, tuple[int, Mapping[str, str]] | None] = {}

    def partitions(self, topic: str) -> int | None:
        """How many partitions the topic would have."""
        if topic in self._made:
            made = self._made[topic]
            return None if made is None else made[0]
        return self._topics.partitions(topic)

    def configs(self, topic: str) -> Mapping[str, str]:
        """The topic's settings."""
        if topic in self._made:
            made = self._made[topic]
            return {} if made is None else made[1]
        return self._topics.configs(topic)

    def create(self, topic: str, partitions: int, replicas: int, settings: Mapping[str, str]) -> None:  # noqa: ARG002
        """Remembers a topic that is not there."""
        if self.partitions(topic) is None:
            self._made[topic] = (partitions, dict(settings))

    def delete(self, topic: str) -> None:
        """Forgets a topic."""
        self._made[topic] = None


class _Registry:
    """A registry that reads through and keeps what would be registered to itself."""

    def __init__(self, registry: SchemaRegistry) -> None:
        self._registry = registry
        self._made: dict[str, RegisteredSchema] = {}

    def latest(self, subject: str) -> RegisteredSchema | None:
        """The newest schema that the subject would have."""
        return self._made.get(subject) or self._registry.latest(subject)

    def by_id(self, schema_id: int) -> RegisteredSchema | None:
        """The schema with that id."""
        return next((made for made in self._made.values() if made.id == schema_id), None) or self._registry.by_id(
            schema_id
        )

    def register(self, subject: str, text: str, schema_type: str = "AVRO") -> int:
        """A made-up id, negative so that no schema has it."""
        schema_id = -1 - len(self._made)
        self._made[subject] = RegisteredSchema(schema_id, text, schema_type)
        return schema_id

    def subjects(self) -> list[str]:
        """All subjects that there would be."""
        return sorted({*self._registry.subjects(), *self._made})

    def delete(self, subject: str) -> None:
        """Forgets what was made here."""
        self._made.pop(subject, None)


class _Silence:
    """A processing log that nobody reads."""

    def deserialization_error(
        self, query_id: str, topic: str, partition: int, offset: int, *, is_key: bool, message: str, record: Input
    ) -> None:
        """Nothing."""

    def record_error(self, query_id: str, message: str, record: Row | None) -> None:
        """Nothing."""


class _Sandbox(Engine):
    """An engine that plans and declares, and runs nothing."""

    def pause(self, query_id: str) -> None:
        """Nothing: the query runs elsewhere."""

    def resume(self, query_id: str) -> None:
        """Nothing: the query runs elsewhere."""


def validate(
    engine: EngineApi, statements: Iterable[ast.Located], properties: Mapping[str, Any], inspector: Inspector
) -> None:
    """Raises the KsqlError that some statement would meet, were they run one after the other."""
    env = replace(
        engine.env,
        topics=_Topics(engine.env.topics),
        registry=_Registry(engine.env.registry),
        stores=MemoryStores(),
        log=_Silence(),
        counters=None,
    )
    sandbox = _Sandbox(env, engine.catalog.snapshot())
    for located in statements:
        statement = located.statement
        if isinstance(statement, (ast.Show, ast.Describe, ast.DescribeFunction, ast.Explain)):
            execute(sandbox, located, properties, inspector)
        elif isinstance(statement, ast.InsertValues):
            prepared = sandbox.catalog.prepare(located).statement
            assert isinstance(prepared, ast.InsertValues)  # noqa: S101 - preparing changes types alone
            insert_values(prepared, catalog=sandbox.catalog, registry=env.registry, clock_ms=lambda: 0)
        elif not isinstance(statement, (ast.AssertTopic, ast.AssertSchema)):
            sandbox.execute(located, {**properties, **sandbox.catalog.properties})
