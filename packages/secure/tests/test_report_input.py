"""Whatever anybody posts as a report is kept, dropped or refused: no error."""

from __future__ import annotations

import collections.abc as cabc
import json
import typing as t

import flask
import pytest
from hypothesis import given
from hypothesis import HealthCheck
from hypothesis import settings
from hypothesis import strategies as st

from flaskware_core.testing import make_app
from flaskware_secure import SecureHeaders

CSP = "application/csp-report"
MODERN = "application/reports+json"
TYPES = (
    "csp-violation", "coop", "coep", "permissions-policy-violation",
    "potential-permissions-policy-violation", "integrity-violation", "deprecation",
    "intervention", "crash",
)  # fmt: skip
CSP_KEYS = (
    "effective-directive", "document-uri", "violated-directive", "disposition",
    "blocked-uri", "source-file", "line-number", "script-sample",
)  # fmt: skip
BODY_KEYS = (
    "effectiveDirective", "type", "effectivePolicy", "destination", "featureId",
    "policyId", "id", "disposition", "reportOnly", "blockedURL", "openeeURL",
    "documentURL", "sourceFile", "lineNumber", "sample", "message",
)  # fmt: skip
URLS = (
    "http://[/", "http://[::1", "http://]/", "http://[v1.x]/", "http://\u2100/",
    "http://\uff03a/", "http://localhost:99999999/", "http://localhost/\ud800",
    "http://localhost/\x00", "//", "://", "a:b@[", "data:", "chrome-extension:",
    "http://\x00localhost/", "HTTP://LOCALHOST/", "http://localhost/?[#]",
)  # fmt: skip

# Half of a surrogate pair is JSON, if no Unicode: "\ud800" in ASCII.
_text = st.text(st.characters(codec=None, categories=None), max_size=350)
_leaf = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**31, -1, 10**400])
    | st.floats()
    | _text
    | st.sampled_from(["", " ", "\x00", "\ud800", "\U0001f600" * 300, "report"])
    | st.sampled_from(URLS)
    | _text.map("http://localhost/{}".format)
    | _text.map("http://{}/".format)
)
_any = st.recursive(
    _leaf,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3)
    ),
    max_leaves=5,
)
_own = st.just("http://localhost/page")


def _some(keys: cabc.Iterable[str]) -> st.SearchStrategy[dict[str, t.Any]]:
    return st.fixed_dictionaries({}, optional=dict.fromkeys(keys, _any))


_csp_body = st.fixed_dictionaries(
    {"effective-directive": st.just("img-src") | _any, "document-uri": _own | _any},
    optional=dict.fromkeys(CSP_KEYS[2:], _any),
)
_csp = st.fixed_dictionaries({"csp-report": _csp_body | _any})
_modern = st.lists(
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(TYPES) | _any,
            "url": _own | _any,
            "body": _some(BODY_KEYS) | _any,
        }
    )
    | _any,
    max_size=3,
)
_posted = (
    st.tuples(st.just(CSP), _csp)
    | st.tuples(st.just(MODERN), _modern)
    | st.tuples(st.sampled_from([CSP, MODERN]), _any)
)


def _csp_of(**changes: object) -> tuple[str, object]:
    body = {"effective-directive": "img-src", "document-uri": "http://localhost/"}
    changed = {key.replace("_", "-"): value for key, value in changes.items()}
    return CSP, {"csp-report": body | changed}


def _modern_of(
    kind: object, url: object = "http://localhost/", **body: object
) -> t.Any:
    return MODERN, [{"type": kind, "url": url, "body": body}]


FOUND: list[tuple[str, object]] = [
    *(_csp_of(effective_directive=text) for text in (" ", "\x00", "\ud800")),
    *(_csp_of(document_uri=url) for url in URLS),
    *(_csp_of(blocked_uri=url, source_file=url) for url in URLS),
    *(_modern_of("csp-violation", url, effectiveDirective="img-src") for url in URLS),
    *(_modern_of("coop", blockedURL=url, documentURL=url) for url in URLS),
    *(_csp_of(disposition=value) for value in ([], {}, ["report"], 1e400)),
    *(_modern_of("coop", disposition=value) for value in ([], {}, None)),
    *(_modern_of(value) for value in ([], {}, ["coop"], None, 1)),
    *(_csp_of(line_number=value) for value in (10**400, 2**31, -1, True, 1.5)),
    _csp_of(script_sample="\ud83d" * 400, source_file="\U0001f600" * 400),
]


@pytest.fixture(params=["memory", "log", "sqlite", "postgresql_url"])
def collecting(request: pytest.FixtureRequest, tmp_path: t.Any) -> flask.Flask:
    where: str = request.param
    if where == "sqlite":
        where = f"sqlite:///{tmp_path}/reports.db"
    elif where == "postgresql_url":
        url: str = request.getfixturevalue(where)
        where = url.replace("postgresql:", "postgresql+psycopg:")
    app = make_app(
        SecureHeaders(),
        SECURE_REPORTS=where,
        SECURE_REPORTS_PER_MINUTE=10**6,
        SECURE_REPORTS_PER_MINUTE_TOTAL=10**6,
    )
    # As in production: an error is a response, and not raised in the client.
    app.testing = False
    app.config["PROPAGATE_EXCEPTIONS"] = False
    return app


def _status(app: flask.Flask, posted: tuple[str, object]) -> int:
    kind, content = posted
    response = app.test_client().post(
        "/-/reports", data=json.dumps(content), content_type=kind
    )
    # What waits to be written would fail later, in a thread.
    app.extensions["secure"].reports(app)
    return response.status_code


def test_what_once_broke_the_collector_is_kept_dropped_or_refused(
    collecting: flask.Flask,
) -> None:
    statuses = [(each, _status(collecting, each)) for each in FOUND]
    assert [each for each in statuses if each[1] not in {204, 400}] == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(_posted)
def test_nothing_that_is_posted_is_an_error(
    collecting: flask.Flask, posted: tuple[str, object]
) -> None:
    status = _status(collecting, posted)
    assert status == 204 or 400 <= status < 500
