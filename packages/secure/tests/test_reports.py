from __future__ import annotations

import collections.abc as cabc
import concurrent.futures
import gc
import io
import json
import logging
import time
import tracemalloc
import typing as t

import flask
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from flaskware_core import ConfigError
from flaskware_core.testing import make_app
from flaskware_secure import MemoryReports
from flaskware_secure import Policy
from flaskware_secure import Report
from flaskware_secure import report_collected
from flaskware_secure import report_dropped
from flaskware_secure import ReportStore
from flaskware_secure import ReportStoreError
from flaskware_secure import SecureHeaders
from flaskware_secure import table_reports
from flaskware_secure._reports.collector import RateLimit
from flaskware_secure._reports.report import parse_reports
from flaskware_secure._reports.report import ReportError
from flaskware_secure.testing import assert_csp

CSP = {
    "csp-report": {
        "document-uri": "http://localhost/page?token=secret#part",
        "violated-directive": "img-src 'self'",
        "effective-directive": "img-src",
        "blocked-uri": "https://cdn.example/cat.png?user=7",
        "disposition": "enforce",
        "source-file": "http://localhost/static/a.js?v=1",
        "line-number": 12,
    }
}


def _modern(kind: str, **body: object) -> list[dict[str, object]]:
    url = "http://localhost/page?token=secret"
    return [{"type": kind, "age": 1, "url": url, "body": body}]


def _send(
    app: flask.Flask, content: object, kind: str = "reports+json", **options: t.Any
) -> TestResponse:
    data = content if isinstance(content, bytes) else json.dumps(content)
    return app.test_client().post(
        "/-/reports", data=data, content_type=f"application/{kind}", **options
    )


@pytest.fixture
def collecting(secure: SecureHeaders) -> flask.Flask:
    return make_app(secure, SECURE_REPORTS="memory")


def test_both_formats_of_a_csp_report_tell_the_same(
    collecting: flask.Flask, secure: SecureHeaders
) -> None:
    modern = _modern(
        "csp-violation",
        documentURL="http://localhost/page?token=secret",
        effectiveDirective="img-src",
        blockedURL="https://cdn.example/cat.png?user=7",
        disposition="enforce",
        sourceFile="http://localhost/static/a.js?v=1",
        lineNumber=12,
    )
    assert _send(collecting, CSP, "csp-report").status_code == 204
    assert _send(collecting, modern).status_code == 204
    [group] = secure.reports(collecting)
    assert group.count == 2
    assert group.report == Report(
        kind="csp",
        disposition="enforce",
        subject="img-src",
        blocked="https://cdn.example",
        document="http://localhost/page",
        source="http://localhost/static/a.js",
        line=12,
    )


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        ("coop", {"type": "navigation-from-response"}, ("coop", "enforce")),
        (
            "coop",
            {"type": "access-from-coop-page-to-opener", "disposition": "reporting"},
            ("coop", "report"),
        ),
        ("coep", {"type": "corp", "blockedURL": "https://x.example/"}, ("coep", None)),
        (
            "permissions-policy-violation",
            {"featureId": "geolocation"},
            ("permissions", None),
        ),
        (
            "integrity-violation",
            {"destination": "script", "reportOnly": True},
            ("integrity", "report"),
        ),
        (
            "deprecation",
            {"id": "UnloadHandler", "message": "old"},
            ("deprecation", None),
        ),
    ],
)
def test_every_kind_of_report_is_taken(
    collecting: flask.Flask,
    secure: SecureHeaders,
    kind: str,
    body: dict[str, object],
    expected: tuple[str, str | None],
) -> None:
    assert _send(collecting, _modern(kind, **body)).status_code == 204
    [group] = secure.reports(collecting)
    assert group.report.kind == expected[0]
    assert group.report.disposition == (expected[1] or "enforce")
    assert "secret" not in repr(group)


def test_a_kind_that_is_not_known_is_left_out(
    collecting: flask.Flask, secure: SecureHeaders
) -> None:
    assert _send(collecting, _modern("crash")).status_code == 204
    assert secure.reports(collecting) == []


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"", "csp-report", 400),
        (b"{", "csp-report", 400),
        (b"[" * 60_000, "reports+json", 400),
        (b"\xff\xfe", "reports+json", 400),
        ({"csp-report": 7}, "csp-report", 400),
        ({"csp-report": {}}, "csp-report", 400),
        ({}, "reports+json", 400),
        ([7], "reports+json", 400),
        ([{"type": "coep", "body": None}], "reports+json", 400),
        (CSP, "json", 415),
        (b"[" + b" " * 70_000 + b"]", "reports+json", 413),
    ],
)
def test_what_is_no_report_is_refused(
    collecting: flask.Flask, body: object, kind: str, status: int
) -> None:
    assert _send(collecting, body, kind).status_code == status


def test_a_body_without_a_length_is_bounded_too(collecting: flask.Flask) -> None:
    class Endless(io.RawIOBase):
        taken = 0

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: t.Any) -> int:
            self.taken += len(buffer)
            buffer[:] = b" " * len(buffer)
            return len(buffer)

    stream = Endless()
    response = collecting.test_client().post(
        "/-/reports",
        content_type="application/csp-report",
        headers={"Transfer-Encoding": "chunked"},
        environ_overrides={
            "wsgi.input": stream,
            "wsgi.input_terminated": True,
            "CONTENT_LENGTH": "",
        },
    )
    assert response.status_code == 413
    assert stream.taken < 1 << 20


@pytest.mark.parametrize(
    "changes",
    [
        {"source-file": "chrome-extension://abcdef/inject.js"},
        {"source-file": "moz-extension"},
        {"source-file": "user-script"},
        {"blocked-uri": "safari-web-extension://x"},
        {"document-uri": "about:srcdoc"},
    ],
)
def test_what_a_browser_extension_did_is_dropped(
    collecting: flask.Flask, secure: SecureHeaders, changes: dict[str, str]
) -> None:
    report = {"csp-report": {**CSP["csp-report"], **changes}}
    with _caught(report_dropped) as dropped:
        assert _send(collecting, report, "csp-report").status_code == 204
    assert secure.reports(collecting) == []
    assert dropped == [{"reason": "noise"}]


def test_a_report_about_another_sites_page_is_dropped(
    collecting: flask.Flask, secure: SecureHeaders
) -> None:
    report = {
        "csp-report": {**CSP["csp-report"], "document-uri": "https://evil.example"}
    }
    with _caught(report_dropped) as dropped:
        assert _send(collecting, report, "csp-report").status_code == 204
    assert (secure.reports(collecting), dropped) == ([], [{"reason": "foreign"}])


def test_a_signal_tells_of_each_report(collecting: flask.Flask) -> None:
    with _caught(report_collected) as collected:
        _send(collecting, CSP, "csp-report")
    [sent] = collected
    assert sent["report"].subject == "img-src"


def test_a_browser_may_report_without_a_csrf_token_and_from_a_sandbox(
    secure: SecureHeaders,
) -> None:
    app = make_app()
    app.before_request(lambda: flask.abort(400, "The CSRF token is missing."))
    app.config["SECURE_REPORTS"] = "memory"
    secure.init_app(app)
    headers = {"Sec-Fetch-Site": "cross-site", "Origin": "null"}
    assert _send(app, CSP, "csp-report", headers=headers).status_code == 204
    assert len(secure.reports(app)) == 1


def test_the_headers_say_where_reports_go(secure: SecureHeaders) -> None:
    policy = Policy.strict(
        csp_report_only={"require-trusted-types-for": ["'script'"]},
        coep="require-corp",
        integrity=["script"],
    )
    app = make_app(
        SecureHeaders(policy=policy),
        SECURE_REPORTS="memory",
        APPLICATION_ROOT="/app",
        SECURE_REPORTS_PATH="/csp",
    )
    response = app.test_client().get("/", base_url="https://www.example.org")
    assert response.headers["Reporting-Endpoints"] == 'default="/app/csp"'
    assert_csp(response, report_to=["default"], report_uri=["/app/csp"])
    assert_csp(response, report_only=True, report_to=["default"])
    coep = response.headers["Cross-Origin-Embedder-Policy"]
    assert coep == 'require-corp; report-to="default"'
    integrity = response.headers["Integrity-Policy"]
    assert integrity == "blocked-destinations=(script), endpoints=(default)"


def test_over_plain_http_reports_go_where_chromium_sends_them(
    collecting: flask.Flask,
) -> None:
    response = collecting.test_client().get("/")
    assert_csp(response, report_to=None, report_uri=["/-/reports"])


def test_a_policy_that_names_its_own_endpoint_keeps_it() -> None:
    policy = Policy.strict(
        reporting_endpoints={"mine": "https://reports.example"}, report_to=["mine"]
    )
    app = make_app(SecureHeaders(policy=policy), SECURE_REPORTS="memory")
    response = app.test_client().get("/")
    assert_csp(response, report_to=["mine"], report_uri=None)


@pytest.mark.slow
def test_a_flood_of_ten_thousand_reports_answers_204_within_bounds(
    secure: SecureHeaders,
) -> None:
    app = make_app(
        secure,
        SECURE_REPORTS="memory",
        SECURE_REPORTS_PER_MINUTE=10_000,
        SECURE_REPORTS_MAX_GROUPS=50,
    )
    client = app.test_client()
    statuses = set()
    for number in range(10_000):
        body = {**CSP["csp-report"], "line-number": number}
        response = client.post(
            "/-/reports",
            data=json.dumps({"csp-report": body}),
            content_type="application/csp-report",
        )
        statuses.add(response.status_code)
    assert statuses == {204}
    groups = secure.reports(app)
    assert len(groups) == 50
    assert {group.report.line for group in groups} == set(range(9950, 10_000))


def test_the_memory_of_a_flood_from_everywhere_does_not_grow() -> None:
    store, limit = MemoryReports(500), RateLimit(60)

    def flood(start: int) -> int:
        for number in range(start, start + 6000):
            where = f"https://{number}.example"
            store.add(Report("csp", "enforce", "img-src", where, where), 1.0)
            limit.allows(f"2001:db8:{number:x}::1", 1.0)
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        after_one, after_two = flood(0), flood(6000)
    finally:
        tracemalloc.stop()
    # Without a bound the second would cost as much as the first, megabytes.
    assert after_two - after_one < 200_000


def test_a_client_that_sends_too_much_is_answered_the_same_and_not_heard(
    secure: SecureHeaders,
) -> None:
    app = make_app(secure, SECURE_REPORTS="memory", SECURE_REPORTS_PER_MINUTE=3)
    for _ in range(10):
        assert _send(app, CSP, "csp-report").status_code == 204
    other = {"REMOTE_ADDR": "192.0.2.7"}
    _send(app, CSP, "csp-report", environ_base=other)
    assert secure.reports(app)[0].count == 4


def test_a_network_of_ipv6_is_one_client_and_memory_is_bounded() -> None:
    limit = RateLimit(1, max_clients=10)
    assert limit.allows("2001:db8::1", 0)
    assert not limit.allows("2001:db8::2", 59)
    assert limit.allows("2001:db8:0:1::1", 59)
    assert limit.allows("2001:db8::1", 61)
    for number in range(1000):
        assert limit.allows(f"10.0.{number // 256}.{number % 256}", 61)
    assert len(limit._clients) == 10


_NAMES = ("csp-report", "type", "body", "url", "effectiveDirective", "blockedURL")
_JSON = st.recursive(
    st.none() | st.integers() | st.text() | st.just("csp-violation"),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(_NAMES), inner),
)


@given(_JSON)
def test_no_json_breaks_the_reading(content: object) -> None:
    body = json.dumps(content).encode()
    for kind in ("csp-report", "reports+json"):
        try:
            reports = parse_reports(f"application/{kind}", body)
        except ReportError:
            continue
        assert all(report.key for report in reports)


def test_what_a_report_says_cannot_forge_a_line_of_a_log(
    secure: SecureHeaders, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(secure, SECURE_REPORTS="log")
    body = {**CSP["csp-report"], "effective-directive": "img-src\r\nroot\x1b[2J logged"}
    with caplog.at_level(logging.WARNING, "flaskware.secure.reports"):
        _send(app, {"csp-report": body}, "csp-report")
    [record] = caplog.records
    assert "\n" not in record.getMessage()
    assert "\x1b" not in record.getMessage()
    assert t.cast("t.Any", record).report.subject == "img-src"
    assert secure.reports(app) == []


def _database_url(request: pytest.FixtureRequest, folder: t.Any, name: str) -> str:
    if name == "sqlite":
        return f"sqlite:///{folder}/r.db"
    url: str = request.getfixturevalue(name)
    if url.startswith("postgresql:"):
        return url.replace("postgresql:", "postgresql+psycopg:")
    return url


@pytest.fixture(params=["memory", "sqlite", "postgresql_url", "mariadb_url"])
def store(
    request: pytest.FixtureRequest, tmp_path: t.Any
) -> cabc.Iterator[ReportStore]:
    if request.param == "memory":
        yield MemoryReports(3)
        return
    engine = sa.create_engine(_database_url(request, tmp_path, request.param))
    yield table_reports(engine, 3)
    engine.dispose()


def test_a_store_counts_orders_and_bounds(store: ReportStore) -> None:
    def report(line: int) -> Report:
        return Report("csp", "enforce", "img-src", "https://ä.example", line=line)

    for now, line in enumerate([1, 2, 2, 3, 4]):
        store.add(report(line), float(now))
    groups = store.groups()
    assert (groups[0].report.line, groups[0].count) == (2, 2)
    assert {g.report.line for g in groups} == {2, 3, 4}
    assert (groups[0].first_seen, groups[0].last_seen) == (1.0, 2.0)
    assert store.watched_since("policy", 5.0) == 5.0
    assert store.watched_since("policy", 9.0) == 5.0
    store.clear()
    assert store.groups() == []
    assert store.watched_since("policy", 9.0) == 5.0


@pytest.mark.parametrize("database", ["sqlite", "postgresql_url", "mariadb_url"])
def test_several_processes_count_in_one_table(
    request: pytest.FixtureRequest, tmp_path: t.Any, database: str
) -> None:
    url = _database_url(request, tmp_path, database)
    # Each with an engine of its own, as processes have.
    stores = [table_reports(url, 5) for _ in range(4)]

    def add(each: ReportStore) -> None:
        for number in range(30):
            each.add(Report("csp", "enforce", "img-src", line=number % 3), 1.0)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        [*pool.map(add, stores)]
    assert [group.count for group in stores[0].groups()] == [40, 40, 40]
    for each in stores:
        each.close()  # type: ignore[attr-defined]


def test_a_store_that_does_not_answer_is_a_503_and_a_named_error(
    secure: SecureHeaders, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = "postgresql+psycopg://x:hidden@127.0.0.1:1/x"
    app = make_app(secure, SECURE_REPORTS=nowhere)
    assert _send(app, CSP, "csp-report").status_code == 503
    assert "A report is lost" in caplog.text
    assert "hidden" not in caplog.text
    with pytest.raises(ReportStoreError):
        secure.reports(app)


def test_a_store_that_is_down_does_not_keep_a_page_from_being_served(
    secure: SecureHeaders, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = "postgresql+psycopg://x@127.0.0.1:1/x"
    app = make_app(secure, SECURE_REPORTS=nowhere, SECURE_REPORT_ONLY=True)
    app.add_url_rule("/", "index", lambda: "served")
    assert app.test_client().get("/").text == "served"
    assert "cannot be reached" in caplog.text


def test_any_object_that_does_what_a_store_does_is_one(secure: SecureHeaders) -> None:
    store = MemoryReports()
    app = make_app(secure, SECURE_REPORTS=store)
    _send(app, CSP, "csp-report")
    assert store.groups() == secure.reports(app)
    assert len(store.groups()) == 1


def test_an_app_that_is_gone_leaves_no_connection(tmp_path: t.Any) -> None:
    secure = SecureHeaders(reports=f"sqlite:///{tmp_path}/r.db")
    app = make_app(secure)
    _send(app, CSP, "csp-report")
    engine = secure.state_of(app).store.engine  # type: ignore[union-attr]
    pool = engine.pool
    assert pool.checkedin() == 1
    del app
    gc.collect()
    assert engine.pool is not pool


def test_a_relative_sqlite_file_is_in_the_instance_folder(
    secure: SecureHeaders, tmp_path: t.Any
) -> None:
    app = make_app(secure, instance_path=tmp_path, SECURE_REPORTS="sqlite:///r.db")
    _send(app, CSP, "csp-report")
    assert (tmp_path / "r.db").exists()


@pytest.mark.parametrize("url", ["postgres", "nosuchdb://x", "://"])
def test_a_store_that_cannot_be_is_refused_at_start_up(url: str) -> None:
    with pytest.raises(ConfigError, match="SECURE_REPORTS"):
        make_app(SecureHeaders(), SECURE_REPORTS=url)


def test_the_commands_show_reports_and_suggest_the_least_change(
    secure: SecureHeaders, tmp_path: t.Any
) -> None:
    app = make_app(
        secure,
        instance_path=tmp_path,
        SECURE_REPORTS="sqlite:///r.db",
        SECURE_POLICY=Policy.strict(csp_report_only={"img-src": ["'self'"]}),
    )
    run = app.test_cli_runner().invoke
    assert "Nothing was reported" in run(args=["secure", "reports"]).output
    assert "clean for 0.0 days" in run(args=["secure", "suggest"]).output
    _send(app, CSP, "csp-report")
    shown = run(args=["secure", "reports"]).output
    assert "img-src" in shown
    assert "blocked https://cdn.example" in shown
    suggested = run(args=["secure", "suggest"]).output
    assert "append('https://cdn.example')" in suggested
    [group] = json.loads(run(args=["secure", "reports", "--json", "--clear"]).output)
    assert group["count"] == 1
    assert secure.reports(app) == []


@pytest.mark.parametrize("where", ["off", "memory"])
def test_the_commands_say_when_they_cannot_see_the_reports(where: str) -> None:
    app = make_app(SecureHeaders(), SECURE_REPORTS=where)
    result = app.test_cli_runner().invoke(args=["secure", "reports"])
    assert result.exit_code == 1
    assert "SECURE_REPORTS" in result.output


def test_a_trial_is_clean_since_its_last_report(secure: SecureHeaders) -> None:
    app = make_app(secure, SECURE_REPORTS="memory", SECURE_REPORT_ONLY=True)
    begun = time.time()
    app.test_client().get("/")
    first = secure.clean_since(app)
    assert first is not None
    assert begun <= first <= time.time()
    report = {"csp-report": {**CSP["csp-report"], "disposition": "report"}}
    _send(app, report, "csp-report")
    later = secure.clean_since(app)
    assert later is not None
    assert later > first
    enforced = make_app(SecureHeaders(), SECURE_REPORTS="memory")
    assert enforced.extensions["secure"].clean_since(enforced) is None


class _caught:
    """What a signal is sent with while this is entered."""

    def __init__(self, signal: t.Any) -> None:
        self.signal = signal
        self.sent: list[dict[str, t.Any]] = []

    def note(self, sender: object, **given: t.Any) -> None:
        self.sent.append(given)

    def __enter__(self) -> list[dict[str, t.Any]]:
        self.signal.connect(self.note)
        return self.sent

    def __exit__(self, *_: object) -> None:
        self.signal.disconnect(self.note)
