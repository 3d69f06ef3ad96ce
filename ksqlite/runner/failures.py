"""What ended sessions: how long to wait before the next one, and which queries it does without."""

from __future__ import annotations

import logging
import traceback
from dataclasses import dataclass

from ksqlite.engine.graph import QueryFailedError
from ksqlite.errors import TopicError
from ksqlite.formats import RegistryError

_log = logging.getLogger("ksqlite.runner")

FIRST_S = 0.2
"""The pause after a failure; each further one doubles it."""
LONGEST_S = 10.0
"""The longest pause while Kafka or the registry is away: soon after they are back, so is the server."""
LONGEST_OWN_S = 60.0
"""The longest pause after failures of other causes: they do not pass by waiting."""
STEADY_S = 60.0
"""A session that ran for so long has left all earlier failures behind."""
QUERY_LIMIT = 3
"""After so many failures a query is set to ERROR, and the others go on without it."""


def is_outside(problem: BaseException) -> bool:
    """Whether Kafka, the registry or the machine is to blame, which may well be in order again next time."""
    if isinstance(problem, QueryFailedError):
        problem = problem.problem
    if isinstance(problem, (TopicError, RegistryError, OSError, MemoryError)):
        return True
    return any(base.__module__.startswith(("confluent_kafka", "cimpl")) for base in type(problem).__mro__)


def _origin(problem: BaseException) -> str:
    """Kind and place of an error."""
    frames = traceback.extract_tb(problem.__traceback__)
    return f"{type(problem).__name__} {frames[-1].filename}:{frames[-1].lineno}" if frames else type(problem).__name__


@dataclass(frozen=True, slots=True)
class Failure:
    """A session's end. ``count`` says how often this very failure came, ``pause_s`` how long to wait now."""

    reason: str
    count: int
    pause_s: float


class Failures:
    """Counts failures by their cause. ``queries`` holds the ids of queries in ERROR and why they are.

    A pause is as short as the first one again only after a session that committed something and did not end by what
    had ended one before it, or that ran for a while.
    """

    def __init__(self) -> None:
        self.queries: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        self._in_a_row = 0

    @property
    def in_a_row(self) -> int:
        """How many sessions failed without one between them that did well."""
        return self._in_a_row

    def did_well(self) -> None:
        """The session has run for long enough to forget what was before it."""
        self._counts.clear()
        self._in_a_row = 0

    def count(self, problem: BaseException, *, committed: bool) -> Failure:
        """Takes in what ended a session. ``committed``: it had committed something before."""
        reason = " ".join(f"{type(problem).__name__}: {problem}".split())
        query_id = problem.query_id if isinstance(problem, QueryFailedError) else None
        outside = is_outside(problem)
        # the text may tell an offset or a time: it is the same failure with another one
        cause = _origin(problem) if query_id is None or outside else query_id
        times = self._counts[cause] = self._counts.get(cause, 0) + 1
        self._in_a_row = 1 if committed and times == 1 else self._in_a_row + 1
        pause_s = min(FIRST_S * 2 ** min(self._in_a_row - 1, 20), LONGEST_S if outside else LONGEST_OWN_S)
        if query_id is not None and not outside and times >= QUERY_LIMIT:
            self.queries[query_id] = reason
            del self._counts[query_id]
            self._in_a_row = 0
            pause_s = FIRST_S
            _log.error("query %s is set to ERROR after %d failures: %s", query_id, times, reason)
        return Failure(reason, times, pause_s)
