"""``scripts/bench NAME``: runs the measurement of that name, and names all there are without one."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path


def names() -> list[str]:
    """Every measurement: a module of this folder with a `main`, named after what it measures."""
    files = (file for file in Path(__file__).parent.glob("[a-z]*.py") if file.stem != "load")
    return sorted(file.stem for file in files if "\ndef main(" in file.read_text(encoding="utf-8"))


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status of the measurement: 1 when it failed, or missed a bar it was told to hold."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] not in names():
        print(f"scripts/bench NAME [--json]: one of {', '.join(names())}", file=sys.stderr)
        return 2
    module = importlib.import_module(f"bench.{arguments[0]}")
    return int(module.main(arguments[1:]) or 0)


if __name__ == "__main__":
    sys.exit(main())
