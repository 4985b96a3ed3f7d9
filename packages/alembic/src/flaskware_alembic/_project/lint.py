"""The rules and the fixes, applied to the revisions of an app."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
from pathlib import Path

from flaskware_alembic._errors import MigrationError
from flaskware_alembic._errors import UnknownRevision
from flaskware_alembic._lint.baseline import not_in
from flaskware_alembic._lint.baseline import read_baseline
from flaskware_alembic._lint.baseline import write_baseline
from flaskware_alembic._lint.engine import findings_of
from flaskware_alembic._lint.engine import new_since
from flaskware_alembic._lint.engine import Subject
from flaskware_alembic._lint.fixes.fix import Edit
from flaskware_alembic._lint.fixes.fix import fix
from flaskware_alembic._lint.fixes.fix import write_contract
from flaskware_alembic._lint.recording import record
from flaskware_alembic._lint.recording import Recording
from flaskware_alembic._results import Direction
from flaskware_alembic._results import Finding
from flaskware_alembic._results import Plan
from flaskware_alembic._results import RevisionInfo
from flaskware_alembic._revisions.header import read_source
from flaskware_alembic._revisions.revision import rewrite_file
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
    """

    revisions: tuple[str, ...] = ()
    base: str | None = None
    released: str | None = None
    hints: bool = False
    baseline: bool = True


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
        deploy = _Deploy.of(m, scope)
        of_tree: list[Finding] = []
        with m.tree.held():
            for info in reversed(m.tree.infos()):
                if deploy.has(info) and (not ids or info.id in wanted):
                    of_tree.extend(_findings(m, info, deploy.before(info)))
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


class _Deploy:
    """The revisions of a tree that are deployed together.

    :param released: Those that were deployed before, as far as is known.
    """

    def __init__(self, m: Migrator, released: cabc.Set[str] | None) -> None:
        self._m = m
        self._released = released
        self._earlier: dict[str, tuple[Change, ...]] = {}
        if released is None:
            return
        changes: tuple[Change, ...] = ()
        for info in reversed(m.tree.infos()):
            if info.id not in released:
                self._earlier[info.id] = changes
                changes += _recorded(m, info).changes

    @classmethod
    def of(cls, m: Migrator, scope: Scope) -> _Deploy:
        """Return what git and the user say is not released yet."""
        if not m.tree.exists:
            return cls(m, None)
        released: set[str] | None = None
        if scope.released is not None and m.tree.resolves(scope.released):
            released = _ancestors(m, scope.released)
        if (is_new := _newness(m, scope.base)) is not None:
            old = {info.id for info in m.tree.infos() if not is_new(info.path)}
            released = old | (released or set())
        return cls(m, released)

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


def _recorded(m: Migrator, info: RevisionInfo) -> Recording:
    upgrade = m.position.tree_of(info.id).function(info.id, "upgrade")
    return record(upgrade, info.path, m.database.engine.dialect)


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


def fixed(migrators: cabc.Iterable[Migrator], scope: Scope) -> list[Finding]:
    """Write the safe form of findings, and return those that were fixed."""
    chosen = list(migrators)
    done: list[Finding] = []
    failed: set[tuple[str, str, str]] = set()
    for _ in range(_ROUNDS):
        finding = next(
            (
                finding
                for finding in linted(chosen, scope)
                if finding.can_fix
                and finding.waiver is None
                and (finding.rule, finding.place, finding.what) not in failed
            ),
            None,
        )
        if finding is None:
            break
        if _fix(chosen, finding):
            done.append(finding)
        else:
            failed.add((finding.rule, finding.place, finding.what))
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
    deploy = _Deploy(migrator, released if direction == "upgrade" else None)
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
                        for finding in _findings(
                            migrator, step.revision, deploy.before(step.revision)
                        )
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
    migrator: Migrator, info: RevisionInfo, deploy: tuple[Change, ...] = ()
) -> list[Finding]:
    return findings_of(
        Subject(
            info,
            migrator.database.engine.dialect,
            migrator.position.tree_of(info.id).function(info.id, "upgrade"),
            deploy=deploy,
            history=lambda: _history(migrator, info),
        )
    )


def _history(migrator: Migrator, info: RevisionInfo) -> cabc.Iterator[Recording]:
    """Yield the recordings of the revisions before it, the oldest first."""
    if not info.down:
        return
    tree = migrator.position.tree_of(info.id)
    scripts = list(tree.scripts.iterate_revisions(info.down, "base"))
    dialect = migrator.database.engine.dialect
    for script in reversed(scripts):
        yield record(tree.bound(script.module.upgrade), Path(script.path), dialect)


def _fix(migrators: cabc.Iterable[Migrator], finding: Finding) -> bool:
    path, id = finding.revision.path, finding.revision.id
    migrator = next(m for m in migrators if id in m.tree)
    dialect = migrator.database.engine.dialect.name
    edit = fix(finding, dialect, lambda: _history(migrator, finding.revision))
    if not isinstance(edit, Edit):
        return False
    before = read_source(path)
    rewrite_file(path, edit.text)
    contract = edit.contract
    if contract is not None:
        try:
            written = migrator.tree.write(
                contract.message,
                manual=True,
                upgrades=contract.upgrade,
                downgrades=contract.downgrade,
            )
        except MigrationError:
            rewrite_file(path, before)
            raise
        write_contract(written.path, contract, id)
    return True
