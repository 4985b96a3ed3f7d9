"""The "remember me" cookie of Flask-Login, bound to a session in the store.

Flask-Login's own cookie holds the user's id under a signature, so that nothing can end
it. Here the browser gets another value: the user and a secret, signed. The session that
is remembered holds the hash of the secret, and the cookie is good for as long as that
session lives. It leads back to that same session: a browser that comes back with six
requests at once has one session, listed once, and it ends with it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import typing as t

import itsdangerous

from flaskware_core import signer
from flaskware_session._core.visit import Intent
from flaskware_session._core.visit import Visit
from flaskware_session._drive.sync import SessionManager
from flaskware_session._records.codec import decode

REMEMBERED = "_remembered"
"""The key of the session that holds the hash of the secret."""

_SALT = "flaskware-session remember"


class Remembered(t.NamedTuple):
    """Content of a cookie whose signature is right."""

    user_id: str
    secret: str

    @property
    def proof(self) -> str:
        """What the session holds, and from which the secret cannot be found."""
        digest = hashlib.sha256(self.secret.encode()).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    def is_of(self, data: t.Mapping[str, t.Any]) -> bool:
        """Return whether this is the cookie of a session with this content."""
        proof = data.get(REMEMBERED)
        return isinstance(proof, str) and hmac.compare_digest(
            proof.encode(), self.proof.encode()
        )

    def value(self) -> str:
        """Return the cookie's value; for Flask-Login it is no valid one."""
        signed: str = signer(_SALT).dumps([self.user_id, self.secret])
        return signed

    @classmethod
    def new(cls, user_id: str) -> t.Self:
        """Make one that nobody has seen yet."""
        return cls(user_id, secrets.token_urlsafe(32))

    @classmethod
    def read(cls, value: str) -> t.Self | None:
        """Return the content of a cookie; ``None`` if this app has not made it."""
        try:
            user_id, secret = signer(_SALT).loads(value)
        except itsdangerous.BadData:
            return None
        return cls(user_id, secret)


def resume(visit: Visit, manager: SessionManager, cookie: Remembered) -> bool:
    """Have a visit go on with the session that a cookie remembers.

    What an anonymous visitor has in the session by now is added to it.

    :return: Whether there still is such a session.
    :raises StoreUnavailable: if the store does not answer.
    """
    for record in manager.store.for_user(cookie.user_id, manager.now()):
        data = decode(record.data)
        if data is not None and cookie.is_of(data):
            break
    else:
        return False
    before, found = visit.record, dict(visit.data)
    visit.opened(record, data | found, None)
    visit.items = None
    visit.is_touched = visit.is_reordered = True
    # The browser has no id of it; once the response has begun it cannot get one.
    if not visit.is_sent:
        visit.require(Intent.RENEW)
    if before is not None and before.key != record.key:
        manager.store.delete(before.key)
    return True
