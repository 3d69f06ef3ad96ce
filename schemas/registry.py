"""A small client of the registry's Confluent-compatible API: subjects, versions and compatibility."""

from __future__ import annotations

import json
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx

from ksql.errors import ToolError


@dataclass(frozen=True, slots=True)
class RegisteredSchema:
    """One version of a subject as the registry holds it."""

    version: int
    schema_id: int
    schema: dict[str, Any]


class Registry:
    """Talks to one registry; every failure is a ToolError that names the address and what was asked."""

    def __init__(self, url: str, timeout_s: float = 15.0) -> None:
        self.url = url
        self._http = httpx.Client(timeout=timeout_s, headers={"Accept": "application/json"})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def versions(self, subject: str) -> list[RegisteredSchema]:
        """Every version of a subject, oldest first; empty when the registry does not know it."""
        numbers = self._ask("GET", f"/subjects/{subject}/versions", missing=[])
        return [self._version(subject, str(number)) for number in numbers]

    def latest(self, subject: str) -> RegisteredSchema | None:
        """The newest version of a subject, None when the registry does not know it."""
        answer = self._ask("GET", f"/subjects/{subject}/versions/latest", missing=None)
        return None if answer is None else _registered(answer)

    def by_id(self, schema_id: int) -> dict[str, Any]:
        """The schema that records with this id were written with; raises ToolError for an unknown id."""
        answer = self._ask("GET", f"/schemas/ids/{schema_id}")
        schema: dict[str, Any] = json.loads(answer["schema"])
        return schema

    def register(self, subject: str, schema_text: str) -> int:
        """Make sure the subject has this schema, and give its id."""
        return int(self._ask("POST", f"/subjects/{subject}/versions", body={"schema": schema_text})["id"])

    def compatibility(self, subject: str) -> str | None:
        """The level set for this subject alone, None when there is none."""
        answer = self._ask("GET", f"/config/{subject}", missing=None)
        if answer is None:
            return None
        level: str | None = answer.get("compatibilityLevel") or answer.get("compatibility")
        return level

    def set_compatibility(self, subject: str, level: str) -> None:
        """Set how compatible new versions of this subject must be."""
        self._ask("PUT", f"/config/{subject}", body={"compatibility": level})

    def incompatibilities(self, subject: str, schema_text: str) -> list[str]:
        """Why the registry would refuse this schema for a subject that it knows; empty when it would not."""
        answer = self._ask(
            "POST",
            f"/compatibility/subjects/{subject}/versions?verbose=true",
            body={"schema": schema_text},
            missing={"is_compatible": True},
        )
        if answer.get("is_compatible", True):
            return []
        messages = [str(message) for message in answer.get("messages") or []]
        return messages or ["the registry calls it incompatible and gives no reason"]

    def delete(self, subject: str) -> None:
        """Forget a subject with all its versions; nothing happens when the registry does not know it."""
        self._ask("DELETE", f"/subjects/{subject}", missing=[])

    def subjects(self) -> list[str]:
        """The names of all subjects."""
        names: list[str] = self._ask("GET", "/subjects")
        return names

    def _version(self, subject: str, number: str) -> RegisteredSchema:
        return _registered(self._ask("GET", f"/subjects/{subject}/versions/{number}"))

    def _ask(self, method: str, path: str, *, body: object = None, missing: Any = ...) -> Any:  # noqa: ANN401 - JSON
        try:
            answer = self._http.request(method, self.url + path, json=body)
        except httpx.HTTPError as error:
            raise ToolError(f"The schema registry at {self.url} does not answer: {error!r}") from error
        if answer.status_code == httpx.codes.NOT_FOUND and missing is not ...:
            return missing
        if answer.is_error:
            raise ToolError(f"The schema registry refused {method} {path}: {answer.status_code} {_reason(answer)}")
        return answer.json() if answer.content else None


def _registered(answer: dict[str, Any]) -> RegisteredSchema:
    return RegisteredSchema(
        version=int(answer["version"]), schema_id=int(answer["id"]), schema=json.loads(answer["schema"])
    )


def _reason(answer: httpx.Response) -> str:
    try:
        body = answer.json()
    except ValueError:
        return answer.text[:300]
    return str(body.get("message") or body)[:600] if isinstance(body, dict) else str(body)[:300]
