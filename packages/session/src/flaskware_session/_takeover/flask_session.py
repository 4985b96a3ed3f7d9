"""Sessions that Flask itself or Flask-Session has stored, to be taken over."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import datetime as dt
import logging
import re
import typing as t

import flask
from flask.sessions import SecureCookieSessionInterface

from flaskware_session._core.takeover import ForeignSession
from flaskware_session._errors import StoreUnavailable
from flaskware_session._errors import UnstorableValue
from flaskware_session._records.codec import decode
from flaskware_session._records.codec import encode
from flaskware_session._records.codec import join

from .old_stores import OldStore
from .old_stores import outages

logger = logging.getLogger("flaskware_session")

_SID = re.compile(r"[A-Za-z0-9_-]{16,256}")
# MessagePack's empty map is this one byte; more after it is how a pickle begins.
_PICKLE = b"\x80"


Finder: t.TypeAlias = cabc.Callable[[flask.Request], ForeignSession | None]
"""Finds a session of another extension for a request."""


def flask_finder(app: flask.Flask) -> Finder:
    """Finds the session that Flask has signed into its cookie."""
    interface = SecureCookieSessionInterface()

    def find(request: flask.Request) -> ForeignSession | None:
        value = request.cookies.get(_cookie_name(app))
        serializer = interface.get_signing_serializer(app)
        if not value or serializer is None:
            return None
        lifetime = app.permanent_session_lifetime
        try:
            data = serializer.loads(value, max_age=int(lifetime.total_seconds()))
        except Exception:  # noqa: BLE001 # a forged text may fail in any reader
            return None
        return _old(value, data, lambda: None, lifetime)

    return find


def flask_session_finder(
    app: flask.Flask, store: OldStore, *, prefix: str, is_signed: bool
) -> Finder:
    """Finds the session that Flask-Session has stored."""

    def find(request: flask.Request) -> ForeignSession | None:
        sid = request.cookies.get(_cookie_name(app))
        if sid and is_signed:
            sid = _unsigned(app, sid)
        if not sid or not _SID.fullmatch(sid):
            return None
        name = prefix + sid
        with outages():
            content = store.get(name)
        if not content:
            return None

        def forget() -> None:
            with contextlib.suppress(StoreUnavailable), outages():
                store.remove(name)

        return _old(name, _read(content), forget, app.permanent_session_lifetime)

    return find


def first_of(finders: cabc.Sequence[Finder]) -> Finder:
    """Asks one after the other."""
    return lambda request: next(
        (old for find in finders if (old := find(request)) is not None), None
    )


class Unpickler:
    """Turns pickled sessions into JSON, and counts.

    Unpickling runs whatever code somebody put into the store: only for one that nobody
    else could write to, and never in a request.
    """

    def __init__(self) -> None:
        self.converted = 0
        self.failed: list[str] = []
        """Why a session was left as it was, one text for each."""

    def __call__(self, content: bytes) -> bytes | None:
        """Convert one, or return ``None`` for what is not a pickled session."""
        import pickle

        if not _is_pickle(content):
            return None
        try:
            data = pickle.loads(content)  # noqa: S301 # what the caller consented to
            if not isinstance(data, cabc.Mapping):
                raise TypeError(f"a pickled {type(data).__name__}")
            text = join(encode(dict(t.cast("cabc.Mapping[str, t.Any]", data))))
        except Exception as error:  # noqa: BLE001 # of the classes that were pickled
            self.failed.append(f"{type(error).__name__}: {error}")
            return None
        self.converted += 1
        return text.encode()


def _cookie_name(app: flask.Flask) -> str:
    return str(t.cast("t.Any", app.config)["SESSION_COOKIE_NAME"])


def _is_pickle(content: bytes) -> bool:
    return content[:1] == _PICKLE and len(content) > 1


def _read(content: bytes) -> object:
    if content[:1] == b"{":
        return decode(content.decode("utf-8", "replace"))
    if _is_pickle(content):
        logger.warning(
            "A session of Flask-Session is pickled and was not read: a pickle can run"
            " any code. See `flask session convert --help`."
        )
        return None
    import msgspec

    try:
        return msgspec.msgpack.decode(content)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None


def _old(
    id: str, data: object, forget: cabc.Callable[[], None], lifetime: dt.timedelta
) -> ForeignSession | None:
    if not isinstance(data, dict) or not data:
        return None
    found = t.cast("dict[str, t.Any]", data)
    try:
        encode(found)
    except UnstorableValue as error:
        logger.warning("A session was not taken over: %s", error)
        return None
    return ForeignSession(id, found, forget, lifetime // dt.timedelta(milliseconds=1))


def _unsigned(app: flask.Flask, value: str) -> str | None:
    from itsdangerous import BadSignature
    from itsdangerous import Signer

    if not app.secret_key:
        return None
    signer = Signer(app.secret_key, salt="flask-session", key_derivation="hmac")
    try:
        return signer.unsign(value).decode()
    except (BadSignature, ValueError):
        return None
