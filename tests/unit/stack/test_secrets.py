"""Secrets: made once, kept from others, and never the operator's own password by another name."""

from pathlib import Path

import pytest

from stack import secrets
from stack.settings import Settings, load


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(state=tmp_path, environ={})


def test_secrets_are_made_once(settings: Settings) -> None:
    """A second start has the passwords of the first."""
    first = secrets.load_or_make(settings, {})
    assert secrets.load_or_make(settings, {}) == first
    assert len({first[secrets.password_name(role)] for role in secrets.ROLES}) == len(secrets.ROLES)


def test_the_file_is_readable_by_its_owner_alone(settings: Settings) -> None:
    """No other account of the machine reads a password."""
    secrets.load_or_make(settings, {})
    assert (settings.secrets_dir / "env").stat().st_mode & 0o777 == 0o600
    assert settings.secrets_dir.stat().st_mode & 0o777 == 0o700


def test_addresses_follow_the_ports(settings: Settings, tmp_path: Path) -> None:
    """A state that moves to other ports keeps its passwords and gets new addresses."""
    first = secrets.load_or_make(settings, {})
    moved = secrets.load_or_make(load(state=tmp_path, environ={"CHECKS_POSTGRES_PORT": "1"}), {})
    assert moved["CHECKS_OWNER_PASSWORD"] == first["CHECKS_OWNER_PASSWORD"]
    assert moved["CHECKS_DATABASE_URL"].endswith("@127.0.0.1:1/checks")


def test_a_given_administrator_password_is_taken_and_not_told(settings: Settings) -> None:
    """Who sets CHECKS_ADMIN_PASSWORD knows it; a generated one is told once."""
    given = {"CHECKS_ADMIN_PASSWORD": "of-the-operator"}
    assert secrets.load_or_make(settings, given)["CHECKS_ADMIN_PASSWORD"] == "of-the-operator"
    assert not secrets.admin_password_is_generated(settings, given)


def test_a_generated_administrator_password_is_ours_to_tell(settings: Settings) -> None:
    """Without one given, the generated one must be told, or nobody can sign in."""
    secrets.load_or_make(settings, {})
    assert secrets.admin_password_is_generated(settings, {})
