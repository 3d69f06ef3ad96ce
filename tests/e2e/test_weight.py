"""What a browser transfers for each page, with nothing kept from before: compressed as it is served, headers too."""

import datetime as dt
import random
from typing import Any

import httpx
from selenium.webdriver import Chrome
from selenium.webdriver.support.ui import WebDriverWait

from tests.e2e.visits import check, rejected_address, send, sign_in_as_admin
from tests.fix_stack import Stack, wait_for

MOST_BYTES, MOST_WITH_CHARTS_BYTES = 100_000, 400_000
WEIGH = """
const entries = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
return entries.reduce((sum, entry) => sum + entry.transferSize, 0);
"""


def weigh(chrome: Chrome, address: str) -> int:
    """Bytes over the wire until the page is complete."""
    chrome.get(address)
    WebDriverWait(chrome, 20).until(lambda c: c.execute_script("return document.readyState") == "complete")
    return int(chrome.execute_script(WEIGH))


def many_checks(places: int) -> list[dict[str, Any]]:
    """A week of checks of many places, with long names and ids."""
    rng = random.Random(8)  # the same ones each time
    now = dt.datetime.now(dt.UTC).replace(minute=0, second=0)
    return [
        check(
            timestamp=(now - dt.timedelta(hours=rng.randrange(24 * 7))).strftime("%Y-%m-%dT%H:%M:%SZ"),
            place_id=f"weight-{number % places:03d}-{'x' * 40}",
            place_name=f"Кафе с длинным названием «Ромашка и подсолнух» на углу №{number % places}",
            transaction_id=f"weight-{rng.getrandbits(400):0100x}",
        )
        for number in range(600)
    ]


def test_every_page_is_light(stack: Stack, browser: Any) -> None:
    """Under 100 KB without charts and 400 KB with, also with a hundred places, a year of bars and long names."""
    url = f"{stack.intake_url}/api/checks/batch/"
    assert httpx.post(url, json=many_checks(120), trust_env=False, timeout=60).status_code == 200
    refused = check(nds_amount=-1)
    assert send(stack, refused) == 422
    chrome = browser()
    chrome.execute_cdp_cmd("Network.enable", {})
    chrome.execute_cdp_cmd("Network.setCacheDisabled", {"cacheDisabled": True})
    weights = {
        address: weigh(chrome, f"{stack.analytics_url}{address}") for address in ("/", "/register/", "/help/", "/no/")
    }
    sign_in_as_admin(chrome, stack, "/analytics/?interval=week")
    wait_for(
        lambda: chrome.refresh() or len(chrome.find_elements("css selector", "#places tbody tr")) == 100,
        limit_s=60,
        what="a hundred places",
    )
    chrome.get(f"{stack.analytics_url}/admin/")
    check_page = chrome.find_element("css selector", "#checks tbody a").get_attribute("href").split("/", 3)[3]
    year_ago = dt.datetime.now(dt.UTC) - dt.timedelta(days=399)
    year = f"interval=own&from={year_ago:%Y-%m-%dT00:00Z}&to={dt.datetime.now(dt.UTC):%Y-%m-%dT%H:00Z}"
    charts = ("/analytics/?interval=week", f"/analytics/?{year}", "/analytics/place/e2e/?interval=week")
    for address in (
        *charts,
        f"/{check_page}",
        *("/admin/", "/admin/rejected/", "/admin/users/", "/admin/pipeline/", "/admin/snapshots/", "/admin/audit/"),
        *("/account/", rejected_address(chrome, stack, refused["transaction_id"])),
    ):
        weights[address] = weigh(chrome, f"{stack.analytics_url}{address}")
    print({address: f"{weight / 1000:.1f} KB" for address, weight in weights.items()})
    heavy = {
        address: weight
        for address, weight in weights.items()
        if not 1_000 < weight < (MOST_WITH_CHARTS_BYTES if address in charts else MOST_BYTES)
    }
    assert heavy == {}, weights
