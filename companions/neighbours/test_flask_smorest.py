"""flask-smorest: its blueprints with the family, and Swagger UI under the policy."""

from __future__ import annotations

import family
import flask_smorest
import marshmallow as ma
import pytest
import sqlalchemy as sa
from cdn import browser_with
from swagger import assert_tries

SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
CONFIG = {
    "API_TITLE": "Names",
    "API_VERSION": "1",
    "OPENAPI_VERSION": "3.0.3",
    "OPENAPI_URL_PREFIX": "/",
    "OPENAPI_SWAGGER_UI_PATH": "/docs",
    "OPENAPI_SWAGGER_UI_URL": "https://cdn.jsdelivr.net/npm/swagger-ui-dist/",
}


class Name(ma.Schema):
    name = ma.fields.String(required=True)


@pytest.fixture
def made(tmp_path):
    app, extensions = family.create_app(
        tmp_path, SECURE_NONCES_BELOW=["/docs"], **CONFIG
    )
    db = extensions.db
    users = flask_smorest.Blueprint("users", __name__)

    @users.get("/users")
    @users.response(200, Name(many=True))
    def found():
        return db.session.scalars(sa.select(family.User)).all()

    @users.post("/users")
    @users.arguments(Name)
    @users.response(201, Name)
    def add(data):
        with db.transaction() as session:
            session.add(user := family.User(name=data["name"]))
        return user

    flask_smorest.Api(app).register_blueprint(users)
    return app, extensions


def test_a_checked_body_is_written_and_answered(client):
    data = {"name": "Ann"}
    answer = client.post("/users", json=data, headers=SAME_ORIGIN)
    assert (answer.status_code, answer.json) == (201, data)
    assert client.get("/users").json == [data]
    assert client.post("/users", json={}, headers=SAME_ORIGIN).status_code == 422


def test_another_site_posts_nothing(client):
    headers = {"Sec-Fetch-Site": "cross-site"}
    assert client.post("/users", json={"name": "x"}, headers=headers).status_code == 403
    assert client.get("/users").json == []


def test_chromium_tries_an_operation_on_its_page(app, client, tmp_path):
    client.post("/users", json={"name": "Ann"}, headers=SAME_ORIGIN)
    with browser_with(tmp_path, "swagger-ui-dist@5") as driver:
        assert_tries(driver, app, "/docs", '"Ann"')
