"""Flask-RESTX: its resources, and its Swagger UI under the policy."""

from __future__ import annotations

import family
import flask_restx
import pytest
import sqlalchemy as sa
from browser import chromium
from swagger import assert_tries

SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def made(tmp_path):
    app, extensions = family.create_app(tmp_path, SECURE_NONCES_BELOW=["/docs"])
    api = flask_restx.Api(app, doc="/docs")
    db = extensions.db

    @api.route("/users")
    class Users(flask_restx.Resource):
        def get(self):
            return {"found": list(db.session.scalars(sa.select(family.User.name)))}

        def post(self):
            with db.transaction() as session:
                session.add(family.User(name="Ann"))
            return {}, 201

    return app, extensions


def test_a_resource_reads_and_writes(client):
    assert client.post("/users", headers=SAME_ORIGIN).status_code == 201
    assert client.get("/users").json == {"found": ["Ann"]}


def test_another_site_posts_nothing(client):
    headers = {"Sec-Fetch-Site": "cross-site"}
    assert client.post("/users", headers=headers).status_code == 403
    assert client.get("/users").json == {"found": []}


def test_chromium_tries_an_operation_on_its_page(app, client):
    client.post("/users", headers=SAME_ORIGIN)
    with chromium() as driver:
        assert_tries(driver, app, "/docs", '"Ann"')
