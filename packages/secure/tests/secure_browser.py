"""A real Chromium for tests, with what its pages say on the console."""

from __future__ import annotations

import contextlib

from selenium import webdriver

from flaskware_core.testing import chromium


def secure_chromium(rules: str) -> contextlib.AbstractContextManager[webdriver.Chrome]:
    """Start a Chromium that knows hosts, and takes certificates of tests.

    :param rules: Names of hosts and where they are, as ``MAP www.app.example …``.
    """
    return chromium(
        "ignore-certificate-errors",
        # Reports go out at once, and not once a minute.
        "short-reporting-delay",
        f"host-resolver-rules={rules}",
    )


def console_errors(browser: webdriver.Chrome) -> list[str]:
    """Return what pages logged as an error since the last call."""
    log: list[dict[str, object]] = browser.get_log("browser")  # type: ignore[no-untyped-call]
    return [str(entry["message"]) for entry in log if entry["level"] == "SEVERE"]
