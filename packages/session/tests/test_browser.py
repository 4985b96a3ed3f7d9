"""The page of devices and the back button in Chromium, with axe-core from npm."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import functools
import tempfile
import threading
import typing as t
from pathlib import Path

import flask
import pytest
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import staleness_of
from selenium.webdriver.support.wait import WebDriverWait
from werkzeug.serving import make_server

from flaskware_core.testing import chromium
from flaskware_core.testing import make_app
from flaskware_core.testing import node_modules
from flaskware_core.testing import serving
from flaskware_core.testing import set_screen
from flaskware_core.testing import without_scripts
from flaskware_session import DEVICE_TEXTS
from flaskware_session import NotFresh
from flaskware_session import Sessions
from flaskware_session.testing import FakeClock

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PASSWORD = "right"
LONG = "Mozilla/5.0 " + "unbroken" * 30


@functools.cache
def axe() -> str:
    """The script of axe-core."""
    with tempfile.TemporaryDirectory() as folder:
        modules = node_modules(Path(__file__).parent / "npm", Path(folder))
        return (modules / "axe-core/axe.min.js").read_text()


@pytest.fixture(scope="module")
def browser() -> cabc.Iterator[webdriver.Chrome]:
    with chromium("ignore-certificate-errors") as started:
        yield started


@pytest.fixture
def scripts_off(browser: webdriver.Chrome) -> cabc.Iterator[None]:
    with without_scripts(browser):
        yield


class Site(t.NamedTuple):
    address: str
    app: flask.Flask
    sessions: Sessions
    clock: FakeClock

    def others(self, *agents: str) -> None:
        """Sign the user in on other devices."""
        for agent in agents:
            self.app.test_client().get("/login", headers={"User-Agent": agent})

    def count(self) -> int:
        with self.app.app_context():
            return len(self.sessions.for_user("ann"))


def build(theme: str) -> tuple[flask.Flask, Sessions, FakeClock]:
    clock = FakeClock()
    sessions = Sessions(store="memory://", clock=clock)
    app = make_app(sessions)
    if theme != "no forms":
        forms = pytest.importorskip("flaskware_forms")
        app.config["FORMS_THEME"] = theme
        forms.Forms(app)

    def confirm(user_id: str, password: str) -> bool:
        return (user_id, password) == ("ann", PASSWORD)

    sessions.devices_page(app, confirm=confirm, texts=DEVICE_TEXTS)

    @app.get("/login")
    def login() -> str:
        sessions.login("ann")
        return "in"

    return app, sessions, clock


@pytest.fixture(params=["no forms", "plain", "bootstrap5"])
def site(request: pytest.FixtureRequest) -> cabc.Iterator[Site]:
    app, sessions, clock = build(request.param)
    with serving(app) as address:
        yield Site(address, app, sessions, clock)


def check(browser: webdriver.Chrome, width: int) -> None:
    """Assert that axe finds nothing, and that the page fits on the screen."""
    browser.execute_script(axe())
    found = browser.execute_async_script(
        "const done = arguments[0]; axe.run(document, {runOnly: ['wcag2a', 'wcag2aa',"
        " 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']}).then(done);"
    )
    assert [
        (violation["id"], [node["html"] for node in violation["nodes"][:3]])
        for violation in found["violations"]
    ] == []
    assert len(found["passes"]) > 10
    actual = browser.execute_script("return document.documentElement.scrollWidth")
    assert actual <= width


def press(browser: webdriver.Chrome, button: t.Any) -> None:
    """Press a button, and wait until another page has come."""
    page = browser.find_element(By.TAG_NAME, "html")
    button.click()
    # Between two pages, the driver has other errors than that of a stale element.
    WebDriverWait(browser, 20, ignored_exceptions=[WebDriverException]).until(
        staleness_of(page)
    )


def buttons(browser: webdriver.Chrome) -> list[t.Any]:
    return browser.find_elements(By.CSS_SELECTOR, "main button")


@pytest.mark.parametrize("width", [390, 1280])
def test_each_page_passes_axe_and_fits_on_the_screen(
    browser: webdriver.Chrome, site: Site, width: int
) -> None:
    set_screen(browser, width)
    browser.get(f"{site.address}/login")
    browser.get(f"{site.address}/devices/")
    check(browser, width)
    site.others("curl/8", LONG, LONG)
    site.clock.advance(minutes=11)
    browser.get(f"{site.address}/devices/")
    names = [button.accessible_name for button in buttons(browser)]
    assert len(names) == 4
    assert all(name.startswith("Sign out ") for name in names)
    check(browser, width)
    press(browser, buttons(browser)[0])
    assert browser.find_element(By.TAG_NAME, "h1").text == "Confirm that it is you"
    check(browser, width)
    browser.find_element(By.NAME, "password").send_keys("wrong")
    press(browser, buttons(browser)[0])
    field = browser.find_element(By.NAME, "password")
    assert field.get_attribute("aria-invalid") == "true"
    described = field.get_attribute("aria-describedby") or ""
    assert "not right" in browser.find_element(By.ID, described).text
    check(browser, width)
    field.send_keys(PASSWORD)
    press(browser, buttons(browser)[0])
    assert browser.find_element(By.CSS_SELECTOR, "[role=status]").text
    check(browser, width)
    assert site.count() == 3
    # The style sheets and the script were found.
    complaints = [entry["message"] for entry in browser.get_log("browser")]
    expected = ("favicon", "/devices/end")
    assert [one for one in complaints if not any(x in one for x in expected)] == []


@pytest.mark.usefixtures("scripts_off")
def test_all_others_are_signed_out_without_scripts(
    browser: webdriver.Chrome, site: Site
) -> None:
    browser.get(f"{site.address}/login")
    site.others("a", "b", "c")
    site.clock.advance(minutes=11)
    browser.get(f"{site.address}/devices/")
    press(browser, buttons(browser)[-1])
    browser.find_element(By.NAME, "password").send_keys(PASSWORD)
    press(browser, buttons(browser)[0])
    assert "All other devices are signed out." in browser.page_source
    assert site.count() == 1
    assert buttons(browser) == []


SECRET = "<title>x</title><h1>Secret</h1><a href='/bye'>bye</a> <a id=out href='/out'>out</a>"  # noqa: E501
RELOAD = "<script>addEventListener('pageshow', e => e.persisted && location.reload())</script>"  # noqa: E501


@contextlib.contextmanager
def serving_https(app: flask.Flask) -> cabc.Iterator[str]:
    """Serve with TLS, as what Chromium keeps in memory depends on it."""
    server = make_server("localhost", 0, app, threaded=True, ssl_context="adhoc")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"https://localhost:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("setting", "script", "through", "shown"),
    [
        # Chromium keeps whole pages in memory, whatever their headers say of caches.
        (None, "", "/bye", True),
        ("private", "", "/bye", True),
        ("auto", RELOAD, "/bye", False),
        ("auto", RELOAD, "", False),
    ],
)
def test_the_back_button_after_logout_shows_nothing(
    browser: webdriver.Chrome,
    setting: str | None,
    script: str,
    through: str,
    shown: bool,
) -> None:
    sessions = Sessions(store="memory://")
    app = make_app(sessions, SESSION_CACHE_CONTROL=setting)

    @app.get("/login")
    def login() -> flask.typing.ResponseReturnValue:
        sessions.login("ann")
        return flask.redirect("/")

    @app.get("/")
    def page() -> flask.typing.ResponseReturnValue:
        if sessions.user_id is None:
            raise NotFresh
        return SECRET + script

    @app.get("/bye")
    def bye() -> str:
        return "<title>x</title><h1>Bye</h1><a id=out href='/out'>out</a>"

    @app.get("/out")
    def out() -> str:
        sessions.logout()
        return "<title>x</title><h1>Out</h1>"

    def heading(text: str) -> bool:
        found = browser.find_elements(By.TAG_NAME, "h1")
        return bool(found) and found[0].text == text

    def wait(text: str) -> None:
        WebDriverWait(browser, 20).until(lambda _: heading(text))

    with serving_https(app) as address:
        browser.get(f"{address}/login")
        wait("Secret")
        if through:
            browser.find_element(By.LINK_TEXT, "bye").click()
            wait("Bye")
        browser.find_element(By.ID, "out").click()
        wait("Out")
        for _ in range(2 if through else 1):
            browser.back()
        wait("Secret" if shown else "Unauthorized")
