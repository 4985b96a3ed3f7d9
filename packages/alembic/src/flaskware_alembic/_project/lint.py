"""The rules and the fixes, applied to the revisions of an app."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
from pathlib import Path

from flaskware_alembic._errors import MigrationError
from flaskware_alembic._errors import UnknownRevision
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
from flaskware_alembic._runtime.timeouts import Timeouts

# A fixed file is looked at again; no file needs more rounds than this.
_ROUNDS = 100


def linted(
    migrators: cabc.Iterable[Migrator], revisions: tuple[str, ...], base: str | None
) -> list[Finding]:
    """Return the findings in some revisions, the oldest first."""
    found: list[Finding] = []
    named: set[str] = set()
    for m in migrators:
        is_new = _newness(m, base)
        wanted = {m.tree.resolve(id) for id in revisions if m.tree.resolves(id)}
        named.update(id for id in revisions if m.tree.resolves(id))
        for info in reversed(m.tree.infos()):
            if revisions and info.id not in wanted:
                continue
            if is_new is None or is_new(info.path):
                found.extend(_findings(m, info))
    if missing := set(revisions) - named:
        raise UnknownRevision(
            f"There is no revision {', '.join(sorted(missing))} to look at."
        )
    return found


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
    migrators: cabc.Iterable[Migrator], revisions: tuple[str, ...], base: str | None
) -> list[Finding]:
    """Write the safe form of findings, and return those that were fixed."""
    chosen = list(migrators)
    done: list[Finding] = []
    failed: set[tuple[str, str, str]] = set()
    for _ in range(_ROUNDS):
        finding = next(
            (
                finding
                for finding in linted(chosen, revisions, base)
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
    plan = migrator.plan(target, direction)
    if not plan.steps:
        return plan
    statements = sql_by_revision(migrator.position, target, direction)
    nothing = WrittenSQL(None)
    return dc.replace(
        plan,
        steps=tuple(
            dc.replace(
                step,
                sql=statements.get(step.revision.id, nothing).text,
                reason=statements.get(step.revision.id, nothing).reason,
                findings=(
                    tuple(_findings(migrator, step.revision))
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
        function = getattr(tree.module(info.id), "downgrade", None)
        if function is None:
            continue
        recording = record(tree.bound(function), info.path, dialect)
        found.extend(
            f"{info.id}: {change}"
            for change in recording.changes
            if change.kind in _LOSSES
        )
    return found


def _findings(migrator: Migrator, info: RevisionInfo) -> list[Finding]:
    module = migrator.position.tree_of(info.id).module(info.id)
    timeouts = Timeouts.of(module, migrator.settings)
    return findings_of(
        Subject(
            info,
            migrator.database.engine.dialect,
            migrator.tree.bound(module.upgrade),
            has_timeout=timeouts.lock is not None,
            has_statement_timeout=timeouts.statement is not None,
            history=lambda: _history(migrator, info),
        )
    )


def _history(migrator: Migrator, info: RevisionInfo) -> list[Recording]:
    """Return the recordings of the revisions before it, the oldest first."""
    if not info.down:
        return []
    tree = migrator.position.tree_of(info.id)
    scripts = list(tree.scripts.iterate_revisions(info.down, "base"))
    dialect = migrator.database.engine.dialect
    return [
        record(tree.bound(script.module.upgrade), Path(script.path), dialect)
        for script in reversed(scripts)
    ]


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
