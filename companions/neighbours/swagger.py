"""Swagger UI in Chromium."""

from __future__ import annotations

from browser import violations
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from flaskware_core.testing import serving


def assert_tries(driver, app, path, answer):
    """Open the page, try its first GET, and see the answer."""
    with serving(app) as address:
        wait = WebDriverWait(driver, 120)

        def click(selector):
            wait.until(lambda _: driver.find_elements(By.CSS_SELECTOR, selector))
            script = "document.querySelector(arguments[0]).click()"
            driver.execute_script(script, selector)

        driver.get(address + path)
        wait.until(lambda _: driver.find_elements(By.CSS_SELECTOR, ".opblock-tag"))
        if not driver.find_elements(By.CSS_SELECTOR, ".opblock"):
            click(".opblock-tag")
        for button in (".opblock-summary-path", ".try-out__btn", ".execute"):
            click(f".opblock-get {button}")
        table = ".live-responses-table"
        wait.until(lambda _: driver.find_elements(By.CSS_SELECTOR, table))
        wait.until(lambda _: answer in driver.find_element(By.TAG_NAME, "body").text)
        blocked = violations(driver)
        assert not blocked, blocked
