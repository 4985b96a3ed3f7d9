from __future__ import annotations

import re
import typing as t

import flask
import flask_cors
import pytest

from flaskware_core import ConfigError
from flaskware_core import current_request
from flaskware_core import takes_from_elsewhere
from flaskware_core.testing import blueprint_for
from flaskware_core.testing import make_app
from flaskware_secure import Cors
from flaskware_secure import Policy
from flaskware_secure import SecureHeaders

FRIEND = "https://app.example"
ALLOW = "Access-Control-Allow-Origin"


@pytest.fixture
def shared(secure: SecureHeaders) -> flask.Flask:
    """An app that shares one path by GET and PUT, with credentials, and no other."""
    app = make_app()
    # Registered before the headers, as a check of tokens would be.
    app.before_request(_refuse_options)
    secure.init_app(app)
    cors = Cors(
        origins=(FRIEND, re.compile(r"https://[a-z0-9-]+\.pages\.example")),
        methods=("PUT",),
        headers=("X-Token",),
        expose=("X-Total",),
        credentials=True,
    )
    allow = secure.override(cors=cors)
    app.add_url_rule("/shared", "get", allow(lambda: "got"))
    app.add_url_rule("/shared", "put", allow(lambda: "put"), methods=["PUT"])
    app.add_url_rule("/own", "own", lambda: "own")
    return app


def _refuse_options() -> None:
    if current_request().method == "OPTIONS":
        flask.abort(400)


def _preflight(
    app: flask.Flask, method: str = "PUT", origin: str = FRIEND, headers: str = ""
) -> t.Any:
    asked = {"Origin": origin, "Access-Control-Request-Method": method}
    if headers:
        asked["Access-Control-Request-Headers"] = headers
    asked["Sec-Fetch-Site"] = "cross-site"
    return app.test_client().options("/shared", headers=asked)


@pytest.mark.parametrize("origin", [FRIEND, "https://a-1.pages.example"])
def test_an_origin_that_is_named_may_read(shared: flask.Flask, origin: str) -> None:
    headers = shared.test_client().get("/shared", headers={"Origin": origin}).headers
    assert headers[ALLOW] == origin
    assert headers["Access-Control-Allow-Credentials"] == "true"
    assert headers["Access-Control-Expose-Headers"] == "X-Total"
    assert "Origin" in headers["Vary"]


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://app.example",
        "https://app.example:8443",
        "https://app.example.evil.example",
        "https://evil.example/https://app.example",
        "https://a.pages.example.evil.example",
        "https://evil.example#.pages.example",
        "https://a.pages.example\n",
        "null",
        "",
    ],
)
def test_no_other_origin_is_ever_reflected(origin: str, secure: SecureHeaders) -> None:
    cors = Cors(
        origins=(FRIEND, re.compile(r"https://[a-z0-9-]+\.pages\.example")),
        credentials=True,
    )
    assert cors.lines(origin) == []


def test_caches_are_told_though_no_origin_came(shared: flask.Flask) -> None:
    headers = shared.test_client().get("/shared").headers
    assert "Origin" in headers["Vary"]
    assert ALLOW not in headers
    assert "Vary" not in shared.test_client().get("/own").headers


def test_a_preflight_is_answered_before_anything_else(shared: flask.Flask) -> None:
    response = _preflight(shared, headers="x-token, content-type")
    assert response.status_code == 204
    assert response.headers[ALLOW] == FRIEND
    assert response.headers["Access-Control-Allow-Methods"] == "GET, HEAD, POST, PUT"
    assert response.headers["Access-Control-Allow-Headers"] == "X-Token"
    assert response.headers["Access-Control-Max-Age"] == "600"
    assert "Origin" in response.headers["Vary"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"origin": "https://evil.example"}, "origin"),
        ({"method": "DELETE"}, "method"),
        ({"headers": "x-other"}, "header"),
    ],
)
def test_a_preflight_that_is_refused_says_why(
    shared: flask.Flask, changes: dict[str, str], reason: str
) -> None:
    response = _preflight(shared, **changes)
    assert response.status_code == 403
    assert reason in response.text
    assert "Access-Control-Allow-Methods" not in response.headers


def test_options_that_are_no_preflight_are_the_apps_own(shared: flask.Flask) -> None:
    assert shared.test_client().options("/shared").status_code == 400


def test_what_a_view_says_of_sharing_is_kept(secure: SecureHeaders) -> None:
    app = make_app(secure)

    @app.get("/own")
    @secure.override(cors=Cors(origins=(FRIEND,)))
    def own() -> flask.Response:
        return flask.Response("own", headers={ALLOW: "https://other.example"})

    headers = app.test_client().get("/own", headers={"Origin": FRIEND}).headers
    assert headers.getlist(ALLOW) == ["https://other.example"]


def test_everybody_may_read_what_is_public() -> None:
    policy = Policy.api(cors=Cors(origins=("*",)))
    app = make_app(SecureHeaders(policy=policy))
    headers = app.test_client().get("/", headers={"Origin": "https://a.test"}).headers
    assert headers[ALLOW] == "*"


@pytest.mark.parametrize(
    ("cors", "code"),
    [
        (Cors(origins=()), "cors.no-origin"),
        (Cors(origins=("*",), credentials=True), "cors.wildcard-with-credentials"),
        (Cors(origins=("*", FRIEND)), "cors.wildcard-beside-others"),
        (Cors(origins=("null",)), "cors.null-origin"),
        (Cors(origins=("https://app.example/",)), "cors.bad-origin"),
        (Cors(origins=("https://*.example",)), "cors.bad-origin"),
        (Cors(origins=("app.example",)), "cors.bad-origin"),
        (Cors(origins=(re.compile("https://.*"),)), "cors.pattern-too-wide"),
        (Cors(origins=(FRIEND,), headers=("a, b",)), "cors.bad-name"),
        (
            Cors(origins=(FRIEND,), headers=("*",), credentials=True),
            "cors.wildcard-with-credentials",
        ),
        (Cors(origins=(FRIEND,), max_age=-1), "cors.bad-max-age"),
    ],
)
def test_what_cannot_be_meant_is_refused_at_start_up(cors: Cors, code: str) -> None:
    with pytest.raises(ConfigError, match=code):
        make_app(SecureHeaders(policy=Policy.strict(cors=cors)))


_CROSS = {"Origin": FRIEND, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}


@pytest.mark.parametrize(
    "path", ["/api/missing", "/api/v1/missing", "/api/v1/", "/api/item"]
)
@pytest.mark.parametrize("at", ["blueprint", "registration"])
def test_what_no_view_answers_below_a_blueprint_has_its_headers(
    secure: SecureHeaders, path: str, at: str
) -> None:
    app = make_app(secure)
    cors = Cors(origins=(FRIEND,), credentials=True)
    api = blueprint_for(app, "api", url_prefix="/api" if at[0] == "b" else None)
    inner = blueprint_for(app, "inner", url_prefix="/v1")
    secure.override(cors=cors)(api)
    api.add_url_rule("/item", "item", lambda: "item")
    inner.add_url_rule("/deep", "deep", lambda: "deep")
    api.register_blueprint(inner)
    app.register_blueprint(api, url_prefix="/api")
    client = app.test_client()
    response = client.post(path, headers=_CROSS)
    assert response.status_code in {404, 405}
    assert response.headers[ALLOW] == FRIEND
    assert response.headers["Access-Control-Allow-Credentials"] == "true"
    for other in ("/missing", "/apiary"):
        assert ALLOW not in client.get(other, headers=_CROSS).headers


def test_a_wildcard_allows_every_header_and_method_but_a_token(
    secure: SecureHeaders,
) -> None:
    app = make_app(secure)
    cors = Cors(origins=("*",), headers=("*",), methods=("*",))
    view = secure.override(cors=cors)(lambda: "got")
    app.add_url_rule("/shared", "shared", view, methods=["GET", "PUT"])
    response = _preflight(app, headers="x-token, x-other")
    assert response.status_code == 204
    assert response.headers["Access-Control-Allow-Headers"] == "*"
    assert "*" in response.headers["Access-Control-Allow-Methods"]
    assert _preflight(app, headers="authorization").status_code == 403


@pytest.mark.flask_only("Flask-CORS knows Flask alone")
@pytest.mark.parametrize("first", [True, False])
def test_an_origin_that_flask_cors_names_may_send_and_read(first: bool) -> None:
    app = make_app()
    if first:
        flask_cors.CORS(app, origins=[FRIEND], supports_credentials=True)
    SecureHeaders(app)
    if not first:
        flask_cors.CORS(app, origins=[FRIEND], supports_credentials=True)
    app.add_url_rule("/shared", "shared", lambda: "got", methods=["GET", "POST", "PUT"])
    client = app.test_client()
    assert _preflight(app).status_code == 200
    for method in ("GET", "POST", "PUT"):
        response = client.open("/shared", method=method, headers=_CROSS)
        assert response.text == "got"
        assert response.headers.getlist(ALLOW) == [FRIEND]
        evil = {**_CROSS, "Origin": "https://evil.example"}
        assert client.open("/shared", method=method, headers=evil).status_code == 403


@pytest.mark.flask_only("Flask-CORS knows Flask alone")
def test_where_flask_cors_allows_every_origin_all_read_and_none_changes() -> None:
    app = make_app(SecureHeaders(), DEBUG=True)
    flask_cors.CORS(app, resources={"/shared": {"origins": "*"}})
    app.add_url_rule("/shared", "shared", lambda: "got", methods=["GET", "POST"])
    app.add_url_rule("/own", "own", lambda: "own")
    client = app.test_client()
    assert client.get("/shared", headers=_CROSS).text == "got"
    assert client.get("/own", headers=_CROSS).status_code == 403
    refused = client.post("/shared", headers=_CROSS)
    assert refused.status_code == 403
    assert "@secure.override(cross_site=True)" in refused.text


@pytest.mark.flask_only("Flask-CORS knows Flask alone")
def test_a_blueprint_of_flask_cors_counts_for_its_own_views() -> None:
    app = make_app(SecureHeaders())
    api = blueprint_for(app, "api", url_prefix="/api")
    flask_cors.CORS(api, origins=[FRIEND])
    api.add_url_rule("/item", "item", lambda: "item", methods=["POST"])
    app.register_blueprint(api)
    app.add_url_rule("/own", "own", lambda: "own", methods=["POST"])
    client = app.test_client()
    assert client.post("/api/item", headers=_CROSS).text == "item"
    assert client.post("/own", headers=_CROSS).status_code == 403


@pytest.mark.parametrize("by", ["cross_site", "cors", "flask_cors"])
@pytest.mark.parametrize("credentials", [True, False])
def test_other_extensions_learn_what_may_come_from_elsewhere(
    by: str, credentials: bool
) -> None:
    secure = SecureHeaders()
    app = make_app(secure)
    view: t.Any = lambda: "got"  # noqa: E731
    if by == "cross_site":
        view = secure.override(cross_site=True)(view)
    elif by == "cors":
        cors = Cors(origins=(FRIEND,), credentials=credentials)
        view = secure.override(cors=cors)(view)
    else:
        flask_cors.CORS(app, origins=[FRIEND], supports_credentials=credentials)
    app.add_url_rule("/shared", "shared", view, methods=["POST"])

    def taken(**headers: str) -> bool:
        with app.test_request_context("/shared", method="POST", headers=headers):
            return takes_from_elsewhere(current_request())

    marked = by == "cross_site"
    assert taken(Origin=FRIEND)
    assert taken(Origin=FRIEND, Cookie="session=1") == (marked or credentials)
    assert taken(Origin="https://evil.example") == marked
    assert taken() == marked
