"""The names that browsers know, as types and as sets."""

from __future__ import annotations

import collections.abc as cabc
import re
import typing as t

Directives: t.TypeAlias = cabc.Mapping[str, tuple[str, ...]]
"""The sources of each directive, or who may use each feature."""

Complaint: t.TypeAlias = tuple[str, str, str, str]
"""A mistake in a policy: code, expected, given, what to write."""

FetchDirective: t.TypeAlias = t.Literal[
    "child-src", "connect-src", "default-src", "fenced-frame-src", "font-src",
    "frame-src", "img-src", "manifest-src", "media-src", "object-src", "script-src",
    "script-src-attr", "script-src-elem", "style-src", "style-src-attr",
    "style-src-elem", "worker-src",
]  # fmt: skip
Directive: t.TypeAlias = t.Literal[
    FetchDirective,
    "base-uri", "form-action", "frame-ancestors", "report-to", "report-uri",
    "require-trusted-types-for", "sandbox", "trusted-types",
    "upgrade-insecure-requests",
]  # fmt: skip
Feature: t.TypeAlias = t.Literal[
    "accelerometer", "ambient-light-sensor", "attribution-reporting", "autoplay",
    "bluetooth", "browsing-topics", "camera", "captured-surface-control",
    "clipboard-read", "clipboard-write", "compute-pressure", "cross-origin-isolated",
    "deferred-fetch", "deferred-fetch-minimal", "digital-credentials-get",
    "display-capture", "encrypted-media", "fullscreen", "gamepad", "geolocation",
    "gyroscope", "hid", "identity-credentials-get", "idle-detection", "keyboard-map",
    "language-detector", "local-fonts", "magnetometer", "microphone", "midi",
    "on-device-speech-recognition", "otp-credentials", "payment", "picture-in-picture",
    "private-state-token-issuance", "private-state-token-redemption",
    "publickey-credentials-create", "publickey-credentials-get", "screen-wake-lock",
    "serial", "speaker-selection", "storage-access", "summarizer", "sync-xhr",
    "translator", "unload", "usb", "web-share", "window-management",
    "xr-spatial-tracking",
]  # fmt: skip
OpenerPolicy: t.TypeAlias = t.Literal[
    "same-origin", "same-origin-allow-popups", "noopener-allow-popups", "unsafe-none"
]
EmbedderPolicy: t.TypeAlias = t.Literal["require-corp", "credentialless", "unsafe-none"]
ResourcePolicy: t.TypeAlias = t.Literal["same-origin", "same-site", "cross-origin"]
DocumentIsolationPolicy: t.TypeAlias = t.Literal[
    "isolate-and-require-corp", "isolate-and-credentialless", "none"
]
IntegrityDestination: t.TypeAlias = t.Literal["script", "style"]
ReferrerPolicyToken: t.TypeAlias = t.Literal[
    "no-referrer", "no-referrer-when-downgrade", "origin", "origin-when-cross-origin",
    "same-origin", "strict-origin", "strict-origin-when-cross-origin", "unsafe-url",
]  # fmt: skip
ClearableData: t.TypeAlias = t.Literal[
    "*", "cache", "clientHints", "cookies", "executionContexts", "prefetchCache",
    "prerenderCache", "storage",
]  # fmt: skip

NONCE = "'nonce'"
"""The source that stands for the nonce of a request."""

NONCE_SOURCE = re.compile(r"'nonce-([A-Za-z0-9+/_=-]+)'")
"""The same source in a header that was sent, with the nonce as its group."""

FETCH_DIRECTIVES: frozenset[str] = frozenset(t.get_args(FetchDirective))
DIRECTIVES: frozenset[str] = frozenset(t.get_args(Directive))
FEATURES: frozenset[str] = frozenset(t.get_args(Feature))

# Without a value; the others take sources, tokens or URLs.
VALUELESS = frozenset({"upgrade-insecure-requests"})
OPTIONAL_VALUE = frozenset({"sandbox", "trusted-types"})
SOURCE_LISTS = FETCH_DIRECTIVES | {"base-uri", "form-action", "frame-ancestors"}
NONCE_DIRECTIVES = frozenset(
    {
        "default-src", "script-src", "script-src-elem", "style-src",
        "style-src-elem",
    }
)  # fmt: skip
SCRIPT_DIRECTIVES = frozenset({"default-src", "script-src", "script-src-elem"})

# Formerly in the standard, with their replacements.
RETIRED: dict[str, str] = {
    "block-all-mixed-content": "upgrade-insecure-requests",
    "navigate-to": "form-action",
    "plugin-types": "object-src 'none'",
    "prefetch-src": "default-src",
    "referrer": "Policy(referrer=…)",
    "reflected-xss": "script-src",
    "require-sri-for": "the integrity attribute",
}

KEYWORDS = frozenset(
    {
        NONCE, "'inline-speculation-rules'", "'none'", "'report-sample'", "'self'",
        "'strict-dynamic'", "'trusted-types-eval'", "'unsafe-eval'",
        "'unsafe-hashes'", "'unsafe-inline'", "'unsafe-webtransport-hashes'",
        "'wasm-unsafe-eval'",
    }
)  # fmt: skip

RETIRED_KEYWORDS: dict[str, str] = {
    "unsafe-hashed-attributes": "'unsafe-hashes'",
    "wasm-eval": "'wasm-unsafe-eval'",
}

SANDBOX_FLAGS = frozenset(
    {
        "allow-downloads", "allow-forms", "allow-modals", "allow-orientation-lock",
        "allow-pointer-lock", "allow-popups", "allow-popups-to-escape-sandbox",
        "allow-presentation", "allow-same-origin", "allow-scripts",
        "allow-storage-access-by-user-activation", "allow-top-navigation",
        "allow-top-navigation-by-user-activation",
        "allow-top-navigation-to-custom-protocols",
    }
)  # fmt: skip

# The directives that count where a directive is not set (CSP3, section 6.8.4).
FALLBACKS: dict[str, tuple[str, ...]] = {
    "script-src-elem": ("script-src", "default-src"),
    "script-src-attr": ("script-src", "default-src"),
    "style-src-elem": ("style-src", "default-src"),
    "style-src-attr": ("style-src", "default-src"),
    "worker-src": ("child-src", "script-src", "default-src"),
    "frame-src": ("child-src", "default-src"),
    "fenced-frame-src": ("frame-src", "child-src", "default-src"),
}


def fallbacks(directive: str) -> tuple[str, ...]:
    """Return the directives that decide, in order, if a directive is not set."""
    if directive not in FETCH_DIRECTIVES or directive == "default-src":
        return ()
    return FALLBACKS.get(directive, ("default-src",))
