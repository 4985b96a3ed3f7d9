from __future__ import annotations

import collections.abc as cabc
import typing as t

from flask.sessions import SessionMixin

from ._codec import is_immutable
from ._errors import StoreUnavailable
from ._record import Record

if t.TYPE_CHECKING:
    from ._manager import SessionManager

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
        self, manager: SessionManager, read_token: cabc.Callable[[], str | None]
    ) -> None:
        self.accessed = False
        self._manager = manager
        self._read_token = read_token
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

    def __delitem__(self, key: str) -> None:
        del self._loaded()[key]
        self._suspect = True

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

    def copy(self) -> dict[str, t.Any]:
        """A plain dict with the same content."""
        return dict(self.items())

    def clear(self) -> None:
        """Empty the session; nothing of it is left, and no one is signed in."""
        self._loaded().clear()
        self._user_id = None
        self._suspect = self._renewed = self._fresh = self._cleared = True

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

    def _loaded(self) -> dict[str, t.Any]:
        if self._data is None:
            self.accessed = True
            self._data = self._manager.load(self)
            if self._permanent is not None:
                self.permanent = self._permanent
        return self._data
