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

from ._errors import MigrationError
from ._errors import UnknownRevision
from ._lock import OnWait
from ._migrations import Binds
from ._migrations import find_directory
from ._migrations import Migrations
from ._migrations import Names
from ._migrations import refuse_behind
from ._migrations import Selection
from ._migrator import OnStep
from ._plan import Direction
from ._plan import Plan
from ._registry import discover
from ._registry import TreeSpec
from ._revision import RevisionInfo
from ._settings import AlembicSettings
from ._source import databases_of
from ._source import Engines
from ._source import EngineSource
from ._source import Metadata
from ._source import NamedEngineSource
from ._status import Status
from ._status import status_of
from ._writing import write_changes
from ._writing import write_empty


class Alembic(Extension[AlembicSettings, Migrations]):
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

    def revision(
        self,
        message: str,
        *,
        autogenerate: bool = True,
        binds: Binds = None,
        trees: Names = None,
        head: str = "head",
        rev_id: str | None = None,
    ) -> list[RevisionInfo]:
        """Write a new revision for each database whose models changed.

        :param autogenerate: Fill it with what changed. Without, one empty file is
            written, for the default database unless ``binds`` says otherwise.
        :param head: The revision that an empty one follows.
        :param rev_id: Its id, instead of a random one.
        :returns: The new revisions; none where no change was detected.
        :raises PendingRevisions: if the database is behind, so that it cannot be
            compared.
        """
        chosen = self._selection()
        if not autogenerate:
            binds = (None,) if binds is None and trees is None else binds
            return write_empty(
                chosen.own(binds, trees), message, head=head, rev_id=rev_id
            )
        migrators = chosen.own(binds, trees)
        refuse_behind(migrators)
        return write_changes(migrators, message, rev_id=rev_id)

    def merge(
        self,
        message: str = "merge heads",
        *,
        revisions: cabc.Collection[str] = (),
        binds: Binds = None,
        trees: Names = None,
    ) -> list[RevisionInfo]:
        """Write a revision that joins several heads, where there are several.

        :param revisions: Which to join; all heads if none are named.
        """
        merged: list[RevisionInfo] = []
        for m in self._selection().own(binds, trees):
            heads = tuple(revisions) or m.tree.heads
            if len(heads) > 1 and all(m.tree.resolves(head) for head in heads):
                merged.append(m.tree.write(message, head=heads, manual=False))
        if revisions and not merged:
            raise UnknownRevision(
                f"No database has all of {', '.join(revisions)} as two or more"
                " revisions. `flask db heads` lists what can be joined."
            )
        return merged

    def upgrade(
        self,
        target: str = "heads",
        *,
        binds: Binds = None,
        trees: Names = None,
        on_step: OnStep | None = None,
        on_wait: OnWait | None = None,
    ) -> Plan:
        """Apply what is pending, one process at a time.

        :param target: A revision, the start of its id, ``"heads"``, or ``"+1"``.
        :param on_step: Called after each revision.
        :param on_wait: Called once with a sentence where another process is first.
        :returns: What was done; empty if another process did it before.
        :raises DatabaseAhead: if a database holds a revision the code does not have.
        :raises LockTimeout: if another process migrates for too long.
        :raises RevisionFailed: naming the file and line that raised.
        """
        return self._move(
            target, "upgrade", binds, trees, on_step=on_step, on_wait=on_wait
        )

    def downgrade(
        self,
        target: str,
        *,
        binds: Binds = None,
        trees: Names = None,
        on_step: OnStep | None = None,
        on_wait: OnWait | None = None,
    ) -> Plan:
        """Take back what was applied after a revision.

        :param target: A revision, ``"base"``, or ``"-1"``. Where there are several
            databases, the last two need ``binds``.
        :returns: What was done.
        """
        return self._move(
            target, "downgrade", binds, trees, on_step=on_step, on_wait=on_wait
        )

    def stamp(
        self,
        target: str = "heads",
        *,
        binds: Binds = None,
        trees: Names = None,
        purge: bool = False,
    ) -> Plan:
        """Say that a database is at a revision, and run nothing.

        :param purge: Forget what the version table holds, also what is unknown.
        """
        return self._move(target, "stamp", binds, trees, purge=purge)

    def plan(
        self,
        target: str = "heads",
        *,
        direction: t.Literal["upgrade", "downgrade"] = "upgrade",
        binds: Binds = None,
        trees: Names = None,
    ) -> Plan:
        """What an upgrade or downgrade would do at this moment."""
        chosen = self._selection().at(target, binds, trees)
        if direction == "downgrade":
            chosen.reverse()
        plans = (m.plan(target, direction) for m in chosen)
        return sum(plans, Plan())

    def sql(
        self,
        target: str = "heads",
        *,
        direction: t.Literal["upgrade", "downgrade"] = "upgrade",
        start: str | None = None,
        binds: Binds = None,
        trees: Names = None,
    ) -> str:
        """The SQL of an upgrade or downgrade, for who runs it by hand.

        :param start: Where the database stands; it is asked if this is ``None``.
        """
        chosen = self._selection().at(target, binds, trees)
        return "".join(m.sql(target, direction, start) for m in chosen)

    def current(
        self, *, binds: Binds = None, trees: Names = None
    ) -> list[RevisionInfo]:
        """The revisions that the databases are at.

        :raises DatabaseAhead: if one of them is not in the code.
        """
        found: list[RevisionInfo] = []
        for m in self._selection().chosen(binds, trees):
            ids = m.current()
            m.refuse_unknown(ids)
            found.extend(m.tree.info(id) for id in ids)
        return found

    def history(
        self, *, binds: Binds = None, trees: Names = None
    ) -> list[RevisionInfo]:
        """Every revision of the code, the newest first; asks no database."""
        return [
            info
            for m in self._selection().chosen(binds, trees)
            for info in m.tree.infos()
        ]

    def heads(self, *, binds: Binds = None, trees: Names = None) -> list[RevisionInfo]:
        """The revisions that no other one follows; asks no database."""
        return [
            m.tree.info(id)
            for m in self._selection().chosen(binds, trees)
            for id in m.tree.heads
        ]

    def status(
        self, *, models: bool = True, binds: Binds = None, trees: Names = None
    ) -> Status:
        """How the databases stand to the code.

        :param models: Also compare the models, which reads the whole schema.
        """
        return Status(
            tuple(
                status_of(m, models=models)
                for m in self._selection().chosen(binds, trees)
            )
        )

    def check(
        self, *, models: bool = True, binds: Binds = None, trees: Names = None
    ) -> Status:
        """Make sure that the databases are what the code expects.

        :param models: Also compare the models, which reads the whole schema.
        :raises DatabaseAhead: if one holds a revision the code does not have.
        :raises PendingRevisions: if one is behind.
        :raises ModelsChanged: if the models say something that no revision does.
        """
        status = self.status(models=models, binds=binds, trees=trees)
        status.refuse()
        return status

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
        from ._cli import db

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

    def _move(
        self,
        target: str,
        direction: Direction,
        binds: Binds,
        trees: Names,
        **options: t.Any,
    ) -> Plan:
        chosen = self._selection().at(target, binds, trees)
        if direction == "downgrade":
            chosen.reverse()
        return sum((m.move(target, direction, **options) for m in chosen), Plan())

    def _selection(self) -> Selection:
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
        if state.discovered is None:
            app = t.cast("t.Any", flask.current_app)._get_current_object()
            state.discovered = discover(app) if settings.discover else []
        by_name = {spec.name: spec for spec in state.discovered} | self._registered
        return Selection.of(state, settings, databases, list(by_name.values()))
