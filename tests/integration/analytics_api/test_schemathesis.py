"""schemathesis with all its checks over the service's own OpenAPI, as administrator and as user."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import psycopg
import pytest

from tests.integration.analytics_api import made_up
from tests.integration.analytics_api.made_up import Check
from tests.integration.analytics_api.servers import Api, Postgres, environment, free_port, start_api, stop_api

# Some values that fit their schema are refused with 422 all the same, for reasons that JSON Schema cannot say: `from`
# not before `to`, two passwords that differ or are among the commonest, times that no calendar has. And the server
# refuses an address that is too long (many place_id) by itself, with 414.
CONFIGURATION = """
[checks]
negative_data_rejection.expected-statuses = ["400", "401", "403", "404", "405", "409", "414", "415", "422", "429"]
positive_data_acceptance.expected-statuses = ["2xx", "3xx", "401", "403", "404", "409", "422", "429"]
"""


class Intake(BaseHTTPRequestHandler):
    """Answers as intake does: 422 for what is no check; and as Connect: it knows no connector."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b'{"type":"about:blank","title":"Unprocessable Content","status":422,"detail":"no check"}'
        self.send_response(404 if self.path.startswith("/connectors") else 422)
        self.send_header("Content-Type", "application/problem+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def fuzzed(postgres: Postgres, new_database: Callable[[], str], sales: list[Check], tmp_path: Path) -> Iterator[Api]:
    """A service of this test's own: what schemathesis does to accounts disturbs nobody."""
    intake = ThreadingHTTPServer(("127.0.0.1", free_port()), Intake)
    thread = Thread(target=intake.serve_forever)
    thread.start()
    name = new_database()
    made_up.write(postgres.url(name, "checks_sink"), sales[:300])
    address = f"http://127.0.0.1:{intake.server_address[1]}"
    api = start_api(
        environment(
            postgres,
            name,
            tmp_path / "fuzzed",
            CHECKS_INTAKE_URL=address,
            CHECKS_CONNECT_URL=address,
            CHECKS_ACCESS_TOKEN_S="3600",
        )
    )
    yield api
    stop_api(api)
    intake.shutdown()
    thread.join()
    intake.server_close()


@pytest.mark.parametrize("role", ["administrator", "user"])
def test_schemathesis_finds_nothing(fuzzed: Api, tmp_path: Path, fuzz_seed: str, role: str) -> None:
    """Whatever fits or does not fit the document, the answers are as documented and never 500."""
    name, password = f"fuzz-{role}", "a-password-of-tests"
    with fuzzed.client() as client:
        body = {"username": name, "password1": password, "password2": password}
        assert client.post("/auth/registration/", json=body).status_code == 201
    with psycopg.connect(fuzzed.environment["CHECKS_DATABASE_OWNER_URL"]) as connection:
        connection.execute("UPDATE app.users SET is_admin = %s WHERE username = %s", (role == "administrator", name))
    token = fuzzed.token(name, password)
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)
    result = subprocess.run(
        [
            str(Path(sys.executable).parent / "schemathesis"),
            *("--config-file", str(tmp_path / "schemathesis.toml")),
            *("run", f"{fuzzed.url}/swagger/openapi.json"),
            *("--header", f"Authorization: Bearer {token}"),
            *("--checks", "all", "--max-examples", "10", "--seed", fuzz_seed, "--no-color"),
            *("--generation-database", "none"),
            # Signing out would leave the rest without a token; other tests do it.
            *("--exclude-path", "/auth/logout"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    (tmp_path / "report.txt").write_text(result.stdout, encoding="utf-8")
    failures = result.stdout[max(0, result.stdout.find(" FAILURES ")) :]
    assert result.returncode == 0, failures[:6000] + result.stderr[-2000:]
