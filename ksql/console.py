"""How the tools speak: results on standard output, progress and refusals on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence

from ksql.errors import ToolError


def say(text: str = "") -> None:
    """A result."""
    print(text, flush=True)


def complain(text: str) -> None:
    """Progress, a warning or a refusal."""
    print(text, file=sys.stderr, flush=True)


def say_json(value: object) -> None:
    """A result as one line of JSON."""
    say(json.dumps(value, ensure_ascii=False, default=str))


def table(rows: Iterable[Sequence[object]], header: Sequence[str] = ()) -> str:
    """Rows as text, columns aligned."""
    cells = [[str(cell) for cell in row] for row in ([header, *rows] if header else rows)]
    if not cells:
        return ""
    widths = [max(len(row[index]) for row in cells) for index in range(len(cells[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
    )


def run(command: Callable[[], int], *, as_json: bool = False) -> int:
    """Run a command and turn a refusal into one line and exit code 1; Ctrl-C into 130."""
    try:
        return command()
    except ToolError as error:
        if as_json:
            say_json({"error": str(error)})
        else:
            complain(str(error))
        return 1
    except KeyboardInterrupt:
        complain("Stopped.")
        return 130
