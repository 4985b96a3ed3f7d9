"""Ariadne: a schema with the family, and its playground under the policy."""

from __future__ import annotations

import ariadne
import family
import flask
import pytest
import sqlalchemy as sa
from ariadne.explorer import ExplorerPlayground
from browser import violations
from cdn import browser_with
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from flaskware_core.testing import serving

SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
ADD = {"query": 'mutation { add(name: "Ann") }'}
TYPES = """
type Query { names: [String!]! }
type Mutation { add(name: String!): Boolean! }
"""


@pytest.fixture
def made(tmp_path):
    app, extensions = family.create_app(tmp_path, SECURE_NONCES_BELOW=["/graphql"])
    db = extensions.db
    query, mutation = ariadne.QueryType(), ariadne.MutationType()

    @query.field("names")
    def names(*_):
        return list(db.session.scalars(sa.select(family.User.name)))

    @mutation.field("add")
    def add(*_, name):
        with db.transaction() as session:
            session.add(family.User(name=name))
        return True

    schema = ariadne.make_executable_schema(TYPES, query, mutation)
    page = ExplorerPlayground()

    @app.get("/graphql")
    def explorer():
        return page.html(None)

    @app.post("/graphql")
    def graphql():
        data = flask.request.get_json()
        done, result = ariadne.graphql_sync(
            schema, data, context_value={"request": flask.request}
        )
        return result, 200 if done else 400

    return app, extensions


def test_a_mutation_writes_and_a_query_reads(client):
    added = client.post("/graphql", json=ADD, headers=SAME_ORIGIN)
    assert added.json["data"] == {"add": True}
    found = client.post("/graphql", json={"query": "{names}"}, headers=SAME_ORIGIN)
    assert found.json["data"] == {"names": ["Ann"]}


def test_another_site_writes_nothing(client):
    headers = {"Sec-Fetch-Site": "cross-site"}
    assert client.post("/graphql", json=ADD, headers=headers).status_code == 403
    assert client.get("/names").json["names"] == []


def test_chromium_asks_by_its_page(app, client, tmp_path):
    client.post("/graphql", json=ADD, headers=SAME_ORIGIN)
    package = "graphql-playground-react@1.7.28"
    served = serving(app, certificate="adhoc")  # its files have the scheme of the page
    with browser_with(tmp_path, package) as driver, served as address:
        driver.get(f"{address}/graphql")
        wait = WebDriverWait(driver, 120)
        button = "[title^='Execute Query']"
        wait.until(lambda _: driver.find_elements(By.CSS_SELECTOR, button))
        script = "document.querySelector('.CodeMirror').CodeMirror.setValue('{names}')"
        driver.execute_script(script)
        driver.find_element(By.CSS_SELECTOR, button).click()
        wait.until(lambda _: "Ann" in driver.find_element(By.TAG_NAME, "body").text)
        blocked = violations(driver)
    assert blocked == []
