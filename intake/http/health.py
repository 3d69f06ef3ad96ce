"""Whether intake lives, whether it can take checks, and its numbers."""

from __future__ import annotations

import asyncio

import msgspec
from litestar import get

from intake.http.answers import Answer
from intake.http.requests import IntakeRequest, intake_of


class Readiness(msgspec.Struct):
    """Whether checks are taken, and what somebody should look at."""

    status: str
    reasons: list[str]
    alarms: list[str]
    schema_version: int | None
    queued: int


@get("/health/live")
async def live() -> Answer:
    """The process answers."""
    return Answer(200, b'{"status":"live"}')


@get("/health/ready")
async def ready(request: IntakeRequest) -> Answer:
    """Checks can be taken; an alarm alone is no reason to send them elsewhere."""
    intake = intake_of(request)
    reasons = intake.not_ready()
    found = Readiness(
        "not ready" if reasons else "ready",
        reasons,
        intake.alarms(),
        intake.schemas.checks.version if intake.schemas.checks else None,
        intake.producer.queued,
    )
    headers = [(b"retry-after", b"1")] if reasons else []
    return Answer(503 if reasons else 200, msgspec.json.encode(found), headers=headers)


@get("/metrics")
async def metrics(request: IntakeRequest) -> Answer:
    """All processes' numbers for Prometheus."""
    intake = intake_of(request)
    intake.measure()
    text = await asyncio.to_thread(intake.metrics.exposition)
    return Answer(200, text, b"text/plain; version=0.0.4; charset=utf-8")
