"""intake against the stack's broker and registry."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest

from tests.fix_stack import Stack
from tests.integration.intake.service import Service, Topics, running

Start = Callable[..., Service]


@pytest.fixture
def topics(stack: Stack) -> Topics:
    """Topics and subjects of this test alone."""
    made = Topics(stack.kafka, stack.registry_url)
    made.create()
    return made


@pytest.fixture
def start(topics: Topics, tmp_path: Path) -> Iterator[Start]:
    """Starts intake on the test's topics, under more settings if wanted."""
    with ExitStack() as services:

        def begin(*, wait: bool = True, **environment: str) -> Service:
            opened: AbstractContextManager[Service] = running(
                tmp_path / "state", {**topics.environment(), **environment}, wait=wait
            )
            return services.enter_context(opened)

        yield begin


@pytest.fixture
def service(start: Start) -> Service:
    """Intake under default settings."""
    return start()
