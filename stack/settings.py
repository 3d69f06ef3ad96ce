"""Where everything of one stack lives: its ports, folders and addresses, all from `CHECKS_…` environment variables."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent

PORTS: dict[str, tuple[str, int]] = {
    "intake": ("CHECKS_INTAKE_PORT", 8000),
    "analytics": ("CHECKS_ANALYTICS_PORT", 9000),
    "kafka": ("CHECKS_KAFKA_PORT", 9092),
    "kafka_controller": ("CHECKS_KAFKA_CONTROLLER_PORT", 9093),
    "registry": ("CHECKS_REGISTRY_PORT", 8081),
    "registry_management": ("CHECKS_REGISTRY_MANAGEMENT_PORT", 8091),
    "connect": ("CHECKS_CONNECT_PORT", 8083),
    "postgres": ("CHECKS_POSTGRES_PORT", 5433),
    "ksql": ("CHECKS_KSQL_PORT", 8088),
}
"""Every port of the stack: its environment variable and its default."""


class SettingsError(Exception):
    """A setting that cannot be used; the message names its environment variable and the mend."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One stack: what it is called, where it listens, where its data are."""

    host: str
    """Address that every part listens on (CHECKS_HOST)."""
    state: Path
    """Folder of all data, logs, secrets and pid files (CHECKS_STATE, or `--state`)."""
    cache: Path
    """Folder of downloads that several states share (CHECKS_CACHE)."""
    ports: dict[str, int]
    """Port number by its name in `PORTS`."""
    timezone: str
    """Time zone of timestamps without offset, an IANA name (CHECKS_TIMEZONE)."""
    only: frozenset[str] | None
    """Names of the parts to start, None for all (CHECKS_ONLY, for development)."""

    @property
    def kafka(self) -> str:
        """Bootstrap address of the broker."""
        return f"{self.host}:{self.ports['kafka']}"

    @property
    def registry_url(self) -> str:
        """Base of the registry's Confluent-compatible API."""
        return f"http://{self.host}:{self.ports['registry']}/apis/ccompat/v7"

    @property
    def registry_native_url(self) -> str:
        """Base of the registry's own API, version 2, which the Avro converter speaks."""
        return f"http://{self.host}:{self.ports['registry']}/apis/registry/v2"

    @property
    def connect_url(self) -> str:
        """Base of Kafka Connect's REST API."""
        return f"http://{self.host}:{self.ports['connect']}"

    @property
    def ksql_url(self) -> str:
        """Base of ksqlite's REST API."""
        return f"http://{self.host}:{self.ports['ksql']}"

    @property
    def intake_url(self) -> str:
        """Base of the service that takes checks."""
        return f"http://{self.host}:{self.ports['intake']}"

    @property
    def analytics_url(self) -> str:
        """Base of the service that answers with figures."""
        return f"http://{self.host}:{self.ports['analytics']}"

    @property
    def run_dir(self) -> Path:
        """Folder of pid files and of the supervisor's status."""
        return self.state / "run"

    @property
    def logs_dir(self) -> Path:
        """Folder of one log file a part."""
        return self.state / "logs"

    @property
    def secrets_dir(self) -> Path:
        """Folder of passwords and signing keys, readable by its owner alone."""
        return self.state / "secrets"

    def environment(self) -> dict[str, str]:
        """The settings as environment variables, for a child process that loads them again."""
        return {
            "CHECKS_HOST": self.host,
            "CHECKS_STATE": str(self.state),
            "CHECKS_CACHE": str(self.cache),
            "CHECKS_TIMEZONE": self.timezone,
            **{PORTS[name][0]: str(port) for name, port in self.ports.items()},
            **({"CHECKS_ONLY": ",".join(sorted(self.only))} if self.only is not None else {}),
        }


def load(*, state: Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of this process; `state` wins over CHECKS_STATE. Raises SettingsError for a port that is none."""
    ports = {name: _port(environ, variable, default) for name, (variable, default) in PORTS.items()}
    for name, port in ports.items():
        twin = next((other for other, number in ports.items() if number == port and other != name), None)
        if twin is not None:
            raise SettingsError(f"{PORTS[name][0]} and {PORTS[twin][0]} are both {port}: set one of them apart")
    only = environ.get("CHECKS_ONLY", "")
    folder = state or Path(environ.get("CHECKS_STATE") or CHECKOUT / "var")
    return Settings(
        host=environ.get("CHECKS_HOST") or "127.0.0.1",
        state=folder.expanduser().absolute(),
        cache=Path(environ.get("CHECKS_CACHE") or CHECKOUT / "var" / "cache").expanduser().absolute(),
        ports=ports,
        timezone=environ.get("CHECKS_TIMEZONE") or "UTC",
        only=frozenset(name.strip() for name in only.split(",") if name.strip()) if only else None,
    )


def _port(environ: Mapping[str, str], variable: str, default: int) -> int:
    text = environ.get(variable, "")
    if not text:
        return default
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise SettingsError(f"{variable}={text} is not a port: set it to a number from 1 to 65535")
    return int(text)
