"""The token of a session, signed: in the format of Flask-WTF, free of any framework."""

from __future__ import annotations

import collections.abc as cabc
import hmac
import secrets
import typing as t

from itsdangerous import BadData
from itsdangerous import SignatureExpired
from itsdangerous import URLSafeTimedSerializer

Key: t.TypeAlias = t.Any
"""Text or bytes."""
Session: t.TypeAlias = cabc.MutableMapping[str, t.Any]

# A FlaskForm takes the tokens that are made here, and the other way round.
_SALT = "wtf-csrf-token"


class Refusal(t.NamedTuple):
    """A request that may come from another site.

    :param code: The code of its :class:`FormError`, for the people at a typed form.
    :param reason: The text of its :exc:`CSRFError`, in the words of Flask-WTF.
    """

    code: str
    reason: str


_NO_SESSION = Refusal("csrf_invalid", "The CSRF session token is missing.")
_EXPIRED = Refusal("csrf_expired", "The CSRF token has expired.")
_INVALID = Refusal("csrf_invalid", "The CSRF token is invalid.")
_OTHER = Refusal("csrf_invalid", "The CSRF tokens do not match.")


def issue(session: Session, name: str, key: Key) -> str:
    """Return a signed token of a session, which keeps its secret under a name."""
    secret = session.get(name)
    if not isinstance(secret, str):
        secret = session[name] = secrets.token_hex(20)
    return str(URLSafeTimedSerializer(key, salt=_SALT).dumps(secret))


def verify(
    token: str,
    session: Session,
    name: str,
    keys: cabc.Sequence[Key],
    max_age: int | None,
) -> Refusal | None:
    """Return why a token is refused; ``None`` if it is that of the session.

    :param keys: The keys that it may be signed with, from the oldest on.
    :param max_age: Seconds.
    """
    secret = session.get(name)
    if not isinstance(secret, str):
        return _NO_SESSION
    try:
        found = URLSafeTimedSerializer(list(keys), salt=_SALT).loads(token, max_age)
    except SignatureExpired:
        return _EXPIRED
    except BadData:
        return _INVALID
    same = hmac.compare_digest(secret.encode(), str(found).encode())
    return None if same else _OTHER
