"""What is done to the revision files of an app, as commands and as methods."""

from __future__ import annotations

import abc
import collections.abc as cabc

from ._command import command
from ._errors import UnknownRevision
from ._finding import Finding
from ._linting import fixed
from ._linting import linted
from ._migrations import Binds
from ._migrations import Names
from ._migrations import refuse_behind
from ._migrations import Selection
from ._revision import RevisionInfo
from ._writing import write_changes
from ._writing import write_empty


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
        chosen = self._selection().own(binds, trees)
        return fixed(chosen, revisions, base)
