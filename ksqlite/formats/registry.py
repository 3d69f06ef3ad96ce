"""Schema registries: in memory for tests, over Confluent's HTTP API otherwise."""

from __future__ import annotations

import base64
import http.client
import json
import threading
import urllib.parse
from typing import Any

from ksqlite.formats.api import RegisteredSchema, RegistryError


class MemoryRegistry:
    """A registry that lives and dies with the process."""

    def __init__(self) -> None:
        self._by_id: dict[int, RegisteredSchema] = {}
        self._subjects: dict[str, list[RegisteredSchema]] = {}

    def latest(self, subject: str) -> RegisteredSchema | None:
        """The newest schema of a subject, or None."""
        versions = self._subjects.get(subject)
        return versions[-1] if versions else None

    def by_id(self, schema_id: int) -> RegisteredSchema | None:
        """The schema with an id, or None."""
        return self._by_id.get(schema_id)

    def register(self, subject: str, text: str, schema_type: str = "AVRO", schema_id: int | None = None) -> int:
        """The id of the schema under the subject. ``schema_id`` asks for a certain one (test cases do)."""
        versions = self._subjects.setdefault(subject, [])
        for schema in versions:
            if schema.text == text and schema.type == schema_type and schema_id in (None, schema.id):
                return schema.id
        if schema_id is None:
            same = [s.id for s in self._by_id.values() if s.text == text and s.type == schema_type]
            schema_id = same[0] if same else max(self._by_id, default=0) + 1
        made = RegisteredSchema(schema_id, text, schema_type, len(versions) + 1)
        self._by_id[schema_id] = made
        versions.append(made)
        return schema_id

    def subjects(self) -> list[str]:
        """All subjects, sorted."""
        return sorted(self._subjects)

    def delete(self, subject: str) -> None:
        """Deletes a subject; ids stay known."""
        self._subjects.pop(subject, None)


class HttpRegistry:
    """Confluent's schema registry API, as Apicurio offers it too (``…/apis/ccompat/v7``)."""

    def __init__(self, url: str, *, timeout_s: float = 10.0) -> None:
        parts = urllib.parse.urlsplit(url)
        self._secure = parts.scheme == "https"
        self._host = parts.hostname or "127.0.0.1"
        self._port = parts.port or (443 if self._secure else 80)
        self._path = parts.path.rstrip("/")
        self._timeout_s = timeout_s
        self._headers = {"Accept": "application/vnd.schemaregistry.v1+json, application/json"}
        if parts.username:
            given = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
            self._headers["Authorization"] = f"Basic {base64.b64encode(given.encode()).decode()}"
        self._connection: http.client.HTTPConnection | None = None
        self._lock = threading.Lock()
        self._ids: dict[int, RegisteredSchema] = {}

    def close(self) -> None:
        """Closes the connection that is kept; the next call opens another."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _open(self) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        return kind(self._host, self._port, timeout=self._timeout_s)

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
        data = json.dumps(body).encode() if body is not None else None
        headers = {**self._headers, **({"Content-Type": "application/json"} if data else {})}
        with self._lock:
            for attempt in (1, 2):
                kept = self._connection is not None
                connection = self._connection or self._open()
                try:
                    connection.request(method, self._path + path, data, headers)
                    answer = connection.getresponse()
                    content = answer.read()
                except (OSError, http.client.HTTPException) as problem:
                    connection.close()
                    self._connection = None
                    if kept and attempt == 1:
                        continue  # a kept connection that the registry has closed meanwhile
                    raise RegistryError(
                        f"Schema registry {self._host}:{self._port} cannot be reached: {problem}"
                    ) from None
                self._connection = connection
                break
        try:
            return answer.status, json.loads(content) if content else None
        except ValueError:
            return answer.status, content.decode(errors="replace")

    @staticmethod
    def _refused(status: int, answer: Any) -> RegistryError:  # noqa: ANN401 - any JSON
        message = answer.get("message") if isinstance(answer, dict) else answer
        return RegistryError(f"Schema registry answered {status}: {message}")

    @staticmethod
    def _subject(subject: str) -> str:
        return urllib.parse.quote(subject, safe="")

    def latest(self, subject: str) -> RegisteredSchema | None:
        """The newest schema of a subject, or None. Raises RegistryError."""
        status, answer = self._call("GET", f"/subjects/{self._subject(subject)}/versions/latest")
        if status == 404:
            return None
        if status != 200:
            raise self._refused(status, answer)
        return RegisteredSchema(
            int(answer["id"]),
            answer["schema"],
            answer.get("schemaType") or "AVRO",
            int(answer.get("version", 1)),
            tuple(answer.get("references") or ()),
        )

    def by_id(self, schema_id: int) -> RegisteredSchema | None:
        """The schema with an id, or None; asked once. Raises RegistryError."""
        known = self._ids.get(schema_id)
        if known is None:
            status, answer = self._call("GET", f"/schemas/ids/{schema_id}")
            if status == 404:
                return None
            if status != 200:
                raise self._refused(status, answer)
            known = RegisteredSchema(
                schema_id,
                answer["schema"],
                answer.get("schemaType") or "AVRO",
                1,
                tuple(answer.get("references") or ()),
            )
            self._ids[schema_id] = known
        return known

    def register(self, subject: str, text: str, schema_type: str = "AVRO") -> int:
        """The id of the schema under the subject. Raises RegistryError (incompatible, unreachable)."""
        body = {"schema": text} if schema_type == "AVRO" else {"schema": text, "schemaType": schema_type}
        status, answer = self._call("POST", f"/subjects/{self._subject(subject)}/versions", body)
        if status != 200:
            raise self._refused(status, answer)
        return int(answer["id"])

    def subjects(self) -> list[str]:
        """All subjects, sorted. Raises RegistryError."""
        status, answer = self._call("GET", "/subjects")
        if status != 200:
            raise self._refused(status, answer)
        return sorted(answer)

    def delete(self, subject: str) -> None:
        """Deletes a subject, for good; no error when it is not there. Raises RegistryError."""
        path = f"/subjects/{self._subject(subject)}"
        for call in (path, f"{path}?permanent=true"):
            status, answer = self._call("DELETE", call)
            if status not in (200, 204, 404):
                raise self._refused(status, answer)
