"""Flask-Security: registration, sign-in and its users on `db`."""

from __future__ import annotations

import re

import family
import flask_security
import pytest
from flask_security.models import fsqla_v3 as models
from sqlalchemy.orm import DeclarativeBase

from flaskware_sqlalchemy import Model
from flaskware_sqlalchemy import SQLAlchemy

PASSWORD = "correct horse battery staple"
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
CONFIG = {
    "SECURITY_PASSWORD_SALT": "a salt of some length",
    "SECURITY_REGISTERABLE": True,
    "SECURITY_CHANGEABLE": True,
    "SECURITY_SEND_REGISTER_EMAIL": False,
    "SECURITY_SEND_PASSWORD_CHANGE_EMAIL": False,
    "SECURITY_EMAIL_VALIDATOR_ARGS": {"check_deliverability": False},
}


@pytest.fixture
def made(tmp_path):
    class Base(Model, DeclarativeBase):
        pass

    db = SQLAlchemy(model_class=Base)
    models.FsModels.set_db_info(db)

    class Role(db.Model, models.FsRoleMixin):
        pass

    class User(db.Model, models.FsUserMixin):
        pass

    extensions = family.make_family(db)
    app, _ = family.create_app(tmp_path, extensions, **CONFIG)
    store = flask_security.SQLAlchemyUserDatastore(db, User, Role)
    flask_security.Security(app, store)

    @app.get("/me")
    @flask_security.auth_required("session")
    def me():
        return {"email": flask_security.current_user.email}

    return app, extensions


def register(client, email="ann@example.org"):
    """Register by the page, as a browser without Fetch Metadata does."""
    page = client.get("/register").text
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)[1]
    data = {"email": email, "password": PASSWORD, "password_confirm": PASSWORD}
    return client.post("/register", data={**data, "csrf_token": token})


def test_a_page_registers_signs_in_and_changes_a_password(made):
    app, _ = made
    client = app.test_client()
    assert register(client).status_code == 302
    assert client.get("/me").json == {"email": "ann@example.org"}
    other = app.test_client()
    login = {"email": "ann@example.org", "password": PASSWORD}
    other.post("/login", data=login, headers=SAME_ORIGIN)
    assert other.get("/me").status_code == 200
    new = f"{PASSWORD} again"
    answer = client.post(
        "/change",
        data={"password": PASSWORD, "new_password": new, "new_password_confirm": new},
        headers=SAME_ORIGIN,
    )
    assert answer.status_code == 302
    assert client.get("/me").status_code == 200
    assert other.get("/me").status_code != 200


def test_its_sign_ins_are_listed_and_revoked_by_the_users_id(made):
    app, extensions = made
    client = app.test_client()
    register(client)
    with app.app_context():
        assert len(extensions.sessions.for_user("1")) == 1
        extensions.sessions.revoke_user("1")
    assert client.get("/me").status_code != 200


def test_another_site_signs_nobody_in(made):
    app, _ = made
    headers = {"Sec-Fetch-Site": "cross-site"}
    answer = app.test_client().post("/login", data={}, headers=headers)
    assert answer.status_code == 403
