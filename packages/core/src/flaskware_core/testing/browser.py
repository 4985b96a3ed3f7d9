"""A real Chromium for tests, by Selenium.

pytest-selenium was considered. It starts a browser for each test, and cannot say that
Chromium is missing.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import shutil
import tempfile
import typing as t

from .services import ServiceUnavailable

# Nothing but the test makes requests, and nothing is asked of a person.
_SWITCHES = (
    "headless=new", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run",
    "disable-dev-shm-usage", "disable-background-networking",
    "disable-component-update", "disable-sync", "window-size=1280,900",
)  # fmt: skip
_SCRIPTS = "Emulation.setScriptExecutionDisabled"
# The widest screen of a telephone, in CSS pixels.
_TELEPHONE = 500


@contextlib.contextmanager
def chromium(*switches: str) -> cabc.Generator[t.Any]:
    """Start a Chromium with an empty profile, and stop it when the block ends.

    :param switches: More switches of its command line, without ``--``.
    :returns: A ``selenium.webdriver.Chrome``. It keeps what pages write to the console.
    :raises ServiceUnavailable: if Chromium, its driver or Selenium is not installed.
        A fixture may let it pass: the test is then skipped with the reason, or fails
        under ``--require-services``.
    """
    program = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        raise ServiceUnavailable("chromium and chromedriver are not installed")
    try:
        from selenium import webdriver
    except ImportError:
        raise ServiceUnavailable(
            "selenium is not installed (pip install selenium)"
        ) from None
    # Chromium may still write into its profile while it ends.
    with tempfile.TemporaryDirectory(
        prefix="flaskware-chromium-", ignore_cleanup_errors=True
    ) as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = program
        for switch in (*_SWITCHES, *switches, f"user-data-dir={profile}"):
            options.add_argument(f"--{switch}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        service = webdriver.ChromeService(executable_path=driver)
        started = webdriver.Chrome(options=options, service=service)
        try:
            yield started
        finally:
            started.quit()


def set_screen(browser: t.Any, width: int, *, dark: bool = False) -> None:
    """Show pages on a screen of a width in CSS pixels, also the page that is open.

    Nothing moves on it: the person prefers reduced motion.

    :param browser: The Chromium of :func:`chromium`.
    :param width: A telephone has less than 500 pixels.
    :param dark: Whether the person prefers dark pages.
    """
    size = {"width": width, "height": 844, "deviceScaleFactor": 1}
    size["mobile"] = width < _TELEPHONE
    person = [
        {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
        {"name": "prefers-reduced-motion", "value": "reduce"},
    ]
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": person})


@contextlib.contextmanager
def without_scripts(browser: t.Any) -> cabc.Generator[None]:
    """Run no script of the pages that the block opens.

    :param browser: The Chromium of :func:`chromium`.
    """
    browser.execute_cdp_cmd(_SCRIPTS, {"value": True})
    try:
        yield
    finally:
        browser.execute_cdp_cmd(_SCRIPTS, {"value": False})
