"""Runs `docker compose` on the checkout's compose.yaml, with secrets made at the first call. ``scripts/compose``.

Secrets stand in the git-ignored ``.env``, readable by their owner alone. Publishing beyond this machine without API
keys is refused.
"""

import base64
import ipaddress
import os
import secrets
import shutil
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from stack.settings import CHECKOUT

FILE = CHECKOUT / ".env"
PASSWORDS = (
    "CHECKS_POSTGRES_PASSWORD",
    "CHECKS_OWNER_PASSWORD",
    "CHECKS_API_PASSWORD",
    "CHECKS_SINK_PASSWORD",
    "CHECKS_BI_PASSWORD",
    "CHECKS_REGISTRY_PASSWORD",
    "CHECKS_ADMIN_PASSWORD",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Does not return when docker is there: docker takes over."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    made = not FILE.exists()
    values = ensure_env(FILE)
    problem = refusal({**values, **{name: value for name, value in os.environ.items() if name.startswith("CHECKS_")}})
    if problem is not None:
        print(problem, file=sys.stderr)
        return 1
    if made:
        print(f"Wrote {FILE} with random secrets; the administrator's password is in it.", file=sys.stderr)
    docker = shutil.which("docker")
    if docker is None:
        print("There is no docker on this machine: install Docker Engine with the compose plugin.", file=sys.stderr)
        return 1
    os.chdir(CHECKOUT)
    return os.execv(docker, [docker, "compose", *given])  # noqa: S606 - docker takes this process over, signals and all


def ensure_env(file: Path) -> dict[str, str]:
    """The file's values; what is missing is made up and added, what is there stays."""
    values = read(file)
    made: dict[str, str] = {name: secrets.token_urlsafe(18) for name in PASSWORDS if not values.get(name)}
    if not values.get("CHECKS_KAFKA_CLUSTER_ID"):
        made["CHECKS_KAFKA_CLUSTER_ID"] = cluster_id()
    if not values.get("COMPOSE_PROFILES"):
        made["COMPOSE_PROFILES"] = "ksqldb"
    if made:
        before = file.read_text(encoding="utf-8") if file.exists() else ""
        if before and not before.endswith("\n"):
            before += "\n"
        draft = file.with_name(file.name + ".new")
        draft.touch(mode=0o600)
        draft.write_text(before + "".join(f"{name}={value}\n" for name, value in made.items()), encoding="utf-8")
        draft.replace(file)
    return {**values, **made}


def read(file: Path) -> dict[str, str]:
    """The KEY=value lines; empty if the file is not there."""
    if not file.exists():
        return {}
    lines = file.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def cluster_id() -> str:
    """A random id in Kafka's form: 16 bytes in base64; never one that begins with a dash."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text


def refusal(values: Mapping[str, str]) -> str | None:
    """Why this must not be published, None when it may."""
    address = values.get("CHECKS_PUBLISH") or "127.0.0.1"
    try:
        loopback = ipaddress.ip_address(address).is_loopback
    except ValueError:
        return f"CHECKS_PUBLISH={address} is not an address; write one like 127.0.0.1 or 0.0.0.0."
    if loopback or values.get("CHECKS_INTAKE_KEYS"):
        return None
    return (
        f"CHECKS_PUBLISH={address} would let anybody send checks: set CHECKS_INTAKE_KEYS (python -m intake key makes "
        f"one) in .env first, and see docs/operating.md for TLS."
    )


if __name__ == "__main__":
    sys.exit(main())
