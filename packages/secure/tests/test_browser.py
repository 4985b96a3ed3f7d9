from __future__ import annotations

import collections.abc as cabc
import shutil
import subprocess
import threading
from pathlib import Path

import flask
import pytest
from werkzeug.serving import make_server

from flaskware_core.testing import make_app
from flaskware_secure import SecureHeaders

pytestmark = [pytest.mark.browser, pytest.mark.slow]

Look = cabc.Callable[[str], str]

_ATTACKS = """<!doctype html><title>attacks</title>
<link rel=stylesheet href="/static/own.css">
<body><p id=out></p>
<script>document.body.dataset.injected = 1</script>
<img src=x onerror="document.body.dataset.handler = 1">
<script src="/static/own.js"></script>
<base href="https://evil.example/">
<script nonce="{{ csp_nonce() }}">
  document.body.dataset.allowed = 1;
  const more = document.createElement("script");
  more.src = "/static/loaded.js";
  document.head.append(more);
  addEventListener("load", () => {
    document.body.dataset.colour = getComputedStyle(document.body).color;
    document.body.dataset.base = document.baseURI;
  });
</script>"""


@pytest.fixture
def look(tmp_path: Path) -> Look:
    """Open an address in a headless browser and return the page as it became."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no chromium on PATH")

    def open_in_browser(url: str) -> str:
        result = subprocess.run(
            [
                program,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                f"--user-data-dir={tmp_path / 'profile'}",
                "--virtual-time-budget=3000",
                "--dump-dom",
                url,
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return result.stdout

    return open_in_browser


@pytest.fixture
def serve() -> cabc.Iterator[cabc.Callable[[flask.Flask], str]]:
    """Serve an app over plain http on this machine until the test ends."""
    servers = []

    def start(app: flask.Flask) -> str:
        server = make_server("127.0.0.1", 0, app, threaded=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def attacked(tmp_path: Path, secure: SecureHeaders) -> flask.Flask:
    app = make_app(secure, TESTING=False)
    (tmp_path / "own.css").write_text("body { color: rgb(1, 2, 3) }")
    (tmp_path / "own.js").write_text("document.body.dataset.unvouched = 1")
    (tmp_path / "loaded.js").write_text("document.body.dataset.loaded = 1")
    app.static_folder = str(tmp_path)
    app.add_url_rule("/", "index", lambda: flask.render_template_string(_ATTACKS))
    return app


def test_a_browser_runs_what_has_the_nonce_and_nothing_injected(
    attacked: flask.Flask, look: Look, serve: cabc.Callable[[flask.Flask], str]
) -> None:
    url = serve(attacked)
    page = look(url)
    assert 'data-allowed="1"' in page
    assert 'data-loaded="1"' in page
    assert 'data-colour="rgb(1, 2, 3)"' in page
    assert f'data-base="{url}/"' in page
    for blocked in ("data-injected", "data-handler", "data-unvouched"):
        assert f'{blocked}="1"' not in page


def test_a_browser_shows_a_frame_only_to_whom_the_override_names(
    attacked: flask.Flask,
    secure: SecureHeaders,
    look: Look,
    serve: cabc.Callable[[flask.Flask], str],
) -> None:
    partner, stranger = make_app(), make_app()
    host, strange_host = serve(partner), serve(stranger)
    reached: list[str] = []

    @attacked.get("/framed")
    @secure.override(frame_ancestors=[host])
    def framed() -> str:
        page = "<img src=/seen?by={{ by }}>"
        return flask.render_template_string(page, by=flask.request.args["by"])

    @attacked.get("/seen")
    def seen() -> str:
        reached.append(flask.request.args["by"])
        return ""

    url = serve(attacked)
    for app, by in ((partner, "partner"), (stranger, "stranger")):
        frame = f'<!doctype html><iframe src="{url}/framed?by={by}"></iframe>'
        app.add_url_rule("/", "index", frame.__str__)
    look(host)
    look(strange_host)
    assert reached == ["partner"]


def test_a_browser_runs_the_scripts_of_a_cached_page_after_a_304(
    attacked: flask.Flask, look: Look, serve: cabc.Callable[[flask.Flask], str]
) -> None:
    statuses: list[int] = []

    @attacked.get("/cached")
    def cached() -> flask.Response:
        page = (
            "<!doctype html><body><script nonce={{ csp_nonce() }}>"
            "document.body.dataset.ran = 1</script>"
        )
        response = flask.make_response(flask.render_template_string(page))
        response.headers["Cache-Control"] = "no-cache"
        response.set_etag("version-1")
        response.make_conditional(flask.request)
        statuses.append(response.status_code)
        return response

    url = f"{serve(attacked)}/cached"
    first, again = look(url), look(url)
    assert 'data-ran="1"' in first
    assert 'data-ran="1"' in again
    assert statuses == [200, 304]
