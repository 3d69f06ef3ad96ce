"""Reads connectors/*.json: one sink each, named after the table that it fills.

The files speak of the first version of topics and tables; ``versioned`` gives the same connector for a rebuilt one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ksql.errors import FileError, ToolError

_TABLE = re.compile(r"pipeline_v1\.(?P<table>[a-z_][a-z0-9_]*)")


@dataclass(frozen=True, slots=True)
class SinkConnector:
    """One connector as it is to run."""

    name: str
    table: str
    file: str
    topic: str
    config: Mapping[str, str]

    @property
    def dead_letter_topic(self) -> str:
        """Where records go that the table cannot take."""
        return self.config["errors.deadletterqueue.topic.name"]

    @property
    def key_fields(self) -> tuple[str, ...]:
        """The value's fields that make the table's primary key."""
        return tuple(name.strip() for name in self.config["primary.key.fields"].split(","))

    @property
    def group(self) -> str:
        """The consumer group that Connect reads the topic with."""
        return f"connect-{self.name}"

    def versioned(self, version: int, topic: str) -> SinkConnector:
        """The same connector, from ``topic`` into the tables of this version."""
        name = connector_name(self.table, version)
        collection = f"pipeline_v{version}.{self.table}"
        config = {**self.config, "topics": topic, "collection.name.format": collection}
        return SinkConnector(name=name, table=self.table, file=self.file, topic=topic, config=config)


def connector_name(table: str, version: int) -> str:
    """The name of the connector that fills this version of a table."""
    return f"sink_{table}" if version == 1 else f"sink_{table}_v{version}"


def version_of(name: str) -> tuple[str, int] | None:
    """Table and version of a connector's name, None for the name of a stranger."""
    match = re.fullmatch(r"sink_([a-z_0-9]+?)(?:_v(\d+))?", name)
    return (match[1], int(match[2] or 1)) if match else None


def read_connectors(folder: Path) -> list[SinkConnector]:
    """All connectors of the folder, by name; raises FileError for a file that cannot be one."""
    found = [_read(file) for file in sorted(folder.glob("*.json"))]
    if not found:
        raise ToolError(f"{folder} holds no connector.")
    return found


def _read(file: Path) -> SinkConnector:
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise FileError(file.name, error.lineno, error.colno, f"not JSON: {error.msg}") from error
    if not isinstance(config, dict) or not all(isinstance(value, str) for value in config.values()):
        raise FileError(file.name, 1, 1, "must hold one JSON object whose values are all strings")
    for name in ("connector.class", "topics", "collection.name.format", "primary.key.fields", "tasks.max"):
        if name not in config:
            raise FileError(file.name, 1, 1, f"lacks {name!r}")
    match = _TABLE.fullmatch(config["collection.name.format"])
    if match is None or match["table"] != file.stem:
        raise FileError(file.name, 1, 1, f"must write to pipeline_v1.{file.stem}, the table that it is named after")
    if config.get("errors.deadletterqueue.topic.name") != f"dlq_{file.stem}":
        raise FileError(file.name, 1, 1, f"must have dlq_{file.stem} as errors.deadletterqueue.topic.name")
    return SinkConnector(
        name=connector_name(file.stem, 1), table=file.stem, file=file.name, topic=config["topics"], config=config
    )
