"""Shows a stack as it starts, runs and stops: a live table on a terminal, a line for each change elsewhere."""

import sys
import time
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn
from rich.table import Table
from rich.text import Text

from stack.control import Status

COLOURS = {
    "ready": "green",
    "done": "green",
    "starting": "yellow",
    "running": "yellow",
    "waiting": "dim",
    "restarting": "red",
    "unready": "red",
    "failed": "bold red",
    "stopped": "dim",
}


class View:
    """What the person in front of `scripts/run` sees."""

    def __init__(self) -> None:
        self.console = Console(highlight=False, soft_wrap=True)
        self._began = time.monotonic()
        self._seen: dict[str, tuple[str, str]] = {}
        self._live: Live | None = None
        self._printed_download_at = 0.0
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: type[BaseException] | None, _e: BaseException | None, _t: TracebackType | None) -> None:
        self.end_live()

    def say(self, line: str) -> None:
        """One line that stays."""
        if self._live is not None:
            self._live.console.print(line, markup=False)
        else:
            self.console.print(line, markup=False)
        sys.stdout.flush()

    def download(self, what: str, done: int, total: int) -> None:
        """A download's progress, in bytes; called often."""
        if not self.console.is_terminal:
            now = time.monotonic()
            if now - self._printed_download_at > 5 or (total and done >= total):
                self._printed_download_at = now
                self.say(f"{what} {done / 1e6:.0f} of {total / 1e6:.0f} MB" if total else what)
            return
        if self._progress is None:
            columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
            self._progress = Progress(*columns, console=self.console)
            self._progress.start()
            self._task = self._progress.add_task(what, total=None)
        if self._task is not None:
            self._progress.update(self._task, description=what, completed=done, total=total or None)

    def end_download(self) -> None:
        """Leaves the progress bar as it is."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def show(self, status: Status) -> None:
        """The stack as it is now."""
        if self.console.is_terminal:
            if self._live is None:
                self._live = Live(console=self.console, refresh_per_second=4, transient=True)
                self._live.start()
            self._live.update(table(status))
            return
        for condition in status["conditions"]:
            key = (
                condition["state"],
                condition["last_error"] if condition["state"] in {"failed", "restarting"} else "",
            )
            if self._seen.get(condition["name"]) != key and condition["state"] != "waiting":
                self._seen[condition["name"]] = key
                reason = "" if condition["state"] in {"ready", "done", "stopped"} else _reason(condition)
                words = f"{condition['name']:<14} {condition['state']}{': ' if reason else ''}{reason}"
                self.say(f"{time.monotonic() - self._began:6.1f} s  {words}")

    def end_live(self) -> None:
        """Takes the live table away."""
        if self._live is not None:
            self._live.stop()
            self._live = None


def table(status: Status) -> Group:
    """The live view's content."""
    grid = Table(box=None, pad_edge=False, show_header=False)
    now = time.time()
    for condition in status["conditions"]:
        grid.add_row(
            condition["name"],
            Text(condition["state"], style=COLOURS.get(condition["state"], "")),
            _age(now - condition["since"]),
            f"pid {condition['pid']}" if condition["pid"] else "",
            Text(f"{condition['restarts']} restarts" if condition["restarts"] else "", style="yellow"),
            Text(_reason(condition), style="dim", overflow="ellipsis", no_wrap=True),
        )
    if status["stopping"]:
        headline = Text("stopping …", style="yellow")
    elif status["healthy"]:
        headline = Text("healthy. Ctrl-C stops everything", style="bold green")
    else:
        headline = Text("not healthy yet …", style="yellow")
    return Group(headline, grid)


def _reason(condition: dict[str, Any]) -> str:
    if condition["state"] in {"ready", "done", "stopped"}:
        return str(condition["detail"])
    if condition["state"] in {"failed", "restarting"}:
        return " · ".join(filter(None, (condition["last_error"], condition["detail"])))
    return str(condition["detail"])


def _age(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
