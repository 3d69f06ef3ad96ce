"""A load generator for HTTP in one process: keep-alive connections on raw sockets and epoll, no library between.

It costs about 10 µs of CPU a request, so that the server, not the tool, is what is measured. Closed loop
(`rate_per_s=0`: every connection sends again as soon as it has its answer) finds the peak; open loop sends on a
schedule and measures from the time a request was due, so that a server that stands still cannot hide it.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Plan:
    """What to send, where, how fast, for how long.

    `body_template` holds `{id}` wherever a request (or, in a batch, `{id}` again and again: every check) needs an id
    that was never sent before.
    """

    host: str
    port: int
    path: str
    body_template: str
    seconds: float
    connections: int = 32
    rate_per_s: float = 0.0
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    id_prefix: str = "load"
    warmup_s: float = 0.5


@dataclass(frozen=True)
class Outcome:
    """What came back: answers by status, rate, latencies in milliseconds, CPU seconds of the tool itself."""

    statuses: dict[str, int]
    seconds: float
    rate_per_s: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    errors: int
    unsent: int
    cpu_s: float


def percentile(ordered: list[float], share: float) -> float:
    """The value below which `share` of an ordered list lies; 0 for an empty list."""
    if not ordered:
        return 0.0
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def _requests(plan: Plan) -> Iterator[bytes]:
    """Requests as bytes, each with ids of its own of a fixed width."""
    parts = plan.body_template.split("{id}")
    sample = "x".join(parts)
    id_width = len(plan.id_prefix) + 11
    length = len(sample.encode()) + (len(parts) - 1) * (id_width - 1)
    lines = [
        f"POST {plan.path} HTTP/1.1",
        f"Host: {plan.host}:{plan.port}",
        f"Content-Type: {plan.content_type}",
        f"Content-Length: {length}",
        *(f"{name}: {value}" for name, value in plan.headers.items()),
        "",
        "",
    ]
    head = "\r\n".join(lines).encode()
    encoded = [part.encode() for part in parts]
    number = 0
    while True:
        pieces = [head, encoded[0]]
        for part in encoded[1:]:
            number += 1
            pieces.append(f"{plan.id_prefix}-{number:010d}".encode())
            pieces.append(part)
        yield b"".join(pieces)


class _Connection:
    """One keep-alive connection: at most one request under way."""

    __slots__ = ("buffer", "due", "needed", "pending", "sock", "status")

    def __init__(self, plan: Plan) -> None:
        self.sock = socket.create_connection((plan.host, plan.port), timeout=10)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setblocking(False)  # noqa: FBT003 - the socket module's own signature
        self.due = 0.0
        self.buffer = b""
        self.pending: memoryview | None = None

    def send(self, request: bytes, due: float) -> bool:
        """Send a request; True when the kernel took it whole."""
        self.due = due
        try:
            sent = self.sock.send(request)
        except BlockingIOError:
            sent = 0
        if sent == len(request):
            return True
        self.pending = memoryview(request)[sent:]
        return False

    def send_rest(self) -> bool:
        """Send what the kernel did not take before; True when nothing is left."""
        if self.pending is None:
            return True
        try:
            sent = self.sock.send(self.pending)
        except BlockingIOError:
            return False
        self.pending = self.pending[sent:] if sent < len(self.pending) else None
        return self.pending is None

    def read(self) -> int:
        """The status of a finished answer, 0 while it is not finished.

        Raises ConnectionError when the server closed the connection.
        """
        data = self.sock.recv(262144)
        if not data:
            raise ConnectionError("closed by the server")
        if self.buffer:
            data = self.buffer + data
        end = data.find(b"\r\n\r\n")
        if end >= 0:
            at = data.find(b"content-length: ")
            if at < 0:
                at = data.lower().find(b"content-length: ")
            if 0 <= at < end and len(data) >= end + 4 + int(data[at + 16 : data.find(b"\r", at)]):
                self.buffer = b""
                return int(data[9:12])
        self.buffer = data
        return 0


def run(plan: Plan, on_status: Callable[[int], None] | None = None) -> Outcome:
    """Send as planned and measure; a broken connection counts as an error and is opened again."""
    requests = _requests(plan)
    poller = select.epoll()
    connections: dict[int, _Connection] = {}
    idle: deque[_Connection] = deque()

    def connect() -> _Connection:
        connection = _Connection(plan)
        connections[connection.sock.fileno()] = connection
        poller.register(connection.sock, select.EPOLLIN)
        return connection

    for _ in range(plan.connections):
        idle.append(connect())
    statuses: dict[int, int] = {}
    latencies: list[float] = []
    errors = unsent = 0
    start = time.perf_counter()
    measured_from = start + plan.warmup_s
    end = measured_from + plan.seconds
    interval = 1 / plan.rate_per_s if plan.rate_per_s else 0.0
    next_due = start
    cpu_from = time.process_time()

    def send(connection: _Connection, due: float) -> None:
        if not connection.send(next(requests), due):
            poller.modify(connection.sock, select.EPOLLIN | select.EPOLLOUT)

    if not interval:
        while idle:
            send(idle.popleft(), time.perf_counter())
    busy = True
    while busy:
        now = time.perf_counter()
        if interval:
            while next_due <= now < end:
                if not idle:
                    break
                send(idle.popleft(), next_due)
                next_due += interval
            # With every connection busy the request waits for one, and its latency grows: that is the point of it.
            timeout = max(0.0, min(next_due - now, 0.05)) if idle else 0.05
        else:
            timeout = 0.05
        # epoll rounds a timeout up to whole milliseconds: poll without waiting when the next request is that near.
        for descriptor, event in poller.poll(timeout if timeout > 0.0012 else 0):
            connection = connections[descriptor]
            try:
                if event & select.EPOLLOUT and connection.send_rest():
                    poller.modify(connection.sock, select.EPOLLIN)
                if not event & ~select.EPOLLOUT:
                    continue
                status = connection.read()
            except OSError:
                errors += 1
                poller.unregister(descriptor)
                del connections[descriptor]
                connection.sock.close()
                try:
                    connection = connect()
                except OSError:
                    continue
                status = -1
            if status == 0:
                continue
            done = time.perf_counter()
            if status > 0:
                if on_status is not None:
                    on_status(status)
                if measured_from <= done <= end:
                    statuses[status] = statuses.get(status, 0) + 1
                    latencies.append(done - connection.due)
            if interval or done >= end:
                idle.append(connection)
            else:
                send(connection, done)
        now = time.perf_counter()
        busy = now < end or (len(idle) < len(connections) and now < end + 15)
    if interval:
        unsent = max(0, int((end - next_due) / interval))
    for connection in connections.values():
        connection.sock.close()
    poller.close()
    latencies.sort()
    return Outcome(
        statuses={str(status): count for status, count in sorted(statuses.items())},
        seconds=plan.seconds,
        rate_per_s=len(latencies) / plan.seconds,
        p50_ms=percentile(latencies, 0.5) * 1000,
        p99_ms=percentile(latencies, 0.99) * 1000,
        max_ms=(latencies[-1] if latencies else 0.0) * 1000,
        errors=errors,
        unsent=unsent,
        cpu_s=time.process_time() - cpu_from,
    )


def main() -> None:
    """Read a plan as JSON from standard input, run it, print the outcome as a line of JSON."""
    plan: dict[str, Any] = json.load(sys.stdin)
    print(json.dumps(asdict(run(Plan(**plan)))))


if __name__ == "__main__":
    main()
