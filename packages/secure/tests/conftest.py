from __future__ import annotations

import collections.abc as cabc
import sys
from pathlib import Path

import flask
import pytest

from flaskware_core.testing import make_app
from flaskware_core.testing import rendered
from flaskware_secure import SecureHeaders

sys.path.insert(0, str(Path(__file__).parent))

from secure_scanners import make_certificate

PAGE = '<!doctype html><script nonce="{{ csp_nonce() }}">go()</script>'


@pytest.fixture
def secure() -> SecureHeaders:
    return SecureHeaders()


@pytest.fixture
def app(secure: SecureHeaders) -> flask.Flask:
    """An app with a page that uses a nonce and one that does not."""
    app = make_app(secure)
    app.add_url_rule("/plain", "plain", lambda: "plain")
    app.add_url_rule("/page", "page", lambda: rendered(PAGE))
    app.add_url_rule("/post", "post", lambda: "taken", methods=["POST"])
    return app


@pytest.fixture
def live_app() -> cabc.Callable[..., flask.Flask]:
    """Make an app as it runs in production: neither testing nor debugging."""

    def make(*extensions: SecureHeaders, **config: object) -> flask.Flask:
        app = make_app(
            *(extensions or (SecureHeaders(),)), **{"TESTING": False, **config}
        )
        app.add_url_rule("/", "index", lambda: "served", methods=["GET", "POST"])
        app.add_url_rule("/healthz", "health", lambda: "ok")
        return app

    return make


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[str, str]:
    """The files of a certificate for this machine, and of its key."""
    return make_certificate(tmp_path)
