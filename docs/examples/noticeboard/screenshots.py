"""Take the screenshots of the board for the documentation.

`nox -s screenshots` writes them to `docs/images`.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.support.wait import WebDriverWait

from flaskware_core.testing import serving
from noticeboard import create_app
from noticeboard.extensions import alembic
from noticeboard.seed import PASSWORD
from noticeboard.seed import seed
from noticeboard.walkthrough import Device

WIDTHS = (390, 1280)


class ChromiumMissing(Exception):
    """Chromium or its driver is not installed."""


def start_chromium(profile: Path) -> webdriver.Chrome:
    """Start a headless Chromium that makes no requests of its own."""
    binary = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not binary or not driver:
        raise ChromiumMissing("chromium and chromedriver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for switch in (
        "headless=new", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run",
        "disable-dev-shm-usage", "disable-background-networking",
        "disable-component-update", "disable-sync", "hide-scrollbars",
        "window-size=1280,900", f"user-data-dir={profile}",
    ):  # fmt: skip
        options.add_argument(f"--{switch}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(executable_path=driver)
    return webdriver.Chrome(options=options, service=service)


def set_width(browser: webdriver.Chrome, width: int) -> None:
    """Make the page as wide as a phone or a desktop."""
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {
            "width": width,
            "height": 844,
            "deviceScaleFactor": 1,
            "mobile": width < 500,
        },
    )


def take(browser: webdriver.Chrome, base: str, out: Path) -> None:
    """Sign in, on a second device too, and take a picture of each page."""
    phone = Device(base, "Mozilla/5.0 (Android 16; Mobile; rv:140.0) Firefox/140.0")
    phone.post("/sign-in", {"email": "ada@example.org", "password": PASSWORD})
    browser.get(f"{base}/sign-in")
    browser.find_element("name", "email").send_keys("ada@example.org")
    browser.find_element("name", "password").send_keys(PASSWORD)
    browser.find_element("css selector", "main form > [type=submit]").click()
    for width in WIDTHS:
        set_width(browser, width)
        browser.get(base)
        browser.save_screenshot(out / f"notices-{width}.png")
        browser.get(f"{base}/notices/new")
        browser.find_element("name", "title").send_keys("Hi")
        # Let the server report the errors instead of the browser.
        browser.execute_script("document.querySelector('main form').noValidate = true")
        browser.find_element("css selector", "main form > [type=submit]").click()
        WebDriverWait(browser, 20).until(
            lambda page: page.find_elements("class name", "form-errors")
        )
        browser.save_screenshot(out / f"write-{width}.png")
        browser.get(f"{base}/devices/")
        browser.save_screenshot(out / f"devices-{width}.png")


def main() -> None:
    parser = argparse.ArgumentParser(prog="nox -s screenshots --")
    parser.add_argument("--out", type=Path, required=True)
    out: Path = parser.parse_args().out
    out.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(instance_path=folder)
        with app.app_context():
            alembic.upgrade()
            seed()
        with serving(app) as address:
            browser = start_chromium(Path(folder) / "chromium")
            try:
                take(browser, address, out.resolve())
            finally:
                browser.quit()


if __name__ == "__main__":
    main()
