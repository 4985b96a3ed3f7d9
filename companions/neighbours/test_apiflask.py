"""APIFlask: its app with the family, and its Swagger UI under the policy."""

from __future__ import annotations

import apiflask
import family
import marshmallow as ma
import pytest
import sqlalchemy as sa
from cdn import browser_with
from swagger import assert_tries

SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}


class Name(ma.Schema):
    name = ma.fields.String(required=True)


@pytest.fixture
def made(tmp_path):
    app, extensions = family.create_app(
        tmp_path,
        kind=apiflask.APIFlask,
        SECURE_NONCES_BELOW=["/docs"],
        DOCS_FAVICON="data:,",
    )
    db = extensions.db

    @app.get("/users")
    def users():
        return {"found": list(db.session.scalars(sa.select(family.User.name)))}

    @app.post("/users")
    @app.input(Name)
    @app.output(Name, status_code=201)
    def add_user(json_data):
        with db.transaction() as session:
            session.add(user := family.User(name=json_data["name"]))
        return user

    return app, extensions


def test_a_checked_body_is_written_and_answered(client):
    data = {"name": "Ann"}
    answer = client.post("/users", json=data, headers=SAME_ORIGIN)
    assert (answer.status_code, answer.json) == (201, data)
    assert client.get("/users").json == {"found": ["Ann"]}
    assert client.post("/users", json={}, headers=SAME_ORIGIN).status_code == 422


def test_another_site_posts_nothing(client):
    headers = {"Sec-Fetch-Site": "cross-site"}
    assert client.post("/users", json={"name": "x"}, headers=headers).status_code == 403
    assert client.get("/users").json == {"found": []}


def test_chromium_tries_an_operation_on_its_page(app, client, tmp_path):
    client.post("/users", json={"name": "Ann"}, headers=SAME_ORIGIN)
    with browser_with(tmp_path, "swagger-ui-dist@5") as driver:
        assert_tries(driver, app, "/docs", '"Ann"')
