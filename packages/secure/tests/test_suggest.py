from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaskware_core.testing import make_app
from flaskware_secure import append
from flaskware_secure import Policy
from flaskware_secure import ReportGroup
from flaskware_secure import SecureHeaders
from flaskware_secure import Suggestion
from flaskware_secure import Trial
from flaskware_secure._policy.inline import hash_source
from flaskware_secure._policy.lint import lint
from flaskware_secure._policy.vocabulary import DIRECTIVES
from flaskware_secure._reports.report import Report
from flaskware_secure._reports.suggest import suggest

HOSTS = Policy.strict(script_src=["'self'"])


def _group(subject: str, blocked: str, count: int = 1, **more: t.Any) -> ReportGroup:
    clients = more.pop("clients", ("a", "b"))
    fields = {"kind": "csp", "disposition": "enforce", **more}
    page = "http://localhost/page"
    report = Report(subject=subject, blocked=blocked, document=page, **fields)
    return ReportGroup(report, count, 1.0, 2.0, clients, (page,))


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
    policy = _followed(HOSTS, found)
    make_app(SecureHeaders(policy=policy))
    assert source in policy.csp[directive]
    # What is not the app's has a caution.
    foreign = "://" in source or source == "'unsafe-eval'"
    assert any(source in caution for caution in found.cautions) == foreign


def _followed(policy: Policy, suggestion: Suggestion) -> Policy:
    """Return a policy with the change that a suggestion says to write."""
    return t.cast(
        "Policy",
        eval(  # what we printed ourselves
            f"policy.changed({suggestion.change})", {"policy": policy, "append": append}
        ),
    )


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


@pytest.mark.parametrize("report_only", [True, False])
@pytest.mark.parametrize(
    ("disposition", "argument"),
    [("enforce", "permissions"), ("report", "permissions_report_only")],
)
def test_a_permission_on_trial_is_changed_where_it_is_tried_out(
    disposition: str, argument: str, report_only: bool
) -> None:
    group = _group("usb", "", kind="permissions", disposition=disposition)
    [found] = suggest([group], HOSTS, report_only=report_only)
    assert found.change == f"{argument}={{'usb': ['self']}}"


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


def test_a_trial_is_clean_since_the_last_time_that_is_not_known_to_be_clean() -> None:
    assert Trial(1.5).clean_since == 1.5
    assert Trial(1.5, 2.0).clean_since == 2.0
    assert Trial(3.0, 2.0).clean_since == 3.0
    assert Trial(1.0, 2.0, 4.0).clean_since == 4.0


def test_what_one_client_says_is_withheld() -> None:
    alone = _group("img-src", "https://evil.example", clients=("a",))
    [found] = suggest([alone], HOSTS)
    assert (found.sources, found.change, found.clients, found.pages) == ((), "", 1, 1)
    [withheld] = found.withheld
    assert withheld.source == "https://evil.example"
    assert "one client" in withheld.reason
    # The same from another script counts, and from another page.
    other = _group("img-src", "https://evil.example", clients=("b",), line=7)
    [found] = suggest([alone, other], HOSTS)
    assert found.sources == ("https://evil.example",)
    assert [found.clients, found.withheld] == [2, ()]
    [found] = suggest([alone], HOSTS, min_clients=1)
    assert found.sources == ("https://evil.example",)


def test_lint_judges_each_suggestion() -> None:
    # Beside a nonce, hosts are fine; beside 'unsafe-inline', a hash is not.
    loose = Policy.strict(script_src=["'self'", "'unsafe-inline'"])
    [found] = suggest(
        [_group("script-src-elem", "inline", code_hash=hash_source("go()"))], loose
    )
    assert found.sources == ()
    assert "csp.unsafe-inline-cancelled" in found.withheld[0].reason


def test_a_host_that_serves_anybodys_scripts_weakens() -> None:
    found = _one("script-src-elem", "https://cdn.jsdelivr.net")
    assert any("weakens" in caution for caution in found.cautions)


def test_hashes_of_inline_code_are_suggested_with_their_cost() -> None:
    code = "return confirm('Delete?')"
    found = _one("script-src-attr", "inline", code_hash=hash_source(code), sample=code)
    assert found.sources == ("'unsafe-hashes'", hash_source(code))
    assert found.change.startswith("script_src_attr=[")
    assert any("injected markup" in caution for caution in found.cautions)
    assert "at the first click" in found.effect
    policy = _followed(HOSTS, found)
    assert policy.csp["script-src-attr"] == found.sources
    assert not [*lint(policy)]


def test_what_stops_working_is_said_of_each_directive_that_code_relies_on() -> None:
    for subject in ("script-src-attr", "script-src-elem", "form-action", "connect-src"):
        assert _one(subject, "https://a.example").effect.startswith("Where it is")


_blocked = (
    st.sampled_from(["inline", "eval", "wasm-eval", "self", "data", "blob", "ws", ""])
    | st.text(max_size=30)
    | st.sampled_from(["https://", "http://", "wss://"]).flatmap(
        lambda scheme: st.text(max_size=20).map(scheme.__add__)
    )
)
_reports = st.builds(
    Report,
    kind=st.sampled_from(["csp", "permissions", "integrity", "coop"]),
    disposition=st.sampled_from(["enforce", "report"]),
    subject=st.sampled_from([*DIRECTIVES, "camera", "foo", "geolocation"]),
    blocked=_blocked,
    document=st.just("http://localhost/page"),
    sample=st.text(max_size=40),
    code_hash=st.sampled_from(["", hash_source("go()")]),
)
_policies = st.sampled_from(
    [HOSTS, Policy.strict(), Policy.legacy(), Policy.api(), Policy()]
)


@given(st.lists(_reports, max_size=6), _policies)
def test_whatever_is_reported_a_suggestion_is_right_and_says_what_it_allows(
    reports: list[Report], policy: Policy
) -> None:
    groups = [
        ReportGroup(report, 1, 1.0, 2.0, ("a", "b"), (report.document,))
        for report in reports
        if report.is_plausible
    ]
    before = {(each.key, each.code) for each in lint(policy)}
    for found in suggest(groups, policy):
        if not found.sources:
            assert found.advice or found.withheld
            continue
        changed = _followed(policy, found)
        assert {(each.key, each.code) for each in lint(changed)} <= before
        for source in found.sources:
            assert "*" not in source
            assert source not in {"http:", "https:", "'unsafe-inline'"}
            if "://" in source:
                assert any(source in caution for caution in found.cautions)
