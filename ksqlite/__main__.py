"""``python -m ksqlite``: serve, test, conformance, functions, readme."""

from __future__ import annotations

import importlib
import sys

# name -> module whose main(arguments) runs it, and what it does; modules are loaded when they are asked for
_COMMANDS = {
    "serve": ("ksqlite.server.serve", "run the server (settings: CHECKS_… variables)"),
    "test": ("ksqlite.testing.test", "run .sql files against test cases, in memory"),
    "conformance": ("ksqlite.testing.conformance", "run a folder of ksqlDB's own cases"),
    "functions": ("ksqlite.readme", "list the functions"),
    "readme": ("ksqlite.readme", "write ksqlite/README.md anew"),
}


def main(arguments: list[str]) -> int:
    """Runs a command; gives the exit code."""
    if not arguments or arguments[0] not in _COMMANDS:
        print("usage: python -m ksqlite COMMAND …\n", file=sys.stderr)
        for name, (_, told) in _COMMANDS.items():
            print(f"  {name:<12} {told}", file=sys.stderr)
        return 0 if arguments and arguments[0] in {"-h", "--help"} else 2
    # compiling every module at every start would take half of the second in which the server is to be ready
    sys.dont_write_bytecode = False
    module = importlib.import_module(_COMMANDS[arguments[0]][0])
    run = getattr(module, "functions", module.main) if arguments[0] == "functions" else module.main
    return int(run(arguments[1:]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
