"""What is done to the revision files of an app, as commands and as methods."""

from __future__ import annotations

import abc
import collections.abc as cabc
import typing as t

from ._databases.event_loop import command
from ._errors import UnknownRevision

# As in _moving.py.
if t.TYPE_CHECKING:
    from ._autogenerate.renames import OnRename
    from ._lint.finding import Finding
    from ._project.explain import Explanation
    from ._project.migrations import Binds
    from ._project.migrations import Names
    from ._project.selection import Selection
    from ._revisions.revision import RevisionInfo


class Authoring(abc.ABC):
    """The commands that write and examine revisions."""

    @abc.abstractmethod
    def _selection(self) -> Selection: ...

    @command
    def revision(
        self,
        message: str,
        *,
        autogenerate: bool = True,
        binds: Binds = None,
        trees: Names = None,
        head: str = "head",
        rev_id: str | None = None,
        renamed: OnRename | None = None,
    ) -> list[RevisionInfo]:
        """Write a new revision for each database whose models changed.

        :param autogenerate: Fill it with what changed. Without, one empty file is
            written, for the default database unless ``binds`` says otherwise.
        :param head: The revision that an empty one follows.
        :param rev_id: Its id, instead of a random one.
        :param renamed: Called with a place, a name that goes and one that comes; true
            if the one became the other. The place is ``""`` for a table, a table for
            a column, and an enum or ``table.column`` for a value.
        :returns: The new revisions; none where no change was detected.
        :raises PendingRevisions: if the database is behind, so that it cannot be
            compared.
        """
        from ._project.selection import refuse_behind
        from ._project.writing import write_changes
        from ._project.writing import write_empty

        chosen = self._selection()
        if not autogenerate:
            binds = (None,) if binds is None and trees is None else binds
            return write_empty(
                chosen.own(binds, trees), message, head=head, rev_id=rev_id
            )
        migrators = chosen.own(binds, trees)
        refuse_behind(migrators)
        return write_changes(migrators, message, rev_id=rev_id, renamed=renamed)

    @command
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

    @command
    def explain(self, *, binds: Binds = None, trees: Names = None) -> list[Explanation]:
        """Why a comparison of the models finds what it finds, or nothing."""
        from ._project.explain import explain

        return explain(self._selection().own(binds, trees))

    @command
    def rebase(
        self,
        head: str,
        *,
        onto: str | None = None,
        binds: Binds = None,
        trees: Names = None,
    ) -> list[RevisionInfo]:
        """Make one line of history again: a branch follows the other head.

        :param head: Where the branch ends that is moved: the one that no other
            database has.
        :param onto: The head that it follows, where there are more than two.
        :returns: The revisions whose files were changed.
        :raises MigrationError: if a database has a part of the branch.
        """
        from ._project.rewriting import rebase

        chosen = [
            m for m in self._selection().own(binds, trees) if m.tree.resolves(head)
        ]
        if not chosen:
            raise UnknownRevision(f"There is no revision {head!r} to move.")
        found = (rebase(m, head, onto) for m in chosen)
        return [info for info in found if info is not None]

    @command
    def squash(
        self,
        target: str = "head",
        *,
        message: str = "squashed",
        binds: Binds = None,
        trees: Names = None,
    ) -> list[RevisionInfo]:
        """Make all revisions up to one of them a single one, which keeps its id.

        The old files go into a folder ``squashed``, from where databases that are half
        way through them are still upgraded. Delete it once there are none.

        :raises MigrationError: if a revision does what cannot be written down again.
        """
        from ._project.rewriting import squash

        chosen = [
            m
            for m in self._selection().own(binds, trees)
            if m.tree.exists and m.tree.resolves(target)
        ]
        if not chosen:
            raise UnknownRevision(f"There is no revision {target!r}.")
        return [squash(m, target, message) for m in chosen]

    @command
    def lint(
        self,
        *revisions: str,
        base: str | None = None,
        binds: Binds = None,
        trees: Names = None,
    ) -> list[Finding]:
        """What is not safe on a database in use, waived or not; asks no database.

        :param revisions: Which to look at; all of them if none are named.
        :param base: A commit of git, such as ``"origin/main"``: leave out the revisions
            that it has.
        """
        from ._project.lint import linted

        chosen = self._selection().own(binds, trees)
        return linted(chosen, revisions, base)

    @command
    def fix(
        self,
        *revisions: str,
        base: str | None = None,
        binds: Binds = None,
        trees: Names = None,
    ) -> list[Finding]:
        """Write the safe form of what :meth:`lint` finds, where that can be written.

        What must be done by two deploys is split: a second revision is written that
        ``upgrade`` leaves alone until it is told ``contract=True``.

        :returns: What was mended.
        """
        from ._project.lint import fixed

        chosen = self._selection().own(binds, trees)
        return fixed(chosen, revisions, base)
