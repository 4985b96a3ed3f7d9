from __future__ import annotations

import collections.abc as cabc
import contextlib
import os
import typing as t
from pathlib import Path

import flask
import sqlalchemy as sa
from flask.sansio.app import App

from flaskware_core import ConfigError
from flaskware_core import ConfigProblem
from flaskware_core import Extension
from flaskware_core import Finding

from ._authoring import Authoring
from ._databases.database import databases_of
from ._databases.database import Engines
from ._databases.database import EngineSource
from ._databases.database import has_async
from ._databases.database import Metadata
from ._databases.database import NamedEngineSource
from ._errors import MigrationError
from ._moving import Moving
from ._project.migrations import find_directory
from ._project.migrations import Migrations
from ._project.trees import discover
from ._project.trees import TreeSpec
from ._settings import AlembicSettings

if t.TYPE_CHECKING:
    from ._project.selection import Selection


class Alembic(Moving, Authoring, Extension[AlembicSettings, Migrations]):
    """Migrations of every database of an app; no env.py, no alembic.ini.

    Every method needs an app context, works on all databases unless ``binds`` names
    some (``None`` is the default one), and raises a :class:`MigrationError` for what
    goes wrong. None of them exits the process or touches the logging.

    :param source: The extension that has the engines; the one at
        ``app.extensions["sqlalchemy"]`` if nothing is given.
    :param app: Initialise on this app at once.
    :param metadata: What the models declare, where the source does not tell: one, or
        a mapping by the names of the engines.
    :param engine: An engine or a mapping of them, instead of a source.
    :param overrides: Settings by field name, such as ``directory``.
    """

    name = "alembic"

    def __init__(
        self,
        source: EngineSource | NamedEngineSource | None = None,
        app: App | None = None,
        *,
        metadata: Metadata | None = None,
        engine: Engines | None = None,
        **overrides: t.Any,
    ) -> None:
        if source is not None and engine is not None:
            raise TypeError(
                "Alembic takes an extension or engine=..., not both: which of the"
                " engines would be migrated?"
            )
        if isinstance(source, App):
            raise TypeError(
                "Alembic takes the extension with the engines first. Write"
                " Alembic(db, app), or Alembic(app=app)."
            )
        self._source = source
        self._metadata = metadata
        self._engine = engine
        self._registered: dict[str, TreeSpec] = {}
        super().__init__(app, **overrides)

    def register(
        self,
        name: str,
        *,
        path: str | os.PathLike[str],
        metadata: sa.MetaData | None = None,
        depends_on: cabc.Iterable[str] = (),
        bind: str | None = None,
        engine: sa.Engine | None = None,
    ) -> None:
        """Add the revisions that an extension or blueprint brings, as a tree.

        It has heads and a version table of its own. An upgrade moves all trees, each
        after those it depends on, the app's own last unless one depends on ``"app"``.

        :param name: Ends the name of the version table.
        :param path: The folder of the revisions.
        :param metadata: Its tables, which are then not the app's to compare.
        :param bind: Which of the app's databases they are in.
        :param engine: Their database, where it is none of the app's.
        :raises MigrationError: if the name is taken or cannot be used.
        """
        spec = TreeSpec(name, Path(path), metadata, tuple(depends_on), bind, engine)
        if self._registered.setdefault(name, spec) != spec:
            raise MigrationError(
                f"A tree {name!r} is registered already, for"
                f" {self._registered[name].path}. Choose another name."
            )

    def directory(self, *, create: bool = False) -> Path:
        """The folder of the revisions.

        :param create: Make it; otherwise the first revision does.
        """
        if create:
            self.state.directory.mkdir(parents=True, exist_ok=True)
        return self.state.directory

    def _build(self, app: App, settings: AlembicSettings) -> Migrations:
        root = Path(app.root_path)
        directory, more = settings.directory, list[Path]()
        # Flask-Alembic's own key: a folder, and further ones that may have a name.
        theirs = t.cast("dict[str, t.Any]", app.config.get("ALEMBIC") or {})
        if "directory" not in settings.model_fields_set:
            directory = Path(theirs.get("script_location", directory))
            for item in theirs.get("version_locations", ()):
                more.append(root / (item if isinstance(item, str) else item[1]))
        return Migrations(find_directory(root, directory), more)

    def _attach(self, app: App, settings: AlembicSettings, state: Migrations) -> None:  # noqa: ARG002
        from ._cli.commands import db

        if settings.command in app.cli.commands:
            problem = ConfigProblem(
                AlembicSettings.key("command"),
                "a name that no other command has",
                f"{settings.command!r}, which somebody else registered on the app",
                'remove the other extension, or ALEMBIC_COMMAND = "migrations"',
            )
            raise ConfigError(AlembicSettings.distribution, [problem])
        app.cli.add_command(db, settings.command)

    def _check(self, app: App, *, deploy: bool) -> cabc.Iterable[Finding]:  # noqa: ARG002
        from ._checks import check_migrations

        context = (
            app.app_context()
            if isinstance(app, flask.Flask)
            else contextlib.nullcontext()
        )
        with context:
            return list(check_migrations(self, app))

    def _probe(self, app: App) -> cabc.Iterable[ConfigProblem]:  # noqa: ARG002
        if self._engine is None:
            return
        for database in databases_of(
            None, self._metadata or sa.MetaData(), self._engine
        ):
            try:
                with database.connect():
                    pass
            except MigrationError as error:
                yield ConfigProblem(
                    "Alembic(engine=…)", "a database that answers", error.message
                )

    def _selection(self) -> Selection:
        from ._project.selection import Selection

        state, settings = self.state, self.settings
        source = self._source
        if source is None and self._engine is None:
            source = flask.current_app.extensions.get("sqlalchemy")
            if source is None:
                raise MigrationError(
                    "No engines were given, and the app has no extension"
                    " 'sqlalchemy'. Write Alembic(db), or Alembic(engine=...,"
                    " metadata=...)."
                )
        databases = databases_of(source, self._metadata, self._engine)
        return Selection.of(state, settings, databases, self._specs())

    def _specs(self) -> list[TreeSpec]:
        state = self.state
        if state.discovered is None:
            app = t.cast("t.Any", flask.current_app)._get_current_object()
            state.discovered = discover(app) if self.settings.discover else []
        by_name = {spec.name: spec for spec in state.discovered} | self._registered
        return list(by_name.values())

    def _has_async_engine(self) -> bool:
        self._installed()
        source = self._source or flask.current_app.extensions.get("sqlalchemy")
        if has_async(source, self._engine):
            return True
        return any(spec.is_async for spec in self._specs())
