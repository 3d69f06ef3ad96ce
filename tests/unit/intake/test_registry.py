"""The schema that decides, through a registry that is away, wrong, or has something new."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from intake.kafka.registry import SchemaWatcher
from intake.settings import load
from stack.settings import CHECKOUT

CHECK = (CHECKOUT / "schemas" / "check.avsc").read_text(encoding="utf-8")
REJECTED = (CHECKOUT / "schemas" / "rejected_check.avsc").read_text(encoding="utf-8")


class Registry:
    """Answers as a registry does."""

    def __init__(self) -> None:
        self.away = False
        self.served: dict[str, tuple[int, int, str] | str] = {
            "checks-value": (1, 7, CHECK),
            "rejected_checks-value": (1, 8, REJECTED),
        }

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.away:
            raise httpx.ConnectError("connection refused")
        subject = request.url.path.split("/")[-3]
        found = self.served.get(subject)
        if found is None:
            return httpx.Response(404, json={"error_code": 40401})
        if isinstance(found, str):
            return httpx.Response(200, text=found)
        version, schema_id, schema = found
        return httpx.Response(200, json={"subject": subject, "version": version, "id": schema_id, "schema": schema})


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def watcher(registry: Registry) -> SchemaWatcher:
    client = httpx.AsyncClient(transport=httpx.MockTransport(registry), base_url="http://registry/apis/ccompat/v7")
    return SchemaWatcher(load({}), client)


def refresh(watcher: SchemaWatcher) -> None:
    asyncio.run(watcher.refresh())


def test_first_answer(watcher: Any) -> None:
    """The schema that the registry serves is in force, with its id and version."""
    refresh(watcher)
    assert watcher.schemas.checks is not None
    assert (watcher.schemas.checks.schema_id, watcher.schemas.checks.version) == (7, 1)
    assert watcher.schemas.rejections is not None
    assert watcher.schemas.problems == {}


def test_away_at_start(watcher: Any, registry: Any) -> None:
    """While the registry is away there is no schema, and it is said why; when it is back there is one."""
    registry.away = True
    refresh(watcher)
    assert not watcher.schemas.checks
    assert "does not answer" in watcher.schemas.problems["checks-value"]
    registry.away = False
    refresh(watcher)
    assert watcher.schemas.checks is not None
    assert watcher.schemas.problems == {}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda registry: setattr(registry, "away", True),
        lambda registry: registry.served.clear(),
        lambda registry: registry.served.update({"checks-value": "<html>"}),
        lambda registry: registry.served.update({"checks-value": '{"version": 2}'}),
        lambda registry: registry.served.update({"checks-value": (2, 9, "{}")}),
        lambda registry: registry.served.update(
            {"checks-value": (2, 9, '{"type": "record", "name": "R", "fields": []}')}
        ),
    ],
)
def test_last_good_schema_serves(watcher: Any, registry: Any, spoil: Callable[[Registry], None]) -> None:
    """A registry that goes away or serves what cannot be followed leaves the last schema in force, with an alarm."""
    refresh(watcher)
    before = watcher.schemas.checks
    spoil(registry)
    refresh(watcher)
    assert watcher.schemas.checks is before
    assert "checks-value" in watcher.schemas.problems


def test_new_version(watcher: Any, registry: Any) -> None:
    """A new version comes into force with the next look; the same version keeps its contract and its caches."""
    refresh(watcher)
    before = watcher.schemas.checks
    refresh(watcher)
    assert watcher.schemas.checks is before
    schema = json.loads(CHECK)
    schema["fields"].append({"name": "cashier", "type": ["null", "string"], "default": None})
    registry.served["checks-value"] = (2, 9, json.dumps(schema))
    refresh(watcher)
    assert watcher.schemas.checks is not None
    assert (watcher.schemas.checks.schema_id, watcher.schemas.checks.version) == (9, 2)
