from __future__ import annotations

import collections.abc as cabc
import concurrent.futures
import gc
import io
import json
import logging
import os
import subprocess
import sys
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
from flaskware_secure import Batch
from flaskware_secure import Ledger
from flaskware_secure import MemoryReports
from flaskware_secure import Policy
from flaskware_secure import Report
from flaskware_secure import report_collected
from flaskware_secure import report_dropped
from flaskware_secure import ReportGroup
from flaskware_secure import ReportStore
from flaskware_secure import ReportStoreError
from flaskware_secure import SecureHeaders
from flaskware_secure import table_reports
from flaskware_secure._reports.buffer import ReportBuffer
from flaskware_secure._reports.limits import network_of
from flaskware_secure._reports.limits import ReportLimit
from flaskware_secure._reports.report import parse_reports
from flaskware_secure._reports.report import ReportError
from flaskware_secure._reports.store import surplus
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


@pytest.mark.flask_only("its body is a wsgi.input")
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


@pytest.mark.flask_only("Flask-WTF knows Flask alone")
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
        SECURE_REPORTS_PER_MINUTE_TOTAL=10_000,
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


def _added(report: Report, client: str = "a", now: float = 1.0) -> Batch:
    group = ReportGroup(report, 1, now, now, (client,), ("http://localhost/",))
    return Batch((group,))


def test_the_memory_of_a_flood_from_everywhere_does_not_grow() -> None:
    store = MemoryReports(100)
    limit = ReportLimit(60, 10**9, max_clients=100)

    def flood(start: int) -> int:
        for number in range(start, start + 500):
            where = f"https://{number}.example"
            client = network_of(f"2001:db8:{number:x}::1")
            store.add(_added(Report("csp", "enforce", "img-src", where), client))
            limit.take(client, 1, 1.0)
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        after_one, after_two = flood(0), flood(500)
    finally:
        tracemalloc.stop()
    # Without a bound the second would cost as much as the first.
    assert after_two - after_one < 50_000


def test_a_client_that_sends_too_much_is_answered_the_same_and_counted_as_lost(
    secure: SecureHeaders,
) -> None:
    app = make_app(secure, SECURE_REPORTS="memory", SECURE_REPORTS_PER_MINUTE=3)
    for _ in range(10):
        assert _send(app, CSP, "csp-report").status_code == 204
    other = {"REMOTE_ADDR": "192.0.2.7"}
    _send(app, CSP, "csp-report", environ_base=other)
    [group] = secure.reports(app)
    assert group.count == 4
    assert len(group.clients) == 2
    assert secure.ledger(app).lost == {"rate": 7}


def test_the_reports_of_one_request_are_limited_one_by_one(
    secure: SecureHeaders,
) -> None:
    app = make_app(secure, SECURE_REPORTS="memory")
    many = [_fake(number) for number in range(100)]
    assert _send(app, many).status_code == 204
    assert len(secure.reports(app)) == 60
    assert secure.ledger(app).lost == {"rate": 40}


def test_all_clients_together_have_a_limit_too(secure: SecureHeaders) -> None:
    app = make_app(secure, SECURE_REPORTS="memory", SECURE_REPORTS_PER_MINUTE_TOTAL=5)
    for number in range(20):
        environ = {"REMOTE_ADDR": f"192.0.2.{number}"}
        assert _send(app, CSP, "csp-report", environ_base=environ).status_code == 204
    [group] = secure.reports(app)
    assert group.count == 5
    assert secure.ledger(app).lost == {"rate": 15}


def test_bytes_are_limited_as_well_as_reports(secure: SecureHeaders) -> None:
    app = make_app(secure, SECURE_REPORTS="memory")
    padded = json.dumps(CSP).encode() + b" " * 60_000
    for _ in range(6):
        assert _send(app, padded, "csp-report").status_code == 204
    # 60 reports of 4 KiB are 240 KiB.
    assert secure.reports(app)[0].count == 4
    assert secure.ledger(app).lost == {"rate": 2}


def test_a_network_of_ipv6_is_one_client_and_memory_is_bounded() -> None:
    limit = ReportLimit(1, 10**9, max_clients=10)

    def heard(address: str, now: float) -> bool:
        client = network_of(address)
        return limit.admits(client, 10, now) and limit.take(client, 1, now) == 1

    assert heard("2001:db8::1", 0)
    assert not heard("2001:db8::2", 59)
    assert heard("2001:db8:0:1::1", 59)
    assert heard("2001:db8::1", 61)
    for number in range(1000):
        assert heard(f"10.0.{number // 256}.{number % 256}", 61)
    assert len(limit._clients) == 10


_amounts = st.integers(0, 20)


@given(
    st.lists(
        st.tuples(st.sampled_from("abcd"), _amounts, st.integers(0, 4000), _amounts),
        max_size=40,
    )
)
def test_no_minute_takes_more_than_the_limits(
    calls: list[tuple[str, int, int, int]],
) -> None:
    limit, now = ReportLimit(7, 15, max_clients=50), 1000.0
    windows: list[tuple[str, float, int]] = []
    for client, wanted, size, pause in calls:
        now += pause
        if limit.admits(client, size, now):
            windows.append((client, now, limit.take(client, wanted, now)))
    assert all(count >= 0 for *_, count in windows)
    # Windows of the process start with its first report and last a minute.
    for start in (at for _, at, _ in windows):
        within = [w for w in windows if start <= w[1] < start + 60]
        assert sum(count for *_, count in within) <= 2 * 15
        for client in "abcd":
            assert sum(count for c, _, count in within if c == client) <= 2 * 7


def _fake(number: int, disposition: str = "enforce") -> dict[str, object]:
    body = {
        "documentURL": "http://localhost/",
        "effectiveDirective": "img-src",
        "blockedURL": f"https://f{number}.example",
        "disposition": disposition,
    }
    return {"type": "csp-violation", "url": "http://localhost/", "body": body}


@pytest.mark.parametrize("where", ["memory", "sqlite:///r.db"])
def test_fakes_neither_displace_a_report_nor_clean_a_trial(
    secure: SecureHeaders, tmp_path: t.Any, where: str
) -> None:
    app = make_app(
        secure,
        instance_path=tmp_path,
        SECURE_REPORTS=where,
        SECURE_POLICY=Policy.strict(csp_report_only={"img-src": ["'self'"]}),
        SECURE_REPORTS_MAX_GROUPS=100,
        SECURE_REPORTS_PER_MINUTE=1000,
    )
    app.test_client().get("/")
    _send(app, [_fake(-1, "report")], environ_base={"REMOTE_ADDR": "192.0.2.7"})
    clean = secure.clean_since(app)
    for start in range(0, 600, 100):
        _send(app, [_fake(start + number) for number in range(100)])
    groups = secure.reports(app)
    assert len(groups) == 100
    assert "https://f-1.example" in {group.report.blocked for group in groups}
    assert secure.ledger(app).lost == {"evicted": 501}
    # However many displace it: what a decision rests on stays.
    for client in range(200):
        environ = {"REMOTE_ADDR": f"198.51.100.{client}"}
        _send(app, [_fake(1000 + client)], environ_base=environ)
    assert secure.clean_since(app) == clean
    secure.state_of(app).store.clear()  # type: ignore[union-attr]
    assert secure.reports(app) == []
    assert secure.clean_since(app) == clean


def test_a_trial_beyond_the_limit_counts_and_what_is_unread_may_be_one(
    secure: SecureHeaders,
) -> None:
    app = make_app(
        secure,
        SECURE_REPORTS="memory",
        SECURE_REPORT_ONLY=True,
        SECURE_REPORTS_PER_MINUTE=10,
    )
    app.test_client().get("/")
    begun = secure.trial(app)
    assert begun is not None
    assert begun.clean_since == begun.since
    _send(app, [*(_fake(number) for number in range(10)), _fake(10, "report")])
    seen = secure.trial(app)
    assert seen is not None
    assert seen.last_report is not None
    assert seen.last_unread is None
    _send(app, [_fake(11)])
    unread = secure.trial(app)
    assert unread is not None
    assert unread.clean_since == unread.last_unread


@given(
    st.lists(
        st.tuples(
            st.integers(0, 10**6).map(str),
            st.lists(st.sampled_from("abcdef"), min_size=1, max_size=3, unique=True),
            st.floats(0, 100),
        ),
        unique_by=lambda group: group[0],
        max_size=40,
    ),
    st.integers(1, 20),
)
def test_a_client_alone_displaces_what_others_saw_last(
    groups: list[tuple[str, list[str], float]], most: int
) -> None:
    weighed = [(key, tuple(clients), seen) for key, clients, seen in groups]
    gone = set(surplus(weighed, most))
    assert len(weighed) - len(gone) == min(most, len(weighed))
    kept = [each for each in weighed if each[0] not in gone]
    lost = [each for each in weighed if each[0] in gone]
    if any(len(clients) > 1 for _, clients, _ in lost):
        assert not any(len(clients) == 1 for _, clients, _ in kept)
    # Nobody keeps two groups more than somebody who lost one.
    alone = [clients[0] for _, clients, _ in kept if len(clients) == 1]
    for loser in {clients[0] for _, clients, _ in lost if len(clients) == 1}:
        assert all(alone.count(each) <= alone.count(loser) + 1 for each in "abcdef")


def test_a_report_that_no_browser_writes_is_dropped(
    collecting: flask.Flask, secure: SecureHeaders
) -> None:
    changes: list[dict[str, str]] = [
        {"effective-directive": "foo"},
        {"effective-directive": "img-src;", "violated-directive": ""},
        {"blocked-uri": "https://evil.example; script-src *"},
        {"blocked-uri": "https://evil.example, script-src *"},
        {"blocked-uri": "https://*"},
        {"blocked-uri": "*"},
        {"blocked-uri": "https://evil.example\u202e.moc"},
        {"blocked-uri": "https://evil'quote.example"},
        {"blocked-uri": "\x1b[31mred"},
    ]
    with _caught(report_dropped) as dropped:
        for change in changes:
            report = {"csp-report": {**CSP["csp-report"], **change}}
            assert _send(collecting, report, "csp-report").status_code == 204
    assert secure.reports(collecting) == []
    assert dropped == [{"reason": "malformed"}] * len(changes)


def test_a_database_is_written_in_batches_and_not_by_the_request(
    secure: SecureHeaders, tmp_path: t.Any
) -> None:
    app = make_app(
        secure,
        instance_path=tmp_path,
        SECURE_REPORTS="sqlite:///r.db",
        SECURE_REPORTS_DELAY=60,
    )
    engine = secure.state_of(app).store.engine  # type: ignore[union-attr]
    statements: list[str] = []
    sa.event.listen(
        engine,
        "before_cursor_execute",
        lambda *given: statements.append(given[2]),
    )
    for start in range(0, 60, 20):
        _send(app, [_fake(start + number) for number in range(20)])
    assert statements == []
    assert len(secure.reports(app)) == 60
    inserts = [
        each for each in statements if "INSERT INTO flaskware_secure_rep" in each
    ]
    assert len(inserts) == 1


def test_a_thread_writes_what_waits(secure: SecureHeaders, tmp_path: t.Any) -> None:
    url = f"sqlite:///{tmp_path}/r.db"
    app = make_app(secure, SECURE_REPORTS=url, SECURE_REPORTS_DELAY=0.01)
    _send(app, CSP, "csp-report")
    other = table_reports(url)
    until = time.monotonic() + 30
    while not other.groups() and time.monotonic() < until:
        time.sleep(0.01)
    [group] = other.groups()
    assert group.count == 1
    assert group.pages == ("http://localhost/page",)
    other.close()  # type: ignore[attr-defined]


def test_what_waits_is_written_when_the_process_ends(tmp_path: t.Any) -> None:
    code = f"""
import flask
from flaskware_secure import SecureHeaders
app = flask.Flask("ending")
SecureHeaders(app, reports="sqlite:///{tmp_path}/r.db", reports_delay=60)
kind = "application/csp-report"
app.test_client().post("/-/reports", json={CSP!r}, content_type=kind)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    store = table_reports(f"sqlite:///{tmp_path}/r.db")
    assert [group.count for group in store.groups()] == [1]
    store.close()  # type: ignore[attr-defined]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_worker_leaves_what_waits_to_its_parent(tmp_path: t.Any) -> None:
    store = table_reports(f"sqlite:///{tmp_path}/r.db")
    buffer = ReportBuffer(store, 60, 500)
    buffer.add(Report("csp", "enforce", "img-src"), "a", 1.0)
    child = os.fork()
    if child == 0:
        try:
            buffer.add(Report("csp", "enforce", "font-src"), "b", 2.0)
            buffer.flush()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    buffer.flush()
    found = {group.report.subject: group.count for group in store.groups()}
    assert found == {"img-src": 1, "font-src": 1}
    buffer.close()
    store.close()  # type: ignore[attr-defined]


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
        store.add(_added(report(line), f"client {now}" if line == 2 else "a", now))
    groups = store.groups()
    assert (groups[0].report.line, groups[0].count) == (2, 2)
    assert groups[0].clients == ("client 1", "client 2")
    assert groups[0].pages == ("http://localhost/",)
    assert {g.report.line for g in groups} == {2, 3, 4}
    assert (groups[0].first_seen, groups[0].last_seen) == (1.0, 2.0)
    assert store.watched_since("policy", 5.0) == 5.0
    assert store.watched_since("policy", 9.0) == 5.0
    assert store.ledger() == Ledger(lost={"evicted": 1})
    store.add(Batch((), Ledger(7.0, {"rate": 3}, 6.0)))
    store.add(Batch((), Ledger(5.0, {"rate": 2, "evicted": 1}, 8.0)))
    assert store.ledger() == Ledger(7.0, {"evicted": 2, "rate": 5}, 8.0)
    store.clear()
    assert store.groups() == []
    assert store.watched_since("policy", 9.0) == 5.0
    assert store.ledger() == Ledger(7.0, {}, 8.0)


@pytest.mark.parametrize("database", ["sqlite", "postgresql_url", "mariadb_url"])
def test_several_processes_count_in_one_table(
    request: pytest.FixtureRequest, tmp_path: t.Any, database: str
) -> None:
    url = _database_url(request, tmp_path, database)
    # Each with an engine of its own, as processes have.
    stores = [table_reports(url, 5) for _ in range(4)]

    def add(numbered: tuple[int, ReportStore]) -> None:
        number, each = numbered
        for turn in range(10):
            groups = [
                _added(Report("csp", "enforce", "img-src", line=line), f"c{number}")
                for line in ((0, 1, 2) if turn % 2 else (2, 1, 0))
            ]
            batch = tuple(group for one in groups for group in one.groups)
            each.add(Batch(batch, Ledger(lost={"rate": 1})))

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        [*pool.map(add, enumerate(stores))]
    groups = stores[0].groups()
    assert [group.count for group in groups] == [40, 40, 40]
    assert [sorted(group.clients) for group in groups] == [["c0", "c1", "c2", "c3"]] * 3
    assert stores[0].ledger().lost == {"rate": 40}
    for each in stores:
        each.close()  # type: ignore[attr-defined]


def test_a_store_that_does_not_answer_costs_the_browser_nothing_and_is_told(
    secure: SecureHeaders, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = "postgresql+psycopg://x:hidden@127.0.0.1:1/x"
    app = make_app(
        secure,
        SECURE_REPORTS=nowhere,
        SECURE_REPORTS_DELAY=60,
        SECURE_REPORTS_MAX_GROUPS=2,
    )
    for line in range(4):
        body = {**CSP["csp-report"], "line-number": line}
        report = {"csp-report": body}
        assert _send(app, report, "csp-report").status_code == 204
    buffer = secure.state_of(app).buffer
    assert buffer is not None
    buffer.run()
    assert "Reports wait to be written" in caplog.text
    assert "hidden" not in caplog.text
    with pytest.raises(ReportStoreError):
        secure.reports(app)
    # It comes back: nothing that waited is lost, and what had no room is counted.
    buffer.store = MemoryReports()
    assert len(secure.reports(app)) == 2
    assert secure.ledger(app).lost == {"evicted": 2}


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
    assert len(secure.reports(app)) == 1
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
    assert len(secure.reports(app)) == 1
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
    assert "seen by 1 client(s) on 1 page(s)" in shown
    suggested = run(args=["secure", "suggest"]).output
    assert "append" not in suggested
    assert "only one client reported it" in suggested
    _send(app, CSP, "csp-report", environ_base={"REMOTE_ADDR": "192.0.2.7"})
    suggested = run(args=["secure", "suggest"]).output
    assert "img_src=append('https://cdn.example')" in suggested
    assert "caution: https://cdn.example is not this app" in suggested
    [group] = json.loads(run(args=["secure", "reports", "--json", "--clear"]).output)
    assert group["count"] == 2
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
