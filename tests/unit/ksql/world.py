"""A server, topics, connectors and tables in memory, for the real code that plans, applies and rebuilds."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest

from connectors.files import read_connectors
from ksql import apply, deploy, rebuild, record
from ksql.apply import Deployment
from ksql.files import read_pipeline
from ksql.plan import Plan
from ksql.record import Applied
from ksql.server import ServerQuery, ServerSource, SourceDescription, StatementRefusedError
from ksql.settings import Settings
from ksqlite import ast
from ksqlite.parser import parse
from stack.settings import CHECKOUT


class Killed(BaseException):
    """Stands for kill -9."""


class World:
    """Everything that a deployment talks to. Topics are numbers of records, connectors their settings."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for file in (*(CHECKOUT / "ksql").glob("*.sql"), CHECKOUT / "ksql" / "topics.json"):
            shutil.copy(file, folder / file.name)
        self.settings = Settings(ksql_dir=folder)
        self.record: dict[str, Any] = {}
        self.found: dict[str, ServerSource] = {}
        self.columns: dict[str, list[str]] = {}
        self.running: dict[str, tuple[str, list[str]]] = {}
        self.types: set[str] = set()
        self.topics: dict[str, int] = {}
        self.configs: dict[str, dict[str, str]] = {}
        self.connectors: dict[str, dict[str, str]] = {}
        self.table_versions = {1}
        self.version_read = 1
        self.sent: list[str] = []
        self.dies_at: Callable[[str], bool] = lambda _step: False
        """Whether the process is killed as it begins this step, or sends this statement."""

    # ------------------------------------------------------------------------------------------------------- the server

    def sources(self) -> dict[str, ServerSource]:
        return dict(self.found)

    def queries(self) -> list[ServerQuery]:
        return [ServerQuery(name, (sink,), "RUNNING", "") for name, (sink, _reads) in self.running.items()]

    def describe(self, name: str) -> SourceDescription:
        columns = tuple((column, "STRING") for column in self.columns.get(name, ()))
        return SourceDescription(name, self.text_of.get(name, ""), columns, (), (), (), ())

    @property
    def text_of(self) -> dict[str, str]:
        return {one.name: one.create.text for one in read_pipeline(self.folder)}

    def execute(self, statement: str, properties: Any = None, variables: Any = None) -> list[Any]:  # noqa: ARG002 - KsqlServer's
        if self.dies_at(statement):
            raise Killed(statement)
        self.sent.append(statement)
        node = parse(statement.rstrip().rstrip(";") + ";")[0].statement
        match node:
            case ast.CreateType():
                if node.name in self.types and not node.if_not_exists:
                    raise StatementRefusedError(f"Cannot register custom type '{node.name}': it is registered")
                self.types.add(node.name)
            case ast.DropType():
                self.types.discard(node.name)
            case ast.CreateSource():
                if node.name in self.found and not node.or_replace:
                    raise StatementRefusedError(f"{node.name} is there already")
                self._add(node)
                self.columns[node.name] = [column.name for column in node.columns]
            case ast.CreateAsSelect():
                if node.name in self.found:
                    raise StatementRefusedError(f"{node.name} is there already")
                self._run(node.name, node.query)
                self._add(node)
            case ast.InsertInto():
                self._run(node.target, node.query)
            case ast.DropSource():
                readers = [sink for sink, reads in self.running.values() if node.name in reads and sink != node.name]
                if readers:
                    raise StatementRefusedError(f"Cannot drop {node.name}: {readers} read from it")
                self.found.pop(node.name, None)
            case ast.QueryControl():
                self.running.pop(str(node.query_id))
            case _:
                raise AssertionError(statement)
        return []

    def _run(self, sink: str, query: ast.Query) -> None:
        reads = [query.source.name, *(join.source.name for join in query.joins)]
        for name in reads:
            if name not in self.found:
                raise StatementRefusedError(f"{name} does not exist.")
        self.running[f"Q_{sink}_{len(self.sent)}"] = (sink, reads)

    def _add(self, node: ast.CreateSource | ast.CreateAsSelect) -> None:
        topic = str(dict(node.properties)["KAFKA_TOPIC"])
        kind = "TABLE" if node.is_table else "STREAM"
        self.found[node.name] = ServerSource(node.name, kind, topic, "KAFKA", "AVRO", False)  # noqa: FBT003 - not windowed
        self.topics.setdefault(topic, 0)

    # ------------------------------------------------------------------------------------------------ topics and groups

    def ensure(self, specs: Any) -> None:
        for spec in specs:
            if spec.name not in self.topics:
                self.topics[spec.name] = 0
                self.configs[spec.name] = dict(spec.create_config)

    def settings_of(self, names: list[str]) -> dict[str, dict[str, str]]:
        return {name: self.configs.setdefault(name, {}) for name in names}

    def alter(self, name: str, config: dict[str, str]) -> None:
        self.configs.setdefault(name, {}).update(config)

    def delete(self, names: list[str]) -> None:
        for name in names:
            self.topics.pop(name, None)

    def sizes(self, names: set[str]) -> dict[str, int]:
        return {name: self.topics.get(name, 0) for name in names}

    def forget(self, _group: str) -> bool:
        return True

    def groups(self, _prefix: str) -> list[str]:
        return []

    # --------------------------------------------------------------------------------------------------------- a test's

    def deployment(self) -> Deployment:
        world = self

        class Dying(Deployment):
            def step(self, name: str) -> None:
                if world.dies_at(name):
                    raise Killed(name)

        def switch(version: int) -> None:
            world.version_read = version

        made = Dying(self.settings, self, lambda _line: None)  # type: ignore[arg-type] # plays the server
        tables = SimpleNamespace(
            create=self.table_versions.add,
            drop=self.table_versions.discard,
            switch=switch,
            version_read=lambda: world.version_read,
            versions=lambda: sorted(world.table_versions),
        )
        made.__dict__.update(admin=self, positions=self, tables=tables)
        return made

    def apply(self, *, only_new: bool = False, forced: tuple[str, ...] = ()) -> deploy.Deployed:
        return deploy.carry_out(self.deployment(), read_pipeline(self.folder), only_new=only_new, forced=forced)

    def apply_killed(
        self, dies_at: Callable[[str], bool], *, only_new: bool = False, forced: tuple[str, ...] = ()
    ) -> None:
        self.dies_at = dies_at
        with pytest.raises(Killed):
            self.apply(only_new=only_new, forced=forced)
        self.dies_at = lambda _step: False

    def plan(self) -> Plan:
        deployment = self.deployment()
        applied = apply.take_up(deployment, Applied.load(self.settings), finish=False)
        return apply.read_plan(deployment, read_pipeline(self.folder), applied)

    def applied(self) -> Applied:
        return Applied.load(self.settings)

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.folder / file
        text = path.read_text("utf-8")
        assert old in text
        path.write_text(text.replace(old, new), "utf-8")

    def declare(self, topic: str, **config: str) -> None:
        """A topic in topics.json; without settings it is taken out."""
        path = self.folder / "topics.json"
        document = json.loads(path.read_text("utf-8"))
        document["topics"].pop(topic, None)
        if config:
            document["topics"][topic] = {
                "about": "A test's.",
                "config": {k.replace("_", "."): v for k, v in config.items()},
            }
        path.write_text(json.dumps(document), "utf-8")

    def fill(self, records: int = 100) -> None:
        """Records in the topics of everything that the server has."""
        self.topics |= {one.topic: records for one in self.found.values()}

    def check_in_order(self) -> None:
        """Nothing is left to do or left over, and the server runs exactly what is recorded."""
        assert self.plan().is_empty
        applied = self.applied()
        assert (applied.rebuild, applied.pending, applied.retired) == (None, (), ())
        assert sorted(self.found) == sorted(one.server_name for one in applied.objects.values() if one.kind != "TYPE")
        assert applied.written_topics() <= set(self.topics)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world in which nothing was applied yet."""
    made = World(tmp_path)

    class Connect:
        def __init__(self, *_: Any) -> None:
            pass

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def names(self) -> list[str]:
            return sorted(made.connectors)

        def config(self, name: str) -> dict[str, str] | None:
            return made.connectors.get(name)

        def delete(self, name: str) -> None:
            made.connectors.pop(name, None)

        def stop(self, _name: str) -> None:
            pass

        def resume(self, _name: str) -> None:
            pass

        def status(self, _name: str) -> None:
            return None

    def run_connectors(_settings: Settings, wanted: Any, _connect: Any) -> None:
        for connector in wanted:
            assert connector.topic in made.topics
            made.connectors[connector.name] = dict(connector.config)

    for module in (apply, rebuild):
        monkeypatch.setattr(module, "Connect", Connect)
    monkeypatch.setattr(rebuild, "run_connectors", run_connectors)
    monkeypatch.setattr(rebuild, "_wait_caught_up", lambda *_: None)
    monkeypatch.setattr(apply, "_forget_subjects", lambda *_: None)
    monkeypatch.setattr(apply, "_new_columns", lambda *_: {})
    monkeypatch.setattr(record, "read_record", lambda _settings: made.record)
    monkeypatch.setattr(record, "_write", lambda _settings, values: made.record.update(json.loads(json.dumps(values))))
    return made


@pytest.fixture
def running(world: World) -> World:
    """A world in which the project's files run, with records in every topic and the project's connectors."""
    world.apply()
    world.fill()
    world.connectors = {one.name: dict(one.config) for one in read_connectors(world.settings.connectors_dir)}
    return world
