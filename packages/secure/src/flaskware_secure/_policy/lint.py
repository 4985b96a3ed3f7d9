"""Lint of a policy: mistakes that browsers ignore, refuse or read otherwise."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import re
import typing as t

from flaskware_core import closest
from flaskware_core import ConfigProblem
from flaskware_core import describe

from .parsing import parse_csp
from .parsing import repeated_directives
from .policy import Policy
from .vocabulary import Complaint
from .vocabulary import DIRECTIVES
from .vocabulary import Directives
from .vocabulary import DocumentIsolationPolicy
from .vocabulary import EmbedderPolicy
from .vocabulary import FEATURES
from .vocabulary import IntegrityDestination
from .vocabulary import KEYWORDS
from .vocabulary import NONCE
from .vocabulary import NONCE_DIRECTIVES
from .vocabulary import NONCE_SOURCE
from .vocabulary import OpenerPolicy
from .vocabulary import OPTIONAL_VALUE
from .vocabulary import ReferrerPolicyToken
from .vocabulary import ResourcePolicy
from .vocabulary import RETIRED
from .vocabulary import RETIRED_KEYWORDS
from .vocabulary import SANDBOX_FLAGS
from .vocabulary import SCRIPT_DIRECTIVES
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


Complaints: t.TypeAlias = cabc.Iterator[Complaint]
Keyed: t.TypeAlias = cabc.Iterator[tuple[str, Complaint]]
Problems: t.TypeAlias = cabc.Iterator[PolicyProblem]

# Servers and proxies stop reading a header line at 8 KiB (nginx, Apache, gunicorn).
_LONGEST = 8000
_REPORT_ONLY_IGNORES = frozenset({"sandbox", "upgrade-insecure-requests"})
_HEADER_VALUES: dict[str, tuple[str, frozenset[str]]] = {
    attribute: (header, frozenset(t.get_args(values)))
    for attribute, header, values in (
        ("referrer", "Referrer-Policy", ReferrerPolicyToken),
        ("coop", "Cross-Origin-Opener-Policy", OpenerPolicy),
        ("coep", "Cross-Origin-Embedder-Policy", EmbedderPolicy),
        ("corp", "Cross-Origin-Resource-Policy", ResourcePolicy),
        ("coop_report_only", "Cross-Origin-Opener-Policy", OpenerPolicy),
        ("coep_report_only", "Cross-Origin-Embedder-Policy", EmbedderPolicy),
        ("document_isolation", "Document-Isolation-Policy", DocumentIsolationPolicy),
    )
}
_DESTINATIONS = frozenset(t.get_args(IntegrityDestination))
_MANAGED = {
    "content-security-policy": "csp",
    "content-security-policy-report-only": "csp_report_only",
    "permissions-policy": "permissions",
    "permissions-policy-report-only": "permissions_report_only",
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
_KEYWORD = re.compile(r"'\S+'")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NOT_IN_A_VALUE = re.compile(r"[^\t\x20-\x7e]")
_ORIGIN = re.compile(r"https?://(\*\.)?[A-Za-z0-9.-]+(:\d+)?")
_ENDPOINT_NAME = re.compile(r"[a-z*][a-z0-9_.*-]*")
_ENDPOINT_URL = re.compile(r"(https://|/)[\x21\x23-\x5b\x5d-\x7e]*")
# By directive: a description, the pattern, and the tokens if they are a closed set.
_TOKENS: dict[str, tuple[str, str, frozenset[str]]] = {
    "require-trusted-types-for": ("'script'", "'script'", frozenset({"'script'"})),
    "sandbox": ("a sandbox flag", "|".join(sorted(SANDBOX_FLAGS)), SANDBOX_FLAGS),
    "trusted-types": (
        "a policy name of letters, digits and -#=_/@.%",
        r"'none'|'allow-duplicates'|\*|[A-Za-z0-9\-#=_/@.%]+",
        frozenset(),
    ),
}
_HASH = re.compile(r"'sha(256|384|512)-[A-Za-z0-9+/_-]+={0,2}'")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_HOST = re.compile(
    r"([A-Za-z][A-Za-z0-9+.-]*://)?"
    r"(\*|(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*)"
    r"(:(\d+|\*))?"
    r"(/[^?#]*)?"
)
_BARE_SCHEMES = frozenset(
    {"blob", "data", "filesystem", "http", "https", "mediastream", "ws", "wss"}
)
_FIXED_NONCE = re.compile(r"'nonce-.*'")


def lint(policy: Policy) -> Problems:
    """Yield everything that is wrong in a policy."""
    csps = [
        ("csp", policy.csp, False),
        ("csp_report_only", policy.csp_report_only, True),
        *(
            (f"also[{number}]", more.directives, more.report_only)
            for number, more in enumerate(policy.also)
        ),
    ]
    endpoints = policy.reporting_endpoints
    for attribute, csp, report_only in csps:
        for directive, complaint in lint_csp(csp, endpoints, report_only=report_only):
            key = f"{attribute}[{directive!r}]" if directive else attribute
            yield from _problems([(key, complaint)])
    yield from _problems(_lint_permissions("permissions", policy.permissions))
    trial = policy.permissions_report_only
    yield from _problems(_lint_permissions("permissions_report_only", trial))
    yield from _problems(_lint_values(policy))
    yield from _problems(_lint_endpoints(policy))
    yield from _problems(_lint_extra(policy))
    yield from _problems(_lint_integrity(policy))
    if policy.cors is not None:
        yield from _problems(("cors", each) for each in policy.cors.complaints())


def _problems(
    found: cabc.Iterable[tuple[str, Complaint]],
) -> cabc.Iterator[PolicyProblem]:
    for key, (code, expected, given, write) in found:
        # The quotes of a keyword belong to it, so it stands in further quotes.
        text = f'"{write}"' if _KEYWORD.fullmatch(write) else write
        yield PolicyProblem(key, expected, describe(given), text, code=code)


def lint_csp(
    csp: Directives, endpoints: cabc.Container[str], *, report_only: bool = False
) -> Keyed:
    """Yield what is wrong in one CSP, with the directive; empty for the whole policy.

    :param endpoints: The names that ``report-to`` may have.
    """
    for directive, sources in csp.items():
        if directive not in DIRECTIVES:
            yield directive, _unknown_directive(directive)
            continue
        if report_only and directive in _REPORT_ONLY_IGNORES:
            expected = "a directive that counts in a report-only policy"
            write = f"move {directive} to csp"
            yield directive, ("csp.not-in-report-only", expected, directive, write)
        for complaint in _lint_directive(endpoints, directive, sources):
            yield directive, complaint
    length = sum(len(" ".join((name, *sources))) + 2 for name, sources in csp.items())
    if length > _LONGEST:
        expected = f"at most {_LONGEST} characters: proxies refuse a longer header line"
        write = "name hosts by a wildcard, or scripts by nonce instead of by hash"
        yield "", ("csp.too-long", expected, f"{length} characters", write)


def lint_value(
    value: str, endpoints: cabc.Container[str], *, report_only: bool = False
) -> Keyed:
    """Yield what is wrong in a CSP as it was sent, as :func:`lint_csp` does."""
    for name in repeated_directives(value):
        expected = "each directive once: browsers ignore the second"
        write = f"one {name} with the sources of both"
        yield name, ("csp.repeated-directive", expected, name, write)
    csp = parse_csp(NONCE_SOURCE.sub(NONCE, value))
    yield from lint_csp(csp, endpoints, report_only=report_only)


def _unknown_directive(directive: str) -> Complaint:
    if (instead := RETIRED.get(directive)) is not None:
        expected = "a directive that browsers still know"
        return "csp.retired-directive", expected, directive, instead
    expected = "a directive that browsers know"
    write = _closest(directive.replace("_", "-"), DIRECTIVES)
    return "csp.unknown-directive", expected, directive, write


def _lint_directive(
    endpoints: cabc.Container[str], directive: str, sources: tuple[str, ...]
) -> Complaints:
    if directive in VALUELESS:
        if sources:
            expected, given = "nothing: the directive stands alone", " ".join(sources)
            yield "csp.value-not-allowed", expected, given, f"{directive!r}: []"
        return
    if not sources and directive not in OPTIONAL_VALUE:
        write = "'none' to allow nothing, or None to drop the directive"
        yield "csp.empty", "at least one source", "", write
    unsafe = [s for s in sources if _breaks_out(s)]
    for source in unsafe:
        expected = "a source without blanks, control characters, ';' or ','"
        write = "one item per source; in a URL write %3B for ';' and %2C for ','"
        yield "csp.injection", expected, source, write
    safe = tuple(s for s in sources if s not in unsafe)
    if directive in SOURCE_LISTS:
        for source in safe:
            if (complaint := _lint_source(directive, source)) is not None:
                yield complaint
        yield from _lint_combination(directive, safe)
    else:
        yield from _lint_tokens(endpoints, directive, safe)


def _breaks_out(source: str) -> bool:
    return not source or any(not "!" <= c <= "~" or c in ";," for c in source)


def _lint_tokens(
    endpoints: cabc.Container[str], directive: str, tokens: tuple[str, ...]
) -> Complaints:
    for token in tokens:
        if directive == "report-to" and token not in endpoints:
            write = f"reporting_endpoints={{{token!r}: '/reports'}}"
            expected = "a name in reporting_endpoints"
            yield "csp.unknown-endpoint", expected, token, write
        elif directive in _TOKENS:
            expected, pattern, known = _TOKENS[directive]
            if not re.fullmatch(pattern, token):
                write = _closest(token, known) if known else expected
                yield "csp.unknown-keyword", expected, token, write


def _lint_source(directive: str, source: str) -> Complaint | None:
    if source.startswith("'") or source.endswith("'"):
        return _lint_quoted(directive, source)
    quoted = f"'{source.lower()}'"
    if quoted in KEYWORDS:
        expected = "a keyword in single quotes; without, it names a host"
        return "csp.unquoted-keyword", expected, source, quoted
    if _HASH.fullmatch(f"'{source}'") or source.startswith("nonce-"):
        expected = "a hash or nonce in single quotes; without, it names a host"
        return "csp.unquoted-keyword", expected, source, f"'{source}'"
    if source.lower() in RETIRED_KEYWORDS:
        expected = "a keyword that browsers know, in single quotes"
        write = RETIRED_KEYWORDS[source.lower()]
        return "csp.unquoted-keyword", expected, source, write
    if source.lower() in DIRECTIVES or source.lower() in RETIRED:
        expected = "a source; this is a directive, so a ';' may be missing before it"
        return "csp.missing-semicolon", expected, source, f"a key {source!r} of its own"
    if source.lower() in _BARE_SCHEMES:
        expected = "a scheme with its colon; without, it names a host"
        return "csp.scheme-without-colon", expected, source, f"{source}:"
    if _SCHEME.fullmatch(source) or _HOST.fullmatch(source):
        return None
    expected = "a host, an origin, a scheme with its colon or a quoted keyword"
    return "csp.bad-source", expected, source, "https://cdn.example"


def _lint_quoted(directive: str, source: str) -> Complaint | None:
    if _FIXED_NONCE.fullmatch(source):
        expected = f"{NONCE}: a nonce written down is known to everybody"
        return "csp.fixed-nonce", expected, source, NONCE
    is_hash = _HASH.fullmatch(source) is not None
    if not is_hash and source not in KEYWORDS:
        expected, write = "a keyword that browsers know", _closest(source, KEYWORDS)
        return "csp.unknown-keyword", expected, source, write
    if source == NONCE and directive not in NONCE_DIRECTIVES:
        expected = "a directive for scripts or styles; others take no nonce"
    elif source == "'strict-dynamic'" and directive not in SCRIPT_DIRECTIVES:
        expected = "a directive for scripts; others ignore it"
    elif directive == "frame-ancestors" and source not in {"'self'", "'none'"}:
        expected = "'self', 'none' or origins"
    else:
        return None
    return "csp.misplaced-keyword", expected, source, f"remove {source} here"


def _lint_combination(directive: str, sources: tuple[str, ...]) -> Complaints:
    vouched = NONCE in sources or any(_HASH.fullmatch(s) for s in sources)
    dynamic = "'strict-dynamic'" in sources
    given = " ".join(sources)
    if "'none'" in sources and len(sources) > 1:
        expected = "'none' alone; beside others browsers ignore it"
        write = "remove 'none', or the others"
        yield "csp.none-beside-others", expected, given, write
    if "'unsafe-inline'" in sources and (vouched or dynamic):
        code, write = "csp.unsafe-inline-cancelled", "remove 'unsafe-inline'"
        expected = "'unsafe-inline' or a nonce or hash; beside those browsers ignore it"
        yield code, expected, given, write
    if dynamic and directive in SCRIPT_DIRECTIVES and not vouched:
        expected = (
            "a nonce or hash beside 'strict-dynamic'; alone it blocks every script"
        )
        yield "csp.strict-dynamic-alone", expected, given, f"add {NONCE}"


def _lint_permissions(attribute: str, permissions: Directives) -> Keyed:
    for feature, allowed in permissions.items():
        key = f"{attribute}[{feature!r}]"
        if feature not in FEATURES:
            code, expected = (
                "permissions.unknown-feature",
                "a feature that browsers know",
            )
            yield key, (code, expected, feature, _closest(feature, FEATURES))
        if "*" in allowed and len(allowed) > 1:
            code = "permissions.wildcard-beside-others"
            expected = "'*' alone: it already allows everybody"
            yield key, (code, expected, " ".join(allowed), "['*']")
        for member in allowed:
            if member not in {"*", "self", "src"} and not _ORIGIN.fullmatch(member):
                expected = "self, '*' or an origin; [] allows nobody"
                write = "self" if member == "'self'" else "https://host, or [] for none"
                yield key, ("permissions.bad-member", expected, member, write)


def _lint_values(policy: Policy) -> Keyed:
    for attribute, (header, known) in _HEADER_VALUES.items():
        value: str | None = getattr(policy, attribute)
        if value is None:
            continue
        # Only Referrer-Policy is a list: browsers take the last value that they know.
        for part in value.split(", ") if attribute == "referrer" else [value]:
            if part not in known:
                code, expected = "header.unknown-value", f"a value of {header}"
                yield attribute, (code, expected, part, _closest(part, known))


def _lint_endpoints(policy: Policy) -> Keyed:
    for name, url in policy.reporting_endpoints.items():
        if not (_ENDPOINT_NAME.fullmatch(name) and _ENDPOINT_URL.fullmatch(url)):
            key, write = f"reporting_endpoints[{name!r}]", "{'csp': '/reports'}"
            expected = "a name in lower case, and an https URL or a path"
            yield key, ("header.bad-endpoint", expected, url, write)


def _lint_extra(policy: Policy) -> Keyed:
    for name, value in policy.extra.items():
        key = f"extra[{name!r}]"
        if (field := _MANAGED.get(name.lower())) is not None:
            expected = "a header that the policy has no field for"
            yield key, ("header.managed", expected, name, f"use {field}")
        elif not _TOKEN.fullmatch(name) or _NOT_IN_A_VALUE.search(value):
            expected = "a header name, and a value of one line in ASCII"
            write = "remove line ends and control characters"
            yield key, ("header.injection", expected, value, write)


def _lint_integrity(policy: Policy) -> Keyed:
    for attribute in ("integrity", "integrity_report_only"):
        for given in getattr(policy, attribute):
            if given not in _DESTINATIONS:
                code = "integrity.unknown-destination"
                expected = "a destination that Integrity-Policy knows"
                yield attribute, (code, expected, given, _closest(given, _DESTINATIONS))


def _closest(name: str, known: cabc.Collection[str]) -> str:
    return closest(name, sorted(known)) or f"one of {', '.join(sorted(known))}"
