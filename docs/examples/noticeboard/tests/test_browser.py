"""Every kind of page in a real Chromium: axe, keyboard, no script, and its picture."""

from __future__ import annotations

import collections.abc as cabc
from pathlib import Path

import pytest
import screenshots
from screenshots import Board
from screenshots import PAGES
from screenshots import submit
from screenshots import WIDTHS
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from flaskware_core.testing import node_modules
from flaskware_core.testing import set_screen
from flaskware_core.testing import without_scripts
from noticeboard.seed import PASSWORD
from noticeboard.walkthrough import PNG

pytestmark = pytest.mark.browser

IMAGES = Path(__file__).parents[3] / "images"
AXE = (
    "const done = arguments[0]; axe.run(document, {runOnly: ['wcag2a', 'wcag2aa',"
    " 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']}).then(done);"
)
# The links and controls of a page that can be seen, in order.
CONTROLS = (
    "return [...document.querySelectorAll("
    "'a[href], button, input, textarea, select, summary, [tabindex=\"0\"]')]"
    ".filter(e => !e.disabled && e.tabIndex >= 0 && e.type != 'hidden'"
    " && e.getClientRects().length && !e.closest('[hidden]'))"
)
NAME = "e.tagName + ' ' + (e.name || e.id || e.textContent.trim())"


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> cabc.Iterator[Board]:
    with screenshots.opened(tmp_path_factory.mktemp("board")) as opened:
        yield opened


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The script of axe-core."""
    source, folder = Path(__file__).parent / "npm", tmp_path_factory.mktemp("npm")
    modules = node_modules(source, folder)
    return (modules / "axe-core/axe.min.js").read_text()


def faults(board: Board, axe: str) -> list[tuple[str, list[str]]]:
    """Return the violations that axe finds on the page."""
    board.browser.execute_script(axe)
    found = board.browser.execute_async_script(AXE)
    assert len(found["passes"]) > 10
    return [
        (violation["id"], [node["html"] for node in violation["nodes"][:3]])
        for violation in found["violations"]
    ]


def complaints(board: Board) -> list[str]:
    """Return the lines of the console, without the one about an error page itself."""
    status = board.browser.execute_script(
        "return performance.getEntriesByType('navigation')[0].responseStatus"
    )
    own = f"{board.browser.current_url} - Failed to load resource: the server"
    expected = f"{own} responded with a status of {status} "
    messages = [str(entry["message"]) for entry in board.browser.get_log("browser")]
    return [text for text in messages if not text.startswith(expected) or status < 400]


def names(board: Board) -> list[str]:
    found: list[str] = board.browser.execute_script(f"{CONTROLS}.map(e => {NAME})")
    return found


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_right_at_each_width_and_for_each_visitor(
    name: str, board: Board, axe: str, tmp_path: Path
):
    browser = board.browser
    browser.get_log("browser")
    board.visit(name)
    for width in WIDTHS:
        set_screen(browser, width)
        like_its_picture(board, IMAGES / f"{name}-{width}.png", tmp_path)
        assert faults(board, axe) == [], width
        wide = browser.execute_script("return document.documentElement.scrollWidth")
        assert wide <= width
    assert complaints(board) == []
    assert browser.execute_script("return document.querySelectorAll('h1').length") == 1
    reached_by_tab(board)

    seen = names(board)
    with without_scripts(browser):
        board.visit(name)
    without = [each for each in seen if not each.startswith("BUTTON Back to")]
    assert names(board) == without
    assert complaints(board) == []


def like_its_picture(board: Board, path: Path, folder: Path) -> None:
    """Assert that the page looks like its picture in the documentation."""
    remedy = "if that is right, run: nox -s screenshots"
    assert path.exists(), f"there is no picture of this page; {remedy}"
    shown = screenshots.picture(board.browser)
    # Other fonts give other lines: then the picture says nothing about this page.
    if screenshots.drawn_by(path) == screenshots.renderer(board.browser):
        changed = screenshots.share_changed(shown, path)
        if changed is not None:
            shown.save(now := folder / path.name)
            pytest.fail(f"{changed:.1%} of the page has changed, see {now}; {remedy}")


def reached_by_tab(board: Board) -> None:
    """Assert that Tab goes to each control in order, and that one sees where it is."""
    browser = board.browser
    focused = browser.execute_script("return document.activeElement.className")
    assert focused == ("form-errors" if PAGES[board.name].sent else "")
    reached: list[str] = []
    expected = names(board)
    while expected and reached[-1:] != expected[-1:]:
        ActionChains(browser, duration=0).send_keys(Keys.TAB).perform()
        name, is_marked = browser.execute_script(
            f"const e = document.activeElement; return [{NAME},"
            " getComputedStyle(e).outlineStyle != 'none'"
            " && e.getBoundingClientRect().left >= 0];"
        )
        reached.append(name)
        assert is_marked, name
        # With the focus on the errors, Tab goes on from there.
        start = expected.index(reached[0])
        assert reached == expected[start : start + len(reached)]


def test_the_skip_link_goes_to_the_content(board: Board):
    board.visit("notices")
    ActionChains(board.browser).send_keys(Keys.TAB, Keys.ENTER).perform()
    assert board.browser.switch_to.active_element.get_attribute("id") == "main"


def test_each_picture_is_of_a_page():
    pictures = {path.stem for path in IMAGES.glob("*.png")}
    assert pictures == {f"{name}-{width}" for name in PAGES for width in WIDTHS}


def test_a_body_that_is_too_large_leaves_what_was_typed(board: Board, tmp_path: Path):
    browser = board.browser
    big = tmp_path / "big.png"
    big.write_bytes(b"x" * (17 << 20))
    board.visit("write-new")
    typed = {"title": "A title of mine", "body": "Written by me"}
    for field, text in {**typed, "picture": str(big)}.items():
        browser.find_element("name", field).send_keys(text)
    submit(browser)
    assert "Error 413" in browser.page_source
    button = browser.find_element("css selector", "[data-back]")
    button.click()
    screenshots.until_new(button)
    assert {
        field: browser.find_element("name", field).get_attribute("value")
        for field in typed
    } == typed


def test_somebody_signs_in_and_posts_a_picture(board: Board, tmp_path: Path):
    browser = board.browser
    board.visit("sign-in")
    browser.get_log("browser")
    browser.find_element("name", "email").send_keys("ada@example.org")
    browser.find_element("name", "password").send_keys(PASSWORD)
    submit(browser)
    assert "Welcome, Ada" in browser.page_source

    picture = tmp_path / "dot.png"
    picture.write_bytes(PNG)
    browser.get(f"{board.address}/notices/new")
    browser.find_element("name", "title").send_keys("From a browser")
    browser.find_element("name", "body").send_keys("Typed by hand.")
    browser.find_element("name", "picture").send_keys(str(picture))
    submit(browser)
    assert "From a browser" in browser.find_element("tag name", "h1").text
    image = browser.find_element("css selector", "article img")
    assert browser.execute_script("return arguments[0].naturalWidth", image) == 1
    assert complaints(board) == []


def test_the_script_with_a_nonce_runs_and_one_without_does_not(board: Board):
    browser = board.browser
    board.visit("notices")
    times = [time.text for time in browser.find_elements("tag name", "time")]
    assert any("ago" in text for text in times)
    browser.execute_script(
        "const s = document.createElement('div');"
        "s.innerHTML = '<img src=x onerror=\"window.injected = 1\">';"
        "document.body.append(s);"
    )
    browser.implicitly_wait(1)
    assert browser.execute_script("return window.injected") is None
    assert any("Content Security Policy" in text for text in complaints(board))
