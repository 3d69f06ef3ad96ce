"""Every setting of the service, from environment variables CHECKS_…; nothing is configured anywhere else."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo


class SettingsError(Exception):
    """A setting that cannot be used; the message names the variable and the mend."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the service reads at its start.

    Each field's line says what it is for; the variable is CHECKS_ and the field's name in upper case.
    """

    host: str = "127.0.0.1"
    """Address to listen on."""
    analytics_port: int = 9000
    """Port to listen on."""
    analytics_workers: int = 2
    """Worker processes of the HTTP server."""
    database_url: str = "postgresql://checks_api@127.0.0.1:5433/checks"
    """PostgreSQL as role checks_api: everything the service does."""
    database_owner_url: str = ""
    """PostgreSQL as the tables' owner: migrations at start; empty: the same as database_url."""
    database_pool_size: int = 8
    """Connections to PostgreSQL that one worker holds at most."""
    database_wait_s: float = 3.0
    """How long a request waits for a connection before 503."""
    statement_timeout_s: float = 20.0
    """How long PostgreSQL works on one statement before it gives up."""
    state: Path = Path("var")
    """Folder of all state."""
    journal_dir: Path = Path("var/analytics_api/.journal")
    """Folder of the journal: a JSON line for each snapshot run."""
    keys_dir: Path = Path("var/secrets")
    """Folder of the keys that sign access tokens, files of mode 0600."""
    timezone: str = "UTC"
    """IANA zone of times without an offset."""
    kafka: str = "127.0.0.1:9092"
    """Kafka's bootstrap servers, for lag and reconciliation."""
    registry_url: str = "http://127.0.0.1:8081/apis/ccompat/v7"
    """Schema registry, Confluent's API."""
    connect_url: str = "http://127.0.0.1:8083"
    """Kafka Connect's REST API."""
    ksql_url: str = "http://127.0.0.1:8088"
    """ksqlite or ksqlDB."""
    intake_url: str = "http://127.0.0.1:8000"
    """Service 1: takes what add_checks forwards."""
    intake_key: str = ""
    """API key to show to intake, where it wants one."""
    admin_password: str = ""
    """Password of the first administrator; empty: one is made up and printed once."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses of reverse proxies whose X-Forwarded-For counts."""
    access_token_s: int = 900
    """Life of an access token."""
    refresh_token_s: int = 30 * 24 * 3600
    """Life of a login: its refresh tokens, or a browser's session."""
    hash_concurrency: int = 2
    """Passwords that one worker hashes at the same time (19 MiB each)."""
    login_limit_user: int = 10
    """Failed logins for one user name in a quarter of an hour."""
    login_limit_address: int = 100
    """Failed logins from one address in a quarter of an hour."""
    login_limit_overall: int = 1200
    """Logins, good or bad, of all in a minute."""
    registration_limit_address: int = 300
    """Registrations from one address in an hour."""
    scheduler: bool = True
    """Whether this process runs snapshots and reconciliation when they are due."""
    snapshot_minute: int = 5
    """Minute of the hour at which the snapshot of finished hours is taken."""
    reconcile_every_s: int = 120
    """How often the log is compared with PostgreSQL."""
    reconcile_lag_s: int = 120
    """How far behind the pipeline may be before a difference is an alarm."""

    @staticmethod
    def from_environment(environment: Mapping[str, str] | None = None) -> "Settings":
        """Read the settings; raises SettingsError for a value that cannot be used."""
        env = os.environ if environment is None else environment
        state = Path(env.get("CHECKS_STATE") or "var").absolute()
        values: dict[str, object] = {
            "state": state,
            "journal_dir": state / "analytics_api" / ".journal",
            "keys_dir": state / "secrets",
        }
        for name, annotation in Settings.__annotations__.items():
            variable = f"CHECKS_{name.upper()}"
            text = env.get(variable, "")
            if text and name != "state":
                values[name] = _read(variable, text, annotation)
        if not values.get("database_owner_url"):
            values["database_owner_url"] = values.get("database_url", Settings.database_url)
        settings = Settings(**values)  # type: ignore[arg-type] # each was read as its field asks
        try:
            ZoneInfo(settings.timezone)
        except (KeyError, ValueError, OSError):
            raise SettingsError(
                f"CHECKS_TIMEZONE={settings.timezone} is no IANA time zone; write one like Europe/Moscow"
            ) from None
        return settings

    @property
    def zone(self) -> ZoneInfo:
        """The zone of times without an offset."""
        return ZoneInfo(self.timezone)


def _read(variable: str, text: str, annotation: object) -> object:
    try:
        if annotation is int:
            return int(text)
        if annotation is float:
            return float(text)
        if annotation is bool:
            return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[text.lower()]
        if annotation is Path:
            return Path(text).absolute()
        if annotation == tuple[str, ...]:
            return tuple(part.strip() for part in text.split(",") if part.strip())
    except (ValueError, KeyError):
        wanted = getattr(annotation, "__name__", str(annotation))
        raise SettingsError(f"{variable}={text} cannot be read; it should be a {wanted}") from None
    return text
