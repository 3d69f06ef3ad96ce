"""Compares the files with what was applied and with what the server runs, and says what applying will do.

Pure logic: it is given the files, the record of what was applied, the server's listing and the topics' sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ksql.compare import same_statement
from ksql.errors import FileError
from ksql.files import Pipeline, PipelineObject
from ksql.record import Applied, AppliedObject, versioned_name, versioned_topic
from ksql.server import ServerSource
from ksql.tokens import rename
from ksql.topics import Topics
from ksqlite import ast

_CACHE = "cache.max.bytes.buffering"
_HARMLESS = frozenset(
    {
        "commit.interval.ms",
        "processing.guarantee",
        "auto.offset.reset",
        "num.stream.threads",
        "cache.max.bytes.buffering",
    }
)
"""SET properties that change how a query runs and not what it gives (the cache: see `_settings_change`)."""


class Action(StrEnum):
    """What happens to one object."""

    UNCHANGED = "unchanged"
    NEW = "new"
    IN_PLACE = "in place"
    REBUILT = "rebuilt"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class NewColumns:
    """Columns that the registry's schema has got since a stream was declared over its topic."""

    added: tuple[str, ...]
    at_the_end: bool
    """Whether they come after all that were there: a server takes no others in place."""


@dataclass(frozen=True, slots=True)
class ObjectPlan:
    """What applying does to one stream or table, and why."""

    name: str
    kind: str
    action: Action
    reason: str
    target: AppliedObject | None
    """As it will be recorded; None when it is removed."""
    file: str | None = None
    line: int | None = None
    records: int = 0
    """How many records its queries read again."""
    meanwhile: str = ""
    """What its readers and PostgreSQL see until it is done."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that applying does, in the order in which it does it."""

    objects: tuple[ObjectPlan, ...]
    version: int | None
    """Version that rebuilt objects and all tables get; None when nothing is rebuilt."""
    resumes: bool
    """Whether a rebuild that was interrupted is carried on."""
    abandons: int | None
    """Version of an interrupted rebuild that the files no longer ask for."""
    cleans: tuple[str, ...]
    """Objects left over from a finished rebuild, to be dropped."""
    finishes: tuple[str, ...] = ()
    """Objects that an interrupted run created and may not have finished."""

    def of(self, *actions: Action) -> list[ObjectPlan]:
        """The objects with one of these actions."""
        return [one for one in self.objects if one.action in actions]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        left_over = self.resumes or self.abandons is not None or self.cleans or self.finishes
        return not left_over and all(one.action is Action.UNCHANGED for one in self.objects)

    @property
    def is_only_new(self) -> bool:
        """Whether applying only adds: nothing that runs is touched."""
        quiet = self.abandons is None and not self.resumes
        return quiet and all(one.action in {Action.UNCHANGED, Action.NEW} for one in self.objects)


def make_plan(
    pipeline: Pipeline,
    applied: Applied,
    server: Mapping[str, ServerSource],
    topics: Topics,
    sizes: Mapping[str, int],
    *,
    server_statements: Mapping[str, str] | None = None,
    new_columns: Mapping[str, NewColumns] | None = None,
    forced: Sequence[str] = (),
    at_version: Callable[[int], Pipeline] | None = None,
) -> Plan:
    """The plan.

    ``sizes``: records by topic (a topic that is missing has none). ``server_statements``: statement texts of objects
    that the server has and the record does not. ``new_columns``: by name of a stream whose columns come from the
    registry, those that the registry has and the server does not. ``forced``: objects to rebuild though nothing
    changed. ``at_version`` reads the files with another
    ``${version}``.
    """
    verdicts = {
        one.name: _judge(one, applied, server, sizes, server_statements or {}, new_columns or {}, pipeline)
        for one in pipeline
    }
    for name in forced or _begun_as_it_stands(pipeline, applied):
        if verdicts[name][0] in {Action.UNCHANGED, Action.IN_PLACE}:
            verdicts[name] = (Action.REBUILT, "asked for")
    just_made = {one.name for one in applied.pending}
    rebuilt = _closure(pipeline, verdicts, topics, just_made)
    version = _version(pipeline, applied, rebuilt) if rebuilt else None
    later = at_version(version) if version is not None and at_version is not None else pipeline
    objects = []
    for one in pipeline:
        action, reason = verdicts[one.name]
        if one.name in rebuilt and action is not Action.REBUILT:
            reason = reason if action is Action.NEW else rebuilt[one.name]
            action = Action.REBUILT
        numbers = _numbers(applied, rebuilt, version, one)
        text = later if numbers[one.name] == version else pipeline
        target = target_of(pipeline, one, numbers, text.objects[one.name])
        if action is Action.UNCHANGED:
            target = applied.objects.get(one.name, target)
        objects.append(_object_plan(pipeline, one, action, reason, target, applied, sizes))
    removed = [name for name in applied.objects if name not in pipeline.objects]
    objects += [_removal(applied.objects[name]) for name in reversed(removed)]
    pending = applied.rebuild
    resumes = pending is not None and version == pending["version"]
    return Plan(
        objects=tuple(objects),
        version=version,
        resumes=resumes,
        abandons=pending["version"] if pending is not None and not resumes else None,
        cleans=tuple(one.server_name for one in applied.retired),
        finishes=tuple(one.server_name for one in applied.pending),
    )


def _judge(  # noqa: PLR0917 - the arguments of make_plan, in its order
    one: PipelineObject,
    applied: Applied,
    server: Mapping[str, ServerSource],
    sizes: Mapping[str, int],
    server_statements: Mapping[str, str],
    new_columns: Mapping[str, NewColumns],
    pipeline: Pipeline,
) -> tuple[Action, str]:
    before = applied.objects.get(one.name)
    if before is None:
        if one.name not in server:
            if one.writes and sizes.get(one.topic):
                return Action.REBUILT, f"topic {one.topic} holds records already: it would append to them"
            return Action.NEW, "not there yet"
        if any(old.server_name == one.name for old in applied.retired):
            return Action.REBUILT, "it was removed, and is still to be dropped"
        if len(one.statements) == 1 and same_statement(one.create.node, server_statements.get(one.name, "")):
            return Action.UNCHANGED, "runs already; nobody recorded it"
        return Action.REBUILT, "the server runs something else under this name, and nobody recorded it"
    if one.kind != "TYPE" and before.server_name not in server:
        if not one.writes:
            return Action.NEW, "gone from the server"
        if not sizes.get(before.server_topic):
            return Action.NEW, "gone from the server, its topic is empty"
        return Action.REBUILT, "gone from the server: recreated on its old topic it would append everything again"
    if before.checksum != one.checksum:
        return _changed(one, before)
    if dict(before.settings) != dict(one.settings):
        return _settings_change(one, before, pipeline)
    columns = new_columns.get(one.name)
    if columns is not None and columns.added:
        names = ", ".join(columns.added)
        if not columns.at_the_end:
            return Action.REBUILT, f"the schema has got {names} between other fields: in place only as the last ones"
        return Action.IN_PLACE, f"the registry's schema has got {names}: readable from now on"
    return Action.UNCHANGED, ""


def _changed(one: PipelineObject, before: AppliedObject) -> tuple[Action, str]:
    if one.kind == "TYPE":
        raise FileError(
            one.create.file,
            one.create.line,
            None,
            f"Type {one.name} is in use as it was applied, and what uses it keeps that. "
            "Give the changed type a new name, and use that name where it is meant.",
        )
    if one.writes:
        return Action.REBUILT, "the query changed: past results would differ"
    if _only_adds_columns(one, before):
        return Action.IN_PLACE, "columns are added to the declaration: readable from now on"
    return Action.REBUILT, "the declaration changed: what was read through it would differ"


def _only_adds_columns(one: PipelineObject, before: AppliedObject) -> bool:
    from ksqlite.parser import parse  # noqa: PLC0415 - only where a declaration changed

    old = parse(before.statements[0] + ";")[0].statement
    new = one.create.node
    if not isinstance(old, ast.CreateSource) or not isinstance(new, ast.CreateSource) or old.is_table != new.is_table:
        return False
    same_rest = sorted(map(str, old.properties)) == sorted(map(str, new.properties))
    return same_rest and new.columns[: len(old.columns)] == old.columns and bool(old.columns)


def _settings_change(one: PipelineObject, before: AppliedObject, pipeline: Pipeline) -> tuple[Action, str]:
    old, new = dict(before.settings), dict(one.settings)
    differing = sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
    words = ", ".join(f"{key} {old.get(key, 'unset')} -> {new.get(key, 'unset')}" for key in differing)
    read_as_stream = any(not other.writes and other.topic == one.topic for other in pipeline)
    cache_matters = _CACHE in differing and "0" in {old.get(_CACHE), new.get(_CACHE)}
    if cache_matters and read_as_stream:
        return Action.REBUILT, f"{words}: its updates are read one by one, and past ones would differ"
    if set(differing) <= _HARMLESS or not one.writes:
        return Action.UNCHANGED, f"{words}: no result differs; in force with the next rebuild"
    return Action.REBUILT, f"{words}: results may differ"


def _closure(
    pipeline: Pipeline, verdicts: Mapping[str, tuple[Action, str]], topics: Topics, just_made: Collection[str]
) -> dict[str, str]:
    """Every object that must be made anew, with the reason for those that were not changed themselves.

    What an unfinished run made (``just_made``) still holds all that it wrote, like what is new.
    """
    reasons = {name: reason for name, (action, reason) in verdicts.items() if action is Action.REBUILT}
    is_new = {name for name, (action, _reason) in verdicts.items() if action is Action.NEW} | set(just_made)
    while True:
        before = len(reasons)
        for one in pipeline:
            source = next((source for source in pipeline.sources_of(one) if source.name in reasons), None)
            if one.name not in reasons and source is not None:
                reasons[one.name] = f"reads {source.name}, which is rebuilt"
        for one in pipeline:
            if one.writes and (one.name in reasons or one.name in is_new):
                for name, reason in _upstream_to_refill(pipeline, one, topics, is_new):
                    reasons.setdefault(name, reason)
        if len(reasons) == before:
            return reasons


def _upstream_to_refill(
    pipeline: Pipeline, one: PipelineObject, topics: Topics, is_new: set[str]
) -> list[tuple[str, str]]:
    found = []
    for name in one.reads:
        source = pipeline.objects[name]
        spec = topics.spec(source.topic)
        writer = pipeline.writer_of(source.topic)
        if spec is not None and not spec.refill_source and writer is not None and writer.name not in is_new:
            found.append((writer.name, f"{one.name} cannot be filled from what {source.topic} still holds"))
    return found


def _version(pipeline: Pipeline, applied: Applied, rebuilt: Mapping[str, str]) -> int:
    """The number of this rebuild: the interrupted one's when the files still ask for it, otherwise the next."""
    pending = applied.rebuild
    if pending is not None and _begun(applied) == {name: _target_sums(pipeline.objects[name]) for name in rebuilt}:
        return int(pending["version"])
    return max(applied.highest_version, applied.tables_version, int(pending["version"]) if pending else 1) + 1


def _begun_as_it_stands(pipeline: Pipeline, applied: Applied) -> list[str]:
    """The objects of an interrupted rebuild when the files have every one of them as it was begun, otherwise none.

    A rebuild that was asked for by name goes on like any other.
    """
    begun = _begun(applied)
    there = all(name in pipeline.objects and _target_sums(pipeline.objects[name]) == of for name, of in begun.items())
    return list(begun) if there else []


def _begun(applied: Applied) -> dict[str, list[object]]:
    """What an interrupted rebuild makes, by name as `_target_sums` gives it; nothing when none can be gone on with."""
    pending = applied.rebuild
    if pending is None or pending.get("is_abandoned"):
        return {}
    return {entry["name"]: [entry["checksum"], dict(entry["settings"])] for entry in pending["objects"]}


def _target_sums(one: PipelineObject) -> list[object]:
    return [one.checksum, dict(one.settings)]


def _numbers(applied: Applied, rebuilt: Mapping[str, str], version: int | None, one: PipelineObject) -> dict[str, int]:
    """The version of every object once the plan is carried out."""
    numbers = {name: found.version for name, found in applied.objects.items()}
    if version is not None:
        numbers.update(dict.fromkeys(rebuilt, version))
    numbers.setdefault(one.name, 1)
    return numbers


def _object_plan(  # noqa: PLR0917 - pieces of one plan, gathered
    pipeline: Pipeline,
    one: PipelineObject,
    action: Action,
    reason: str,
    target: AppliedObject,
    applied: Applied,
    sizes: Mapping[str, int],
) -> ObjectPlan:
    records = 0
    meanwhile = ""
    if action in {Action.NEW, Action.REBUILT} and one.writes:
        records = sum(sizes.get(applied.topic(pipeline.objects[name].topic), 0) for name in one.reads)
    if action is Action.REBUILT:
        meanwhile = "readers and PostgreSQL keep the old figures until the new ones have caught up"
    elif action is Action.NEW and records:
        meanwhile = "fills from the log; nobody reads it yet"
    elif action is Action.IN_PLACE:
        meanwhile = "goes on where it is"
    return ObjectPlan(
        name=one.name,
        kind=one.kind,
        action=action,
        reason=reason,
        target=target,
        file=one.create.file,
        line=one.create.line,
        records=records,
        meanwhile=meanwhile,
    )


def target_of(
    pipeline: Pipeline, one: PipelineObject, versions: Mapping[str, int], text: PipelineObject
) -> AppliedObject:
    """The object as its version will be recorded and sent, reading these versions of others.

    ``text`` is the same object read with ``${version}`` set to its version.
    """
    names = {name: versioned_name(name, of) for name, of in versions.items() if of != 1}
    moved = {}
    for other in pipeline:
        if other.writes and versions.get(other.name, 1) != 1:
            moved[other.topic] = versioned_topic(other.topic, versions[other.name])
    return AppliedObject(
        name=one.name,
        version=versions[one.name],
        checksum=one.checksum,
        statements=tuple(rename(statement.text, names, moved) for statement in text.statements),
        settings=dict(one.settings),
        reads=one.reads,
        topic=one.topic,
        kind=one.kind,
        writes=one.writes,
        is_select=isinstance(one.create.node, ast.CreateAsSelect),
    )


def _removal(one: AppliedObject) -> ObjectPlan:
    return ObjectPlan(
        name=one.name,
        kind=one.kind,
        action=Action.REMOVED,
        reason="no file creates it any more",
        target=None,
        meanwhile=f"dropped, with topic {one.server_topic}" if one.writes else "dropped, its topic stays",
    )
