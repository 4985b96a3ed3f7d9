"""What a real Chromium does with the headers, on pages of attacks."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import time
import typing as t
from pathlib import Path

import flask
import pytest
from secure_browser import secure_chromium
from selenium import webdriver
from selenium.webdriver.support.wait import WebDriverWait

from flaskware_core.testing import make_app
from flaskware_core.testing import serving
from flaskware_secure import append
from flaskware_secure import Cors
from flaskware_secure import Policy
from flaskware_secure import report_collected
from flaskware_secure import SecureHeaders
from flaskware_secure._policy.inline import hash_source
from flaskware_secure._static.inline_hashes import code_below
from flaskware_secure._static.inline_hashes import directives_for

pytestmark = [pytest.mark.browser, pytest.mark.slow]

Serve = cabc.Callable[..., str]

_ATTACKS = """<!doctype html><title>attacks</title>
<link rel=stylesheet href="/static/own.css">
<body style="background-color: rgb(9, 9, 9)"><p id=out></p>
<script>document.body.dataset.injected = 1</script>
<script nonce="guessed">document.body.dataset.guessed = 1</script>
<img src=x onerror="document.body.dataset.handler = 1">
<a id=link href="javascript:document.body.dataset.url = 1">link</a>
<iframe srcdoc="<script>parent.document.body.dataset.frame = 1</script>"></iframe>
<object data="data:text/html,<script>1</script>"></object>
<svg><script>document.body.dataset.svg = 1</script></svg>
<script src="/static/own.js"></script>
<script src="data:text/javascript,document.body.dataset.data=1"></script>
<base href="https://evil.example/">
<script nonce="{{ csp_nonce() }}">
  document.body.dataset.allowed = 1;
  const more = document.createElement("script");
  more.src = "/static/loaded.js";
  document.head.append(more);
  try { eval("document.body.dataset.evaluated = 1") } catch (error) {}
  document.getElementById("link").click();
  addEventListener("load", () => { document.body.dataset.done = 1 });
</script>"""
_BLOCKED = (
    "injected", "guessed", "handler", "url", "frame", "svg", "unvouched", "data",
    "evaluated",
)  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> cabc.Iterator[webdriver.Chrome]:
    # A name that is not this machine's own, for which HSTS is left out.
    rules = "MAP www.app.example 127.0.0.1"
    with secure_chromium(rules) as driver:
        yield driver


@pytest.fixture
def serve() -> cabc.Iterator[Serve]:
    """Serve an app on this machine until the test ends.

    ``127.0.0.1`` and ``localhost`` are different sites to a browser.
    """
    with contextlib.ExitStack() as stack:

        def start(
            app: flask.Flask, host: str = "127.0.0.1", certificate: t.Any = None
        ) -> str:
            served = serving(app, host=host, certificate=certificate)
            return stack.enter_context(served)

        yield start


@pytest.fixture
def attacked(tmp_path: Path, secure: SecureHeaders) -> flask.Flask:
    return _app(tmp_path, secure)


def _app(folder: Path, secure: SecureHeaders, **config: object) -> flask.Flask:
    app = make_app(TESTING=False, **config)
    (folder / "own.css").write_text("body { color: rgb(1, 2, 3) }")
    (folder / "own.js").write_text("document.body.dataset.unvouched = 1")
    (folder / "loaded.js").write_text("document.body.dataset.loaded = 1")
    app.static_folder = str(folder)
    secure.init_app(app)
    app.add_url_rule("/", "index", lambda: flask.render_template_string(_ATTACKS))
    return app


def _page(app: flask.Flask, path: str, body: str, **values: object) -> None:
    page = f"<!doctype html><title>page</title><body>{body}"
    app.add_url_rule(path, path, lambda: flask.render_template_string(page, **values))


def _run(browser: webdriver.Chrome, script: str) -> t.Any:
    return browser.execute_script(script)


def _until(browser: webdriver.Chrome, script: str) -> t.Any:
    """Wait until an expression is true in the page, and return its value."""
    return WebDriverWait(browser, 20).until(lambda _: _run(browser, f"return {script}"))


def _data(browser: webdriver.Chrome) -> dict[str, str]:
    found: dict[str, str] = _run(browser, "return {...document.body.dataset}")
    return found


def test_a_browser_runs_what_has_the_nonce_and_nothing_injected(
    attacked: flask.Flask, browser: webdriver.Chrome, serve: Serve
) -> None:
    url = serve(attacked)
    browser.get(url)
    _until(browser, "document.body.dataset.done && document.body.dataset.loaded")
    data = _data(browser)
    assert data["allowed"] == "1"
    assert [name for name in _BLOCKED if name in data] == []
    style = "return getComputedStyle(document.body)"
    assert _run(browser, f"{style}.color") == "rgb(1, 2, 3)"
    assert _run(browser, f"{style}.backgroundColor") != "rgb(9, 9, 9)"
    assert _run(browser, "return document.baseURI") == f"{url}/"


def test_without_the_headers_the_same_attacks_succeed(
    tmp_path: Path, browser: webdriver.Chrome, serve: Serve
) -> None:
    class Bare(SecureHeaders):
        """Takes part in nothing, so that the page is as an attacker likes it."""

        def init_app(self, app: t.Any) -> None:
            app.add_template_global(str, "csp_nonce")

    browser.get(serve(_app(tmp_path, Bare())))
    _until(browser, "document.body.dataset.done")
    missing = set(_BLOCKED) - set(_data(browser))
    # The page's own <base> leads what comes after it to another host.
    assert missing <= {"guessed", "frame"}


def test_a_form_cannot_be_sent_to_another_host(
    attacked: flask.Flask, browser: webdriver.Chrome, serve: Serve
) -> None:
    stolen: list[str] = []
    thief = make_app()
    thief.add_url_rule("/", "index", lambda: stolen.append("it") or "")
    form = "<form action='{{ url }}'><input name=password value=1></form>"
    _page(attacked, "/form", form, url=serve(thief, "localhost"))
    browser.get(f"{serve(attacked)}/form")
    _run(browser, "document.forms[0].submit()")
    time.sleep(1)
    assert stolen == []


def test_a_browser_shows_a_frame_only_to_whom_the_override_names(
    attacked: flask.Flask,
    secure: SecureHeaders,
    browser: webdriver.Chrome,
    serve: Serve,
) -> None:
    partner, stranger = make_app(), make_app()
    hosts = {"partner": serve(partner), "stranger": serve(stranger)}
    reached: list[str] = []

    @attacked.get("/framed")
    @secure.override(frame_ancestors=[hosts["partner"]])
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
    for host in ("stranger", "partner"):
        browser.get(hosts[host])
        time.sleep(0.5)
    assert reached == ["partner"]


def test_a_browser_runs_the_scripts_of_a_cached_page_after_a_304(
    attacked: flask.Flask, browser: webdriver.Chrome, serve: Serve
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

    url = serve(attacked)
    for _ in range(2):
        browser.get(f"{url}/cached")
        assert _data(browser) == {"ran": "1"}
        browser.get("about:blank")
    assert statuses == [200, 304]


def test_a_static_file_that_was_changed_is_refused(
    tmp_path: Path, browser: webdriver.Chrome, serve: Serve
) -> None:
    secure = SecureHeaders()
    manifest = tmp_path / "integrity.json"
    files = tmp_path / "files"
    files.mkdir()
    app = _app(files, secure)
    _page(app, "/page", "{{ static_script('own.js') }}{{ static_style('own.css') }}")
    url = f"{serve(app)}/page"
    browser.get(url)
    assert _data(browser) == {"unvouched": "1"}
    style = "return getComputedStyle(document.body).color"
    assert _run(browser, style) == "rgb(1, 2, 3)"

    runner = app.test_cli_runner()
    runner.invoke(args=["secure", "manifest", "--out", str(manifest)])
    changed = SecureHeaders(manifest=str(manifest))
    app = _app(files, changed)
    (files / "own.js").write_text("document.body.dataset.stolen = 1")
    (files / "own.css").write_text("body { color: rgb(6, 6, 6) }")
    _page(app, "/page", "{{ static_script('own.js') }}{{ static_style('own.css') }}")
    browser.get(f"{serve(app)}/page")
    assert _data(browser) == {}
    assert _run(browser, style) == "rgb(0, 0, 0)"


def test_what_a_page_of_another_site_sends_is_refused_and_links_work(
    attacked: flask.Flask,
    browser: webdriver.Chrome,
    serve: Serve,
    caplog: pytest.LogCaptureFixture,
) -> None:
    taken: list[str] = []

    @attacked.route("/transfer", methods=["GET", "POST"])
    def transfer() -> str:
        taken.append(f"{flask.request.method} {flask.request.args.get('by')}")
        return "<title>transferred</title>"

    home = serve(attacked, "localhost")
    attacker = make_app()
    _page(
        attacker,
        "/",
        "<form method=post action='{{ home }}/transfer?by=form'></form>"
        "<a href='{{ home }}/transfer?by=link'>link</a>"
        "<img src='{{ home }}/transfer?by=image'>"
        "<script>fetch('{{ home }}/transfer?by=fetch', {method: 'POST',"
        " mode: 'no-cors'}).catch(() => 0).then("
        "() => document.body.dataset.sent = 1)</script>",
        home=home,
    )
    evil = serve(attacker)
    browser.get(evil)
    _until(browser, "document.body.dataset.sent")
    _run(browser, "document.forms[0].submit()")
    _until(browser, "document.title.startsWith('403')")
    assert taken == []
    # They did come: the image, the fetch and the form.
    for sent in ("GET", "POST"):
        assert f"Refused a cross-site {sent}" in caplog.text
    browser.get(evil)
    _run(browser, "document.links[0].click()")
    _until(browser, "document.title == 'transferred'")
    assert taken == ["GET link"]


def test_another_origin_reads_only_what_is_shared_with_it(
    attacked: flask.Flask,
    secure: SecureHeaders,
    browser: webdriver.Chrome,
    serve: Serve,
) -> None:
    friend, stranger = make_app(), make_app()
    friendly, strange = serve(friend), serve(stranger)
    cors = Cors(
        origins=(friendly,),
        methods=("PUT",),
        headers=("X-Token",),
        expose=("X-Total",),
        credentials=True,
    )

    @attacked.put("/shared")
    @secure.override(cors=cors)
    def shared() -> flask.Response:
        return flask.Response("shared", headers={"X-Total": "7"})

    url = f"{serve(attacked, 'localhost')}/shared"
    script = f"""
      const done = arguments[arguments.length - 1];
      const options = {{method: "PUT", credentials: "include",
                        headers: {{"X-Token": "1"}}}};
      fetch("{url}", options).then(
        async answer => done(await answer.text() + answer.headers.get("X-Total")),
        error => done("refused"));
    """
    for app, host, expected in (
        (friend, friendly, "shared7"),
        (stranger, strange, "refused"),
    ):
        _page(app, "/", "")
        browser.get(host)
        assert browser.execute_async_script(script) == expected


def test_trusted_types_refuse_text_in_a_sink(
    tmp_path: Path, browser: webdriver.Chrome, serve: Serve
) -> None:
    trusted = {"require-trusted-types-for": ["'script'"]}
    app = _app(
        tmp_path, SecureHeaders(policy=Policy.strict(csp=t.cast("t.Any", trusted)))
    )
    _page(app, "/page", "")
    browser.get(f"{serve(app)}/page")
    sink = "try { document.body.innerHTML = 'x' } catch (error) { return error.name }"
    assert _run(browser, sink) == "TypeError"


_TYPED = """{{ trusted_types() }}<p id=p></p><script nonce="{{ csp_nonce() }}">
function put(text) {
  try { document.getElementById("p").innerHTML = text; return true }
  catch (error) { return error.name }
}
function load(address) {
  const element = document.createElement("script");
  try { element.src = address; return true } catch (error) { return error.name }
}
</script>"""
# Each runs a script, or loads what may, in some place that the text is put into.
_RUNNING_MARKUP = (
    "<img src=x onerror=alert(1)>", "<script>alert(1)</script>", "<svg onload=f()>",
    "<a href='java\tscript:alert(1)'>x</a>", "<a href=' JavaScript:alert(1)'>x</a>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>", "<base href=//evil.test>",
    "<form action=javascript:alert(1)>", "<button formaction=javascript:alert(1)>",
    "<object data='data:text/html,<script>1</script>'></object>", "<embed src=x>",
    "<meta http-equiv=refresh content='0;url=javascript:alert(1)'>",
    "<link rel=import href=//evil.test>", "<template><img onerror=alert(1)></template>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'></noscript>",
    "<svg><style><img title='</style><img src=x onerror=alert(1)>'></style></svg>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<svg><animate attributeName=href values=javascript:alert(1)></svg>",
    "<svg><use href='data:image/svg+xml,x'></use></svg>", "<textarea><b></textarea>",
    "<svg><foreignObject><p></foreignObject></svg>", "<body onload=alert(1)>",
    "<form id=x><input name=attributes><input name=localName></form><p onclick=1>",
    "<img name=querySelectorAll><img name=body><i onclick=alert(1)>",
    "<svg><a xlink:href='javascript:alert(1)'><circle r=9></a></svg>",
    "<a href='vbscript:x'>x</a>", "<a href='data:text/html,x'>x</a>",
)  # fmt: skip
_HARMLESS_MARKUP = (
    "", "text & more", "<b class=x>bold</b> <!-- a comment -->", "<tr><td>1</td></tr>",
    "<p style='color: red'><a href='/x?y=1#z' data-id=3>x</a><br></p>",
    "<img src='data:image/png;base64,AAAA' alt=''><img src=/a.png>",
    "<svg viewBox='0 0 9 9'><path d='M0 0h9v9z'/><g><circle r='3'/></g></svg>",
    "<ul><li class=script-list>one<li>two</ul>", "<input type=text value='javascript'>",
    "<select><option value=1 selected>one</select>", "a < b and c > d",
)  # fmt: skip


def _typed(mode: str, **more: object) -> flask.Flask:
    secure = SecureHeaders(trusted_types=mode, reports="memory")
    app = make_app(secure, TESTING=False, **more)
    _page(app, "/", _TYPED)
    return app


def test_the_default_policy_of_trusted_types_passes_what_cannot_run(
    browser: webdriver.Chrome, serve: Serve
) -> None:
    browser.get(serve(_typed("enforce", SECURE_TRUSTED_TYPES_ORIGINS=["https://a.b"])))
    judge = "return String(trustedTypes.defaultPolicy.createHTML(arguments[0]))"
    for markup in _RUNNING_MARKUP:
        assert browser.execute_script(judge, markup) == "", markup
        assert browser.execute_script("return put(arguments[0])", markup) == "TypeError"
    for markup in _HARMLESS_MARKUP:
        assert browser.execute_script(judge, markup) == markup
        assert browser.execute_script("return put(arguments[0])", markup) is True
    for address, taken in (
        ("/static/own.js", True), ("own.js", True), ("https://a.b/x.js", True),
        ("https://evil.test/x.js", "TypeError"), ("//evil.test", "TypeError"),
        ("https://a.b.evil.test/x.js", "TypeError"), ("data:,1", "TypeError"),
        ("https://a.b@evil.test/", "TypeError"), ("http://[", "TypeError"),
    ):  # fmt: skip
        found = browser.execute_script("return load(arguments[0])", address)
        assert found == taken, address
    name = _run(browser, "try { setTimeout('1') } catch (error) { return error.name }")
    assert name == "TypeError"


def test_on_trial_trusted_types_report_what_they_would_refuse_and_no_more(
    browser: webdriver.Chrome, serve: Serve
) -> None:
    app = _typed("report")
    browser.get(serve(app))
    for markup in _HARMLESS_MARKUP:
        assert browser.execute_script("return put(arguments[0])", markup) is True
    assert _run(browser, "return load('/static/own.js')") is True
    # What is reported works as before.
    assert _run(browser, "return put('<b>one</b><template>two</template>')") is True
    assert _run(browser, "return document.querySelector('template').innerHTML") == "two"
    assert _run(browser, "return load('https://evil.test/x.js')") is True
    secure = app.extensions["secure"]

    def samples() -> set[str]:
        found = [group.report for group in secure.reports(app)]
        # Another directive blocks the style attribute.
        return {each.sample for each in found if each.disposition == "report"}

    expected = {
        "Element innerHTML|<b>one</b><template>two</template>",
        "HTMLScriptElement src|https://evil.test/x.js",
    }
    WebDriverWait(browser, 20).until(lambda _: len(samples()) >= len(expected))
    assert samples() == expected


def test_integrity_policy_refuses_a_script_without_integrity(
    tmp_path: Path, browser: webdriver.Chrome, serve: Serve
) -> None:
    app = _app(tmp_path, SecureHeaders(policy=Policy.strict(integrity=["script"])))
    without = "<script nonce={{ csp_nonce() }} src=/static/own.js></script>"
    _page(app, "/page", without + "{{ static_script('loaded.js') }}")
    browser.get(f"{serve(app)}/page")
    assert _data(browser) == {"loaded": "1"}


def test_what_a_browser_reports_is_collected_and_its_suggestion_satisfies_it(
    tmp_path: Path, browser: webdriver.Chrome, serve: Serve
) -> None:
    host = make_app()
    host.add_url_rule(
        "/a.png", "image", lambda: flask.Response(b"", mimetype="image/png")
    )
    images = serve(host)
    secure = SecureHeaders(reports="memory", reports_min_clients=1)
    app = _app(tmp_path, secure)
    _page(app, "/page", f"<img src='{images}/a.png?secret=1'>")
    browser.get(f"{serve(app, 'localhost')}/page?token=secret")
    _wait_for(lambda: secure.reports(app))
    [group] = secure.reports(app)
    assert (group.report.subject, group.report.blocked) == ("img-src", images)
    assert "secret" not in repr(group)
    [suggestion] = secure.suggestions(app)

    followed = Policy.strict(img_src=append(*suggestion.sources))
    again = SecureHeaders(policy=followed, reports="memory")
    app = _app(tmp_path, again)
    _page(app, "/page", f"<img src='{images}/a.png'>")
    browser.get(f"{serve(app, 'localhost')}/page")
    time.sleep(2)
    assert again.reports(app) == []


def test_a_blocked_handler_is_suggested_by_its_hash_and_then_asks_again(
    tmp_path: Path, browser: webdriver.Chrome, serve: Serve
) -> None:
    handler = "return confirm('Delete it?')"
    form = f'<form action="/gone"><button onclick="{handler}">Delete</button></form>'

    def click(secure: SecureHeaders) -> flask.Flask:
        app = _app(tmp_path, secure)
        _page(app, "/page", form)
        app.add_url_rule("/gone", "gone", lambda: "deleted")
        browser.get(f"{serve(app, 'localhost')}/page")
        browser.find_element("tag name", "button").click()
        return app

    secure = SecureHeaders(reports="memory", reports_min_clients=1)
    app = click(secure)
    # The question is not asked: that is what the suggestion has to say.
    _wait_for(lambda: "deleted" in browser.page_source)
    _wait_for(lambda: secure.suggestions(app))
    [suggestion] = secure.suggestions(app)
    assert suggestion.sources == ("'unsafe-hashes'", hash_source(handler))
    assert "at the first click" in suggestion.effect
    followed = Policy.strict(script_src_attr=suggestion.sources)
    click(SecureHeaders(policy=followed))
    alert = browser.switch_to.alert
    assert alert.text == "Delete it?"
    alert.dismiss()
    assert "deleted" not in browser.page_source


def test_a_browser_runs_what_the_hashes_of_a_template_allow(
    tmp_path: Path, browser: webdriver.Chrome, serve: Serve
) -> None:
    markup = """<script>
      document.body.dataset.script = "é";
      addEventListener("load", () => { document.getElementById("b").click() })
    </script><p id=p style="color: rgb(1, 2, 3)">p</p>
    <button id=b onclick="document.body.dataset.handler = &quot;ü&quot;">b</button>"""
    template = tmp_path / "page.html"
    template.write_text(markup)
    directives = directives_for(code_below([template]))
    changes: dict[str, t.Any] = {
        name.removesuffix("-elem"): append(*sources) if "elem" in name else sources
        for name, sources in directives.items()
    }
    app = _app(tmp_path, SecureHeaders(policy=Policy.strict(csp=changes)))
    _page(app, "/page", f"<body>{markup}")
    browser.get(f"{serve(app, 'localhost')}/page")
    _wait_for(lambda: len(_data(browser)) == 2)
    assert _data(browser) == {"script": "é", "handler": "ü"}
    color = browser.find_element("id", "p").value_of_css_property("color")
    assert color == "rgba(1, 2, 3, 1)"


def test_over_https_every_kind_of_report_comes_by_reporting_endpoints(
    tmp_path: Path,
    browser: webdriver.Chrome,
    serve: Serve,
    certificate: tuple[str, str],
) -> None:
    policy = Policy.strict(
        csp_report_only={"style-src": ["'none'"]},
        integrity_report_only=["script"],
        permissions_report_only={"fullscreen": []},
    )
    secure = SecureHeaders(policy=policy, reports="memory")
    app = _app(tmp_path, secure)
    _page(
        app,
        "/page",
        "<link rel=stylesheet href=/static/own.css>"
        "<script nonce={{ csp_nonce() }} src=/static/own.js></script>"
        "<script nonce={{ csp_nonce() }}>"
        "navigator.geolocation.getCurrentPosition(() => 0);"
        "document.body.requestFullscreen().catch(() => 0)</script>",
    )
    kinds: set[str] = set()
    with report_collected.connected_to(
        lambda _, report: kinds.add(f"{report.kind} {report.disposition}")
    ):
        url = serve(app, certificate=certificate)
        browser.get(f"{url.replace('127.0.0.1', 'www.app.example')}/page")
        wanted = {"csp report", "integrity report"}
        wanted |= {"permissions enforce", "permissions report"}
        _wait_for(lambda: wanted <= kinds, kinds)


def _wait_for(found: cabc.Callable[[], object], so_far: object = None) -> None:
    for _ in range(200):
        if found():
            return
        time.sleep(0.1)
    pytest.fail(f"not reported in 20 seconds; only {so_far}")
