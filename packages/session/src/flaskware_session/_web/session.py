from __future__ import annotations

import collections.abc as cabc
import typing as t

import flask
from flask.sessions import SessionMixin

from flaskware_session._drive.asking import Spent
from flaskware_session._errors import StoreUnavailable
from flaskware_session._records.codec import is_immutable
from flaskware_session._records.record import Record

if t.TYPE_CHECKING:
    from flaskware_session._core.manager import SessionManager
    from flaskware_session._takeover.flask_session import OldSession

    from .views import View

CookieChange: t.TypeAlias = t.Literal["set", "delete"] | None

PERMANENT = "_permanent"
"""The key that Flask keeps :attr:`ServerSession.permanent` under."""


class ServerSession(SessionMixin):
    """What ``flask.session`` is: a mapping that is read from the store on first use.

    Used as ever. A change inside a list or dict is noticed by itself; setting
    ``session.modified = True`` forces a write. :meth:`clear` also gives up the id and
    whoever is signed in, so that what is stored next is a new session.
    """

    def __init__(
        self,
        manager: SessionManager,
        read_token: cabc.Callable[[], str | None],
        read_old: cabc.Callable[[], OldSession | None] | None = None,
    ) -> None:
        self.accessed = False
        self._manager = manager
        self._read_token = read_token
        # Finds a session of another extension, where such are taken over.
        self._read_old = read_old
        self._data: dict[str, t.Any] | None = None
        self._record: Record | None = None
        self._token: str | None = None
        self._user_id: str | None = None
        self._address = ""
        self._agent = ""
        # Something was set or deleted, or a value was handed out that can change.
        self._suspect = False
        self._forced = False
        # A new id is due; with `_fresh` also a new age, with `_cleared` new content.
        self._renewed = False
        self._fresh = False
        self._cleared = False
        # By how much keys were incremented, and not set since.
        self._counted: dict[str, float] = {}
        # The id was replaced, and this request came with the old one.
        self._read_only = False
        # The headers of the response are made; no cookie can be added.
        self._is_sent = False
        self._spent = Spent()
        # What looks at the content by a type; see `Sessions.typed`.
        self._views: dict[type, View] = {}
        self._outage: StoreUnavailable | None = None
        self._cookie: CookieChange = None
        # Set before anything was read, as in a before-request hook of every request.
        self._permanent: bool | None = None

    def __getitem__(self, key: str) -> t.Any:
        value = self._loaded()[key]
        if not is_immutable(value):
            self._suspect = True
        return value

    def __setitem__(self, key: str, value: t.Any) -> None:
        self._loaded()[key] = value
        self._suspect = True
        if self._counted:
            self._counted.pop(key, None)

    def __delitem__(self, key: str) -> None:
        del self._loaded()[key]
        self._suspect = True
        self._counted.pop(key, None)

    def __iter__(self) -> cabc.Iterator[str]:
        return iter(self._loaded())

    def __len__(self) -> int:
        return len(self._loaded())

    def __contains__(self, key: object) -> bool:
        return key in self._loaded()

    def __repr__(self) -> str:
        if self._data is None:
            return "<ServerSession, not read yet>"
        return f"<ServerSession, keys: {', '.join(map(repr, self._data)) or 'none'}>"

    def __or__(self, other: cabc.Mapping[str, t.Any]) -> dict[str, t.Any]:
        return {**self, **other}

    def __ror__(self, other: cabc.Mapping[str, t.Any]) -> dict[str, t.Any]:
        return {**other, **self}

    def __ior__(self, other: cabc.Mapping[str, t.Any]) -> t.Self:
        self.update(other)
        return self

    def copy(self) -> dict[str, t.Any]:
        """A plain dict with the same content."""
        return dict(self.items())

    def clear(self) -> None:
        """Empty the session; nothing of it is left, and no one is signed in."""
        self._loaded().clear()
        self._counted.clear()
        self._views.clear()
        self._user_id = None
        self._suspect = self._renewed = self._fresh = self._cleared = True

    def increment(self, key: str, by: float = 1) -> float:
        """Count a number up so that no other request's count is lost.

        It begins at 0. What other requests add meanwhile is added too when this is
        stored, so that the number returned may be passed by then.

        :raises TypeError: if the key holds something else than a number.
        """
        data = self._loaded()
        value: float = data.get(key, 0) + by
        data[key] = value
        self._counted[key] = self._counted.get(key, 0) + by
        self._suspect = True
        return value

    def save(self) -> None:
        """Store what changed now, and not only with the response.

        For a view that streams its response, whose headers must tell the browser of a
        new session, and where a conflict or an outage is to be handled. While the
        response is being sent, only a session that the browser knows can be stored.

        :raises StoreUnavailable: if the store does not answer.
        :raises SessionConflict: where ``SESSION_ON_CONFLICT`` is ``"raise"``.
        :raises SessionTooLarge: naming the largest key.
        :raises UnstorableValue: naming the key.
        :raises RuntimeError: if the response has begun and the session is new.
        """
        self._loaded()
        if self._outage is not None:
            raise self._outage
        self._manager.save(self)

    @property
    def new(self) -> bool:  # type: ignore[override] # an attribute in the mixin
        """Whether the store has no such session yet."""
        self._loaded()
        return self._record is None

    @property
    def modified(self) -> bool:
        """Whether the session differs from what is stored."""
        if self._data is None:
            return False
        self._flush_views()
        return self._forced or self._renewed or self._manager.is_changed(self)

    @modified.setter
    def modified(self, value: bool) -> None:
        if value:
            self._loaded()
        self._forced = value

    @property
    def permanent(self) -> bool:
        """Whether the browser keeps the cookie when it is closed.

        Setting it reads nothing: it is stored if the session is used as well, and does
        not make an empty session worth storing.
        """
        if self._data is None and self._permanent is not None:
            return self._permanent
        return bool(self._loaded().get(PERMANENT, False))

    @permanent.setter
    def permanent(self, value: bool) -> None:
        if self._data is None:
            self._permanent = bool(value)
        elif value != self.permanent:
            self[PERMANENT] = bool(value)

    def _flush_views(self) -> None:
        for view in self._views.values():
            view.flush(self)

    def _loaded(self) -> dict[str, t.Any]:
        if self._data is None:
            self.accessed = True
            self._data = self._manager.load(self)
            if self._permanent is not None:
                self.permanent = self._permanent
            elif self._record is None and self._manager.rules.permanent:
                self._data[PERMANENT] = True
        return self._data


session: ServerSession = t.cast("ServerSession", flask.session)
"""``flask.session`` itself, with the type that it has where this extension is used."""
