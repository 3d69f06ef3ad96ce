"""What administrators do on their pages, in a real browser over the running pipeline."""

import json
from typing import Any
from uuid import uuid4

import httpx
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.e2e.visits import (
    PASSWORD,
    body_text,
    check,
    register,
    rejected_address,
    reload_until_text,
    send,
    sign_in,
    sign_in_as_admin,
    until_text,
)
from tests.fix_stack import Stack, wait_for


def audited(chrome: Chrome, stack: Stack, action: str, target: str) -> bool:
    """Whether the audit's page has this."""
    chrome.get(f"{stack.analytics_url}/admin/audit/?action={action}&target={target}")
    return bool(chrome.find_elements(By.XPATH, f"//td[normalize-space()='{action}']"))


def until_ticked(chrome: Chrome, tick: str, value: str) -> None:
    """Waits until the page shows the tick so."""
    WebDriverWait(chrome, 20).until(lambda c: c.find_elements(By.CSS_SELECTOR, f"{tick}[aria-checked={value}]"))


def test_a_rejected_check_is_sent_again_after_correction(stack: Stack, browser: Any, shoot: Any) -> None:
    """What is still wrong is said again; the corrected one is accepted, counted and audited."""
    refused = check(nds_amount=-1)
    assert send(stack, refused) == 422
    chrome = browser()
    sign_in_as_admin(chrome, stack)
    address = rejected_address(chrome, stack, refused["transaction_id"])
    chrome.get(f"{stack.analytics_url}{address}")
    chrome.find_element(By.CSS_SELECTOR, "main form button").click()
    WebDriverWait(chrome, 20).until(lambda c: c.find_elements(By.CSS_SELECTOR, "[data-answer='422']"))
    corrected = json.dumps({**refused, "nds_amount": 1})
    chrome.execute_script("document.querySelector('textarea').value = arguments[0]", corrected)
    chrome.find_element(By.CSS_SELECTOR, "main form button").click()
    WebDriverWait(chrome, 20).until(lambda c: c.find_elements(By.CSS_SELECTOR, "[data-answer='201']"))
    shoot(chrome, "sent-again")
    assert audited(chrome, stack, "check_sent_again", address.rstrip("/").rsplit("/", 1)[1])
    chrome.get(f"{stack.analytics_url}/admin/?transaction_id={refused['transaction_id']}")
    WebDriverWait(chrome, 30).until(lambda c: c.find_elements(By.CSS_SELECTOR, "#checks .badge.good"))


def test_a_connector_is_restarted_from_the_page_of_the_pipeline(stack: Stack, browser: Any) -> None:
    """The button reaches Kafka Connect, which runs it again; the audit has it."""
    name = "sink_place_days"
    chrome = browser()
    sign_in_as_admin(chrome, stack, "/admin/pipeline/")
    chrome.find_element(By.CSS_SELECTOR, f"[aria-label='Restart {name}']").click()
    until_text(chrome, "Pipeline")

    def runs() -> bool:
        answer = httpx.get(f"{stack.connect_url}/connectors/{name}/status", trust_env=False, timeout=30).json()
        return {part["state"] for part in (answer["connector"], *answer["tasks"])} == {"RUNNING"}

    wait_for(runs, limit_s=60, what=f"{name} runs again")
    assert audited(chrome, stack, "connector_restarted", name)


def test_a_snapshot_is_run_now(stack: Stack, browser: Any) -> None:
    """One more run stands in the list, with who started it."""
    chrome = browser()
    sign_in_as_admin(chrome, stack, "/admin/snapshots/")

    def own_runs() -> set[int]:
        # The schedule may run beside.
        rows = chrome.find_elements(By.XPATH, "//*[@id='runs']//tbody/tr[td[1][.='admin']]/th")
        return {int(row.text) for row in rows}

    before = own_runs()
    chrome.find_element(By.XPATH, "//button[.='Run now']").click()
    WebDriverWait(chrome, 30, ignored_exceptions=[StaleElementReferenceException]).until(lambda _: own_runs() - before)


def test_a_deactivated_user_is_out_at_the_next_request(stack: Stack, browser: Any) -> None:
    """An open page asks to sign in, which is refused; after another tick signing in works again."""
    name = register(stack)
    admin, user = browser(), browser()
    sign_in(user, stack, name, PASSWORD, "/account/")
    sign_in_as_admin(admin, stack, f"/admin/users/?search={name}")
    tick = f"[aria-label='Active: {name}']"
    admin.find_element(By.CSS_SELECTOR, tick).click()
    until_ticked(admin, tick, "false")
    user.get(f"{stack.analytics_url}/account/")
    assert user.find_elements(By.NAME, "password"), body_text(user)
    assert "next=" in user.current_url
    user.find_element(By.NAME, "username").send_keys(name)
    user.find_element(By.NAME, "password").send_keys(PASSWORD)
    user.find_element(By.CSS_SELECTOR, "form.stack button").click()
    until_text(user, "The user name or the password is wrong.")
    # The page is still the one of the search.
    assert f"search={name}" in admin.current_url
    admin.find_element(By.CSS_SELECTOR, tick).click()
    until_ticked(admin, tick, "true")
    user.get(f"{stack.analytics_url}/account/")
    assert user.find_elements(By.NAME, "password"), "the session from before the deactivation is good again"
    sign_in(user, stack, name, PASSWORD, "/account/")
    assert name in user.find_element(By.TAG_NAME, "h1").text


def test_a_user_changes_the_password_and_other_sessions_end(stack: Stack, browser: Any) -> None:
    """A wrong old password is refused; the new one counts, and the other browser must sign in again."""
    name, new = register(stack), f"new-{uuid4().hex}"
    here, there = browser(), browser()
    sign_in(here, stack, name, PASSWORD, "/account/")
    sign_in(there, stack, name, PASSWORD, "/account/")

    def change(old: str) -> None:
        for field, value in (("password", old), ("password1", new), ("password2", new)):
            here.find_element(By.NAME, field).send_keys(value)
        here.find_element(By.CSS_SELECTOR, "main form button").click()

    change("not the password")
    WebDriverWait(here, 20).until(lambda c: c.find_elements(By.CSS_SELECTOR, "[role=alert]"))
    change(PASSWORD)
    until_text(here, "The password is changed")
    here.get(f"{stack.analytics_url}/account/")
    assert name in body_text(here)
    there.get(f"{stack.analytics_url}/account/")
    assert there.find_elements(By.NAME, "username")
    sign_in(there, stack, name, new)


def test_errors_of_forms_are_said_in_russian(stack: Stack, browser: Any) -> None:
    """A Russian reader meets no English sentence in a form, a filter or a list of reasons."""
    chrome = browser("ru")
    chrome.get(f"{stack.analytics_url}/register/")
    for field, value in (("username", "e2e-short"), ("password1", "short"), ("password2", "short")):
        chrome.find_element(By.NAME, field).send_keys(value)
    chrome.find_element(By.CSS_SELECTOR, "form.stack button").click()
    WebDriverWait(chrome, 20).until(lambda c: c.find_elements(By.CSS_SELECTOR, "[role=alert]"))
    assert english(chrome, "[role=alert]") == ""
    refused = check(nds_amount=-1, total_amount="x", items=[], timestamp="2090-01-01T00:00:00Z")
    refused.pop("payment_method")
    assert send(stack, refused) == 422
    sign_in_as_admin(chrome, stack, "/admin/?from=nonsense")
    assert english(chrome, "[role=alert]") == ""
    chrome.get(f"{stack.analytics_url}/analytics/?interval=own&from=2026-01-01T00:30&to=2026-01-02T00:00")
    assert english(chrome, "[role=alert]") == ""
    chrome.get(f"{stack.analytics_url}{rejected_address(chrome, stack, refused['transaction_id'])}")
    reasons = chrome.find_elements(By.CSS_SELECTOR, "#reasons li span")
    assert len(reasons) >= 4
    assert [one.text for one in reasons if not any("а" <= letter <= "я" for letter in one.text.lower())] == []
    reload_until_text(chrome, "Отклонённый чек")


def english(chrome: Chrome, selector: str) -> str:
    """The text of an element when it has no Russian letter, which would be an untranslated sentence."""
    text = chrome.find_element(By.CSS_SELECTOR, selector).text
    return "" if any("а" <= letter <= "я" for letter in text.lower()) else text or "nothing at all"
