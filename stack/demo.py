"""Sends checks to intake: a made-up day, or those of a file. ``scripts/send`` and ``scripts/run --demo``.

Sending is safe to repeat: a check counts once, whatever was lost on the way.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bench.checks import Plan, arrivals

_BATCH = 500


class SendError(Exception):
    """Nothing more can be sent; the message is one line."""


@dataclass
class Sent:
    """What became of the checks."""

    accepted: int = 0
    rejected: int = 0
    examples: list[dict[str, Any]] = field(default_factory=list)
    """The first few rejected ones, with their errors."""
    seconds: float = 0.0


class Sender:
    """Posts to one intake; waits and sends again while it is busy or its broker is away."""

    def __init__(self, url: str, key: str | None, patience_s: float = 60.0) -> None:
        self._url = url.rstrip("/")
        self._patience_s = patience_s
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(timeout=60.0, headers=headers)

    def batch(self, bodies: Sequence[bytes]) -> tuple[int, list[dict[str, Any]]]:
        """Send checks as one batch: how many were accepted, and the rejected ones."""
        answer = self._post("/api/checks/batch/", b"\n".join(bodies) + b"\n", "application/x-ndjson")
        return int(answer.get("accepted", 0)), list(answer.get("rejected") or ())

    def one(self, body: bytes) -> tuple[int, list[dict[str, Any]]]:
        """Send one check."""
        answer = self._post("/api/checks/", body, "application/json")
        if answer.get("status") == "accepted":
            return 1, []
        return 0, [{"errors": answer.get("errors") or answer.get("detail")}]

    def _post(self, path: str, body: bytes, content_type: str) -> dict[str, Any]:
        deadline = time.monotonic() + self._patience_s
        while True:
            try:
                answer = self._http.post(self._url + path, content=body, headers={"Content-Type": content_type})
            except httpx.TransportError as error:
                if time.monotonic() > deadline:
                    raise SendError(f"{self._url} does not answer: {error!r}") from error
                time.sleep(0.5)
                continue
            if answer.status_code not in {429, 503}:
                break
            if time.monotonic() > deadline:
                raise SendError(f"{self._url} answers {answer.status_code} for {self._patience_s:.0f} s: {answer.text}")
            time.sleep(min(_seconds(answer.headers.get("Retry-After")), 5.0))
        if answer.status_code in {401, 403}:
            raise SendError(f"{self._url} wants an API key: give it with --key or in CHECKS_INTAKE_KEY")
        try:
            document = answer.json()
        except ValueError as error:
            raise SendError(f"{self._url}{path} answers {answer.status_code}: {answer.text[:200]}") from error
        if not isinstance(document, dict) or answer.status_code not in {200, 201, 207, 422}:
            raise SendError(f"{self._url}{path} answers {answer.status_code}: {answer.text[:200]}")
        return document


def _seconds(text: str | None) -> float:
    return float(text) if text and text.isdecimal() else 1.0


def send(sender: Sender, bodies: Sequence[bytes], *, rate: float | None, console: Console) -> Sent:
    """Send all of them, in batches or at so many a second, with a progress bar."""
    sent = Sent()
    began = time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=not console.is_terminal) as progress:
        bar = progress.add_task("sending checks", total=len(bodies))
        for number, part in enumerate(_parts(bodies, rate)):
            if rate is not None:
                time.sleep(max(0.0, began + number / rate - time.monotonic()))
            accepted, rejected = sender.one(part[0]) if rate is not None else sender.batch(part)
            sent.accepted += accepted
            sent.rejected += len(rejected)
            sent.examples += rejected[: max(0, 5 - len(sent.examples))]
            progress.advance(bar, len(part))
    sent.seconds = time.monotonic() - began
    return sent


def _parts(bodies: Sequence[bytes], rate: float | None) -> Iterator[Sequence[bytes]]:
    size = 1 if rate is not None else _BATCH
    for start in range(0, len(bodies), size):
        yield bodies[start : start + size]


def read_file(file: Path) -> list[bytes]:
    """The checks of a JSON array, a single JSON object or a file of one JSON object a line; ``-`` is standard input."""
    raw = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    text = raw.strip()
    if not text.startswith(b"["):
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) > 1 and all(line.lstrip().startswith(b"{") and line.rstrip().endswith(b"}") for line in lines):
            return lines
        return [text]
    # pieces of the text itself, so that numbers keep their digits and mistakes reach intake as they are
    import msgspec  # noqa: PLC0415 - only arrays need it

    try:
        return [bytes(piece) for piece in msgspec.json.decode(text, type=list[msgspec.Raw])]
    except msgspec.DecodeError as error:
        raise SendError(f"{file} is not JSON: {error}") from error


def main(argv: Sequence[str] | None = None) -> int:
    """Send; exit code 1 when anything was rejected or could not be sent."""
    parser = argparse.ArgumentParser(prog="scripts/send", description=__doc__)
    default = os.environ.get("CHECKS_INTAKE_URL", "http://127.0.0.1:" + os.environ.get("CHECKS_INTAKE_PORT", "8000"))
    parser.add_argument("file", nargs="?", type=Path, help="JSON array or a check a line; - is standard input; "
                        "without it, made-up checks are sent")  # fmt: skip
    parser.add_argument("--url", default=default, help=f"intake's address (now {default})")
    parser.add_argument("--key", default=os.environ.get("CHECKS_INTAKE_KEY"), help="API key (CHECKS_INTAKE_KEY)")
    parser.add_argument("--count", type=int, default=2_000, help="made-up checks (2,000)")
    parser.add_argument("--hours", type=float, default=24.0, help="over so many hours until now (24)")
    parser.add_argument("--places", type=int, default=12, help="of so many places (12)")
    parser.add_argument("--seed", type=int, default=None, help="the same seed makes the same checks (by the clock)")
    parser.add_argument("--rate", type=float, default=None, help="one at a time, so many a second; otherwise batches")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    arguments = parser.parse_args(argv)
    console = Console(stderr=True)
    try:
        bodies = read_file(arguments.file) if arguments.file else _made_up(arguments)
        sent = send(Sender(arguments.url, arguments.key), bodies, rate=arguments.rate, console=console)
    except (SendError, OSError) as error:
        console.print(str(error), style="red", markup=False, highlight=False)
        return 1
    except KeyboardInterrupt:
        return 130
    if arguments.json:
        print(json.dumps({"accepted": sent.accepted, "rejected": sent.rejected, "seconds": round(sent.seconds, 3)}))
    else:
        rate = sent.accepted / sent.seconds if sent.seconds else 0.0
        print(
            f"{sent.accepted} checks accepted, {sent.rejected} rejected, in {sent.seconds:.1f} s ({rate:.0f} a second)"
        )
        for example in sent.examples:
            print(json.dumps(example, ensure_ascii=False))
    return 1 if sent.rejected else 0


def _made_up(arguments: argparse.Namespace) -> list[bytes]:
    now = datetime.now(UTC)
    seed = arguments.seed if arguments.seed is not None else int(now.timestamp())
    plan = Plan(seed=seed, count=arguments.count, places=arguments.places, end=now, hours=arguments.hours)
    return [arrival.check.json() for arrival in arrivals(plan)]


if __name__ == "__main__":
    sys.exit(main())
