"""Compiled policies: header lines, serialized once."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import types
import typing as t

from secure import ContentSecurityPolicy
from secure import CrossOriginEmbedderPolicy
from secure import CrossOriginOpenerPolicy
from secure import CrossOriginResourcePolicy
from secure import CustomHeader
from secure import PermissionsPolicy
from secure import ReferrerPolicy
from secure import Secure
from secure import StrictTransportSecurity
from secure import XContentTypeOptions

from flaskware_secure._policy.policy import Csp
from flaskware_secure._policy.policy import Hsts
from flaskware_secure._policy.policy import Policy
from flaskware_secure._policy.vocabulary import Directives
from flaskware_secure._policy.vocabulary import NONCE

from .nonce import private_cache_control

Line: t.TypeAlias = tuple[str, str]
Lines: t.TypeAlias = tuple[Line, ...]

CSP = "Content-Security-Policy"
CSP_REPORT_ONLY = "Content-Security-Policy-Report-Only"

# Stands for the nonce while the header is serialized; a base64 nonce has no such text.
_MARK = "nonce-mark"
_SECURE_ONLY = "upgrade-insecure-requests"
# The name for reports that name no endpoint, such as deprecations (W3C Reporting API,
# section 3.3).
_ENDPOINT = "default"
_SAMPLE = "'report-sample'"


@dc.dataclass(frozen=True)
class Variant:
    """Header lines for one scheme: without a nonce, of a 304, and around a nonce.

    A 304 renews the stored headers of a page that the browser has (RFC 9111, section
    4.3.4). A policy with another nonce, or none, would block the scripts of that page.
    """

    lines: Lines
    not_modified: Lines
    around_nonce: tuple[tuple[str, tuple[str, ...]], ...]
    beside_nonce: Lines

    def with_nonce(self, nonce: str) -> list[Line]:
        """Return the lines with a nonce filled in."""
        filled = [(name, nonce.join(parts)) for name, parts in self.around_nonce]
        filled.extend(self.beside_nonce)
        return filled


@dc.dataclass(frozen=True)
class Compiled:
    """The header lines for the responses of one endpoint."""

    policy: Policy
    plain: Variant
    secure: Variant
    names: frozenset[str]
    vary: tuple[str, ...]
    takes_nonce: bool
    cross_site: bool


def compile_policy(
    policy: Policy,
    *,
    hsts: Hsts,
    report_only: bool = False,
    isolated: bool = False,
    removed: cabc.Collection[str] = (),
) -> Compiled:
    """Serialize a policy for http and for https, with and without a nonce.

    :param report_only: Send the CSP as report-only.
    :param isolated: True if requests from other sites are refused.
    :param removed: Names, in lower case, of headers to remove from responses.
    """
    vary = _vary(policy, isolated=isolated)
    plain = _variant(policy, None, vary, report_only=report_only)
    secure = _variant(policy, hsts, vary, report_only=report_only)
    # The headers that are sent, changed with a nonce, or removed.
    names = {name.lower() for name, _ in secure.lines} | {"cache-control", *removed}
    return Compiled(
        vary=vary,
        policy=policy,
        plain=plain,
        secure=secure,
        names=frozenset(names),
        takes_nonce=any(len(parts) > 1 for _, parts in secure.around_nonce),
        cross_site=policy.cross_site,
    )


def with_reporting(policy: Policy, url: str) -> Policy:
    """Return the policy with reports sent to a URL, unless it names another itself.

    ``report-uri`` stands beside ``report-to`` for browsers that know only the first;
    the others ignore it (CSP3, section 6.5.1).
    """
    endpoints = {_ENDPOINT: url, **policy.reporting_endpoints}
    own = endpoints[_ENDPOINT]
    return dc.replace(
        policy,
        csp=_reported(policy.csp, own),
        csp_report_only=_reported(policy.csp_report_only, own),
        also=tuple(
            Csp(_reported(each.directives, own), report_only=each.report_only)
            for each in policy.also
        ),
        reporting_endpoints=types.MappingProxyType(endpoints),
    )


def _reported(directives: Directives, url: str) -> Directives:
    if not directives or "report-to" in directives or "report-uri" in directives:
        return directives
    sampled = {
        name: (*sources, _SAMPLE) if _takes_sample(name, directives) else sources
        for name, sources in directives.items()
    }
    return types.MappingProxyType(
        {**sampled, "report-to": (_ENDPOINT,), "report-uri": (url,)}
    )


def _takes_sample(name: str, directives: Directives) -> bool:
    """True where the sample of a report names the inline code that was blocked."""
    if name == "default-src":
        return "script-src" not in directives and _runs_code(directives[name])
    return name.startswith(("script-src", "style-src")) and _runs_code(directives[name])


def _runs_code(sources: tuple[str, ...]) -> bool:
    return bool(sources) and sources != ("'none'",) and _SAMPLE not in sources


def _vary(policy: Policy, *, isolated: bool) -> tuple[str, ...]:
    """Return the request headers that a response depends on, for caches."""
    names: list[str] = []
    if isolated and not policy.cross_site:
        names += ["Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest"]
    if policy.cors is not None:
        # Also if the request has no Origin: a cache would give the response to all.
        names.append("Origin")
    return tuple(names)


def _variant(
    policy: Policy, hsts: Hsts | None, vary: tuple[str, ...], *, report_only: bool
) -> Variant:
    over_https = hsts is not None
    others = _other_items(policy, hsts)
    if vary:
        others += (("Vary", ", ".join(vary)),)
    unused = _csp_items(policy, None, over_https=over_https, report_only=report_only)
    used = _csp_items(policy, _MARK, over_https=over_https, report_only=report_only)
    return Variant(
        lines=(*unused, *others),
        not_modified=others,
        around_nonce=tuple((name, tuple(value.split(_MARK))) for name, value in used),
        beside_nonce=_private(others),
    )


def _private(lines: Lines) -> Lines:
    """Return lines for a page with a nonce, which no shared cache may keep."""
    given = [value for name, value in lines if name.lower() == "cache-control"]
    joined = ", ".join(given)
    kept = tuple(line for line in lines if line[0].lower() != "cache-control")
    return (*kept, ("Cache-Control", private_cache_control(joined) or joined))


def _csp_items(
    policy: Policy, nonce: str | None, *, over_https: bool, report_only: bool
) -> Lines:
    items: list[Line] = []
    enforced = CSP_REPORT_ONLY if report_only else CSP
    policies = (
        (enforced, policy.csp),
        (CSP_REPORT_ONLY, policy.csp_report_only),
        *(
            (CSP_REPORT_ONLY if each.report_only else enforced, each.directives)
            for each in policy.also
        ),
    )
    for name, directives in policies:
        sent = {
            directive: _filled(sources, nonce)
            for directive, sources in directives.items()
            if _counts(directive, directives, over_https=over_https, name=name)
        }
        if sent:
            builder = ContentSecurityPolicy()
            for directive, sources in sent.items():
                builder.custom_directive(directive, *sources)
            items.append((name, builder.header_value))
    return tuple(items)


def _counts(
    directive: str, directives: cabc.Collection[str], *, over_https: bool, name: str
) -> bool:
    """Return whether a directive is sent over a scheme, in a header of that name."""
    if directive == _SECURE_ONLY:
        return over_https and name == CSP
    if directive == "report-to" and "report-uri" in directives:
        # Browsers ignore Reporting-Endpoints over http, and Chromium then does not fall
        # back on report-uri.
        return over_https
    return True


def _filled(sources: tuple[str, ...], nonce: str | None) -> tuple[str, ...]:
    """Return sources with the nonce filled in, or valid without a nonce."""
    if NONCE not in sources:
        return sources
    if nonce is not None:
        return tuple(f"'nonce-{nonce}'" if s == NONCE else s for s in sources)
    rest = tuple(s for s in sources if s != NONCE)
    # 'strict-dynamic' voids hosts and 'self' (CSP3, section 8.2): without nonce and
    # hash nothing runs. An empty list must not fall back on default-src.
    if "'strict-dynamic'" in rest and not any(s.startswith("'sha") for s in rest):
        rest = tuple(s for s in rest if s == _SAMPLE)
    return rest or ("'none'",)


def _other_items(policy: Policy, hsts: Hsts | None) -> Lines:
    custom = [CustomHeader(name, value) for name, value in policy.extra.items()]
    if policy.reporting_endpoints:
        value = ", ".join(f'{n}="{u}"' for n, u in policy.reporting_endpoints.items())
        custom.append(CustomHeader("Reporting-Endpoints", value))
    custom.extend(_reported_items(policy))
    coop, coep = (_with_endpoint(policy, each) for each in (policy.coop, policy.coep))
    built = Secure(
        hsts=_hsts(hsts) if hsts is not None and hsts.seconds else None,
        xcto=XContentTypeOptions().nosniff() if policy.nosniff else None,
        referrer=_optional(policy.referrer, ReferrerPolicy().value),
        coop=_optional(coop, CrossOriginOpenerPolicy().value),
        coep=_optional(coep, CrossOriginEmbedderPolicy().value),
        corp=_optional(policy.corp, CrossOriginResourcePolicy().value),
        permissions=_permissions(policy),
        custom=custom,
    )
    # Refuses a name that is there twice, and characters that no header may hold.
    built.validate_and_normalize_headers(on_invalid="raise", strict=True)
    return tuple(built.headers.items())


def _reported_items(policy: Policy) -> cabc.Iterator[CustomHeader]:
    coop, coep = policy.coop_report_only, policy.coep_report_only
    trial = policy.integrity_report_only
    values = {
        "Cross-Origin-Opener-Policy-Report-Only": _with_endpoint(policy, coop),
        "Cross-Origin-Embedder-Policy-Report-Only": _with_endpoint(policy, coep),
        "Document-Isolation-Policy": _with_endpoint(policy, policy.document_isolation),
        "Integrity-Policy": _integrity(policy, policy.integrity),
        "Integrity-Policy-Report-Only": _integrity(policy, trial),
    }
    for name, value in values.items():
        if value is not None:
            yield CustomHeader(name, value)


def _with_endpoint(policy: Policy, value: str | None) -> str | None:
    """Return a value with the name of the endpoint for its violations."""
    if value is None or value in {"unsafe-none", "none"}:
        return value
    if _ENDPOINT not in policy.reporting_endpoints:
        return value
    return f'{value}; report-to="{_ENDPOINT}"'


def _integrity(policy: Policy, destinations: tuple[str, ...]) -> str | None:
    if not destinations:
        return None
    value = f"blocked-destinations=({' '.join(destinations)})"
    if _ENDPOINT in policy.reporting_endpoints:
        value += f", endpoints=({_ENDPOINT})"
    return value


V = t.TypeVar("V")


def _optional(value: str | None, build: cabc.Callable[[str], V]) -> V | None:
    return None if value is None else build(value)


def _permissions(policy: Policy) -> PermissionsPolicy | None:
    if not policy.permissions:
        return None
    builder = PermissionsPolicy()
    for feature, allowed in policy.permissions.items():
        builder.add_directive(feature, *allowed)
    return builder


def _hsts(hsts: Hsts) -> StrictTransportSecurity:
    builder = StrictTransportSecurity().max_age(hsts.seconds)
    if hsts.include_subdomains:
        builder.include_subdomains()
    return builder.preload() if hsts.preload else builder
