"""What can be said of the containers without an engine: paths, variables, ports and names agree with the code."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from analytics_api.settings import Settings as AnalyticsSettings
from intake.settings import Settings as IntakeSettings
from stack import compose as compose_tool
from stack.settings import PORTS

ROOT = Path(__file__).parents[3]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SERVICES = COMPOSE["services"]
TEXT = (ROOT / "compose.yaml").read_text(encoding="utf-8")
NGINX = (ROOT / "deploy" / "nginx" / "nginx.conf").read_text(encoding="utf-8")
OURS = {"intake": "intake", "analytics_api": "analytics_api", "ksqlite": "ksqlite"}


def environment(service: Any) -> Any:
    return SERVICES[service].get("environment") or {}


def test_every_mounted_path_exists() -> None:
    """A bind mount of a missing path would become an empty folder."""
    for name, service in SERVICES.items():
        for volume in service.get("volumes", ()):
            source = re.sub(r"\$\{[A-Z_]+:-([^}]*)\}", r"\1", volume).split(":")[0]
            if source.startswith("."):
                assert (ROOT / source).exists(), f"{name} mounts {source}"
            else:
                assert source in COMPOSE["volumes"], f"{name} mounts {source}"


def test_every_image_is_pinned() -> None:
    """No image moves under our feet."""
    images = [service["image"] for service in SERVICES.values() if "build" not in service]
    assert images
    for image in images:
        assert re.search(r":\d+\.\d+", image), image
    for file in (*ROOT.glob("*/Dockerfile"), ROOT / "deploy" / "tools.Dockerfile"):
        for line in file.read_text(encoding="utf-8").splitlines():
            if line.startswith("FROM"):
                assert re.search(r":\d+\.\d+\.\d+", line), f"{file}: {line}"


def test_dockerfiles_copy_what_is_there_and_run_as_nobody_in_particular() -> None:
    """Every COPY has its source and is let through by .dockerignore; no image runs as root."""
    ignore = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    allowed = {line[1:] for line in ignore if line.startswith("!")}
    for service in SERVICES.values():
        if "build" not in service:
            continue
        text = (ROOT / service["build"]["dockerfile"]).read_text(encoding="utf-8")
        for source in re.findall(r"^COPY (?!--from)(\S+) ", text, re.MULTILINE):
            assert (ROOT / source).exists(), source
            assert source.split("/")[0] in allowed, source
        assert "\nUSER checks\n" in text
        assert "--require-hashes" in text


@pytest.mark.parametrize(("service", "package"), OURS.items())
def test_every_variable_that_a_service_gets_is_one_that_it_reads(service: Any, package: Any) -> None:
    """A misspelt setting would be ignored in silence."""
    source = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / package).rglob("*.py"))
    named = (
        {f"CHECKS_{name.upper()}" for name in AnalyticsSettings.__annotations__}
        if service == "analytics_api"
        else set()
    )
    shared = {"CHECKS_CONNECT_URL", "CHECKS_KSQL_URL", "CHECKS_INTAKE_URL", "CHECKS_TIMEZONE"}
    for variable in environment(service):
        assert variable in source or variable in named or variable in shared, f"{service}: {variable}"


def test_ports_are_those_of_the_settings() -> None:
    """The services listen where nginx and the health checks look for them."""
    assert str(IntakeSettings().port) == environment("intake")["CHECKS_INTAKE_PORT"]
    assert str(AnalyticsSettings().analytics_port) == environment("analytics_api")["CHECKS_ANALYTICS_PORT"]
    assert f"server intake:{IntakeSettings().port} " in NGINX
    assert f"server analytics_api:{AnalyticsSettings().analytics_port} " in NGINX
    published = " ".join(SERVICES["nginx"]["ports"])
    for name in ("intake", "analytics"):
        variable, default = PORTS[name]
        assert f"${{{variable}:-{default}}}:{default}" in published


def test_only_nginx_is_published_and_on_this_machine_alone() -> None:
    """Everything else stays within the containers' network."""
    assert {"nginx"} == {name for name, service in SERVICES.items() if "ports" in service}
    assert all(port.startswith("${CHECKS_PUBLISH:-127.0.0.1}:") for port in SERVICES["nginx"]["ports"])


def test_sizes_at_nginx_are_those_of_intake() -> None:
    """Nginx must neither refuse what intake takes nor take much more."""
    sizes = {int(number) * 1024 * 1024 for number in re.findall(r"client_max_body_size (\d+)m;", NGINX)}
    assert {IntakeSettings().max_check_bytes, IntakeSettings().max_batch_bytes} == sizes


def test_no_secret_has_a_default(tmp_path: Path) -> None:
    """Every password comes from the environment, and scripts/compose makes each."""
    for name in re.findall(r"\$\{(\w*PASSWORD\w*)(?::-[^}]*)?\}", TEXT):
        pytest.fail(f"{name} may be empty or has a default")
    wanted = set(re.findall(r"\$\{(\w+):\?", TEXT))
    made = compose_tool.ensure_env(tmp_path / ".env")
    assert wanted <= set(made)
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    assert made == compose_tool.ensure_env(tmp_path / ".env")
    assert len(set(made.values())) == len(made)


def test_publishing_wider_needs_keys() -> None:
    """Without API keys anybody could send checks."""
    assert compose_tool.refusal({}) is None
    assert compose_tool.refusal({"CHECKS_PUBLISH": "127.0.0.1"}) is None
    assert "CHECKS_INTAKE_KEYS" in (compose_tool.refusal({"CHECKS_PUBLISH": "0.0.0.0"}) or "")  # noqa: S104 - refused
    assert compose_tool.refusal({"CHECKS_PUBLISH": "10.0.0.1", "CHECKS_INTAKE_KEYS": "ab"}) is None
    assert "not an address" in (compose_tool.refusal({"CHECKS_PUBLISH": "everywhere"}) or "")


def test_every_dependency_is_a_service_with_a_health_check() -> None:
    """depends_on waits for something that can become healthy."""
    for name, service in SERVICES.items():
        for other, how in (service.get("depends_on") or {}).items():
            assert other in SERVICES, f"{name} waits for {other}"
            if how["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[other], f"{name} waits for {other}"


def test_versions_are_those_of_the_stack_without_containers() -> None:
    """The same releases in both, so that what is tested is what runs."""
    lock = (ROOT / "stack" / "lock.py").read_text(encoding="utf-8")
    pinned = dict(re.findall(r'^(KAFKA|REGISTRY|JDBC_SINK) = "([^"]+)"', lock, re.MULTILINE))
    assert SERVICES["kafka"]["image"].endswith(f":{pinned['KAFKA']}")
    assert SERVICES["registry"]["image"].endswith(f":{pinned['REGISTRY']}")
    assert SERVICES["connect"]["image"].endswith(f":{pinned['JDBC_SINK']}")


def test_the_worker_is_set_as_without_containers() -> None:
    """Connect's settings agree with those that the integration tests run with."""
    source = (ROOT / "stack" / "parts" / "connect.py").read_text(encoding="utf-8")
    connect = environment("connect")
    for name in ("use-id", "as-confluent", "headers.enabled", "check-period-ms"):
        variable = "CONNECT_VALUE_CONVERTER_APICURIO_REGISTRY_" + name.upper().replace(".", "_")
        assert variable in connect
        value = re.search(rf'registry\.{re.escape(name)}": "?([\w_]+)"?', source)
        assert value is not None
        assert connect[variable] == value[1].replace("_", "")
