"""Swagger UI in Chromium, from files of this machine."""

from __future__ import annotations

from pathlib import Path

import flask
import flask_swagger_ui
from browser import chromium
from browser import violations
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from flaskware_core.testing import serving

FILES = "/swagger-files/"


def serve_files(app):
    """Serve Swagger UI at ``FILES``, for pages that load it from elsewhere."""
    folder = Path(flask_swagger_ui.__file__).parent / "dist"

    @app.get(f"{FILES}<path:name>")
    def swagger_file(name):
        return flask.send_from_directory(folder, name)


def assert_tries(app, path, answer):
    """Open the page, try its first operation, and see the answer of the app."""
    with serving(app) as address, chromium() as driver:
        wait = WebDriverWait(driver, 120)

        def click(selector):
            wait.until(lambda _: driver.find_elements(By.CSS_SELECTOR, selector))
            script = "document.querySelector(arguments[0]).click()"
            driver.execute_script(script, selector)

        driver.get(address + path)
        wait.until(lambda _: driver.find_elements(By.CSS_SELECTOR, ".opblock-tag"))
        if not driver.find_elements(By.CSS_SELECTOR, ".opblock"):
            click(".opblock-tag")
        for button in (".opblock-summary-control", ".try-out__btn", ".execute"):
            click(button)
        table = ".live-responses-table"
        wait.until(lambda _: driver.find_elements(By.CSS_SELECTOR, table))
        wait.until(lambda _: answer in driver.find_element(By.TAG_NAME, "body").text)
        assert violations(driver) == []
