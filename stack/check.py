"""`scripts/check`: lint, format, types, and that no file names a package host or a path of somebody's machine."""

import argparse
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from stack.settings import CHECKOUT

TYPED = ("analytics_api", "bench", "connectors", "intake", "ksql", "ksqlite", "schemas", "stack", "tests")
FORBIDDEN = {
    re.compile(
        r"pypi\.org|pythonhosted\.org|maven\.org|repo\.maven\.|npmjs\.(org|com)|crates\.io|proxy\.golang\.org|jfrog\.io"
    ): "names a package host (pins carry hashes, the machine's own settings say where from)",
    re.compile(r"(?<![\w.$}*~-])/(?:root|work|home|Users)/[\w.-]+"): "holds a path of one machine",
}
BINARY = {".png", ".ico", ".woff2", ".gz", ".zst", ".jsa"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 when nothing is to be mended."""
    parser = argparse.ArgumentParser(prog="scripts/check", description=__doc__)
    parser.add_argument("--fix", action="store_true", help="mend what ruff can mend by itself")
    options = parser.parse_args(arguments)
    ruff = [sys.executable, "-m", "ruff"]
    packages = [name for name in TYPED if any((CHECKOUT / name).rglob("*.py"))]
    commands = {
        "lint": [*ruff, "check", "--quiet", *(["--fix"] if options.fix else []), "."],
        "format": [*ruff, "format", "--quiet", *([] if options.fix else ["--diff"]), "."],
        "types": [sys.executable, "-m", "mypy", "--explicit-package-bases", *packages],
    }
    failed = []
    for name, command in commands.items():
        print(f"{name}: {' '.join(command[2:])}", flush=True)
        if subprocess.run(command, cwd=CHECKOUT, check=False).returncode != 0:
            failed.append(name)
    print("foreign addresses and paths", flush=True)
    findings = list(foreign(tracked_files()))
    for finding in findings:
        print(finding)
    if findings:
        failed.append("foreign addresses and paths")
    print(f"to be mended: {', '.join(failed)}" if failed else "nothing is to be mended")
    return 1 if failed else 0


def tracked_files() -> list[Path]:
    """Every file that git keeps, or would keep."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=CHECKOUT, check=True, capture_output=True, text=True)
    return [CHECKOUT / name for name in listed.stdout.split("\0") if name]


def foreign(files: Iterable[Path]) -> Iterable[str]:
    """A line `file:line: what is wrong` for each place that holds what no file may hold."""
    for file in files:
        if file.suffix in BINARY or not file.is_file():
            continue
        for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            for pattern, reason in FORBIDDEN.items():
                if found := pattern.search(line):
                    yield f"{file.relative_to(CHECKOUT)}:{number}: {found.group(0)} {reason}"


if __name__ == "__main__":
    sys.exit(main())
