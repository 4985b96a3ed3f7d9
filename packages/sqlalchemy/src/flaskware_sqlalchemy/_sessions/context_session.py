"""The session of the current context, as one object for the life of the extension."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

from sqlalchemy import orm
from sqlalchemy import util

from flaskware_core import active_context

if t.TYPE_CHECKING:

    class ContextSession(orm.Session):
        """A session that is a scoped session too, for type checkers."""

        registry: util.ScopedRegistry[orm.Session]
        session_factory: orm.sessionmaker[t.Any]

        def __init__(
            self,
            session_factory: orm.sessionmaker[t.Any],
            registry: util.ScopedRegistry[orm.Session],
        ) -> None: ...

        def __call__(self) -> orm.Session: ...

        def remove(self) -> None: ...

        def query_property(
            self, query_cls: type[orm.Query[t.Any]] | None = None
        ) -> t.Any: ...

else:

    class ContextSession(orm.scoped_session):
        """The session of whichever app context is current.

        It has the methods of a session, and those of
        :class:`sqlalchemy.orm.scoped_session`, which it is at run time. It can be kept:
        by a library, in a variable of a module, or before there is an app.
        """

        def __init__(self, session_factory, registry) -> None:
            super().__init__(session_factory)
            self.registry = registry

        @property
        def __class__(self):
            """The class of its sessions, so that it is an instance of both kinds."""
            return self.session_factory.class_

        def __call__(self, **options):
            if options:
                raise TypeError(
                    "db.session() takes no options: it returns the session of the app"
                    " context. Write SQLAlchemy(session_options={…}) for options, and"
                    " `db.get_session(name)` or `db.session_scope()` for another"
                    " session."
                )
            return self.registry()

        def configure(self, **options) -> None:  # noqa: ARG002
            """Refuse: the options are those of ``session_options``."""
            raise TypeError(
                "db.session.configure() has no effect on sessions that are open. Write"
                " SQLAlchemy(session_options={…}); for a test that is undone,"
                " `with db.test_isolation():`."
            )

        def remove(self) -> None:
            """Give back everything that the session of the context holds."""
            if self.registry.has():
                self.registry().close()

        def __enter__(self):
            return self.registry().__enter__()

        def __exit__(self, *error):
            return self.registry().__exit__(*error)

        # scoped_session passes on the methods that existed when it was written.
        def __getattr__(self, name):
            is_known = name not in {"registry", "session_factory"} and (
                active_context() is not None or hasattr(self.__class__, name)
            )
            if not is_known:
                # For hasattr(), which libraries ask before there is a context.
                raise AttributeError(name, name=name, obj=self)
            return getattr(self.registry(), name)

        def __setattr__(self, name, value) -> None:
            if name in {"registry", "session_factory"}:
                super().__setattr__(name, value)
            else:
                setattr(self.registry(), name, value)


class ContextRegistry(util.ScopedRegistry[orm.Session]):
    """The registry of :class:`ContextSession`: an app context has the session.

    :param current: Returns the session of the current context, made on first use.
    :param find: Returns it if it has been made.
    :param put: Replaces it; ``None`` takes it away.
    """

    def __init__(
        self,
        current: cabc.Callable[[], orm.Session],
        find: cabc.Callable[[], orm.Session | None],
        put: cabc.Callable[[orm.Session | None], None],
    ) -> None:
        super().__init__(current, lambda: None)
        self._find = find
        self._put = put

    def __call__(self) -> orm.Session:
        return self.createfunc()

    def has(self) -> bool:
        return self._find() is not None

    def set(self, obj: orm.Session) -> None:
        self._put(obj)

    def clear(self) -> None:
        self._put(None)
