"""The pages in a real browser, over the running pipeline."""

import re
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.e2e.visits import (
    PASSWORD,
    body_text,
    check,
    reload_until_text,
    send,
    sign_in,
    sign_in_as_admin,
    until_text,
)
from tests.fix_stack import Stack, wait_for

PAYLOADS = [
    "<script>window.hit=1</script>",
    "<img src=x onerror=window.hit=1>",
    '"><svg onload=window.hit=1>',
    "'-window.hit-'",
    "{{ 7*7 }}",
    "</title><b>bold</b>",
]


def test_a_registered_user_sees_figures_once_ticked_and_they_equal_rest(stack: Stack, browser: Any, shoot: Any) -> None:
    """Register, be refused, be ticked by the administrator on his page, and read the same figures as REST gives."""
    assert send(stack, check()) == 201
    name = f"ann-{uuid4().hex[:8]}"
    ann, admin = browser(), browser()
    ann.get(f"{stack.analytics_url}/register/")
    ann.find_element(By.NAME, "username").send_keys(name)
    ann.find_element(By.NAME, "password1").send_keys(PASSWORD)
    ann.find_element(By.NAME, "password2").send_keys(PASSWORD)
    ann.find_element(By.CSS_SELECTOR, "form.stack button").click()
    WebDriverWait(ann, 30).until(lambda c: "Waiting for access" in body_text(c))
    shoot(ann, "waiting")
    ann.get(f"{stack.analytics_url}/analytics/")
    assert "Figures are for analysts" in body_text(ann)
    ann.get(f"{stack.analytics_url}/")
    sign_in(admin, stack, "admin", stack.admin_password, f"/admin/users/?search={name}")
    shoot(admin, "users")
    admin.find_element(By.CSS_SELECTOR, f"[aria-label='Analyst: {name}']").click()
    # The waiting page opens the figures by itself.
    WebDriverWait(ann, 30).until(lambda c: "/analytics/" in c.current_url)
    ann.get(f"{stack.analytics_url}/analytics/?interval=week&zone=UTC")
    shoot(ann, "analytics")
    login = httpx.post(
        f"{stack.analytics_url}/auth/login/", json={"username": name, "password": PASSWORD}, trust_env=False, timeout=30
    ).json()
    first, last = (
        ann.find_element(By.CSS_SELECTOR, "input[name=from]").get_attribute("value"),
        ann.find_element(By.CSS_SELECTOR, "input[name=to]").get_attribute("value"),
    )

    def equal() -> bool:
        answer = httpx.get(
            f"{stack.analytics_url}/api/analytics/",
            params={"from": f"{first}:00Z", "to": f"{last}:00Z"},
            headers={"Authorization": f"Bearer {login['token']}"},
            trust_env=False,
            timeout=30,
        )
        ann.refresh()
        shown = {
            tile.get_attribute("data-figure"): re.sub(r"[^0-9.]", "", tile.text)
            for tile in ann.find_elements(By.CSS_SELECTOR, "[data-figure]")
        }
        total = answer.json()["total"]
        return (
            bool(total["total_purchases"])
            and shown["purchases"] == str(total["total_purchases"])
            and shown["spent"] == f"{total['total_spent']:.2f}"
        )

    wait_for(equal, limit_s=60, what="the page and REST say the same", every_s=1)


def test_a_check_appears_on_the_open_page_and_conflicts_and_rejections_are_shown(
    stack: Stack, browser: Any, shoot: Any
) -> None:
    """Within three seconds, without a reload; the other version and the refused body have pages of their own."""
    admin = browser()
    sign_in(admin, stack, "admin", stack.admin_password, "/admin/")
    admin.execute_script("window.stays = 1")
    sent = check()
    assert send(stack, sent) == 201
    WebDriverWait(admin, 3, poll_frequency=0.1).until(lambda c: sent["transaction_id"] in body_text(c))
    assert admin.execute_script("return window.stays") == 1
    shoot(admin, "checks")
    assert send(stack, {**sent, "total_amount": 99.0}) == 201
    assert send(stack, check(nds_amount=-1)) == 422
    admin.get(f"{stack.analytics_url}/admin/?transaction_id={sent['transaction_id']}")
    WebDriverWait(admin, 20).until(lambda c: c.find_elements(By.CSS_SELECTOR, "main .badge.bad"))
    admin.get(f"{stack.analytics_url}/admin/check/?transaction_id={sent['transaction_id']}")
    assert "99.00" in body_text(admin)
    shoot(admin, "check")
    admin.get(f"{stack.analytics_url}/admin/rejected/")
    WebDriverWait(admin, 20).until(lambda c: "/nds_amount" in body_text(c))
    shoot(admin, "rejected")


def test_markup_is_text_everywhere(stack: Stack, browser: Any) -> None:
    """No place name, category, raw body, or word that is looked for, runs or becomes an element, on any page."""
    ids, places, refused = [], [], []
    for payload in PAYLOADS:
        sent = check(place_name=payload, place_id=f"x{uuid4().hex[:6]}")
        sent["items"][0] |= {"category": payload, "product_id": payload}
        assert send(stack, sent) == 201
        assert send(stack, {**sent, "payment_method": payload}) == 201
        ids.append(sent["transaction_id"])
        places.append(sent["place_id"])
        refused.append(check(payment_method=payload, place_name=payload, nds_amount=-1)["transaction_id"] + payload)
        assert send(stack, check(transaction_id=refused[-1], place_name=payload, nds_amount=-1)) == 422
    admin = browser()
    sign_in_as_admin(admin, stack, f"/admin/check/?transaction_id={ids[-1]}")
    reload_until_text(admin, PAYLOADS[-1])
    reload_until_text(admin, "conflict")
    admin.get(f"{stack.analytics_url}/analytics/place/{places[-1]}/")
    reload_until_text(admin, PAYLOADS[-1])
    admin.get(f"{stack.analytics_url}/admin/rejected/")
    until_text(admin, refused[-1])
    bodies = {
        re.sub(r"^https?://[^/]+", "", str(link.get_attribute("href")))
        for link in admin.find_elements(By.CSS_SELECTOR, "#rejected tbody th a")[: len(PAYLOADS)]
    }
    words = [quote(payload, safe="") for payload in PAYLOADS]
    echoes = (
        *("/analytics/?search={}", "/analytics/?place_id={}", "/analytics/?sort={}", "/analytics/place/{}/"),
        *("/admin/?transaction_id={}", "/admin/?from={}", "/admin/users/?search={}", "/admin/audit/?actor={}"),
        "/nowhere/{}/",
    )
    addresses = [
        *("/analytics/", "/analytics/?interval=week", "/admin/", "/admin/rejected/", "/admin/audit/", *bodies),
        *(f"/admin/check/?transaction_id={one}" for one in ids),
        *(f"/analytics/place/{one}/" for one in places),
        # each of the words that a page shows again, with one of the payloads
        *(echo.format(words[number % len(words)]) for number, echo in enumerate(echoes)),
    ]
    for address in addresses:
        admin.get(f"{stack.analytics_url}{address}")
        is_text = "return window.hit === undefined && !document.querySelector('main img, main b, main script')"
        assert admin.execute_script(is_text), address
        if address.split("/")[-2] in places:
            heading = admin.find_element(By.TAG_NAME, "h1").text
            assert PAYLOADS[places.index(address.split("/")[-2])] in heading
    admin.delete_all_cookies()
    admin.get(f"{stack.analytics_url}/?next={words[2]}")
    assert admin.execute_script(is_text)
    assert admin.execute_script("return document.querySelector('input[name=next]').value") == PAYLOADS[2]


def test_both_languages_and_a_phone(stack: Stack, browser: Any, shoot: Any) -> None:
    """A Russian browser reads Russian, and no page is wider than a phone."""
    phone = browser("ru", (390, 844))
    sign_in(phone, stack, "admin", stack.admin_password)
    for name, address, word in (
        ("analytics", "/analytics/?interval=week", "Выручка"),
        ("admin", "/admin/", "Чеки"),
        ("users", "/admin/users/", "Аналитик"),
        ("pipeline", "/admin/pipeline/", "Конвейер"),
        ("help", "/help/", "Средний чек"),
    ):
        phone.get(f"{stack.analytics_url}{address}")
        assert word in body_text(phone)
        assert phone.execute_script("return document.documentElement.scrollWidth") <= 390, address
        shoot(phone, f"phone-{name}")
    phone.find_element(By.CSS_SELECTOR, "a[hreflang=en]").click()
    WebDriverWait(phone, 20).until(lambda c: c.find_element(By.TAG_NAME, "html").get_attribute("lang") == "en")
    severe = [line for line in phone.get_log("browser") if line["level"] == "SEVERE"]
    assert severe == []
