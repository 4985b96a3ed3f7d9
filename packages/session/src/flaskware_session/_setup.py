"""Building of an app's store, policy and sources from its settings."""

from __future__ import annotations

import dataclasses as dc
import datetime as dt
import importlib
import inspect
import typing as t
from pathlib import Path

from flask.sansio.app import App

from flaskware_core import ConfigError
from flaskware_core import ConfigProblem
from flaskware_core import describe
from flaskware_core import is_async

from ._core.policy import SessionPolicy
from ._drive.sync import SessionManager
from ._drive.sync import StoreClient
from ._records.record import Clock
from ._records.record import Lifetime
from ._records.token import Keys
from ._settings import PRESETS
from ._settings import SessionSettings
from ._stores.async_protocol import AsyncStore
from ._stores.protocol import BoundedStore
from ._stores.protocol import Store
from ._stores.sealed import AsyncSealedStore
from ._stores.sealed import Cipher
from ._stores.sealed import key_from
from ._stores.sealed import plain_store
from ._stores.sealed import SealedStore
from ._stores.url import native_store
from ._stores.url import open_store
from ._stores.url import Options
from ._web.carried import CarriedSessions
from ._web.cookie import SessionCookie

if t.TYPE_CHECKING:
    from ._drive.aio import AsyncStoreClient
    from ._takeover.flask_cookie import Finder
    from ._takeover.flask_session import ForeignStore

_ABSOLUTE = dt.timedelta(days=90)
_MILLISECOND = dt.timedelta(milliseconds=1)


def build_manager(app: App, settings: SessionSettings, clock: Clock) -> SessionManager:
    """Make the manager of the sessions of an app.

    :raises ConfigError: for what only building can find out.
    """
    lifetime = _lifetime(app, settings)
    store = _store(app, settings)
    if settings.encryption_keys:
        store = SealedStore(store, _cipher(settings))
    peppers = [pepper.get_secret_value().encode() for pepper in settings.peppers]
    policy = SessionPolicy(
        lifetime,
        visitor=_visitor(lifetime, settings),
        keys=Keys(peppers, namespace=settings.namespace),
        unseen=settings.unseen_timeout // _MILLISECOND,
        max_bytes=settings.max_bytes,
        anonymous_on_outage=settings.on_outage == "anonymous",
        on_conflict=settings.on_conflict,
        max_per_user=settings.max_per_user,
        permanent=settings.permanent,
        clock=clock,
    )
    client = StoreClient(
        store, limit=settings.budget, visitor_share=settings.visitor_share
    )
    awaited = _awaited(settings, store) if is_async(app) else None
    return SessionManager(client, policy, awaited)


def build_carried(
    app: App,
    settings: SessionSettings,
    manager: SessionManager,
    cookie: SessionCookie,
) -> CarriedSessions | None:
    """Make what reads visitors' sessions from cookies, if there can be such cookies."""
    is_bounded = isinstance(plain_store(manager.store), BoundedStore)
    if settings.visitor_share is None or (settings.visitor_share and not is_bounded):
        return None
    return CarriedSessions(
        app,
        cookie,
        now=manager.now,
        idle=manager.policy.lifetime_of(None).idle,
        namespace=settings.namespace,
        cipher=_cipher(settings) if settings.encryption_keys else None,
    )


def build_finder(app: App, settings: SessionSettings) -> Finder | None:
    """Make the finder of sessions to take over, if there are sources.

    :raises ConfigError: if a source cannot be opened.
    """
    sources = [source for source in settings.move_from if source != "flask-login"]
    if not sources:
        return None
    from ._takeover.flask_cookie import chain
    from ._takeover.flask_cookie import flask_finder
    from ._takeover.flask_session import flask_session_finder

    finders = [
        flask_finder(app)
        if source == "flask"
        else flask_session_finder(
            app,
            _foreign_store(app, settings, source),
            prefix=settings.key_prefix,
            is_signed=settings.use_signer,
        )
        for source in sources
    ]
    return chain(finders)


def foreign_stores(app: App, settings: SessionSettings) -> list[ForeignStore]:
    """Open Flask-Session's stores that sessions are taken over from."""
    return [
        _foreign_store(app, settings, source)
        for source in settings.move_from
        if source.startswith("flask-session+")
    ]


def _foreign_store(app: App, settings: SessionSettings, source: str) -> ForeignStore:
    from ._takeover.flask_session import open_foreign_store

    try:
        importlib.import_module("msgspec")
        return open_foreign_store(
            source,
            folder=Path(app.instance_path),
            prefix=settings.key_prefix,
            table=settings.sqlalchemy_table,
            timeout=settings.store_timeout,
        )
    except ImportError as error:
        expected = f"{error.name} to be installed"
        write = "pip install 'flaskware-session[moving]', and the driver of the store"
    except Exception:  # noqa: BLE001 # of any driver; it may quote the URL
        expected = "the URL of a store of Flask-Session after flask-session+"
        write = 'SESSION_MOVE_FROM = ["flask-session+redis://localhost:6379/0"]'
    given = describe(source, sensitive=True)
    problem = ConfigProblem("SESSION_MOVE_FROM", expected, given, write)
    raise ConfigError("flaskware-session", [problem]) from None


def _store(app: App, settings: SessionSettings) -> Store:
    if not isinstance(settings.store, str):
        return _blocking(settings.store)
    folder = Path(app.instance_path)
    return open_store(settings.store, _options(settings), folder=folder)


def _options(settings: SessionSettings) -> Options:
    return Options(
        namespace=settings.namespace,
        timeout=settings.store_timeout,
        pool_size=settings.pool_size,
        table=settings.table,
        schema=settings.table_schema,
        synchronous_commit=settings.synchronous_commit,
    )


def _awaited(settings: SessionSettings, store: Store) -> AsyncStoreClient:
    """Make the client for the event loop of an app.

    :param store: The store for code that blocks.
    """
    from ._drive.aio import AsyncStoreClient
    from ._stores.event_loop import loop_store

    plain, url = plain_store(store), settings.store
    make = None if not isinstance(url, str) else native_store(url, _options(settings))
    awaited = loop_store(plain, make, threads=settings.pool_size)
    if settings.encryption_keys:
        sealed = AsyncSealedStore(awaited, _cipher(settings))
        awaited = t.cast("AsyncStore", sealed)
    return AsyncStoreClient(
        awaited, limit=settings.budget, visitor_share=settings.visitor_share
    )


def _blocking(store: Store | AsyncStore) -> Store:
    """Return the store itself, or a store that waits for its coroutines."""
    if not inspect.iscoroutinefunction(store.read):
        return t.cast("Store", store)
    from ._stores.bridge import BlockingStore

    return BlockingStore(t.cast("AsyncStore", store))


def _cipher(settings: SessionSettings) -> Cipher:
    keys = [key_from(key.get_secret_value()) for key in settings.encryption_keys]
    try:
        return Cipher(keys, accept_plain=settings.encryption_accept_plain)
    except ImportError:
        problem = ConfigProblem(
            "SESSION_ENCRYPTION_KEYS",
            "the library cryptography to be installed",
            "",
            "pip install 'flaskware-session[encryption]'",
        )
        raise ConfigError("flaskware-session", [problem]) from None


def _visitor(lifetime: Lifetime, settings: SessionSettings) -> Lifetime | None:
    if settings.visitor_timeout is None:
        return None
    idle = settings.visitor_timeout // _MILLISECOND
    return dc.replace(lifetime, idle=min(idle, lifetime.absolute))


def _lifetime(app: App, settings: SessionSettings) -> Lifetime:
    preset = None if settings.preset is None else PRESETS[settings.preset]
    idle, key = settings.idle_timeout, "SESSION_IDLE_TIMEOUT"
    absolute, renewal = settings.absolute_timeout, settings.renewal_timeout
    if preset is not None:
        idle, absolute = idle or preset.idle, absolute or preset.absolute
        renewal = renewal or preset.renewal
    if idle is None:
        idle, key = app.permanent_session_lifetime, "PERMANENT_SESSION_LIFETIME"
    absolute = absolute or _ABSOLUTE
    if idle > absolute:
        raise ConfigError(
            "flaskware-session",
            [
                ConfigProblem(
                    f"{key} and SESSION_ABSOLUTE_TIMEOUT",
                    "an idle timeout that is not longer than the absolute timeout",
                    f"{idle} and {absolute}",
                    f"SESSION_ABSOLUTE_TIMEOUT = {idle // dt.timedelta(seconds=1)}",
                )
            ],
        )
    return Lifetime(
        idle=idle // _MILLISECOND,
        absolute=absolute // _MILLISECOND,
        # A session that is touched less often than it may pause would end in use.
        touch_interval=min(settings.touch_interval, idle / 4) // _MILLISECOND,
        renewal=None if renewal is None else renewal // _MILLISECOND,
        grace=settings.renewal_grace // _MILLISECOND,
    )
