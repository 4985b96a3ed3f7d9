"""Flask-DebugToolbar: its panels open, and that of SQLAlchemy has the queries."""

from __future__ import annotations

import family
import flask
import pytest
import sqlalchemy as sa
from browser import chromium
from browser import violations
from flask_debugtoolbar import DebugToolbarExtension
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from flaskware_core.testing import serving

PAGE = "<!doctype html><title>Users</title><body>{{ users | length }} users</body>"


@pytest.fixture(params=["initialised first", "initialised last"])
def app(request, tmp_path):
    is_first = request.param == "initialised first"
    app, (db, *_) = family.create_app(
        tmp_path,
        before=DebugToolbarExtension if is_first else None,
        DEBUG=True,
        DEBUG_TB_ENABLED=True,
        DEBUG_TB_INTERCEPT_REDIRECTS=False,
        SECURE_NONCES_BELOW=["/"],
    )
    if not is_first:
        DebugToolbarExtension(app)

    @app.get("/users")
    def users():
        found = db.session.scalars(sa.select(family.User).where(family.User.id > 6))
        return flask.render_template_string(PAGE, users=found.all())

    return app


def test_the_panel_of_sqlalchemy_has_each_query_with_its_line(client):
    client.get("/users")  # the first request of a debugged app asks for migrations
    text = client.get("/users").text
    assert "1 query in " in text
    assert "test_flask_debugtoolbar.py:" in text
    assert "No queries" not in text


def test_a_form_is_sent_beside_it(client):
    page = client.get("/page").text
    token = page.split('name="csrf_token" value="')[1].partition('"')[0]
    data = {"name": "Ann", "csrf_token": token}
    assert client.post("/page", data=data).status_code == 303
    assert client.get("/names").json["names"] == ["Ann"]


def test_chromium_opens_the_panel_and_blocks_nothing(app):
    with serving(app) as address, chromium() as driver:
        driver.get(f"{address}/users")
        wait = WebDriverWait(driver, 60)
        wait.until(lambda _: driver.execute_script("return !!window.fldt"))
        script = "document.querySelector('a.flDebugSQLAlchemyPanel').click()"
        driver.execute_script(script)
        panel = driver.find_element(By.ID, "flDebugSQLAlchemyPanel-content")
        wait.until(lambda _: "FROM" in panel.text)
        assert violations(driver) == []
