"""What the tests of pages share: checks to send, and how a browser signs in and reads."""

import datetime as dt
import re
from typing import Any
from uuid import uuid4

import httpx
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.fix_stack import Stack, wait_for

PASSWORD = "a-password-of-tests"


def check(**changes: Any) -> dict[str, Any]:
    """A check that intake takes, with `changes`."""
    now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "transaction_id": f"e2e-{uuid4().hex}",
        "timestamp": now,
        "items": [{"product_id": "p1", "quantity": 2, "price": 10.99, "category": "groceries"}],
        "total_amount": 21.98,
        "nds_amount": 1.98,
        "tips_amount": 0.5,
        "payment_method": "card",
        "place_id": "e2e",
        "place_name": "Кафе e2e",
        **changes,
    }


def send(stack: Stack, body: dict[str, Any]) -> int:
    """Sends a check to intake; gives the status."""
    return httpx.post(f"{stack.intake_url}/api/checks/", json=body, trust_env=False, timeout=30).status_code


def sign_in(chrome: Chrome, stack: Stack, name: str, password: str, back: str = "") -> None:
    """Signs in by the form, then opens `back`."""
    chrome.get(f"{stack.analytics_url}/")
    chrome.find_element(By.NAME, "username").send_keys(name)
    chrome.find_element(By.NAME, "password").send_keys(password)
    chrome.find_element(By.CSS_SELECTOR, "form.stack button").click()
    WebDriverWait(chrome, 30).until(lambda c: c.find_elements(By.CSS_SELECTOR, "form[action='/sign_out/']"))
    if back:
        chrome.get(f"{stack.analytics_url}{back}")


def sign_in_as_admin(chrome: Chrome, stack: Stack, back: str = "") -> None:
    """Signs the first administrator in, then opens `back`."""
    sign_in(chrome, stack, "admin", stack.admin_password, back)


def register(stack: Stack) -> str:
    """Makes an account over REST; gives its name."""
    name = f"e2e-{uuid4().hex[:10]}"
    form = {"username": name, "password1": PASSWORD, "password2": PASSWORD}
    url = f"{stack.analytics_url}/auth/registration/"
    assert httpx.post(url, json=form, trust_env=False, timeout=30).status_code == 201
    return name


def body_text(chrome: Chrome) -> str:
    """What a reader sees."""
    return str(chrome.execute_script("return document.body.innerText"))


def until_text(chrome: Chrome, text: str, limit_s: float = 30) -> None:
    """Waits until the page shows `text`."""
    WebDriverWait(chrome, limit_s, poll_frequency=0.1).until(lambda c: text in body_text(c))


def reload_until_text(chrome: Chrome, text: str, limit_s: float = 30) -> None:
    """Loads the page again until it shows `text`."""

    def is_shown() -> bool:
        chrome.refresh()
        return text in body_text(chrome)

    wait_for(is_shown, limit_s=limit_s, what=f"{text} is shown")


def rejected_address(chrome: Chrome, stack: Stack, transaction_id: str) -> str:
    """Opens the list of rejected checks and waits for this one; gives the address of its page."""
    chrome.get(f"{stack.analytics_url}/admin/rejected/")
    until_text(chrome, transaction_id)
    row = f"//tr[td[normalize-space()='{transaction_id}']]//a"
    return re.sub(r"^https?://[^/]+", "", str(chrome.find_element(By.XPATH, row).get_attribute("href")))
