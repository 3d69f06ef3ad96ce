"""What all tests share: the stack's fixtures, `--long`, the seed, and no sockets in unit tests."""

import os
import random
import socket
from pathlib import Path

import pytest
from hypothesis import settings

# a machine that is busy with a stack is slow now and then; that is no failure
settings.register_profile("checks", deadline=None)
settings.load_profile("checks")

pytest_plugins = ["tests.fix_stack"]

UNIT = Path(__file__).parent / "unit"
SEED = int(os.environ.get("CHECKS_TEST_SEED") or random.SystemRandom().randrange(2**32))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the full crash drills, too")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "alone: kills or stops parts of the shared stack, so nothing may run beside it")
    # workers of xdist must draw the same numbers as the process that started them
    os.environ["CHECKS_TEST_SEED"] = str(SEED)


def pytest_report_header() -> str:
    return f"random seed: {SEED} (set CHECKS_TEST_SEED to repeat)"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--long"):
        for item in items:
            if item.get_closest_marker("long"):
                item.add_marker(pytest.mark.skip(reason="takes minutes; runs with --long"))


@pytest.fixture(autouse=True)
def _repeatable() -> None:
    random.seed(SEED)


@pytest.fixture
def fuzz_seed(request: pytest.FixtureRequest) -> str:
    """Seed of schemathesis: what it tries is the same in every short run, and new in every long one."""
    return str(SEED) if request.config.getoption("--long") else "20240207"


@pytest.fixture(autouse=True)
def _no_sockets_in_unit_tests(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if UNIT in request.path.parents:

        def refuse(_self: socket.socket, address: object) -> None:
            raise AssertionError(f"a unit test must not open sockets, this one wanted {address}")

        monkeypatch.setattr(socket.socket, "connect", refuse)
        monkeypatch.setattr(socket.socket, "bind", refuse)
