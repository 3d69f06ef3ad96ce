"""Fills a new version of what changed beside the one that is read, and switches when it has caught up.

What is rebuilt gets topics, objects, connectors and tables of its own, all with the number of the new version in their
names. Analysts see the old figures until the new ones hold everything that the old ones held, then, in one transaction,
the new. The steps, each safe to repeat:

1. record the intent; 2. make topics and objects; 3. make the tables; 4. make the connectors; 5. wait until all of it
has read the log to its end; 6. stop the old connectors, so that the old figures stand still; 7. wait once more;
8. switch; 9. record; 10. drop the old connectors, tables, objects and topics.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace

from connectors.apply import run_connectors
from connectors.client import Connect
from connectors.files import SinkConnector, read_connectors, version_of
from ksql.apply import Deployment, create, delete_sink, drop_objects, drop_retired, retire_removed
from ksql.errors import ToolError
from ksql.lag import Lag, Offsets
from ksql.plan import Action, Plan
from ksql.record import Applied, AppliedObject, object_from_json, object_to_json

_CLOSE_ENOUGH_S = 8.0
"""When a whole pass of waiting takes no longer than this, the new version is close behind the old one."""


def rebuild(deployment: Deployment, plan: Plan, applied: Applied) -> Applied:
    """Carry out the rebuild of the plan, from the beginning or from where it was interrupted."""
    version = plan.version
    if version is None:
        return applied
    targets = [one.target for one in plan.of(Action.REBUILT) if one.target is not None]
    if not plan.resumes:
        deployment.step("record the intent")
        applied = replace(
            applied,
            rebuild={"version": version, "objects": [object_to_json(target) for target in targets]},
            highest_version=version,
        )
        applied.save(deployment.settings, did=f"began to rebuild as version {version}")
    deployment.progress(f"version {version}: {'going on with' if plan.resumes else 'filling'} {len(targets)} objects")
    for target in targets:
        deployment.step(f"create {target.server_name}")
        create(deployment, target)
    deployment.step("create tables")
    deployment.tables.create(version)
    after = _in_force_afterwards(applied, targets, version)
    wanted = [
        connector.versioned(version, after.topic(connector.topic))
        for connector in read_connectors(deployment.settings.connectors_dir)
    ]
    with Connect(deployment.settings.connect_url, deployment.settings.timeout_s) as connect:
        deployment.step("create connectors")
        run_connectors(deployment.settings, wanted, connect)
        _wait_until_close(deployment, after, targets, wanted)
        deployment.step("stop the old connectors")
        _stop_others(connect, version, deployment.settings.timeout_s)
        deployment.step("wait for the last records")
        _wait_caught_up(deployment, after, targets, wanted)
        deployment.step("switch")
        deployment.tables.switch(version)
        deployment.progress(f"version {version}: PostgreSQL shows it now")
    deployment.step("record the switch")
    old = [applied.objects[target.name] for target in targets if target.name in applied.objects]
    # what is removed may read what is replaced, or be read by it: both are dropped in one order
    after = retire_removed(plan, replace(after, rebuild=None, retired=(*applied.retired, *old)))
    after.save(
        deployment.settings,
        did=f"switched to version {version}",
        details={"objects": [{"name": target.name, "checksum": target.checksum} for target in targets]},
    )
    return clean_up(deployment, after)


def clean_up(deployment: Deployment, applied: Applied) -> Applied:
    """Drop connectors and tables of every version but the one that is read, and objects that were replaced."""
    with Connect(deployment.settings.connect_url, deployment.settings.timeout_s) as connect:
        for name in connect.names():
            if _is_of_another_version(name, applied):
                delete_sink(deployment, connect, name)
    for group in deployment.positions.groups("connect-sink_"):  # of connectors whose deletion was interrupted
        if _is_of_another_version(group.removeprefix("connect-"), applied):
            deployment.positions.forget(group)
    for version in deployment.tables.versions():
        if version != applied.tables_version:
            deployment.step(f"drop tables of version {version}")
            deployment.tables.drop(version)
    return drop_retired(deployment, applied)


def _is_of_another_version(connector: str, applied: Applied) -> bool:
    found = version_of(connector)
    return found is not None and found[1] != applied.tables_version


def abandon(deployment: Deployment, applied: Applied) -> Applied:
    """Drop what an interrupted rebuild had made, unless PostgreSQL shows it already: then finish it."""
    pending = applied.rebuild
    if pending is None:
        return applied
    version = int(pending["version"])
    targets = [object_from_json(entry) for entry in pending["objects"]]
    if deployment.tables.version_read() == version:
        old = [applied.objects[target.name] for target in targets if target.name in applied.objects]
        after = _in_force_afterwards(applied, targets, version)
        after = replace(after, rebuild=None, retired=(*applied.retired, *old))
        after.save(deployment.settings, did=f"switched to version {version}")
        return clean_up(deployment, after)
    deployment.progress(f"version {version}: given up, the files ask for something else now")
    # once something of it is dropped it must not be gone on with: its topics may still hold records
    replace(applied, rebuild={**pending, "is_abandoned": True}).save(
        deployment.settings, did=f"began to give version {version} up"
    )
    with Connect(deployment.settings.connect_url, deployment.settings.timeout_s) as connect:
        for name in connect.names():
            found = version_of(name)
            if found is not None and found[1] == version:
                delete_sink(deployment, connect, name)
            elif found is not None and found[1] == applied.tables_version:
                connect.resume(name)
    deployment.step(f"drop tables of version {version}")
    deployment.tables.drop(version)
    drop_objects(deployment, tuple(targets))
    deployment.step("record")
    applied = replace(applied, rebuild=None, highest_version=max(applied.highest_version, version))
    applied.save(deployment.settings, did=f"gave version {version} up")
    return applied


def _in_force_afterwards(applied: Applied, targets: Iterable[AppliedObject], version: int) -> Applied:
    objects = {**applied.objects, **{target.name: target for target in targets}}
    return replace(applied, tables_version=version, objects=objects)


def _stop_others(connect: Connect, version: int, timeout_s: float) -> None:
    """Stop every connector of another version and wait until its last write is done."""
    others = [name for name in connect.names() if (found := version_of(name)) is not None and found[1] != version]
    for name in others:
        connect.stop(name)
    deadline = time.monotonic() + timeout_s
    while others:
        states = {name: connect.status(name) for name in others}
        others = [name for name, status in states.items() if status is not None and status.tasks]
        if others and time.monotonic() > deadline:
            raise ToolError(f"Still writing after {timeout_s:.0f} s, though told to stop: {', '.join(others)}.")
        if others:
            time.sleep(0.1)


def _wait_until_close(
    deployment: Deployment, after: Applied, targets: list[AppliedObject], connectors: list[SinkConnector]
) -> None:
    """Wait until a whole pass, from the log to the tables, is a matter of seconds."""
    while True:
        deployment.step("wait")
        began = time.monotonic()
        _wait_caught_up(deployment, after, targets, connectors)
        if time.monotonic() - began <= _CLOSE_ENOUGH_S:
            return


def _wait_caught_up(
    deployment: Deployment, after: Applied, targets: list[AppliedObject], connectors: list[SinkConnector]
) -> None:
    """Wait until everything that the log holds now has come through the new objects and connectors.

    One stage after the other: when a query has read its topics to the ends they have once the stage before is through,
    all that was in the log when this began is in what the query wrote.
    """
    for target in targets:
        if target.writes:
            _wait_query(deployment, after, target)
    for connector in connectors:
        _wait_group(deployment, connector)


def _wait_query(deployment: Deployment, after: Applied, target: AppliedObject) -> None:
    there = deployment.server.sources()
    sources = {there[after.objects[name].server_name].topic for name in target.reads}
    clock = _Patience(deployment, target.server_name)
    _wait_positions(deployment, target, sources, clock)
    # a query that groups anew writes to itself first: what it wrote is read when its sources are
    listed = {one.topic for one in deployment.server.describe(target.server_name).positions}
    _wait_positions(deployment, target, listed - sources, clock)


def _wait_positions(deployment: Deployment, target: AppliedObject, topics: set[str], clock: _Patience) -> None:
    ends = deployment.positions.ends(topics)
    while True:
        found: Offsets = {}
        for one in deployment.server.describe(target.server_name).positions:
            key = (one.topic, one.partition)
            found[key] = min(found.get(key, one.committed), one.committed)
        lag = deployment.positions.lag(found, ends)
        if lag.done:
            return
        clock.wait(lag)


def _wait_group(deployment: Deployment, connector: SinkConnector) -> None:
    targets = deployment.positions.ends([connector.topic])
    clock = _Patience(deployment, connector.name)
    while True:
        lag = deployment.positions.lag(deployment.positions.committed(connector.group), targets)
        if lag.done:
            return
        clock.wait(lag)


class _Patience:
    """Shows progress, and gives up when there is none."""

    def __init__(self, deployment: Deployment, name: str) -> None:
        self._deployment = deployment
        self._name = name
        self._least = -1
        self._since = time.monotonic()
        self._told = time.monotonic()

    def wait(self, lag: Lag) -> None:
        """Sleep a little; raises ToolError when nothing moved for as long as the settings allow."""
        now = time.monotonic()
        if self._least < 0 or lag.records < self._least:
            self._least = lag.records
            self._since = now
        if now - self._told >= 1.0:
            self._told = now
            self._deployment.progress(f"{self._name}: {lag.records} records to go")
        if now - self._since > self._deployment.settings.timeout_s:
            limit_s = self._deployment.settings.timeout_s
            raise ToolError(
                f"{self._name} has not moved for {limit_s:.0f} s with {lag.records} records to go. The old version is "
                f"still read; look at scripts/status, then run apply again to go on."
            )
        time.sleep(0.1)
