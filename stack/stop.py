"""`scripts/stop`: stops every part of a stack cleanly, also what a killed supervisor left behind."""

import argparse
import sys
import time
from collections.abc import Sequence

from stack import control
from stack.settings import load
from stack.view import View


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 when nothing runs any more."""
    parser = argparse.ArgumentParser(prog="scripts/stop", description=__doc__)
    parser.add_argument(
        "--state", type=control.state_argument, metavar="DIR", help="the stack's folder (default: var/)"
    )
    settings = load(state=parser.parse_args(arguments).state)
    began = time.monotonic()
    with View() as view:
        if control.supervisor_pid(settings) is None and not control.leftovers(settings):
            view.say(f"nothing runs in {settings.state}")
            return 0

        def show() -> None:
            status = control.read_status(settings)
            if status is not None:
                view.show(status)

        stopped = control.stop_supervisor(settings, each=show)
        show()
        view.end_live()
        if not stopped:
            view.say("the supervisor did not stop in time; scripts/status shows what is left")
            return 1
        control.stop_leftovers(settings, view.say)
        view.say(f"everything has stopped ({time.monotonic() - began:.1f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
