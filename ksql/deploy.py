"""The whole of applying: validate, take up what was interrupted, plan, carry out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ksql.apply import (
    Deployment,
    Progress,
    apply_removals,
    apply_simple,
    ensure_base_topics,
    ensure_record_topic,
    read_plan,
    take_up,
)
from ksql.files import Pipeline, read_pipeline
from ksql.plan import Action, Plan
from ksql.rebuild import abandon, clean_up, rebuild
from ksql.record import Applied
from ksql.server import KsqlServer
from ksql.settings import Settings
from ksql.validate import validate


@dataclass(frozen=True, slots=True)
class Deployed:
    """What applying did."""

    plan: Plan
    """What there was to do."""
    left: Plan | None
    """What was left undone because only new objects were asked for; None when nothing was."""


def plan_files(settings: Settings, forced: Sequence[str] = ()) -> tuple[Pipeline, Plan]:
    """What applying would do; nothing is changed."""
    pipeline = read_pipeline(settings.ksql_dir)
    with KsqlServer(settings.ksql_url, settings.timeout_s) as server:
        validate(settings, pipeline, is_ksqlite=server.is_ksqlite(), lint_too=False)
        deployment = Deployment(settings, server, lambda _line: None)
        applied = take_up(deployment, Applied.load(settings), finish=False)
        return pipeline, read_plan(deployment, pipeline, applied, forced)


def apply_files(
    settings: Settings,
    *,
    only_new: bool = False,
    forced: Sequence[str] = (),
    lint_too: bool = True,
    progress: Progress = lambda _line: None,
    checkpoint: Callable[[str], None] = lambda _step: None,
) -> Deployed:
    """Bring the server, the topics, the connectors of a rebuild and the tables to what the files say.

    With ``only_new``, nothing that runs is touched: what would be changed, rebuilt or removed is given back as
    ``left``. Raises FileError for a mistake in a file before anything is changed, ToolError for a part that fails.
    """
    pipeline = read_pipeline(settings.ksql_dir)
    with KsqlServer(settings.ksql_url, settings.timeout_s) as server:
        validate(settings, pipeline, is_ksqlite=server.is_ksqlite(), lint_too=lint_too)
        deployment = Deployment(settings, server, progress, checkpoint)
        return carry_out(deployment, pipeline, only_new=only_new, forced=forced)


def carry_out(
    deployment: Deployment, pipeline: Pipeline, *, only_new: bool = False, forced: Sequence[str] = ()
) -> Deployed:
    """Bring everything to what a pipeline that was validated says; see ``apply_files``."""
    ensure_record_topic(deployment)
    applied = take_up(deployment, Applied.load(deployment.settings), finish=True)
    if not only_new and applied.retired and applied.rebuild is None:
        # an object that comes back must not be taken for the one that is still to be dropped
        applied = clean_up(deployment, applied)
    ensure_base_topics(deployment, applied)
    plan = read_plan(deployment, pipeline, applied, forced)
    if only_new:
        return _apply_new(deployment, pipeline, plan, applied)
    if plan.abandons is not None:
        applied = abandon(deployment, applied)
        plan = read_plan(deployment, pipeline, applied, forced)
    applied = apply_simple(deployment, plan, applied)
    applied = rebuild(deployment, plan, applied)
    applied = apply_removals(deployment, plan, applied)
    if applied.retired:
        clean_up(deployment, applied)
    return Deployed(plan, None)


def _apply_new(deployment: Deployment, pipeline: Pipeline, plan: Plan, applied: Applied) -> Deployed:
    touched = {one.name for one in plan.of(Action.IN_PLACE, Action.REBUILT, Action.REMOVED)}
    waiting = pipeline.downstream(touched & set(pipeline.objects)) | touched
    now = replace(
        plan,
        objects=tuple(
            one
            for one in plan.objects
            if one.action is Action.UNCHANGED or (one.action is Action.NEW and one.name not in waiting)
        ),
    )
    apply_simple(deployment, now, applied)
    done = {one.name for one in now.objects}
    left = replace(plan, objects=tuple(one for one in plan.objects if one.name not in done), finishes=())
    return Deployed(plan, None if left.is_empty else left)
