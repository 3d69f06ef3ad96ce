"""A headless Chromium, and a folder of screenshots that stays after the run."""

import base64
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from stack.settings import CHECKOUT

SHOTS = Path(os.environ.get("CHECKS_SCREENSHOTS") or CHECKOUT / "var" / "screenshots")
Open = Callable[..., webdriver.Chrome]


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Open]:
    """Opens browsers, each with a profile of its own; skipped where there is no Chromium."""
    driver = shutil.which("chromedriver")
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if not driver or not program:
        pytest.skip("no Chromium here: install chromium and chromium-driver")
    opened: list[webdriver.Chrome] = []

    def start(language: str = "en", size: tuple[int, int] = (1280, 900)) -> webdriver.Chrome:
        options = webdriver.ChromeOptions()
        options.binary_location = program
        for flag in (
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            f"--user-data-dir={tmp_path / f'profile-{len(opened)}'}",
        ):
            options.add_argument(flag)
        options.add_experimental_option("prefs", {"intl.accept_languages": language})
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        chrome = webdriver.Chrome(options=options, service=Service(driver))
        opened.append(chrome)
        # A headless window is no narrower than 500 pixels; a phone is emulated.
        chrome.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size[0] < 600},
        )
        chrome.set_page_load_timeout(60)
        return chrome

    yield start
    for chrome in opened:
        chrome.quit()


@pytest.fixture
def shoot() -> Callable[..., None]:
    """Keeps a screenshot: of what is in sight, or of the whole page."""
    SHOTS.mkdir(parents=True, exist_ok=True)

    def take(chrome: webdriver.Chrome, name: str, *, whole: bool = False) -> None:
        shot = chrome.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": whole})
        (SHOTS / f"{name}.png").write_bytes(base64.b64decode(shot["data"]))

    return take
