"""The extension. Its order, lowest first:

Rooms: _errors < _signals < _records < _core < _stores < _takeover < _drive < _web <
_login < _devices < _settings < _setup < _checks < _cli < _extension <
_coroutines < _migrations
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses as dc
import datetime as dt
import functools
import inspect
import time
import typing as t
from importlib.util import find_spec

import flask
from flask.sansio.app import App

from flaskware_core import active_request
from flaskware_core import ConfigError
from flaskware_core import ConfigProblem
from flaskware_core import current_app_object
from flaskware_core import current_request
from flaskware_core import current_session
from flaskware_core import DeclarationError
from flaskware_core import describe
from flaskware_core import Extension
from flaskware_core import Finding
from flaskware_core import is_async
from flaskware_core import refuse_in_event_loop

from ._cli import session_commands
from ._core.operations import Steps
from ._core.revocation import count
from ._core.revocation import list_part
from ._core.revocation import list_user
from ._core.revocation import prune
from ._core.revocation import revoke
from ._core.revocation import revoke_everybody
from ._core.revocation import revoke_user
from ._core.save import save
from ._core.visit import Intent
from ._core.visit import Visit
from ._drive.sync import SessionManager
from ._errors import NotFresh
from ._errors import StoreUnavailable
from ._records.device import DEVICE
from ._records.device import device_with
from ._records.device import factor_key
from ._records.device import factors_in
from ._records.device import SIGN_IN
from ._records.record import Clock
from ._records.record import PERSISTENT
from ._records.record import SessionInfo
from ._records.record import StoreStats
from ._records.record import time_of
from ._records.record import Timeouts
from ._records.text import plain
from ._settings import SessionSettings
from ._setup import build_carried
from ._setup import build_finder
from ._setup import build_manager
from ._setup import foreign_stores
from ._stores.memory import MemoryStore
from ._stores.protocol import Store
from ._stores.sealed import plain_store
from ._web.cookie import SessionCookie
from ._web.cookie_policy import cookie_from_config
from ._web.edge import SessionEdge
from ._web.flask import ServerSessionInterface
from ._web.headers import is_bearer
from ._web.session import ServerSession
from ._web.session import SessionContent

if t.TYPE_CHECKING:
    from ._devices.page import Confirm
    from ._devices.texts import DeviceTexts
    from ._drive.aio import AsyncStoreClient
    from ._takeover.flask_session import Unpickler
    from ._web.views import D

# Quart may not be installed.
_OWN, _IN_QUART = "SecureCookieSessionInterface", "quart.sessions"
_LONGEST_ADDRESS = 64
_LONGEST_AGENT = 256
_LONGEST_USER_ID = 512
# In seconds: no browser keeps a cookie for longer.
_LONGEST_REMEMBERED = 400 * 24 * 3600
_T = t.TypeVar("_T")
_View = t.TypeVar("_View", bound=cabc.Callable[..., t.Any])


@dc.dataclass(frozen=True)
class SessionState:
    """State of the extension for one app."""

    manager: SessionManager
    cookie: SessionCookie


class BaseSessions(Extension[SessionSettings, SessionState]):
    """The part of the API that waits for no store: the same for coroutines.

    :param app: Initialise on this app at once.
    :param clock: Returns the time; for tests, see ``flaskware_session.testing``.
    :param overrides: Settings by field name, such as ``store="memory://"``.
    """

    _session_class: t.ClassVar[type[SessionContent]]

    name = "session"
    outside = (
        "Write `with app.app_context():` around it, or use it in a view. To change a"
        " session from a test, use `client.session_transaction()`."
    )

    def __init__(
        self,
        app: App | None = None,
        *,
        clock: Clock = time.time,
        **overrides: t.Any,
    ) -> None:
        self._clock = clock
        super().__init__(app, **overrides)

    @property
    def store(self) -> Store:
        """The store of the current app."""
        return plain_store(self.state.manager.store)

    @property
    def user_id(self) -> str | None:
        """Id of the user who is signed in, or ``None``. Reads the session."""
        return self._visit().user_id

    def typed(self, schema: type[D]) -> D:
        """This request's session, typed. Reads the session.

        For a TypedDict it is ``flask.session`` itself; for a Pydantic model, whose
        fields need defaults, an instance whose changes are stored with the session.
        Keys that the schema does not name are left alone, as extensions have theirs.

        A stored value that does not fit, as after a change of the app, is dropped.

        :raises TypeError: if the schema is neither.
        """
        from ._web.views import view_of

        return view_of(self._session(), schema)

    def login(
        self, user_id: str | int, *, remember: dt.timedelta | float | None = None
    ) -> None:
        """Sign a user in, under a new id; an anonymous session's content is kept.

        It is stored with the response. The content of another user who was signed in
        is dropped.

        :param user_id: Value of :attr:`user_id` from now on, as text.
        :param remember: For how long the user stays signed in, in seconds or as a
            timedelta, also when the browser is closed; in place of the timeouts of the
            app. Up to 400 days.
        :raises StoreUnavailable: if the session cannot be read.
        :raises ValueError: if the user cannot be remembered for so long.
        """
        _check_user_id(user_id, "login")
        longest = None if remember is None else _remembered(remember)
        visit = self._visit()
        if visit.outage is not None:
            raise visit.outage
        was_remembered = visit.record is not None and visit.record.kind == PERSISTENT
        _sign_in(visit, user_id)
        if longest is not None:
            visit.timeouts = Timeouts(PERSISTENT, longest, longest)
            visit.make_permanent(True)
        elif was_remembered:
            visit.make_permanent(self.settings.permanent)

    def regenerate(self) -> None:
        """Give the session a new id, and keep its content, user and age.

        Call it where what the session may do changes, such as a second factor.
        """
        visit = self._visit()
        if visit.record is not None:
            visit.require(Intent.RENEW)

    def confirm_factor(self, factor: str = SIGN_IN) -> None:
        """Note that the user has just proved who they are, such as by a second factor.

        The session keeps the time, and gets a new id as what it may do changes.

        :param factor: A name of your own, such as ``"mfa"``. By default the sign-in,
            which a user who gives the password again need not repeat.
        :raises PermissionError: if no user is signed in.
        :raises ValueError: for a name that is not short, lower case and plain.
        """
        key, session = factor_key(factor), self._session()
        if self.user_id is None:
            raise PermissionError(
                "No user is signed in, so that nothing can be confirmed. Call"
                " `sessions.login(user_id)` first."
            )
        session[key] = self.state.manager.now()
        self.regenerate()

    @property
    def factors(self) -> dict[str, dt.datetime]:
        """When the user gave each proof, ``"sign-in"`` among them. Reads the session.

        Empty if no user is signed in.
        """
        return {name: time_of(moment) for name, moment in self._factors().items()}

    def set_device(
        self, *, label: str | None = None, **data: str | int | float | bool | None
    ) -> None:
        """Note something of this request's device, for :class:`SessionInfo` to show.

        It belongs to the session, and ends with it.

        :param label: Name of the device in the list; ``None`` leaves it as it is.
        :param data: Up to 16 other values; ``None`` removes one.
        :raises ValueError: for a text of more than 100 characters, or too many values.
        """
        session = self._session()
        session[DEVICE] = device_with(session, label, data)

    def is_fresh(self, *, minutes: float, factor: str = SIGN_IN) -> bool:
        """Return whether the user gave a proof within this time. Reads the session.

        :param factor: See :meth:`confirm_factor`; by default any sign-in counts.
        """
        factor_key(factor)
        given = self._factors().get(factor)
        return given is not None and self._age(given) <= minutes * 60_000

    def require_fresh(
        self, *, minutes: float, factor: str = SIGN_IN
    ) -> cabc.Callable[[_View], _View]:
        """Decorate a view that wants a recent proof, such as a change of password.

        :meth:`login` with the same user counts as a sign-in and keeps the content. For
        several factors, use it several times. For views that are coroutine functions
        too.

        :param factor: See :meth:`confirm_factor`; by default any sign-in counts.
        :raises NotFresh: in the view, which then is answered with 401; an error
            handler for it can lead to the page that asks for what it names.
        :raises ValueError: for a name that no factor can have.
        """
        factor_key(factor)

        def decorate(view: _View) -> _View:
            def check() -> None:
                if not self.is_fresh(minutes=minutes, factor=factor):
                    raise self._not_fresh(factor, minutes)

            if inspect.iscoroutinefunction(view):

                @functools.wraps(view)
                async def run_async(*args: t.Any, **kwargs: t.Any) -> t.Any:
                    check()
                    return await view(*args, **kwargs)

                return t.cast("_View", run_async)

            @functools.wraps(view)
            def run(*args: t.Any, **kwargs: t.Any) -> t.Any:
                check()
                return view(*args, **kwargs)

            return t.cast("_View", run)

        return decorate

    def _build(self, app: App, settings: SessionSettings) -> SessionState:
        return SessionState(
            build_manager(app, settings, self._clock),
            cookie_from_config(app, settings.cookie_policy),
        )

    def _attach(self, app: App, settings: SessionSettings, state: SessionState) -> None:
        _refuse_other_interface(app)
        edge = SessionEdge(
            state.manager,
            state.cookie,
            save_on_error=settings.save_on_error,
            caching=settings.cache_control,
            bearer=settings.bearer,
            find_foreign=build_finder(app, settings),
            carried=build_carried(app, settings, state.manager, state.cookie),
        )
        app.cli.add_command(session_commands)
        if is_async(app):
            self._attach_to_quart(app, settings, edge)
            return
        app = t.cast("flask.Flask", app)
        app.session_interface = ServerSessionInterface(edge)
        if settings.follow_login and find_spec("flask_login") is not None:
            from ._login.flask_login import LoginAdapter

            LoginAdapter(
                app,
                t.cast("Sessions", self),
                id_attribute=settings.login_id,
                stamp_attribute=settings.login_stamp,
                bearer=settings.bearer,
                accepts_plain="flask-login" in settings.move_from,
            ).connect()

    def _attach_to_quart(
        self, app: t.Any, settings: SessionSettings, edge: SessionEdge
    ) -> None:
        from ._web.quart import QuartSessionInterface

        app.session_interface = QuartSessionInterface(
            edge,
            self._session_class,
            reads_first=settings.load == "endpoint",
            interval=settings.websocket_interval,
        )
        client = t.cast("AsyncStoreClient", edge.manager.awaited)

        async def close_stores() -> None:
            await client.store.close()

        app.after_serving(close_stores)

    def for_commands(self) -> Sessions:
        """Internal: the same sessions for commands of ``flask`` and of ``quart``."""
        return _CommandSessions(self)

    def _close(self, state: SessionState) -> None:
        state.manager.store.close()

    def _covers(self, app: App) -> cabc.Collection[str]:  # noqa: ARG002
        # Its own checks look at the cookie and the timeouts that it really uses.
        return ("core.cookie-prefix", "core.session-lifetime")

    def _check(self, app: App, *, deploy: bool) -> cabc.Iterable[Finding]:
        from ._checks import check_devices
        from ._checks import check_sessions

        state, settings = self.state_of(app), self.settings_of(app)
        store, lifetime = plain_store(state.manager.store), state.manager.lifetime
        has_login = settings.follow_login and hasattr(app, "login_manager")
        config = t.cast("cabc.Mapping[str, t.Any]", app.config)
        is_secure = bool(config.get("REMEMBER_COOKIE_SECURE"))
        yield from check_sessions(
            settings,
            store,
            state.cookie,
            lifetime,
            remembers_in_clear=has_login and not is_secure,
            can_sign=bool(app.secret_key),
            deploy=deploy,
        )
        yield from check_devices(t.cast("flask.Flask", app))

    def _probe(self, app: App) -> cabc.Iterable[ConfigProblem]:
        try:
            self.state_of(app).manager.store.ping()
        except StoreUnavailable as error:
            yield ConfigProblem(
                "SESSION_STORE",
                f"a store that answers ({error.reason})",
                describe(self.settings_of(app).store, sensitive=True),
                "the URL of a running store; is the server started?",
            )

    @contextlib.contextmanager
    def _isolate(self, app: App) -> cabc.Generator[None]:
        # A store of its own leaves nothing behind and needs no server.
        manager = self.state_of(app).manager
        client, awaited = manager.client, manager.awaited
        store, client.store = client.store, MemoryStore()
        try:
            if awaited is None:
                yield
            else:
                with awaited.replaced(client.store):
                    yield
        finally:
            client.store = store

    def _session(self) -> SessionContent:
        manager = self.state.manager
        session: object
        try:
            session = current_session()
        except RuntimeError:
            raise RuntimeError(
                "There is no session outside of a request. Use it in a view, or name"
                " the user: `sessions.revoke_user(user_id)`."
            ) from None
        if type(session).__module__.partition(".")[0] == "flask_socketio":
            raise RuntimeError(
                "Flask-SocketIO has put a copy of its own in the place of this event's"
                " session. Write `SocketIO(app, manage_session=False)`, so that events"
                " use the session of the page."
            )
        if (
            not isinstance(session, SessionContent)
            or session.access.manager is not manager
        ):
            raise RuntimeError(
                "`app.session_interface` was replaced after"
                " `Sessions.init_app(app)`. Remove that, or this extension."
            )
        return session

    def _visit(self) -> Visit:
        session = self._session()
        session.accessed = True
        return session.access.load()

    def _factors(self) -> dict[str, int]:
        visit, found = self._visit(), dict[str, int]()
        if visit.user_id is None:
            return found
        known = factors_in(visit.data)
        signed_in = self.state.manager.now()
        if not visit.starts_over and visit.record is not None:
            signed_in = visit.record.created
        return {**known, SIGN_IN: max(signed_in, known.get(SIGN_IN, 0))}

    def _not_fresh(self, factor: str, minutes: float) -> NotFresh:
        is_api = self.settings.bearer and is_bearer(current_request())
        return NotFresh(factor, minutes, is_bearer=is_api)

    def _age(self, moment: int) -> int:
        return self.state.manager.now() - moment

    def _has_session(self) -> bool:
        # Not by the request: a websocket of Quart is none.
        try:
            current_session()
        except RuntimeError:
            return False
        return True

    def _current(self) -> Visit | None:
        return self._visit() if self._has_session() else None

    def _issuing(
        self, user_id: str | int, label: str | None
    ) -> tuple[Visit, Steps[None]]:
        _check_user_id(user_id, "issue_token")
        if not self.settings.bearer:
            raise RuntimeError(
                "A client could not use the token. Set SESSION_BEARER = True, so that"
                " `Authorization: Bearer` opens a session."
            )
        visit = Visit()
        _sign_in(visit, user_id)
        if label:
            visit.data[DEVICE] = device_with({}, label, {})
            visit.is_touched = True
        return visit, save(visit, self.state.manager.policy)

    def _unpickle(self) -> Unpickler:
        from ._takeover.flask_session import outages
        from ._takeover.flask_session import Unpickler

        unpickler = Unpickler()
        for store in foreign_stores(current_app_object(), self.settings):
            with outages():
                store.convert(unpickler)
        return unpickler

    def _signed_in(self) -> str:
        user_id = self.user_id
        if user_id is None:
            raise PermissionError(
                "No user is signed in. Pass `user_id=…` to end another user's session."
            )
        return user_id


class Sessions(BaseSessions):
    """Keeps ``flask.session`` on the server, and lists the sessions of each user.

    In an app of Quart, it is for views that are plain functions; :class:`AsyncSessions`
    is for coroutines.

    :param app: Initialise on this app at once.
    :param clock: Returns the time; for tests, see ``flaskware_session.testing``.
    :param overrides: Settings by field name, such as ``store="memory://"``.
    """

    _session_class = ServerSession

    def issue_token(self, user_id: str | int, *, label: str | None = None) -> str:
        """Sign a user in on a client of your API; return the id for the client.

        It is a session of its own, stored at once: the session of this request stays
        as it is, and no cookie is set. Send the id in the body of the response. The
        client sends it as ``Authorization: Bearer``, and whenever a response has the
        header ``Session-Token``, that value from then on. The session is listed, ended
        and timed out like those of browsers.

        :param label: Name of the client in the list of devices.
        :raises RuntimeError: unless ``SESSION_BEARER`` is on.
        :raises StoreUnavailable: if the session cannot be stored.
        """
        visit, steps = self._issuing(user_id, label)
        self._run("sessions.issue_token(…)", steps, visit)
        return t.cast("str", visit.id)

    def logout(self) -> None:
        """End this request's session, at once and for all requests under way.

        Values put into ``session`` afterwards, such as a message, start a new session.

        :raises StoreUnavailable: if the session cannot be removed.
        """
        self._refuse("sessions.logout()")
        self._session().access.end()

    def for_user(self, user_id: str | int) -> list[SessionInfo]:
        """List the sessions of a user, the last seen first."""
        policy, current = self.state.manager.policy, self._current()
        steps = list_user(current, policy, str(user_id))
        return self._run("sessions.for_user(…)", steps)

    def for_everybody(self, *, size: int = 1000) -> cabc.Iterator[list[SessionInfo]]:
        """Go through the sessions of all users, a part at a time, in no order.

        For an administrator. A session may come twice. A session that begins meanwhile
        may not come.

        :param size: About how many sessions to look at for a part, which may be empty.
        :raises StoreUnavailable: if the store does not answer.
        """
        policy, current = self.state.manager.policy, self._current()
        cursor: str | None = ""
        while cursor is not None:
            steps = list_part(current, policy, cursor, size)
            part, cursor = self._run("sessions.for_everybody()", steps)
            yield part

    def revoke(self, handle: str, *, user_id: str | int | None = None) -> bool:
        """End a single session of a user, at once.

        :param handle: From :class:`SessionInfo`. It may come from the browser: only
            a session of the given user is ended.
        :param user_id: Owner of the session; by default, the user who is signed in.
        :return: Whether there was such a session.
        """
        policy, current = self.state.manager.policy, self._current()
        if user_id is None:
            user_id = self._signed_in()
        steps = revoke(current, policy, handle, str(user_id))
        return self._run("sessions.revoke(…)", steps, current)

    def revoke_user(self, user_id: str | int, *, keep_current: bool = True) -> int:
        """End a user's sessions on all devices, as after a change of password.

        :param keep_current: Whether this request's session goes on.
        :return: How many were ended.
        """
        policy, current = self.state.manager.policy, self._current()
        user_id = str(user_id)
        steps = revoke_user(current, policy, user_id, keep_current=keep_current)
        return self._run("sessions.revoke_user(…)", steps, current)

    def revoke_everybody(
        self,
        *,
        keep_current: bool = True,
        progress: cabc.Callable[[int], object] | None = None,
    ) -> int:
        """End the sessions of all users, as after a leak; visitors keep theirs.

        A user who signs in meanwhile may stay signed in.

        :param keep_current: Whether this request's session goes on.
        :param progress: Called now and then with how many more were ended.
        :return: How many were ended.
        :raises StoreUnavailable: if the store does not answer; what was ended before is
            ended.
        """
        policy, current = self.state.manager.policy, self._current()
        steps = revoke_everybody(
            current, policy, keep_current=keep_current, progress=progress
        )
        return self._run("sessions.revoke_everybody()", steps, current)

    def create_table(self) -> bool:
        """Make the table of a store in a database server, if it is not there.

        :return: Whether the store has a table of that kind; others need nothing.
        :raises StoreUnavailable: if the database does not answer, or forbids it.
        """
        from ._stores.bridge import BlockingStore

        self._refuse("sessions.create_table()")
        store = self.store
        if isinstance(store, BlockingStore):
            make = getattr(store.store, "create_table", None)
            if make is not None:
                store.wait(make())
            return make is not None
        make = getattr(store, "create_table", None)
        if make is not None:
            make()
        return make is not None

    def unpickle_old(self) -> Unpickler:
        """Turn pickled sessions in Flask-Session's stores into JSON, where they are.

        Only then are they taken over. Unpickling runs any code that somebody may have
        put there: for a store that nobody else could write to.

        :return: How many were converted, and why others were not.
        :raises StoreUnavailable: if an old store does not answer.
        """
        self._refuse("sessions.unpickle_old()")
        return self._unpickle()

    def prune(self, *, limit: int = 1000) -> int:
        """Remove expired sessions; returns how many, at most ``limit``."""
        steps = prune(self.state.manager.policy, limit)
        return self._run("sessions.prune()", steps)

    def stats(self) -> StoreStats:
        """Count sessions and users. This may walk over the whole store."""
        return self._run("sessions.stats()", count(self.state.manager.policy))

    def devices_page(
        self,
        app: flask.Flask,
        *,
        url_prefix: str = "/devices",
        confirm: Confirm = None,
        factor: str = SIGN_IN,
        minutes: float = 10,
        texts: DeviceTexts | cabc.Sequence[DeviceTexts] | None = None,
    ) -> None:
        """Add a page on which users see their devices, and sign them out.

        Call it after ``init_app``. The page is a blueprint named ``flaskware_session``
        and needs no scripts. To sign out a device, a user whose last proof is older
        than ``minutes`` gives one: see :meth:`require_fresh`.

        :param confirm: How to ask for it. A function that takes the id of the user and
            what they entered returns whether that is right: the page then asks by
            itself, and ends the session after five wrong entries in a row. An endpoint
            asks in a page of your app, which calls :meth:`confirm_factor` and leads
            back to the address in the argument ``next``. ``None`` raises
            :exc:`NotFresh`, for which your app has an error handler.
        :param factor: The proof that is asked for; see :meth:`confirm_factor`.
        :param texts: In several languages, the language of the request is chosen and
            the first is the default; ``DEVICE_TEXTS`` has English, German, Spanish and
            French. By default English.
        :raises NotInitialised: before ``init_app``.
        """
        from ._devices.page import DeviceBlueprint
        from ._devices.page import DeviceOptions
        from ._devices.texts import DEVICE_TEXTS

        if is_async(app):
            raise DeclarationError(
                "devices_page() takes an app of Flask. In Quart, write a view of"
                " `await sessions.for_user(sessions.user_id)` of an `AsyncSessions`."
            )
        factor_key(factor)
        self.state_of(app)
        texts = DEVICE_TEXTS[0] if texts is None else texts
        options = DeviceOptions.of(app, confirm, factor, minutes, texts)
        blueprint = DeviceBlueprint(self, options)
        app.register_blueprint(blueprint, url_prefix=url_prefix)

    def _run(self, call: str, steps: Steps[_T], visit: Visit | None = None) -> _T:
        self._refuse(call)
        client = self.state.manager.client
        return client.run(steps, Visit() if visit is None else visit)

    def _refuse(self, call: str) -> None:
        refuse_in_event_loop(
            current_app_object(), call, f"await {call}` of an `AsyncSessions"
        )


class _CommandSessions(Sessions):
    """The sessions of an app for its commands, which run in no event loop.

    :param sessions: The extension of the app.
    """

    def __init__(self, sessions: BaseSessions) -> None:
        self._sessions = sessions

    @property
    def state(self) -> SessionState:
        return self._sessions.state

    @property
    def settings(self) -> SessionSettings:
        return self._sessions.settings


def _check_user_id(user_id: str | int, call: str) -> None:
    given = t.cast("object", user_id)
    if not isinstance(given, str | int) or given == "":
        raise TypeError(
            f"{call}() takes the id of a user as text or a number, such as"
            f" `sessions.{call}(user.id)`, not {describe(user_id)}"
        )
    if len(str(user_id).encode()) > _LONGEST_USER_ID:
        raise ValueError(
            f"The id of a user is longer than {_LONGEST_USER_ID} bytes in UTF-8."
        )


def _remembered(value: dt.timedelta | float) -> int:
    seconds = value.total_seconds() if isinstance(value, dt.timedelta) else value
    if not 0 < seconds <= _LONGEST_REMEMBERED:
        raise ValueError(
            "remember is a time in seconds or a timedelta, more than 0 and up to 400"
            " days, such as `sessions.login(user.id, remember=timedelta(days=30))`;"
            f" not {value!r}"
        )
    return max(int(seconds * 1000), 1)


def _sign_in(visit: Visit, user_id: str | int) -> None:
    address = agent = ""
    # A command may issue a token too.
    request = active_request()
    if request is not None:
        address = plain(request.remote_addr or "", _LONGEST_ADDRESS)
        agent = plain(request.user_agent.string, _LONGEST_AGENT)
    visit.sign_in(str(user_id), address=address, agent=agent)


def _refuse_other_interface(app: App) -> None:
    interface: object = t.cast("t.Any", app).session_interface
    found = type(interface)
    if found.__name__ != _OWN or found.__module__ not in {"flask.sessions", _IN_QUART}:
        raise ConfigError(
            "flaskware-session",
            [
                ConfigProblem(
                    "app.session_interface",
                    "that of the framework, which this extension replaces",
                    f"{found.__module__}.{found.__qualname__}",
                    "nothing: remove what sets it, such as `Session(app)` of"
                    " Flask-Session",
                )
            ],
        )
