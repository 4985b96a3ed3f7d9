from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

from flaskware_core.testing import chromium
from flaskware_core.testing import make_app
from flaskware_core.testing import ServiceUnavailable
from flaskware_core.testing import serving
from flaskware_core.testing import set_screen
from flaskware_core.testing import without_scripts

PAGE = """<!doctype html><title>static</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<script>document.title = "script"; console.error("from the page")</script>"""


def profile_of(browser: t.Any) -> Path:
    return Path(browser.capabilities["chrome"]["userDataDir"])


@pytest.mark.browser
@pytest.mark.slow
def test_a_browser_has_a_profile_of_its_own_and_shows_pages_as_asked():
    app = make_app()
    app.add_url_rule("/", view_func=lambda: PAGE)
    with serving(app) as address, chromium("user-agent=Tester") as browser:
        profile = profile_of(browser)
        assert profile.is_dir()
        browser.get(address)
        assert browser.title == "script"
        assert browser.execute_script("return navigator.userAgent") == "Tester"
        assert "from the page" in str(browser.get_log("browser"))
        look = "return [innerWidth, matchMedia('(prefers-color-scheme: dark)').matches]"
        for width, dark in ((320, True), (1280, False)):
            # Of the page that is open already.
            set_screen(browser, width, dark=dark)
            assert browser.execute_script(look) == [width, dark]
        with without_scripts(browser):
            browser.get(address)
            assert browser.title == "static"
        browser.get(address)
        assert browser.title == "script"
    assert not profile.exists()


def test_without_a_browser_the_reason_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with (
        pytest.raises(ServiceUnavailable, match="chromedriver are not installed"),
        chromium(),
    ):
        pass


def test_without_selenium_the_reason_is_told(tmp_path, monkeypatch):
    for name in ("chromium", "chromedriver"):
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(__import__("sys").modules, "selenium", None)
    with pytest.raises(ServiceUnavailable, match="pip install selenium"), chromium():
        pass
