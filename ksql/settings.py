"""Addresses and limits that the pipeline's tools (ksql, schemas, connectors, dlq) work with, from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ksql.errors import ToolError

ROOT = Path(__file__).resolve().parent.parent
"""The checkout: ksql files, schemas and connectors are found in it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the tools read from the environment."""

    kafka: str = "127.0.0.1:9092"
    """Bootstrap servers (CHECKS_KAFKA)."""
    registry_url: str = "http://127.0.0.1:8081/apis/ccompat/v7"
    """Base of the registry's Confluent-compatible API (CHECKS_REGISTRY_URL)."""
    connect_url: str = "http://127.0.0.1:8083"
    """Kafka Connect's REST API (CHECKS_CONNECT_URL)."""
    ksql_url: str = "http://127.0.0.1:8088"
    """ksqlite or ksqlDB (CHECKS_KSQL_URL); credentials may stand in it, as http://user:password@host."""
    database_owner_url: str = "postgresql://checks_owner@127.0.0.1:5433/checks"
    """PostgreSQL as the role that owns the tables (CHECKS_DATABASE_OWNER_URL)."""
    partitions: int | None = None
    """Partitions of topics that are made anew (CHECKS_PARTITIONS); None: as topics.json says."""
    replication_factor: int | None = None
    """Copies of topics that are made anew (CHECKS_REPLICATION); None: as topics.json says."""
    timeout_s: float = 120.0
    """How long a deployment step may take before it is given up (CHECKS_APPLY_TIMEOUT_S)."""
    ksql_dir: Path = field(default=ROOT / "ksql")
    """Folder of the numbered .sql files and topics.json (CHECKS_KSQL_DIR)."""
    schemas_dir: Path = field(default=ROOT / "schemas")
    """Folder of the Avro schemas and subjects.json (CHECKS_SCHEMAS_DIR)."""
    connectors_dir: Path = field(default=ROOT / "connectors")
    """Folder of the connectors' JSON files (CHECKS_CONNECTORS_DIR)."""


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings; raises ToolError for a value that cannot be used."""
    default = Settings()

    def number(name: str) -> int | None:
        text = environ.get(name)
        if not text:
            return None
        if not text.isdecimal() or int(text) < 1:
            raise ToolError(f"{name}={text!r} is not a whole number above 0.")
        return int(text)

    return Settings(
        kafka=environ.get("CHECKS_KAFKA") or default.kafka,
        registry_url=(environ.get("CHECKS_REGISTRY_URL") or default.registry_url).rstrip("/"),
        connect_url=(environ.get("CHECKS_CONNECT_URL") or default.connect_url).rstrip("/"),
        ksql_url=(environ.get("CHECKS_KSQL_URL") or default.ksql_url).rstrip("/"),
        database_owner_url=environ.get("CHECKS_DATABASE_OWNER_URL") or default.database_owner_url,
        partitions=number("CHECKS_PARTITIONS"),
        replication_factor=number("CHECKS_REPLICATION"),
        timeout_s=float(number("CHECKS_APPLY_TIMEOUT_S") or default.timeout_s),
        ksql_dir=Path(environ.get("CHECKS_KSQL_DIR") or default.ksql_dir),
        schemas_dir=Path(environ.get("CHECKS_SCHEMAS_DIR") or default.schemas_dir),
        connectors_dir=Path(environ.get("CHECKS_CONNECTORS_DIR") or default.connectors_dir),
    )
