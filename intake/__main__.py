"""`python -m intake` serves; `python -m intake key` makes an API key."""

from __future__ import annotations

import sys

from intake.http.keys import make_key
from intake.settings import SettingsError, load

USAGE = """usage: python -m intake        take checks over HTTP until stopped
       python -m intake key    make an API key and print it with its hash"""


def main(arguments: list[str]) -> int:
    """Run a command; the exit code."""
    match arguments:
        case [] | ["serve"]:
            from intake.serve import serve  # noqa: PLC0415 - making a key needs no server

            try:
                return serve(load())
            except SettingsError as error:
                print(f"intake: {error}", file=sys.stderr)
                return 2
        case ["key"]:
            key, digest = make_key()
            print(f"key, for the client (shown this once): {key}\nhash, for CHECKS_INTAKE_KEYS:           {digest}")
            return 0
    print(USAGE, file=sys.stderr)
    return 0 if arguments in (["-h"], ["--help"], ["help"]) else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
