"""A statement that fails midway leaves nothing: no topic, no schema, no query, and what it was to replace goes on."""

from collections.abc import Mapping

import pytest

from ksqlite.errors import TopicError
from ksqlite.formats import MemoryRegistry, RegistryError
from ksqlite.testing.memory import MemoryTopics
from tests.unit.ksqlite.playing import Play

SOURCE = "CREATE STREAM S (K STRING KEY, V BIGINT) WITH (kafka_topic='s', value_format='JSON', partitions=1);"
STATEMENTS = [
    "CREATE STREAM A WITH (format='AVRO') AS SELECT K, V FROM S PARTITION BY K;",
    "CREATE TABLE A WITH (format='AVRO') AS SELECT K, COUNT(*) AS N FROM S GROUP BY K;",
]


class FailingRegistry(MemoryRegistry):
    """A registry that takes no schema for one subject; ``late``: it has, but its answer is lost."""

    def __init__(self, refused: str, *, late: bool = False) -> None:
        super().__init__()
        self.refused = refused
        self.late = late

    def register(self, subject: str, text: str, schema_type: str = "AVRO", schema_id: int | None = None) -> int:
        if subject != self.refused:
            return super().register(subject, text, schema_type, schema_id)
        if self.late:
            super().register(subject, text, schema_type, schema_id)
        raise RegistryError("made up")


def world_of(registry: MemoryRegistry) -> Play:
    world = Play()
    world.env.registry = registry
    world.run(SOURCE)
    return world


def topics_of(world: Play) -> list[str]:
    assert isinstance(world.env.topics, MemoryTopics)
    return list(world.env.topics.topics)


def nothing_stands(world: Play) -> None:
    assert topics_of(world) == ["s"]
    assert (list(world.engine.catalog.sources), list(world.engine.queries())) == (["S"], [])
    assert list(world.engine.graph.nodes) == []
    world.put("s", "k", {"V": 1})
    assert world.take() == {}


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("side", ["key", "value"])
@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_registry_that_fails(statement: str, side: str, late: bool) -> None:
    """The topic is not made, and a schema that was registered before the failure is taken back."""
    registry = FailingRegistry(f"A-{side}", late=late)
    world = world_of(registry)
    with pytest.raises(RegistryError):
        world.run(statement)
    nothing_stands(world)
    assert registry.subjects() == []
    registry.refused = ""
    world.run(statement)
    assert topics_of(world) == ["s", "A"]


def test_schemas_that_were_there_stay() -> None:
    """Only what the statement itself has registered is taken back."""
    registry = FailingRegistry("A-value")
    registry.register("A-key", '"string"')
    world = world_of(registry)
    with pytest.raises(RegistryError):
        world.run(STATEMENTS[0])
    assert registry.subjects() == ["A-key"]


def refuse(topic: str, partitions: int, replicas: int, settings: Mapping[str, str]) -> None:
    raise TopicError(f"no {topic} with {partitions}, {replicas}, {settings}")


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_topic_that_is_not_made(statement: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The query does not run, and its schemas are gone."""
    registry = MemoryRegistry()
    world = world_of(registry)
    with monkeypatch.context() as patched:
        patched.setattr(world.env.topics, "create", refuse)
        with pytest.raises(TopicError):
            world.run(statement)
    nothing_stands(world)
    assert registry.subjects() == []


def test_a_replacement_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """The query that was to be replaced goes on."""
    world = world_of(MemoryRegistry())
    world.run("CREATE STREAM A AS SELECT K, V FROM S;")
    with monkeypatch.context() as patched:
        patched.setattr(world.env.topics, "create", refuse)
        with pytest.raises(TopicError):
            world.run("CREATE OR REPLACE STREAM A AS SELECT K, V, V + 1 AS W FROM S;")
    world.put("s", "k", {"V": 1})
    assert [row for _, _, row, _ in world.take()["A"]] == [{"V": 1}]
    assert [query.query_id for query in world.engine.queries()] == ["CSAS_A_0"]
