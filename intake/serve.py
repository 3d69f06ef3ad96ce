"""Runs the service: granian's main process and its workers. SIGTERM and SIGINT stop it, SIGHUP renews the workers."""

from __future__ import annotations

import logging
import socket
import sys

from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server import Server

from intake import logs, metrics
from intake.settings import Settings

log = logging.getLogger("intake")


def serve(settings: Settings, target: str = "intake.app:create") -> int:
    """Serve until told to stop; the exit code. `target` makes the application in each worker."""
    logs.configure(settings.log_level)
    host = settings.listens_on
    if host != settings.host:
        log.warning(
            "without API keys intake listens on the loopback only, %s not %s; make a key with `python -m intake key`",
            host,
            settings.host,
        )
    if busy := _why_port_is_busy(host, settings.port):
        print(
            f"intake: cannot listen on {host}:{settings.port}: {busy}. Set CHECKS_INTAKE_PORT to a free one.",
            file=sys.stderr,
        )
        return 1
    metrics.clear(settings.metrics_dir)
    server = Server(
        target,
        factory=True,
        address=host,
        port=settings.port,
        interface=Interfaces.ASGI,
        workers=settings.workers,
        loop=Loops.auto,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=30_000, max_buffer_size=131_072),
        websockets=False,
        backlog=2048,
        backpressure=4096,
        respawn_failed_workers=True,
        respawn_interval=1.0,
        # Longer than a worker waits for Kafka: one that hangs beyond that is killed.
        workers_kill_timeout=int(settings.delivery_timeout_s) + 15,
        log_level=LogLevels.info,
        log_dictconfig=logs.granian_dictconfig(),
        log_access=False,
    )
    server.serve()
    return 0


def _why_port_is_busy(host: str, port: int) -> str:
    """Empty when it is free."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.strerror or str(error)
    return ""
