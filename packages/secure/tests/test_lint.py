from __future__ import annotations

import typing as t

import hypothesis
import pytest
from hypothesis import strategies as st

from flaskware_core import ConfigError
from flaskware_core.testing import make_app
from flaskware_secure import Policy
from flaskware_secure import PolicyProblem
from flaskware_secure import SecureHeaders
from flaskware_secure.testing import csp_of


def _problems(**settings: t.Any) -> list[PolicyProblem]:
    with pytest.raises(ConfigError) as caught:
        make_app(SecureHeaders(**settings))
    return t.cast("list[PolicyProblem]", list(caught.value.problems))


@pytest.mark.parametrize(
    ("directive", "sources", "code", "write"),
    [
        ("scirpt-src", ["'self'"], "csp.unknown-directive", "script-src"),
        ("frame_ancestors", ["'self'"], "csp.unknown-directive", "frame-ancestors"),
        ("IMG-SRC", ["'self'"], "csp.unknown-directive", "img-src"),
        ("plugin-types", ["a/b"], "csp.retired-directive", "object-src 'none'"),
        ("img-src", ["self"], "csp.unquoted-keyword", "'self'"),
        ("img-src", ["NONE"], "csp.unquoted-keyword", "'none'"),
        ("script-src", ["nonce"], "csp.unquoted-keyword", "'nonce'"),
        (
            "script-src",
            ["sha256-aGFzaA=="],
            "csp.unquoted-keyword",
            "'sha256-aGFzaA=='",
        ),
        ("img-src", ["'slef'"], "csp.unknown-keyword", "'self'"),
        ("script-src", ["'unsafe-inlin'"], "csp.unknown-keyword", "'unsafe-inline'"),
        ("img-src", ["'self"], "csp.unknown-keyword", "'self'"),
        ("img-src", ["data"], "csp.scheme-without-colon", "data:"),
        ("img-src", ["https"], "csp.scheme-without-colon", "https:"),
        ("img-src", ["https:/cdn.example"], "csp.bad-source", "https://cdn.example"),
        ("img-src", ["cdn.*.example"], "csp.bad-source", "https://cdn.example"),
        ("img-src", ["'none'", "data:"], "csp.none-beside-others", "remove 'none'"),
        (
            "style-src",
            ["'nonce'", "'unsafe-inline'"],
            "csp.unsafe-inline-cancelled",
            "remove 'unsafe-inline'",
        ),
        (
            "script-src",
            ["'strict-dynamic'", "'self'"],
            "csp.strict-dynamic-alone",
            "add 'nonce'",
        ),
        ("script-src", ["'nonce-abc'"], "csp.fixed-nonce", "'nonce'"),
        ("script-src", ["'nonce-a'b'"], "csp.fixed-nonce", "'nonce'"),
        ("script-src", ["img-src"], "csp.missing-semicolon", "a key 'img-src'"),
        ("script-src", ["wasm-eval"], "csp.unquoted-keyword", "'wasm-unsafe-eval'"),
        ("img-src", ["'nonce'"], "csp.misplaced-keyword", "remove 'nonce'"),
        ("frame-ancestors", ["'unsafe-inline'"], "csp.misplaced-keyword", "remove"),
        ("style-src", ["'strict-dynamic'"], "csp.misplaced-keyword", "remove"),
        ("img-src", ["a;b"], "csp.injection", "%3B"),
        ("img-src", ["https://a.example, *"], "csp.injection", "%2C"),
        ("img-src", ["a\r\nSet-Cookie:x"], "csp.injection", "one item per source"),
        ("img-src", ["https://bücher.example"], "csp.injection", "one item"),
        ("img-src", [], "csp.empty", "'none'"),
        ("upgrade-insecure-requests", ["1"], "csp.value-not-allowed", ": []"),
        ("report-to", ["csp"], "csp.unknown-endpoint", "reporting_endpoints"),
        ("sandbox", ["allow-script"], "csp.unknown-keyword", "allow-scripts"),
        ("require-trusted-types-for", ["script"], "csp.unknown-keyword", "'script'"),
        ("trusted-types", ["a!b"], "csp.unknown-keyword", "a policy name"),
    ],
)
def test_a_wrong_directive_or_source_is_refused_with_what_to_write(
    directive: str, sources: list[str], code: str, write: str
) -> None:
    problems = _problems(csp={directive: sources})
    found = {problem.code: problem for problem in problems}
    assert code in found
    assert found[code].key == f"SECURE_CSP[{directive!r}]"
    assert write in found[code].write


@pytest.mark.parametrize(
    ("directive", "sources"),
    [
        ("img-src", ["*"]),
        ("img-src", ["*.cdn.example:*", "https://cdn.example:8443/a/b.png"]),
        ("img-src", ["blob:", "https:", "localhost:3000"]),
        ("connect-src", ["wss://socket.example"]),
        ("script-src", ["'sha384-aGFzaA'", "'strict-dynamic'", "'report-sample'"]),
        ("script-src", ["'self'", "'unsafe-inline'"]),
        ("sandbox", []),
        ("sandbox", ["allow-scripts", "allow-forms"]),
        ("trusted-types", ["dompurify", "'allow-duplicates'"]),
        ("report-uri", ["/reports?kind=csp"]),
    ],
)
def test_a_right_source_is_sent_as_written(directive: str, sources: list[str]) -> None:
    app = make_app(SecureHeaders(csp={directive: sources}))
    assert csp_of(app.test_client().get("/"))[directive] == tuple(sources)


@pytest.mark.parametrize(
    ("settings", "code", "write"),
    [
        ({"referrer": "no-refferer"}, "header.unknown-value", "no-referrer"),
        ({"coop": "same-orgin"}, "header.unknown-value", "same-origin"),
        ({"corp": "cross-orgin"}, "header.unknown-value", "cross-origin"),
        ({"coep": "require-crop"}, "header.unknown-value", "require-corp"),
        ({"extra": {"X-A": "a\r\nb"}}, "header.injection", "line ends"),
        ({"extra": {"X A": "a"}}, "header.injection", "line ends"),
        ({"extra": {"Referrer-Policy": "origin"}}, "header.managed", "use referrer"),
        (
            {"reporting_endpoints": {"csp": 'https://a.example/", x="'}},
            "header.bad-endpoint",
            "/reports",
        ),
        (
            {"csp_report_only": {"sandbox": []}},
            "csp.not-in-report-only",
            "move sandbox to csp",
        ),
        (
            {"permissions": {"gelocation": []}},
            "permissions.unknown-feature",
            "geolocation",
        ),
        ({"permissions": {"camera": ["'self'"]}}, "permissions.bad-member", "self"),
        (
            {"permissions_report_only": {"camera": ["'self'"]}},
            "permissions.bad-member",
            "self",
        ),
        (
            {"extra": {"Permissions-Policy-Report-Only": "usb=()"}},
            "header.managed",
            "use permissions_report_only",
        ),
        (
            {"permissions": {"camera": ["*", "self"]}},
            "permissions.wildcard-beside-others",
            "['*']",
        ),
    ],
)
def test_a_wrong_value_of_another_header_is_refused(
    settings: dict[str, t.Any], code: str, write: str
) -> None:
    [problem] = _problems(policy=Policy.strict(**settings))
    assert problem.code == code
    assert write in problem.write


def test_a_policy_of_100_kilobytes_is_refused() -> None:
    hosts = [f"https://host{number}.example" for number in range(4000)]
    [problem] = _problems(csp={"img-src": hosts})
    assert problem.code == "csp.too-long"
    assert len(str(problem)) < 500


@hypothesis.settings(database=None, deadline=None)
@hypothesis.given(st.lists(st.text(max_size=12), min_size=1, max_size=4))
def test_whatever_is_accepted_stays_within_its_directive(sources: list[str]) -> None:
    try:
        app = make_app(SecureHeaders(csp={"img-src": sources}))
    except ConfigError:
        return
    response = app.test_client().get("/")
    csp = csp_of(response)
    assert csp["img-src"] == tuple(dict.fromkeys(sources))
    assert list(csp) == list(csp_of(make_app(SecureHeaders()).test_client().get("/")))


def test_every_preset_is_free_of_problems() -> None:
    presets = (
        Policy.strict(),
        Policy.api(),
        Policy.legacy(),
        Policy.embedded(["https://partner.example"]),
    )
    for policy in presets:
        make_app(SecureHeaders(policy=policy))
