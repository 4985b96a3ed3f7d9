"""Sign-in and sign-out by Flask-Login, and by Flask-Security, which is built on it.

Only signals, configuration and public functions of theirs are used; an app that uses
them needs no change.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import hashlib
import sys
import typing as t

import flask
import flask_login
from flask_login.config import COOKIE_NAME
from flask_login.config import SESSION_KEYS
from werkzeug.datastructures import ImmutableMultiDict

from flaskware_core import current_session
from flaskware_session._core.visit import Visit
from flaskware_session._errors import StoreUnavailable
from flaskware_session._records.codec import decode
from flaskware_session._web.session import ServerSession

from .remember import REMEMBERED
from .remember import Remembered
from .remember import resume

_STAMP = "_login_stamp"
# By these keys they tell their own hooks at the end of the request to remove cookies;
# messages are for the page that says goodbye.
_KEPT_AT_LOGOUT = ("_remember", "fs_cc", "_flashes")
_READS_ONLY = frozenset({"GET", "HEAD", "OPTIONS"})


class SignIns(t.Protocol):
    """What the adapter needs of ``Sessions``."""

    def login(self, user_id: str | int) -> None:
        """Sign a user in, under a new id."""
        ...

    def logout(self) -> None:
        """End this request's session."""
        ...

    def revoke_user(self, user_id: str | int) -> int:
        """End a user's other sessions."""
        ...


@dc.dataclass
class _Note:
    """What the end of this request has to know of the cookie that came with it."""

    sent: str = ""
    is_refused: bool = False
    """True if it is good for nothing and goes."""


@dc.dataclass(frozen=True)
class _Loader:
    """The app's function that loads a user by id, followed by a look at its session."""

    load: cabc.Callable[[str], t.Any]
    check: cabc.Callable[[t.Any], t.Any]

    def __call__(self, user_id: str) -> t.Any:
        return self.check(self.load(user_id))


class LoginAdapter:
    """Binds an app's sessions to the users that Flask-Login signs in.

    :param id_attribute: Attribute of a user that holds the id that sessions are listed
        by; ``None`` for Flask-Login's id, or the primary key with Flask-Security, whose
        other id changes with the password.
    :param stamp_attribute: Attribute whose change ends the user's other sessions.
    :param accepts_plain: Whether the cookies of Flask-Login alone still sign in.
    """

    def __init__(
        self,
        app: flask.Flask,
        sessions: SignIns,
        *,
        id_attribute: str | None,
        stamp_attribute: str | None,
        accepts_plain: bool,
    ) -> None:
        self._app = app
        self._sessions = sessions
        self._id_attribute = id_attribute
        self._stamp_attribute = stamp_attribute
        self._accepts_plain = accepts_plain
        self._follows_security = False

    def connect(self) -> None:
        """Follow what happens in the app from now on."""
        signals: list[tuple[t.Any, cabc.Callable[..., None]]] = [
            (flask_login.user_accessed, self._accessed),
            (flask_login.user_logged_in, self._logged_in),
            (flask_login.user_logged_out, self._logged_out),
            (flask_login.user_login_confirmed, self._confirmed),
            (flask_login.session_protected, self._protected),
        ]
        for signal, receiver in signals:
            signal.connect(receiver, sender=self._app)
        # The first hook in the list is the last to run, after Flask-Login has set its
        # cookie. It also keeps this object alive, which the signals do not.
        self._app.after_request_funcs.setdefault(None, []).insert(0, self._finish)
        self._follow_security()

    def _follow_security(self) -> None:
        # Importing it takes long, and whoever uses it has done so.
        if self._follows_security or "flask_security" not in sys.modules:
            return
        import flask_security

        self._follows_security = True
        flask_security.password_changed.connect(self._password_set, sender=self._app)
        flask_security.password_reset.connect(self._password_set, sender=self._app)

    def _accessed(self, app: flask.Flask) -> None:
        self._follow_security()
        manager: t.Any = t.cast("t.Any", app).login_manager
        # The app may set another one at any time.
        if manager.user_callback and not isinstance(manager.user_callback, _Loader):
            manager.user_loader(_Loader(manager.user_callback, self._loaded))
        value = flask.request.cookies.get(self._cookie_name)
        session = _session()
        # Once, as this request shows another value afterwards.
        if value is not None and session is not None and not _note().sent:
            _note().sent = value
            self._read_cookie(session, value)

    def _read_cookie(self, session: ServerSession, value: str) -> None:
        """Show Flask-Login a cookie of its own kind, or none."""
        cookie = Remembered.read(value)
        if "_user_id" in session:
            # The session tells who is signed in, and its cookie may be another's.
            if cookie is not None and cookie.is_of(session):
                self._show_cookie(session["_user_id"])
            elif not self._is_plain(value):
                self._show_cookie(None)
            return
        if cookie is None:
            if not self._is_plain(value):
                self._refuse_cookie()
            return
        visit, manager = session.access.load(), session.access.manager
        try:
            if visit.outage is None and resume(visit, manager, cookie):
                user_id = session.pop("_user_id", "")
                # Flask-Login goes on from here: it sets the user and that the sign-in
                # is not fresh, and sends its signal.
                self._show_cookie(user_id)
                return
        except StoreUnavailable:
            if not manager.policy.anonymous_on_outage:
                raise
            self._show_cookie(None)
            return
        if visit.outage is None:
            self._refuse_cookie()
        else:
            self._show_cookie(None)

    def _loaded(self, user: t.Any) -> t.Any:
        """Return a user as the session allows it."""
        session = _session()
        if session is None:
            return user
        visit = session.access.load()
        if user is None:
            # Otherwise Flask-Login would go on with the cookie, for the same user.
            self._show_cookie(None)
            return None
        if visit.user_id is None:
            if not session.access.is_sent and visit.outage is None:
                self._adopt(session, user)
            return user
        stamp = self._stamp_of(user)
        if session.get(_STAMP) != stamp:
            if _STAMP in session and stamp is not None:
                self._sessions.logout()
                self._refuse_cookie()
                return None
            _put(session, _STAMP, stamp)
        return user

    def _adopt(self, session: ServerSession, user: t.Any) -> None:
        # It was made before this extension, by a test client, or by a cookie from then.
        is_remembered = self._cookie_name in flask.request.cookies
        self._bind(session, user)
        if is_remembered:
            session["_remember"] = "set"

    def _logged_in(self, app: flask.Flask, user: t.Any) -> None:  # noqa: ARG002
        session = _session()
        if session is not None:
            # The cookie of an earlier sign-in is not this one's.
            session.pop(REMEMBERED, None)
            self._bind(session, user)

    def _bind(self, session: ServerSession, user: t.Any) -> None:
        # What was another user's goes, but not what Flask-Login has set just now.
        kept = {key: session[key] for key in SESSION_KEYS if key in session}
        self._sessions.login(self._id_of(user, session))
        session.update(kept)
        _put(session, _STAMP, self._stamp_of(user))

    def _confirmed(self, app: flask.Flask) -> None:  # noqa: ARG002
        session, user = _session(), flask_login.current_user
        if session is not None and user and user.is_authenticated:
            self._bind(session, user)

    def _logged_out(self, app: flask.Flask, user: t.Any) -> None:  # noqa: ARG002
        session = _session()
        if session is not None and session.access.load().user_id is not None:
            self._end(session)

    def _protected(self, app: flask.Flask) -> None:  # noqa: ARG002
        session = _session()
        if session is None:
            return
        # In its strong mode Flask-Login has removed the user from the session.
        if "_user_id" not in session and session.access.load().user_id is not None:
            self._end(session)

    def _end(self, session: ServerSession) -> None:
        kept = {key: session[key] for key in _KEPT_AT_LOGOUT if key in session}
        self._sessions.logout()
        session.update(kept)

    def _password_set(self, app: flask.Flask, user: t.Any, **details: t.Any) -> None:  # noqa: ARG002
        self._sessions.revoke_user(self._id_of(user, None))

    def _finish(self, response: flask.Response) -> flask.Response:
        session = _session()
        visit = None if session is None else session.access.visit
        if session is None or visit is None or visit.outage is not None:
            return response
        if visit.user_id is not None:
            self._follow_user(session, visit)
        self._set_cookie(session, visit, response)
        return response

    def _follow_user(self, session: ServerSession, visit: Visit) -> None:
        """Notice that this request has asked for, or changed, the password."""
        if visit.starts_over or visit.record is None:
            return
        if "fs_paa" in session and visit.is_touched:
            before = decode(visit.record.data) or {}
            if before.get("fs_paa") != session["fs_paa"]:
                self._sessions.login(t.cast("str", visit.user_id))
        user = flask.g.get("_login_user")
        if user and _STAMP in session and flask.request.method not in _READS_ONLY:
            stamp = self._stamp_of(user)
            if stamp != session[_STAMP]:
                self._bind(session, user)

    def _set_cookie(
        self, session: ServerSession, visit: Visit, response: flask.Response
    ) -> None:
        """Put the value that leads to the session into the cookie of Flask-Login."""
        name = self._cookie_name
        headers = response.headers.getlist("Set-Cookie")
        own = [header for header in headers if header.startswith(f"{name}=")]
        if not own:
            if _note().is_refused:
                config = self._app.config
                domain = config.get("REMEMBER_COOKIE_DOMAIN")
                path = config.get("REMEMBER_COOKIE_PATH", "/")
                response.delete_cookie(name, domain=domain, path=path)
            return
        value, _, attributes = own[-1].partition("=")[2].partition(";")
        if not value or visit.user_id is None:
            return
        sent = Remembered.read(_note().sent)
        if sent is None or not sent.is_of(session):
            sent = Remembered.new(visit.user_id)
            session[REMEMBERED] = sent.proof
        others = [header for header in headers if header not in own]
        line = f"{name}={sent.value()};{attributes}"
        response.headers.setlist("Set-Cookie", [*others, line])

    def _is_plain(self, value: str) -> bool:
        return self._accepts_plain and flask_login.decode_cookie(value) is not None

    def _show_cookie(self, user_id: str | None) -> None:
        """Let this request have Flask-Login's cookie of a user, or none."""
        cookies = flask.request.cookies.to_dict(flat=False)
        cookies.pop(self._cookie_name, None)
        if user_id is not None:
            cookies[self._cookie_name] = [flask_login.encode_cookie(user_id)]
        t.cast("t.Any", flask.request).cookies = ImmutableMultiDict(cookies)

    def _refuse_cookie(self) -> None:
        _note().is_refused = True
        self._show_cookie(None)

    @property
    def _cookie_name(self) -> str:
        name: str = self._app.config.get("REMEMBER_COOKIE_NAME", COOKIE_NAME)
        return name

    def _id_of(self, user: t.Any, session: ServerSession | None) -> str:
        if self._id_attribute is not None:
            return str(getattr(user, self._id_attribute))
        if hasattr(user, "fs_uniquifier"):
            return str(user.id)
        if session is not None and "_user_id" in session:
            return str(session["_user_id"])
        return str(user.get_id())

    def _stamp_of(self, user: t.Any) -> str | None:
        if self._stamp_attribute is None:
            return None
        text = f"flaskware-session stamp:{getattr(user, self._stamp_attribute)}"
        return hashlib.sha256(text.encode()).hexdigest()


def _session() -> ServerSession | None:
    """Return this request's session, unless something else has taken its place."""
    session: object = current_session()
    return session if isinstance(session, ServerSession) else None


def _note() -> _Note:
    # Not on `flask.g`, which an app context around several requests shares.
    environ = flask.request.environ
    note: _Note = environ.setdefault("flaskware.session.login", _Note())
    return note


def _put(session: ServerSession, key: str, value: str | None) -> None:
    if value is not None:
        session[key] = value
    else:
        session.pop(key, None)
