"""Session ids, which the browser holds, and the keys derived from them."""

from __future__ import annotations

import collections.abc as cabc
import hashlib
import hmac
import re
import secrets

# 256 random bits in the URL-safe alphabet: 43 characters, no padding
_BYTES = 32
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


def new_token() -> str:
    """Make the id of a new session; it goes into the cookie and nowhere else."""
    return secrets.token_urlsafe(_BYTES)


def is_token(text: str) -> bool:
    """Return whether a cookie has the form of an id; asked before any store is."""
    return _TOKEN.fullmatch(text) is not None


def key_of(token: str, pepper: bytes = b"") -> str:
    """Return the key of a session in a store; it does not lead to the id.

    :param pepper: A secret that the store does not have; with one it is the HMAC.
    """
    if pepper:
        return hmac.digest(pepper, token.encode(), "sha256").hex()
    return hashlib.sha256(token.encode()).hexdigest()


class Keys:
    """The keys of ids, under a pepper that can be rotated.

    :param peppers: The first makes keys; the others are only looked under. An empty
        pepper stands for none.
    """

    def __init__(self, peppers: cabc.Sequence[bytes] = ()) -> None:
        self._first, *self._older = peppers or (b"",)

    def of(self, token: str) -> str:
        """Return the key under the pepper that is used now."""
        return key_of(token, self._first)

    def all_of(self, token: str | None) -> list[str]:
        """Return the keys that an id may have, if there is an id."""
        return [] if token is None else [self.of(token), *self.older_of(token)]

    def older_of(self, token: str) -> list[str]:
        """Return the keys that the same id had under earlier peppers."""
        return [key_of(token, pepper) for pepper in self._older]


def handle_of(key: str) -> str:
    """Return a public name for a session: it leads neither to the id nor to the key."""
    digest = hashlib.sha256(b"flaskware-session handle:" + key.encode("ascii"))
    # Hexadecimal, since it is also an argument of a command: no leading hyphen.
    return digest.hexdigest()[:24]
