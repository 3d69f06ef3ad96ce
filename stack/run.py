"""`scripts/run`: brings the whole pipeline up, or picks it up where it is, and shows how it is until told to stop."""

import argparse
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import Any

from stack import control, preflight, process
from stack.downloads import DownloadError, Installed, install, is_installed
from stack.locks import file_lock
from stack.parts import catalogue, postgres
from stack.parts.base import PrepareError
from stack.parts.java import dump_base_archive
from stack.secrets import admin_password_is_generated, load_or_make
from stack.settings import CHECKOUT, PORTS, Settings, SettingsError, load
from stack.view import View

START_LIMIT_S = 300
HOPELESS_RESTARTS = 4
"""A part that never came up in so many attempts will not by waiting."""


class StopRequestedError(Exception):
    """Ctrl-C, or a signal that means the same."""


class StartError(Exception):
    """The stack did not get healthy; the message is one line for the operator."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 when all was well, 1 with one clear line when not."""
    parser = argparse.ArgumentParser(prog="scripts/run", description=__doc__)
    parser.add_argument("--detach", action="store_true", help="return when everything is healthy; scripts/stop ends it")
    parser.add_argument("--demo", action="store_true", help="also send made-up checks of the last 24 hours")
    parser.add_argument("--state", type=control.state_argument, metavar="DIR", help="keep data here (default: var/)")
    options = parser.parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup
            signal.signal(number, _request_stop)
    with View() as view:
        try:
            settings = load(state=options.state)
            values = bring_up(settings, view)
            if options.demo:
                view.end_live()
                run_demo(values)
            if options.detach:
                return 0
            watch(settings, view)
        except (SettingsError, preflight.PreflightError, DownloadError, PrepareError, StartError) as error:
            view.end_live()
            print(error, file=sys.stderr)
            return 1
        except StopRequestedError:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            return stop(settings, view)
    return 0


def bring_up(settings: Settings, view: View) -> Mapping[str, str]:
    """Starts what does not run, deploys, and waits until all is healthy. Returns addresses and secrets."""
    began = time.monotonic()
    preflight.make_state(settings)
    deployment = 0
    with file_lock(settings.run_dir / "start.lock", waiting=lambda: view.say("another start is under way; waiting")):
        if control.supervisor_pid(settings) is not None:
            same_settings(settings)
            values = load_or_make(settings)
            view.say(f"already running in {settings.state}; deploying what is new")
            deployment = control.deploy_again(settings)
        else:
            values = load_or_make(settings)
            start(settings, values, view)
    wait_until_healthy(settings, view, deployment)
    view.end_live()
    view.say(f"Everything is healthy after {time.monotonic() - began:.1f} s.")
    tell_notices(settings, view)
    tell_addresses(settings, values, view)
    return values


def start(settings: Settings, values: Mapping[str, str], view: View) -> None:
    """Checks the machine, fetches what is missing and starts the supervisor."""
    preflight.enough_memory()
    preflight.enough_disk(settings, downloaded=is_installed(settings.cache))
    nowhere = Installed(settings.cache, settings.cache, settings.cache, settings.cache)
    preflight.ports_are_free(settings, catalogue.parts(settings, nowhere, values))
    install(settings.cache, view.download)
    view.end_download()
    dump_base_archive()
    if note := postgres.place(settings).note:
        view.say(note)
    control.start_supervisor(settings)


def same_settings(settings: Settings) -> None:
    """Raises StartError when the running stack listens elsewhere than asked for now."""
    running = control.read_status(settings)
    for name, port in (running or {}).get("ports", {}).items():
        if settings.ports[name] != port:
            raise StartError(
                f"{settings.state} is already running with {PORTS[name][0]}={port}, not {settings.ports[name]}: "
                "stop it first (scripts/stop), or name another folder with --state"
            )


def wait_until_healthy(settings: Settings, view: View, deployment: int) -> None:
    """Shows the start until all is healthy. Raises StartError when it will not be."""
    deadline = time.monotonic() + START_LIMIT_S
    supervisor = control.supervisor_pid(settings)
    restarts_before: dict[str, int] = {}
    while True:
        status = control.read_status(settings)
        if status is not None and status["supervisor_pid"] == supervisor and status["deployments"] >= deployment:
            view.show(status)
            if status["healthy"]:
                return
            for condition in status["conditions"]:
                before = restarts_before.setdefault(condition["name"], condition["restarts"] if deployment else 0)
                if condition["state"] == "failed" or _hopeless(condition, before):
                    raise StartError(f"{condition['name']}: {condition['last_error']}. Its log: {condition['log']}")
        if control.supervisor_pid(settings) is None:
            log = settings.logs_dir / "supervisor.log"
            raise StartError(f"the supervisor has ended; its log says why: {log}")
        if time.monotonic() > deadline:
            bad = [
                c["name"] for c in (status or {"conditions": []})["conditions"] if c["state"] not in {"ready", "done"}
            ]
            raise StartError(f"not healthy after {START_LIMIT_S} s: {', '.join(bad)}; logs are in {settings.logs_dir}")
        time.sleep(0.2)


def _hopeless(condition: Mapping[str, Any], restarts_before: int) -> bool:
    busy_port = "in use by another program" in condition["last_error"]
    tried = condition["restarts"] - restarts_before
    return condition["state"] == "restarting" and (busy_port or tried >= HOPELESS_RESTARTS)


def watch(settings: Settings, view: View) -> None:
    """The live view, until a signal comes or someone else stops the stack; a killed supervisor is started again."""
    while True:
        status = control.read_status(settings)
        if status is not None:
            view.show(status)
        if control.supervisor_pid(settings) is None:
            if status is not None and status["stopping"]:
                view.say("stopped by scripts/stop")
                return
            view.say("the supervisor was killed; starting it again")
            control.start_supervisor(settings)
        time.sleep(0.5)


def stop(settings: Settings, view: View) -> int:
    """Stops everything, showing it. Returns the exit status."""

    def show() -> None:
        status = control.read_status(settings)
        if status is not None:
            view.show(status)

    stopped = control.stop_supervisor(settings, each=show)
    show()
    control.stop_leftovers(settings, view.say)
    view.end_live()
    view.say(
        "everything has stopped" if stopped else "not everything stopped in time; scripts/status shows what is left"
    )
    return 0 if stopped else 1


def tell_notices(settings: Settings, view: View) -> None:
    """What the deployment has to say beside success: ksql changes that need a rebuild, for example."""
    for condition in (control.read_status(settings) or {"conditions": []})["conditions"]:
        for line in condition.get("notice", ()):
            view.say(f"{condition['name']}: {line}")


def tell_addresses(settings: Settings, values: Mapping[str, str], view: View) -> None:
    """Where everything is, and the first administrator's password, once."""
    rows = [
        ("send checks to", f"{settings.intake_url}/api/checks/", "intake"),
        ("figures and pages", f"{settings.analytics_url}/", "analytics_api"),
        ("ksql", settings.ksql_url, "ksqlite"),
        ("Kafka", settings.kafka, "kafka"),
        ("schema registry", settings.registry_url, "registry"),
        ("Kafka Connect", settings.connect_url, "connect"),
        ("PostgreSQL", f"{settings.host}:{settings.ports['postgres']}, database checks", "postgres"),
    ]
    for what, address, part in rows:
        if settings.only is None or part in settings.only:
            view.say(f"  {what:<18} {address}")
    view.say(f"  {'logs, data':<18} {settings.state}  (passwords: {settings.secrets_dir / 'env'})")
    told = settings.secrets_dir / "admin-password-told"
    if not told.exists() and (settings.only is None or "analytics_api" in settings.only):
        if admin_password_is_generated(settings):
            view.say(f"  {'sign in as':<18} admin, password {values['CHECKS_ADMIN_PASSWORD']}  (shown this once)")
        told.touch(mode=0o600)


def run_demo(values: Mapping[str, str]) -> None:
    """Sends the made-up day of checks. Raises StartError when that fails."""
    environment = process.environment(dict(values))
    result = subprocess.run([sys.executable, "-m", "stack.demo"], cwd=CHECKOUT, env=environment, check=False)
    if result.returncode != 0:
        raise StartError(f"the demo ended with status {result.returncode}")


def _request_stop(_number: int, _frame: FrameType | None) -> None:
    raise StopRequestedError


if __name__ == "__main__":
    sys.exit(main())
