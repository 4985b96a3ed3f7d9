"""What is wrong with a policy, found before a browser finds it."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import difflib
import re
import typing as t

from flaskware_core import ConfigProblem
from flaskware_core import describe

from .lint_sources import lint_sources
from .policy import Policy
from .vocabulary import DIRECTIVES
from .vocabulary import DocumentIsolationPolicy
from .vocabulary import EmbedderPolicy
from .vocabulary import FEATURES
from .vocabulary import IntegrityDestination
from .vocabulary import OpenerPolicy
from .vocabulary import OPTIONAL_VALUE
from .vocabulary import ReferrerPolicyToken
from .vocabulary import ResourcePolicy
from .vocabulary import RETIRED
from .vocabulary import SANDBOX_FLAGS
from .vocabulary import SOURCE_LISTS
from .vocabulary import VALUELESS


@dc.dataclass(frozen=True)
class PolicyProblem(ConfigProblem):
    """Something in a policy that browsers ignore, refuse or read otherwise.

    :param code: Stable, such as ``"csp.unknown-directive"``.
    """

    code: str = ""

    def __str__(self) -> str:
        head, *rest = super().__str__().split("\n")
        return "\n".join([f"{head}  ({self.code})", *rest])


_KEYWORD = re.compile(r"'\S+'")
Problems: t.TypeAlias = cabc.Iterator[PolicyProblem]

# Servers and proxies stop reading a header line at 8 KiB (nginx, Apache, gunicorn).
_LONGEST = 8000
_REPORT_ONLY_IGNORES = frozenset({"sandbox", "upgrade-insecure-requests"})
_HEADER_VALUES: dict[str, tuple[str, frozenset[str]]] = {
    "referrer": ("Referrer-Policy", frozenset(t.get_args(ReferrerPolicyToken))),
    "coop": ("Cross-Origin-Opener-Policy", frozenset(t.get_args(OpenerPolicy))),
    "coep": ("Cross-Origin-Embedder-Policy", frozenset(t.get_args(EmbedderPolicy))),
    "corp": ("Cross-Origin-Resource-Policy", frozenset(t.get_args(ResourcePolicy))),
    "coop_report_only": (
        "Cross-Origin-Opener-Policy",
        frozenset(t.get_args(OpenerPolicy)),
    ),
    "coep_report_only": (
        "Cross-Origin-Embedder-Policy",
        frozenset(t.get_args(EmbedderPolicy)),
    ),
    "document_isolation": (
        "Document-Isolation-Policy",
        frozenset(t.get_args(DocumentIsolationPolicy)),
    ),
}
_DESTINATIONS = frozenset(t.get_args(IntegrityDestination))
_MANAGED = {
    "content-security-policy": "csp",
    "content-security-policy-report-only": "csp_report_only",
    "permissions-policy": "permissions",
    "referrer-policy": "referrer",
    "cross-origin-opener-policy": "coop",
    "cross-origin-embedder-policy": "coep",
    "cross-origin-resource-policy": "corp",
    "cross-origin-opener-policy-report-only": "coop_report_only",
    "cross-origin-embedder-policy-report-only": "coep_report_only",
    "document-isolation-policy": "document_isolation",
    "integrity-policy": "integrity",
    "integrity-policy-report-only": "integrity_report_only",
    "access-control-allow-origin": "cors",
    "access-control-allow-credentials": "cors",
    "vary": "the response of the view",
    "x-content-type-options": "nosniff",
    "reporting-endpoints": "reporting_endpoints",
    "strict-transport-security": "the setting SECURE_HSTS_SECONDS",
}
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NOT_IN_A_VALUE = re.compile(r"[^\t\x20-\x7e]")
_ORIGIN = re.compile(r"https?://(\*\.)?[A-Za-z0-9.-]+(:\d+)?")
_ENDPOINT_NAME = re.compile(r"[a-z*][a-z0-9_.*-]*")
_ENDPOINT_URL = re.compile(r"(https://|/)[\x21\x23-\x5b\x5d-\x7e]*")
_TOKENS: dict[str, tuple[str, re.Pattern[str], frozenset[str]]] = {
    "require-trusted-types-for": (
        "'script'",
        re.compile("'script'"),
        frozenset({"'script'"}),
    ),
    "sandbox": (
        "a sandbox flag",
        re.compile("|".join(sorted(SANDBOX_FLAGS))),
        SANDBOX_FLAGS,
    ),
    "trusted-types": (
        "a policy name of letters, digits and -#=_/@.%",
        re.compile(r"'none'|'allow-duplicates'|\*|[A-Za-z0-9\-#=_/@.%]+"),
        frozenset(),
    ),
}


def lint(policy: Policy) -> Problems:
    """Yield everything that is wrong in a policy."""
    yield from _lint_csp(policy, "csp", policy.csp)
    yield from _lint_csp(
        policy, "csp_report_only", policy.csp_report_only, report_only=True
    )
    for number, more in enumerate(policy.also):
        yield from _lint_csp(
            policy, f"also[{number}]", more.directives, report_only=more.report_only
        )
    yield from _lint_permissions(policy)
    for attribute in _HEADER_VALUES:
        yield from _lint_value(attribute, getattr(policy, attribute))
    yield from _lint_endpoints(policy)
    yield from _lint_extra(policy)
    yield from _lint_integrity(policy)
    if policy.cors is not None:
        for code, expected, given, write in policy.cors.complaints():
            yield PolicyProblem("cors", expected, describe(given), write, code=code)


def _lint_csp(
    policy: Policy,
    attribute: str,
    csp: cabc.Mapping[str, tuple[str, ...]],
    *,
    report_only: bool = False,
) -> Problems:
    for directive, sources in csp.items():
        key = f"{attribute}[{directive!r}]"
        if directive not in DIRECTIVES:
            yield _unknown_directive(key, directive)
            continue
        if report_only and directive in _REPORT_ONLY_IGNORES:
            yield PolicyProblem(
                key,
                "a directive that counts in a report-only policy",
                describe(directive),
                f"move {directive} to csp",
                code="csp.not-in-report-only",
            )
        for code, expected, given, write in _lint_directive(policy, directive, sources):
            # The quotes of a keyword belong to it, and so stand inside of others.
            text = f'"{write}"' if _KEYWORD.fullmatch(write) else write
            yield PolicyProblem(key, expected, describe(given), text, code=code)
    length = sum(len(" ".join((name, *sources))) + 2 for name, sources in csp.items())
    if length > _LONGEST:
        yield PolicyProblem(
            attribute,
            f"at most {_LONGEST} characters: proxies refuse a longer header line",
            f"{length} characters",
            "name hosts by a wildcard, or scripts by nonce instead of by hash",
            code="csp.too-long",
        )


def _lint_directive(
    policy: Policy, directive: str, sources: tuple[str, ...]
) -> cabc.Iterator[tuple[str, str, str, str]]:
    if directive in VALUELESS:
        if sources:
            yield (
                "csp.value-not-allowed",
                "nothing: the directive stands alone",
                " ".join(sources),
                f"{directive!r}: []",
            )
        return
    if not sources and directive not in OPTIONAL_VALUE:
        yield (
            "csp.empty",
            "at least one source",
            "",
            "'none' to allow nothing, or None to drop the directive",
        )
    unsafe = [s for s in sources if _breaks_out(s)]
    for source in unsafe:
        yield (
            "csp.injection",
            "a source without blanks, control characters, ';' or ','",
            source,
            "one item a source; in a URL write %3B for ';' and %2C for ','",
        )
    safe = tuple(s for s in sources if s not in unsafe)
    if directive in SOURCE_LISTS:
        yield from lint_sources(directive, safe)
    else:
        yield from _lint_tokens(policy, directive, safe)


def _breaks_out(source: str) -> bool:
    return not source or any(not "!" <= c <= "~" or c in ";," for c in source)


def _lint_tokens(
    policy: Policy, directive: str, tokens: tuple[str, ...]
) -> cabc.Iterator[tuple[str, str, str, str]]:
    for token in tokens:
        if directive == "report-to" and token not in policy.reporting_endpoints:
            yield (
                "csp.unknown-endpoint",
                "a name in reporting_endpoints",
                token,
                f"reporting_endpoints={{{token!r}: '/reports'}}",
            )
        elif directive in _TOKENS and not _TOKENS[directive][1].fullmatch(token):
            expected, _, known = _TOKENS[directive]
            write = _closest(token, known) if known else expected
            yield "csp.unknown-keyword", expected, token, write


def _lint_permissions(policy: Policy) -> Problems:
    for feature, allowed in policy.permissions.items():
        key = f"permissions[{feature!r}]"
        if feature not in FEATURES:
            yield PolicyProblem(
                key,
                "a feature that browsers know",
                describe(feature),
                _closest(feature, FEATURES),
                code="permissions.unknown-feature",
            )
        if "*" in allowed and len(allowed) > 1:
            yield PolicyProblem(
                key,
                "'*' alone: it already allows everybody",
                describe(" ".join(allowed)),
                "['*']",
                code="permissions.wildcard-beside-others",
            )
        for member in allowed:
            if member not in {"*", "self", "src"} and not _ORIGIN.fullmatch(member):
                write = "self" if member == "'self'" else "https://host, or [] for none"
                yield PolicyProblem(
                    key,
                    "self, '*' or an origin; [] allows nobody",
                    describe(member),
                    write,
                    code="permissions.bad-member",
                )


def _lint_value(attribute: str, value: str | None) -> Problems:
    header, known = _HEADER_VALUES[attribute]
    if value is None:
        return
    # Referrer-Policy alone is a list: browsers take the last one that they know.
    parts = value.split(", ") if attribute == "referrer" else [value]
    for part in parts:
        if part not in known:
            yield PolicyProblem(
                attribute,
                f"a value of {header}",
                describe(part),
                _closest(part, known),
                code="header.unknown-value",
            )


def _lint_endpoints(policy: Policy) -> Problems:
    for name, url in policy.reporting_endpoints.items():
        if not (_ENDPOINT_NAME.fullmatch(name) and _ENDPOINT_URL.fullmatch(url)):
            yield PolicyProblem(
                f"reporting_endpoints[{name!r}]",
                "a name in lower case, and an https URL or a path",
                describe(url),
                "{'csp': '/reports'}",
                code="header.bad-endpoint",
            )


def _lint_extra(policy: Policy) -> Problems:
    for name, value in policy.extra.items():
        key = f"extra[{name!r}]"
        if (field := _MANAGED.get(name.lower())) is not None:
            yield PolicyProblem(
                key,
                "a header that the policy has no field for",
                describe(name),
                f"use {field}",
                code="header.managed",
            )
        elif not _TOKEN.fullmatch(name) or _NOT_IN_A_VALUE.search(value):
            yield PolicyProblem(
                key,
                "a header name, and a value of one line in ASCII",
                describe(value),
                "remove line ends and control characters",
                code="header.injection",
            )


def _lint_integrity(policy: Policy) -> Problems:
    for attribute in ("integrity", "integrity_report_only"):
        for destination in getattr(policy, attribute):
            if destination not in _DESTINATIONS:
                yield PolicyProblem(
                    attribute,
                    "a destination that Integrity-Policy knows",
                    describe(destination),
                    _closest(destination, _DESTINATIONS),
                    code="integrity.unknown-destination",
                )


def _unknown_directive(key: str, directive: str) -> PolicyProblem:
    if (instead := RETIRED.get(directive)) is not None:
        return PolicyProblem(
            key,
            "a directive that browsers still know",
            describe(directive),
            instead,
            code="csp.retired-directive",
        )
    return PolicyProblem(
        key,
        "a directive that browsers know",
        describe(directive),
        _closest(directive.lower().replace("_", "-"), DIRECTIVES),
        code="csp.unknown-directive",
    )


def _closest(name: str, known: cabc.Collection[str]) -> str:
    matches = difflib.get_close_matches(name.lower(), sorted(known), n=1, cutoff=0.5)
    return matches[0] if matches else f"one of {', '.join(sorted(known))}"
