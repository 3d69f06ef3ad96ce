"""axe over every page, light and dark, on a desk and on a phone; and what it cannot see: the keyboard."""

import json
from importlib import resources
from typing import Any

import httpx
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from tests.e2e.visits import body_text, check, rejected_address, send, sign_in_as_admin
from tests.fix_stack import Stack, wait_for

AXE = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
RUN = """
const done = arguments[arguments.length - 1];
axe.run(document, {resultTypes: ["violations"]}).then(
  (found) => done(found.violations.map((one) => ({
    rule: one.id, impact: one.impact, nodes: one.nodes.slice(0, 3).map((node) => `${node.html} ${node.failureSummary}`),
  }))),
  (error) => done([{rule: "axe itself", impact: "critical", nodes: [String(error)]}]));
"""
DESK, PHONE = (1280, 900), (390, 844)


def look(chrome: Chrome, scheme: str, size: tuple[int, int]) -> None:
    """Shows the open page in a colour scheme and a size."""
    chrome.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    chrome.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == PHONE},
    )


def violations(chrome: Chrome) -> list[dict[str, Any]]:
    """What axe finds on the page as it is shown: every rule, best practices too."""
    # By WebDriver: the pages' policy lets no foreign script in, and stays in force.
    chrome.set_script_timeout(120)
    if chrome.execute_script("return typeof axe") != "object":
        chrome.execute_script(AXE)
    return list(chrome.execute_async_script(RUN))


def visit(chrome: Chrome, shoot: Any, address: str, name: str, *, phone: bool = True) -> list[dict[str, Any]]:
    """Opens a page and looks at it in every way; gives what axe finds. Screenshots hold the whole page."""
    found = []
    chrome.get(address)
    for scheme, size in [("light", DESK), ("dark", DESK), *([("dark", PHONE)] if phone else [])]:
        look(chrome, scheme, size)
        found += [{"page": name, "scheme": scheme, "width": size[0], **one} for one in violations(chrome)]
        width = chrome.execute_script("return document.documentElement.scrollWidth")
        if width > size[0]:
            found.append({"page": name, "rule": "wider than the screen", "width": size[0], "nodes": [width]})
        shoot(chrome, f"axe-{name}-{scheme}-{'phone' if size == PHONE else 'desk'}", whole=True)
    return found


def test_axe_finds_nothing_before_signing_in(stack: Stack, browser: Any, shoot: Any) -> None:
    """Sign in, register, definitions, an error."""
    chrome = browser()
    found = []
    for address, name in (("/", "sign-in"), ("/register/", "register"), ("/help/", "help"), ("/nowhere/", "error")):
        found += visit(chrome, shoot, f"{stack.analytics_url}{address}", name)
    assert not found, "\n".join(json.dumps(one, ensure_ascii=False) for one in found)


def test_axe_finds_nothing_on_the_pages_of_figures(stack: Stack, browser: Any, shoot: Any) -> None:
    """All places, one place, an interval of one's own, an empty one."""
    assert send(stack, check()) == 201
    chrome = browser()
    sign_in_as_admin(chrome, stack, "/analytics/place/e2e/")
    wait_for(lambda: chrome.refresh() or chrome.find_elements(By.ID, "chart-spent"), limit_s=30, what="a chart")
    found = []
    for address, name in (
        # few rows and bars: each more takes axe its time and shows it nothing new
        ("/analytics/?search=Кафе%20e2e", "analytics"),
        ("/analytics/place/e2e/", "place"),
        ("/analytics/?interval=own&from=2020-01-01T00:00Z&to=2020-01-02T00:00Z&place_id=e2e", "empty"),
    ):
        found += visit(chrome, shoot, f"{stack.analytics_url}{address}", name)
    assert not found, "\n".join(json.dumps(one, ensure_ascii=False) for one in found)


def test_axe_finds_nothing_on_the_pages_of_control(stack: Stack, browser: Any, shoot: Any) -> None:
    """Checks, one with a conflict, rejected ones, users, the pipeline, snapshots, audit, the account."""
    sent, refused = check(), check(nds_amount=-1)
    assert send(stack, sent) == 201
    assert send(stack, {**sent, "total_amount": 99.0, "place_id": "e2e-other"}) == 201
    assert send(stack, refused) == 422
    chrome = browser()
    sign_in_as_admin(chrome, stack)
    rejected = rejected_address(chrome, stack, refused["transaction_id"])
    chrome.get(f"{stack.analytics_url}/admin/?transaction_id={sent['transaction_id']}")
    WebDriverWait(chrome, 30).until(lambda c: c.find_elements(By.CSS_SELECTOR, "#checks .badge.bad"))
    found = []
    for address, name, phone in (
        (f"/admin/?transaction_id={sent['transaction_id']}", "checks", True),
        (f"/admin/check/?transaction_id={sent['transaction_id']}", "check", True),
        ("/admin/rejected/", "rejected", True),
        (rejected, "rejected-one", True),
        ("/admin/users/", "users", True),
        ("/admin/pipeline/", "pipeline", True),
        ("/admin/snapshots/", "snapshots", False),
        ("/admin/audit/", "audit", False),
        ("/account/", "account", False),
    ):
        found += visit(chrome, shoot, f"{stack.analytics_url}{address}", name, phone=phone)
    assert not found, "\n".join(json.dumps(one, ensure_ascii=False) for one in found)


def test_the_keyboard_reaches_everything_and_reads_a_chart_off(stack: Stack, browser: Any) -> None:
    """The first stop leads past the navigation, focus is always seen, and arrows say a bar's exact figure."""
    assert send(stack, check()) == 201
    chrome = browser()
    sign_in_as_admin(chrome, stack, "/analytics/place/e2e/")
    wait_for(lambda: chrome.refresh() or chrome.find_elements(By.ID, "chart-spent"), limit_s=30, what="a chart")
    ActionChains(chrome).send_keys(Keys.TAB).perform()
    assert chrome.switch_to.active_element.get_attribute("href").endswith("#main")
    ActionChains(chrome).send_keys(Keys.ENTER).perform()
    assert chrome.execute_script("return document.activeElement.id") == "main"
    seen = set()
    for _ in range(60):
        ActionChains(chrome).send_keys(Keys.TAB).perform()
        outline, label = chrome.execute_script(
            "const a = document.activeElement; const style = getComputedStyle(a);"
            "return [style.outlineStyle, a.getAttribute('aria-label') || a.textContent.trim() || a.tagName]"
        )
        assert outline != "none", f"nobody sees that {label} has the focus"
        seen.add(label)
        if label.startswith("Revenue: chart"):
            break
    assert any(label.startswith("Revenue: chart") for label in seen), seen
    ActionChains(chrome).send_keys(Keys.END).perform()
    said = chrome.find_element(By.CSS_SELECTOR, "#chart-spent output").text
    figure = chrome.find_element(By.CSS_SELECTOR, "#hours tbody tr:last-child td:nth-of-type(2)").text
    assert figure in said or "no sales" in said, (said, body_text(chrome))
    assert httpx.get(f"{stack.analytics_url}/static/charts.js", trust_env=False).status_code == 200
