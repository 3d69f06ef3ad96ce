"""A PostgreSQL and an analytics_api of a test's own: they may be killed without disturbing anybody."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import httpx
import psycopg

from stack.parts.postgres import BUNDLED, SITE, Place, can_reach, prepare, unprivileged_user
from stack.settings import CHECKOUT

PASSWORD = "of-a-test"
ADMIN = {"username": "admin", "password": "of-the-first-administrator"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Postgres:
    """A server on a free port; its superuser owns everything."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        return f"postgresql://{user}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        user = unprivileged_user() if os.geteuid() == 0 else None
        programs = BUNDLED
        if user and not can_reach(BUNDLED / "bin" / "postgres", user):
            programs = self.folder / "programs" / BUNDLED.relative_to(SITE)
        where = Place(programs, self.folder / "data", user)
        prepare(where, PASSWORD)
        with (self.folder / "log").open("ab") as log:
            self.process = self._spawn(where, log)
        self.wait()

    def _spawn(self, where: Place, log: BinaryIO) -> subprocess.Popen[bytes]:
        user = where.user
        return subprocess.Popen(
            [
                str(where.programs / "bin" / "postgres"),
                "-D",
                str(where.data),
                "--listen-addresses=127.0.0.1",
                f"--port={self.port}",
                "--unix-socket-directories=",
                "--timezone=UTC",
                "--fsync=off",
                "--jit=off",
                "--max-connections=60",
            ],
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=log,
            user=user.uid if user else None,
            group=user.gid if user else None,
            extra_groups=[] if user else None,
        )

    def wait(self, limit_s: float = 30) -> None:
        deadline = time.monotonic() + limit_s
        while True:
            try:
                psycopg.connect(self.url(), connect_timeout=2).close()
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, (self.folder / "log").read_text()[-2000:]
                time.sleep(0.05)
            else:
                return

    def kill(self) -> None:
        """Every process of it at once, as a crash would."""
        assert self.process is not None
        # The postmaster's children notice its death by themselves and go.
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(timeout=30)

    def make(self, database: str, *, template: str = "template1") -> None:
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {database} TEMPLATE {template}")


@dataclass
class Api:
    """A running analytics_api."""

    url: str
    environment: dict[str, str]
    process: subprocess.Popen[bytes]

    def client(self, token: str | None = None) -> httpx.Client:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30, trust_env=False)

    def token(self, username: str = ADMIN["username"], password: str = ADMIN["password"]) -> str:
        with self.client() as client:
            answer = client.post("/auth/login/", json={"username": username, "password": password})
            assert answer.status_code == 200, answer.text
            return str(answer.json()["token"])


def environment(postgres: Postgres, database: str, state: Path, **more: str) -> dict[str, str]:
    """Settings of a service over this database, with nothing else around."""
    return {
        "CHECKS_STATE": str(state),
        "CHECKS_DATABASE_URL": postgres.url(database, "checks_api"),
        "CHECKS_DATABASE_OWNER_URL": postgres.url(database),
        "CHECKS_ADMIN_PASSWORD": ADMIN["password"],
        "CHECKS_ANALYTICS_PORT": str(free_port()),
        "CHECKS_ANALYTICS_WORKERS": "1",
        "CHECKS_SCHEDULER": "no",
        "CHECKS_LOGIN_LIMIT_USER": "100000",
        "CHECKS_LOGIN_LIMIT_ADDRESS": "100000",
        "CHECKS_LOGIN_LIMIT_OVERALL": "100000",
        "CHECKS_REGISTRATION_LIMIT_ADDRESS": "100000",
        **dict.fromkeys(("CHECKS_INTAKE_URL", "CHECKS_KSQL_URL", "CHECKS_CONNECT_URL"), "http://127.0.0.1:1"),
        "CHECKS_KAFKA": "127.0.0.1:1",
        "CHECKS_REGISTRY_URL": "http://127.0.0.1:1",
        **more,
    }


def start_api(variables: dict[str, str], *, limit_s: float = 60) -> Api:
    """Start `python -m analytics_api` and wait until it is ready."""
    state = Path(variables["CHECKS_STATE"])
    state.mkdir(parents=True, exist_ok=True)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CHECKS_")}
    with (state / "out").open("ab") as out, (state / "log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "analytics_api"],
            cwd=CHECKOUT,
            env={**inherited, **variables},
            stdout=out,
            stderr=log,
            start_new_session=True,
        )
    api = Api(f"http://127.0.0.1:{variables['CHECKS_ANALYTICS_PORT']}", variables, process)
    deadline = time.monotonic() + limit_s
    with api.client() as client:
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if client.get("/health/ready").status_code == 200:
                    return api
            assert process.poll() is None, (state / "log").read_text()[-3000:]
            assert time.monotonic() < deadline, (state / "log").read_text()[-3000:]
            time.sleep(0.1)


def stop_api(api: Api) -> None:
    api.process.terminate()
    try:
        api.process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        os.killpg(api.process.pid, signal.SIGKILL)
        api.process.wait()
