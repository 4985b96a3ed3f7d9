"""The board in a real Chromium."""

from __future__ import annotations

import collections.abc as cabc
from pathlib import Path

import pytest
from screenshots import ChromiumMissing
from screenshots import set_width
from screenshots import start_chromium
from selenium.webdriver.support.expected_conditions import staleness_of
from selenium.webdriver.support.wait import WebDriverWait

from noticeboard.seed import PASSWORD
from noticeboard.walkthrough import PNG

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def browser(request, tmp_path: Path) -> cabc.Iterator[object]:
    try:
        chromium = start_chromium(tmp_path / "chromium")
    except ChromiumMissing as error:
        if request.config.getoption("--require-services"):
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))
    yield chromium
    chromium.quit()


def fill(browser, name: str, text: str) -> None:
    browser.find_element("name", name).send_keys(text)


def submit(browser) -> None:
    """Send the form, and wait until another page has come."""
    page = browser.find_element("tag name", "html")
    browser.find_element("css selector", "main form > [type=submit]").click()
    WebDriverWait(browser, 20).until(staleness_of(page))


def test_somebody_signs_in_and_posts_a_picture(browser, served, tmp_path: Path):
    browser.get(f"{served}/sign-in")
    fill(browser, "email", "ada@example.org")
    fill(browser, "password", PASSWORD)
    submit(browser)
    assert "Welcome, Ada" in browser.page_source

    picture = tmp_path / "dot.png"
    picture.write_bytes(PNG)
    browser.get(f"{served}/notices/new")
    fill(browser, "title", "From a browser")
    fill(browser, "body", "Typed by hand.")
    fill(browser, "picture", str(picture))
    submit(browser)
    assert "From a browser" in browser.find_element("tag name", "h1").text
    image = browser.find_element("css selector", "article img")
    assert browser.execute_script("return arguments[0].naturalWidth", image) == 1

    blocked = [
        entry["message"]
        for entry in browser.get_log("browser")
        if "Content Security Policy" in entry["message"]
    ]
    assert blocked == []


def test_the_script_with_a_nonce_runs_and_one_without_does_not(browser, served):
    browser.get(served)
    assert "ago" in browser.find_element("tag name", "time").text
    browser.execute_script(
        "const s = document.createElement('div');"
        "s.innerHTML = '<img src=x onerror=\"window.injected = 1\">';"
        "document.body.append(s);"
    )
    browser.implicitly_wait(1)
    assert browser.execute_script("return window.injected") is None
    assert any(
        "Content Security Policy" in entry["message"]
        for entry in browser.get_log("browser")
    )


@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_is_wider_than_the_screen(browser, served, width):
    set_width(browser, width)
    for path in ("/", "/sign-up", "/sign-in", "/notices/1"):
        browser.get(served + path)
        actual = browser.execute_script("return document.documentElement.scrollWidth")
        assert actual <= width, f"{path} is {actual} px wide"
