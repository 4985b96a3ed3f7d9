"""The Chromium of the tests, and what its pages say."""

from __future__ import annotations

from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from flaskware_core.testing import chromium

__all__ = ["chromium", "sign_in", "violations"]


def violations(driver):
    """Return what the policy of the pages so far has blocked."""
    messages = [entry["message"] for entry in driver.get_log("browser")]
    return [text for text in messages if "Content Security Policy" in text]


def sign_in(driver, address):
    """Begin a sign-in by another site; return the text it ends with, and of "/me"."""
    driver.get(f"{address}/begin")
    wait = WebDriverWait(driver, 120)
    wait.until(lambda _: driver.current_url.startswith(f"{address}/"))
    end = driver.find_element(By.TAG_NAME, "body").text
    driver.get(f"{address}/me")
    return end, driver.find_element(By.TAG_NAME, "body").text
