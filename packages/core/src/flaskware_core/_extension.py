"""An extension: one object that is initialised on any number of apps.

Rooms: _lazy < _errors < _process < _web < _settings < _findings < _installed <
_doctor < _cli < _extension
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import typing as t
import weakref

from flask.sansio.app import App
from werkzeug.sansio.request import Request

from ._cli.config import config_commands
from ._cli.doctor import doctor
from ._errors import AlreadyInitialised
from ._errors import caller
from ._errors import DeclarationError
from ._errors import NotInitialised
from ._findings.finding import Finding
from ._installed import Installed
from ._installed import installed_on
from ._installed import register
from ._settings.app import check_secret_key
from ._settings.app import CoreSettings
from ._settings.base import Settings
from ._settings.problems import ConfigError
from ._settings.problems import ConfigProblem
from ._web.current import active_app

S = t.TypeVar("S", bound=Settings)
T = t.TypeVar("T")

# Extensions that were made and not initialised yet, as in a module of extensions.
_waiting: weakref.WeakSet[Extension[t.Any, t.Any]] = weakref.WeakSet()


class Extension(t.Generic[S, T]):
    """Base class of every extension: one object, initialised on any number of apps.

    A subclass names its settings and its state, ``class Mail(Extension[MailSettings,
    MailState])``, and sets ``name``. Its :meth:`_build` and :meth:`_attach` add it to
    an app. Everything that belongs to an app is stored with the app, never on this
    object.

    :param app: Passed to :meth:`init_app`, if given.
    :param overrides: Settings by field name; they override ``app.config``.
    """

    name: t.ClassVar[str]
    """The key in ``app.extensions``."""

    settings_class: t.ClassVar[type[Settings]]
    """The class of the settings: the first type argument of the subclass's base."""

    outside: t.ClassVar[str] = "Write `with app.app_context():` around it."
    """The remedy in the error raised where no app is active; a sentence."""

    _has_close: t.ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: t.Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._has_close = cls._close is not Extension._close
        for base in cls.__dict__.get("__orig_bases__", ()):
            origin, arguments = t.get_origin(base), t.get_args(base)
            if isinstance(origin, type) and issubclass(origin, Extension):
                cls.settings_class = arguments[0]

    def __init__(self, app: App | None = None, **overrides: t.Any) -> None:
        self._overrides = overrides
        if app is None:
            _waiting.add(self)
        else:
            self.init_app(app)

    def init_app(self, app: App) -> None:
        """Validate the configuration, build the state and attach to the app.

        :raises ConfigError: listing everything that is wrong in the configuration.
        :raises AlreadyInitialised: if the app has this extension already.
        :raises DeclarationError: if ``app`` is not an app.
        """
        place = caller()
        self._refuse_stranger(app)
        self._refuse_second(app, place)
        _waiting.discard(self)
        try:
            settings, state = self._configure(app)
        except ConfigError as error:
            raise _with_waiting(error, app.config) from error.__cause__
        hooks = self._check, self._probe, self._covers, self._isolate, self._read
        others = self._takes_from_elsewhere
        installed = Installed(
            self, self.name, settings, state, self._overrides, place, *hooks, others
        )
        registry = register(app, installed)
        app.extensions[self.name] = self
        try:
            self._attach(app, settings, state)
        except BaseException:
            # A test or a factory may try again, with the configuration corrected.
            del registry[self.name], app.extensions[self.name]
            raise
        for command in (doctor, config_commands):
            # The entry point is seen by `flask` only, and not by a runner of tests.
            if command.name not in app.cli.commands:
                app.cli.add_command(command)
        if self._has_close:
            # Not at exit: a forked worker must not close what its parent opened.
            weakref.finalize(app, self._close, state).atexit = False

    def _configure(self, app: App) -> tuple[S, T]:
        check_secret_key(app.config)
        CoreSettings.from_config(app.config)
        settings = self._read(app.config)
        return settings, self._build(app, settings)

    def _read(self, config: cabc.Mapping[str, t.Any]) -> S:
        """Return the settings that a config gives this extension, validated.

        :raises ConfigError: listing everything that is wrong.
        """
        return t.cast("S", self.settings_class.from_config(config, self._overrides))

    @property
    def state(self) -> T:
        """The state of this extension for the current app.

        :raises NotInitialised: outside an app context, or where the current app was
            not given to :meth:`init_app`.
        """
        return self._installed().state

    @property
    def settings(self) -> S:
        """The validated settings of the current app.

        :raises NotInitialised: see :attr:`state`.
        """
        return self._installed().settings

    def state_of(self, app: App) -> T:
        """Return the state of this extension for one app; needs no context.

        :raises NotInitialised: if the app was not given to :meth:`init_app`.
        """
        return self._installed_on(app).state

    def settings_of(self, app: App) -> S:
        """Return the validated settings of one app; needs no context.

        :raises NotInitialised: if the app was not given to :meth:`init_app`.
        """
        return self._installed_on(app).settings

    def _build(self, app: App, settings: S) -> T:
        """Make the state for an app, without changing the app itself.

        :raises ConfigError: for problems that only building can find.
        """
        raise NotImplementedError

    def _attach(self, app: App, settings: S, state: T) -> None:
        """Add hooks, blueprints and commands to the app; they only read the state."""

    def _close(self, state: T) -> None:
        """Release what the state of an app holds, such as open connections.

        Called after the app was garbage collected, as after a test. Nothing that the
        state refers to may refer to the app, or that never happens.
        """

    def _check(self, app: App, *, deploy: bool) -> cabc.Iterable[Finding]:  # noqa: ARG002
        """Return findings about this extension on an app, for ``flask doctor``.

        :param deploy: True to include what matters only in production.
        """
        return ()

    def _probe(self, app: App) -> cabc.Iterable[ConfigProblem]:  # noqa: ARG002
        """Return a problem for each backend that cannot be reached right now."""
        return ()

    def _covers(self, app: App) -> cabc.Collection[str]:  # noqa: ARG002
        """Return ids of findings about an app that this extension makes untrue.

        ``core.cookie-secure`` of an app whose cookies get the flag on their way out, or
        a finding that this extension reports in its own words.
        """
        return ()

    def _isolate(self, app: App) -> contextlib.AbstractContextManager[object]:  # noqa: ARG002
        """Return a context manager that undoes what a test does to an app's stores."""
        return contextlib.nullcontext()

    def _takes_from_elsewhere(self, app: App, request: Request) -> bool:  # noqa: ARG002
        """Return whether a page of another site may send a request by design.

        See :func:`~flaskware_core.takes_from_elsewhere`.
        """
        return False

    def _installed(self) -> Installed[S, T]:
        app = active_app()
        if app is None:
            raise NotInitialised(
                f"{type(self).__name__} was used where no app is active: neither in a"
                f" request, nor in a command of `flask`. {self.outside}"
            )
        return self._installed_on(app)

    def _installed_on(self, app: App) -> Installed[S, T]:
        installed = installed_on(app).get(self.name)
        if installed is not None and installed.extension is self:
            return installed
        if installed is None:
            raise NotInitialised(
                f"This {type(self).__name__} object is not initialised on the app"
                f" {app.name!r}. Call `init_app(app)` on it in the app factory."
            )
        raise NotInitialised(
            f"The app {app.name!r} was initialised with another"
            f" {type(self).__name__} object ({installed.place}). Import that object,"
            " or call `init_app(app)` on this object only."
        )

    def _refuse_stranger(self, app: object) -> None:
        if not isinstance(app, App):
            raise DeclarationError(
                f"{type(self).__name__} takes an app, such as flask.Flask(__name__),"
                f" not an object of type {type(app).__name__!r}."
            )

    def _refuse_second(self, app: App, place: str) -> None:
        first = installed_on(app).get(self.name)
        if first is not None:
            raise AlreadyInitialised(
                f"{type(self).__name__} is already initialised on the app"
                f" {app.name!r}, at {first.place}. Remove the second call, at {place}."
            )
        if self.name in app.extensions:
            other = t.cast("object", app.extensions[self.name]).__class__
            raise AlreadyInitialised(
                f"The app {app.name!r} already has an extension named {self.name!r}"
                f" ({other.__module__}.{other.__qualname__})."
                f" Use either that extension or {type(self).__name__}, not both."
            )


def _with_waiting(error: ConfigError, config: cabc.Mapping[str, t.Any]) -> ConfigError:
    """Add what is wrong with the keys of extensions that an app initialises later.

    An app factory initialises one after the other; with all problems in one list, its
    configuration is right after one correction.
    """
    owners, problems = [error.owner], list(error.problems)
    for settings in {type(waiting).settings_class for waiting in _waiting}:
        try:
            settings.from_config(config)
        except ConfigError as other:
            known = {problem.key for problem in problems}
            # Without the keys that are missing: the extension may be another app's.
            more = [p for p in other.problems if p.key in config.keys() - known]
            owners += [other.owner] if more else []
            problems += more
    return ConfigError(", ".join(owners), problems)


def check_connections(app: App) -> None:
    """Check that every database, cache and store of an app can be reached.

    Call it where a missing backend should be reported at once, such as in a deploy
    step. Initialising an app opens no connection.

    :raises ConfigError: listing each backend that did not answer, by its config key.
    """
    problems = [
        problem
        for installed in installed_on(app).values()
        for problem in installed.probe(app)
    ]
    if problems:
        raise ConfigError(f"the app {app.name!r}", problems)
