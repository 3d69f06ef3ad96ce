"""The Python parts: ksqlite, intake and analytics_api, each `python -m PACKAGE` with its own secrets and journal."""

import sys
from collections.abc import Mapping

from stack.parts.base import NotReadyError, Part, http_answers, own_environment
from stack.settings import CHECKOUT, Settings


def ksqlite(settings: Settings, values: Mapping[str, str]) -> Part:
    """The embedded runtime of the ksql files."""
    return Part(
        name="ksqlite",
        command=[sys.executable, "-m", "ksqlite", "serve"],
        environment=own_environment(settings, values, "CHECKS_KAFKA", "CHECKS_REGISTRY_URL"),
        cwd=CHECKOUT,
        needs=("kafka", "registry"),
        ports=("ksql",),
        ready=lambda: ksqlite_says_it_is_healthy(settings.ksql_url),
        stop_limit_s=30,
        stop_wave=1,
    )


def intake(settings: Settings, values: Mapping[str, str]) -> Part:
    """The service that takes checks."""
    names = ("CHECKS_KAFKA", "CHECKS_REGISTRY_URL")
    return Part(
        name="intake",
        command=[sys.executable, "-m", "intake"],
        environment={
            **own_environment(settings, values, *names),
            "CHECKS_JOURNAL_DIR": str(settings.state / "intake" / ".journal"),
        },
        cwd=CHECKOUT,
        needs=("topics", "schemas"),
        ports=("intake",),
        prepare=lambda: (settings.state / "intake" / ".journal").mkdir(parents=True, exist_ok=True),
        ready=lambda: service_is_ready(settings.intake_url),
    )


def analytics_api(settings: Settings, values: Mapping[str, str]) -> Part:
    """The service that answers with figures."""
    names = (
        "CHECKS_KAFKA",
        "CHECKS_REGISTRY_URL",
        "CHECKS_CONNECT_URL",
        "CHECKS_KSQL_URL",
        "CHECKS_INTAKE_URL",
        "CHECKS_DATABASE_URL",
        "CHECKS_ADMIN_PASSWORD",
    )
    return Part(
        name="analytics_api",
        command=[sys.executable, "-m", "analytics_api"],
        environment={
            **own_environment(settings, values, *names),
            "CHECKS_JOURNAL_DIR": str(settings.state / "analytics_api" / ".journal"),
            "CHECKS_KEYS_DIR": str(settings.secrets_dir),
        },
        cwd=CHECKOUT,
        needs=("migrations",),
        ports=("analytics",),
        prepare=lambda: (settings.state / "analytics_api" / ".journal").mkdir(parents=True, exist_ok=True),
        ready=lambda: service_is_ready(settings.analytics_url),
    )


def ksqlite_says_it_is_healthy(url: str) -> None:
    """Proves that ksqlite has its state and its connection to the broker. Raises NotReadyError."""
    answer = http_answers(f"{url}/healthcheck").json()
    if answer.get("isHealthy") is not True:
        raise NotReadyError(f"{url}/healthcheck says isHealthy={answer.get('isHealthy')}: {answer.get('details')}")


def service_is_ready(url: str) -> None:
    """Proves that the service reaches everything it needs to answer. Raises NotReadyError."""
    http_answers(f"{url}/health/ready")
