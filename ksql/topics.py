"""Creates the topics that topics.json declares, and keeps their settings; partitions are never changed.

A topic of a later version of an object (``sales_v2``) has the settings of the first (``sales``).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from ksql.errors import FileError, ToolError
from ksql.settings import Settings

_SILENT = logging.getLogger("ksql.topics.silent")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False
"""Swallows the client's own chatter: an unreachable broker is reported once, by a ToolError."""


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """What one topic must be like."""

    name: str
    partitions: int
    replication_factor: int
    config: Mapping[str, str]
    create_config: Mapping[str, str]
    """Settings it is created with, where they differ from those it has later."""
    refill_source: bool
    """Whether everything that was ever written to it can be read from it again."""
    about: str


@dataclass(frozen=True, slots=True)
class TopicChange:
    """What was, or would be, done to one topic."""

    name: str
    action: str
    """unchanged, created, or the settings that were changed."""


class Topics:
    """The declared topics, by name."""

    def __init__(self, specs: Mapping[str, TopicSpec], dead_letters: TopicSpec) -> None:
        self._specs = dict(specs)
        self._dead_letters = dead_letters

    def __iter__(self) -> Iterator[TopicSpec]:
        return iter(self._specs.values())

    def __contains__(self, name: str) -> bool:
        return name in self._specs

    def spec(self, name: str, base: str | None = None) -> TopicSpec | None:
        """The declaration of a topic, or of ``base`` under the name of its later version; None when undeclared."""
        found = self._specs.get(base or name)
        return None if found is None else _renamed(found, name)

    def dead_letter(self, name: str) -> TopicSpec:
        """The declaration of a dead-letter topic."""
        return _renamed(self._dead_letters, name)


def _renamed(spec: TopicSpec, name: str) -> TopicSpec:
    return TopicSpec(
        name=name,
        partitions=spec.partitions,
        replication_factor=spec.replication_factor,
        config=spec.config,
        create_config=spec.create_config,
        refill_source=spec.refill_source,
        about=spec.about,
    )


def read_topics(settings: Settings) -> Topics:
    """Read topics.json; raises FileError for what it cannot mean."""
    file = settings.ksql_dir / "topics.json"
    document = _document(file)
    defaults = document["defaults"]

    def spec(name: str, entry: dict[str, Any]) -> TopicSpec:
        config = {**defaults["config"], **entry.get("config", {})}
        return TopicSpec(
            name=name,
            partitions=entry.get("partitions") or settings.partitions or defaults["partitions"],
            replication_factor=settings.replication_factor or defaults["replication_factor"],
            config=config,
            create_config={**config, **entry.get("create_config", {})},
            refill_source=entry.get("refill_source", True),
            about=entry.get("about", ""),
        )

    return Topics(
        {name: spec(name, entry) for name, entry in document["topics"].items()},
        spec("dead letters", document["dead_letters"]),
    )


def _document(file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ToolError(f"{file} does not exist.") from error
    except json.JSONDecodeError as error:
        raise FileError(file.name, error.lineno, error.colno, f"not JSON: {error.msg}") from error
    for part in ("defaults", "topics", "dead_letters"):
        if part not in document:
            raise FileError(file.name, 1, 1, f"lacks {part!r}")
    result: dict[str, Any] = document
    return result


class TopicAdmin:
    """Makes topics be as declared; every failure is a ToolError of one line."""

    def __init__(self, settings: Settings) -> None:
        self.address = settings.kafka
        self._timeout_s = min(settings.timeout_s, 30.0)
        self.client = AdminClient(
            {"bootstrap.servers": settings.kafka, "socket.timeout.ms": 15_000, "log_level": 0}, logger=_SILENT
        )

    def partitions(self) -> dict[str, int]:
        """Partition count of every topic of the broker."""
        try:
            listed = self.client.list_topics(timeout=self._timeout_s).topics
        except KafkaException as error:
            raise ToolError(f"Kafka at {self.address} does not answer: {error.args[0].str()}") from error
        return {name: len(topic.partitions) for name, topic in listed.items()}

    def ensure(self, specs: Iterable[TopicSpec], *, dry_run: bool = False) -> list[TopicChange]:
        """Create what is missing and set what differs; a topic with other partitions is refused before any change."""
        wanted = list(specs)
        there = self.partitions()
        for spec in wanted:
            if there.get(spec.name, spec.partitions) != spec.partitions:
                raise ToolError(
                    f"Topic {spec.name} has {there[spec.name]} partitions and {spec.partitions} are declared: a key "
                    f"would move to another partition. Set CHECKS_PARTITIONS={there[spec.name]}, or make a new topic "
                    f"and rebuild (docs/scaling.md)."
                )
        missing = [spec for spec in wanted if spec.name not in there]
        if not dry_run:
            self._create(missing)
        changes = [TopicChange(spec.name, "missing" if dry_run else "created") for spec in missing]
        existing = [spec for spec in wanted if spec.name in there]
        current = self.settings_of([spec.name for spec in existing])
        for spec in existing:
            differing = _differences(spec, current[spec.name])
            if differing and not dry_run:
                self.alter(spec.name, differing)
            words = ", ".join(f"{key}={value}" for key, value in differing.items())
            changes.append(TopicChange(spec.name, words or "unchanged"))
        return changes

    def settings_of(self, names: Iterable[str]) -> dict[str, dict[str, str]]:
        """The settings in force of each topic."""
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        if not resources:
            return {}
        found = {}
        for resource, future in self.client.describe_configs(resources).items():
            entries = self._done(future, f"read the settings of topic {resource.name}")
            found[resource.name] = {key: str(entry.value) for key, entry in entries.items()}
        return found

    def alter(self, name: str, config: Mapping[str, str]) -> None:
        """Set these settings of a topic and leave its others as they are."""
        entries = [
            ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET) for key, value in config.items()
        ]
        resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries)
        for future in self.client.incremental_alter_configs([resource]).values():
            self._done(future, f"set {dict(config)} on topic {name}")

    def delete(self, names: Iterable[str]) -> None:
        """Delete topics; those that do not exist are no mistake."""
        doomed = list(names)
        if not doomed:
            return
        for name, future in self.client.delete_topics(doomed, operation_timeout=self._timeout_s).items():
            self._done(future, f"delete topic {name}", ignoring=KafkaError.UNKNOWN_TOPIC_OR_PART)

    def _create(self, specs: list[TopicSpec]) -> None:
        if not specs:
            return
        new = [
            NewTopic(
                spec.name,
                num_partitions=spec.partitions,
                replication_factor=spec.replication_factor,
                config=dict(spec.create_config),
            )
            for spec in specs
        ]
        for name, future in self.client.create_topics(new, operation_timeout=self._timeout_s).items():
            self._done(future, f"create topic {name}", ignoring=KafkaError.TOPIC_ALREADY_EXISTS)

    def _done(self, future: Any, what: str, *, ignoring: int | None = None) -> Any:  # noqa: ANN401 - the client's own
        try:
            return future.result(timeout=self._timeout_s)
        except KafkaException as error:
            if error.args[0].code() == ignoring:
                return None
            raise ToolError(f"Kafka at {self.address} did not {what}: {error.args[0].str()}") from error
        except TimeoutError as error:
            raise ToolError(f"Kafka at {self.address} did not {what} within {self._timeout_s:.0f} s.") from error


def _differences(spec: TopicSpec, current: Mapping[str, str]) -> dict[str, str]:
    """Settings to change; one that still has its first value is left to ``ksql apply``, which knows when it may go."""
    return {
        key: value
        for key, value in spec.config.items()
        if current.get(key) != value
        and (spec.create_config[key] == value or current.get(key) != spec.create_config[key])
    }


def apply_topics(settings: Settings, *, dry_run: bool = False, dead_letters: Iterable[str] = ()) -> list[TopicChange]:
    """Make every declared topic, and these dead-letter topics, be as declared; a rebuilt one under its new name."""
    from ksql.record import Applied  # noqa: PLC0415 - the record keeps to a topic that is declared here

    topics = read_topics(settings)
    versions = {one.topic: one.server_topic for one in Applied.load(settings).objects.values() if one.writes}
    specs = [_renamed(spec, versions.get(spec.name, spec.name)) for spec in topics]
    specs += [topics.dead_letter(name) for name in dead_letters]
    return TopicAdmin(settings).ensure(specs, dry_run=dry_run)
