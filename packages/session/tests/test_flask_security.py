"""Flask-Security beside the extension, in an app that knows nothing of it."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import typing as t

import flask
import flask_security
import pytest
from flask.testing import FlaskClient
from flask_security.models import fsqla_v3
from flask_sqlalchemy import SQLAlchemy

from flaskware_session import SessionInfo
from flaskware_session import Sessions

pytestmark = pytest.mark.flask_only("Flask-Security knows Flask alone")

Build = cabc.Callable[..., flask.Flask]
PASSWORD = "correct horse battery"
OTHER = "staple horse battery"
REMEMBER = "remember_token"
CONFIG: dict[str, object] = {
    "SECURITY_PASSWORD_SALT": "a salt of some length",
    "SECURITY_PASSWORD_HASH": "plaintext",
    "SECURITY_PASSWORD_SCHEMES": ["plaintext"],
    "SECURITY_PASSWORD_SINGLE_HASH": True,
    "SECURITY_CHANGEABLE": True,
    "SECURITY_REGISTERABLE": True,
    "SECURITY_RECOVERABLE": True,
    "SECURITY_SEND_REGISTER_EMAIL": False,
    "SECURITY_SEND_PASSWORD_CHANGE_EMAIL": False,
    "SECURITY_EMAIL_VALIDATOR_ARGS": {"check_deliverability": False},
    "SQLALCHEMY_DATABASE_URI": "sqlite://",
    "WTF_CSRF_ENABLED": False,
}


@dc.dataclass
class Site:
    app: flask.Flask
    sessions: Sessions
    datastore: t.Any

    def browser(self, name: str = "ann", agent: str = "Browser") -> FlaskClient:
        client = self.app.test_client()
        client.environ_base["HTTP_USER_AGENT"] = agent
        answer = client.post(
            "/login",
            json={"email": f"{name}@example.org", "password": PASSWORD}
            | {"remember": True},
        )
        assert answer.status_code == 200, answer.json
        return client

    def id(self, name: str = "ann") -> str:
        with self.app.app_context():
            return str(self.datastore.find_user(email=f"{name}@example.org").id)

    def devices(self, name: str = "ann") -> list[SessionInfo]:
        with self.app.app_context():
            return self.sessions.for_user(self.id(name))


@pytest.fixture
def site(build: Build) -> cabc.Iterator[Site]:
    sessions = Sessions(store="memory://")
    app = build(sessions, **CONFIG)
    db: t.Any = SQLAlchemy(app)
    fsqla_v3.FsModels.set_db_info(db)
    role = type("Role", (db.Model, fsqla_v3.FsRoleMixin), {})
    user = type("User", (db.Model, fsqla_v3.FsUserMixin), {})
    datastore = flask_security.SQLAlchemyUserDatastore(db, user, role)
    flask_security.Security(app, datastore)

    @app.get("/me")
    @flask_security.auth_required("session")
    def me() -> str:
        return str(flask_security.current_user.email)

    @app.get("/reset-ann")
    def reset() -> str:
        user = datastore.find_user(email="ann@example.org")
        flask_security.admin_change_password(user, OTHER)
        datastore.commit()
        return "ok"

    with app.app_context():
        db.create_all()
        for name in ("ann", "bob"):
            hashed = flask_security.hash_password(PASSWORD)
            datastore.create_user(email=f"{name}@example.org", password=hashed)
        db.session.commit()
    yield Site(app, sessions, datastore)
    with app.app_context():
        db.engine.dispose()


def who(client: FlaskClient) -> str | None:
    answer = client.get("/me", headers={"Accept": "application/json"})
    return answer.text.partition("@")[0] if answer.status_code == 200 else None


def cookie(client: FlaskClient, name: str) -> str | None:
    found = client.get_cookie(name)
    return None if found is None else found.value


def restart(client: FlaskClient) -> None:
    client.delete_cookie("session")


def change_password(client: FlaskClient) -> None:
    new = {"new_password": OTHER, "new_password_confirm": OTHER}
    answer = client.post("/change", json={"password": PASSWORD} | new)
    assert answer.status_code == 200, answer.json


def test_a_sign_in_refuses_an_id_that_was_there_before(site: Site) -> None:
    victim = site.app.test_client()
    victim.get("/set/cart/1")
    before = cookie(victim, "session")
    login = {"email": "ann@example.org", "password": PASSWORD}
    victim.post("/login", json=login)
    thief = site.app.test_client()
    thief.set_cookie("session", before or "")
    assert (who(victim), who(thief)) == ("ann", None)


def test_devices_are_listed_by_the_id_that_stays(site: Site) -> None:
    site.browser(agent="Phone")
    site.browser(agent="Laptop")
    assert {info.agent for info in site.devices()} == {"Phone", "Laptop"}


def test_a_revocation_ends_both_devices_and_what_remembers_them(site: Site) -> None:
    clients = [site.browser(), site.browser()]
    with site.app.app_context():
        assert site.sessions.revoke_user(site.id()) == 2
    for client in clients:
        assert who(client) is None
        assert cookie(client, REMEMBER) is None


def test_one_device_can_be_ended(site: Site) -> None:
    phone, laptop = site.browser(agent="Phone"), site.browser(agent="Laptop")
    [handle] = [i.handle for i in site.devices() if i.agent == "Phone"]
    with site.app.app_context():
        assert site.sessions.revoke(handle, user_id=site.id())
    for client in (phone, laptop):
        restart(client)
    assert (who(phone), who(laptop)) == (None, "ann")


def test_logout_ends_one_device_and_leaves_the_other(site: Site) -> None:
    phone, laptop = site.browser(agent="Phone"), site.browser(agent="Laptop")
    kept = cookie(phone, REMEMBER)
    phone.post("/logout")
    assert cookie(phone, REMEMBER) is None
    assert who(phone) is None
    phone.set_cookie(REMEMBER, kept or "")
    assert (who(phone), who(laptop)) == (None, "ann")
    assert [i.agent for i in site.devices()] == ["Laptop"]


def test_a_changed_password_ends_the_other_devices(site: Site) -> None:
    phone, laptop = site.browser(agent="Phone"), site.browser(agent="Laptop")
    kept, before = cookie(phone, REMEMBER), cookie(laptop, "session")
    change_password(laptop)
    assert cookie(laptop, "session") != before
    assert [i.agent for i in site.devices()] == ["Laptop"]
    assert (who(phone), who(laptop)) == (None, "ann")
    phone.set_cookie(REMEMBER, kept or "")
    assert who(phone) is None
    restart(laptop)
    assert who(laptop) == "ann"


def test_a_password_set_by_an_administrator_ends_them_all(site: Site) -> None:
    ann, bob = site.browser("ann"), site.browser("bob")

    assert bob.get("/reset-ann").text == "ok"
    assert (who(ann), who(bob)) == (None, "bob")
    assert site.devices("ann") == []


def test_a_forgotten_password_that_is_reset_ends_them_all(site: Site) -> None:
    client = site.browser()
    tokens: list[str] = []
    signal = flask_security.reset_password_instructions_sent
    keep = signal.connect_via(site.app)(lambda _app, token, **_: tokens.append(token))
    stranger = site.app.test_client()
    site.app.extensions["security"].mail_util.send_mail = lambda *_, **__: None
    stranger.post("/reset", json={"email": "ann@example.org"})
    answer = stranger.post(
        f"/reset/{tokens[0]}", json={"password": OTHER, "password_confirm": OTHER}
    )
    assert answer.status_code == 200, answer.json
    assert keep
    assert who(client) is None
    assert site.devices() == []


def test_a_user_who_was_deactivated_is_out_at_once(site: Site) -> None:
    client = site.browser()
    with site.app.app_context():
        user = site.datastore.find_user(email="ann@example.org")
        site.datastore.deactivate_user(user)
        site.datastore.commit()
    assert who(client) is None
    restart(client)
    assert who(client) is None


def test_a_password_asked_again_gives_a_new_id(site: Site) -> None:
    client = site.browser()
    before = cookie(client, "session")
    answer = client.post("/verify", json={"password": PASSWORD})
    assert answer.status_code == 200, answer.json
    assert cookie(client, "session") != before
    assert who(client) == "ann"


def test_another_user_finds_nothing_of_the_first(site: Site) -> None:
    client = site.browser()
    client.get("/set/private/1")
    client.post("/logout")
    login = {"email": "bob@example.org", "password": PASSWORD}
    client.post("/login", json=login)
    assert who(client) == "bob"
    assert "private" not in client.get("/read").json["data"]
    assert (len(site.devices("ann")), len(site.devices("bob"))) == (0, 1)


def test_who_registers_is_listed_by_the_id_that_the_database_gives(site: Site) -> None:
    clients = []
    for name in ("eve", "fay"):
        client = site.app.test_client()
        person = {"email": f"{name}@example.org", "password": PASSWORD}
        answer = client.post("/register", json=person | {"password_confirm": PASSWORD})
        assert answer.status_code == 200, answer.json
        clients.append(client)
        assert [info.user_id for info in site.devices(name)] == [site.id(name)]
    with site.app.app_context():
        assert site.sessions.revoke_user(site.id("eve")) == 1
    assert [who(client) for client in clients] == [None, "fay"]


def test_a_user_who_has_no_id_is_not_signed_in(site: Site) -> None:
    def sign_in() -> str:
        flask_security.login_user(site.datastore.user_model(active=True))
        return "in"

    site.app.add_url_rule("/nobody", "nobody", sign_in)
    with pytest.raises(RuntimeError, match="has no 'id' yet"):
        site.app.test_client().get("/nobody")
