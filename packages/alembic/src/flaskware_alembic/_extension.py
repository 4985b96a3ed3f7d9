from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses as dc
import typing as t
from pathlib import Path

import flask
import sqlalchemy as sa
from flask.sansio.app import App

from flaskware_core import ConfigError
from flaskware_core import ConfigProblem
from flaskware_core import Extension
from flaskware_core import Finding

from ._autogenerate import code_of_changes
from ._errors import MigrationError
from ._errors import PendingRevisions
from ._errors import SeveralHeads
from ._errors import UnknownRevision
from ._lock import OnWait
from ._migrator import Migrator
from ._migrator import OnStep
from ._plan import Direction
from ._plan import Plan
from ._revision import RevisionInfo
from ._settings import AlembicSettings
from ._source import databases_of
from ._source import Engines
from ._source import EngineSource
from ._source import Metadata
from ._source import NamedEngineSource
from ._status import State
from ._status import Status
from ._status import status_of
from ._tree import Tree

Binds: t.TypeAlias = cabc.Collection[str | None] | None


@dc.dataclass(frozen=True)
class Migrations:
    """What is kept for an app.

    :param directory: The folder of the revisions.
    :param trees: The revisions of each database, loaded when first used.
    """

    directory: Path
    trees: dict[str | None, Tree]

    def tree(self, bind: str | None) -> Tree:
        """The revisions of one database."""
        if bind not in self.trees:
            self.trees[bind] = Tree.find(bind, self.directory)
        return self.trees[bind]


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
        super().__init__(app, **overrides)

    def revision(
        self,
        message: str,
        *,
        autogenerate: bool = True,
        binds: Binds = None,
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
        if not autogenerate:
            chosen = self._migrators((None,) if binds is None else binds)
            return [
                m.tree.write(message, head=head, rev_id=rev_id, manual=True)
                for m in chosen
            ]
        chosen = self._migrators(binds)
        self._refuse_behind(chosen)
        # All are compared before the first file is written.
        bodies = [(m, code_of_changes(m)) for m in chosen]
        return [
            m.tree.write(message, rev_id=rev_id, manual=False, **body)
            for m, body in bodies
            if body is not None
        ]

    def merge(
        self,
        message: str = "merge heads",
        *,
        revisions: cabc.Collection[str] = (),
        binds: Binds = None,
    ) -> list[RevisionInfo]:
        """Write a revision that joins several heads, where there are several.

        :param revisions: Which to join; all heads if none are named.
        """
        merged: list[RevisionInfo] = []
        for m in self._migrators(binds):
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
        return self._move(target, "upgrade", binds, on_step=on_step, on_wait=on_wait)

    def downgrade(
        self,
        target: str,
        *,
        binds: Binds = None,
        on_step: OnStep | None = None,
        on_wait: OnWait | None = None,
    ) -> Plan:
        """Take back what was applied after a revision.

        :param target: A revision, ``"base"``, or ``"-1"``. Where there are several
            databases, the last two need ``binds``.
        :returns: What was done.
        """
        return self._move(target, "downgrade", binds, on_step=on_step, on_wait=on_wait)

    def stamp(
        self, target: str = "heads", *, binds: Binds = None, purge: bool = False
    ) -> Plan:
        """Say that a database is at a revision, and run nothing.

        :param purge: Forget what the version table holds, also what is unknown.
        """
        return self._move(target, "stamp", binds, purge=purge)

    def plan(
        self,
        target: str = "heads",
        *,
        direction: t.Literal["upgrade", "downgrade"] = "upgrade",
        binds: Binds = None,
    ) -> Plan:
        """What an upgrade or downgrade would do at this moment."""
        plans = (m.plan(target, direction) for m in self._migrators_at(target, binds))
        return sum(plans, Plan())

    def sql(
        self,
        target: str = "heads",
        *,
        direction: t.Literal["upgrade", "downgrade"] = "upgrade",
        start: str | None = None,
        binds: Binds = None,
    ) -> str:
        """The SQL of an upgrade or downgrade, for who runs it by hand.

        :param start: Where the database stands; it is asked if this is ``None``.
        """
        chosen = self._migrators_at(target, binds)
        return "".join(m.sql(target, direction, start) for m in chosen)

    def current(self, *, binds: Binds = None) -> list[RevisionInfo]:
        """The revisions that the databases are at.

        :raises DatabaseAhead: if one of them is not in the code.
        """
        found: list[RevisionInfo] = []
        for m in self._migrators(binds):
            ids = m.current()
            m.refuse_unknown(ids)
            found.extend(m.tree.info(id) for id in ids)
        return found

    def history(self, *, binds: Binds = None) -> list[RevisionInfo]:
        """Every revision of the code, the newest first; asks no database."""
        return [info for m in self._migrators(binds) for info in m.tree.infos()]

    def heads(self, *, binds: Binds = None) -> list[RevisionInfo]:
        """The revisions that no other one follows; asks no database."""
        return [m.tree.info(id) for m in self._migrators(binds) for id in m.tree.heads]

    def status(self, *, models: bool = True, binds: Binds = None) -> Status:
        """How the databases stand to the code.

        :param models: Also compare the models, which reads the whole schema.
        """
        return Status(
            tuple(status_of(m, models=models) for m in self._migrators(binds))
        )

    def check(self, *, models: bool = True, binds: Binds = None) -> Status:
        """Make sure that the databases are what the code expects.

        :param models: Also compare the models, which reads the whole schema.
        :raises DatabaseAhead: if one holds a revision the code does not have.
        :raises PendingRevisions: if one is behind.
        :raises ModelsChanged: if the models say something that no revision does.
        """
        status = self.status(models=models, binds=binds)
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
        return Migrations(_find_directory(Path(app.root_path), settings.directory), {})

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
        self, target: str, direction: Direction, binds: Binds, **options: t.Any
    ) -> Plan:
        chosen = self._migrators_at(target, binds)
        return sum((m.move(target, direction, **options) for m in chosen), Plan())

    def _migrators(self, binds: Binds) -> list[Migrator]:
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
        known = [database.bind for database in databases]
        for bind in binds or ():
            if bind not in known:
                names = ", ".join(repr(name or "default") for name in known)
                raise MigrationError(
                    f"There is no database {bind or 'default'!r}; the names are"
                    f" {names}."
                )
        migrators = [Migrator(d, state.tree(d.bind), settings) for d in databases]
        return [
            m
            for m in migrators
            # A database with neither models nor revisions is somebody else's.
            if (m.database.metadata is not None or m.tree.folder.is_dir())
            and (binds is None or m.database.bind in binds)
        ]

    def _migrators_at(self, target: str, binds: Binds) -> list[Migrator]:
        """The databases that a target is meant for."""
        chosen = self._migrators(binds)
        if len(chosen) < 2 or target in {"head", "heads"}:
            return chosen
        if target == "base" or target[0] in "+-":
            if binds is None:
                raise MigrationError(
                    f"{target!r} of which database? There are"
                    f" {', '.join(m.database.name for m in chosen)}: name one with"
                    " `--bind`, or binds=[...]."
                )
            return chosen
        having = [m for m in chosen if m.tree.resolves(target)]
        if not having:
            raise UnknownRevision(
                f"There is no revision {target!r} in any of"
                f" {', '.join(str(m.tree.folder) for m in chosen)}."
            )
        return having

    def _refuse_behind(self, migrators: cabc.Iterable[Migrator]) -> None:
        status = Status(tuple(status_of(m, models=False) for m in migrators))
        for m, bind in zip(migrators, status.binds, strict=True):
            m.refuse_unknown(bind.unknown)
            if len(m.tree.heads) > 1:
                raise SeveralHeads(
                    f"{m.tree.folder} has several heads ({', '.join(m.tree.heads)}),"
                    " and a new revision follows one. Run: flask db merge"
                )
        if status.state is State.PENDING:
            raise PendingRevisions(
                f"{status}\nThe models are compared with a database that has them"
                " all. Run: flask db upgrade",
                status=status,
            )


def _find_directory(root: Path, directory: Path) -> Path:
    found = root / directory
    # Flask-Migrate keeps it in the folder that `flask` is run in, which for an app
    # that is a package is the one above.
    above = root.parent / directory
    if not found.exists() and (above / "env.py").is_file():
        return above
    return found
