"""Ports for a stack beside others: free now, and below the range that the kernel hands to outgoing connections."""

import random

from stack.parts.base import port_is_free
from stack.settings import PORTS

LOWEST, HIGHEST = 20_000, 32_000


def choose(host: str = "127.0.0.1") -> dict[str, str]:
    """A free port for every port of a stack, by environment variable."""
    candidates = random.SystemRandom().sample(range(LOWEST, HIGHEST), HIGHEST - LOWEST)
    free = (port for port in candidates if port_is_free(host, port))
    return {variable: str(next(free)) for variable, _ in PORTS.values()}
