"""Policies: the security headers of an app, a blueprint or a view."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import types
import typing as t

from secure import Preset
from secure import Secure

from .cors import Cors
from .parsing import parse_csp
from .parsing import parse_permissions
from .vocabulary import Directive
from .vocabulary import Directives
from .vocabulary import DocumentIsolationPolicy
from .vocabulary import EmbedderPolicy
from .vocabulary import fallbacks
from .vocabulary import Feature
from .vocabulary import IntegrityDestination
from .vocabulary import NONCE
from .vocabulary import OpenerPolicy
from .vocabulary import ReferrerPolicyToken
from .vocabulary import ResourcePolicy


@dc.dataclass(frozen=True)
class Append:
    """Sources to add to those that a directive or feature already has."""

    sources: tuple[str, ...]


def append(*sources: str) -> Append:
    """Add sources to a directive instead of replacing what it has.

    Sources inherited from ``default-src`` count as its own, and a ``'none'`` gives
    way.
    """
    return Append(sources)


Sources: t.TypeAlias = "str | cabc.Sequence[str] | Append"
"""Sources as a list, as one text separated by blanks, or to be appended."""

CspChanges: t.TypeAlias = "cabc.Mapping[Directive, Sources | None]"
PermissionChanges: t.TypeAlias = "cabc.Mapping[Feature, Sources | None]"


def _no_sources() -> Directives:
    return types.MappingProxyType({})


def _no_texts() -> cabc.Mapping[str, str]:
    return types.MappingProxyType({})


class Hsts(t.NamedTuple):
    """Content of ``Strict-Transport-Security``; 0 ``seconds`` send no header."""

    seconds: int
    include_subdomains: bool = False
    preload: bool = False


@dc.dataclass(frozen=True)
class Csp:
    """One more ``Content-Security-Policy``, on a line of its own.

    Browsers enforce every policy that a response has, so one more can only forbid.

    :param directives: As in ``Policy.csp``.
    :param report_only: True if violations are only reported.
    """

    directives: cabc.Mapping[str, tuple[str, ...]]
    report_only: bool = False


class Changes(t.TypedDict, total=False):
    """Changes of a policy: whole headers, or single CSP directives.

    A directive is written with underscores. Sources replace, :func:`append` adds,
    ``None`` drops. ``policy`` takes another policy to start from.
    """

    policy: Policy
    csp: CspChanges
    csp_report_only: CspChanges
    also: cabc.Sequence[Csp]
    permissions: PermissionChanges
    permissions_report_only: PermissionChanges
    referrer: ReferrerPolicyToken | None
    coop: OpenerPolicy | None
    coop_report_only: OpenerPolicy | None
    coep: EmbedderPolicy | None
    coep_report_only: EmbedderPolicy | None
    corp: ResourcePolicy | None
    document_isolation: DocumentIsolationPolicy | None
    integrity: cabc.Sequence[IntegrityDestination]
    integrity_report_only: cabc.Sequence[IntegrityDestination]
    cors: Cors | None
    nosniff: bool
    reporting_endpoints: cabc.Mapping[str, str]
    extra: cabc.Mapping[str, str]
    cross_site: bool

    child_src: Sources | None
    connect_src: Sources | None
    default_src: Sources | None
    fenced_frame_src: Sources | None
    font_src: Sources | None
    frame_src: Sources | None
    img_src: Sources | None
    manifest_src: Sources | None
    media_src: Sources | None
    object_src: Sources | None
    script_src: Sources | None
    script_src_attr: Sources | None
    script_src_elem: Sources | None
    style_src: Sources | None
    style_src_attr: Sources | None
    style_src_elem: Sources | None
    worker_src: Sources | None
    base_uri: Sources | None
    form_action: Sources | None
    frame_ancestors: Sources | None
    report_to: Sources | None
    report_uri: Sources | None
    require_trusted_types_for: Sources | None
    sandbox: Sources | None
    trusted_types: Sources | None
    upgrade_insecure_requests: Sources | None


@dc.dataclass(frozen=True, kw_only=True)
class Policy:
    """The headers of a response, before they are serialized.

    Start from a preset (:meth:`strict`, :meth:`api`, :meth:`embedded`,
    :meth:`legacy`, :meth:`from_secure`) and change what differs.

    :param csp: Directives of ``Content-Security-Policy``. The source ``'nonce'``
        stands for the nonce of the request.
    :param csp_report_only: A second policy that is reported and not enforced.
    :param also: More policies, enforced or report-only, beside those two.
    :param permissions: Features of ``Permissions-Policy`` and who may use them.
    :param permissions_report_only: Features of a second Permissions-Policy, whose
        violations are reported while the feature still works.
    :param document_isolation: ``Document-Isolation-Policy``: cross-origin isolation
        without a demand on the pages that open or embed the page.
    :param integrity: Kinds of files that load only with a matching ``integrity``
        (``Integrity-Policy``): ``"script"``, ``"style"``.
    :param cors: The other origins that may read responses; ``None`` for none.
    :param reporting_endpoints: Names for ``report-to``, and the URL of each.
    :param extra: Any other header, by name.
    :param cross_site: True if pages of other sites may post here; see the setting
        ``isolation``.
    :param hsts: ``Strict-Transport-Security`` as :meth:`from_secure` found it. Each of
        the settings of HSTS that you set replaces its part.
    """

    csp: Directives = dc.field(default_factory=_no_sources)
    csp_report_only: Directives = dc.field(default_factory=_no_sources)
    permissions: Directives = dc.field(default_factory=_no_sources)
    referrer: str | None = None
    coop: str | None = None
    coep: str | None = None
    corp: str | None = None
    nosniff: bool = True
    reporting_endpoints: cabc.Mapping[str, str] = dc.field(default_factory=_no_texts)
    extra: cabc.Mapping[str, str] = dc.field(default_factory=_no_texts)
    cross_site: bool = False
    also: tuple[Csp, ...] = ()
    coop_report_only: str | None = None
    coep_report_only: str | None = None
    document_isolation: str | None = None
    integrity: tuple[str, ...] = ()
    integrity_report_only: tuple[str, ...] = ()
    permissions_report_only: Directives = dc.field(default_factory=_no_sources)
    cors: Cors | None = None
    hsts: Hsts | None = None

    @classmethod
    def strict(cls, **changes: t.Unpack[Changes]) -> Policy:
        """Return a policy with scripts by nonce, the rest from the app, no framing."""
        return _STRICT.changed(**changes)

    @classmethod
    def api(cls, **changes: t.Unpack[Changes]) -> Policy:
        """Return a policy for responses that no browser shows: no loads, no frames."""
        return _API.changed(**changes)

    @classmethod
    def embedded(cls, by: cabc.Sequence[str], **changes: t.Unpack[Changes]) -> Policy:
        """Same as :meth:`strict`, for pages that the given origins show in a frame.

        Gives up protection against clickjacking by those origins. If one of them sends
        ``Cross-Origin-Embedder-Policy``, its browsers also ask for ``coep=`` and
        ``corp="cross-origin"``.
        """
        return _STRICT.changed(csp={"frame-ancestors": by}).changed(**changes)

    @classmethod
    def legacy(cls, **changes: t.Unpack[Changes]) -> Policy:
        """Return a policy for pages with scripts and handlers in the markup.

        The balanced preset of ``secure`` with ``'unsafe-inline'`` for scripts. Gives
        up protection against injected scripts, and takes no nonce.
        """
        return _LEGACY.changed(**changes)

    @classmethod
    def from_secure(
        cls, source: Secure | Preset, **changes: t.Unpack[Changes]
    ) -> Policy:
        """Take the headers of a ``secure.Secure`` object or preset.

        HSTS is sent over HTTPS only. Of several CSPs all count, as in a browser.

        :raises ValueError: if it has another header twice, or HSTS without a time.
        """
        built = Secure.from_preset(source) if isinstance(source, Preset) else source
        return _from_items(built.header_items()).changed(**changes)

    def changed(self, **changes: t.Unpack[Changes]) -> Policy:
        """Return this policy with some directives or headers changed."""
        if (base := changes.pop("policy", None)) is not None:
            return base.changed(**changes)
        fields: dict[str, t.Any] = {}
        csp: dict[str, Sources | None] = {}
        for name, value in changes.items():
            if name in _MERGED:
                if name == "csp":
                    csp.update(t.cast("cabc.Mapping[str, Sources | None]", value))
                else:
                    fields[name] = _MERGED[name](getattr(self, name), value)
            elif name in _TUPLES:
                fields[name] = tuple(t.cast("cabc.Iterable[t.Any]", value))
            elif name in _FIELDS:
                fields[name] = value
            else:
                csp[name.replace("_", "-")] = t.cast("Sources | None", value)
        if csp:
            fields["csp"] = _merge_sources(self.csp, csp)
        return dc.replace(self, **fields)


def as_tuple(sources: Sources) -> tuple[str, ...]:
    """Return sources in the form that a policy keeps."""
    if isinstance(sources, Append):
        return sources.sources
    if isinstance(sources, str):
        return tuple(sources.split())
    return tuple(sources)


def _merge_sources(
    current: Directives, changes: cabc.Mapping[str, Sources | None]
) -> Directives:
    merged = dict(current)
    for name, sources in changes.items():
        if sources is None:
            merged.pop(name, None)
        elif isinstance(sources, Append):
            merged[name] = _appended(current, name, sources.sources)
        else:
            merged[name] = as_tuple(sources)
    return types.MappingProxyType(merged)


def _appended(
    current: Directives, name: str, sources: tuple[str, ...]
) -> tuple[str, ...]:
    # Without the inherited sources, an addition would take sources away.
    for origin in (name, *fallbacks(name)):
        if origin in current:
            kept = tuple(s for s in current[origin] if s != "'none'")
            return kept + tuple(s for s in sources if s not in kept)
    return sources


def _merge_texts(
    current: cabc.Mapping[str, str], changes: cabc.Mapping[str, str]
) -> cabc.Mapping[str, str]:
    return types.MappingProxyType({**current, **changes})


_MERGED: dict[str, cabc.Callable[[t.Any, t.Any], t.Any]] = {
    "csp": _merge_sources,
    "csp_report_only": _merge_sources,
    "permissions": _merge_sources,
    "permissions_report_only": _merge_sources,
    "reporting_endpoints": _merge_texts,
    "extra": _merge_texts,
}
_TUPLES = frozenset({"also", "integrity", "integrity_report_only"})
# HSTS is for a whole host, so no view changes it.
_FIELDS = frozenset(field.name for field in dc.fields(Policy)) - {"hsts"}


def _parse_hsts(value: str) -> Hsts:
    # RFC 6797, 6.1; no library on the index parses this header alone.
    parts = [part.strip().lower() for part in value.split(";")]
    seconds = [part.removeprefix("max-age=").strip('"') for part in parts]
    times = [int(text) for text in seconds if text.isdecimal()]
    if len(times) != 1:
        raise ValueError(f"Strict-Transport-Security {value!r} needs one max-age.")
    return Hsts(times[0], "includesubdomains" in parts, "preload" in parts)


def _read_csp(value: str) -> Directives:
    return types.MappingProxyType(parse_csp(value))


def _read_permissions(value: str) -> Directives:
    return types.MappingProxyType(parse_permissions(value))


# The field that holds a header, and how its value is read.
_HEADER_FIELDS: dict[str, tuple[str, cabc.Callable[[str], object]]] = {
    "content-security-policy": ("csp", _read_csp),
    "content-security-policy-report-only": ("csp_report_only", _read_csp),
    "permissions-policy": ("permissions", _read_permissions),
    "permissions-policy-report-only": ("permissions_report_only", _read_permissions),
    "referrer-policy": ("referrer", str),
    "cross-origin-opener-policy": ("coop", str),
    "cross-origin-embedder-policy": ("coep", str),
    "cross-origin-resource-policy": ("corp", str),
    "strict-transport-security": ("hsts", _parse_hsts),
    "x-content-type-options": ("nosniff", bool),
}


def _from_items(items: cabc.Iterable[tuple[str, str]]) -> Policy:
    fields: dict[str, t.Any] = {"nosniff": False}
    extra: dict[str, str] = {}
    also: list[Csp] = []
    seen: set[str] = set()
    for name, value in items:
        lower = name.lower()
        if lower in seen and lower.startswith("content-security-policy"):
            report_only = lower != "content-security-policy"
            also.append(Csp(_read_csp(value), report_only=report_only))
            continue
        if lower in seen:
            raise ValueError(
                f"The Secure object has {name} twice, but browsers read only one of"
                " them: remove the other."
            )
        seen.add(lower)
        if lower in _HEADER_FIELDS:
            field, read = _HEADER_FIELDS[lower]
            fields[field] = read(value)
        # An empty Server line hides nothing: the server in front writes its own.
        elif value:
            extra[name] = value
    return Policy(**fields, also=tuple(also), extra=types.MappingProxyType(extra))


# The features by which an injected script gains most. Each is known to every browser
# that reads the header, since a browser logs the names that it does not know. The
# others are for the app's own pages only by default.
_PERMISSIONS: Directives = types.MappingProxyType(
    dict.fromkeys(
        (
            "camera", "display-capture", "geolocation", "hid", "microphone", "serial",
            "usb",
        ),
        (),
    )
)  # fmt: skip
_STRICT = Policy(
    csp=types.MappingProxyType(
        {
            "default-src": ("'none'",),
            "script-src": (NONCE, "'strict-dynamic'"),
            "style-src": ("'self'", NONCE),
            "img-src": ("'self'", "data:"),
            "font-src": ("'self'",),
            "connect-src": ("'self'",),
            "media-src": ("'self'",),
            "manifest-src": ("'self'",),
            "frame-src": ("'self'",),
            "base-uri": ("'none'",),
            "form-action": ("'self'",),
            "frame-ancestors": ("'none'",),
            "upgrade-insecure-requests": (),
        }
    ),
    permissions=_PERMISSIONS,
    referrer="same-origin",
    coop="same-origin-allow-popups",
    corp="same-site",
)
_API = Policy(
    csp=types.MappingProxyType(
        {
            "default-src": ("'none'",),
            "base-uri": ("'none'",),
            "form-action": ("'none'",),
            "frame-ancestors": ("'none'",),
        }
    ),
    referrer="no-referrer",
    coop="same-origin-allow-popups",
    corp="same-site",
)
_LEGACY = dc.replace(
    _from_items(Secure.from_preset(Preset.BALANCED).header_items()).changed(
        csp={"script-src": ("'self'", "'unsafe-inline'"), "script-src-attr": None}
    ),
    permissions=_PERMISSIONS,
    hsts=None,
)
