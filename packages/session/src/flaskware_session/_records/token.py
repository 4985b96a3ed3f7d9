"""Session ids, which the browser holds, and the keys derived from them.

An id has three parts, without separators, in the URL-safe alphabet:

- a tag of 12 characters, by which a store keeps the sessions of one user together:
  random for a visitor, derived from the id of the user for a session that is signed in;
- a name of 22 characters, 128 random bits, which stays as long as the session does;
- a secret of 43 characters, 256 random bits, which is replaced when the id is renewed.

The key of a record is the tag and a hash of tag and name. The record holds a hash of
the secret. So neither leads to the id, and a renewal leaves the key as it is.
"""

from __future__ import annotations

import base64
import collections.abc as cabc
import hashlib
import hmac
import re
import secrets

_TAG = 12
_NAMED = 34
_TOKEN = re.compile(r"[A-Za-z0-9_-]{77}")
_KEY = re.compile(r"[A-Za-z0-9_-]{12}[0-9a-f]{64}")
# How the tags begin of users, of visitors, and of visitors who were taken over.
_USER, _VISITOR, _MOVED = "u", "v", "-moved-"


def new_token(user_id: str | None = None) -> str:
    """Make the id of a new session; it goes into the cookie and nowhere else.

    :param user_id: The user that the session belongs to, if it has one.
    """
    tag = f"{_VISITOR}{secrets.token_urlsafe(9)}"[:_TAG]
    if user_id is not None:
        tag = tag_of(user_id)
    return tag + secrets.token_urlsafe(16) + secrets.token_urlsafe(32)


def with_new_secret(token: str) -> str:
    """Return an id of the same session with another secret."""
    return token[:_NAMED] + secrets.token_urlsafe(32)


def with_secret_of(token: str, other: str) -> str:
    """Return an id of a session with the secret of another id."""
    return token[:_NAMED] + other[_NAMED:]


def moved_token(foreign_id: str) -> str:
    """Return the id that the cookie of another extension stands for.

    Only a client that has the cookie has this id.
    """
    name = _digest(f"flaskware-session moved name:{foreign_id}")
    secret = _digest(f"flaskware-session moved secret:{foreign_id}")
    return f"{_MOVED}{name[: _NAMED - len(_MOVED)]}{secret}"


def is_moved(key: str) -> bool:
    """Return whether a key or an id was made from another extension's cookie."""
    return key.startswith(_MOVED)


def is_token(text: str) -> bool:
    """Return whether a cookie has the form of an id; asked before any store is."""
    return _TOKEN.fullmatch(text) is not None


def is_key(text: str) -> bool:
    """Return whether a text has the form of a key."""
    return _KEY.fullmatch(text) is not None


def tag_of(user_id: str) -> str:
    """Return the tag of a user's sessions."""
    return _USER + _digest(f"flaskware-session tag:{user_id}")[: _TAG - 1]


def tag_in(key: str) -> str:
    """Return the tag of a key or an id."""
    return key[:_TAG]


KEYS_OF_USERS = (_USER, chr(ord(_USER) + 1))
"""The keys of signed-in sessions come after the first text, and before the second."""


def is_of_user(key: str) -> bool:
    """Return whether the session of a key belongs to a user."""
    return key.startswith(_USER)


def proof_of(token: str) -> str:
    """Return the hash of an id's secret: 43 characters of the URL-safe alphabet."""
    return _digest(token[_NAMED:])


def key_of(token: str, pepper: bytes = b"", namespace: str = "") -> str:
    """Return the key of a session in a store.

    :param pepper: A secret that the store does not have; with one it is the HMAC.
    :param namespace: Of the app, so that apps which share a store share no session.
    """
    text = f"{namespace}\n{token[:_NAMED]}".encode()
    if pepper:
        return token[:_TAG] + hmac.digest(pepper, text, "sha256").hex()
    return token[:_TAG] + hashlib.sha256(text).hexdigest()


class Keys:
    """The keys of ids, under a pepper that can be rotated.

    :param peppers: The first makes keys; the others are only looked under. An empty
        pepper stands for none.
    :param namespace: Of the app.
    """

    def __init__(
        self, peppers: cabc.Sequence[bytes] = (), *, namespace: str = ""
    ) -> None:
        self._first, *self._older = peppers or (b"",)
        self._namespace = namespace

    def of(self, token: str) -> str:
        """Return the key under the pepper that is used now."""
        return key_of(token, self._first, self._namespace)

    def all_of(self, token: str | None) -> list[str]:
        """Return the keys that an id may have, if there is an id."""
        return [] if token is None else [self.of(token), *self.older_of(token)]

    def older_of(self, token: str) -> list[str]:
        """Return the keys that the same id had under earlier peppers."""
        return [key_of(token, pepper, self._namespace) for pepper in self._older]


def handle_of(key: str) -> str:
    """Return a public name for a session: it leads neither to the id nor to the key."""
    digest = hashlib.sha256(b"flaskware-session handle:" + key.encode())
    # Hexadecimal, since it is also an argument of a command: no leading hyphen.
    return digest.hexdigest()[:24]


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")
