"""The passwords of one stack: made at the first start, kept in `<state>/secrets/env`, readable by their owner alone."""

import os
import secrets as random
from collections.abc import Mapping
from pathlib import Path

from stack.locks import file_lock
from stack.settings import Settings

FILE = "env"
ROLES = ("checks_owner", "checks_api", "checks_sink", "checks_bi")
"""Database roles: owner of the tables, analytics_api, the sink connectors, BI tools (read only)."""


def load_or_make(settings: Settings, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """All secrets and the addresses that hold them, by environment variable; made where missing.

    The file is also a convenience: `. <state>/secrets/env` gives a shell all the addresses.
    """
    file = settings.secrets_dir / FILE
    settings.secrets_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with file_lock(settings.secrets_dir / "env.lock"):
        known = read(file)
        made = {name: known.get(name) or random.token_urlsafe(18) for name in _password_names()}
        made["CHECKS_ADMIN_PASSWORD"] = (
            known.get("CHECKS_ADMIN_PASSWORD") or environ.get("CHECKS_ADMIN_PASSWORD") or random.token_urlsafe(12)
        )
        values = {**made, **_addresses(settings, made)}
        if values != known:
            _write(file, values)
    return values


def admin_password_is_generated(settings: Settings, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the first administrator's password is ours to tell, not the operator's own."""
    return read(settings.secrets_dir / FILE).get("CHECKS_ADMIN_PASSWORD") != environ.get("CHECKS_ADMIN_PASSWORD")


def read(file: Path) -> dict[str, str]:
    """The file's KEY=value lines; empty if it is not there yet."""
    if not file.exists():
        return {}
    lines = file.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def password_name(role: str) -> str:
    """The environment variable that holds a database role's password."""
    return f"{role.upper()}_PASSWORD"


def _password_names() -> list[str]:
    return ["CHECKS_POSTGRES_PASSWORD", *(password_name(role) for role in ROLES)]


def _addresses(settings: Settings, made: Mapping[str, str]) -> dict[str, str]:
    database = f"{settings.host}:{settings.ports['postgres']}/checks"

    def url(role: str) -> str:
        return f"postgresql://{role}:{made[password_name(role)]}@{database}"

    return {
        "CHECKS_KAFKA": settings.kafka,
        "CHECKS_REGISTRY_URL": settings.registry_url,
        "CHECKS_CONNECT_URL": settings.connect_url,
        "CHECKS_KSQL_URL": settings.ksql_url,
        "CHECKS_INTAKE_URL": settings.intake_url,
        "CHECKS_ANALYTICS_URL": settings.analytics_url,
        "CHECKS_DATABASE_URL": url("checks_api"),
        "CHECKS_DATABASE_OWNER_URL": url("checks_owner"),
        "CHECKS_DATABASE_BI_URL": url("checks_bi"),
        "CHECKS_SINK_URL": f"jdbc:postgresql://{database}",
        "CHECKS_SINK_USER": "checks_sink",
        "CHECKS_SINK_PASSWORD": made[password_name("checks_sink")],
    }


def _write(file: Path, values: Mapping[str, str]) -> None:
    draft = file.with_suffix(".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write("".join(f"{name}={value}\n" for name, value in values.items()))
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(file)
