# ruff: noqa: INP001  (a script of the containers, no package)
"""Health check of a container: exit 0 when the address answers 200, and is healthy where it says so."""

import json
import sys
import urllib.error
import urllib.request


def main(url: str) -> int:
    """0 healthy, 1 not."""
    try:
        with urllib.request.urlopen(url, timeout=4) as answer:  # noqa: S310 - an address of this container's own
            body = answer.read()
    except (urllib.error.URLError, TimeoutError, OSError):
        return 1
    try:
        document = json.loads(body)
    except ValueError:
        return 0
    return 1 if isinstance(document, dict) and document.get("isHealthy") is False else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
