from __future__ import annotations

import typing as t

import pytest

from flaskware_core.testing import make_app
from flaskware_secure import append
from flaskware_secure import Policy
from flaskware_secure import Report
from flaskware_secure import ReportGroup
from flaskware_secure import SecureHeaders
from flaskware_secure import Suggestion
from flaskware_secure._reports.suggest import clean_since
from flaskware_secure._reports.suggest import suggest

HOSTS = Policy.strict(script_src=["'self'"])


def _group(subject: str, blocked: str, count: int = 1, **more: t.Any) -> ReportGroup:
    fields = {"kind": "csp", "disposition": "enforce", **more}
    report = Report(
        subject=subject, blocked=blocked, document="http://localhost/page", **fields
    )
    return ReportGroup(report, count, 1.0, 2.0)


def _one(
    subject: str, blocked: str, policy: Policy = HOSTS, **more: t.Any
) -> Suggestion:
    [found] = suggest([_group(subject, blocked, **more)], policy)
    return found


@pytest.mark.parametrize(
    ("subject", "blocked", "directive", "source"),
    [
        ("img-src", "https://cdn.example", "img-src", "https://cdn.example"),
        ("img-src", "data", "img-src", "data:"),
        ("media-src", "blob", "media-src", "blob:"),
        ("font-src", "http://localhost", "font-src", "'self'"),
        ("connect-src", "self", "connect-src", "'self'"),
        ("script-src-elem", "https://cdn.example", "script-src", "https://cdn.example"),
        ("style-src-elem", "https://cdn.example", "style-src", "https://cdn.example"),
        ("script-src", "wasm-eval", "script-src", "'wasm-unsafe-eval'"),
        ("script-src", "eval", "script-src", "'unsafe-eval'"),
        (
            "frame-ancestors",
            "https://a.example",
            "frame-ancestors",
            "https://a.example",
        ),
        ("form-action", "https://pay.example", "form-action", "https://pay.example"),
    ],
)
def test_a_source_is_suggested_where_it_ends_the_report(
    subject: str, blocked: str, directive: str, source: str
) -> None:
    found = _one(subject, blocked)
    assert (found.directive, found.sources) == (directive, (source,))
    # Taken as it is, it makes a policy that is right.
    changes: t.Any = {directive: append(*found.sources)}
    policy = HOSTS.changed(csp=changes)
    make_app(SecureHeaders(policy=policy))
    assert source in policy.csp[directive]


@pytest.mark.parametrize(
    ("subject", "blocked", "policy", "advice"),
    [
        ("script-src-elem", "inline", HOSTS, "csp_nonce()"),
        ("style-src-elem", "inline", HOSTS, "csp_nonce()"),
        ("script-src-attr", "inline", HOSTS, "into a script"),
        ("style-src-attr", "inline", HOSTS, "into a stylesheet"),
        ("script-src-elem", "data", HOSTS, "csp_nonce()"),
        # Beside 'strict-dynamic' a host would have no effect.
        ("script-src-elem", "https://cdn.example", Policy.strict(), "csp_nonce()"),
        ("require-trusted-types-for", "trusted-types-sink", HOSTS, "Trusted Types"),
    ],
)
def test_where_a_source_would_be_unsafe_or_void_the_page_is_to_change(
    subject: str, blocked: str, policy: Policy, advice: str
) -> None:
    found = _one(subject, blocked, policy)
    assert found.sources == ()
    assert advice in found.advice


def test_a_policy_of_trusted_types_is_suggested_by_its_name() -> None:
    found = _one("trusted-types", "trusted-types-policy", sample="dompurify")
    assert (found.directive, found.sources) == ("trusted-types", ("dompurify",))


@pytest.mark.parametrize(
    ("kind", "subject", "sources"),
    [
        ("permissions", "geolocation", ("self",)),
        ("integrity", "script", ()),
        ("coep", "corp", ()),
        ("deprecation", "UnloadHandler", ()),
    ],
)
def test_other_kinds_have_their_own_advice(
    kind: str, subject: str, sources: tuple[str, ...]
) -> None:
    found = _one(subject, "", kind=kind)
    assert (found.directive, found.sources) == (subject, sources)
    assert found.advice


def test_sources_of_a_directive_are_one_suggestion_and_most_comes_first() -> None:
    groups = [
        _group("img-src", "https://a.example", 2),
        _group("font-src", "https://f.example", 4),
        _group("img-src", "https://b.example", 3),
        _group("img-src", "https://a.example", 1, source="http://localhost/a.js"),
    ]
    images, fonts = suggest(groups, HOSTS)
    assert images.sources == ("https://a.example", "https://b.example")
    assert (images.count, fonts.count) == (6, 4)


def test_a_trial_is_judged_by_its_own_policy() -> None:
    policy = Policy.strict(csp_report_only={"script-src": ["'self'"]})
    enforced, trial = suggest(
        [
            _group("script-src-elem", "https://cdn.example", 2),
            _group("script-src-elem", "https://cdn.example", disposition="report"),
        ],
        policy,
    )
    assert (enforced.report_only, enforced.sources) == (False, ())
    assert (trial.report_only, trial.sources) == (True, ("https://cdn.example",))


def test_a_policy_is_clean_since_the_last_report_of_a_trial() -> None:
    enforced = _group("img-src", "https://a.example")
    trial = _group("img-src", "https://a.example", disposition="report")
    assert clean_since([], 1.5) == 1.5
    assert clean_since([enforced], 1.5) == 1.5
    assert clean_since([enforced, trial], 1.5) == 2.0
    assert clean_since([trial], 3.0) == 3.0
