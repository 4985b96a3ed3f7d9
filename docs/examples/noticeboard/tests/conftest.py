from __future__ import annotations

import collections.abc as cabc
from pathlib import Path

import flask
import pytest
from flask.testing import FlaskClient

from flaskware_core.testing import serving
from noticeboard import create_app
from noticeboard.extensions import alembic
from noticeboard.seed import PASSWORD
from noticeboard.seed import seed
from noticeboard.walkthrough import hidden_fields


@pytest.fixture
def app(tmp_path: Path) -> flask.Flask:
    """A board of its own, with its migrations applied and seeded."""
    app = create_app(instance_path=str(tmp_path), TESTING=True)
    with app.app_context():
        alembic.upgrade()
        seed()
    return app


@pytest.fixture
def client(app: flask.Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def ada(client: FlaskClient) -> FlaskClient:
    """A client on which Ada is signed in."""
    post(client, "/sign-in", email="ada@example.org", password=PASSWORD)
    return client


def post(client: FlaskClient, path: str, page: str | None = None, **fields: object):
    """Send the form on a page, with what the page has in hidden fields."""
    hidden = hidden_fields(client.get(page or path).text)
    return client.post(path, data={**hidden, **fields})


@pytest.fixture(name="post")
def post_fixture() -> cabc.Callable[..., object]:
    return post


@pytest.fixture
def served(app: flask.Flask) -> cabc.Iterator[str]:
    """The address at which the board is really served."""
    with serving(app) as address:
        yield address
