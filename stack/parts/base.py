"""What a part of the stack is: a command that runs until told to stop, and a check named for what it proves."""

import signal
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from stack.settings import PORTS, Settings

_CLIENT = httpx.Client(trust_env=False)
"""For all checks of this process: to make one costs more than to ask."""


class NotReadyError(Exception):
    """A part does not do its work yet, or no more; the message says what was expected and what came."""


class PrepareError(Exception):
    """A part cannot be started; the message says why and names the mend."""


@dataclass(frozen=True, kw_only=True)
class User:
    """The account that a part runs as, where it must not be root."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, kw_only=True)
class Part:
    """One long-running process of the stack."""

    name: str
    command: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    """What it gets beyond the machine's own variables; nobody else's secrets."""
    cwd: Path | None = None
    needs: tuple[str, ...] = ()
    """Parts and steps that must be ready before it starts."""
    ports: tuple[str, ...] = ()
    """The names (in `settings.PORTS`) of the ports it listens on."""
    prepare: Callable[[], None] | None = None
    """Makes what must be on disk before every start; safe to be cut off and done again. Raises PrepareError."""
    ready: Callable[[], None]
    """Returns when the part does its work, raises NotReadyError or whatever its client raises when not."""
    after_ready: Callable[[], None] | None = None
    """Done once it is ready for the first time, before what needs it starts; safe to repeat."""
    start_limit_s: float = 90
    stop_limit_s: float = 20
    stop_signal: signal.Signals = signal.SIGTERM
    stop_wave: int = 0
    """Parts stop wave by wave: first who writes, then who passes on, last who stores."""
    user: User | None = None


@dataclass(frozen=True, kw_only=True)
class Step:
    """One command of the deployment, which ends by itself: a migration, the schemas, the ksql files."""

    name: str
    command: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    needs: tuple[str, ...] = ()
    notice: str = ""
    """Where the command's output holds this, the operator is shown that output though the command succeeded."""
    limit_s: float = 120


def own_environment(settings: Settings, values: Mapping[str, str], *names: str) -> dict[str, str]:
    """The settings, and of `values` (addresses and secrets) only the named ones."""
    return {**settings.environment(), **{name: values[name] for name in names}}


def http_answers(url: str, *, timeout_s: float = 5) -> httpx.Response:
    """The answer to GET `url` if it is 2xx. Raises NotReadyError."""
    try:
        response = _CLIENT.get(url, timeout=timeout_s)
    except httpx.HTTPError as error:
        raise NotReadyError(f"{url}: {error or type(error).__name__}") from error
    if not response.is_success:
        raise NotReadyError(f"{url} answered {response.status_code}: {' '.join(response.text[:200].split())}")
    return response


def port_is_free(host: str, port: int) -> bool:
    """Whether a listener could bind here now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def busy_port_message(settings: Settings, name: str) -> str:
    """The one line that tells a port is taken and how to take another."""
    variable, _ = PORTS[name]
    port = settings.ports[name]
    above = (port + step for step in range(10_000, 65_536 - port) if port_is_free(settings.host, port + step))
    other = next(above, "another one")
    return f"port {port} is in use by another program: stop it, or choose another port: {variable}={other}"
