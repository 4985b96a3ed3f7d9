"""Flask-Login: its sign-ins are sessions on the server, listed and ended there."""

from __future__ import annotations

import family
import flask_login
import pytest

SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}


class Person(flask_login.UserMixin):
    def __init__(self, id):
        self.id = id


@pytest.fixture
def made(tmp_path):
    manager = flask_login.LoginManager()
    app, extensions = family.create_app(tmp_path, before=manager.init_app)
    manager.user_loader(Person)

    @app.post("/in/<id>")
    def log_in(id):
        flask_login.login_user(Person(id))
        return {}

    @app.post("/out")
    def log_out():
        flask_login.logout_user()
        return {}

    @app.get("/me")
    @flask_login.login_required
    def me():
        return {"id": flask_login.current_user.id}

    return app, extensions


def test_a_sign_in_gets_a_new_id_and_is_listed(made):
    app, extensions = made
    client = app.test_client()
    client.get("/page")
    before = client.get_cookie("session").value
    client.post("/in/7", headers=SAME_ORIGIN)
    assert client.get_cookie("session").value != before
    assert client.get("/me").json == {"id": "7"}
    with app.app_context():
        assert len(extensions.sessions.for_user("7")) == 1


def test_what_is_revoked_is_signed_out(made):
    app, extensions = made
    client = app.test_client()
    client.post("/in/7", headers=SAME_ORIGIN)
    with app.app_context():
        extensions.sessions.revoke_user("7")
    assert client.get("/me").status_code == 401


def test_a_sign_out_ends_the_session_on_the_server(made):
    app, _ = made
    client = app.test_client()
    client.post("/in/7", headers=SAME_ORIGIN)
    stolen = client.get_cookie("session").value
    client.post("/out", headers=SAME_ORIGIN)
    thief = app.test_client()
    thief.set_cookie("session", stolen)
    assert thief.get("/me").status_code == 401


def test_another_site_signs_nobody_in(made):
    app, _ = made
    headers = {"Sec-Fetch-Site": "cross-site"}
    assert app.test_client().post("/in/7", headers=headers).status_code == 403
