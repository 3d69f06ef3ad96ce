"""Carries a plan out: what is new and what changes in place here, rebuilds in rebuild.py.

Whatever it is killed in, running it again ends in the same state: intent is recorded before anything is done, and
every step looks first whether it was done already.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from connectors.client import Connect
from connectors.files import version_of
from ksql.errors import ToolError
from ksql.files import Pipeline, PipelineObject, read_pipeline
from ksql.lag import Positions
from ksql.plan import Action, NewColumns, ObjectPlan, Plan, make_plan
from ksql.record import TOPIC, Applied, AppliedObject, versioned_topic
from ksql.server import KsqlServer, ServerSource, StatementRefusedError
from ksql.settings import Settings
from ksql.tables import Tables
from ksql.topics import TopicAdmin, Topics, TopicSpec, read_topics
from ksqlite import ast

Progress = Callable[[str], None]
"""Told one line for each step."""


@dataclass
class Deployment:
    """Everything that applying talks to."""

    settings: Settings
    server: KsqlServer
    progress: Progress
    checkpoint: Callable[[str], None] = lambda _step: None
    """Told the name of each step before it is begun; tests let it kill the process."""

    @cached_property
    def topics(self) -> Topics:
        """The declared topics."""
        return read_topics(self.settings)

    @cached_property
    def admin(self) -> TopicAdmin:
        """Makes topics."""
        return TopicAdmin(self.settings)

    @cached_property
    def positions(self) -> Positions:
        """Reads offsets."""
        return Positions(self.settings.kafka)

    @cached_property
    def tables(self) -> Tables:
        """Makes and switches the versions of the tables."""
        return Tables(self.settings.database_owner_url)

    def step(self, name: str) -> None:
        """Begin a step."""
        self.checkpoint(name)


def read_plan(deployment: Deployment, pipeline: Pipeline, applied: Applied, forced: Sequence[str] = ()) -> Plan:
    """Compare the files with the record and the server; ``forced`` objects are rebuilt though nothing changed."""
    unheard = [name for name in forced if name.upper() not in pipeline.objects]
    if unheard:
        raise ToolError(f"No file creates {', '.join(unheard)}.")
    server = deployment.server.sources()
    names = {one.topic for one in pipeline} | {one.server_topic for one in applied.objects.values()}
    sizes = deployment.positions.sizes(names)
    unknown = [one.name for one in pipeline if one.name not in applied.objects and one.name in server]
    statements = {name: deployment.server.describe(name).statement for name in unknown}
    return make_plan(
        pipeline,
        applied,
        server,
        deployment.topics,
        sizes,
        server_statements=statements,
        new_columns=_new_columns(deployment, pipeline, applied, server),
        forced=[name.upper() for name in forced],
        at_version=lambda version: read_pipeline(deployment.settings.ksql_dir, version),
    )


def _new_columns(
    deployment: Deployment, pipeline: Pipeline, applied: Applied, server: Mapping[str, ServerSource]
) -> dict[str, NewColumns]:
    """Columns that the registry's schema has got since a stream over an outside topic was declared."""
    from schemas.registry import Registry  # noqa: PLC0415 - schemas import ksql.settings, and lint needs none of this

    found: dict[str, NewColumns] = {}
    outside = [
        one
        for one in pipeline
        if takes_all_columns(one) and not one.writes and pipeline.writer_of(one.topic) is None
        and one.name in applied.objects and applied.objects[one.name].server_name in server
    ]  # fmt: skip
    if not outside:
        return found
    with Registry(deployment.settings.registry_url) as registry:
        for one in outside:
            latest = registry.latest(f"{one.topic}-value")
            if latest is None or "fields" not in latest.schema:
                continue
            known = [name for name, _type in deployment.server.describe(applied.objects[one.name].server_name).columns]
            fields = [str(part["name"]).upper() for part in latest.schema["fields"]]
            added = tuple(name for name in fields if name not in known)
            found[one.name] = NewColumns(added, at_the_end=fields[len(fields) - len(added) :] == list(added))
    return found


def takes_all_columns(one: PipelineObject) -> bool:
    """Whether its value's columns come from the registry: one that names its columns asked for no others."""
    node = one.create.node
    return isinstance(node, ast.CreateSource) and all(column.constraint is not None for column in node.columns)


def take_up(deployment: Deployment, applied: Applied, *, finish: bool) -> Applied:
    """With what an interrupted run had created: it stays pending until a run has come to its end.

    With ``finish``, what such an object still lacks is done: queries of INSERT INTO, later settings of its topic.
    """
    if not applied.pending:
        return applied
    there = deployment.server.sources()
    taken = []
    for one in applied.pending:
        before = applied.objects.get(one.name)
        is_confirmed = before is None or before.checksum == one.checksum
        if one.server_name in there and is_confirmed:
            if finish:
                deployment.step(f"finish {one.name}")
                create(deployment, one)
            applied = applied.with_object(one)
            taken.append(one)
    return replace(applied, pending=tuple(taken))


def apply_simple(deployment: Deployment, plan: Plan, applied: Applied) -> Applied:
    """Create what is new, upgrade what changes in place; a refusal undoes what this run made."""
    todo = plan.of(Action.NEW, Action.IN_PLACE)
    adopted = [one for one in plan.of(Action.UNCHANGED) if one.target and one.target != applied.objects.get(one.name)]
    for one in adopted:
        assert one.target is not None  # noqa: S101 - for the type checker
        applied = applied.with_object(one.target)
    if todo:
        targets = tuple(one.target for one in todo if one.target is not None)
        replace(applied, pending=(*applied.pending, *targets)).save(deployment.settings, did="began")
        made: list[AppliedObject] = []
        try:
            for one in todo:
                assert one.target is not None  # noqa: S101 - for the type checker
                deployment.step(f"{one.action} {one.name}")
                made.append(one.target)
                _carry_out(deployment, one, one.target)
                applied = applied.with_object(one.target)
        except StatementRefusedError:
            _undo(deployment, [one for one in made if one.name in {p.name for p in plan.of(Action.NEW)}])
            _without(applied, plan.of(Action.NEW)).save(deployment.settings, did="refused, undone")
            raise
    if todo or adopted or applied.pending:
        deployment.step("record")
        applied = replace(applied, pending=())
        applied.save(deployment.settings, did="applied", details=_details(plan))
    return applied


def _without(applied: Applied, plans: list[ObjectPlan]) -> Applied:
    doomed = {one.name for one in plans}
    return replace(applied, objects={name: one for name, one in applied.objects.items() if name not in doomed})


def _details(plan: Plan) -> dict[str, Any]:
    return {
        "objects": [
            {"name": one.name, "action": str(one.action), "checksum": one.target.checksum if one.target else None}
            for one in plan.objects
            if one.action is not Action.UNCHANGED
        ]
    }


def _carry_out(deployment: Deployment, one: ObjectPlan, target: AppliedObject) -> None:
    if one.action is Action.IN_PLACE:
        deployment.progress(f"{target.server_name}: upgraded in place, {one.reason}")
        for statement in target.statements[:1]:
            deployment.server.execute(as_replacement(statement), properties=target.settings)
        return
    create(deployment, target)


def create(deployment: Deployment, target: AppliedObject) -> None:
    """Make one object, its topic first; what is there already is left as it is."""
    there = deployment.server.sources()
    spec = topic_spec(deployment, target)
    if spec is not None and target.server_name not in there:
        _prepare_topic(deployment, spec)
    statements = list(target.statements)
    if target.server_name in there:
        statements = statements[1:]
    written = sum(1 for query in deployment.server.queries() if target.server_name in query.sinks)
    inserts = written - (1 if target.is_select else 0)
    deployment.progress(f"{target.server_name}: created")
    for number, statement in enumerate(statements):
        is_insert = number > 0 or target.server_name in there
        if is_insert and inserts > 0:
            inserts -= 1
            continue
        if target.kind == "TYPE":  # types are not listed among the server's sources: it may be there already
            statement = as_optional(statement)  # noqa: PLW2901 - what is sent in its stead
        deployment.server.execute(statement, properties=target.settings, variables={"version": str(target.version)})
    if spec is not None:
        later = {key: value for key, value in spec.config.items() if spec.create_config[key] != value}
        if later:
            deployment.step(f"settings of {spec.name}")
            deployment.admin.alter(spec.name, later)


def topic_spec(deployment: Deployment, target: AppliedObject) -> TopicSpec | None:
    """The declaration of the topic that an object writes; None for an object that writes none."""
    if not target.writes:
        return None
    return deployment.topics.spec(versioned_topic(target.topic, target.version), base=target.topic)


def _prepare_topic(deployment: Deployment, spec: TopicSpec) -> None:
    deployment.admin.ensure([spec])
    first = {key: value for key, value in spec.create_config.items() if spec.config[key] != value}
    if first:
        # a topic that has its later settings already is not accepted by the statement that is to come
        current = deployment.admin.settings_of([spec.name])[spec.name]
        if any(current.get(key) != value for key, value in first.items()):
            deployment.admin.alter(spec.name, first)


def as_optional(statement: str) -> str:
    """CREATE TYPE as a statement that a type which is there already does not trouble."""
    return re.sub(r"(?i)^(\s*CREATE\s+TYPE\s+)(?!IF\b)", r"\1IF NOT EXISTS ", statement)


def as_replacement(statement: str) -> str:
    """The statement with CREATE OR REPLACE."""
    head, rest = statement.split(None, 1)
    if head.upper() != "CREATE":
        raise ToolError(f"Only CREATE can be upgraded in place, not: {statement[:60]}")
    return statement if rest.upper().startswith("OR ") else f"{head} OR REPLACE {rest}"


def apply_removals(deployment: Deployment, plan: Plan, applied: Applied) -> Applied:
    """Drop what no file creates any more, with its connectors, where a rebuild did not retire it."""
    after = retire_removed(plan, applied)
    if after is applied:
        return applied
    topics = {one.server_topic for one in after.retired if one.writes}
    _remove_sinks(deployment, topics - after.written_topics())
    after.save(deployment.settings, did="removed", details=_details(plan))
    return drop_retired(deployment, after)


def retire_removed(plan: Plan, applied: Applied) -> Applied:
    """With what no file creates any more among what is to be dropped; the same when there is no such object."""
    removed = [applied.objects[one.name] for one in plan.of(Action.REMOVED) if one.name in applied.objects]
    if not removed:
        return applied
    return replace(_without(applied, plan.of(Action.REMOVED)), retired=(*removed, *applied.retired))


def _remove_sinks(deployment: Deployment, topics: set[str]) -> None:
    """Delete the connectors that read these topics: they would complain of topics that are gone."""
    with Connect(deployment.settings.connect_url, deployment.settings.timeout_s) as connect:
        for name in connect.names():
            config = connect.config(name) if version_of(name) is not None else None
            if config is not None and config.get("topics") in topics:
                deployment.progress(f"{name}: deleted")
                delete_sink(deployment, connect, name)


def delete_sink(deployment: Deployment, connect: Connect, name: str) -> None:
    """Delete a connector, and its consumer group: left behind, its lag would grow for ever and mean nothing."""
    deployment.step(f"delete connector {name}")
    connect.delete(name)
    if not deployment.positions.forget(f"connect-{name}"):
        deployment.progress(f"{name}: its consumer group is still there, and may be deleted by hand")


def drop_retired(deployment: Deployment, applied: Applied) -> Applied:
    """Drop objects that nothing uses any more, and their topics where no other object writes them now."""
    if not applied.retired:
        return applied
    drop_objects(deployment, applied.retired, spared=applied.written_topics())
    applied = replace(applied, retired=())
    applied.save(deployment.settings, did="dropped what nothing uses any more")
    return applied


def drop_objects(
    deployment: Deployment, doomed: tuple[AppliedObject, ...], *, spared: Collection[str] = frozenset()
) -> None:
    """Terminate their queries, drop them, readers before what they read, and delete the topics they wrote.

    ``spared`` are topics that stay.
    """
    there = deployment.server.sources()
    order = readers_first(doomed)
    for one in order:
        if one.kind == "TYPE":
            deployment.server.execute(f"DROP TYPE IF EXISTS {one.server_name}")
            continue
        if one.server_name in there:
            deployment.step(f"drop {one.server_name}")
            deployment.progress(f"{one.server_name}: dropped")
            for query in deployment.server.queries():
                if one.server_name in query.sinks:
                    deployment.server.execute(f"TERMINATE {query.query_id}")
            deployment.server.execute(f"DROP {one.kind} IF EXISTS {one.server_name}")
    topics = [one.server_topic for one in order if one.writes and one.server_topic not in spared]
    if topics:
        deployment.step("delete topics")
        deployment.admin.delete(topics)
        _forget_subjects(deployment, topics)


def _forget_subjects(deployment: Deployment, topics: list[str]) -> None:
    from schemas.registry import Registry  # noqa: PLC0415 - see _new_columns

    with Registry(deployment.settings.registry_url) as registry:
        known = set(registry.subjects())
        for topic in topics:
            for subject in (f"{topic}-key", f"{topic}-value"):
                if subject in known:
                    registry.delete(subject)


def readers_first(doomed: tuple[AppliedObject, ...]) -> list[AppliedObject]:
    """The same objects, each after all that may read it: readers of its own version, or of a later one."""
    order: list[AppliedObject] = []
    left = list(doomed)
    while left:
        for one in left:
            if not any(one.name in other.reads and one.version <= other.version for other in left if other is not one):
                order.append(one)
                left.remove(one)
                break
        else:
            order += left
            break
    return order


def _undo(deployment: Deployment, made: list[AppliedObject]) -> None:
    """Drop what this run created before the server refused the rest."""
    deployment.progress("refused; undoing what was created in this run")
    try:
        drop_objects(deployment, tuple(made))
    except ToolError as error:
        deployment.progress(f"could not be undone wholly: {error}")


def ensure_base_topics(deployment: Deployment, applied: Applied) -> None:
    """Topics that nothing here writes, and the record's own."""
    written = {one.topic for one in applied.objects.values() if one.writes and one.version != 1}
    deployment.admin.ensure(spec for spec in deployment.topics if spec.name not in written)


def ensure_record_topic(deployment: Deployment) -> None:
    """The topic of the record must be there before the first intent is written."""
    spec = deployment.topics.spec(TOPIC)
    if spec is None:
        raise ToolError(f"topics.json does not declare {TOPIC}, which keeps what was applied.")
    deployment.admin.ensure([spec])
