"""The schema registry: Apicurio, with its Confluent-compatible API, its schemas in an H2 file."""

from stack.downloads import Installed
from stack.parts.base import Part, http_answers
from stack.parts.java import java
from stack.settings import Settings


def part(settings: Settings, installed: Installed) -> Part:
    """The registry as a part of the stack."""
    data = settings.state / "registry"
    options = {
        "quarkus.http.host": settings.host,
        "quarkus.http.port": settings.ports["registry"],
        "quarkus.management.host": settings.host,
        "quarkus.management.port": settings.ports["registry_management"],
        "quarkus.http.access-log.enabled": "false",
        "quarkus.log.console.json.enabled": "false",
        "quarkus.log.level": "WARN",
        "apicurio.datasource.url": f"jdbc:h2:file:{data}/registry;DB_CLOSE_ON_EXIT=FALSE",
    }
    properties = [f"-D{name}={value}" for name, value in options.items()]
    jvm = java(installed, "registry", 256, *properties, light=True)
    return Part(
        name="registry",
        command=[*jvm, "-jar", "quarkus-run.jar"],
        cwd=installed.registry,
        ports=("registry", "registry_management"),
        prepare=lambda: data.mkdir(parents=True, exist_ok=True),
        ready=lambda: registry_lists_subjects(settings.registry_url),
        stop_limit_s=15,
        stop_wave=2,
    )


def registry_lists_subjects(url: str) -> None:
    """Proves that the registry reads its storage and speaks the Confluent API. Raises NotReadyError."""
    http_answers(f"{url}/subjects")
