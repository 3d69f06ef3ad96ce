"""Settings: read, refused by name, and what they mean for where intake listens."""

from typing import Any

import pytest

from intake.settings import Settings, SettingsError, is_loopback, load

DIGEST = "ab" * 32


def test_defaults_need_no_environment() -> None:
    """An empty environment gives the defaults that the README lists."""
    settings = load({})
    assert (settings.port, settings.kafka, settings.checks_subject) == (8000, "127.0.0.1:9092", "checks-value")
    assert settings.limits == Settings().limits
    assert settings.partitions is None


def test_subject_follows_topic() -> None:
    """Another topic has its own subject unless that is set too."""
    settings = load({"CHECKS_CHECKS_TOPIC": "other", "CHECKS_REJECTED_SUBJECT": "mine"})
    assert (settings.checks_subject, settings.rejected_subject) == ("other-value", "mine")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CHECKS_INTAKE_PORT", "eighty"),
        ("CHECKS_INTAKE_PORT", "0"),
        ("CHECKS_INTAKE_WORKERS", "-1"),
        ("CHECKS_INTAKE_MAX_ENCODED_BYTES", "2000000"),
        ("CHECKS_INTAKE_MAX_AGE_DAYS", "3651"),
        ("CHECKS_TIMEZONE", "Mars/Olympus"),
        ("CHECKS_TIMEZONE", "../etc/passwd"),
        ("CHECKS_INTAKE_KEYS", "a-key-itself"),
        ("CHECKS_INTAKE_KEYS", f"{DIGEST},{DIGEST[:-1]}"),
        ("CHECKS_INTAKE_KEYLESS", "maybe"),
        ("CHECKS_INTAKE_COMPRESSION", "rar"),
        ("CHECKS_INTAKE_TRUSTED_PROXIES", "everyone"),
        ("CHECKS_KAFKA_CONFIG", "[1]"),
        ("CHECKS_KAFKA_CONFIG", "{"),
        ("CHECKS_REGISTRY_URL", "registry:8081"),
        ("CHECKS_LOG_LEVEL", "loud"),
    ],
)
def test_unusable_value_is_named(name: str, value: str) -> None:
    """A value that cannot be used is refused at start, and the message names its variable."""
    with pytest.raises(SettingsError, match=name):
        load({name: value})


@pytest.mark.parametrize(
    ("environment", "listens_on"),
    [
        ({}, "127.0.0.1"),
        ({"CHECKS_HOST": "localhost"}, "localhost"),
        ({"CHECKS_HOST": "0.0.0.0"}, "127.0.0.1"),  # noqa: S104 - that it is not listened on is the point
        ({"CHECKS_HOST": "192.0.2.1"}, "127.0.0.1"),
        ({"CHECKS_HOST": "192.0.2.1", "CHECKS_INTAKE_KEYS": f"till:{DIGEST}"}, "192.0.2.1"),
        ({"CHECKS_HOST": "192.0.2.1", "CHECKS_INTAKE_KEYLESS": "1"}, "192.0.2.1"),
    ],
)
def test_without_keys_the_loopback_only(environment: dict[Any, Any], listens_on: str) -> None:
    """Without a key configured intake is not reachable from elsewhere, whatever the host says."""
    assert load(environment).listens_on == listens_on


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("localhost", True),
        ("0.0.0.0", False),  # noqa: S104 - only a text here
        ("192.0.2.1", False),
        ("example.org", False),
    ],
)
def test_what_is_the_loopback(address: str, loopback: bool) -> None:
    """The loopback in all its spellings, and nothing else."""
    assert is_loopback(address) is loopback
