from __future__ import annotations

import typing as t

from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Conflict
from werkzeug.exceptions import Unauthorized

from flaskware_core import Misuse
from flaskware_core import Unavailable


class StoreUnavailable(Unavailable):
    """The session store did not answer; a request that needs it ends with 503.

    :param reason: Message of the driver. For logs: it is not part of the page.
    """

    description = "The session store does not answer. Please try again in a moment."


class StoreBusy(StoreUnavailable):
    """This process has asked the store for more at once than it has connections.

    It says nothing about the store, so that other requests go on to ask it.
    """

    is_outage = False


class StoreRefused(ValueError):
    """The store cannot hold what a request put into its session; nothing was stored.

    This is an error of the one request, never an outage of the store.
    """


class SessionConflict(Conflict):
    """Another request changed the same keys meanwhile; nothing was stored.

    Raised where ``SESSION_ON_CONFLICT`` is ``"raise"``: by ``session.save()``, after
    which the session holds what is stored and the change can be made again, or at the
    end of the request, which then is answered with 409.

    :param keys: The keys that both requests changed.
    """

    description = "Somebody else changed the same just now. Please try again."

    def __init__(self, keys: list[str]) -> None:
        super().__init__()
        self.keys = keys

    def __reduce__(self) -> tuple[type[SessionConflict], tuple[list[str]]]:
        return type(self), (self.keys,)


class SessionEnded(SessionConflict):
    """The session has ended meanwhile, so that a change of this request was not stored.

    Another request signed in, signed out or was revoked. The session of this request is
    empty from now on, and the cookie stays as it is, since the browser may have a newer
    cookie. Raised by ``session.save()``; at the end of a request only where
    ``SESSION_ON_CONFLICT`` is ``"raise"``, which then is answered with 409. A signal
    and a line of the log report it in any case.
    """

    description = "The session has ended. Please sign in again."


class NotFresh(Unauthorized):
    """The user gave a proof too long ago, or never; see ``Sessions.require_fresh``.

    :param factor: The proof to ask for, such as ``"mfa"``; ``"sign-in"`` for any
        sign-in.
    :param minutes: How old it may be, if that is known.
    :param is_bearer: Whether the response carries a challenge for a client of an API.
    """

    description = "Please sign in again to continue."

    def __init__(
        self,
        factor: str = "sign-in",
        minutes: float | None = None,
        *,
        is_bearer: bool = False,
    ) -> None:
        challenge = None
        if is_bearer:
            # RFC 9470: what a client of an API is to ask its user for.
            values = {"error": "insufficient_user_authentication", "acr_values": factor}
            if minutes is not None:
                values["max_age"] = str(round(minutes * 60))
            challenge = WWWAuthenticate("bearer", t.cast("dict[str, t.Any]", values))
        super().__init__(www_authenticate=challenge)
        self.factor = factor
        self.minutes = minutes
        if factor != "sign-in":
            self.description = "Please confirm that it is you to continue."

    def __reduce__(self) -> tuple[type[NotFresh], tuple[str, float | None]]:
        return type(self), (self.factor, self.minutes)


class SessionReadOnly(Misuse, RuntimeError):
    """A websocket changes its session; nothing was stored.

    The answer that could set a cookie was sent when the websocket was opened.
    """

    def __init__(self) -> None:
        super().__init__(
            "A websocket can read the session, but not change it. Change it in a view"
            " that the page calls, for example by `fetch('/cart', {method: 'POST'})`."
        )

    def __reduce__(self) -> tuple[type[SessionReadOnly], tuple[()]]:
        return type(self), ()


class SessionTooLarge(ValueError):
    """The session outgrew ``SESSION_MAX_BYTES``; nothing of the change was stored."""


class SessionMismatch(ValueError):
    """The session holds a value that its schema forbids; nothing was stored.

    :param key: The key that holds it.
    """

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(f"session[{key!r}] does not fit its schema: {problem}")
        self.key = key
        self._arguments = (key, problem)

    def __reduce__(self) -> tuple[type[SessionMismatch], tuple[str, str]]:
        return type(self), self._arguments


class UnstorableValue(TypeError):
    """The session holds a value that cannot be stored and read back the same."""

    def __init__(self, key: object, problem: str) -> None:
        super().__init__(
            f"session[{key!r}] {problem}. A session takes None, bool, int, float, str,"
            " bytes, list, tuple, dict, datetime, date, UUID, Decimal and Markup;"
            " store an id, or a dict made from the object."
        )
        self.key = key
        self._arguments = (key, problem)

    def __reduce__(self) -> tuple[type[UnstorableValue], tuple[t.Any, ...]]:
        return type(self), self._arguments
