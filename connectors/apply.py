"""Makes Connect run the connectors of the folder: plans, applies, waits until they run."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from connectors.client import Connect
from connectors.files import SinkConnector, read_connectors, version_of
from ksql.errors import ToolError
from ksql.lag import Positions
from ksql.record import Applied
from ksql.settings import Settings
from ksql.topics import TopicAdmin, read_topics


@dataclass(frozen=True, slots=True)
class ConnectorChange:
    """What was, or would be, done to one connector."""

    name: str
    action: str
    """unchanged, new, changed, removed."""
    differences: tuple[str, ...] = ()
    """Settings that differ, ``name: before -> after``."""


def current_connectors(settings: Settings, applied: Applied) -> list[SinkConnector]:
    """The connectors as they must run now: for the versions of topics and tables that are in force."""
    return [
        connector.versioned(applied.tables_version, applied.topic(connector.topic))
        for connector in read_connectors(settings.connectors_dir)
    ]


def plan_connectors(wanted: Iterable[SinkConnector], connect: Connect, version: int) -> list[ConnectorChange]:
    """Compare with what Connect runs; connectors of this version that nothing wants any more are removed."""
    there = connect.names()
    changes = []
    names = set()
    for connector in wanted:
        names.add(connector.name)
        current = connect.config(connector.name) if connector.name in there else None
        changes.append(_compare(connector, current))
    changes += [ConnectorChange(name, "removed") for name in there if name not in names and _is_ours(name, version)]
    return changes


def _is_ours(name: str, version: int) -> bool:
    parts = version_of(name)
    return parts is not None and parts[1] == version


def _compare(connector: SinkConnector, current: dict[str, str] | None) -> ConnectorChange:
    if current is None:
        return ConnectorChange(connector.name, "new")
    current = {key: value for key, value in current.items() if key != "name"}
    differences = tuple(
        f"{key}: {current.get(key)} -> {connector.config.get(key)}"
        for key in sorted({*current, *connector.config})
        if current.get(key) != connector.config.get(key)
    )
    return ConnectorChange(connector.name, "changed" if differences else "unchanged", differences)


def apply_connectors(settings: Settings, *, keep_removed: bool = False) -> list[ConnectorChange]:
    """Bring Connect to what the files say and wait until everything runs."""
    applied = Applied.load(settings)
    wanted = current_connectors(settings, applied)
    with Connect(settings.connect_url, settings.timeout_s) as connect:
        changes = plan_connectors(wanted, connect, applied.tables_version)
        run_connectors(settings, wanted, connect)
        for change in changes:
            if change.action == "removed" and not keep_removed:
                connect.delete(change.name)
                Positions(settings.kafka).forget(f"connect-{change.name}")
        return changes


def run_connectors(settings: Settings, wanted: Iterable[SinkConnector], connect: Connect) -> None:
    """Make these connectors run with their configuration, dead-letter topics first."""
    connectors = list(wanted)
    _ensure_topics(settings, connectors)
    there = connect.names()
    for connector in connectors:
        current = connect.config(connector.name) if connector.name in there else None
        if _compare(connector, current).action != "unchanged":
            connect.put(connector.name, connector.config)
        else:
            _revive(connector.name, connect)
    connect.wait_running([connector.name for connector in connectors], settings.timeout_s)


def _revive(name: str, connect: Connect) -> None:
    """A connector that was paused by an interrupted rebuild, or that failed, is set going again."""
    status = connect.status(name)
    if status is None or status.is_running:
        return
    if status.state in {"PAUSED", "STOPPED"}:
        connect.resume(name)
    elif status.failure:
        connect.restart(name, only_failed=True)


def _ensure_topics(settings: Settings, connectors: list[SinkConnector]) -> None:
    topics = read_topics(settings)
    admin = TopicAdmin(settings)
    admin.ensure(topics.dead_letter(connector.dead_letter_topic) for connector in connectors)
    missing = {connector.topic for connector in connectors} - set(admin.partitions())
    if missing:
        names = ", ".join(sorted(missing))
        raise ToolError(f"Topics that connectors read do not exist: {names}. Run scripts/ksql apply first.")


def watch_once(connect: Connect, names: Iterable[str]) -> list[str]:
    """Restart what failed; gives one line for each connector that was restarted."""
    lines = []
    for name in names:
        status = connect.status(name)
        if status is not None and status.failure:
            connect.restart(name, only_failed=True)
            lines.append(f"{name}: restarted at {time.strftime('%H:%M:%S')} after {status.failure}")
    return lines
