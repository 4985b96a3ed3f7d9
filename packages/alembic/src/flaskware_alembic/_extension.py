"""Migrations of an app: one class, and a thin method for each command.

Rooms: _backfill < _results < _errors < _settings < _databases < _sql < _transitions
< _autogenerate < _schemas < _revisions < _lint < _runtime < _rehearsals < _project
< _checks < _cli < _extension
"""

from __future__ import annotations

import collections.abc as cabc
import functools
import os
import typing as t
from pathlib import Path

import sqlalchemy as sa
from flask.sansio.app import App

from flaskware_core import call_in_app_context
from flaskware_core import ConfigError
from flaskware_core import ConfigProblem
from flaskware_core import current_app_object
from flaskware_core import DeclarationError
from flaskware_core import Extension
from flaskware_core import Finding as Problem
from flaskware_core import refuse_in_event_loop

from ._databases.database import Engines
from ._databases.database import EngineSource
from ._databases.database import Metadata
from ._databases.database import NamedEngineSource
from ._databases.database import Source
from ._databases.event_loop import call_in_loop
from ._databases.event_loop import is_in_own_loop
from ._errors import MigrationError
from ._project.migrations import answer_while_behind
from ._project.migrations import find_folders
from ._project.migrations import Migrations
from ._project.migrations import watch_requests
from ._project.trees import TreeSpec
from ._settings import AlembicSettings

# A worker that only makes the app loads neither Alembic nor what works with it.
if t.TYPE_CHECKING:
    from ._autogenerate.comparison import CompareColumns
    from ._autogenerate.comparison import IncludeName
    from ._autogenerate.comparison import IncludeObject
    from ._autogenerate.comparison import ProcessDirectives
    from ._autogenerate.comparison import RenderItem
    from ._autogenerate.renames import OnRename
    from ._results import BackfillInfo
    from ._results import Binds
    from ._results import Chosen
    from ._results import Direction
    from ._results import Drift
    from ._results import Explanation
    from ._results import Finding
    from ._results import Fix
    from ._results import LintOptions
    from ._results import MoveOptions
    from ._results import Names
    from ._results import OnProgress
    from ._results import OnWait
    from ._results import Plan
    from ._results import Rehearsal
    from ._results import RehearsedStep
    from ._results import RevisionInfo
    from ._results import Status
    from ._results import UpgradeOptions

_P = t.ParamSpec("_P")
_R = t.TypeVar("_R")


def _command(
    method: cabc.Callable[t.Concatenate[Alembic, _P], _R],
) -> cabc.Callable[t.Concatenate[Alembic, _P], _R]:
    """Let a method reach a database through an async driver where there is one."""

    @functools.wraps(method)
    def run(self: Alembic, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        is_async = self.state.is_async
        if not is_in_own_loop():
            name = f"alembic.{method.__name__}"
            instead = f"await asyncio.to_thread({name}, …)"
            refuse_in_event_loop(current_app_object(), f"{name}()", instead)
        call = functools.partial(method, self, *args, **kwargs)
        return call_in_loop(call) if is_async else call()

    return run


_HOOKS = {
    "compare_server_default", "compare_type", "include_name", "include_object",
    "process_revision_directives", "render_item",
}  # fmt: skip


def _taken_hooks(overrides: dict[str, t.Any]) -> dict[str, t.Any]:
    """Take the functions of the user out of the settings."""
    found = {name for name in _HOOKS & set(overrides) if callable(overrides[name])}
    return {name: overrides.pop(name) for name in found}


class Alembic(Extension[AlembicSettings, Migrations]):
    """Migrations of every database of an app; no env.py, no alembic.ini.

    Every method needs an app context, works on all databases unless ``binds`` names
    some (``None`` is the default database), and raises a :class:`MigrationError` if
    something is wrong. None of them exits the process or touches the logging.

    :param source: The extension that has the engines; the extension at
        ``app.extensions["sqlalchemy"]`` by default.
    :param app: Initialise on this app at once.
    :param metadata: The metadata of the models, where the source has none: one, or a
        mapping by the names of the engines.
    :param engine: An engine or a mapping of them, instead of a source.
    :param include_object: Alembic's hook: whether an object is compared.
    :param include_name: Alembic's hook: whether a name in the database is looked at.
    :param compare_type: Alembic's hook: whether a column's type changed; ``None``
        leaves it to the database. A boolean is the setting.
    :param compare_server_default: The same for a column's default.
    :param render_item: Alembic's hook: the code of an object, or ``False``.
    :param process_revision_directives: Alembic's hook: may change what a revision is
        made of. The schemas, sequences, primary keys, checks and enums that Alembic
        does not compare are not among it.
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
        include_object: IncludeObject | None = None,
        include_name: IncludeName | None = None,
        compare_type: CompareColumns | bool | None = None,
        compare_server_default: CompareColumns | bool | None = None,
        render_item: RenderItem | None = None,
        process_revision_directives: ProcessDirectives | None = None,
        **overrides: t.Any,
    ) -> None:
        if source is not None and engine is not None:
            raise DeclarationError(
                "Alembic takes an extension or engine=..., not both: which of the"
                " engines would be migrated?"
            )
        if isinstance(source, App):
            raise DeclarationError(
                "Alembic takes the extension with the engines first. Write"
                " Alembic(db, app), or Alembic(app=app)."
            )
        self._source = Source(source, metadata, engine)
        self._registered: dict[str, TreeSpec] = {}
        given: dict[str, t.Any] = {
            "include_object": include_object,
            "include_name": include_name,
            "compare_type": compare_type,
            "compare_server_default": compare_server_default,
            "render_item": render_item,
            "process_revision_directives": process_revision_directives,
        }
        overrides |= {name: item for name, item in given.items() if item is not None}
        self._hooks: dict[str, t.Any] = _taken_hooks(overrides)
        super().__init__(app, **overrides)

    def init_app(
        self,
        app: App,
        source: EngineSource | NamedEngineSource | None = None,
        **overrides: t.Any,
    ) -> None:
        """Validate the configuration and add the commands to the app.

        :param source: The extension that has the engines of this app.
        :param overrides: Settings by field name, and the hooks that the class takes.
        :raises ConfigError: listing everything that is wrong in the configuration.
        :raises AlreadyInitialised: if the app has this extension already.
        :raises TypeError: if ``app`` is not an app, or there is another source.
        """
        names = ("_source", "_hooks", "_overrides")
        before: dict[str, t.Any] = {name: getattr(self, name) for name in names}
        if source is not None:
            ours = self._source
            if ours.engine is not None or ours.extension not in {None, source}:
                raise TypeError(
                    "This Alembic has engines already. Give them once: Alembic(db), or"
                    " init_app(app, db)."
                )
            self._source = Source(source, ours.metadata)
        self._hooks = self._hooks | _taken_hooks(overrides)
        self._overrides = self._overrides | overrides
        try:
            super().init_app(app)
        finally:
            # They are this app's, and are kept with it.
            for name, value in before.items():
                setattr(self, name, value)

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
        :param bind: The database of the app that they are in.
        :param engine: Their database, where the app does not have it.
        :raises MigrationError: if the name is taken or cannot be used.
        """
        spec = TreeSpec(name, Path(path), metadata, tuple(depends_on), bind, engine)
        if self._registered.setdefault(name, spec) != spec:
            raise MigrationError(
                f"A tree {name!r} is registered already, for"
                f" {self._registered[name].path}. Choose another name."
            )

    def directory(self, *, create: bool = False) -> Path:
        """Return the folder of the revisions.

        :param create: Make it; otherwise the first revision does.
        """
        if create:
            self.state.directory.mkdir(parents=True, exist_ok=True)
        return self.state.directory

    # Moving databases

    @_command
    def upgrade(
        self,
        target: str = "heads",
        **options: t.Unpack[UpgradeOptions],
    ) -> Plan:
        """Apply pending revisions, one process at a time.

        :param target: A revision, the start of its id, ``"heads"``, or ``"+1"``.
        :param on_step: Called after each revision.
        :param on_wait: Called once with a sentence where another process is first.
        :param on_progress: Called after each batch of a backfill.
        :param contract: Also complete earlier upgrades; no process runs older code.
        :param resume: Go on with a revision that MySQL or MariaDB cut off half way.
        :param assume: Whether to take a statement of it as done where the schema does
            not show it.
        :returns: The steps that were done; empty if another process did them before.
        :raises ContractRefused: if rows are in the way of such a revision.
        :raises DatabaseAhead: if a database holds a revision the code does not have.
        :raises HalfApplied: if a revision was cut off half way.
        :raises LockTimeout: if another process migrates for too long.
        :raises RevisionFailed: naming the file and line that raised.
        :raises TableLocked: if a lock was held for too long, at every attempt.
        """
        return self._move(target, "upgrade", **options)

    @_command
    def downgrade(
        self,
        target: str,
        **options: t.Unpack[MoveOptions],
    ) -> Plan:
        """Take back the revisions that were applied after a target.

        :param target: A revision, ``"base"``, or ``"-1"``. Where there are several
            databases, the last two need ``binds``.
        :param resume: Go on with a revision that MySQL or MariaDB cut off half way.
        :returns: The steps that were done.
        :raises MigrationError: if another tree depends on what is taken back.
        """
        return self._move(target, "downgrade", **options)

    @_command
    def stamp(
        self,
        target: str = "heads",
        *,
        purge: bool = False,
        **chosen: t.Unpack[Chosen],
    ) -> Plan:
        """Record that a database is at a revision, and run nothing.

        :param purge: Forget the content of the version table, also what is unknown.
        """
        return self._move(target, "stamp", purge=purge, **chosen)

    @_command
    def backfill(
        self,
        *,
        on_progress: OnProgress | None = None,
        on_wait: OnWait | None = None,
        **chosen: t.Unpack[Chosen],
    ) -> list[BackfillInfo]:
        """Finish the backfills of applied revisions, each from where it stopped.

        :returns: The progress of each of them.
        :raises RevisionFailed: naming the file and line that raised.
        """
        return [
            info
            for m in self.state.selection().chosen(**chosen)
            for info in m.fill(on_wait=on_wait, on_progress=on_progress)
        ]

    # Reading databases

    @_command
    def plan(
        self,
        target: str = "heads",
        *,
        direction: t.Literal["upgrade", "downgrade"] = "upgrade",
        **chosen: t.Unpack[Chosen],
    ) -> Plan:
        """Return the steps that an upgrade or downgrade would do at this moment.

        Each step has the SQL it would send, and what the rules find in it.
        """
        from ._project.lint import planned
        from ._results import Plan

        moved = self.state.selection().moved(target, direction, **chosen)
        return sum((planned(m, target, direction) for m in moved), Plan())

    @_command
    def rehearse(
        self,
        target: str = "heads",
        *,
        down: bool = True,
        rows: int | None = None,
        url: str | None = None,
        contract: bool = False,
        on_step: cabc.Callable[[RehearsedStep], None] | None = None,
        **chosen: t.Unpack[Chosen],
    ) -> list[Rehearsal]:
        """Apply what is pending to a copy of each database, and measure it.

        The copy is dropped in the end. :attr:`Rehearsal.lost` has what data did not
        survive though no statement says so.

        :param down: Also take the revisions back again.
        :param rows: How many rows of a table to copy, with the rows that they refer to.
            All if ``None``, where that is possible; else 1000.
        :param url: The server to make the copy on, instead of that of the database.
        :param contract: Also complete earlier upgrades, as :meth:`upgrade` does.
        :param on_step: Called after each revision.
        :raises MigrationError: if a database cannot be copied.
        :raises RevisionFailed: naming the file and line that raised.
        """
        from ._rehearsals.rehearsal import rehearsed
        from ._rehearsals.rehearsal import Wish

        selection = self.state.selection()
        wish = Wish(target, rows, url, down, contract, on_step)
        return rehearsed(selection.at(target, **chosen), selection.engines, wish)

    @_command
    def losses(self, target: str, **chosen: t.Unpack[Chosen]) -> list[str]:
        """Return what a downgrade at this moment would drop with its data.

        :returns: A phrase for each table, column and deleted row set.
        """
        from ._project.lint import losses_of

        moved = self.state.selection().moved(target, "downgrade", **chosen)
        return [loss for m in moved for loss in losses_of(m, target)]

    @_command
    def sql(
        self,
        target: str = "heads",
        *,
        direction: t.Literal["upgrade", "downgrade"] = "upgrade",
        start: str | None = None,
        **chosen: t.Unpack[Chosen],
    ) -> str:
        """Return the SQL of an upgrade or downgrade, to be run by hand.

        :param start: The revision to start from; the database is asked if ``None``.
        """
        from ._runtime.script import sql_of

        found = self.state.selection().at(target, **chosen)
        return "".join(sql_of(m.position, target, direction, start) for m in found)

    @_command
    def current(self, **chosen: t.Unpack[Chosen]) -> list[RevisionInfo]:
        """Return the revisions that the databases are at.

        :raises DatabaseAhead: if one of them is not in the code.
        """
        found: list[RevisionInfo] = []
        for m in self.state.selection().chosen(**chosen):
            ids = m.position.current()
            m.position.refuse_unknown(ids)
            found.extend(m.tree.info(id) for id in ids)
        return found

    @_command
    def history(self, **chosen: t.Unpack[Chosen]) -> list[RevisionInfo]:
        """Return every revision of the code, the newest first; asks no database."""
        found = self.state.selection().chosen(**chosen)
        return [info for m in found for info in m.tree.infos()]

    @_command
    def heads(self, **chosen: t.Unpack[Chosen]) -> list[RevisionInfo]:
        """Return the revisions that no other one follows; asks no database."""
        found = self.state.selection().chosen(**chosen)
        return [m.tree.info(id) for m in found for id in m.tree.heads]

    @_command
    def status(self, *, models: bool = True, **chosen: t.Unpack[Chosen]) -> Status:
        """Return how the databases stand to the code.

        :param models: Also compare the models, which reads the whole schema.
        """
        from ._project.status import status_of
        from ._results import Status

        found = self.state.selection().chosen(**chosen)
        return Status(tuple(status_of(m, models=models) for m in found))

    @_command
    def check(
        self, *, models: bool = True, serving: bool = False, **chosen: t.Unpack[Chosen]
    ) -> Status:
        """Make sure that the databases are what the code expects.

        :param models: Also compare the models, which reads the whole schema.
        :param serving: Ask only what a process needs to serve. Accept other models,
            revisions that are held back, and unfinished backfills and indexes.
        :raises DatabaseDiverged: if a database also lacks a revision of the code.
        :raises DatabaseAhead: if a database holds a revision the code does not have.
        :raises PendingRevisions: if a database is behind, or something is unfinished.
        :raises SchemaDrifted: if a database was changed by hand, or a revision edited.
        :raises ModelsChanged: if the models differ and no revision closes that.
        :raises SnapshotOutdated: if a snapshot is not what the revisions make.
        """
        from ._project.status import refuse

        status = self.status(models=models and not serving, **chosen)
        if not (serving and status.can_serve):
            refuse(status)
        return status

    @_command
    def drift(self, **chosen: t.Unpack[Chosen]) -> list[Drift]:
        """Return how the databases differ from what their revisions made."""
        from ._project.drift import drift_of

        return [drift_of(m) for m in self.state.selection().chosen(**chosen)]

    @_command
    def accept_drift(self, **chosen: t.Unpack[Chosen]) -> list[Drift]:
        """Record the databases and the applied revisions as they are now.

        :returns: The differences that are accepted.
        """
        from ._project.drift import accept

        return [accept(m) for m in self.state.selection().chosen(**chosen)]

    @_command
    def write_drift(
        self, message: str, **chosen: t.Unpack[Chosen]
    ) -> list[RevisionInfo]:
        """Write a revision with what was changed by hand in each database.

        The databases at hand have it already, and are stamped with it.
        """
        from ._project.revision_files import write_drift

        return write_drift(self.state.selection().own(**chosen), message)

    @_command
    def snapshot(self, **chosen: t.Unpack[Chosen]) -> list[Path]:
        """Write the schema of each database as SQL, to be committed and reviewed."""
        from ._project.snapshot import write_snapshot

        return [write_snapshot(m) for m in self.state.selection().own(**chosen)]

    @_command
    def load_snapshot(self, **chosen: t.Unpack[Chosen]) -> list[RevisionInfo]:
        """Make empty databases from snapshots; return the revisions they are at."""
        from ._project.snapshot import load_snapshot

        found = self.state.selection().own(**chosen)
        return [info for m in found for info in load_snapshot(m)]

    @_command
    def backfills(self, **chosen: t.Unpack[Chosen]) -> list[BackfillInfo]:
        """Return the progress of the backfills of applied revisions."""
        found = self.state.selection().chosen(**chosen)
        return [info for m in found for info in m.backfills.infos()]

    @_command
    def explain(self, **chosen: t.Unpack[Chosen]) -> list[Explanation]:
        """Return the reasons for what a comparison of the models finds, or misses."""
        from ._project.explain import explain

        return explain(self.state.selection().own(**chosen))

    # Writing revisions

    @_command
    def revision(
        self,
        message: str,
        *,
        autogenerate: bool = True,
        head: str = "head",
        rev_id: str | None = None,
        renamed: OnRename | None = None,
        in_place: bool = False,
        on_note: OnWait | None = None,
        **chosen: t.Unpack[Chosen],
    ) -> list[RevisionInfo]:
        """Write a new revision for each database whose models changed.

        :param autogenerate: Fill it with what changed. Without, one empty file is
            written, for the default database unless ``binds`` says otherwise.
        :param head: The revision that an empty revision follows.
        :param rev_id: Its id, instead of a random id.
        :param renamed: Called with a location, a name that goes and a name that comes;
            true if the name was changed. The location is ``""`` for a table, a table
            for a column, and an enum or ``table.column`` for a value.
        :param in_place: Never write a change as the revisions of two deploys.
        :param on_note: Called with a sentence for each change that has to be unsafe.
        :returns: The new revisions; none where no change was detected.
        :raises PendingRevisions: if the database is behind.
        """
        from ._project.revision_files import write_changes
        from ._project.revision_files import write_empty

        if not autogenerate:
            if chosen.get("binds") is None and chosen.get("trees") is None:
                chosen["binds"] = (None,)
            found = self.state.selection().own(**chosen)
            return write_empty(found, message, head=head, rev_id=rev_id)
        found = self.state.selection().own(**chosen)
        how: t.Any = {"in_place": in_place, "on_note": on_note}
        return write_changes(found, message, rev_id=rev_id, renamed=renamed, **how)

    @_command
    def merge(
        self,
        message: str = "merge heads",
        *,
        revisions: cabc.Collection[str] = (),
        **chosen: t.Unpack[Chosen],
    ) -> list[RevisionInfo]:
        """Write a revision that joins several heads, where there are several.

        :param revisions: The heads to join; all by default.
        """
        from ._project.revision_files import write_merges

        found = self.state.selection().own(**chosen)
        return write_merges(found, message, tuple(revisions))

    @_command
    def rebase(
        self, head: str, *, onto: str | None = None, **chosen: t.Unpack[Chosen]
    ) -> list[RevisionInfo]:
        """Put a branch after the other head, so that history is one line again.

        :param head: The end of the branch to move, which no other database may have.
        :param onto: The head that it follows, where there are more than two.
        :returns: The revisions whose files were changed.
        :raises MigrationError: if a database has a part of the branch.
        """
        from ._project.rewrites import rebase

        having = self.state.selection().having(head, **chosen)
        found = (rebase(m, head, onto) for m in having)
        return [info for info in found if info is not None]

    @_command
    def squash(
        self,
        target: str = "head",
        *,
        message: str = "squashed",
        **chosen: t.Unpack[Chosen],
    ) -> list[RevisionInfo]:
        """Replace all revisions up to a target by a single one, which keeps its id.

        The old files go into a folder ``squashed``, from where databases that are half
        way through them are still upgraded. Delete it once no database needs it.

        :raises MigrationError: if a revision does what cannot be written down again.
        """
        from ._project.rewrites import squash

        having = self.state.selection().having(target, **chosen)
        return [squash(m, target, message) for m in having]

    @_command
    def lint(
        self,
        *revisions: str,
        **options: t.Unpack[LintOptions],
    ) -> list[Finding]:
        """Return what is not safe on a database in use, waived or not.

        It asks no database unless ``database`` says so. The revisions that ``base`` or
        ``released`` leave over are one deploy: a table that one of them makes is used
        by nobody when the next alters it. Without either, each revision is a deploy of
        its own.

        :param revisions: The revisions to look at; all by default.
        :param base: A commit of git, such as ``"origin/main"``: leave out the revisions
            that it has.
        :param released: A revision: leave out it and the revisions before it.
        :param hints: Also return what is good to know and no danger, of level info.
        :param baseline: Leave out what :meth:`write_baseline` wrote down.
        :param database: Ask the database: what goes through a table of a few megabytes
            is a hint, and its types, checks and partitions count.
        """
        from ._project.lint import linted
        from ._project.lint import Scope

        chosen, scope = Scope.of(revisions, **options)
        return linted(self.state.selection().own(**chosen), scope)

    @_command
    def write_baseline(self, **chosen: t.Unpack[Chosen]) -> list[Path]:
        """Write down what :meth:`lint` finds at this moment, so that it is left out.

        :returns: A file for each folder of revisions with a finding, to be committed.
        """
        from ._project.lint import record_baseline

        return record_baseline(self.state.selection().own(**chosen))

    @_command
    def fix(
        self,
        *revisions: str,
        **options: t.Unpack[LintOptions],
    ) -> list[Fix]:
        """Write the safe form of what :meth:`lint` finds, where that can be written.

        A change that needs two deploys becomes two revisions; see :meth:`upgrade`.
        With ``database``, the revision and its safe form are rehearsed on a copy each.
        The safe form is written only if both make the same schema, are taken back to
        the same schema, and the safe form blocks no more.

        :param revisions: As for :meth:`lint`, as are the other parameters.
        :returns: The safe forms that were written, and those that a rehearsal refused.
        """
        from ._project.lint import fixed
        from ._project.lint import Scope

        chosen, scope = Scope.of(revisions, **options)
        selection = self.state.selection()
        return fixed(selection.own(**chosen), scope, selection.engines)

    # Set-up

    def _build(self, app: App, settings: AlembicSettings) -> Migrations:
        folders = find_folders(app, settings)
        return Migrations(
            *folders, settings, self._source, self._registered, self._hooks
        )

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
        status = functools.partial(self.status, models=False)
        watch_requests(app, status)
        if app.debug:
            answer_while_behind(app, status)

    def _check(self, app: App, *, deploy: bool) -> cabc.Iterable[Problem]:
        from ._checks import check_migrations
        from ._cli.commands import db

        return call_in_app_context(
            app, lambda: list(check_migrations(self, app, db, deploy=deploy))
        )

    def _probe(self, app: App) -> cabc.Iterable[ConfigProblem]:  # noqa: ARG002
        for error in self._source.unreachable():
            yield ConfigProblem(
                "Alembic(engine=…)", "a database that answers", error.message
            )

    def _move(
        self,
        target: str,
        direction: Direction,
        *,
        binds: Binds = None,
        trees: Names = None,
        **options: t.Any,
    ) -> Plan:
        from ._results import Plan

        moved = self.state.selection().moved(target, direction, binds, trees)
        return sum((m.move(target, direction, **options) for m in moved), Plan())
