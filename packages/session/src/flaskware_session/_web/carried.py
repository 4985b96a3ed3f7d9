"""Sessions of visitors that their cookies carry while the store has no room.

The content is signed with ``SECRET_KEY``, as Flask's own sessions are, and encrypted
where the stored content is.
"""

from __future__ import annotations

import collections.abc as cabc
import functools
import logging

import itsdangerous
from flask.sansio.app import App
from werkzeug.sansio.request import Request

from flaskware_core import signer
from flaskware_session._core.takeover import ForeignSession
from flaskware_session._records.codec import decode
from flaskware_session._stores.sealed import Cipher

from .cookie import SessionCookie

logger = logging.getLogger("flaskware.session")

# Browsers take 4096 bytes with the name and the attributes.
_LONGEST = 3800
# No id begins so.
_START = "~"


class CarriedSessions:
    """Makes and reads such cookies.

    :param now: Returns the time in milliseconds since 1970.
    :param idle: How long a cookie is good for, in milliseconds.
    :param namespace: Of the app.
    """

    def __init__(
        self,
        app: App,
        cookie: SessionCookie,
        *,
        now: cabc.Callable[[], int],
        idle: int,
        namespace: str,
        cipher: Cipher | None,
    ) -> None:
        self._app = app
        self._cookie = cookie
        self._now = now
        self._idle = idle
        self._salt = f"flaskware-session.carried.{namespace}"
        self._cipher = cipher

    @property
    def seconds(self) -> int:
        """Seconds for which a cookie is good."""
        return self._idle // 1000

    def pack(self, text: str) -> str | None:
        """Return the value of a cookie with this content.

        :return: ``None`` if it cannot be signed, or is too long for a cookie.
        """
        if not self._app.secret_key:
            logger.warning(
                "A visitor's session was dropped: the store has no room, and without"
                " SECRET_KEY no cookie can carry it"
            )
            return None
        sealed = text if self._cipher is None else self._cipher.seal(self._salt, text)
        value = _START + self._signer().dumps([sealed, self._now()])
        if len(value) > _LONGEST:
            logger.warning(
                "A visitor's session was dropped: the store has no room, and %s bytes"
                " are too many for a cookie",
                len(value),
            )
            return None
        return value

    def find(self, request: Request) -> cabc.Iterator[ForeignSession]:
        """Find the sessions that the cookies of a request carry."""
        for value in self._cookie.values(request):
            found = self._opened(value)
            if found is not None:
                text, age = found
                yield ForeignSession(
                    value,
                    functools.partial(decode, text),
                    _nothing,
                    is_carried=True,
                    is_old=age > self._idle // 4,
                )

    def _opened(self, value: str) -> tuple[str, int] | None:
        if not (value.startswith(_START) and value.isascii() and self._app.secret_key):
            return None
        try:
            sealed, moment = self._signer().loads(value.removeprefix(_START))
        except (itsdangerous.BadData, ValueError, TypeError):
            return None
        age = self._now() - moment
        if not 0 <= age < self._idle:
            return None
        text: str | None = sealed
        if self._cipher is not None:
            text = self._cipher.open(self._salt, sealed)
        return None if text is None else (text, age)

    def _signer(self) -> itsdangerous.URLSafeSerializer:
        return signer(self._salt, app=self._app)


def _nothing() -> None:
    """Forget nothing: the browser has it all."""
