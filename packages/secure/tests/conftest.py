from __future__ import annotations

import collections.abc as cabc
import json
import shutil
import subprocess
import typing as t
from pathlib import Path

import flask
import pytest

from flaskware_core.testing import make_app
from flaskware_core.testing import node_modules
from flaskware_secure import SecureHeaders

PAGE = '<!doctype html><script nonce="{{ csp_nonce() }}">go()</script>'


@pytest.fixture
def secure() -> SecureHeaders:
    return SecureHeaders()


@pytest.fixture
def app(secure: SecureHeaders) -> flask.Flask:
    """An app with a page that uses a nonce and one that does not."""
    app = make_app(secure)
    app.add_url_rule("/plain", "plain", lambda: "plain")
    app.add_url_rule("/page", "page", lambda: flask.render_template_string(PAGE))
    app.add_url_rule("/post", "post", lambda: "taken", methods=["POST"])
    return app


@pytest.fixture
def ask_node(tmp_path: Path) -> cabc.Callable[[Path, str, object], list[t.Any]]:
    """Ask a script of a folder with npm's lock file, by JSON on its standard input."""

    def ask(folder: Path, script: str, questions: object) -> list[t.Any]:
        node_modules(folder, tmp_path)
        shutil.copy(folder / script, tmp_path)
        done = subprocess.run(
            [str(shutil.which("node")), script], cwd=tmp_path, check=True, text=True,
            input=json.dumps(questions), capture_output=True, timeout=60,
        )  # fmt: skip
        answers: list[t.Any] = json.loads(done.stdout)
        return answers

    return ask


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
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    paths = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    names = "subjectAltName=DNS:www.app.example,IP:127.0.0.1"
    subprocess.run(
        [
            openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
            "-subj", "/CN=www.app.example", "-addext", names,
            # It signs itself, which a strict reader takes from none but an authority.
            "-addext", "keyUsage=critical,digitalSignature,keyCertSign",
            "-out", paths[0], "-keyout", paths[1],
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return paths
