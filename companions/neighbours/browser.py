"""A headless Chromium for the few pages that must be seen in one."""

from __future__ import annotations

import contextlib
import shutil

import pytest
from selenium import webdriver


@contextlib.contextmanager
def chromium():
    """Start Chromium, or skip where there is none; its log has what pages violate."""
    binary = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    if binary is None:
        pytest.skip("there is no Chromium")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = shutil.which("chromedriver")
    service = webdriver.ChromeService(driver) if driver else None
    with webdriver.Chrome(options, service) as started:
        yield started


def violations(driver):
    """Return what the policy of the pages so far has blocked."""
    messages = [entry["message"] for entry in driver.get_log("browser")]
    return [text for text in messages if "Content Security Policy" in text]
