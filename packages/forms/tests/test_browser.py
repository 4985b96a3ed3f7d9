"""Forms in a real Chromium, with axe-core, Bootstrap and htmx from npm."""

from __future__ import annotations

import atexit
import collections.abc as cabc
import contextlib
import datetime as dt
import decimal
import enum
import functools
import itertools
import shutil
import subprocess
import tempfile
import typing as t
from pathlib import Path

import annotated_types as at
import flask
import jinja2
import pydantic
import pytest
from forms_models import Branch
from forms_models import Pay
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from flaskware_core.testing import chromium
from flaskware_core.testing import make_app
from flaskware_core.testing import node_modules
from flaskware_core.testing import serving
from flaskware_core.testing import set_screen
from flaskware_core.testing import without_scripts
from flaskware_forms import Bound
from flaskware_forms import Forms
from flaskware_forms import FormSpec
from flaskware_forms import Image
from flaskware_forms import openapi_blueprint
from flaskware_forms import Ui
from flaskware_forms import Upload
from flaskware_forms._markup.theme import BUNDLED

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PAGE = """<!doctype html><html lang="{{ lang }}" dir="{{ dir }}" class="{{ root }}">
<head><title>{{ form.title(form.spec.name) }}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light{% if theme != 'govuk' %} dark{% endif %}">
<link rel="icon" href="data:,">
{% from "flaskware_forms/macros.html" import styles, scripts, htmx_config %}
{{ styles() }}
{% if theme == "plain" %}<style>html { background: Canvas; color: CanvasText }</style>
{% endif %}
{% for sheet in sheets %}<link rel="stylesheet" href="{{ sheet }}">{% endfor %}
{% if htmx %}{{ htmx_config() }}<script src="/npm/htmx.org/dist/htmx.min.js"></script>
{% else %}{{ scripts() }}{% endif %}</head>
<body class="{{ body }}"><main class="{{ frame }}"><h1>A form</h1>
{% block form %}{{ form.render(live=live) }}{% endblock %}</main></body></html>"""
THEMES: dict[str, dict[str, t.Any]] = {
    "plain": {"sheets": []},
    "bootstrap5": {
        "sheets": ["/npm/bootstrap/dist/css/bootstrap.min.css"],
        "frame": "container",
    },
    "govuk": {
        "sheets": ["/npm/govuk-frontend/dist/govuk/govuk-frontend.min.css"],
        "root": "govuk-template",
        "body": "govuk-template__body",
        "frame": "govuk-width-container",
    },
    "tailwind": {
        "sheets": ["/tailwind.css"],
        "body": "bg-white text-gray-900 dark:bg-gray-950 dark:text-gray-100",
        "frame": "p-4",
    },
}


class Color(enum.Enum):
    RED = "r"
    BLUE = "b"


class Home(pydantic.BaseModel):
    city: t.Annotated[str, at.MinLen(2)]
    zip: str = ""


Choice = t.Literal["x", "y", "z"]


class Everything(pydantic.BaseModel):
    """Every kind of field that there is."""

    text: t.Annotated[str, at.Len(2, 40), Ui(hint="On paper", autocomplete="name")]
    email: pydantic.EmailStr
    site: pydantic.HttpUrl | None = None
    secret: t.Annotated[pydantic.SecretStr, at.MinLen(8)]
    search: t.Annotated[str, Ui(widget="search", placeholder="Anything")] = ""
    phone: t.Annotated[str, Ui(widget="tel", autocomplete="tel")] = ""
    bio: t.Annotated[str, at.MaxLen(20), Ui(widget="textarea", hint="Short")] = ""
    age: t.Annotated[int, at.Ge(18), at.Le(99)]
    price: t.Annotated[decimal.Decimal, at.Ge(0)] = decimal.Decimal("1.5")
    news: bool = True
    terms: t.Literal[True]
    born: dt.date | None = None
    clock: dt.time | None = None
    when: dt.datetime | None = None
    color: Color
    size: t.Annotated[t.Literal["s", "l"], Ui(widget="radio", hint="Of shirts")]
    country: t.Annotated[int | None, Ui(choices=lambda: [(1, "Oz"), (2, "Ur")])] = None
    picks: list[Choice] = []
    tags: t.Annotated[list[str], at.MaxLen(3), Ui(rows=2, hint="A few")] = []
    home: Home
    homes: list[Home] = []
    grid: list[list[int]] = []
    pay: t.Annotated[Pay | None, Ui(label="Payment")] = None
    tree: Branch | None = None
    avatar: t.Annotated[Upload, Image("png")] | None = None
    files: list[Upload] = []


SPEC = FormSpec(Everything, name="everything")


class Place(pydantic.BaseModel):
    city: t.Annotated[str, at.MinLen(1), Ui(label="المدينة")]


class RightToLeft(pydantic.BaseModel):
    text: t.Annotated[str, at.Len(1, 20), Ui(label="الاسم الكامل", hint="שם מלא")]
    email: t.Annotated[pydantic.EmailStr, Ui(label="البريد الإلكتروني")]
    picks: t.Annotated[
        list[t.Literal["x", "y"]], Ui(label="اختيارات", labels={"x": "أ", "y": "ب"})
    ] = []
    size: t.Annotated[
        t.Literal["s", "l"], Ui(label="גודל", widget="radio", labels={"s": "ק"})
    ]
    rows: t.Annotated[list[Place], Ui(label="الأماكن")] = []


RIGHT_TO_LEFT = FormSpec(RightToLeft, name="rtl")
WRONG = {
    "text": "x", "email": "no", "site": "no", "secret": "x", "bio": "x" * 30,
    "age": "7", "price": "-1", "born": "x", "clock": "x", "when": "x", "color": "zz",
    "size": "zz", "country": "9", "picks": "zz", "tags": ["a", "b", "c", "d"],
    "home.city": "", "homes-0.city": "a", "grid-0": ["x", "1"], "pay.amount": "x",
    "pay.by.kind": "card", "pay.by.kind:card.number": "1", "pay.more-0.kind": "no",
    "tree.name": "", "tree.below-0.below-0.name": "a", "avatar": "x", "files": "x",
}  # fmt: skip
FILLED = {
    "text": "Ann", "email": "ann@example.com", "age": 33, "color": Color.RED,
    "size": "s", "home": {"city": "Rome"}, "homes": [{"city": "Ur"}, {"city": "Oz"}],
    "tags": ["a"], "picks": ["x", "y"], "grid": [[1, 2], [3]],
    "pay": {"amount": 1, "by": {"kind": "card", "number": "1234"}},
    "tree": {"name": "a", "below": [{"name": "b"}], "twin": {"name": "c"}},
}  # fmt: skip


@functools.cache
def npm_folder() -> Path:
    """The packages of the lock file, for as long as the tests run."""
    folder = Path(tempfile.mkdtemp(prefix="forms-npm-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return node_modules(Path(__file__).parent / "npm", folder)


@functools.cache
def tailwind_sheet() -> str:
    """The utility classes of the theme and of the page, as Tailwind builds them."""
    packages = npm_folder()
    folder = packages.parent / "tailwind"
    folder.mkdir(exist_ok=True)
    (folder / "page.html").write_text(str(THEMES["tailwind"]))
    theme = BUNDLED["tailwind"] / "theme.html"
    (folder / "in.css").write_text(
        f'@import "tailwindcss" source(none);\n@source "{theme}";\n'
        f'@source "{folder / "page.html"}";\n'
    )
    command = [packages / ".bin/tailwindcss", "-i", "in.css", "-o", "out.css"]
    subprocess.run(command, cwd=folder, capture_output=True, check=True)
    return (folder / "out.css").read_text()


def build(theme: str) -> flask.Flask:
    app = make_app(Forms(), FORMS_THEME=theme, FORMS_MARKS="both")
    app.jinja_loader = jinja2.DictLoader({"page.html": PAGE})
    packages = npm_folder()

    @app.get("/tailwind.css")
    def tailwind() -> flask.Response:
        return flask.Response(tailwind_sheet(), mimetype="text/css")

    @app.get("/npm/<path:name>")
    def npm(name: str) -> flask.Response:
        return flask.send_from_directory(packages, name)

    @app.route("/<state>", methods=["GET", "POST"])
    @SPEC.handles
    def show(form: Bound[Everything], state: str) -> flask.typing.ResponseReturnValue:
        options = {
            **THEMES[theme],
            "theme": theme,
            "lang": "en",
            "dir": "ltr",
            "live": state in {"live", "htmx"},
            "htmx": state == "htmx",
        }
        if state == "filled":
            form.fill(FILLED)
        if form.submit():
            return form.done("/empty")
        return form.respond("page.html", **options)

    @app.route("/rtl", methods=["GET", "POST"])
    @RIGHT_TO_LEFT.handles
    def rtl(form: Bound[RightToLeft]) -> flask.typing.ResponseReturnValue:
        options = {**THEMES[theme], "theme": theme, "lang": "ar", "dir": "rtl"}
        if theme == "bootstrap5":
            options["sheets"] = ["/npm/bootstrap/dist/css/bootstrap.rtl.min.css"]
        form.fill({"text": "שלום עולם", "picks": ["x"], "rows": [{"city": "القاهرة"}]})
        form.submit()
        return form.respond("page.html", **options)

    @app.get("/wrong")
    def wrong() -> flask.typing.ResponseReturnValue:
        with app.test_request_context(
            "/empty",
            method="POST",
            data=WRONG,
            headers={"Sec-Fetch-Site": "same-origin"},
        ):
            return flask.Response(app.full_dispatch_request().get_data())

    return app


@pytest.fixture(scope="module", params=list(THEMES))
def served(request) -> cabc.Iterator[str]:
    with serving(build(request.param)) as address:
        yield address


@pytest.fixture(scope="module")
def started() -> cabc.Iterator[webdriver.Chrome]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def browser(started) -> webdriver.Chrome:
    set_screen(started, 1280)
    return started


def wait(browser: webdriver.Chrome, until: cabc.Callable[[t.Any], t.Any]) -> t.Any:
    return WebDriverWait(browser, 20).until(until)


AXE = "const [only, done] = arguments; axe.run(document, {runOnly: only}).then(done);"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def faults(
    browser: webdriver.Chrome, *, contrast_only: bool = False
) -> list[tuple[str, list[str]]]:
    """The violations that axe finds on the page; a contrast of 4.5:1 is one rule."""
    if not browser.execute_script("return window.axe !== undefined"):
        browser.execute_script((npm_folder() / "axe-core/axe.min.js").read_text())
    only = ["color-contrast"]
    found = browser.execute_async_script(AXE, only if contrast_only else RULES)
    passes = {rule["id"]: len(rule["nodes"]) for rule in found["passes"]}
    assert contrast_only or len(passes) > 10
    assert passes["color-contrast"] > 5
    return [
        (violation["id"], [node["html"] for node in violation["nodes"][:3]])
        for violation in found["violations"]
    ]


@contextlib.contextmanager
def scripts(browser: webdriver.Chrome, *, run: bool) -> cabc.Iterator[None]:
    with contextlib.nullcontext() if run else without_scripts(browser):
        yield


# A page of names from right to left has no union, which a script would change; and one
# that is validated live differs by attributes alone.
LOADS = [
    *itertools.product(["empty", "filled", "wrong"], [True, False]),
    ("live", True), ("rtl", True),
]  # fmt: skip
WIDTHS = (320, 1280)


@pytest.mark.parametrize(
    ("state", "script"), LOADS, ids=[f"{s}-{'no-' * (not r)}script" for s, r in LOADS]
)
def test_every_field_in_every_state_passes_axe(browser, served, state, script):
    with scripts(browser, run=script):
        browser.get(f"{served}/{state}")
        # Each kind of field is there.
        names = browser.execute_script(
            "return [...document.querySelectorAll('form [name]')].map(e => e.name)"
        )
    model = RightToLeft if state == "rtl" else Everything
    heads = {name.partition(".")[0].partition("-")[0] for name in names}
    assert set(model.model_fields) - heads <= {"tree"}
    # The page did or did not run its own script; axe is one from outside.
    case = "return document.querySelector('.form-case-fields')?.hidden"
    # The first case is a card, which the filled and the wrong form have chosen.
    assert browser.execute_script(case) is (
        None if state == "rtl" else script and state not in {"filled", "wrong"}
    )
    if state == "wrong":
        missing = browser.execute_script(
            "return [...document.querySelectorAll('#everything--errors a')]"
            ".map(a => a.hash.slice(1)).filter(id => !document.getElementById(id))"
        )
        assert missing == []
    for width in WIDTHS:
        set_screen(browser, width)
        assert faults(browser) == [], width
        # Nothing leaves the screen to the side.
        wide = "return document.documentElement.scrollWidth"
        assert browser.execute_script(wide) <= width
        set_screen(browser, width, dark=True)
        theme = "document.documentElement.dataset.bsTheme = arguments[0]"
        browser.execute_script(theme, "dark")
        # Colors alone depend on it.
        assert faults(browser, contrast_only=True) == [], f"{width}, dark"
        browser.execute_script(theme, "light")


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
def test_the_summary_of_errors_has_the_focus_after_a_page_load(browser, served, script):
    with scripts(browser, run=script):
        browser.get(f"{served}/rtl")
        browser.find_element(By.NAME, "text").clear()
        browser.execute_script("document.querySelector('main form').noValidate = true")
        browser.find_element(By.CSS_SELECTOR, "main form > button").send_keys("\n")
        wait(browser, lambda b: b.find_elements(By.ID, "rtl--errors"))
        # The focus comes after the page (HTML, "autofocus").
        wait(browser, lambda b: focused(b, "id") == "rtl--errors")
        assert browser.title == "Error: rtl"


def test_text_runs_from_right_to_left_where_the_page_does(browser, served):
    set_screen(browser, 320)
    browser.get(f"{served}/rtl")
    place = "return document.querySelector(arguments[0]).getBoundingClientRect()"
    box = browser.execute_script(place, "input[type=checkbox]")
    label = browser.execute_script(place, "label[for='rtl-picks']")
    assert box["left"] > label["left"]
    email = browser.find_element(By.NAME, "email")
    # An address is read from left to right in any page.
    assert email.value_of_css_property("direction") == "ltr"
    text = browser.find_element(By.NAME, "text")
    assert text.value_of_css_property("direction") == "rtl"
    text.clear()
    text.send_keys("Ann")
    assert text.value_of_css_property("direction") == "ltr"


def test_rows_come_and_go_in_place_with_the_script(browser, served):
    browser.get(f"{served}/empty")
    first = "[name='homes-0.city']"
    browser.find_element(By.CSS_SELECTOR, first).send_keys("Rome")
    browser.execute_script("window.stays = true")
    press(browser, "add:homes")
    wait(browser, lambda b: b.find_elements(By.CSS_SELECTOR, "[name='homes-1.city']"))
    # The same page, what was typed still there, and the new row is where one writes.
    assert browser.execute_script("return window.stays") is True
    assert value(browser, first) == "Rome"
    wait(browser, lambda b: focused(b, "name") == "homes-1.city")
    press(browser, "remove:homes-0")
    wait(browser, lambda b: value(b, first) == "")
    assert browser.execute_script("return window.stays") is True
    wait(browser, lambda b: focused(b, "id") == "everything-homes--add")


def test_rows_come_without_the_script(browser, served):
    with without_scripts(browser):
        browser.get(f"{served}/empty")
        browser.find_element(By.CSS_SELECTOR, "[name='homes-0.city']").send_keys("Rome")
        browser.find_element(By.CSS_SELECTOR, "[value='add:homes']").send_keys("\n")
        wait(browser, lambda b: b.find_elements(By.NAME, "homes-1.city"))
        found = browser.find_element(By.NAME, "homes-0.city")
        assert found.get_attribute("value") == "Rome"
        wait(browser, lambda b: focused(b, "name") == "homes-1.city")


def test_the_models_of_a_union_that_are_not_chosen_are_out_of_sight(browser, served):
    browser.get(f"{served}/empty")
    number = browser.find_element(By.NAME, "pay.by.kind:card.number")
    assert not number.is_displayed()
    choose = "[name='pay.by.kind'][value='card']"
    browser.execute_script(f'document.querySelector("{choose}").click()')
    assert number.is_displayed()
    assert number.is_enabled()


def test_a_field_is_told_wrong_when_it_is_left_and_no_other(browser, served):
    browser.get(f"{served}/live")
    browser.find_element(By.NAME, "text").send_keys("x\t")
    error = wait(browser, lambda b: b.find_element(By.ID, "everything-text--error"))
    assert error.text == "Write at least 2 characters."
    control = browser.find_element(By.NAME, "text")
    assert control.get_attribute("aria-invalid") == "true"
    assert control.get_attribute("aria-describedby").endswith("everything-text--error")
    assert len(browser.find_elements(By.CSS_SELECTOR, "[aria-invalid=true]")) == 1
    control.send_keys("y\t")
    wait(browser, lambda b: not b.find_elements(By.ID, "everything-text--error"))


def test_htmx_asks_for_the_field_and_sends_the_form(browser, served):
    browser.get(f"{served}/htmx")
    browser.find_element(By.NAME, "text").send_keys("x\t")
    wait(browser, lambda b: b.find_elements(By.ID, "everything-text--error"))
    assert len(browser.find_elements(By.CSS_SELECTOR, "[aria-invalid=true]")) == 1
    # htmx keeps the focus where it was, by its id.
    assert value(browser, "[name='text']") == "x"
    browser.execute_script(
        "window.stays = true; const f = document.querySelector('main form');"
        "f.noValidate = true; f.requestSubmit();"
    )
    wait(browser, lambda b: b.find_elements(By.ID, "everything--errors"))
    assert browser.execute_script("return window.stays") is True
    assert browser.find_element(By.TAG_NAME, "h1").text == "A form"
    wait(browser, lambda b: b.switch_to.active_element.get_attribute("id"))
    assert browser.switch_to.active_element.get_attribute("id") == "everything--errors"
    press(browser, "add:homes")
    wait(browser, lambda b: b.find_elements(By.CSS_SELECTOR, "[name='homes-1.city']"))
    name = "homes-1.city"
    wait(browser, lambda b: b.switch_to.active_element.get_attribute("name") == name)
    assert browser.execute_script("return window.stays") is True


HOSTILE = (
    "button, [type=submit] { display: inline-block; visibility: visible }"
    "[hidden] { display: block }"
)


def test_no_style_sheet_of_a_site_shows_the_button_of_the_enter_key(browser, served):
    browser.get(f"{served}/empty")
    browser.execute_script(
        "const s = document.createElement('style'); s.textContent = arguments[0];"
        "document.head.append(s)",
        HOSTILE,
    )
    empty = browser.execute_script(
        "return [...document.querySelectorAll('button')]"
        ".filter(b => !b.textContent && b.checkVisibility()).length"
    )
    assert empty == 0
    browser.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    assert browser.switch_to.active_element.get_attribute("name") == "text"
    # The key sends the form; it neither adds nor removes a row.
    browser.execute_script("document.querySelector('main form').noValidate = true")
    browser.find_element(By.NAME, "homes-0.city").send_keys("Rome" + Keys.ENTER)
    wait(browser, lambda b: b.find_elements(By.ID, "everything--errors"))
    assert value(browser, "[name='homes-0.city']") == "Rome"


def focused(browser: webdriver.Chrome, attribute: str) -> str | None:
    return browser.switch_to.active_element.get_attribute(attribute)


def press(browser: webdriver.Chrome, button: str) -> None:
    browser.execute_script(
        "document.querySelector(`[name=_row][value='${arguments[0]}']`).click()", button
    )


def value(browser: webdriver.Chrome, selector: str) -> str | None:
    return browser.execute_script(
        "return document.querySelector(arguments[0])?.value", selector
    )


# The default policy of flaskware-secure.
POLICY = (
    "default-src 'self'; script-src 'nonce-{0}' 'strict-dynamic'; style-src 'self'"
    " 'nonce-{0}'; img-src 'self' data:; object-src 'none'; base-uri 'none';"
    " form-action 'self'; frame-ancestors 'none'"
)


def test_the_page_of_documentation_runs_under_a_strict_policy(browser):
    app = make_app(Forms())

    class Notice(pydantic.BaseModel):
        title: t.Annotated[str, at.MinLen(2)]

    spec = FormSpec(Notice, name="notice")
    sent: list[Notice | None] = []

    @app.route("/notices", methods=["POST"])
    @spec.handles
    def write(form: Bound[Notice]) -> flask.Response:
        sent.append(data := form.submit())
        return form.done("/", data)

    app.jinja_env.globals["csp_nonce"] = lambda: "abc"
    app.register_blueprint(openapi_blueprint(title="A shop"), url_prefix="/docs")

    @app.after_request
    def add_policy(response: flask.Response) -> flask.Response:
        response.headers["Content-Security-Policy"] = POLICY.format("abc")
        return response

    with serving(app) as url:
        browser.get(f"{url}/docs/")
        wait(browser, lambda b: b.find_elements(By.CSS_SELECTOR, ".opblock-post"))
        assert "Sec-Fetch-Site" in browser.find_element(By.CSS_SELECTOR, ".info").text
        browser.find_element(By.CSS_SELECTOR, ".opblock-post button").click()
        wait(browser, lambda b: b.find_elements(By.CSS_SELECTOR, ".try-out__btn"))
        browser.find_element(By.CSS_SELECTOR, ".try-out__btn").click()
        wait(browser, lambda b: b.find_elements(By.CSS_SELECTOR, ".execute"))
        button = browser.find_element(By.CSS_SELECTOR, ".execute")
        browser.execute_script("arguments[0].click()", button)
        wait(browser, lambda b: sent)
        # What the policy blocks is told in the log of the browser.
        logged = [entry["message"] for entry in browser.get_log("browser")]
        assert [m for m in logged if "Content Security Policy" in m] == []
