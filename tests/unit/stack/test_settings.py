"""Settings of a stack: environment variables in, ports and folders out."""

from pathlib import Path

import pytest

from stack.settings import SettingsError, load


def test_defaults_are_the_documented_ports() -> None:
    """Without any variable the stack listens where the README says."""
    settings = load(environ={})
    assert settings.ports == {
        "intake": 8000,
        "analytics": 9000,
        "kafka": 9092,
        "kafka_controller": 9093,
        "registry": 8081,
        "registry_management": 8091,
        "connect": 8083,
        "postgres": 5433,
        "ksql": 8088,
    }
    assert settings.kafka == "127.0.0.1:9092"


def test_environment_loads_back_to_the_same_settings(tmp_path: Path) -> None:
    """A child process that gets `environment()` has the very settings of its parent."""
    given = {
        "CHECKS_STATE": str(tmp_path),
        "CHECKS_KAFKA_PORT": "1234",
        "CHECKS_ONLY": "kafka",
    }
    settings = load(environ=given)
    assert load(environ=settings.environment()) == settings


@pytest.mark.parametrize("text", ["none", "0", "65536", "-1", "90.5"])
def test_a_port_that_is_none_is_refused_by_its_variable(text: str) -> None:
    """A wrong port is one line that names the variable."""
    with pytest.raises(SettingsError, match=f"CHECKS_KAFKA_PORT={text}"):
        load(environ={"CHECKS_KAFKA_PORT": text})


def test_the_same_port_twice_is_refused_before_anything_starts() -> None:
    """Two parts on one port would fight; the message names both variables."""
    with pytest.raises(SettingsError, match=r"CHECKS_INTAKE_PORT.*CHECKS_ANALYTICS_PORT.*9000"):
        load(environ={"CHECKS_INTAKE_PORT": "9000"})
