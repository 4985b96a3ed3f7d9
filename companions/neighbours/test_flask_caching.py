"""Flask-Caching: no visitor gets the nonce, the token or the session of another."""

from __future__ import annotations

import family
import flask
import pytest
import sqlalchemy as sa
from browser import chromium
from browser import violations
from flask_caching import Cache

from flaskware_core.testing import serving
from flaskware_secure.testing import assert_nonces
from flaskware_secure.testing import nonce_of

SCRIPT = """<!doctype html><title>x</title>
<script nonce="{{ csp_nonce() }}">document.title = "ran"</script>"""
FRAGMENT = """<!doctype html><title>x</title>{% cache 60, "part" %}
<script nonce="{{ csp_nonce() }}">document.title = "ran"</script>{% endcache %}"""
FORM = """{% cache 60, "form" %}{{ form.render() }}{% endcache %}"""


@pytest.fixture(params=["SimpleCache", "FileSystemCache"])
def app(request, tmp_path):
    folder = str(tmp_path / "cache")
    cache = Cache(config={"CACHE_TYPE": request.param, "CACHE_DIR": folder})
    app, (db, *_) = family.create_app(tmp_path, before=cache.init_app)
    app.counted = []

    @app.get("/count")
    @cache.cached(60)
    def count():
        app.counted.append(1)
        return {"names": db.session.scalar(sa.select(sa.func.count(family.User.id)))}

    @app.get("/whole")
    @cache.cached(60)
    def whole():
        return flask.render_template_string(SCRIPT)

    @app.get("/part")
    def part():
        return flask.render_template_string(FRAGMENT)

    @app.get("/form")
    @family.name_form.handles
    def form(form):
        return flask.render_template_string(FORM, form=form)

    return app


def test_a_page_without_secrets_is_kept(app):
    for _ in range(3):
        assert app.test_client().get("/count").json == {"names": 0}
    assert app.counted == [1]


@pytest.mark.parametrize("path", ["/whole", "/part"])
def test_each_visitor_has_a_nonce_of_their_own(app, path):
    pages = [app.test_client().get(path) for _ in range(3)]
    for page in pages:
        assert_nonces(page)
    assert len({nonce_of(page) for page in pages}) == 3


def test_the_form_of_each_visitor_is_taken(app):
    visitors = [app.test_client() for _ in range(2)]
    for number, visitor in enumerate(visitors):
        page = visitor.get("/form").text
        token = page.split('name="csrf_token" value="')[1].partition('"')[0]
        data = {"name": f"user {number}", "csrf_token": token}
        assert visitor.post("/page", data=data).status_code == 303
    names = app.test_client().get("/names").json["names"]
    assert names == ["user 0", "user 1"]


def test_chromium_runs_the_scripts_at_each_visit(app):
    with serving(app) as address, chromium() as driver:
        for path in ("/whole", "/part") * 2:
            driver.get(address + path)
            assert driver.title == "ran"
        assert violations(driver) == []
