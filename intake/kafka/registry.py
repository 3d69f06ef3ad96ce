"""Asks the registry for the schemas that decide, again and again, and keeps the last good one of each."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field

import httpx
import structlog

from intake.contract.avro import SchemaUnsupportedError
from intake.contract.contract import Contract
from intake.contract.rules import Limits, Rules, check_rules
from intake.rejections import RejectionEncoder
from intake.settings import Settings

log = structlog.get_logger("intake.registry")


class RegistryError(Exception):
    """The registry did not give a schema; the message says why."""


@dataclass(frozen=True)
class Served:
    """A schema as the registry serves it."""

    schema: str
    schema_id: int
    version: int


@dataclass
class Schemas:
    """What is in force now; None until the registry was reached for the first time."""

    checks: Contract | None = None
    rejections: RejectionEncoder | None = None
    problems: dict[str, str] = field(default_factory=dict)
    """By subject, why its newest schema could not be had or used; empty when all is well."""
    asked_at: float = 0.0
    """Monotonic time of the last answer from the registry, in seconds."""


async def latest(client: httpx.AsyncClient, subject: str) -> Served:
    """The newest version of a subject. Raises RegistryError."""
    try:
        answer = await client.get(f"/subjects/{subject}/versions/latest")
        if answer.status_code == 404:
            raise RegistryError(f"the registry has no subject {subject}: are the schemas applied?")
        answer.raise_for_status()
        found = answer.json()
        return Served(str(found["schema"]), int(found["id"]), int(found["version"]))
    except httpx.HTTPError as error:
        raise RegistryError(f"the registry does not answer: {error or type(error).__name__}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise RegistryError(f"the registry's answer is not understood: {error!r}") from error


class SchemaWatcher:
    """Keeps `schemas` current."""

    def __init__(self, settings: Settings, client: httpx.AsyncClient | None = None) -> None:
        self._settings = settings
        self._rules: Rules = check_rules(settings.limits)
        self._client = client or httpx.AsyncClient(base_url=settings.registry_url, timeout=5.0)
        self.schemas = Schemas()

    async def refresh(self) -> None:
        """Ask once; what cannot be had or used leaves what is in force, and says so in `problems`."""
        settings, schemas = self._settings, self.schemas
        for subject, use in (
            (settings.checks_subject, self._use_checks),
            (settings.rejected_subject, self._use_rejected),
        ):
            try:
                use(await latest(self._client, subject))
            except (RegistryError, SchemaUnsupportedError) as error:
                if schemas.problems.get(subject) != str(error):
                    schemas.problems[subject] = str(error)
                    log.warning("schema not refreshed", subject=subject, reason=str(error))
            else:
                schemas.asked_at = time.monotonic()
                if schemas.problems.pop(subject, None):
                    log.info("schema refreshed again", subject=subject)

    def _use_checks(self, served: Served) -> None:
        current = self.schemas.checks
        if current and (current.schema_id, current.version) == (served.schema_id, served.version):
            return
        contract = Contract(served.schema, served.schema_id, served.version, self._rules, self._settings.timezone)
        self.schemas.checks = contract
        log.info(
            "schema in force",
            subject=self._settings.checks_subject,
            version=served.version,
            schema_id=served.schema_id,
            fields=[f.name for f in contract.record.fields],
        )

    def _use_rejected(self, served: Served) -> None:
        current = self.schemas.rejections
        if current is None or current.schema_id != served.schema_id:
            self.schemas.rejections = RejectionEncoder(served.schema, served.schema_id)

    async def run(self) -> None:
        """Refresh for ever."""
        while True:
            await asyncio.sleep(self._settings.schema_refresh_s)
            await self.refresh()

    async def close(self) -> None:
        """Let go of the connections."""
        with contextlib.suppress(httpx.HTTPError):
            await self._client.aclose()


__all__ = ["Limits", "RegistryError", "SchemaWatcher", "Schemas", "Served", "latest"]
