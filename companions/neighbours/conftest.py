from __future__ import annotations

import importlib
import sys

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


@pytest.fixture
def queue(request, tmp_path, redis_url, monkeypatch):
    """The module ``jobs_NAME`` for a test module ``test_NAME``, on an empty Redis."""
    monkeypatch.setenv("NEIGHBOUR_FOLDER", str(tmp_path))
    monkeypatch.setenv("NEIGHBOUR_REDIS", redis_url)
    name = request.module.__name__.rpartition(".")[2].replace("test_", "jobs_")
    yield importlib.import_module(name)
    for module in (name, "jobs"):
        del sys.modules[module]
