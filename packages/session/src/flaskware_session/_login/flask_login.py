"""Sign-in and sign-out by Flask-Login, and by Flask-Security, which is built on it.

Only signals, configuration and public functions of theirs are used; an app that uses
them needs no change.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import datetime as dt
import functools
import hashlib
import sys
import typing as t

import flask
import flask_login
from flask_login.config import COOKIE_DURATION
from flask_login.config import COOKIE_NAME
from flask_login.config import SESSION_KEYS
from werkzeug.datastructures import ImmutableMultiDict

from flaskware_core import current_session
from flaskware_session._core.visit import Intent
from flaskware_session._core.visit import Visit
from flaskware_session._errors import StoreUnavailable
from flaskware_session._records.codec import decode
from flaskware_session._records.token import new_token
from flaskware_session._records.token import proof_of
from flaskware_session._records.token import with_secret_of
from flaskware_session._web.headers import is_bearer
from flaskware_session._web.session import ServerSession

from .remember import is_cookie_of
from .remember import KIND
from .remember import remember
from .remember import REMEMBERED
from .remember import resume

_STAMP = "_login_stamp"
# Their hooks at the end of the request remove cookies where these keys say so; the
# messages are for the page that says goodbye.
_KEPT_AT_LOGOUT = ("_remember", "fs_cc", "_flashes")
_READS_ONLY = frozenset({"GET", "HEAD", "OPTIONS"})


class SignIns(t.Protocol):
    """The part of ``Sessions`` that the adapter uses."""

    def login(self, user_id: str | int) -> None:
        """Sign a user in, under a new id."""
        ...

    def logout(self) -> None:
        """End this request's session."""
        ...

    def is_fresh(self, *, minutes: float) -> bool:
        """Return whether the user signed in, or confirmed it, within this time."""
        ...

    def confirm_factor(self) -> None:
        """Note that the user has given the password again, and give a new id."""
        ...

    def revoke_user(self, user_id: str | int) -> int:
        """End a user's other sessions."""
        ...


@dc.dataclass
class _Note:
    """Facts about the cookie of this request, for the end of it."""

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
    :param bearer: Whether clients of an API are served, which bring no cookies.
    :param accepts_plain: Whether the cookies of Flask-Login alone still sign in.
    """

    def __init__(
        self,
        app: flask.Flask,
        sessions: SignIns,
        *,
        id_attribute: str | None,
        stamp_attribute: str | None,
        bearer: bool,
        accepts_plain: bool,
    ) -> None:
        self._app = app
        self._config: cabc.Mapping[str, t.Any] = app.config
        self._sessions = sessions
        self._id_attribute = id_attribute
        self._stamp_attribute = stamp_attribute
        self._bearer = bearer
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
        # Importing it takes long, and an app that uses it has done so.
        if self._follows_security or "flask_security" not in sys.modules:
            return
        import flask_security

        self._follows_security = True
        flask_security.password_changed.connect(self._password_set, sender=self._app)
        flask_security.password_reset.connect(self._password_set, sender=self._app)

    def _accessed(self, app: flask.Flask) -> None:
        self._follow_security()
        manager: t.Any = t.cast("t.Any", app).login_manager
        # The app may set another function at any time.
        if manager.user_callback and not isinstance(manager.user_callback, _Loader):
            manager.user_loader(_Loader(manager.user_callback, self._loaded))
        value = flask.request.cookies.get(self._cookie_name)
        session = _session()
        # Once, as this request shows another value afterwards.
        if value is not None and session is not None and not _note().sent:
            _note().sent = value
            if self._bearer and is_bearer(flask.request):
                # A page of another site can have the browser send cookies.
                self._show_cookie(None)
            else:
                self._read_cookie(session, value)

    def _read_cookie(self, session: ServerSession, value: str) -> None:
        """Show Flask-Login a cookie of its own kind, or none."""
        if "_user_id" in session:
            # The session says who is signed in, and the cookie may be another's.
            if is_cookie_of(session, value):
                self._show_cookie(session["_user_id"])
            elif not self._is_plain(value):
                self._show_cookie(None)
            return
        visit, manager = session.access.load(), session.access.manager
        try:
            if visit.outage is None:
                steps = resume(visit, manager.policy, value)
                if manager.client.run(steps, visit):
                    # Flask-Login goes on from here: it sets the user and that the
                    # sign-in is not fresh, and sends its signal.
                    self._show_cookie(session.pop("_user_id", None))
                    return
        except StoreUnavailable as error:
            visit.failed(error)
            if not manager.policy.anonymous_on_outage:
                raise
        if visit.outage is not None:
            self._show_cookie(None)
        elif not self._is_plain(value):
            self._refuse_cookie()

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
            # Other requests of a page may be under way with the cookie that a session
            # was moved in by, and would be signed out: it waits for a sign-in.
            is_possible = not session.access.is_sent and visit.outage is None
            if is_possible and not visit.is_moved:
                # A test client, say, has put the user there.
                self._bind(session, user)
            return user
        stamp = self._stamp_of(user)
        if session.get(_STAMP) != stamp:
            if _STAMP in session and stamp is not None:
                self._sessions.logout()
                self._refuse_cookie()
                return None
            _put(session, _STAMP, stamp)
        if session.get("_fresh") and self._is_stale(session, visit):
            session["_fresh"] = False
        return user

    def _is_stale(self, session: ServerSession, visit: Visit) -> bool:
        # It lives longer than a session does, and what is fresh must not.
        record = visit.record
        if record is None or record.kind != KIND or visit.starts_over:
            return False
        idle = session.access.manager.policy.lifetime_of(visit.user_id).idle
        return not self._sessions.is_fresh(minutes=idle / 60_000)

    def _logged_in(self, app: flask.Flask, user: t.Any) -> None:  # noqa: ARG002
        session = _session()
        if session is not None:
            self._bind(session, user)

    def _bind(self, session: ServerSession, user: t.Any) -> None:
        # Another user's content goes, but not what Flask-Login has set just now.
        kept = {key: session[key] for key in SESSION_KEYS if key in session}
        self._sessions.login(self._id_of(user, session))
        session.update(kept)
        sent = _note().sent
        is_plain = self._is_plain(sent) and (
            flask_login.decode_cookie(sent) == session.get("_user_id")
        )
        if REMEMBERED in session or is_plain:
            # The browser has to know the name that the session has now.
            session["_remember"] = "set"
        _put(session, _STAMP, self._stamp_of(user))

    def _confirmed(self, app: flask.Flask) -> None:  # noqa: ARG002
        session, user = _session(), flask_login.current_user
        if session is None or not user or not user.is_authenticated:
            return
        if session.access.load().user_id is None:
            self._bind(session, user)
        else:
            self._sessions.confirm_factor()

    def _logged_out(self, app: flask.Flask, user: t.Any) -> None:  # noqa: ARG002
        session = _session()
        if session is None:
            return
        if session.access.load().user_id is not None or (
            user and user.is_authenticated
        ):
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
        """Give a new id if this request has asked for, or changed, the password."""
        if visit.starts_over or visit.record is None:
            return
        if "fs_paa" in session and visit.is_touched:
            before = decode(visit.record.data) or {}
            if before.get("fs_paa") != session["fs_paa"]:
                self._sessions.confirm_factor()
        user = flask.g.get("_login_user")
        if user and _STAMP in session and flask.request.method not in _READS_ONLY:
            stamp = self._stamp_of(user)
            if stamp != session[_STAMP]:
                session[_STAMP] = stamp
                visit.require(Intent.RENEW)

    def _set_cookie(
        self, session: ServerSession, visit: Visit, response: flask.Response
    ) -> None:
        """Put the value that leads to the session into the cookie of Flask-Login."""
        own = self._own_headers(response)
        if not own:
            if _note().is_refused:
                config = self._config
                domain = config.get("REMEMBER_COOKIE_DOMAIN")
                path = config.get("REMEMBER_COOKIE_PATH", "/")
                response.delete_cookie(self._cookie_name, domain=domain, path=path)
            return
        # Flask-Login removes it by one without a value.
        if own[-1].startswith(f"{self._cookie_name}=;") or visit.user_id is None:
            return
        sent = _note().sent
        if is_cookie_of(session, sent) and not visit.starts_over:
            self._put_value(response, sent)
            return
        token, config = new_token(), self._config
        seconds = session.get("_remember_seconds")
        if seconds is None:
            seconds = config.get("REMEMBER_COOKIE_DURATION", COOKIE_DURATION)
        if isinstance(seconds, dt.timedelta):
            seconds = seconds.total_seconds()
        is_refreshed = bool(config.get("REMEMBER_COOKIE_REFRESH_EACH_REQUEST"))
        remember(visit, token, seconds, is_refreshed=is_refreshed)
        session.access.on_send = functools.partial(self._send, visit, token)

    def _send(self, visit: Visit, token: str, response: flask.Response) -> None:
        record, id = visit.record, visit.id
        if record is not None and id is not None and proof_of(token) in record.data:
            self._put_value(response, with_secret_of(id, token))
        else:
            # Not stored: what Flask-Login has put there leads nowhere.
            self._put_value(response, None)

    def _put_value(self, response: flask.Response, value: str | None) -> None:
        own = self._own_headers(response)
        lines = [h for h in response.headers.getlist("Set-Cookie") if h not in own]
        if value is not None and own:
            attributes = own[-1].partition(";")[2]
            lines.append(f"{self._cookie_name}={value};{attributes}")
        response.headers.setlist("Set-Cookie", lines)

    def _own_headers(self, response: flask.Response) -> list[str]:
        start = f"{self._cookie_name}="
        found = response.headers.getlist("Set-Cookie")
        return [header for header in found if header.startswith(start)]

    def _is_plain(self, value: str) -> bool:
        # Flask-Login fails where the signature is no ASCII.
        is_possible = self._accepts_plain and value.isascii()
        return is_possible and flask_login.decode_cookie(value) is not None

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
        name: str = self._config.get("REMEMBER_COOKIE_NAME", COOKIE_NAME)
        return name

    def _id_of(self, user: t.Any, session: ServerSession | None) -> str:
        name = self._id_attribute
        if name is None and hasattr(user, "fs_uniquifier"):
            name = "id"
        if name is not None:
            return _stored(user, name)
        if session is not None and "_user_id" in session:
            return str(session["_user_id"])
        return str(user.get_id())

    def _stamp_of(self, user: t.Any) -> str | None:
        if self._stamp_attribute is None:
            return None
        text = f"flaskware-session stamp:{getattr(user, self._stamp_attribute)}"
        return hashlib.sha256(text.encode()).hexdigest()


def _stored(user: t.Any, name: str) -> str:
    """Return an attribute of a user, which the database may have to set first.

    Flask-Security signs in who has just registered, and commits at the end.

    :raises RuntimeError: if it is still not set.
    """
    value: object = getattr(user, name)
    sqlalchemy: t.Any = sys.modules.get("sqlalchemy")
    if value is None and sqlalchemy is not None:
        state = sqlalchemy.inspect(user, raiseerr=False)
        if state is not None and state.session is not None:
            state.session.flush()
            value = getattr(user, name)
    if value is None:
        raise RuntimeError(
            f"The user has no {name!r} yet, so no session can be bound to it. Store the"
            " user, as by `db.session.commit()`, before it is signed in."
        )
    return str(value)


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
