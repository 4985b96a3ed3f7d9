from __future__ import annotations

import re
import typing as t

import flask
import pytest

from flaskware_core import ConfigError
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
    if flask.request.method == "OPTIONS":
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
    assert "Origin" not in shared.test_client().get("/own").headers["Vary"]


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
