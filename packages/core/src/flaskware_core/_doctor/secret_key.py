"""Checks of the keys that sign an app's sessions and tokens."""

from __future__ import annotations

import collections.abc as cabc
import hashlib
import re
import typing as t

from flask.sansio.app import App

from flaskware_core._findings.finding import Finding
from flaskware_core._findings.finding import Level

_MAKE_KEY = "python -c 'import secrets; print(secrets.token_hex())'"
# 128 bits, the least that RFC 4086 section 8 and OWASP ASVS call unguessable, as hex
_SHORT_KEY = 32
_PLACEHOLDERS = frozenset(
    {
        "default", "flask", "key", "my secret key", "mysecretkey", "s3cr3t", "todo",
        "secret", "super secret key", "supersecret", "you-will-never-guess",
    }
)  # fmt: skip
# Words of keys that were written by hand. A random key of 64 characters has a word of
# six letters with a chance of one in ten million; shorter words count if they stand
# alone.
_BY_HAND = re.compile(
    r"change.?(me|this|it)|insecure|placeholder|password|passwd|secret|replace.?(me|th)"
    r"|please|your.?(key|own)|never.guess|example"
    r"|(?<![a-z0-9])(dev|devel|development|test|testing|demo|local|todo|fixme|sample)"
    r"(?![a-z0-9])",
    re.IGNORECASE,
)
# Keys of documentation and tutorials, as SHA-256: nobody needs another copy of them.
_PUBLISHED = frozenset(
    {
        # Flask: configuration, quickstart, and the older forms of both
        "2598f7d6adc142d88161630f3db12ab2bd3403521c281811e5e1ce60d4ac5d76",
        "e06a65faf6a10f8f3e88b777d949cc7076297dcdc19c821a9ed8f5ad2e7071b2",
        "2b9eb1d7e454a69160db48de8bc8bbdca69495d1a114ff8ac1b3cf764be494a2",
        "eefbd4136387e7620933a54b3199c46811d8cda05a433e05ede0741710338690",
        "e57e1551c032c0baa7082495aed85e7dc54d5d97fd7ddac391c061f69d088dd5",
        # a course of videos that many apps began with
        "67dde0412edb40ae64e09af0d14bfa47757d7a2d222eda47b55d5dd74ba31584",
    }
)


def check_secret_key(app: App) -> cabc.Iterator[Finding]:
    """Yield the findings about ``SECRET_KEY`` and its fallbacks."""
    config = t.cast("cabc.Mapping[str, t.Any]", app.config)
    key = config.get("SECRET_KEY")
    if not key:
        yield Finding(
            "core.secret-key-missing",
            Level.ERROR,
            "SECRET_KEY is not set, so nothing can be signed: sessions, CSRF tokens"
            " and cursors fail.",
            f"Set SECRET_KEY to the output of: {_MAKE_KEY}",
            asvs="11.5.1",
        )
    else:
        yield from _key_strength("SECRET_KEY", "", key)
    for index, fallback in enumerate(config.get("SECRET_KEY_FALLBACKS") or ()):
        name = f"SECRET_KEY_FALLBACKS[{index}]"
        if fallback == key:
            yield Finding(
                "core.secret-key-fallback-same",
                Level.WARNING,
                f"{name} equals SECRET_KEY, so the key was not rotated.",
                "Generate a new SECRET_KEY, or remove the fallback.",
                asvs="13.3.4",
            )
        yield from _key_strength(name, "-fallback", fallback)


def _key_strength(name: str, role: str, key: str | bytes) -> cabc.Iterator[Finding]:
    text = key.decode("latin-1") if isinstance(key, bytes) else str(key)
    fix = f"Set it to the output of: {_MAKE_KEY}"
    if hashlib.sha256(text.encode()).hexdigest() in _PUBLISHED:
        yield Finding(
            f"core.secret-key{role}-published",
            Level.ERROR,
            f"{name} is a key from the documentation of Flask or from a tutorial, so"
            " anyone can sign any session with it.",
            fix,
            asvs="11.5.1",
        )
    elif text.lower().strip() in _PLACEHOLDERS or _BY_HAND.search(text):
        yield Finding(
            f"core.secret-key{role}-placeholder",
            Level.ERROR,
            f"{name} is a placeholder or was written by hand, so anyone can guess it"
            " and sign any session with it.",
            fix,
            asvs="11.5.1",
        )
    elif len(text) < _SHORT_KEY or len(set(text)) < _SHORT_KEY // 4:
        yield Finding(
            f"core.secret-key{role}-short",
            Level.WARNING,
            f"{name} has {len(text)} characters, {len(set(text))} of them different;"
            " a key that short can be found by trying.",
            fix,
            asvs="11.5.1",
        )
