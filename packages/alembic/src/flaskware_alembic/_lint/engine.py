"""Looking for dangers in revisions: the rules, the waivers, and which are looked at."""

from __future__ import annotations

import ast
import collections.abc as cabc
import dataclasses as dc
import functools
import re
import shutil
import subprocess
from pathlib import Path

import sqlalchemy as sa

from flaskware_alembic._errors import MigrationError
from flaskware_alembic._results import Finding
from flaskware_alembic._results import RevisionInfo
from flaskware_alembic._revisions.header import read_source
from flaskware_alembic._revisions.syntax import statement_at
from flaskware_alembic._sql.change import Change
from flaskware_core import Level

from .facts import Facts
from .fixes.fix import Edit
from .fixes.fix import fix
from .fixes.fix import FIXED
from .fixes.fix import Ground
from .fixes.fix import NotFixable
from .fixes.history import History
from .fixes.placeholder import placeholders_in
from .recording import Recording
from .rule import Rule
from .rule import RuleContext
from .rules.every_database import ANY
from .rules.mysql_sqlite import OTHER
from .rules.postgresql import POSTGRESQL
from .rules.postgresql_objects import OBJECTS
from .rules.postgresql_types import TYPES

_ALL = (*ANY, *POSTGRESQL, *OBJECTS, *TYPES, *OTHER)
RULES: dict[str, Rule] = {rule.id: rule for rule in _ALL}
# Findings about the file itself, which belong to no rule.
ABOUT_LINTING = (
    "not-readable", "to-fill-in", "waiver-unknown", "waiver-unused",
    "waiver-without-reason",
)  # fmt: skip

_WAIVER = re.compile(r"#\s*lint:\s*allow\s+([\w-]+)\s*(?::\s*(.*))?$")
# Rules that say less about a change than each of these, which report it too.
_SAID_BY = {
    "drop-index": {"drop-index-not-concurrent"},
    "not-repeatable": {"index-not-concurrent", "drop-index-not-concurrent"},
    "add-required-column": {"add-serial-column", "sqlite-cannot-add"},
    "sqlite-rebuild": {"sqlite-needs-batch"},
}


@dc.dataclass(frozen=True)
class Subject:
    """A revision, and what its file says beside its functions.

    :param dialect: Of the database that it is for.
    :param recording: The changes of its upgrade.
    :param deploy: The changes of the revisions before it that are deployed with it.
    :param history: The recordings of the revisions before it, the oldest first.
    :param facts: The database that it is applied to, where that was asked.
    :param is_applied: Whether the database is after it.
    """

    revision: RevisionInfo
    dialect: sa.Dialect
    recording: Recording
    deploy: tuple[Change, ...] = ()
    history: History = tuple
    facts: Facts = Facts()  # noqa: RUF009 frozen
    is_applied: bool = False


def findings_of(subject: Subject) -> list[Finding]:
    """Return the findings in the upgrade of a revision, waived or not."""
    path = subject.revision.path
    recording = subject.recording
    context = _context(subject)
    found = [
        _measured(
            _broken_rule(rule, change, subject, context), rule, change, subject.facts
        )
        for change in recording.changes
        for rule in _broken(change, context)
    ]
    unfinished = placeholders_in(path)
    # A value that is not filled in is the reason, and stops an upgrade, too.
    if recording.broken_off is not None and not unfinished:
        found.append(
            _finding(
                subject.revision,
                recording.broken_at,
                "not-readable",
                Level.WARNING,
                f"stopped: {recording.broken_off}",
                "The revision was followed without a database"
                + (", where every query returns nothing" * recording.was_asked)
                + ". Nothing after this line was checked.",
                "# Read the rest; then waive it with what you found.",
            )
        )
    found = _waived(found, path, subject.revision)
    found.extend(
        _finding(
            subject.revision,
            placeholder.line,
            "to-fill-in",
            Level.ERROR,
            placeholder.code,
            "`...` stands for a value that only you know. `flask db upgrade` refuses"
            " the revision until you write it.",
            f"# A value, or an expression of SQL, in place of `...`:\n"
            f"{placeholder.code}",
        )
        for placeholder in unfinished
    )
    return found


def _context(subject: Subject) -> RuleContext:
    dialect = {"mariadb": "mysql"}.get(subject.dialect.name, subject.dialect.name)
    return RuleContext(
        dialect,
        subject.recording.changes,
        subject.deploy,
        contracts=subject.revision.contracts is not None,
        history=functools.cache(lambda: _changes_of(subject.history())),
        # A column is what the revision made it.
        facts=Facts() if subject.is_applied else subject.facts,
    )


def _changes_of(recordings: cabc.Iterable[Recording]) -> tuple[Change, ...]:
    return tuple(change for one in recordings for change in one.changes)


def new_since(base: str, folder: Path) -> cabc.Callable[[Path], bool]:
    """Return a test of whether a file is new since a commit of git.

    A renamed file is not new, and neither is a file that git ignores, such as that of
    an installed package.

    :raises MigrationError: if git or the commit is not there.
    """
    git = shutil.which("git")
    if git is None:
        raise MigrationError("git is not installed, so there is no base to look at.")

    def run(*arguments: str, answers: cabc.Container[int] = (0,)) -> str:
        done = subprocess.run(  # noqa: S603
            [git, "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode not in answers:
            reason = done.stderr.strip() or (
                "it has no commit in common with HEAD here. In a shallow clone, fetch"
                " more of it first: git fetch --unshallow"
            )
            raise MigrationError(
                f"The base {base!r} cannot be read with git in {folder}: {reason}"
            )
        return done.stdout

    if base.startswith("-"):
        raise MigrationError(f"{base!r} is no name of a commit.")
    root = Path(run("rev-parse", "--show-toplevel").strip())
    # Where the branch left the base: what was added there since is not new here.
    commit = run("merge-base", "HEAD", base).strip()
    listed = run("ls-tree", "-r", "-z", "--name-only", "--full-tree", commit)
    renamed = run("diff", "-M", "-z", "--name-only", "--diff-filter=R", commit)
    ignored = run("check-ignore", str(folder), answers=(0, 1)).strip()
    there = {root / name for name in f"{listed}{renamed}".split("\0") if name}
    return lambda path: not ignored and path.resolve() not in there


def _broken(change: Change, context: RuleContext) -> list[Rule]:
    rules = [rule for rule in RULES.values() if rule.counts_for(change, context)]
    if context.contracts:
        rules = [rule for rule in rules if not _is_contracted(rule, change, context)]
    ids = {rule.id for rule in rules}
    return [rule for rule in rules if not _SAID_BY.get(rule.id, set()) & ids]


def _is_contracted(rule: Rule, change: Change, context: RuleContext) -> bool:
    """True for the purpose of a contract, which waits until no old code runs."""
    if rule.id == "rename-column":
        return any(
            earlier.kind == "drop_column"
            and context.same(earlier, change)
            and earlier.name == change.other
            for earlier in context.before(change)
        )
    return rule.id in {"drop-column", "drop-trigger", "drop-routine"}


def _finding(
    revision: RevisionInfo,
    line: int | None,
    id: str,
    level: Level,
    message: str,
    reason: str,
    safe: str,
    lock: str | None = None,
) -> Finding:
    return Finding(
        id,
        level,
        message,
        safe,
        reason=reason,
        file=str(revision.path),
        line=line,
        lock=lock,
        revision=revision,
    )


def _broken_rule(
    rule: Rule, change: Change, subject: Subject, context: RuleContext
) -> Finding:
    finding = _finding(
        subject.revision,
        change.line,
        rule.id,
        rule.level,
        str(change),
        rule.reason,
        rule.safe(change),
        rule.lock,
    )
    if rule.id not in FIXED or change.in_batch:
        return finding
    fixed = fix(finding, _ground(change, subject, context))
    if isinstance(fixed, NotFixable):
        return dc.replace(finding, note=f"--fix leaves it alone: {fixed.reason}.")
    return dc.replace(finding, can_fix=True)


def _measured(finding: Finding, rule: Rule, change: Change, facts: Facts) -> Finding:
    """Return a finding, as a hint where it takes but a moment."""
    # The rows of a partition are checked, and those of both tables of a key.
    names = [change.table, change.other if change.kind == "add_foreign_key" else None]
    names = [change.name] if change.kind == "attach_partition" else names
    tables = [facts.table(name) for name in names if name is not None]
    known = [table for table in tables if table is not None]
    if not rule.grows or not known or len(known) < len(tables):
        return finding
    if not all(table.is_small for table in known):
        note = f"{finding.note} The table has {known[0]}.".strip()
        return dc.replace(finding, note=note)
    note = f"The table has {known[0]}, so it takes but a moment. {finding.note}".strip()
    return dc.replace(finding, level=Level.INFO, note=note)


def edit_of(finding: Finding, subject: Subject) -> Edit | NotFixable:
    """Return the file of a finding with the safe form written, or why it is not."""
    context = _context(subject)
    for change in subject.recording.changes:
        if (change.line, str(change)) == (finding.line, finding.what):
            return fix(finding, _ground(change, subject, context))
    return NotFixable("the revision does something else now")


def _ground(change: Change, subject: Subject, context: RuleContext) -> Ground:
    before = tuple(context.before(change))
    past = context.past(change)
    return Ground(subject.dialect.name, past, change, before, subject.history)


@dc.dataclass(frozen=True)
class _Waiver:
    rule: str
    reason: str
    line: int
    is_alone: bool
    is_whole_file: bool


def _waived(
    findings: list[Finding], path: Path, revision: RevisionInfo
) -> list[Finding]:
    source = read_source(path)
    waivers = list(_waivers(source))
    if not waivers:
        return findings
    tree = ast.parse(source)
    used: set[_Waiver] = set()
    answered: list[Finding] = []
    for finding in findings:
        span = _span(tree, finding.line)
        waiver = next((w for w in waivers if _covers(w, finding, span)), None)
        if waiver is not None:
            used.add(waiver)
            finding = dc.replace(finding, waiver=waiver.reason)
        answered.append(finding)
    answered.extend(_about_waiver(w, revision) for w in waivers if w not in used)
    return answered


def _waivers(source: str) -> cabc.Iterator[_Waiver]:
    for number, text in enumerate(source.splitlines(), start=1):
        if match := _WAIVER.search(text):
            reason, alone = (match[2] or "").strip(), text.lstrip().startswith("#")
            yield _Waiver(match[1], reason, number, alone, text.startswith("#"))


def _span(tree: ast.Module, line: int | None) -> range:
    if line is None or (statement := statement_at(tree, line)) is None:
        return range(0)
    return range(statement.lineno, (statement.end_lineno or line) + 1)


def _covers(waiver: _Waiver, finding: Finding, span: range) -> bool:
    if waiver.rule != finding.rule or not waiver.reason:
        return False
    # It may stand above the statement, too.
    above = waiver.is_alone and waiver.line + 1 in span
    return waiver.is_whole_file or above or waiver.line in span


def _about_waiver(waiver: _Waiver, revision: RevisionInfo) -> Finding:
    if not waiver.reason:
        id, level = "waiver-without-reason", Level.ERROR
        reason = "The next reader must know why it is safe."
    elif waiver.rule not in RULES and waiver.rule != "not-readable":
        id, level = "waiver-unknown", Level.WARNING
        reason = "There is no such rule; `flask db lint --list` shows them."
    else:
        id, level, reason = "waiver-unused", Level.INFO, "Nothing here needs it."
    return _finding(
        revision,
        waiver.line,
        id,
        level,
        f"a waiver of {waiver.rule}",
        reason,
        f"# lint: allow {waiver.rule}: why it is safe here",
    )
