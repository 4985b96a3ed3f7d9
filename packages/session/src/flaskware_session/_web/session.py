from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import typing as t

import flask
from flask.sessions import SessionMixin

from flaskware_session._core.end import end
from flaskware_session._core.load import load
from flaskware_session._core.operations import Steps
from flaskware_session._core.save import save
from flaskware_session._core.takeover import ForeignSession
from flaskware_session._core.takeover import load_or_take_over
from flaskware_session._core.visit import Intent
from flaskware_session._core.visit import PERMANENT
from flaskware_session._core.visit import Visit
from flaskware_session._records.codec import IMMUTABLE
from flaskware_session._records.record import OWN
from flaskware_session._records.record import Timeouts

if t.TYPE_CHECKING:
    from flaskware_session._drive.sync import SessionManager


# In seconds.
_LONGEST = 100 * 365 * 24 * 3600


class Access:
    """One request's access to its session, which is read when it is first needed.

    :param read_tokens: Returns the ids that the request carries.
    :param find_foreign: Finds sessions of other extensions, where such are taken over.
    """

    visit: Visit | None = None
    """State of the session in this request; ``None`` if it has not been used."""
    is_sent = False
    """True if the headers of the response are made, so that no cookie can be added."""
    permanent: bool | None = None
    """Set before anything was read, as in a before-request hook of every request."""
    on_send: cabc.Callable[[flask.Response], None] | None = None
    """Called with the response when the session is stored, if it is to be."""

    def __init__(
        self,
        manager: SessionManager,
        read_tokens: cabc.Callable[[], cabc.Sequence[str]],
        find_foreign: cabc.Callable[[], cabc.Iterable[ForeignSession]] | None = None,
    ) -> None:
        self.manager = manager
        self._read_tokens = read_tokens
        self._find_foreign = find_foreign

    def load(self) -> Visit:
        """Read the session, if this has not been done.

        :raises StoreUnavailable: once. After that the session is empty and stays
            so, that an error page which looks at it can be shown.
        """
        if self.visit is None:
            self.visit = visit = self._new_visit()
            self.manager.client.run(self._steps(visit), visit)
            self._begin(visit)
        return self.visit

    def _new_visit(self) -> Visit:
        return Visit(self._read_tokens(), is_sent=self.is_sent)

    def _steps(self, visit: Visit) -> Steps[None]:
        policy = self.manager.policy
        if self._find_foreign is None:
            return load(visit, policy)
        return load_or_take_over(visit, policy, self._find_foreign())

    def _begin(self, visit: Visit) -> None:
        if self.permanent is not None:
            visit.make_permanent(self.permanent)
        elif visit.is_new and self.manager.policy.permanent:
            visit.data[PERMANENT] = True

    def make_permanent(self, value: bool) -> None:
        """Set whether the browser keeps the cookie, without reading the session."""
        if self.visit is None:
            self.permanent = value
        else:
            self.visit.make_permanent(value)

    def save(self, visit: Visit) -> None:
        """Store what a visit changed."""
        self.manager.client.run(save(visit, self.manager.policy), visit)

    def end(self) -> None:
        """Remove the session from the store at once; it is empty afterwards.

        :raises StoreUnavailable: with the session in the store, but empty here.
        """
        visit, manager = self.load(), self.manager
        manager.client.run(end(visit, manager.policy), visit)


class SessionContent(SessionMixin):
    """Content of a session as a mapping; how it is stored is for subclasses."""

    def __init__(self, access: Access) -> None:
        self.accessed = False
        self.access = access
        """Internal: it changes without notice."""

    def __getitem__(self, key: str) -> t.Any:
        visit = self.access.visit or self._load()
        value = visit.data[key]
        if type(value) not in IMMUTABLE:
            visit.is_touched = True
        return value

    def __setitem__(self, key: str, value: t.Any) -> None:
        visit = self.access.visit or self._load()
        visit.data[key] = value
        visit.is_touched = True
        if visit.counted:
            visit.counted.pop(key, None)

    def __delitem__(self, key: str) -> None:
        visit = self.access.visit or self._load()
        del visit.data[key]
        visit.is_touched = visit.is_reordered = True
        visit.counted.pop(key, None)

    def __iter__(self) -> cabc.Iterator[str]:
        return iter((self.access.visit or self._load()).data)

    def __len__(self) -> int:
        return len((self.access.visit or self._load()).data)

    def __contains__(self, key: object) -> bool:
        return key in (self.access.visit or self._load()).data

    def __repr__(self) -> str:
        visit = self.access.visit
        if visit is None:
            return f"<{type(self).__name__}, not read yet>"
        keys = ", ".join(map(repr, visit.data)) or "none"
        return f"<{type(self).__name__}, keys: {keys}>"

    def __or__(self, other: cabc.Mapping[str, t.Any]) -> dict[str, t.Any]:
        return {**self, **other}

    def __ror__(self, other: cabc.Mapping[str, t.Any]) -> dict[str, t.Any]:
        return {**other, **self}

    def __ior__(self, other: cabc.Mapping[str, t.Any]) -> t.Self:
        self.update(other)
        return self

    def copy(self) -> dict[str, t.Any]:
        """Return a plain dict with the same content."""
        return dict(self.items())

    def clear(self) -> None:
        """Empty the session; nothing of it is left, and no one is signed in."""
        self._load().clear()

    def increment(self, key: str, by: float = 1) -> float:
        """Count a number up so that no other request's count is lost.

        It begins at 0. Counts of other requests are added when this is stored, so the
        stored number may be higher than the number returned.

        :raises TypeError: if the key holds something else than a number.
        """
        visit = self._load()
        value: float = visit.data.get(key, 0) + by
        visit.data[key] = value
        visit.counted[key] = visit.counted.get(key, 0) + by
        visit.is_touched = True
        return value

    def set_expiry(
        self,
        idle: dt.timedelta | float,
        *,
        absolute: dt.timedelta | float | None = None,
    ) -> None:
        """Give this session timeouts of its own, in place of those of the app.

        They are stored with the response, and stay until the next sign-in.

        :param idle: The longest pause between two requests, in seconds or as a
            timedelta.
        :param absolute: When the session ends at the latest, counted from its
            beginning, in seconds or as a timedelta; by default as for every session.
        :raises ValueError: if a timeout is not positive, or the idle timeout is the
            longer of the two.
        """
        visit, policy = self._load(), self.access.manager.policy
        pause = _milliseconds("idle", idle)
        end = policy.lifetime_of(visit.user_id).absolute
        if absolute is not None:
            end = _milliseconds("absolute", absolute)
            if pause > end:
                raise ValueError(
                    "The idle timeout is longer than the absolute timeout: write"
                    f" `session.set_expiry({end // 1000})` or a longer `absolute=`."
                )
        visit.timeouts = Timeouts(OWN, min(pause, end), end)
        visit.require(Intent.UPDATE)

    @property
    def new(self) -> bool:  # type: ignore[override] # an attribute in the mixin
        """True if there was no such session before this request."""
        return self._load().is_new

    @property
    def modified(self) -> bool:
        """True if the session differs from what is stored."""
        visit = self.access.visit
        if visit is None:
            return False
        self._flush_views(visit)
        return visit.intent is not Intent.KEEP or visit.is_changed

    @modified.setter
    def modified(self, value: bool) -> None:
        visit = self.access.visit
        if value:
            self._load().require(Intent.UPDATE)
        elif visit is not None and visit.intent is Intent.UPDATE:
            visit.intent = Intent.KEEP

    @property
    def permanent(self) -> bool:
        """True if the browser keeps the cookie when it is closed.

        Setting it reads nothing: it is stored if the session is used as well, and does
        not make an empty session worth storing.
        """
        access = self.access
        if access.visit is None and access.permanent is not None:
            return access.permanent
        return bool(self._load().data.get(PERMANENT, False))

    @permanent.setter
    def permanent(self, value: bool) -> None:
        self.access.make_permanent(bool(value))

    def ready_to_save(self) -> Visit:
        """Return the state of the session with all that is to be stored."""
        visit = self.access.visit or self._load()
        if visit.outage is not None:
            raise visit.outage
        if visit.views:
            self._flush_views(visit)
        return visit

    def _load(self) -> Visit:
        self.accessed = True
        return self.access.load()

    def _flush_views(self, visit: Visit) -> None:
        for view in visit.views.values():
            view.flush(self)


class ServerSession(SessionContent):
    """The mapping behind ``flask.session``, read from the store on first use.

    Used as ever. A change inside a list or dict is noticed by itself; setting
    ``session.modified = True`` forces a write. :meth:`clear` also gives up the id and
    signs the user out, so that the next write stores a new session.
    """

    def save(self) -> None:
        """Store what changed now, and not only with the response.

        For a view that streams its response, whose headers must carry the cookie of a
        new session, and where a conflict or an outage is to be handled. While the
        response is being sent, only a session that the browser knows can be stored.

        :raises StoreUnavailable: if the store does not answer.
        :raises SessionConflict: where ``SESSION_ON_CONFLICT`` is ``"raise"``.
        :raises SessionEnded: if the session has ended meanwhile, by a sign-in, a
            sign-out or a revocation; nothing is stored then.
        :raises SessionTooLarge: naming the largest key.
        :raises UnstorableValue: naming the key.
        :raises RuntimeError: if the response has begun and the session is new.
        """
        self.access.save(self.ready_to_save())


def _milliseconds(name: str, value: dt.timedelta | float) -> int:
    seconds = value.total_seconds() if isinstance(value, dt.timedelta) else value
    if not 0 < seconds < _LONGEST:
        raise ValueError(
            f"{name} is a time in seconds or a timedelta, more than 0 and less than"
            f" 100 years, such as `session.set_expiry(3600)`; not {value!r}"
        )
    return max(int(seconds * 1000), 1)


session: ServerSession = t.cast("ServerSession", flask.session)
"""``flask.session`` itself, with the type that it has where this extension is used."""
