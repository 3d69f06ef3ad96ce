"""Attempt limits named for their purpose, counted in PostgreSQL so that all workers and instances share them."""

import datetime as dt
import hashlib
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection

from analytics_api.problems import Problem
from analytics_api.settings import Settings

QUARTER_S = 900


@dataclass(frozen=True)
class Limit:
    """At most `attempts` in a window of `window_s` seconds for one subject."""

    name: str
    attempts: int
    window_s: int


@dataclass(frozen=True)
class Limits:
    """The limits that are in force."""

    login_user: Limit
    login_address: Limit
    login_overall: Limit
    registration_address: Limit

    @staticmethod
    def of(settings: Settings) -> "Limits":
        """Limits with the configured numbers."""
        return Limits(
            login_user=Limit("login_user", settings.login_limit_user, QUARTER_S),
            login_address=Limit("login_address", settings.login_limit_address, QUARTER_S),
            login_overall=Limit("login_overall", settings.login_limit_overall, 60),
            registration_address=Limit("registration_address", settings.registration_limit_address, 3600),
        )


# A window that has passed begins anew; the rows are locked in one order, so that attempts wait but never deadlock.
_COUNT = """
WITH w AS MATERIALIZED (
    SELECT name, subject, make_interval(secs => window_s) AS length
    FROM unnest(%(names)s::text[], %(subjects)s::text[], %(windows)s::int[]) AS n(name, subject, window_s)
    ORDER BY name, subject
)
INSERT INTO app.attempts AS a (limit_name, subject, window_start, attempts)
SELECT name, subject, now(), 1 FROM w
ON CONFLICT (limit_name, subject) DO UPDATE SET
    attempts = CASE WHEN a.window_start <= now() - (SELECT length FROM w WHERE name = a.limit_name LIMIT 1)
                    THEN 1 ELSE a.attempts + 1 END,
    window_start = CASE WHEN a.window_start <= now() - (SELECT length FROM w WHERE name = a.limit_name LIMIT 1)
                    THEN now() ELSE a.window_start END
RETURNING limit_name, attempts, window_start, now() AS at
"""


async def count(connection: AsyncConnection[Any], attempts: list[tuple[Limit, str]]) -> None:
    """Count one attempt against each limit. Raises Problem 429 with Retry-After when one is exceeded."""
    limits = {limit.name: limit for limit, _ in attempts}
    cursor = await connection.execute(
        _COUNT,
        {
            "names": [limit.name for limit, _ in attempts],
            "subjects": [_subject(subject) for _, subject in attempts],
            "windows": [limit.window_s for limit, _ in attempts],
        },
    )
    wait_s = 0.0
    for row in await cursor.fetchall():
        limit = limits[row["limit_name"]]
        if row["attempts"] > limit.attempts:
            ends = row["window_start"] + dt.timedelta(seconds=limit.window_s)
            wait_s = max(wait_s, (ends - row["at"]).total_seconds(), 1.0)
    if wait_s:
        raise Problem(
            429, "Too many attempts; wait before the next one.", headers={"Retry-After": str(int(wait_s) + 1)}
        )


async def forgive(connection: AsyncConnection[Any], attempts: list[tuple[Limit, str]]) -> None:
    """Take attempts back that turned out good; the rows are locked in the order of `count`."""
    await connection.execute(
        """
        WITH w AS MATERIALIZED (
            SELECT a.limit_name, a.subject FROM app.attempts a
            JOIN unnest(%(names)s::text[], %(subjects)s::text[]) AS n(name, subject)
              ON a.limit_name = n.name AND a.subject = n.subject
            ORDER BY a.limit_name, a.subject FOR UPDATE OF a
        )
        UPDATE app.attempts a SET attempts = greatest(a.attempts - 1, 0)
        FROM w WHERE a.limit_name = w.limit_name AND a.subject = w.subject
        """,
        {
            "names": [limit.name for limit, _ in attempts],
            "subjects": [_subject(subject) for _, subject in attempts],
        },
    )


async def clean(connection: AsyncConnection[Any]) -> None:
    """Forget windows that passed long ago."""
    await connection.execute("DELETE FROM app.attempts WHERE window_start < now() - interval '1 day'")


def _subject(subject: str) -> str:
    # Hashed: what people type into a name field by mistake is sometimes their password.
    return hashlib.sha256(subject.encode("utf-8", "surrogatepass")).hexdigest()[:32] if subject else ""
