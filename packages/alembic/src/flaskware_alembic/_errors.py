from __future__ import annotations

import typing as t

import click

if t.TYPE_CHECKING:
    from pathlib import Path

    from ._results import Finding
    from ._results import JournalEntry
    from ._results import LockHolder
    from ._results import Rehearsal
    from ._results import RevisionInfo
    from ._results import Status


class MigrationError(click.ClickException, RuntimeError):
    """Something about the migrations of an app went wrong.

    Also a :class:`click.ClickException`, so that the ``flask`` command prints the
    message without a traceback; its exit code shows which error it was.
    """

    exit_code = 1


class DatabaseAhead(MigrationError):
    """The database holds a revision that this code does not have.

    :param revisions: The ids that the code does not know.
    :param bind: The name of the database, ``None`` for the default database.
    """

    exit_code = 3

    def __init__(
        self, message: str, *, revisions: tuple[str, ...], bind: str | None
    ) -> None:
        self.revisions = revisions
        self.bind = bind
        super().__init__(message)


class DatabaseDiverged(DatabaseAhead):
    """The database holds what the code does not have, and lacks what it has."""

    exit_code = 14


class UnknownRevision(MigrationError):
    """A revision was named that no file defines."""

    exit_code = 4


class _StatusError(MigrationError):
    def __init__(self, message: str, *, status: Status) -> None:
        self.status = status
        super().__init__(message)


class PendingRevisions(_StatusError):
    """Revisions of the code are not applied to the database.

    :param status: The status of every database.
    """

    exit_code = 5


class ModelsChanged(_StatusError):
    """The models differ from the database, and no revision closes that.

    :param status: The status of every database.
    """

    exit_code = 6


class LockTimeout(MigrationError):
    """Another process kept the deploy lock for longer than this one would wait."""

    exit_code = 7


class SeveralHeads(MigrationError):
    """One line of history was wanted, and the revisions end in several heads."""

    exit_code = 8


class RevisionFileError(MigrationError):
    """The revision files cannot be used as they are.

    :param paths: The files that the message is about.
    :param line: The line in the first of them, where there is one.
    """

    exit_code = 9

    def __init__(
        self, message: str, *, paths: tuple[Path, ...] = (), line: int | None = None
    ) -> None:
        self.paths = paths
        self.line = line
        super().__init__(message)


class DatabaseUnreachable(MigrationError):
    """A database did not answer, or did not let the app in."""

    exit_code = 10


class RevisionFailed(MigrationError):
    """A revision raised while it was applied or taken back.

    The original exception is the ``__cause__``.

    :param revision: The revision that failed.
    """

    exit_code = 11

    def __init__(self, message: str, *, revision: RevisionInfo) -> None:
        self.revision = revision
        super().__init__(message)


class TableLocked(RevisionFailed):
    """A revision waited for a lock too long, as often as it may be tried.

    :param holders: The sessions that held it then, as far as the database shows them.
    """

    exit_code = 12

    def __init__(
        self,
        message: str,
        *,
        revision: RevisionInfo,
        holders: tuple[LockHolder, ...] = (),
    ) -> None:
        self.holders = holders
        super().__init__(message, revision=revision)


class HalfApplied(MigrationError):
    """A revision was cut off where the database could not roll it back.

    :param entries: The statements that were sent.
    """

    exit_code = 13

    def __init__(self, message: str, *, entries: tuple[JournalEntry, ...]) -> None:
        self.entries = entries
        super().__init__(message)


class ContractRefused(MigrationError):
    """A revision that completes an earlier revision came too early.

    :param revision: The revision that was not applied.
    """

    exit_code = 18

    def __init__(self, message: str, *, revision: RevisionInfo) -> None:
        self.revision = revision
        super().__init__(message)


class UnsafeRevisions(MigrationError):
    """The rules found changes that are not safe on a database in use.

    :param findings: Their findings, without waived findings.
    """

    exit_code = 15

    def __init__(self, message: str, *, findings: tuple[Finding, ...]) -> None:
        self.findings = findings
        super().__init__(message)


class SchemaDrifted(_StatusError):
    """A database was changed by hand, or an applied revision was edited.

    :param status: The status of every database.
    """

    exit_code = 16


class SnapshotOutdated(_StatusError):
    """A snapshot of the schema is not what the revisions make.

    :param status: The status of every database.
    """

    exit_code = 17


class DataLost(MigrationError):
    """Revisions lost data in a rehearsal, and no statement of them says so.

    :param rehearsals: All that was rehearsed.
    """

    exit_code = 19

    def __init__(self, message: str, *, rehearsals: tuple[Rehearsal, ...]) -> None:
        self.rehearsals = rehearsals
        super().__init__(message)
