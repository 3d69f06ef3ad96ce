"""How far the pipeline is behind its log: offsets of the groups that read its topics, read now and then in a thread."""

import asyncio
import datetime as dt
import json
import logging
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from msgspec import Struct

from analytics_api.db import Database
from analytics_api.settings import Settings
from analytics_api.snapshots.services import Behind
from ksql.errors import ToolError
from ksql.lag import Positions

log = structlog.get_logger("analytics_api.lag")

FRESH_S = 5.0
STALE_S = 60.0
"""An older answer than this is none."""
PATIENCE_S = 2.0
"""How long somebody who looks waits for Kafka."""
AT_ONCE = 8
THOROUGH_S = 20.0
"""How long a snapshot waits, which writes down how far behind the pipeline was."""
ANSWER_S = 2.0
SILENT = logging.getLogger("analytics_api.lag.silent")
SILENT.addHandler(logging.NullHandler())
SILENT.propagate = False
_VERSIONED = re.compile(r"_v\d+$")


class GroupLag(Struct):
    """What one reader of the pipeline has still to read of one topic."""

    group: str
    topic: str
    records: int
    oldest_s: float | None = None
    """Age of the first record that it has not read, where the topic's time is that of arrival."""


class DeadLetters(Struct):
    """Records that a connector could not write, waiting in a topic of their own."""

    topic: str
    records: int


@dataclass(frozen=True)
class Reading:
    """What Kafka said, or that it did not."""

    lags: list[GroupLag]
    dead_letters: list[DeadLetters]
    error: str = ""


class KafkaAway(Exception):  # noqa: N818  (named for what happened)
    """Kafka did not answer."""


class StillReading(KafkaAway):
    """Kafka answers, and its readers have not all been asked yet."""


def pipeline_topics() -> frozenset[str]:
    """Names of the pipeline's topics, as they are declared."""
    declared = json.loads((Path(__file__).parents[2] / "ksql" / "topics.json").read_text("utf-8"))
    return frozenset(declared["topics"])


@dataclass
class Lags:
    """Lags of all groups, at most FRESH_S old; older ones while Kafka takes its time."""

    settings: Settings
    database: Database
    _positions: Positions | None = None
    _read_at: float = float("-inf")
    _found: "Reading | None" = None
    _task: "asyncio.Task[None] | None" = None
    _is_answering: bool = False

    async def groups(self, patience_s: float = PATIENCE_S) -> list[GroupLag]:
        """Lag of every group that reads the pipeline's topics. Raises KafkaAway."""
        return (await self._fresh(patience_s)).lags

    async def dead_letters(self) -> list[DeadLetters]:
        """Records in each dead-letter topic. Raises KafkaAway."""
        return (await self._fresh(PATIENCE_S)).dead_letters

    async def _fresh(self, patience_s: float) -> "Reading":
        # An absent Kafka is remembered as long, so that nobody waits for it again and again.
        if self._age_s() > FRESH_S:
            if self._task is None or self._task.done():
                self._task = asyncio.create_task(self._ask())
            # What is not read in time goes on being read, for whoever asks next.
            await asyncio.wait({self._task}, timeout=patience_s)
        if self._found is None or self._age_s() > max(STALE_S, patience_s):
            raise StillReading if self._is_answering else KafkaAway
        if self._found.error:
            raise KafkaAway(self._found.error)
        return self._found

    async def _ask(self) -> None:
        self._found = await asyncio.to_thread(self._read)
        self._read_at = time.monotonic()

    def _age_s(self) -> float:
        return time.monotonic() - self._read_at

    async def behind(self) -> Behind:
        """How far the pipeline as a whole is behind; nothing known where Kafka does not answer."""
        try:
            found = await self.groups(patience_s=THOROUGH_S)
        except KafkaAway:
            return Behind(None, None)
        records = sum(lag.records for lag in found)
        if not records:
            return Behind(0, 0.0)
        oldest = [lag.oldest_s for lag in found if lag.oldest_s is not None]
        if oldest:
            return Behind(records, max(oldest))
        async with self.database.connection() as connection:
            row = await (await connection.execute("SELECT max(received_at) AS at FROM figures.sales")).fetchone()
        newest = row["at"] if row else None
        return Behind(records, (dt.datetime.now(dt.UTC) - newest).total_seconds() if newest else None)

    def _read(self) -> "Reading":
        try:
            admin = AdminClient({"bootstrap.servers": self.settings.kafka, "log_level": 0}, logger=SILENT)
            # Asked first, with little patience: everything after it would wait longer for a Kafka that is not there.
            self._is_answering = False
            topics = admin.list_topics(timeout=ANSWER_S).topics
            self._is_answering = True
            if self._positions is None:
                self._positions = Positions(self.settings.kafka)
            dead = sorted(name for name in topics if name.startswith("dlq_"))
            sizes = self._positions.sizes(dead) if dead else {}
            letters = [DeadLetters(topic=topic, records=sizes.get(topic, 0)) for topic in dead]
            return Reading(self._lags(admin, self._positions), letters)
        except (ToolError, KafkaException) as error:
            return Reading([], [], str(error))

    def _lags(self, admin: AdminClient, positions: Positions) -> list[GroupLag]:
        names = pipeline_topics()
        listed = admin.list_consumer_groups(request_timeout=5).result()
        groups = sorted(g.group_id for g in listed.valid if "-probe-" not in g.group_id)
        # All at once: one after another they would take seconds on a busy machine.
        with ThreadPoolExecutor(AT_ONCE) as pool:
            committed = [
                {key: at for key, at in offsets.items() if _VERSIONED.sub("", key[0]) in names}
                for offsets in pool.map(positions.committed, groups)
            ]
        all_topics = {topic for offsets in committed for topic, _ in offsets}
        # Read after the groups, so that none of them is ahead of its topic's end.
        ends = positions.ends(all_topics) if all_topics else {}
        found = []
        for group, read in zip(groups, committed, strict=True):
            for topic in sorted({topic for topic, _ in read}):
                targets = {key: end for key, end in ends.items() if key[0] == topic}
                lag = positions.lag(read, targets)
                oldest = self._oldest_s(topic, read, targets) if lag.records and topic == "checks" else None
                found.append(
                    GroupLag(group=group, topic=topic, records=0 if lag.done else lag.records, oldest_s=oldest)
                )
        return found

    def _oldest_s(
        self, topic: str, committed: dict[tuple[str, int], int], targets: dict[tuple[str, int], int]
    ) -> float | None:
        unread = [
            TopicPartition(topic, partition, committed.get((topic, partition), 0))
            for (_, partition), end in targets.items()
            if committed.get((topic, partition), 0) < end
        ]
        consumer = Consumer(
            {
                "bootstrap.servers": self.settings.kafka,
                "group.id": "analytics_api-probe-age",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 10,
                "log_level": 0,
            },
            logger=SILENT,
        )
        ages = []
        try:
            for partition in unread:
                consumer.assign([partition])
                message = consumer.poll(2.0)
                if message is not None and message.error() is None:
                    ages.append(time.time() - message.timestamp()[1] / 1000)
        finally:
            consumer.close()
        return round(max(ages), 1) if ages else None
