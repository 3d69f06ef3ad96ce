"""The OpenAPI document is true: schemathesis holds the running service to it, with every check it knows."""

import subprocess
import sys
from typing import Any

import pytest

from intake.http.keys import make_key


def schemathesis(url: str, seed: str, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json", "--checks", "all"]
    return subprocess.run([*command, "--seed", seed, *more], text=True, capture_output=True, check=False)


@pytest.mark.timeout(900)
def test_all_checks(service: Any, request: Any, fuzz_seed: Any) -> None:
    """Whatever the document lets one send is answered as it says; nothing it forbids is accepted."""
    examples = "100" if request.config.getoption("--long") else "15"
    done = schemathesis(service.url, fuzz_seed, "--max-examples", examples, "--suppress-health-check", "all")
    assert done.returncode == 0, done.stdout[-5000:]
    assert service.metric('intake_checks_accepted_total{way="single"}') > 0


@pytest.mark.timeout(900)
def test_all_checks_with_keys(start: Any, fuzz_seed: Any) -> None:
    """The same with API keys: a request without one is never let through."""
    key, digest = make_key()
    service = start(CHECKS_INTAKE_KEYS=digest)
    done = schemathesis(
        service.url,
        fuzz_seed,
        "--max-examples",
        "10",
        "--suppress-health-check",
        "all",
        "--header",
        f"X-API-Key: {key}",
    )
    assert done.returncode == 0, done.stdout[-5000:]
