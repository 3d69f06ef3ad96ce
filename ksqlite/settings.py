"""Every setting of the server, from environment variables CHECKS_…; nothing is configured anywhere else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field


class SettingsError(Exception):
    """A setting that cannot be used; the message names the variable and the mend."""


_DEFAULTS: Mapping[str, str] = {
    "ksql.streams.auto.offset.reset": "latest",
    "ksql.persistence.default.format.key": "KAFKA",
    "ksql.query.pull.table.scan.enabled": "true",
}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the server reads at its start."""

    host: str = "127.0.0.1"
    """Address to listen on (CHECKS_KSQL_HOST, otherwise CHECKS_HOST)."""
    port: int = 8088
    """Port to listen on (CHECKS_KSQL_PORT)."""
    kafka: str = "127.0.0.1:9092"
    """Kafka's bootstrap servers (CHECKS_KAFKA)."""
    registry_url: str = "http://127.0.0.1:8081/apis/ccompat/v7"
    """Schema registry, Confluent's API (CHECKS_REGISTRY_URL)."""
    service_id: str = "checks_"
    """Names all that the server has in Kafka (CHECKS_KSQL_SERVICE_ID)."""
    state_dir: str = "var/ksqlite"
    """Folder of the state on disk: the folder ksqlite in that one (CHECKS_STATE)."""
    user: str = ""
    """User of basic authentication; empty: nobody is asked (CHECKS_KSQL_USER)."""
    password: str = field(default="", repr=False)
    """Password of that user (CHECKS_KSQL_PASSWORD)."""
    commit_interval_ms: int = 100
    """How long processed records wait, at most, for their transaction to be committed (CHECKS_KSQL_COMMIT_MS)."""
    replicas: int = 1
    """Replication factor of the server's own topics (CHECKS_KSQL_REPLICAS)."""
    properties: Mapping[str, str] = field(default_factory=lambda: dict(_DEFAULTS))
    """ksqlDB settings for every query: name=value, separated by semicolons (CHECKS_KSQL_PROPERTIES)."""

    @property
    def credentials(self) -> tuple[str, str] | None:
        """User and password where basic authentication is asked for."""
        return (self.user, self.password) if self.user else None


def read_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """The settings that the environment gives. Raises SettingsError."""
    given = os.environ if environ is None else environ
    default = Settings()
    user, password = given.get("CHECKS_KSQL_USER", ""), given.get("CHECKS_KSQL_PASSWORD", "")
    if bool(user) != bool(password):
        raise SettingsError("CHECKS_KSQL_USER and CHECKS_KSQL_PASSWORD must be set both, or neither.")
    state = given.get("CHECKS_STATE", "var")
    return Settings(
        host=given.get("CHECKS_KSQL_HOST") or given.get("CHECKS_HOST") or default.host,
        port=_whole(given, "CHECKS_KSQL_PORT", default.port),
        kafka=given.get("CHECKS_KAFKA", default.kafka),
        registry_url=given.get("CHECKS_REGISTRY_URL", default.registry_url).rstrip("/"),
        service_id=given.get("CHECKS_KSQL_SERVICE_ID", default.service_id),
        state_dir=f"{state}/ksqlite",
        user=user,
        password=password,
        commit_interval_ms=_whole(given, "CHECKS_KSQL_COMMIT_MS", default.commit_interval_ms),
        replicas=_whole(given, "CHECKS_KSQL_REPLICAS", default.replicas),
        properties={**_DEFAULTS, **_pairs(given.get("CHECKS_KSQL_PROPERTIES", ""))},
    )


def _whole(given: Mapping[str, str], name: str, default: int) -> int:
    text = given.get(name, "")
    if not text:
        return default
    if not text.isdigit():
        raise SettingsError(f"{name} must be a whole number, not {text!r}.")
    return int(text)


def _pairs(text: str) -> dict[str, str]:
    pairs = {}
    for part in filter(None, map(str.strip, text.split(";"))):
        name, found, value = part.partition("=")
        if not found:
            raise SettingsError(f"CHECKS_KSQL_PROPERTIES: {part!r} is not name=value.")
        pairs[name.strip()] = value.strip()
    return pairs
