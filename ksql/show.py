"""How a plan is told: as a table for people, as JSON for scripts."""

from __future__ import annotations

from typing import Any

from ksql.console import table
from ksql.plan import Action, Plan

_MARKS = {
    Action.UNCHANGED: " ",
    Action.NEW: "+",
    Action.IN_PLACE: "~",
    Action.REBUILT: "!",
    Action.REMOVED: "-",
}


def plan_text(plan: Plan, *, with_unchanged: bool = False) -> str:
    """The plan in words."""
    lines = []
    if plan.abandons is not None:
        lines.append(f"The interrupted rebuild of version {plan.abandons} is given up: the files ask for another.")
    if plan.resumes:
        lines.append(f"The interrupted rebuild of version {plan.version} is carried on.")
    if plan.cleans:
        lines.append(f"Left over from the last rebuild, to be dropped: {', '.join(plan.cleans)}.")
    if plan.finishes:
        lines.append(f"Created by an interrupted run, to be finished: {', '.join(plan.finishes)}.")
    shown = [one for one in plan.objects if with_unchanged or one.action is not Action.UNCHANGED]
    rows = []
    for one in shown:
        place = f"{one.file}:{one.line}" if one.file else ""
        rows.append((_MARKS[one.action], one.action, one.kind, one.name, place, one.reason))
    if rows:
        lines.append(table(rows))
    rebuilt = plan.of(Action.REBUILT)
    if rebuilt:
        records = sum(one.records for one in rebuilt)
        lines.append(
            f"Rebuilt objects are made anew as version {plan.version}, beside those that run, and read about {records} "
            f"records of the log again. Until they have caught up, {rebuilt[0].meanwhile.split('keep', 1)[0].strip()} "
            f"keep the old figures; then PostgreSQL switches in one transaction and the old version is dropped."
        )
    if plan.is_empty:
        lines.append("Nothing to do.")
    return "\n".join(lines)


def plan_json(plan: Plan) -> dict[str, Any]:
    """The plan for scripts."""
    return {
        "nothing_to_do": plan.is_empty,
        "version": plan.version,
        "resumes": plan.resumes,
        "abandons": plan.abandons,
        "cleans": list(plan.cleans),
        "finishes": list(plan.finishes),
        "objects": [
            {
                "name": one.name,
                "kind": one.kind,
                "action": str(one.action),
                "reason": one.reason,
                "file": one.file,
                "line": one.line,
                "records": one.records,
                "meanwhile": one.meanwhile,
                "server_name": one.target.server_name if one.target else None,
                "topic": one.target.server_topic if one.target else None,
            }
            for one in plan.objects
        ],
    }
