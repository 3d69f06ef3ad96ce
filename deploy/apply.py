# ruff: noqa: INP001  (a script of the containers, no package)
"""Deploys everything, in the order in which one thing needs another; each step is safe to repeat.

The same commands as scripts/run gives: what is only new is applied, the rest is told and waits for scripts/ksql apply.
"""

import subprocess
import sys

STEPS = (
    ("analytics_api.migrate",),
    ("schemas", "apply"),
    ("ksql", "topics", "apply"),
    ("ksql", "apply", "--only-new"),
    ("connectors", "apply"),
)


def main() -> int:
    """Exit status of the first step that fails, 0 when none does."""
    for step in STEPS:
        print("==", *step, flush=True)
        status = subprocess.run([sys.executable, "-m", *step], check=False).returncode
        if status != 0:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
