"""Session ids: what the browser holds, and what may be derived from it."""

from __future__ import annotations

import hashlib
import re
import secrets

# 256 random bits in the URL-safe alphabet: 43 characters, no padding
_BYTES = 32
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


def new_token() -> str:
    """Make the id of a new session; it goes into the cookie and nowhere else."""
    return secrets.token_urlsafe(_BYTES)


def is_token(text: str) -> bool:
    """Whether a cookie has the form of an id; asked before any store is."""
    return _TOKEN.fullmatch(text) is not None


def key_of(token: str) -> str:
    """What a store keeps a session under, from which its id cannot be had."""
    return hashlib.sha256(token.encode("ascii")).hexdigest()


def handle_of(key: str) -> str:
    """A public name for a session: it leads neither to the id nor to the key."""
    digest = hashlib.sha256(b"flaskware-session handle:" + key.encode("ascii"))
    # Hexadecimal, since it is also an argument of a command: no leading hyphen.
    return digest.hexdigest()[:24]
