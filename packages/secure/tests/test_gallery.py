"""Packages that apps are made of, in a real Chromium under the strict policy.

Each runs with the configuration that the page names for it, read from there.
"""

from __future__ import annotations

import ast
import collections.abc as cabc
import contextlib
import importlib.util
import json
import re
import typing as t
from pathlib import Path
from urllib.parse import urlsplit

import flasgger
import flask
import flask_admin
import flask_caching
import flask_debugtoolbar
import flask_jwt_extended
import flask_sock
import flask_swagger_ui
import plotly.graph_objects as go
import plotly.io
import plotly.offline
import pytest
import sqlalchemy as sa
from flask_admin.contrib.sqla import ModelView
from secure_browser import console_errors
from secure_browser import secure_chromium
from secure_scanners import make_certificate
from selenium import webdriver
from selenium.webdriver.support.wait import WebDriverWait
from sqlalchemy import orm

from flaskware_core.testing import make_app
from flaskware_core.testing import serving
from flaskware_secure import SecureHeaders

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PAGE = Path(__file__).parents[1] / "docs/how-to/allow-pages-of-other-packages.md"
_HEAD = "<!doctype html><title>page</title><body>"
Open = cabc.Callable[..., str]


def remedy(package: str) -> dict[str, t.Any]:
    """Return the configuration that the page names for a package."""
    text = PAGE.read_text("utf-8")
    [cell] = re.findall(rf"^\| {re.escape(package)} \| (.+) \|$", text, re.MULTILINE)
    settings = re.findall(r"`([A-Z_]+) = (.+?)`", cell)
    return {name: ast.literal_eval(value) for name, value in settings}


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> cabc.Iterator[str]:
    """Address of a server that is every other site: fonts, payments and sign-in."""
    app = make_app()

    @app.get("/v3.js")
    def script() -> flask.Response:
        code = """
        const frame = document.createElement("iframe");
        frame.src = "https://pay.example/card";
        frame.onload = async () => {
          const answer = await fetch("https://pay.example/intent");
          document.body.dataset.paid = (await answer.json()).intent;
        };
        document.body.append(frame);"""
        return flask.Response(code, mimetype="text/javascript")

    @app.get("/intent")
    def intent() -> flask.Response:
        answer = flask.jsonify(intent="yes")
        answer.headers["Access-Control-Allow-Origin"] = "*"
        return answer

    @app.get("/authorize")
    def authorize() -> str:
        back = flask.request.args["back"]
        return f"{_HEAD}<script>location = {json.dumps(back)}</script>"

    @app.get("/confirm")
    def confirm() -> str:
        form = f"<form method=post action={flask.request.args['back']}></form>"
        return f"{_HEAD}{form}<script>document.forms[0].submit()</script>"

    @app.get("/<path:path>")
    def anything(path: str) -> flask.Response:
        kind = "text/css" if path == "css" else "text/html"
        return flask.Response("", mimetype=kind)

    certificate = make_certificate(tmp_path_factory.mktemp("certificate"))
    with serving(app, certificate=certificate) as address:
        yield urlsplit(address).netloc


@pytest.fixture(scope="module")
def browser(elsewhere: str) -> cabc.Iterator[webdriver.Chrome]:
    rules = ", ".join(
        f"MAP {host} {elsewhere}" for host in ("*.example", "*.googleapis.com")
    )
    with secure_chromium(rules) as driver:
        yield driver


@pytest.fixture
def visit(browser: webdriver.Chrome) -> cabc.Iterator[Open]:
    """Serve an app and open a path of it; the console must stay without an error."""
    with contextlib.ExitStack() as stack:

        def start(app: flask.Flask, path: str = "/") -> str:
            app.add_url_rule("/favicon.ico", "favicon", lambda: ("", 204))
            address = stack.enter_context(serving(app, host="localhost"))
            browser.get(f"{address}{path}")
            return address

        console_errors(browser)
        yield start
        assert console_errors(browser) == []
        browser.get("about:blank")


def _made(package: str, **config: t.Any) -> flask.Flask:
    return make_app(SecureHeaders(), TESTING=False, **remedy(package), **config)


def _until(browser: webdriver.Chrome, expression: str) -> t.Any:
    """Wait until an expression is true in the page, and return its value."""
    script = f"return {expression}"
    return WebDriverWait(browser, 20).until(lambda _: browser.execute_script(script))


class Base(orm.DeclarativeBase):
    pass


class Note(Base):
    __tablename__ = "note"

    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    text: orm.Mapped[str]


def _admin(path: Path, **config: t.Any) -> tuple[flask.Flask, orm.Session]:
    engine = sa.create_engine(f"sqlite:///{path}", poolclass=sa.NullPool)
    Base.metadata.create_all(engine)
    session: t.Any = orm.scoped_session(orm.sessionmaker(engine))
    app = make_app(SecureHeaders(), TESTING=False, **config)
    if importlib.util.find_spec("flask_babel"):  # it is used wherever it is there
        importlib.import_module("flask_babel").Babel(app)
    admin = flask_admin.Admin(app)
    admin.add_view(ModelView(Note, session))
    app.teardown_appcontext(lambda _: session.remove())
    return app, session


@pytest.mark.filterwarnings("ignore:Passing a session object:DeprecationWarning")
@pytest.mark.parametrize("by_hook", [False, True])
def test_flask_admin_still_asks_before_it_deletes(
    browser: webdriver.Chrome, visit: Open, tmp_path: Path, *, by_hook: bool
) -> None:
    config = {} if by_hook else remedy("Flask-Admin")
    app, session = _admin(tmp_path / "notes.db", **config)
    if by_hook:
        _add_nonces(app, "/admin/")
    session.add_all([Note(text="one"), Note(text="two")])
    session.commit()

    def notes() -> int:
        session.rollback()
        count: int = session.scalar(sa.select(sa.func.count(Note.id)))
        return count

    visit(app, "/admin/note/")
    delete = "form.icon button"
    browser.find_element("css selector", delete).click()
    browser.switch_to.alert.dismiss()
    assert notes() == 2
    browser.find_element("css selector", delete).click()
    browser.switch_to.alert.accept()
    WebDriverWait(browser, 20).until(lambda _: notes() == 1)
    _until(browser, "document.querySelector('.alert-success')")
    # The menu of actions is a script too, and what it does a handler.
    browser.execute_script("document.querySelector('.action-rowtoggle').click()")
    _until(browser, "document.querySelectorAll('.action-checkbox:checked').length")
    browser.execute_script("modelActions.execute('delete')")
    browser.switch_to.alert.accept()
    WebDriverWait(browser, 20).until(lambda _: notes() == 0)
    _until(browser, "document.querySelector('.alert-success')")


def _add_nonces(app: flask.Flask, below: str) -> None:
    """Attach the hook of the guide; a blueprint that is registered takes none."""
    secure: SecureHeaders = app.extensions["secure"]

    @app.after_request
    def add_nonces(response: flask.Response) -> flask.Response:
        if flask.request.path.startswith(below):
            return secure.add_nonces(response)
        return response


@pytest.mark.parametrize("by_hook", [False, True])
def test_flasgger_shows_the_api(
    browser: webdriver.Chrome, visit: Open, *, by_hook: bool
) -> None:
    config = remedy("flasgger")
    if by_hook:
        del config["SECURE_NONCES_BELOW"]
    app = make_app(SecureHeaders(), TESTING=False, **config)
    flasgger.Swagger(app)
    if by_hook:
        _add_nonces(app, "/apidocs/")

    @app.get("/hello")
    def hello() -> dict[str, int]:
        """Say hello.
        ---
        responses:
          200:
            description: it says hello
        """
        return {"hello": 1}

    visit(app, "/apidocs/")
    _until(browser, "document.querySelector('.opblock')")


def test_swagger_ui_shows_and_tries_the_api(
    browser: webdriver.Chrome, visit: Open
) -> None:
    app = _made("flask-swagger-ui")
    app.register_blueprint(
        flask_swagger_ui.get_swaggerui_blueprint("/docs", "/openapi.json")
    )
    operation = {"get": {"responses": {"200": {"description": "it says hello"}}}}
    app.add_url_rule(
        "/openapi.json",
        "openapi",
        lambda: {
            "openapi": "3.0.3",
            "info": {"title": "An API", "version": "1"},
            "paths": {"/hello": operation},
        },
    )
    app.add_url_rule("/hello", "hello", lambda: {"hello": "reader"})
    visit(app, "/docs/")
    for button in (".opblock-summary-control", ".try-out__btn", ".execute"):
        _until(browser, f"document.querySelector('{button}')").click()
    _until(browser, "document.body.textContent.includes('reader')")


def test_the_debug_toolbar_opens_its_panels(
    browser: webdriver.Chrome, visit: Open
) -> None:
    app = _made("Flask-DebugToolbar", DEBUG=True, DEBUG_TB_INTERCEPT_REDIRECTS=False)
    flask_debugtoolbar.DebugToolbarExtension(app)
    app.add_url_rule("/", "index", lambda: f"<html>{_HEAD}hello</body></html>")
    visit(app)
    _until(browser, "window.fldt && document.querySelector('#flDebugToolbar')")
    browser.execute_script("document.querySelector('.flDebugVersionPanel').click()")
    panel = "document.querySelector('#flDebugVersionPanel-content')"
    _until(browser, f"{panel} && {panel}.offsetHeight > 0")


def test_plotly_draws_a_figure(browser: webdriver.Chrome, visit: Open) -> None:
    app = _made("Plotly")
    figure = go.Figure(go.Bar(x=["a", "b"], y=[1, 3]))
    markup = plotly.io.to_html(figure, full_html=False, include_plotlyjs="/plotly.js")
    script = plotly.offline.get_plotlyjs()
    app.add_url_rule("/plots/", "plots", lambda: _HEAD + markup)
    app.add_url_rule(
        "/plotly.js",
        "plotly",
        lambda: flask.Response(script, mimetype="text/javascript"),
    )
    visit(app, "/plots/")
    _until(browser, "document.querySelectorAll('.bars .point path').length == 2")


def test_a_page_with_cached_fragments_runs_its_scripts_each_time(
    browser: webdriver.Chrome, visit: Open
) -> None:
    app = _made("Flask-Caching")
    cache = flask_caching.Cache(app, config={"CACHE_TYPE": "SimpleCache"})
    rendered: list[str] = []
    app.add_template_global(lambda name: rendered.append(name) or "", "note")
    page = f"""{_HEAD}
    {{% cache 60, "plain" %}}{{{{ note("plain") }}}}<p>kept</p>{{% endcache %}}
    {{% cache 60, "script" %}}{{{{ note("script") }}}}
    <script nonce="{{{{ csp_nonce() }}}}">document.body.dataset.fragment = 1</script>
    {{% endcache %}}"""
    app.add_url_rule("/", "index", lambda: flask.render_template_string(page))
    cached = cache.cached(60)(lambda: flask.render_template_string(page))
    app.add_url_rule("/whole", "whole", cached)
    address = visit(app)
    for path in ("/", "/whole", "/whole"):
        browser.get(f"{address}{path}")
        _until(browser, "document.body.dataset.fragment")
    assert rendered.count("plain") == 1
    assert rendered.count("script") == 4


def test_the_script_of_a_jwt_extension_echoes_its_cookie(
    browser: webdriver.Chrome, visit: Open
) -> None:
    app = _made(
        "Flask-JWT-Extended",
        JWT_TOKEN_LOCATION=["cookies"],
        JWT_COOKIE_SECURE=False,
        JWT_SECRET_KEY="k3y-0f-a-test:0123456789abcdef-XYZ",
    )
    flask_jwt_extended.JWTManager(app)
    page = f"""{_HEAD}<script nonce="{{{{ csp_nonce() }}}}">
    const token = document.cookie.match(/csrf_access_token=([^;]+)/)[1];
    fetch("/change", {{method: "POST", headers: {{"X-CSRF-TOKEN": token}}}}).then(
      async answer => {{ document.body.dataset.answer = await answer.text() }})
    </script>"""

    @app.get("/")
    def index() -> flask.Response:
        return flask.make_response(flask.render_template_string(page))

    @app.get("/sign-in")
    def sign_in() -> t.Any:
        response = flask.make_response(flask.redirect("/"))
        token = flask_jwt_extended.create_access_token("ada")
        flask_jwt_extended.set_access_cookies(response, token)
        return response

    @app.post("/change")
    @flask_jwt_extended.jwt_required()
    def change() -> str:
        return f"changed by {flask_jwt_extended.get_jwt_identity()}"

    visit(app, "/sign-in")
    answer = _until(browser, "document.body.dataset.answer")
    assert answer == "changed by ada"
    # What no script needs stays out of its reach.
    assert "access_token_cookie" not in browser.execute_script("return document.cookie")


def test_a_payment_script_of_another_origin_pays_and_comes_back(
    browser: webdriver.Chrome, visit: Open
) -> None:
    app = _made("a payment script")
    page = f"""{_HEAD}
    <script nonce="{{{{ csp_nonce() }}}}" src="https://js.pay.example/v3.js"></script>
    """
    app.add_url_rule("/pay", "pay", lambda: flask.render_template_string(page))
    app.add_url_rule("/paid", "paid", lambda: "<title>paid</title>", methods=["POST"])
    address = visit(app, "/pay")
    assert _until(browser, "document.body.dataset.paid") == "yes"
    browser.get(f"https://pay.example/confirm?back={address}/paid")
    _until(browser, "document.title == 'paid'")


def test_a_sign_in_in_a_pop_up_comes_back_to_its_page(
    browser: webdriver.Chrome, visit: Open
) -> None:
    app = _made("a sign-in in a pop-up")
    page = f"""{_HEAD}<button id=b>Sign in</button>
    <script nonce="{{{{ csp_nonce() }}}}">
    addEventListener("message", event => {{
      if (event.origin === origin) document.body.dataset.user = event.data }});
    document.getElementById("b").addEventListener("click", () => open(
      "https://sign-in.example/authorize?back=" + origin + "/signed-in", "_blank",
      "popup"))
    </script>"""
    back = f"""{_HEAD}<script nonce="{{{{ csp_nonce() }}}}">
    opener.postMessage("ada", origin); close()</script>"""
    app.add_url_rule("/", "index", lambda: flask.render_template_string(page))
    app.add_url_rule("/signed-in", "back", lambda: flask.render_template_string(back))
    visit(app)
    browser.find_element("id", "b").click()
    assert _until(browser, "document.body.dataset.user") == "ada"


def test_a_websocket_opens_for_the_app_and_for_no_other_site(
    browser: webdriver.Chrome, visit: Open
) -> None:
    app = _made("Flask-Sock")
    said: list[str] = []

    @flask_sock.Sock(app).route("/echo")
    def echo(socket: t.Any) -> None:
        said.append(socket.receive())
        socket.send(f"heard {said[-1]}")

    app.add_url_rule("/", "index", lambda: _HEAD)
    address = visit(app)
    script = """
      const done = arguments[arguments.length - 1];
      const socket = new WebSocket(arguments[0]);
      socket.onopen = () => socket.send(arguments[1]);
      socket.onmessage = event => done(event.data);
      socket.onerror = () => done("refused");"""
    url = f"{address.replace('http', 'ws')}/echo"
    assert browser.execute_async_script(script, url, "me") == "heard me"
    browser.get("https://stranger.example/blank")
    assert browser.execute_async_script(script, url, "evil") == "refused"
    assert said == ["me"]
    # The browser logs the refusal, on the page of the stranger.
    assert any("403" in each for each in console_errors(browser))
