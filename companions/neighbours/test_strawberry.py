"""Strawberry: its view with the family, and its GraphiQL under the policy."""

from __future__ import annotations

import family
import pytest
import sqlalchemy as sa
import strawberry
from browser import violations
from cdn import browser_with
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait
from strawberry.flask.views import GraphQLView

from flaskware_core.testing import serving

ADD = {"query": 'mutation { add(name: "Ann") }'}
# The versions that its page names, with a hash of each.
PACKAGES = (
    *("react@18.2.0", "react-dom@18.2.0", "js-cookie@3.0.5", "graphiql@3.8.3"),
    "@graphiql/plugin-explorer@1.0.2",
)


@pytest.fixture
def made(tmp_path):
    app, extensions = family.create_app(tmp_path, SECURE_NONCES_BELOW=["/graphql"])
    db = extensions.db

    @strawberry.type
    class Query:
        @strawberry.field
        def names(self) -> list[str]:
            return list(db.session.scalars(sa.select(family.User.name)))

    @strawberry.type
    class Mutation:
        @strawberry.mutation
        def add(self, name: str) -> bool:
            with db.transaction() as session:
                session.add(family.User(name=name))
            return True

    schema = strawberry.Schema(Query, Mutation)
    view = GraphQLView.as_view("graphql", schema=schema)
    app.add_url_rule("/graphql", view_func=view)
    return app, extensions


def test_a_mutation_writes_and_a_query_reads(client):
    headers = {"Sec-Fetch-Site": "same-origin"}
    assert client.post("/graphql", json=ADD, headers=headers).json["data"]["add"]
    found = client.get("/graphql?query={names}", headers={"Accept": "application/json"})
    assert found.json["data"] == {"names": ["Ann"]}


def test_another_site_writes_nothing(client):
    headers = {"Sec-Fetch-Site": "cross-site"}
    assert client.post("/graphql", json=ADD, headers=headers).status_code == 403
    assert client.get("/names").json["names"] == []


def test_chromium_asks_by_its_page(app, client, tmp_path):
    client.post("/graphql", json=ADD, headers={"Sec-Fetch-Site": "same-origin"})
    with browser_with(tmp_path, *PACKAGES) as driver, serving(app) as address:
        driver.get(f"{address}/graphql?q={{names}}")
        wait = WebDriverWait(driver, 120)
        button = ".graphiql-execute-button"
        wait.until(lambda _: driver.find_elements(By.CSS_SELECTOR, button))
        driver.find_element(By.CSS_SELECTOR, button).click()
        answer = ".result-window"
        wait.until(lambda _: "Ann" in driver.find_element(By.CSS_SELECTOR, answer).text)
        blocked = violations(driver)
    assert blocked == []
