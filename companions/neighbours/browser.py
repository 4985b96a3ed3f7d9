"""The Chromium of the tests, and what its pages say."""

from __future__ import annotations

from flaskware_core.testing import chromium

__all__ = ["chromium", "violations"]


def violations(driver):
    """Return what the policy of the pages so far has blocked."""
    messages = [entry["message"] for entry in driver.get_log("browser")]
    return [text for text in messages if "Content Security Policy" in text]
