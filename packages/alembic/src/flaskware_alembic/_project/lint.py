"""The rules and the fixes, applied to the revisions of an app."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import typing as t
from pathlib import Path

import sqlalchemy as sa

from flaskware_alembic._errors import MigrationError
from flaskware_alembic._errors import UnknownRevision
from flaskware_alembic._lint.baseline import not_in
from flaskware_alembic._lint.baseline import read_baseline
from flaskware_alembic._lint.baseline import write_baseline
from flaskware_alembic._lint.engine import edit_of
from flaskware_alembic._lint.engine import findings_of
from flaskware_alembic._lint.engine import new_since
from flaskware_alembic._lint.engine import Subject
from flaskware_alembic._lint.facts import Facts
from flaskware_alembic._lint.facts import read_facts
from flaskware_alembic._lint.fixes.fix import Edit
from flaskware_alembic._lint.fixes.fix import write_contract
from flaskware_alembic._lint.fixes.placeholder import placeholders_in
from flaskware_alembic._lint.fixes.placeholder import without_placeholders
from flaskware_alembic._lint.recording import record
from flaskware_alembic._lint.recording import Recording
from flaskware_alembic._rehearsals.proof import Outcome
from flaskware_alembic._rehearsals.proof import tried
from flaskware_alembic._results import Binds
from flaskware_alembic._results import Chosen
from flaskware_alembic._results import Direction
from flaskware_alembic._results import Finding
from flaskware_alembic._results import Fix
from flaskware_alembic._results import Names
from flaskware_alembic._results import Plan
from flaskware_alembic._results import RevisionInfo
from flaskware_alembic._revisions.header import read_source
from flaskware_alembic._revisions.revision import rewrite_file
from flaskware_alembic._revisions.tree import Tree
from flaskware_alembic._runtime.migrator import Migrator
from flaskware_alembic._runtime.script import sql_by_revision
from flaskware_alembic._runtime.script import WrittenSQL
from flaskware_alembic._sql.change import Change

# A fixed file is looked at again; no file needs more rounds than this.
_ROUNDS = 100


@dc.dataclass(frozen=True)
class Scope:
    """Revisions to look at, and the findings to report.

    :param revisions: The ids; all if empty.
    :param base: A commit of git: leave out the revisions that it has.
    :param released: A revision: leave out it and those before it.
    :param hints: Whether to report findings of level info, too.
    :param baseline: Whether to leave out what the file of the folder has.
    :param database: Whether to ask the database for sizes, types and checks.
    """

    revisions: tuple[str, ...] = ()
    base: str | None = None
    released: str | None = None
    hints: bool = False
    baseline: bool = True
    database: bool = False

    @classmethod
    def of(
        cls,
        revisions: tuple[str, ...],
        *,
        binds: Binds = None,
        trees: Names = None,
        **options: t.Any,
    ) -> tuple[Chosen, Scope]:
        """Return the databases and trees that options name, and the scope."""
        return {"binds": binds, "trees": trees}, cls(revisions, **options)


def linted(migrators: cabc.Iterable[Migrator], scope: Scope) -> list[Finding]:
    """Return the findings in some revisions, the oldest first."""
    found: list[Finding] = []
    named: set[str] = set()
    if scope.released is not None:
        migrators = list(migrators)
        if not any(m.tree.resolves(scope.released) for m in migrators):
            raise UnknownRevision(f"There is no revision {scope.released!r}.")
    for m in migrators:
        ids = scope.revisions
        wanted = {m.tree.resolve(id) for id in ids if m.tree.resolves(id)}
        named.update(id for id in ids if m.tree.resolves(id))
        recordings = _Recordings(m)
        deploy = _Deploy.of(recordings, scope)
        of_tree: list[Finding] = []
        with m.tree.held():
            chosen = [
                info
                for info in reversed(m.tree.infos())
                if deploy.has(info) and (not ids or info.id in wanted)
            ]
            if scope.database:
                recordings.ask_about(chosen)
            for info in chosen:
                of_tree.extend(_findings(recordings, info, deploy))
        if not scope.hints:
            of_tree = [f for f in of_tree if not f.is_hint]
        if scope.baseline:
            of_tree = not_in(read_baseline(m.tree.folder), of_tree)
        found.extend(of_tree)
    if missing := set(scope.revisions) - named:
        raise UnknownRevision(
            f"There is no revision {', '.join(sorted(missing))} to look at."
        )
    return found


def known_findings(migrators: cabc.Iterable[Migrator]) -> int:
    """Return how many findings the baselines of the folders have."""
    folders = {m.tree.folder for m in migrators}
    return sum(read_baseline(folder).total() for folder in folders)


def record_baseline(migrators: cabc.Iterable[Migrator]) -> list[Path]:
    """Write the findings into the baseline of each folder, and return the files."""
    everything = Scope(baseline=False, hints=True)
    by_folder: dict[Path, list[Finding]] = {}
    for m in migrators:
        if m.tree.exists:
            found = by_folder.setdefault(m.tree.folder, [])
            found.extend(linted([m], everything))
    written = (write_baseline(folder, found) for folder, found in by_folder.items())
    return [path for path in written if path is not None]


class _Recordings:
    """The upgrades of a tree, each recorded when it is first asked for."""

    def __init__(self, m: Migrator) -> None:
        self.m = m
        self._found: dict[str, Recording] = {}
        self.facts = Facts()
        self.applied: frozenset[str] = frozenset()

    def ask_about(self, infos: cabc.Iterable[RevisionInfo]) -> None:
        """Ask the database about the tables that some revisions change."""
        m = self.m
        changes = [c for info in infos for c in self.of(info.id, info.path).changes]
        names = {
            name
            for change in changes
            # Among them is what is no table, of which a database knows nothing.
            for name in (change.table, change.name, change.other, *change.refers)
            if name
        }
        if names:
            with m.database.connect() as connection:
                self.facts = read_facts(connection, sorted(names))
            self.applied = frozenset(m.position.applied(m.position.current()))

    def of(self, id: str, path: Path) -> Recording:
        """Return what the upgrade of a revision does."""
        if id not in self._found:
            upgrade = self.m.position.tree_of(id).function(id, "upgrade")
            dialect = self.m.database.engine.dialect
            self._found[id] = record(upgrade, path, dialect)
        return self._found[id]

    def before(self, info: RevisionInfo) -> cabc.Iterator[Recording]:
        """Yield those of the revisions before one, the oldest first."""
        if info.down:
            tree = self.m.position.tree_of(info.id)
            scripts = list(tree.scripts.iterate_revisions(info.down, "base"))
            for script in reversed(scripts):
                yield self.of(script.revision, Path(script.path))


class _Deploy:
    """The revisions of a tree that are deployed together.

    :param released: Those that were deployed before, as far as is known.
    """

    def __init__(self, recordings: _Recordings, released: cabc.Set[str] | None) -> None:
        self._released = released
        self._earlier: dict[str, tuple[Change, ...]] = {}
        if released is None:
            return
        changes: tuple[Change, ...] = ()
        for info in reversed(recordings.m.tree.infos()):
            if info.id not in released:
                self._earlier[info.id] = changes
                changes += recordings.of(info.id, info.path).changes

    @classmethod
    def of(cls, recordings: _Recordings, scope: Scope) -> _Deploy:
        """Return what git and the user say is not released yet."""
        m = recordings.m
        if not m.tree.exists:
            return cls(recordings, None)
        released: set[str] | None = None
        if scope.released is not None and m.tree.resolves(scope.released):
            released = _ancestors(m, scope.released)
        if (is_new := _newness(m, scope.base)) is not None:
            old = {info.id for info in m.tree.infos() if not is_new(info.path)}
            released = old | (released or set())
        return cls(recordings, released)

    def has(self, info: RevisionInfo) -> bool:
        """Return whether a revision is part of it; each is if nothing is known."""
        return self._released is None or info.id not in self._released

    def before(self, info: RevisionInfo) -> tuple[Change, ...]:
        """Return the changes of the revisions before one; none for a contract.

        A contract is applied by a deploy of its own.
        """
        return () if info.contracts else self._earlier.get(info.id, ())


def _ancestors(m: Migrator, id: str) -> set[str]:
    scripts = m.tree.scripts.iterate_revisions(m.tree.resolve(id), "base")
    return {script.revision for script in scripts}


def _newness(m: Migrator, base: str | None) -> cabc.Callable[[Path], bool] | None:
    if base is None or not m.tree.exists:
        return None
    try:
        return new_since(base, m.tree.folder)
    except MigrationError:
        if m.tree.name is None:
            raise
        # An installed package is in no repository, and nothing of it is written here.
        return lambda _: False


def fixed(
    migrators: cabc.Iterable[Migrator],
    scope: Scope,
    engines: cabc.Collection[sa.Engine] = (),
) -> list[Fix]:
    """Write the safe form of findings, and return what became of each.

    :param engines: Those of all databases of the app, which a rehearsal leaves alone.
    """
    chosen = list(migrators)
    done: list[Fix] = []
    left: set[tuple[str, str, str]] = set()
    for _ in range(_ROUNDS):
        finding = next(
            (
                finding
                for finding in linted(chosen, scope)
                if finding.can_fix
                and finding.waiver is None
                and (finding.rule, finding.place, finding.what) not in left
            ),
            None,
        )
        if finding is None:
            break
        fix = _fix(chosen, finding, engines if scope.database else None)
        if fix is not None:
            done.append(fix)
        if not fix:
            left.add((finding.rule, finding.place, finding.what))
    return done


def planned(migrator: Migrator, target: str, direction: Direction) -> Plan:
    """Return the steps of a move, with their SQL and findings."""
    with migrator.tree.held():
        return _planned(migrator, target, direction)


def _planned(migrator: Migrator, target: str, direction: Direction) -> Plan:
    plan = migrator.plan(target, direction)
    if not plan.steps:
        return plan
    statements = sql_by_revision(migrator.position, target, direction)
    steps = {step.revision.id for step in plan}
    released = {i.id for i in migrator.tree.infos() if i.id not in steps}
    recordings = _Recordings(migrator)
    if direction == "upgrade":
        recordings.ask_about(step.revision for step in plan)
    deploy = _Deploy(recordings, released if direction == "upgrade" else None)
    nothing = WrittenSQL(None)
    return dc.replace(
        plan,
        steps=tuple(
            dc.replace(
                step,
                sql=statements.get(step.revision.id, nothing).text,
                reason=statements.get(step.revision.id, nothing).reason,
                findings=(
                    tuple(
                        finding
                        for finding in _findings(recordings, step.revision, deploy)
                        if not finding.is_hint
                    )
                    if direction == "upgrade"
                    else ()
                ),
            )
            for step in plan
        ),
    )


_LOSSES = {"drop_table", "drop_column", "delete", "truncate", "drop_partition"}


def losses_of(migrator: Migrator, target: str) -> list[str]:
    """Return what a downgrade would drop with its data, a phrase each."""
    found: list[str] = []
    dialect = migrator.database.engine.dialect
    for step in migrator.position.plan(target, "downgrade"):
        info = step.revision
        tree = migrator.position.tree_of(info.id)
        recording = record(tree.function(info.id, "downgrade"), info.path, dialect)
        found.extend(
            f"{info.id}: {change}"
            for change in recording.changes
            if change.kind in _LOSSES
        )
    return found


def _findings(
    recordings: _Recordings, info: RevisionInfo, deploy: _Deploy
) -> list[Finding]:
    return findings_of(_subject(recordings, info, deploy.before(info)))


def _subject(
    recordings: _Recordings, info: RevisionInfo, deploy: tuple[Change, ...] = ()
) -> Subject:
    return Subject(
        info,
        recordings.m.database.engine.dialect,
        recordings.of(info.id, info.path),
        deploy=deploy,
        history=lambda: recordings.before(info),
        facts=recordings.facts,
        is_applied=info.id in recordings.applied,
    )


def _fix(
    migrators: cabc.Sequence[Migrator],
    finding: Finding,
    engines: cabc.Collection[sa.Engine] | None,
) -> Fix | None:
    """Write the safe form of a finding, where there is one.

    :param engines: To rehearse it, those of the app.
    """
    info = finding.revision
    having = [m for m in migrators if info.id in m.tree]
    recordings = _Recordings(having[0])
    if engines is not None:
        recordings.ask_about([info])
    edit = edit_of(finding, _subject(recordings, info))
    if not isinstance(edit, Edit):
        return None
    if engines is None:
        _write(having[0].tree, info, edit)
        return Fix(finding)
    return _Proof(having, engines, info).of(finding, edit)


def _write(tree: Tree, info: RevisionInfo, edit: Edit) -> RevisionInfo | None:
    """Write the files of a safe form; return the contract, if it has one."""
    path = info.path
    before = read_source(path)
    rewrite_file(path, edit.text)
    contract = edit.contract
    if contract is None:
        return None
    try:
        written = tree.write(
            contract.message,
            manual=True,
            upgrades=contract.body,
            downgrades=contract.downgrade,
        )
    except MigrationError:
        rewrite_file(path, before)
        raise
    try:
        write_contract(written.path, contract, info.id)
    except ValueError as error:
        written.path.unlink()
        rewrite_file(path, before)
        raise MigrationError(
            f"The second revision cannot be written with {written.path.parent}/"
            f"script.py.mako: {error}."
        ) from error
    return written


class _Proof:
    """A safe form and the revision as it was, each on a copy of each database."""

    def __init__(
        self,
        migrators: cabc.Sequence[Migrator],
        engines: cabc.Collection[sa.Engine],
        info: RevisionInfo,
    ) -> None:
        self._migrators, self._engines, self._info = migrators, engines, info

    def of(self, finding: Finding, edit: Edit) -> Fix:
        """Write a safe form that does the same; leave the file alone otherwise."""
        path, tree = self._info.path, self._migrators[0].tree
        # A contract is applied after what follows the revision.
        last = tree.heads if edit.contract else (self._info.id,)
        source = read_source(path)
        contract = _write(tree, self._info, edit)
        more = [contract] if contract else []
        texts = {file: read_source(file) for file in (path, *(c.path for c in more))}
        # A value that is missing is only for rows.
        rows = 0 if any(map(placeholders_in, texts)) else None
        try:
            try:
                safe = self._outcomes(texts, (*last, *(c.id for c in more)), rows)
            finally:
                rewrite_file(path, source)
                for c in more:
                    c.path.unlink()
            originals = self._outcomes((path,), last, rows)
        except MigrationError as error:
            reason = " ".join(str(error).split()).rstrip(".")
            return Fix(finding, obstacle=f"it cannot be rehearsed: {reason}")
        for original, other in zip(originals, safe, strict=True):
            if obstacle := original.objection_to(other):
                return Fix(finding, obstacle=obstacle)
        for file, text in texts.items():
            rewrite_file(file, text)
        without = "" if rows is None else ", without rows, for `...` is not filled in"
        return Fix(finding, f"{safe[0].how}{without}")

    def _outcomes(
        self, files: cabc.Iterable[Path], targets: cabc.Iterable[str], rows: int | None
    ) -> list[Outcome]:
        texts = {file: read_source(file) for file in files}
        for file in texts:
            rewrite_file(file, without_placeholders(file))
        try:
            return [
                tried(m, self._engines, self._info, tuple(targets), rows)
                for m in self._migrators
            ]
        finally:
            for file, text in texts.items():
                rewrite_file(file, text)
