"""All parts and steps of the stack, in the order that a reader follows a check."""

import sys
from collections.abc import Mapping

from stack.downloads import Installed
from stack.parts import connect, kafka, postgres, registry, services
from stack.parts.base import Part, Step, own_environment
from stack.settings import CHECKOUT, Settings

ADDRESSES = ("CHECKS_KAFKA", "CHECKS_REGISTRY_URL", "CHECKS_CONNECT_URL", "CHECKS_KSQL_URL")


def parts(settings: Settings, installed: Installed, values: Mapping[str, str]) -> list[Part]:
    """Every part that this stack starts (all, or those of CHECKS_ONLY)."""
    every = [
        kafka.part(settings, installed),
        registry.part(settings, installed),
        postgres.part(settings, values),
        connect.part(settings, installed, values),
        services.ksqlite(settings, values),
        services.intake(settings, values),
        services.analytics_api(settings, values),
    ]
    return [part for part in every if settings.only is None or part.name in settings.only]


def steps(settings: Settings, values: Mapping[str, str]) -> list[Step]:
    """The deployment. A stack of a few parts only (CHECKS_ONLY) deploys just what CHECKS_ONLY names."""

    def step(name: str, command: str, needs: tuple[str, ...], *more: str, notice: str = "") -> Step:
        return Step(
            name=name,
            cwd=CHECKOUT,
            command=[sys.executable, "-m", *command.split()],
            environment=own_environment(settings, values, *ADDRESSES, *more),
            needs=needs,
            notice=notice,
        )

    every = [
        step("migrations", "analytics_api.migrate", ("postgres",), "CHECKS_DATABASE_OWNER_URL"),
        step("schemas", "schemas apply", ("registry",)),
        step("topics", "ksql topics apply", ("kafka",)),
        # what would touch something that runs is for a person to decide on: it is shown, not done
        step("ksql", "ksql apply --only-new", ("ksqlite", "schemas", "topics"), notice="scripts/ksql apply"),
        step("connectors", "connectors apply", ("connect", "ksql", "migrations")),
    ]
    return [one for one in every if settings.only is None or one.name in settings.only]
