"""A small client of Kafka Connect's REST API."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx

from ksql.errors import ToolError


@dataclass(frozen=True, slots=True)
class TaskStatus:
    """One task of a connector: its number, RUNNING, FAILED, PAUSED …, and the first line of its error."""

    number: int
    state: str
    error: str | None


@dataclass(frozen=True, slots=True)
class ConnectorStatus:
    """A connector and its tasks."""

    name: str
    state: str
    tasks: tuple[TaskStatus, ...]
    error: str | None

    @property
    def is_running(self) -> bool:
        """Whether the connector and at least one task run, and no task does anything else."""
        return self.state == "RUNNING" and bool(self.tasks) and all(task.state == "RUNNING" for task in self.tasks)

    @property
    def failure(self) -> str | None:
        """The first error, None when nothing failed."""
        errors = [self.error, *(task.error for task in self.tasks)]
        return next((error for error in errors if error), None)


class Connect:
    """Talks to one Connect cluster; every failure is a ToolError that names the address and what was asked."""

    def __init__(self, url: str, timeout_s: float = 60.0) -> None:
        self.url = url
        self._timeout_s = timeout_s
        self._http = httpx.Client(timeout=30.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._http.close()

    def names(self) -> list[str]:
        """Names of all connectors."""
        names: list[str] = self._ask("GET", "/connectors")
        return sorted(names)

    def config(self, name: str) -> dict[str, str] | None:
        """The configuration of a connector, None when there is none of this name."""
        config: dict[str, str] | None = self._ask("GET", f"/connectors/{name}/config", missing=None)
        return config

    def put(self, name: str, config: Mapping[str, str]) -> None:
        """Create the connector or change it to this configuration."""
        self._ask("PUT", f"/connectors/{name}/config", body={**config, "name": name})

    def delete(self, name: str) -> None:
        """Remove a connector; one that is not there is no mistake."""
        self._ask("DELETE", f"/connectors/{name}", missing=None)

    def pause(self, name: str) -> None:
        """Stop it from writing; its tasks stay."""
        self._ask("PUT", f"/connectors/{name}/pause", missing=None)

    def stop(self, name: str) -> None:
        """Stop it and its tasks, which commit where they are."""
        self._ask("PUT", f"/connectors/{name}/stop", missing=None)

    def resume(self, name: str) -> None:
        """Let it go on after pause or stop."""
        self._ask("PUT", f"/connectors/{name}/resume", missing=None)

    def restart(self, name: str, *, only_failed: bool) -> None:
        """Restart the connector and its tasks, or only those that failed."""
        flag = "true" if only_failed else "false"
        self._ask("POST", f"/connectors/{name}/restart?includeTasks=true&onlyFailed={flag}")

    def status(self, name: str) -> ConnectorStatus | None:
        """How the connector and its tasks are, None when there is none of this name (or not yet)."""
        answer = self._ask("GET", f"/connectors/{name}/status", missing=None)
        if answer is None:
            return None
        return ConnectorStatus(
            name=name,
            state=answer["connector"]["state"],
            tasks=tuple(
                TaskStatus(task["id"], task["state"], _first_line(task.get("trace"))) for task in answer["tasks"]
            ),
            error=_first_line(answer["connector"].get("trace")),
        )

    def wait_running(self, names: list[str], timeout_s: float) -> None:
        """Wait until all of them run; raises ToolError with the first error or with what they do instead."""
        deadline = time.monotonic() + timeout_s
        waiting = list(names)
        while waiting:
            states = {name: self.status(name) for name in waiting}
            failed = next((status for status in states.values() if status and status.failure), None)
            if failed is not None and time.monotonic() > deadline - timeout_s / 2:
                raise ToolError(f"Connector {failed.name} failed: {failed.failure}")
            waiting = [name for name, status in states.items() if status is None or not status.is_running]
            if waiting and time.monotonic() > deadline:
                words = ", ".join(f"{name} {_words(states[name])}" for name in waiting)
                raise ToolError(f"Not running after {timeout_s:.0f} s: {words}.")
            if waiting:
                time.sleep(0.2)

    def _ask(self, method: str, path: str, *, body: object = None, missing: Any = ...) -> Any:  # noqa: ANN401 - JSON
        deadline = time.monotonic() + self._timeout_s
        while True:
            try:
                answer = self._http.request(method, self.url + path, json=body)
            except httpx.HTTPError as error:
                raise ToolError(f"Kafka Connect at {self.url} does not answer: {error!r}") from error
            if not _is_rebalancing(answer):
                break
            if time.monotonic() > deadline:
                raise ToolError(f"Kafka Connect at {self.url} is still rebalancing after {self._timeout_s:.0f} s.")
            time.sleep(0.2)
        if answer.status_code == httpx.codes.NOT_FOUND and missing is not ...:
            return missing
        if answer.is_error:
            raise ToolError(f"Kafka Connect refused {method} {path}: {answer.status_code} {_reason(answer)}")
        return answer.json() if answer.content else None


def _is_rebalancing(answer: httpx.Response) -> bool:
    """A worker that waits for its group says so as 409, 503, or 500 with the word in it."""
    if answer.status_code == httpx.codes.INTERNAL_SERVER_ERROR:
        return "rebalance" in answer.text
    return answer.status_code in {httpx.codes.CONFLICT, httpx.codes.SERVICE_UNAVAILABLE}


def _words(status: ConnectorStatus | None) -> str:
    if status is None:
        return "is unknown"
    tasks = ", ".join(task.state for task in status.tasks) or "no tasks"
    return f"is {status.state} ({tasks})"


def _first_line(trace: str | None) -> str | None:
    if not trace:
        return None
    causes = [line for line in trace.splitlines() if line.startswith("Caused by:")]
    first = trace.splitlines()[0]
    return f"{first} ({causes[-1]})" if causes else first


def _reason(answer: httpx.Response) -> str:
    try:
        body = answer.json()
    except ValueError:
        return answer.text[:300]
    return str(body.get("message", body))[:600] if isinstance(body, dict) else str(body)[:300]
