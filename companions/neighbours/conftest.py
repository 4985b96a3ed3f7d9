from __future__ import annotations

import family
import pytest


@pytest.fixture
def made(tmp_path):
    """An app with the whole family, and its extensions."""
    return family.create_app(tmp_path)


@pytest.fixture
def app(made):
    return made[0]


@pytest.fixture
def client(app):
    return app.test_client()
