from __future__ import annotations

import collections.abc as cabc
import functools
import itertools
import typing as t

import flask
from flask.sessions import SessionInterface
from flask.sessions import SessionMixin
from werkzeug.sansio.request import Request

from flaskware_core import Credential
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
from .session import Access
from .session import ServerSession

if t.TYPE_CHECKING:
    from flaskware_session._takeover.flask_cookie import Finder

# Headers that go when another answer is put in a response's place. The rest stays,
# such as the security headers that an after-request hook has added.
_OF_CONTENT = (
    "Accept-Ranges", "Cache-Control", "Content-Disposition", "Content-Encoding",
    "Content-Language", "Content-Length", "Content-Range", "Content-Type", "ETag",
    "Expires", "Last-Modified", "Location", "Set-Cookie",
)  # fmt: skip


class ServerSessionInterface(SessionInterface):
    """Opens and saves ``flask.session`` by a manager and a cookie."""

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
        self._manager = manager
        self._cookie = cookie
        self._save_on_error = save_on_error
        self._caching: Caching = caching
        self._bearer = bearer
        self._forgets_plain = find_foreign is not None
        self._carried = carried
        finders = [
            finder for finder in (carried and carried.find, find_foreign) if finder
        ]
        self._find_foreign = _chain(finders) if finders else None

    def open_session(self, app: flask.Flask, request: flask.Request) -> ServerSession:  # noqa: ARG002
        """Make a session that has not been read yet."""
        if self._is_bearer(request):
            read = functools.partial(read_bearer, request)
            return ServerSession(Access(self._manager, read))
        read_tokens = functools.partial(self._cookie.read, request)
        find = self._find_foreign and functools.partial(self._find_foreign, request)
        return ServerSession(Access(self._manager, read_tokens, find))

    def save_session(
        self, app: flask.Flask, session: SessionMixin, response: flask.Response
    ) -> None:
        """Store what changed, and send the cookie; do nothing if it was not used."""
        if not isinstance(session, ServerSession):
            return
        access = session.access
        access.is_sent = True
        visit = access.visit
        if visit is None:
            return
        if visit.outage is not None:
            self._tell_outage(app, visit.outage, response)
        elif visit.is_due_to_save:
            self._save(app, session, visit, response)
        vary_by_credential(response, bearer=self._bearer)
        if not self._is_bearer(flask.request):
            self._send_cookie(visit, response)
        elif visit.cookie is Cookie.SET and visit.id is not None:
            hand_out(response, visit.id)
        limit_caching(
            response,
            self._caching,
            is_signed_in=visit.user_id is not None,
            has_id=visit.cookie is not Cookie.LEAVE,
        )
        if access.on_send is not None:
            access.on_send(response)
        visit.is_sent = True

    def _save(
        self,
        app: flask.Flask,
        session: ServerSession,
        visit: Visit,
        response: flask.Response,
    ) -> None:
        if response.status_code >= 500 and not self._save_on_error:
            return
        try:
            session.save()
        except SessionEnded as error:
            # A signal and the log have reported it.
            if self._manager.policy.on_conflict == "raise":
                _replace(app, response, error)
        except SessionConflict as error:
            _replace(app, response, error)
        except StoreUnavailable as error:
            # A sign-in that was not stored must not look like a success.
            if not self._is_lenient or visit.starts_over:
                _replace(app, response, error)

    @property
    def _is_lenient(self) -> bool:
        return self._manager.policy.anonymous_on_outage

    def credential_of(self, request: Request) -> Credential | None:
        """Return whether a cookie or a header signs a request in; see core."""
        if self._is_bearer(request):
            return "header"
        cookie = self._cookie
        is_sent = {cookie.name, cookie.secure_name} & request.cookies.keys()
        return "cookie" if is_sent else None

    def _is_bearer(self, request: Request) -> bool:
        return self._bearer and is_bearer(request)

    def get_cookie_name(self, app: flask.Flask) -> str:  # noqa: ARG002
        """Return the name of the cookie over plain http."""
        return self._cookie.name

    def get_cookie_samesite(self, app: flask.Flask) -> str | None:  # noqa: ARG002
        """Return ``SESSION_COOKIE_SAMESITE``, or ``"Lax"`` if that is not set."""
        return self._cookie.samesite

    def get_cookie_secure(self, app: flask.Flask) -> bool:  # noqa: ARG002
        """Return whether the cookie is ``Secure`` on a public host."""
        return self._cookie.policy != "plain"

    def _send_cookie(self, visit: Visit, response: flask.Response) -> None:
        if visit.cookie is Cookie.LEAVE:
            return
        if visit.cookie is Cookie.DELETE:
            self._cookie.delete(flask.request, response)
        elif visit.carried is not None:
            self._send_carried(visit, visit.carried, response)
        elif visit.id is not None:
            max_age = self._max_age(visit) if visit.data.get(PERMANENT) else None
            self._cookie.set(flask.request, response, visit.id, max_age=max_age)
            if self._forgets_plain:
                self._cookie.forget_plain(flask.request, response)

    def _send_carried(self, visit: Visit, text: str, response: flask.Response) -> None:
        carried = self._carried
        value = None if carried is None else carried.pack(text)
        if carried is not None and value is not None:
            max_age = carried.seconds if visit.data.get(PERMANENT) else None
            self._cookie.set(flask.request, response, value, max_age=max_age)

    def _tell_outage(
        self, app: flask.Flask, outage: StoreUnavailable, response: flask.Response
    ) -> None:
        # The view caught the error and went on with a session that was empty.
        if response.status_code < 500 and not self._is_lenient:
            _replace(app, response, outage)

    def _max_age(self, visit: Visit) -> int | None:
        record = visit.record
        if record is None:
            return None
        # The longest the session can live, so that the cookie need not be sent again
        # as it is used; when it ends is for the server to say.
        return max((record.until - self._manager.now()) // 1000, 0)


def _chain(finders: cabc.Sequence[Finder]) -> Finder:
    return lambda request: itertools.chain.from_iterable(
        find(request) for find in finders
    )


def _replace(
    app: flask.Flask,
    response: flask.Response,
    error: StoreUnavailable | SessionConflict,
) -> None:
    """Make a response that is already built the app's answer to an error."""
    answer = app.make_response(app.handle_user_exception(error))
    response.close()
    response.response = answer.response
    response.status = answer.status
    response.direct_passthrough = answer.direct_passthrough
    for name in _OF_CONTENT:
        response.headers.pop(name, None)
    for name in set(answer.headers.keys()):
        response.headers.setlist(name, answer.headers.getlist(name))
