"""Asks every part at the same time, and says in sentences what is not right."""

import asyncio
import datetime as dt
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
import psycopg

from analytics_api.db import Database
from analytics_api.problems import Problem, unavailable
from analytics_api.reconcile import services as reconciling
from analytics_api.reconcile.schemas import Reconciliation
from analytics_api.settings import Settings
from analytics_api.snapshots import services as snapshots
from analytics_api.snapshots.schemas import SnapshotRun
from analytics_api.status.lag import DeadLetters, GroupLag, KafkaAway, Lags, StillReading
from analytics_api.status.schemas import Connector, Part, Query, Status, Task

T = TypeVar("T")

STALLED_S = 60.0
TIMEOUT_S = 2.0
MOST_S = 2.5
"""No part is waited for longer, whatever it does: nobody looks at an empty page because of one that hangs."""
DAY_S = 86400.0


@dataclass(frozen=True)
class StatusReader:
    """Reads the state of the parts around this service."""

    client: httpx.AsyncClient
    database: Database
    settings: Settings
    lags: Lags

    async def read(self) -> Status:
        """The state of everything; a part that does not answer is told, never raised."""
        (
            (database, facts),
            intake,
            registry,
            (ksql, queries),
            (connect, connectors),
            (kafka, lags, dead),
        ) = await asyncio.gather(
            _in_time(self._database(), (_silent("postgres"), {})),
            _in_time(self._intake(), _silent("intake")),
            _in_time(self._registry(), _silent("registry")),
            _in_time(self._ksql(), (_silent("ksql"), [])),
            _in_time(self._connect(), (_silent("connect"), [])),
            _in_time(self._kafka(), (_silent("kafka"), [], [])),
        )
        parts = [intake, kafka, registry, ksql, connect, database]
        status = Status(
            is_ok=True,
            as_of=dt.datetime.now(dt.UTC),
            alarms=[],
            parts=parts,
            queries=queries,
            connectors=connectors,
            lags=lags,
            dead_letters=dead,
            figures_changed_at=facts.get("changed_at"),
            place_conflicts=facts.get("place_conflicts", 0),
            reconciliation=facts.get("reconciliation"),
            snapshot=facts.get("snapshot"),
        )
        status.alarms = alarms(status, now=status.as_of, settings=self.settings)
        status.is_ok = not status.alarms
        return status

    async def restart(self, connector: str) -> None:
        """Restart a connector and its failed tasks. Raises Problem 404, 503."""
        name = httpx.URL("http://x/").copy_with(path=f"/{connector}").raw_path.decode().lstrip("/").replace("/", "%2F")
        url = f"{self.settings.connect_url}/connectors/{name}/restart?includeTasks=true&onlyFailed=true"
        try:
            answer = await self.client.post(url, timeout=10.0)
        except httpx.HTTPError:
            raise unavailable("Kafka Connect does not answer.") from None
        if answer.status_code == 404:
            raise Problem(404, "There is no such connector.")
        if answer.status_code >= 400:
            raise unavailable("Kafka Connect could not restart it; try again in a moment.")

    async def _database(self) -> tuple[Part, dict[str, Any]]:
        try:
            started = time.perf_counter()
            async with self.database.connection() as connection:
                found = await connection.execute(
                    "SELECT current_setting('server_version') AS version,"
                    " (SELECT max(changed_at) FROM figures.changes) AS changed_at,"
                    " (SELECT version FROM app.pipelines WHERE is_read) AS pipeline,"
                    " (SELECT count(*) FROM figures.repeated_checks WHERE received_at > now() - interval '24 hours'"
                    "  AND place_id IS DISTINCT FROM first_place_id) AS place_conflicts"
                )
                row = await found.fetchone() or {}
            took_ms = (time.perf_counter() - started) * 1000
            detail = f"PostgreSQL {row['version']}, tables of version {row['pipeline']}, {took_ms:.0f} ms"
            facts: dict[str, Any] = {
                "changed_at": row["changed_at"],
                "place_conflicts": row["place_conflicts"],
                "reconciliation": await reconciling.latest(self.database),
                "snapshot": await last_snapshot(self.database),
            }
        except psycopg.Error:
            return _silent("postgres"), {}
        return Part("postgres", is_ok=True, detail=detail), facts

    async def _intake(self) -> Part:
        return await self._ask("intake", f"{self.settings.intake_url}/health/ready")

    async def _registry(self) -> Part:
        return await self._ask("registry", f"{self.settings.registry_url}/subjects")

    async def _ask(self, name: str, url: str) -> Part:
        try:
            answer = await self.client.get(url, timeout=TIMEOUT_S)
        except httpx.HTTPError:
            return _silent(name)
        if answer.status_code == 200:
            return Part(name, is_ok=True, detail="ready")
        return Part(name, is_ok=False, detail=_reason(answer))

    async def _ksql(self) -> tuple[Part, list[Query]]:
        try:
            info, health, shown = await asyncio.gather(
                self.client.get(f"{self.settings.ksql_url}/info", timeout=TIMEOUT_S),
                self.client.get(f"{self.settings.ksql_url}/healthcheck", timeout=TIMEOUT_S),
                self.client.post(f"{self.settings.ksql_url}/ksql", json={"ksql": "SHOW QUERIES;"}, timeout=TIMEOUT_S),
            )
            about = info.json().get("KsqlServerInfo", {})
            is_healthy = bool(health.json().get("isHealthy"))
            listed = shown.json()[0].get("queries", []) if shown.status_code == 200 else []
        except (httpx.HTTPError, ValueError, AttributeError, LookupError):
            return _silent("ksql"), []
        queries = [
            Query(
                query_id=str(query.get("id")),
                state=str(query.get("state") or "/".join(query.get("statusCount") or {})),
                sinks=[str(sink) for sink in query.get("sinkKafkaTopics") or query.get("sinks") or []],
            )
            for query in listed
        ]
        detail = f"version {about.get('version')}, {len(queries)} queries"
        return Part(
            "ksql", is_ok=is_healthy, detail=detail if is_healthy else f"{detail}, says it is not healthy"
        ), queries

    async def _connect(self) -> tuple[Part, list[Connector]]:
        try:
            answer = await self.client.get(f"{self.settings.connect_url}/connectors?expand=status", timeout=TIMEOUT_S)
            answer.raise_for_status()
            found = [_connector(name, entry["status"]) for name, entry in sorted(answer.json().items())]
        except (httpx.HTTPError, ValueError, AttributeError, LookupError):
            return _silent("connect"), []
        broken = [connector.name for connector in found if not connector.is_ok]
        detail = f"{len(found)} connectors" + (f"; not running: {', '.join(broken)}" if broken else "")
        return Part("connect", is_ok=not broken, detail=detail), found

    async def _kafka(self) -> tuple[Part, list[GroupLag], list[DeadLetters]]:
        try:
            lags = await self.lags.groups()
            dead = await self.lags.dead_letters()
        except StillReading:
            return Part("kafka", is_ok=True, detail="answers; its readers are still being asked"), [], []
        except KafkaAway:
            return _silent("kafka"), [], []
        return Part("kafka", is_ok=True, detail=f"{len(lags)} readers of the pipeline's topics"), lags, dead


def _silent(name: str) -> Part:
    return Part(name, is_ok=False, detail="does not answer")


async def _in_time(asking: Awaitable[T], otherwise: T) -> T:
    try:
        return await asyncio.wait_for(asking, MOST_S)
    except TimeoutError:
        return otherwise


def alarms(status: Status, *, now: dt.datetime, settings: Settings) -> list[str]:
    """What is not right, as sentences."""
    found = [f"{part.name}: {part.detail}." for part in status.parts if not part.is_ok]
    for lag in status.lags:
        if lag.oldest_s is not None and lag.oldest_s > DAY_S:
            found.append(f"{lag.group} is more than a day behind on {lag.topic}: {lag.records} records.")
        elif lag.oldest_s is not None and lag.oldest_s > STALLED_S:
            found.append(f"{lag.group} is {lag.oldest_s:.0f} s behind on {lag.topic}: {lag.records} records.")
    found.extend(f"{dead.topic} holds {dead.records} dead letters." for dead in status.dead_letters if dead.records)
    if status.place_conflicts:
        found.append(f"{status.place_conflicts} checks of the last 24 hours use an id that another place had used.")
    found.extend(_reconciliation_alarms(status.reconciliation, now, settings))
    found.extend(_snapshot_alarms(status.snapshot, now, settings))
    return found


def _reconciliation_alarms(last: Reconciliation | None, now: dt.datetime, settings: Settings) -> list[str]:
    if last is None:
        return []
    found = [
        f"Reconciliation found {d.count} {d.kind.replace('_', ' ')}; first: {', '.join(d.first[:3])}."
        for d in last.differences
    ]
    if last.outcome == "failed":
        found.append(f"Reconciliation could not compare: {last.note}.")
    if now - last.finished_at > dt.timedelta(seconds=5 * settings.reconcile_every_s):
        found.append(f"Reconciliation has not run since {last.finished_at.isoformat(timespec='seconds')}.")
    return found


def _snapshot_alarms(last: SnapshotRun | None, now: dt.datetime, settings: Settings) -> list[str]:
    if last is None or not settings.scheduler:
        return []
    if last.started_at < snapshots.due(now - dt.timedelta(minutes=5), settings.snapshot_minute):
        return [f"The hourly snapshot has not run since {last.started_at.isoformat(timespec='seconds')}."]
    return []


async def last_snapshot(database: Database) -> SnapshotRun | None:
    """The newest run."""
    found = await snapshots.runs(database, limit=1, cursor=None)
    return found.items[0] if found.items else None


def _connector(name: str, status: dict[str, Any]) -> Connector:
    tasks = [
        Task(
            number=int(task.get("id", 0)),
            state=str(task.get("state")),
            error=next(iter(str(task.get("trace") or "").strip().splitlines()), None),
        )
        for task in status.get("tasks", [])
    ]
    state = str(status.get("connector", {}).get("state"))
    is_ok = state == "RUNNING" and bool(tasks) and all(task.state == "RUNNING" for task in tasks)
    return Connector(name=name, is_ok=is_ok, state=state, tasks=tasks)


def _reason(answer: httpx.Response) -> str:
    try:
        body = answer.json()
        return str(body.get("detail") or body.get("title") or answer.status_code)[:300]
    except (ValueError, AttributeError):
        return f"answers {answer.status_code}"
