"""Pages when there is nothing yet, when parts do not answer, and when the database goes away under an open page."""

import re
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from analytics_api.migrate import migrate
from tests.e2e.visits import body_text, sign_in, until_text
from tests.fix_stack import Stack
from tests.integration.analytics_api.servers import (
    ADMIN,
    PASSWORD,
    Api,
    Postgres,
    environment,
    start_api,
    stop_api,
)

SLOWEST_S = 5.0
"""The longest that a page may take while parts hang: 2.5 s for the parts, the page itself, and a busy machine."""
ONE_SALE = """
INSERT INTO pipeline_v1.place_totals (place_id, place_name, purchases, revenue, nds, tips, first_sold_at, last_sold_at)
VALUES ('011', 'Кафе', 3, 321.50, 32.15, 1, now(), now());
INSERT INTO pipeline_v1.place_hours (place_id, hour_start, purchases, revenue, nds, tips)
VALUES ('011', date_trunc('hour', now()), 3, 321.50, 32.15, 1);
INSERT INTO pipeline_v1.place_days (place_id, day_start, purchases, revenue, nds, tips)
VALUES ('011', date_trunc('day', now()), 3, 321.50, 32.15, 1);
"""


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """A server of these tests' own, which may be killed."""
    with tempfile.TemporaryDirectory(prefix="checks-down-") as folder:
        Path(folder).chmod(0o755)
        server = Postgres(Path(folder) / "postgres")
        server.folder.mkdir(mode=0o755)
        server.start()
        server.make("checks")
        migrate(server.url("checks"))
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute(f"ALTER ROLE checks_api LOGIN PASSWORD '{PASSWORD}'")
        yield server
        server.stop()


@pytest.fixture(scope="module")
def silent() -> Iterator[str]:
    """The address of a part that takes connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture(scope="module")
def api(postgres: Postgres, silent: str) -> Iterator[Api]:
    """The service, with intake and Kafka gone and Connect, the registry and ksql hanging."""
    hanging = dict.fromkeys(("CHECKS_REGISTRY_URL", "CHECKS_KSQL_URL", "CHECKS_CONNECT_URL"), f"http://{silent}")
    running = start_api(environment(postgres, "checks", postgres.folder.parent / "api", **hanging))
    yield running
    stop_api(running)


class Own:
    """The service in place of the stack, for `sign_in`."""

    def __init__(self, api: Api) -> None:
        self.analytics_url = api.url


def enter(chrome: Chrome, api: Api, address: str) -> None:
    """Signs the administrator in and opens an address."""
    sign_in(chrome, cast("Stack", Own(api)), ADMIN["username"], ADMIN["password"], address)


def test_an_empty_database_says_how_to_send_a_check(api: Api, browser: Any, shoot: Any) -> None:
    """Analysts and administrators read a command that works, with the address of this installation."""
    chrome = browser()
    enter(chrome, api, "/analytics/")
    command = chrome.find_element(By.CSS_SELECTOR, "main pre").text
    assert f"curl -X POST {api.environment['CHECKS_INTAKE_URL']}/api/checks/" in command
    assert "No checks yet: this is how to send one." in body_text(chrome)
    shoot(chrome, "empty-database")
    chrome.get(f"{api.url}/admin/")
    assert "curl -X POST" in chrome.find_element(By.CSS_SELECTOR, "main pre").text
    shoot(chrome, "empty-admin")


def test_parts_that_are_away_are_named_and_never_waited_for_long(
    api: Api, postgres: Postgres, browser: Any, shoot: Any
) -> None:
    """The page of the pipeline comes in time with each part's state; analysts see the last figures and their age."""
    chrome = browser()
    enter(chrome, api, "/account/")
    began = time.monotonic()
    chrome.get(f"{api.url}/admin/pipeline/")
    assert time.monotonic() - began < SLOWEST_S
    for part in ("intake", "kafka", "registry", "ksql", "connect"):
        row = chrome.find_element(By.XPATH, f"//tr[th[normalize-space()='{part}']]").text
        assert "not in order" in row, row
        assert "does not answer" in row, row
    shoot(chrome, "pipeline-down")
    with psycopg.connect(postgres.url("checks"), autocommit=True) as connection:
        connection.execute(ONE_SALE)
    chrome.get(f"{api.url}/analytics/")
    WebDriverWait(chrome, 30).until(lambda c: c.find_elements(By.CSS_SELECTOR, "#figures .notice.warn"))
    notice = chrome.find_element(By.CSS_SELECTOR, "#figures .notice.warn").text
    assert re.search(r"intake, kafka, registry, ksql, connect\. .*they changed \d+.(s|min)", notice), notice
    assert chrome.find_element(By.CSS_SELECTOR, "[data-figure=spent]").text == "321.50"
    shoot(chrome, "analytics-down")


def test_an_open_page_tells_that_the_database_went_and_goes_on_when_it_is_back(
    api: Api, postgres: Postgres, browser: Any, shoot: Any
) -> None:
    """The last figures stay in sight with their age; no reload is needed afterwards."""
    chrome = browser()
    enter(chrome, api, "/analytics/")
    figures = chrome.find_element(By.CSS_SELECTOR, "[data-figure=purchases]").text
    postgres.kill()
    try:
        until_text(chrome, "The database does not answer. What you see is as of")
        assert chrome.find_element(By.CSS_SELECTOR, "[data-figure=purchases]").text == figures
        shoot(chrome, "database-down")
        other = browser()
        other.get(f"{api.url}/help/")
        assert "Average receipt" in body_text(other)
    finally:
        postgres.start()
    WebDriverWait(chrome, 60).until(lambda c: not c.find_element(By.ID, "lost").is_displayed())
