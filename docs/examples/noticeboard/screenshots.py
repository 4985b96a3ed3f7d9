"""Every kind of page of the board in Chromium, and its pictures in the documentation.

`nox -s screenshots` writes the pictures to `docs/images`, and the tests compare each
page with its picture.
"""

from __future__ import annotations

import argparse
import collections.abc as cabc
import contextlib
import io
import tempfile
import typing as t
from pathlib import Path

from flask import abort
from PIL import Image
from PIL import ImageChops
from PIL import ImageDraw
from PIL import PngImagePlugin
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from flaskware_core.testing import chromium
from flaskware_core.testing import serving
from flaskware_core.testing import set_screen
from noticeboard import create_app
from noticeboard.extensions import alembic
from noticeboard.seed import PASSWORD
from noticeboard.seed import seed
from noticeboard.walkthrough import Device

WIDTHS = (390, 1280)
# A pixel has changed if one of its colors differs by more, and a picture if more than
# this share of its pixels has.
_COLOR, _SHARE = 40, 0.001


class Page(t.NamedTuple):
    """A kind of page, and how a visitor gets to it.

    :param signed_in: True to visit it as Ada.
    :param sent: Texts to send its form with, by field name; `None` not to send it.
    :param is_behind: True to visit a board whose database lacks its tables.
    """

    path: str
    signed_in: bool = False
    sent: cabc.Mapping[str, str] | None = None
    is_behind: bool = False


PAGES = {
    "notices": Page("/"),
    "notices-found": Page("/?q=free&tag=course"),
    "notices-none": Page("/?q=nothing+of+the+kind"),
    "notice": Page("/notices/3"),
    "sign-up": Page("/sign-up"),
    "sign-up-wrong": Page("/sign-up", sent={"name": "A"}),
    "sign-in": Page("/sign-in"),
    "sign-in-wrong": Page(
        "/sign-in", sent={"email": "ada@example.org", "password": "wrong"}
    ),
    "write-new": Page("/notices/new", signed_in=True),
    "write": Page("/notices/new", signed_in=True, sent={"title": "Hi"}),
    "devices": Page("/devices/", signed_in=True),
    "error-403": Page("/-/error/403"),
    "error-404": Page("/nowhere", signed_in=True),
    "error-405": Page("/sign-out"),
    "error-413": Page("/-/error/413", signed_in=True),
    "error-500": Page("/-/error/500"),
    "error-503": Page("/-/error/503"),
    "behind": Page("/", is_behind=True),
}


class Board:
    """The board as Chromium sees it, and a second board whose database is behind."""

    def __init__(
        self, browser: webdriver.Chrome, address: str, address_behind: str
    ) -> None:
        self.browser = browser
        self.address = address
        self._address_behind = address_behind
        self.name = ""
        agent = "Mozilla/5.0 (Android 16; Mobile; rv:140.0) Firefox/140.0"
        own = str(browser.execute_script("return navigator.userAgent"))
        self._sign_in(agent)
        # The sign-in of the browser itself, made once: a password takes its time.
        self._ada = self._sign_in(own)

    def _sign_in(self, agent: str) -> Device:
        device = Device(self.address, agent)
        device.post("/sign-in", {"email": "ada@example.org", "password": PASSWORD})
        # The page that comes next shows the message of welcome.
        device.get("/")
        return device

    def sign_in(self) -> None:
        """Give the browser the session of Ada."""
        for name, value in self._ada.cookies.items():
            self.browser.execute_cdp_cmd(
                "Network.setCookie",
                {"name": name, "value": value, "url": self.address, "httpOnly": True},
            )

    def visit(self, name: str) -> None:
        """Open a page."""
        page, self.name = PAGES[name], name
        self.browser.execute_cdp_cmd("Network.clearBrowserCookies", {})
        if page.signed_in:
            self.sign_in()
        address = self._address_behind if page.is_behind else self.address
        self.browser.get(address + page.path)
        if page.sent is not None:
            for field, text in page.sent.items():
                self.browser.find_element("name", field).send_keys(text)
            # Let the server report the errors instead of the browser.
            script = "document.querySelector('main form').noValidate = true"
            self.browser.execute_script(script)
            submit(self.browser)


def submit(browser: webdriver.Chrome) -> None:
    """Send the form of the page, and wait until another page has come."""
    page = browser.find_element("tag name", "html")
    browser.find_element("css selector", "main form > [type=submit]").click()
    until_new(page)


def until_new(element: WebElement) -> None:
    """Wait until another page has come, without this element."""

    def is_gone(_: object) -> bool:
        try:
            return not element.is_enabled()
        except WebDriverException:  # the driver has several for an element of before
            return True

    WebDriverWait(element.parent, 20, poll_frequency=0.02).until(is_gone)


@contextlib.contextmanager
def opened(folder: Path) -> cabc.Generator[Board]:
    """Serve a board of its own, and open it in Chromium.

    :raises ServiceUnavailable: if it is not installed.
    """
    with chromium("hide-scrollbars") as browser:
        app = create_app(instance_path=str(folder / "board"))
        app.add_url_rule("/-/error/<int:code>", view_func=abort)
        with app.app_context():
            alembic.upgrade()
            seed()
        behind = create_app(instance_path=str(folder / "behind"), DEBUG=True)
        with serving(app) as address, serving(behind) as address_behind:
            yield Board(browser, address, address_behind)


def picture(browser: webdriver.Chrome) -> Image.Image:
    """Take a picture of what is on the screen."""
    shown = Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")
    # Times change from day to day: they are left blank in a comparison.
    times = browser.execute_script(
        "return [...document.querySelectorAll('.devices time')].map("
        "e => { const r = e.getBoundingClientRect();"
        " return [r.left, r.top, r.right, r.bottom]; })"
    )
    shown.info["times"] = [tuple(map(round, box)) for box in times]
    return shown


def renderer(browser: webdriver.Chrome) -> str:
    """Return what the look of text depends on: the browser, and the fonts it finds."""
    widths = browser.execute_script(
        "const context = document.createElement('canvas').getContext('2d');"
        "return ['16px', 'bold 26px', '14px'].map(size => {"
        " context.font = size + ' system-ui, sans-serif';"
        " return context.measureText('The quick brown fox, 0123456789').width; })"
    )
    version = str(browser.capabilities["browserVersion"]).partition(".")[0]
    return f"Chromium {version}, text of {widths}"


def save(shown: Image.Image, path: Path, rendered_by: str) -> None:
    """Write a picture, with what its text was drawn by."""
    info = PngImagePlugin.PngInfo()
    info.add_text("Renderer", rendered_by)
    # The pages have few colors.
    colors = shown.quantize(128, dither=Image.Dither.NONE)
    colors.save(path, optimize=True, pnginfo=info)


def drawn_by(path: Path) -> str:
    """Return what the text of a picture was drawn by."""
    with Image.open(path) as image:
        return str(image.info.get("Renderer"))


def share_changed(shown: Image.Image, path: Path) -> float | None:
    """Return the share of pixels that differ from the picture in a file.

    :return: ``None`` if they are too few to see. All of them have changed if the size
        has.
    """
    with Image.open(path) as image:
        before = image.convert("RGB")
    if before.size != shown.size:
        return 1.0
    for side in (before, shown):
        draw = ImageDraw.Draw(side)
        for box in shown.info["times"]:
            draw.rectangle(box, fill="white")
    bands = ImageChops.difference(before, shown).split()
    most = ImageChops.lighter(ImageChops.lighter(bands[0], bands[1]), bands[2])
    changed = sum(most.histogram()[_COLOR + 1 :]) / (shown.width * shown.height)
    return changed if changed > _SHARE else None


def main() -> None:
    parser = argparse.ArgumentParser(prog="nox -s screenshots --")
    parser.add_argument("--out", type=Path, required=True)
    out: Path = parser.parse_args().out
    out.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        opened(Path(folder)) as board,
    ):
        own = renderer(board.browser)
        for name in PAGES:
            board.visit(name)
            for width in WIDTHS:
                set_screen(board.browser, width)
                save(picture(board.browser), out / f"{name}-{width}.png", own)


if __name__ == "__main__":
    main()
