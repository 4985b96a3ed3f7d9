"""Flask-Login beside the extension, in an app that knows nothing of it."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import datetime as dt

import flask
import flask_login
import pytest
from flask.testing import FlaskClient

from flaskware_session import SessionInfo
from flaskware_session import Sessions
from flaskware_session import StoreUnavailable
from flaskware_session.testing import FakeClock

pytestmark = pytest.mark.flask_only("Flask-Login knows Flask alone")

Build = cabc.Callable[..., flask.Flask]
REMEMBER = "remember_token"


@dc.dataclass
class User(flask_login.UserMixin):
    id: str
    password_hash: str = "one"


def add_login(app: flask.Flask) -> dict[str, User]:
    """Make of an app what its author would, who has only Flask-Login in mind."""
    app.secret_key = "a secret key of some length"
    users = {name: User(name) for name in ("ann", "bob")}
    manager = flask_login.LoginManager(app)
    manager.user_loader(users.get)

    @app.get("/in/<name>")
    def sign_in(name: str) -> str:
        remember = "remember" in flask.request.args
        seconds = flask.request.args.get("seconds", type=int)
        flask_login.login_user(
            users[name],
            remember=remember,
            duration=seconds and dt.timedelta(seconds=seconds),
        )
        flask.flash("Welcome")
        return "in"

    @app.get("/out")
    def sign_out() -> str:
        flask_login.logout_user()
        flask.flash("Good-bye")
        return "out"

    @app.get("/me")
    @flask_login.login_required
    def me() -> str:
        name: str = flask_login.current_user.id
        return name

    @app.get("/fresh")
    @flask_login.fresh_login_required
    def fresh() -> str:
        return "fresh"

    @app.get("/confirm")
    @flask_login.login_required
    def confirm() -> str:
        flask_login.confirm_login()
        return "confirmed"

    @app.post("/password/<new>")
    @flask_login.login_required
    def password(new: str) -> str:
        flask_login.current_user.password_hash = new
        return "changed"

    @app.get("/remembered")
    def remembered() -> str:
        return f"{flask_login.current_user.is_active} {flask_login.login_remembered()}"

    return users


@dc.dataclass
class Site:
    app: flask.Flask
    sessions: Sessions
    clock: FakeClock

    def browser(self, where: str = "", agent: str = "Browser") -> FlaskClient:
        client = self.app.test_client()
        client.environ_base["HTTP_USER_AGENT"] = agent
        if where:
            assert client.get(where).text == "in"
        return client

    def devices(self, name: str = "ann") -> list[SessionInfo]:
        with self.app.app_context():
            return self.sessions.for_user(name)

    def revoke_user(self, name: str = "ann") -> int:
        with self.app.app_context():
            return self.sessions.revoke_user(name)


@pytest.fixture
def make(build: Build) -> cabc.Callable[..., Site]:
    def make(store: object = "memory://", **config: object) -> Site:
        clock = FakeClock()
        sessions = Sessions(store=store, clock=clock)
        app = build(sessions, **config)
        add_login(app)
        return Site(app, sessions, clock)

    return make


Make = cabc.Callable[..., Site]


@pytest.fixture
def site(make: Make, store_url: str) -> Site:
    return make(store_url)


def id_of(client: FlaskClient) -> str:
    cookie = client.get_cookie("session")
    assert cookie is not None
    return cookie.value


def remember_of(client: FlaskClient) -> str | None:
    cookie = client.get_cookie(REMEMBER)
    return None if cookie is None else cookie.value


def who(client: FlaskClient) -> str | None:
    answer = client.get("/me")
    return answer.text if answer.status_code == 200 else None


def restart(client: FlaskClient) -> None:
    """Close the browser and open it: it keeps only what has a date."""
    client.delete_cookie("session")


def test_a_sign_in_refuses_an_id_that_was_there_before(site: Site) -> None:
    victim, thief = site.browser(), site.browser()
    victim.get("/set/cart/1")
    before = id_of(victim)
    victim.get("/in/ann")
    assert id_of(victim) != before
    thief.set_cookie("session", before)
    assert who(thief) is None
    assert who(victim) == "ann"
    assert victim.get("/read").json["data"]["cart"] == "1"


def test_two_devices_are_listed_and_both_end(site: Site) -> None:
    phone = site.browser("/in/ann?remember", agent="Phone")
    laptop = site.browser("/in/ann?remember", agent="Laptop")
    assert {info.agent for info in site.devices()} == {"Phone", "Laptop"}
    assert site.revoke_user() == 2
    assert who(phone) is who(laptop) is None
    assert remember_of(phone) is remember_of(laptop) is None
    assert site.devices() == []


def test_a_remember_cookie_alone_falls_with_the_revocation(site: Site) -> None:
    phone = site.browser("/in/ann?remember")
    kept = remember_of(phone)
    site.revoke_user()
    other = site.browser()
    other.set_cookie(REMEMBER, kept or "")
    assert who(other) is None
    assert remember_of(other) is None


def test_one_device_can_be_ended_by_another(site: Site) -> None:
    phone = site.browser("/in/ann?remember", agent="Phone")
    laptop = site.browser("/in/ann?remember", agent="Laptop")
    [handle] = [i.handle for i in site.devices() if i.agent == "Phone"]
    with site.app.app_context():
        assert site.sessions.revoke(handle, user_id="ann")
    restart(phone)
    assert who(phone) is None
    assert who(laptop) == "ann"
    restart(laptop)
    assert who(laptop) == "ann"


def test_logout_ends_one_device_and_leaves_the_other(site: Site) -> None:
    phone = site.browser("/in/ann?remember", agent="Phone")
    laptop = site.browser("/in/ann?remember", agent="Laptop")
    stolen = remember_of(phone)
    phone.get("/set/private/1")
    phone.get("/out")
    assert who(phone) is None
    assert remember_of(phone) is None
    kept = phone.get("/read").json["data"]
    assert "private" not in kept
    assert kept["_flashes"][-1] == ["message", "Good-bye"]
    phone.set_cookie(REMEMBER, stolen or "")
    assert who(phone) is None
    assert who(laptop) == "ann"
    assert [i.agent for i in site.devices()] == ["Laptop"]


def test_a_remembered_browser_comes_back_to_its_session(site: Site) -> None:
    client = site.browser("/in/ann?remember")
    client.get("/set/theme/dark")
    [before] = site.devices()
    restart(client)
    client.get("/set/cart/1")
    stolen = id_of(client)
    assert who(client) == "ann"
    thief = site.browser()
    thief.set_cookie("session", stolen)
    assert thief.get("/read").json["data"] == {}
    data = client.get("/read").json
    assert data["user"] == "ann"
    assert (data["data"]["theme"], data["data"]["cart"]) == ("dark", "1")
    [after] = site.devices()
    assert after.created == before.created


def test_it_comes_back_with_parallel_requests_to_one_session(site: Site) -> None:
    first = site.browser("/in/ann?remember")
    tabs = [site.browser() for _ in range(6)]
    for tab in tabs:
        tab.set_cookie(REMEMBER, remember_of(first) or "")
    assert [who(tab) for tab in tabs] == ["ann"] * 6
    assert len(site.devices()) == 1
    assert [who(tab) for tab in tabs] == ["ann"] * 6


def test_what_is_remembered_is_not_fresh_until_it_is_confirmed(site: Site) -> None:
    client = site.browser("/in/ann?remember")
    assert client.get("/fresh").text == "fresh"
    restart(client)
    assert who(client) == "ann"
    assert client.get("/fresh").status_code == 401
    before = id_of(client)
    client.get("/confirm")
    assert id_of(client) != before
    assert client.get("/fresh").text == "fresh"
    restart(client)
    assert who(client) == "ann"


def test_a_browser_is_remembered_for_as_long_as_the_cookie_says(make: Make) -> None:
    site = make(SESSION_IDLE_TIMEOUT=3600, SESSION_ABSOLUTE_TIMEOUT=7200)
    remembered = site.browser("/in/ann?remember")
    briefly = site.browser("/in/ann?remember&seconds=86400")
    plain = site.browser("/in/ann")
    site.clock.advance(minutes=61)
    assert who(plain) is None
    assert remembered.get("/fresh").status_code == 401
    remembered.get("/confirm")
    assert remembered.get("/fresh").text == "fresh"
    assert (who(remembered), who(briefly)) == ("ann", "ann")
    site.clock.advance(days=1)
    assert (who(remembered), who(briefly)) == ("ann", None)
    restart(remembered)
    site.clock.advance(days=300)
    assert who(remembered) == "ann"
    site.clock.advance(days=64)
    assert who(remembered) is None
    assert site.devices() == []


def test_a_sign_in_that_is_not_stored_sends_no_cookie(make: Make) -> None:
    site = make()

    @site.app.get("/fails")
    def fails() -> tuple[str, int]:
        flask_login.login_user(User("ann"), remember=True)
        return "sorry", 500

    client = site.browser()
    assert not client.get("/fails").headers.getlist("Set-Cookie")
    assert who(client) is None


def test_signing_in_again_leaves_the_browser_remembered(make: Make) -> None:
    site = make()
    client = site.browser("/in/ann?remember")
    client.get("/in/ann")
    restart(client)
    assert who(client) == "ann"
    assert len(site.devices()) == 1


def test_a_renewed_id_leaves_the_browser_remembered(make: Make) -> None:
    site = make(SESSION_RENEWAL_TIMEOUT=60)
    client = site.browser("/in/ann?remember")
    for _ in range(3):
        site.clock.advance(minutes=2)
        before = id_of(client)
        assert who(client) == "ann"
        assert id_of(client) != before
    restart(client)
    assert who(client) == "ann"


def test_a_remember_cookie_signs_no_request_of_an_api_in(make: Make) -> None:
    site = make(SESSION_BEARER=True)
    client = site.browser("/in/ann?remember")
    restart(client)
    headers = {"Authorization": "Bearer unknown"}
    assert client.get("/me", headers=headers).status_code == 401
    assert who(client) == "ann"


def test_a_confirmed_sign_in_counts_as_recent(make: Make) -> None:
    site = make()

    @site.app.get("/recent")
    @site.sessions.require_fresh(minutes=10)
    def recent() -> str:
        return "recent"

    client = site.browser("/in/ann")
    assert client.get("/recent").text == "recent"
    site.clock.advance(minutes=11)
    assert client.get("/recent").status_code == 401
    client.get("/confirm")
    assert client.get("/recent").text == "recent"


def test_another_user_finds_nothing_of_the_first(site: Site) -> None:
    client = site.browser("/in/ann?remember")
    remembered = remember_of(client)
    client.get("/set/private/1")
    client.get("/in/bob")
    assert who(client) == "bob"
    assert "private" not in client.get("/read").json["data"]
    assert site.devices("ann") == []
    assert len(site.devices("bob")) == 1
    restart(client)
    client.set_cookie(REMEMBER, remembered or "")
    assert who(client) is None


def test_a_maximum_of_devices_ends_the_remembered_ones_too(make: Make) -> None:
    site = make(SESSION_MAX_PER_USER=2)
    clients = []
    for agent in ("One", "Two", "Three"):
        site.clock.advance(minutes=5)
        clients.append(site.browser("/in/ann?remember", agent=agent))
    assert who(clients[0]) is None
    assert [who(c) for c in clients[1:]] == ["ann", "ann"]
    assert len(site.devices()) == 2


def test_a_changed_password_ends_the_other_devices(make: Make) -> None:
    site = make(SESSION_LOGIN_STAMP="password_hash")
    phone = site.browser("/in/ann?remember", agent="Phone")
    laptop = site.browser("/in/ann?remember", agent="Laptop")
    before = id_of(laptop)
    assert laptop.post("/password/two").text == "changed"
    assert id_of(laptop) != before
    assert who(laptop) == "ann"
    restart(phone)
    assert who(phone) is None
    assert remember_of(phone) is None
    assert [i.agent for i in site.devices()] == ["Laptop"]
    restart(laptop)
    assert who(laptop) == "ann"


def test_a_cookie_of_flask_login_alone_signs_nobody_in(make: Make) -> None:
    site = make()
    client = site.browser()
    with site.app.app_context():
        client.set_cookie(REMEMBER, flask_login.encode_cookie("ann"))
    assert who(client) is None
    assert remember_of(client) is None
    assert client.get_cookie("session") is None


def test_while_moving_in_it_is_taken_over(make: Make) -> None:
    site = make(SESSION_MOVE_FROM=["flask-login"])
    client = site.browser()
    with site.app.app_context():
        plain = flask_login.encode_cookie("ann")
        client.set_cookie(REMEMBER, plain)
    assert who(client) == "ann"
    assert remember_of(client) not in {plain, None}
    assert client.get("/fresh").status_code == 401
    assert len(site.devices()) == 1
    restart(client)
    assert who(client) == "ann"
    site.revoke_user()
    assert who(client) is None


def test_moving_in_signs_out_none_of_several_requests_at_once(make: Make) -> None:
    before = flask.Flask(__name__)
    add_login(before)
    old = before.test_client()
    old.get("/in/ann?remember")
    site = make(SESSION_MOVE_FROM=["flask", "flask-login"])
    site.app.secret_key = before.secret_key
    tabs = [site.browser() for _ in range(6)]
    for tab in tabs:
        tab.set_cookie("session", id_of(old))
        tab.set_cookie(REMEMBER, remember_of(old) or "")
    for _ in range(2):
        assert [who(tab) for tab in tabs] == ["ann"] * 6
    browser = tabs[-1]
    assert site.devices() == []
    # From the next sign-in on, it is listed and can be ended.
    browser.get("/confirm")
    assert len(site.devices()) == 1
    site.revoke_user()
    restart(browser)
    assert who(browser) is None


def test_a_session_that_was_moved_in_ends_by_a_logout(make: Make) -> None:
    before = flask.Flask(__name__)
    add_login(before)
    old = before.test_client()
    old.get("/in/ann")
    site = make(SESSION_MOVE_FROM=["flask"])
    site.app.secret_key = before.secret_key
    browser, other = site.browser(), site.browser()
    for client in (browser, other):
        client.set_cookie("session", id_of(old))
    assert who(browser) == "ann"
    browser.get("/out")
    assert (who(browser), who(other)) == (None, None)


@pytest.mark.parametrize("value", ["", "|", "ann|é", "ann|x", "A" * 77, "%00|%ff"])
@pytest.mark.parametrize("sources", [[], ["flask-login"]])
def test_a_cookie_of_another_s_making_is_no_error(
    make: Make, value: str, sources: list[str]
) -> None:
    client = make(SESSION_MOVE_FROM=sources).browser()
    client.set_cookie(REMEMBER, value)
    assert client.get("/me").status_code == 401


def test_what_flask_login_reports_is_as_ever(make: Make) -> None:
    site = make()
    client = site.browser("/in/ann?remember")
    assert client.get("/remembered").text == "True True"
    seen = []
    connect = flask_login.user_loaded_from_cookie.connect_via(site.app)
    keep = connect(lambda _app, user: seen.append(user.id))
    restart(client)
    assert client.get("/remembered").text == "True True"
    assert seen == ["ann"]
    assert keep
    assert site.browser("/in/ann").get("/remembered").text == "True False"


def test_without_this_extension_the_cookie_is_ignored(make: Make) -> None:
    site = make()
    value = remember_of(site.browser("/in/ann?remember"))
    plain = flask.Flask(__name__)
    add_login(plain)
    client = plain.test_client()
    client.set_cookie(REMEMBER, value or "")
    assert client.get("/me").status_code == 401


def test_the_cookie_has_the_attributes_that_flask_login_gives(make: Make) -> None:
    site = make(REMEMBER_COOKIE_SECURE=True, REMEMBER_COOKIE_PATH="/app")
    answer = site.browser().get("/in/ann?remember&seconds=60")
    [line] = [
        line
        for line in answer.headers.getlist("Set-Cookie")
        if line.startswith(REMEMBER)
    ]
    assert {"Secure", "HttpOnly", "Path=/app"} <= set(line.split("; "))
    assert "ann|" not in line


def test_a_cookie_that_each_request_refreshes_stays_good(make: Make) -> None:
    site = make(REMEMBER_COOKIE_REFRESH_EACH_REQUEST=True)
    client = site.browser("/in/ann?remember")
    first = remember_of(client)
    assert who(client) == "ann"
    assert remember_of(client) == first
    restart(client)
    assert who(client) == "ann"


def test_strong_protection_ends_the_session(make: Make) -> None:
    site = make(SESSION_PROTECTION="strong")
    client = site.browser("/in/ann?remember")
    thief = site.browser(agent="Another")
    thief.set_cookie("session", id_of(client))
    assert who(thief) is None
    assert site.devices() == []
    assert who(client) is None


def test_a_session_that_a_test_client_signs_in_is_bound(make: Make) -> None:
    site = make()
    site.app.test_client_class = flask_login.FlaskLoginClient
    with site.app.test_client(user=User("ann")) as client:
        assert who(client) == "ann"
    assert len(site.devices()) == 1


def test_an_outage_takes_no_remember_cookie_away(make: Make) -> None:
    site = make(SESSION_ON_OUTAGE="anonymous")
    client = site.browser("/in/ann?remember")
    restart(client)
    manager = site.sessions.state_of(site.app).manager
    store = manager.client.store

    class Down:
        def __getattr__(self, name: str) -> object:
            raise StoreUnavailable("down")

    manager.client.store = Down()  # type: ignore[assignment]
    assert who(client) is None
    manager.client.store = store
    assert remember_of(client) is not None
    assert who(client) == "ann"


def test_a_request_that_asks_for_no_user_makes_no_trip(make: Make) -> None:
    site = make()
    client = site.browser("/in/ann?remember")
    site.revoke_user()
    answer = client.get("/untouched")
    assert not answer.headers.getlist("Set-Cookie")
    assert remember_of(client) is not None


def test_it_can_be_left_alone(make: Make) -> None:
    site = make(SESSION_FOLLOW_LOGIN=False)
    client = site.browser("/in/ann?remember")
    assert who(client) == "ann"
    assert site.devices() == []


def test_the_manager_may_come_before_the_extension(tmp_path: object) -> None:
    app = flask.Flask(__name__)
    add_login(app)
    sessions = Sessions(app, store="memory://")
    client = app.test_client()
    client.get("/in/ann?remember")
    with app.app_context():
        assert len(sessions.for_user("ann")) == 1
        sessions.revoke_user("ann")
    assert who(client) is None
