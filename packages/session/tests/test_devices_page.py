from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import html
import re

import flask
import jinja2
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from flaskware_core import examine
from flaskware_core import NotInitialised
from flaskware_core.testing import make_app
from flaskware_session import DEVICE_TEXTS
from flaskware_session import DeviceTexts
from flaskware_session import NotFresh
from flaskware_session import parse_agent
from flaskware_session import Sessions
from flaskware_session.testing import FakeClock

pytestmark = pytest.mark.flask_only("the page of devices is a blueprint of Flask")

CHROME = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Chrome/126.0.0.0 Safari/537.36"
)
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15"
    " (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1"
)
OWN = {"Sec-Fetch-Site": "same-origin"}
Confirm = cabc.Callable[[str, str], bool] | str | None


def right(user_id: str, password: str) -> bool:
    return password == f"secret of {user_id}"


@dc.dataclass
class Site:
    app: flask.Flask
    sessions: Sessions
    clock: FakeClock

    def device(self, user_id: str, agent: str = CHROME) -> FlaskClient:
        client = self.app.test_client()
        client.environ_base["HTTP_USER_AGENT"] = agent
        client.get(f"/login/{user_id}")
        return client

    def handle(self, user_id: str, agent: str) -> str:
        with self.app.app_context():
            found = self.sessions.for_user(user_id)
        return next(info.handle for info in found if info.agent == agent)

    def count(self, user_id: str) -> int:
        with self.app.app_context():
            return len(self.sessions.for_user(user_id))


def build(confirm: Confirm = right, **options: object) -> Site:
    clock = FakeClock()
    sessions = Sessions(store="memory://", clock=clock)
    app = make_app(sessions)
    sessions.devices_page(app, confirm=confirm, **options)

    @app.get("/login/<user_id>")
    def login(user_id: str) -> str:
        sessions.login(user_id)
        return "ok"

    @app.get("/confirm")
    def confirm_page() -> str:
        sessions.confirm_factor("mfa")
        return flask.request.args["next"]

    @app.get("/label/<label>")
    def label(label: str) -> str:
        sessions.set_device(label=label)
        return "ok"

    @app.errorhandler(NotFresh)
    def ask(error: NotFresh) -> tuple[str, int]:
        return f"ask for {error.factor}", 401

    return Site(app, sessions, clock)


@pytest.fixture
def site() -> Site:
    return build()


def end(client: FlaskClient, device: str, **data: str) -> TestResponse:
    return client.post("/devices/end", data={"device": device, **data}, headers=OWN)


def messages(client: FlaskClient) -> str:
    page = client.get("/devices/").text
    return " ".join(re.findall(r'role="status">(.*?)<', page))


def fields(page: str) -> list[dict[str, str]]:
    """The hidden fields of each form of a page."""
    return [
        {
            name: html.unescape(value)
            for name, value in re.findall(
                r'type="hidden" name="(\w+)" value="([^"]*)"', form
            )
        }
        for form in re.findall(r"<form.*?</form>", page, re.DOTALL)
    ]


def test_the_page_lists_the_devices_by_name_and_marks_the_current_one(
    site: Site,
) -> None:
    pytest.importorskip("ua_parser")
    phone, laptop = site.device("ann", IPHONE), site.device("ann")
    page = laptop.get("/devices/")
    names = re.findall(r"<strong[^>]*>(.*?)</strong>(?: <span[^>]*>(.*?)<)?", page.text)
    assert names == [
        ("Chrome on Linux", "This device"),
        ("Mobile Safari on iPhone", ""),
    ]
    assert page.headers["Cache-Control"] == "no-store"
    assert [form["device"] for form in fields(page.text)] == [
        site.handle("ann", IPHONE),
        "others",
    ]
    assert "Mobile Safari on iPhone</strong> <span" in phone.get("/devices/").text
    assert "not signed in on another device" in site.device("bob").get("/devices/").text


def test_a_fresh_user_ends_one_device_and_then_all_others(site: Site) -> None:
    laptop = site.device("ann")
    for agent in (IPHONE, "curl/8", "x"):
        site.device("ann", agent)
    handle = site.handle("ann", IPHONE)
    assert end(laptop, handle).location == "/devices/"
    assert messages(laptop) == "The device is signed out."
    assert site.count("ann") == 3
    assert end(laptop, handle).status_code == 303
    assert messages(laptop) == "The device was signed out already."
    end(laptop, "others")
    assert messages(laptop) == "All other devices are signed out."
    assert site.count("ann") == 1


def test_after_a_while_the_password_is_asked_for_first(site: Site) -> None:
    laptop = site.device("ann")
    site.device("ann", IPHONE)
    handle = site.handle("ann", IPHONE)
    site.clock.advance(minutes=11)
    asked = end(laptop, handle)
    assert asked.status_code == 401
    assert 'type="password"' in asked.text
    wrong = end(laptop, handle, password="no")
    assert wrong.status_code == 422
    assert "This password is not right." in wrong.text
    assert site.count("ann") == 2
    [form] = fields(wrong.text)
    done = laptop.post("/devices/end", data={**form, "password": "secret of ann"})
    assert done.status_code == 303
    assert site.count("ann") == 1
    # It counts as a sign-in, so that it is not asked for again at once.
    site.device("ann", IPHONE)
    assert end(laptop, "others").status_code == 303
    assert site.count("ann") == 1


def test_a_session_ends_after_five_wrong_passwords(site: Site) -> None:
    laptop = site.device("ann")
    site.device("ann", IPHONE)
    site.clock.advance(minutes=11)
    for _ in range(5):
        assert end(laptop, "others", password="no").status_code == 422
    last = end(laptop, "others", password="secret of ann")
    assert (last.status_code, last.text) == (401, "ask for sign-in")
    assert laptop.get("/devices/").status_code == 401
    assert site.count("ann") == 1


def test_right_passwords_in_between_begin_the_count_again(site: Site) -> None:
    laptop = site.device("ann")
    for _ in range(3):
        site.clock.advance(minutes=11)
        for _ in range(4):
            end(laptop, "others", password="no")
        assert end(laptop, "others", password="secret of ann").status_code == 303


def test_a_page_of_the_app_may_ask_instead() -> None:
    site = build("confirm_page", factor="mfa")
    laptop = site.device("ann")
    site.device("ann", IPHONE)
    led = end(laptop, "others")
    assert led.location == "/confirm?next=/devices/"
    assert laptop.get(led.location).text == "/devices/"
    end(laptop, "others")
    assert site.count("ann") == 1


def test_without_a_way_to_ask_the_app_has_the_error() -> None:
    site = build(None)
    laptop = site.device("ann")
    site.clock.advance(minutes=11)
    answer = end(laptop, "others")
    assert (answer.status_code, answer.text) == (401, "ask for sign-in")


def test_nobody_sees_or_ends_the_devices_of_another(site: Site) -> None:
    site.device("ann", IPHONE)
    handle = site.handle("ann", IPHONE)
    bob, stranger = site.device("bob"), site.app.test_client()
    assert end(bob, handle).status_code == 303
    assert site.count("ann") == 1
    assert stranger.get("/devices/").status_code == 401
    assert end(stranger, handle).status_code == 401


def test_the_current_device_is_not_ended_here(site: Site) -> None:
    laptop = site.device("ann")
    assert end(laptop, site.handle("ann", CHROME)).status_code == 400
    assert site.count("ann") == 1


@pytest.mark.parametrize(
    ("headers", "token", "status", "left"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, "none", 303, 1),
        ({"Sec-Fetch-Site": "cross-site"}, "right", 403, 2),
        ({"Sec-Fetch-Site": "same-site"}, "none", 303, 2),
        ({"Origin": "http://localhost"}, "none", 303, 1),
        ({"Origin": "https://evil.example"}, "right", 403, 2),
        ({"Origin": "null"}, "none", 303, 2),
        ({"Origin": "null"}, "right", 303, 1),
        ({}, "none", 303, 2),
        ({}, "wrong", 303, 2),
        ({}, "of another", 303, 2),
        ({}, "right", 303, 1),
    ],
)
def test_only_a_form_of_the_page_ends_anything(
    site: Site, headers: dict[str, str], token: str, status: int, left: int
) -> None:
    laptop, other = site.device("ann"), site.device("bob")
    site.device("ann", IPHONE)
    site.device("bob", IPHONE)
    [*_, form] = fields(laptop.get("/devices/").text)
    if token == "none":
        del form["_devices_csrf"]
    if token == "wrong":
        form["_devices_csrf"] = "é"
    if token == "of another":
        form = fields(other.get("/devices/").text)[-1]
    answer = laptop.post("/devices/end", data=form, headers=headers)
    assert (answer.status_code, site.count("ann")) == (status, left)


def test_what_a_browser_sent_is_only_text(site: Site) -> None:
    evil = '"><script>alert(1)</script>'
    laptop = site.device("ann", evil)
    page = laptop.get("/devices/").text
    assert "<script>alert" not in page
    laptop.get("/label/<b>Home{0}%s")
    site.clock.advance(minutes=11)
    other = site.device("ann")
    site.clock.advance(minutes=11)
    page = other.get("/devices/").text
    assert "&lt;b&gt;Home{0}%s" in page
    asked = end(other, site.handle("ann", evil))
    assert "&lt;b&gt;Home{0}%s" in asked.text


@pytest.mark.parametrize(
    ("wish", "language"),
    [("de-AT,en;q=0.5", "de"), ("es", "es"), ("fr;q=0.9,de;q=0.1", "fr"), ("ja", "en")],
)
def test_the_language_is_the_one_that_the_browser_wants(
    wish: str, language: str
) -> None:
    site = build(texts=DEVICE_TEXTS)
    laptop = site.device("ann")
    site.device("ann", IPHONE)
    [texts] = [texts for texts in DEVICE_TEXTS if texts.language == language]
    page = laptop.get("/devices/", headers={"Accept-Language": wish}).text
    assert f'<html lang="{language}">' in page
    for text in (texts.title, texts.intro, texts.current, texts.end_others):
        assert text in html.unescape(page)


def test_each_language_says_everything_and_english_is_the_default() -> None:
    english, *others = DEVICE_TEXTS
    for texts in others:
        for field in dc.fields(texts):
            theirs, ours = getattr(texts, field.name), getattr(english, field.name)
            braces = r"{\w+}"
            assert theirs != ours, (texts.language, field.name)
            assert set(re.findall(braces, theirs)) == set(re.findall(braces, ours))
    page = build().device("ann").get("/devices/", headers={"Accept-Language": "de"})
    assert '<html lang="en">' in page.text


def test_texts_can_be_changed_and_mistakes_in_them_are_refused() -> None:
    texts = DeviceTexts(title="Where you are")
    assert "Where you are" in build(texts=texts).device("ann").get("/devices/").text
    for text in ("{devise}", "{", "{0}", "{device.x}"):
        with pytest.raises(ValueError, match=r"DeviceTexts\.ended"):
            DeviceTexts(ended=text)
    with pytest.raises(ValueError, match="at least one"):
        build(texts=[])


def test_the_page_comes_after_the_extension() -> None:
    with pytest.raises(NotInitialised):
        Sessions().devices_page(flask.Flask("x"))


def test_the_app_puts_the_page_into_its_own_layout(site: Site) -> None:
    site.app.jinja_loader = jinja2.DictLoader(
        {
            "flaskware_session/layout.html": "<nav>Mine</nav>"
            "{% block devices %}{% endblock %}"
        }
    )
    page = site.device("ann").get("/devices/").text
    assert page.startswith("<nav>Mine</nav>")
    assert "<h1>Devices</h1>" in page
    assert "<html" not in page


def test_names_of_devices_are_readable() -> None:
    pytest.importorskip("ua_parser")
    assert parse_agent(CHROME) == ("Chrome", "Linux")
    assert parse_agent(IPHONE) == ("Mobile Safari", "iPhone")
    assert parse_agent("curl/8.5.0") == ("curl", "")
    assert parse_agent("Nobody knows") == ("Nobody knows", "")
    assert parse_agent("x" * 200) == ("x" * 59 + "…", "")
    assert parse_agent("") == ("", "")


def test_without_a_parser_the_text_is_shown(
    monkeypatch: pytest.MonkeyPatch, site: Site
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    parse_agent.cache_clear()
    try:
        assert parse_agent("curl/8.5.0") == ("curl/8.5.0", "")
        found = {finding.id for finding in examine(site.app).findings}
        assert "session.devices-names" in found
    finally:
        parse_agent.cache_clear()


def test_doctor_knows_an_endpoint_that_is_missing() -> None:
    found = examine(build("confirm_pag").app).findings
    [finding] = [one for one in found if one.id == "session.devices-confirm"]
    assert finding.fix == "confirm='confirm_page'"
    ids = {one.id for one in examine(build("confirm_page").app).findings}
    assert "session.devices-confirm" not in ids
