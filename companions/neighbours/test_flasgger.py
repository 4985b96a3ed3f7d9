"""flasgger: documentation from docstrings, and its Swagger UI under the policy."""

from __future__ import annotations

import family
import flasgger
import flask
import pytest
import sqlalchemy as sa
from cdn import browser_with
from swagger import assert_tries

SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
# A view of a form has an attribute `methods`, as one of a class has: flasgger stops.
CONFIG = {
    "auth": {},
    "specs": [
        {
            "endpoint": "apispec",
            "route": "/apispec.json",
            "rule_filter": lambda rule: rule.rule.startswith("/users"),
        }
    ],
}


@pytest.fixture
def made(tmp_path):
    app, extensions = family.create_app(tmp_path, SECURE_NONCES_BELOW=["/apidocs/"])
    flasgger.Swagger(app, config=CONFIG, merge=True)
    db = extensions.db

    @app.get("/users")
    def users():
        """List the users.
        ---
        responses:
          200:
            description: the name of each
        """
        return {"found": list(db.session.scalars(sa.select(family.User.name)))}

    @app.post("/users")
    @flasgger.swag_from({"responses": {201: {"description": "it is added"}}})
    def add_user():
        with db.transaction() as session:
            session.add(family.User(name=flask.request.json["name"]))
        return {}, 201

    return app, extensions


def test_its_document_has_the_operations(client):
    assert set(client.get("/apispec.json").json["paths"]["/users"]) == {"get", "post"}


def test_another_site_posts_nothing(client):
    data, elsewhere = {"name": "Ann"}, {"Sec-Fetch-Site": "cross-site"}
    assert client.post("/users", json=data, headers=elsewhere).status_code == 403
    assert client.post("/users", json=data, headers=SAME_ORIGIN).status_code == 201
    assert client.get("/users").json == {"found": ["Ann"]}


def test_chromium_tries_an_operation_on_its_page(app, client, tmp_path):
    client.post("/users", json={"name": "Ann"}, headers=SAME_ORIGIN)
    with browser_with(tmp_path) as driver:
        assert_tries(driver, app, "/apidocs/", '"Ann"')
