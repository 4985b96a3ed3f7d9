"""Compiled policies: header lines, serialized once."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import functools
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


Kind: t.TypeAlias = t.Literal["document", "script", "media", "data"]
"""Use that a browser makes of a response; it decides which headers mean anything."""

_MARKUP = frozenset({"text/html", "application/xhtml+xml", "text/xml"})
_MEDIA = ("image/", "video/", "audio/", "application/pdf")


@functools.lru_cache(maxsize=256)
def kind_of(content_type: str) -> Kind:
    """Return the use that a browser makes of a content type.

    Markup of any kind can hold scripts, SVG and other XML included, so it is a
    document; so is a response without a type.
    """
    name = content_type.partition(";")[0].strip().lower()
    if not name or name in _MARKUP or name.endswith(("/xml", "+xml")):
        return "document"
    if name.endswith(("javascript", "ecmascript")):
        return "script"
    return "media" if name.startswith(_MEDIA) else "data"


@functools.lru_cache(maxsize=256)
def is_page(content_type: str) -> bool:
    """Return whether a response of a content type is a page of HTML."""
    name = content_type.partition(";")[0].strip().lower()
    return name in {"text/html", "application/xhtml+xml"}


@dc.dataclass(frozen=True)
class Variant:
    """Header lines for one kind and scheme: without a nonce, and around a nonce."""

    lines: Lines
    around_nonce: tuple[tuple[str, tuple[str, ...]], ...]
    beside_nonce: Lines

    def with_nonce(self, nonce: str) -> list[Line]:
        """Return the lines with a nonce filled in."""
        filled = [(name, nonce.join(parts)) for name, parts in self.around_nonce]
        filled.extend(self.beside_nonce)
        return filled


@dc.dataclass(frozen=True, eq=False)
class Compiled:
    """The header lines for the responses of one endpoint.

    :param names: Names, in lower case, of the headers that are sent, changed with a
        nonce, or removed.
    :param variants: Lines by kind and scheme, each serialized on first use.
    """

    policy: Policy
    hsts: Hsts
    report_only: bool
    names: frozenset[str]
    vary: tuple[str, ...]
    takes_nonce: bool
    variants: dict[tuple[Kind, bool], Variant] = dc.field(
        default_factory=dict[tuple[Kind, bool], Variant]
    )
    unmodified: dict[bool, Lines] = dc.field(default_factory=dict[bool, Lines])

    @property
    def cross_site(self) -> bool:
        """True if pages of other sites may post here."""
        return self.policy.cross_site

    @property
    def plain(self) -> Variant:
        """The lines of a document over http."""
        return self.variant("document", https=False)

    @property
    def secure(self) -> Variant:
        """The lines of a document over https."""
        return self.variant("document", https=True)

    def variant(self, kind: Kind, *, https: bool) -> Variant:
        """Return the lines for a kind of response over a scheme."""
        # If two threads serialize at once, both get the same result.
        found = self.variants.get((kind, https))
        if found is None:
            found = self.variants[kind, https] = _variant(self, kind, https=https)
        return found

    def not_modified(self, *, https: bool) -> Lines:
        """Return the lines of a 304.

        A 304 renews the stored headers of a page that the browser has (RFC 9111,
        section 4.3.4). A policy with another nonce, or none, would block the scripts
        of that page. The kind of the page is not known.
        """
        if https not in self.unmodified:
            others = _others(self, "data", https=https)
            self.unmodified[https] = others
        return self.unmodified[https]


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
    compiled = Compiled(
        policy=policy,
        hsts=hsts,
        report_only=report_only,
        names=frozenset(),
        vary=_vary(policy, isolated=isolated),
        takes_nonce=False,
    )
    # Over https a document has every header that any other response has.
    most = compiled.secure
    names = {name.lower() for name, _ in most.lines} | {"cache-control", *removed}
    return dc.replace(
        compiled,
        names=frozenset(names),
        takes_nonce=any(len(parts) > 1 for _, parts in most.around_nonce),
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
    """Return the request headers that a response depends on, for caches.

    Isolation refuses what other sites load. A cache may still give them a stored
    response: their browser blocks it by its Cross-Origin-Resource-Policy, so that only
    a response without one has to vary. A refusal itself is never stored.
    """
    names: list[str] = []
    if isolated and policy.corp is None and not policy.cross_site:
        names += ["Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest"]
    if policy.cors is not None:
        # Also if the request has no Origin: a cache would give the response to all.
        names.append("Origin")
    return tuple(names)


def _variant(compiled: Compiled, kind: Kind, *, https: bool) -> Variant:
    others = _others(compiled, kind, https=https)
    unused = _csp_items(compiled, kind, None, https=https)
    used = _csp_items(compiled, kind, _MARK, https=https)
    return Variant(
        lines=(*unused, *others),
        around_nonce=tuple((name, tuple(value.split(_MARK))) for name, value in used),
        beside_nonce=_private(others),
    )


# Headers without a meaning outside of documents, and outside of documents and the
# workers that a script may be.
_DOCUMENTS_ONLY = frozenset(
    {
        "cross-origin-opener-policy", "cross-origin-opener-policy-report-only",
        "integrity-policy", "integrity-policy-report-only", "permissions-policy",
        "permissions-policy-report-only",
    }
)  # fmt: skip
_WORKERS_TOO = frozenset(
    {
        "cross-origin-embedder-policy", "cross-origin-embedder-policy-report-only",
        "document-isolation-policy", "reporting-endpoints",
    }
)  # fmt: skip


def _others(compiled: Compiled, kind: Kind, *, https: bool) -> Lines:
    without: frozenset[str] = frozenset()
    if kind != "document":
        without = _DOCUMENTS_ONLY
        if kind != "script":
            without |= _WORKERS_TOO
    policy = compiled.policy
    items = tuple(
        line
        for line in _other_items(policy, compiled.hsts if https else None)
        if line[0].lower() not in without
    )
    return (*items, ("Vary", ", ".join(compiled.vary))) if compiled.vary else items


def _private(lines: Lines) -> Lines:
    """Return lines for a page with a nonce, which no shared cache may keep."""
    given = [value for name, value in lines if name.lower() == "cache-control"]
    joined = ", ".join(given)
    kept = tuple(line for line in lines if line[0].lower() != "cache-control")
    return (*kept, ("Cache-Control", private_cache_control(joined) or joined))


def _csp_items(
    compiled: Compiled, kind: Kind, nonce: str | None, *, https: bool
) -> Lines:
    items: list[Line] = []
    policy = compiled.policy
    enforced = CSP_REPORT_ONLY if compiled.report_only else CSP
    policies = (
        (enforced, policy.csp),
        (CSP_REPORT_ONLY, policy.csp_report_only),
        *(
            (CSP_REPORT_ONLY if each.report_only else enforced, each.directives)
            for each in policy.also
        ),
    )
    for name, directives in policies:
        if kind != "document":
            directives = _directives_for(kind, directives, reported=name != CSP)
        sent = {
            directive: _filled(sources, nonce)
            for directive, sources in directives.items()
            if _counts(directive, directives, over_https=https, name=name)
        }
        if sent:
            builder = ContentSecurityPolicy()
            for directive, sources in sent.items():
                builder.custom_directive(directive, *sources)
            items.append((name, builder.header_value))
    return tuple(items)


# The directives that count if a browser shows the response by itself, or in a frame.
_SHOWN = ("frame-ancestors", "sandbox")
# The part that counts for a worker, which has the policy that came with its script.
_IN_WORKERS = (
    "default-src", "script-src", "connect-src", "worker-src", "child-src", "sandbox",
    "require-trusted-types-for", "trusted-types", "report-to", "report-uri",
)  # fmt: skip


def _directives_for(
    kind: Kind, directives: Directives, *, reported: bool
) -> Directives:
    """Return the directives that mean something for a response that is no document."""
    if kind == "script":
        kept = {name: directives[name] for name in _IN_WORKERS if name in directives}
        if NONCE in kept.get("script-src", ()):
            # A worker has no element to carry a nonce.
            kept["script-src"] = ("'self'",)
        return kept
    if reported or not directives:
        return {}
    # A browser shows an image or a film in a document that loads it once more.
    default = ("'self'",) if kind == "media" else ("'none'",)
    shown = {name: directives[name] for name in _SHOWN if name in directives}
    return {"default-src": default, **shown}


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
        permissions=_permissions(policy.permissions),
        custom=custom,
    )
    # Refuses a name that is there twice, and characters that no header may hold.
    built.validate_and_normalize_headers(on_invalid="raise", strict=True)
    return tuple(built.headers.items())


def _reported_items(policy: Policy) -> cabc.Iterator[CustomHeader]:
    coop, coep = policy.coop_report_only, policy.coep_report_only
    trial = policy.integrity_report_only
    # Its violations go to the endpoint "default" by themselves.
    permissions = _permissions(policy.permissions_report_only)
    values = {
        "Permissions-Policy-Report-Only": (
            None if permissions is None else permissions.header_value
        ),
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


def _permissions(permissions: Directives) -> PermissionsPolicy | None:
    if not permissions:
        return None
    builder = PermissionsPolicy()
    for feature, allowed in permissions.items():
        builder.add_directive(feature, *allowed)
    return builder


def _hsts(hsts: Hsts) -> StrictTransportSecurity:
    builder = StrictTransportSecurity().max_age(hsts.seconds)
    if hsts.include_subdomains:
        builder.include_subdomains()
    return builder.preload() if hsts.preload else builder
