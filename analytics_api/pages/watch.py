"""Which parts of the pipeline do not answer, for analysts: asked beside the requests, so that no page waits for it."""

import asyncio
import time
from dataclasses import dataclass, field

import structlog

from analytics_api.status.services import StatusReader

log = structlog.get_logger("analytics_api.pages")

FRESH_S = 10.0


@dataclass
class Watch:
    """What was known last."""

    reader: StatusReader
    _away: list[str] = field(default_factory=list)
    _asked_at: float = float("-inf")
    _task: "asyncio.Task[None] | None" = None

    def away(self) -> list[str]:
        """Names of parts that are not right, as last seen; asks again in the background when that is old."""
        if time.monotonic() - self._asked_at > FRESH_S and (self._task is None or self._task.done()):
            self._asked_at = time.monotonic()
            self._task = asyncio.create_task(self._ask())
        return self._away

    async def _ask(self) -> None:
        try:
            status = await self.reader.read()
        except Exception:
            log.warning("the pipeline's state cannot be read", exc_info=True)
            return
        self._away = [part.name for part in status.parts if not part.is_ok]
