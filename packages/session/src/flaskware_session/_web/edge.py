"""Cookies and headers of a session in requests and responses, Flask or Quart."""

from __future__ import annotations

import collections.abc as cabc
import functools
import itertools
import typing as t

from flask.sansio.app import App
from werkzeug.sansio.request import Request
from werkzeug.sansio.response import Response

from flaskware_core import Credential
from flaskware_session._core.takeover import ForeignSession
from flaskware_session._core.visit import Cookie
from flaskware_session._core.visit import PERMANENT
from flaskware_session._core.visit import Visit
from flaskware_session._drive.sync import SessionManager
from flaskware_session._errors import SessionConflict
from flaskware_session._errors import SessionEnded
from flaskware_session._errors import StoreUnavailable

from .carried import CarriedSessions
from .cookie import SessionCookie
from .headers import Caching
from .headers import hand_out
from .headers import is_bearer
from .headers import limit_caching
from .headers import read_bearer
from .headers import vary_by_credential

if t.TYPE_CHECKING:
    from flaskware_session._takeover.flask_cookie import Finder

# Headers that go when another answer is put in a response's place. The rest stays,
# such as the security headers that an after-request hook has added.
_OF_CONTENT = (
    "Accept-Ranges", "Cache-Control", "Content-Disposition", "Content-Encoding",
    "Content-Language", "Content-Length", "Content-Range", "Content-Type", "ETag",
    "Expires", "Last-Modified", "Location", "Set-Cookie",
)  # fmt: skip


# Two functions: the ids that a request carries, and the sessions of others.
_Reader: t.TypeAlias = tuple[
    cabc.Callable[[], cabc.Sequence[str]],
    cabc.Callable[[], cabc.Iterable[ForeignSession]] | None,
]


class SessionEdge:
    """The cookies and headers of an app's sessions."""

    def __init__(
        self,
        manager: SessionManager,
        cookie: SessionCookie,
        *,
        save_on_error: bool,
        caching: Caching = "auto",
        bearer: bool = False,
        find_foreign: Finder | None = None,
        carried: CarriedSessions | None = None,
    ) -> None:
        self.manager = manager
        self.cookie = cookie
        self._save_on_error = save_on_error
        self._caching: Caching = caching
        self._bearer = bearer
        self._forgets_plain = find_foreign is not None
        self._carried = carried
        finders = [
            finder for finder in (carried and carried.find, find_foreign) if finder
        ]
        self._find_foreign = _chain(finders) if finders else None

    def reader(self, request: Request) -> _Reader:
        """Return what reads a request."""
        if self.is_bearer(request):
            return functools.partial(read_bearer, request), None
        find = self._find_foreign and functools.partial(self._find_foreign, request)
        return functools.partial(self.cookie.read, request), find

    def is_to_save(self, response: Response) -> bool:
        """Return whether what a request changed is stored, by its response."""
        return self._save_on_error or response.status_code < 500

    def is_reported(
        self, error: SessionConflict | StoreUnavailable, visit: Visit
    ) -> bool:
        """Return whether an error of storing becomes the response."""
        if isinstance(error, StoreUnavailable):
            # A sign-in that was not stored must not look like a success.
            return not self.is_lenient or visit.starts_over
        # Of a session that has ended, a signal and the log have reported it.
        is_ended = isinstance(error, SessionEnded)
        return not is_ended or self.manager.policy.on_conflict == "raise"

    def send(self, visit: Visit, request: Request, response: Response) -> None:
        """Add the cookie and the headers of a session that was used."""
        vary_by_credential(response, bearer=self._bearer)
        if not self.is_bearer(request):
            self._send_cookie(visit, request, response)
        elif visit.cookie is Cookie.SET and visit.id is not None:
            hand_out(response, visit.id)
        limit_caching(
            response,
            self._caching,
            is_signed_in=visit.user_id is not None,
            has_id=visit.cookie is not Cookie.LEAVE,
        )

    @property
    def is_lenient(self) -> bool:
        """True if an outage of the store makes an empty session."""
        return self.manager.policy.anonymous_on_outage

    def credential_of(self, request: Request) -> Credential | None:
        """Return whether a cookie or a header signs a request in; see core."""
        if self.is_bearer(request):
            return "header"
        cookie = self.cookie
        is_sent = {cookie.name, cookie.secure_name} & request.cookies.keys()
        return "cookie" if is_sent else None

    def is_bearer(self, request: Request) -> bool:
        """Return whether a request carries a bearer token that counts."""
        return self._bearer and is_bearer(request)

    def _send_cookie(self, visit: Visit, request: Request, response: Response) -> None:
        if visit.cookie is Cookie.LEAVE:
            return
        if visit.cookie is Cookie.DELETE:
            self.cookie.delete(request, response)
        elif visit.carried is not None:
            self._send_carried(visit, visit.carried, request, response)
        elif visit.id is not None:
            max_age = self._max_age(visit) if visit.data.get(PERMANENT) else None
            self.cookie.set(request, response, visit.id, max_age=max_age)
            if self._forgets_plain:
                self.cookie.forget_plain(request, response)

    def _send_carried(
        self, visit: Visit, text: str, request: Request, response: Response
    ) -> None:
        carried = self._carried
        value = None if carried is None else carried.pack(text)
        if carried is not None and value is not None:
            max_age = carried.seconds if visit.data.get(PERMANENT) else None
            self.cookie.set(request, response, value, max_age=max_age)

    def _max_age(self, visit: Visit) -> int | None:
        record = visit.record
        if record is None:
            return None
        # The longest the session can live, so that the cookie need not be sent again
        # as it is used; when it ends is for the server to say.
        return max((record.until - self.manager.now()) // 1000, 0)


class CookieNames:
    """The questions about the cookie that both frameworks ask a session interface."""

    edge: SessionEdge

    def credential_of(self, request: Request) -> Credential | None:
        """Return whether a cookie or a header signs a request in; see core."""
        return self.edge.credential_of(request)

    def get_cookie_name(self, app: App) -> str:  # noqa: ARG002
        """Return the name of the cookie over plain http."""
        return self.edge.cookie.name

    def get_cookie_samesite(self, app: App) -> str | None:  # noqa: ARG002
        """Return ``SESSION_COOKIE_SAMESITE``, or ``"Lax"`` if that is not set."""
        return self.edge.cookie.samesite

    def get_cookie_secure(self, app: App) -> bool:  # noqa: ARG002
        """Return whether the cookie is ``Secure`` on a public host."""
        return self.edge.cookie.policy != "plain"


def replace_headers(response: Response, answer: Response) -> None:
    """Give a response the status and headers of another, and keep those of hooks."""
    response.status = answer.status
    for name in _OF_CONTENT:
        response.headers.pop(name, None)
    for name in set(answer.headers.keys()):
        response.headers.setlist(name, answer.headers.getlist(name))


def _chain(finders: cabc.Sequence[Finder]) -> Finder:
    return lambda request: itertools.chain.from_iterable(
        find(request) for find in finders
    )
