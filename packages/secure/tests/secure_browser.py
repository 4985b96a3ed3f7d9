"""A real Chromium for tests, with what its pages say on the console."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import shutil
from pathlib import Path

from selenium import webdriver

from flaskware_core.testing import ServiceUnavailable


@contextlib.contextmanager
def chromium(folder: Path, rules: str) -> cabc.Generator[webdriver.Chrome]:
    """Start a Chromium, and stop it when the block ends.

    :param folder: An empty folder for its profile.
    :param rules: Names of hosts and where they are, as ``MAP www.app.example …``.
    :raises ServiceUnavailable: if Chromium or its driver is not installed.
    """
    program = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        raise ServiceUnavailable("chromium and chromedriver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for switch in (
        "headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage",
        "no-first-run", "disable-background-networking", "disable-component-update",
        "disable-sync", f"user-data-dir={folder}", "ignore-certificate-errors",
        # Reports go out at once, and not once a minute.
        "short-reporting-delay", f"host-resolver-rules={rules}",
    ):  # fmt: skip
        options.add_argument(f"--{switch}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(executable_path=driver)
    started = webdriver.Chrome(options=options, service=service)
    try:
        yield started
    finally:
        started.quit()


def console_errors(browser: webdriver.Chrome) -> list[str]:
    """Return what pages logged as an error since the last call."""
    log: list[dict[str, object]] = browser.get_log("browser")  # type: ignore[no-untyped-call]
    return [str(entry["message"]) for entry in log if entry["level"] == "SEVERE"]
