"""Soft delete: rows that are marked as deleted, and no query sees."""

from __future__ import annotations

import datetime as dt
import typing as t

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy import orm

from .utc import UTCDateTime

INCLUDE = "include_deleted"
"""The execution option that shows deleted rows too."""


class SoftDelete:
    """Mixin for models whose rows are marked as deleted, and stay.

    Queries of the ORM leave them out: in every part of a statement, in relationships
    and their loaders, and in :meth:`sqlalchemy.orm.Session.get`. To see them, write
    ``.execution_options(include_deleted=True)``. Not left out are rows that SQL as text
    and statements of tables read, and rows that ``update()`` and ``delete()`` change.
    """

    deleted_at: orm.Mapped[dt.datetime | None] = orm.mapped_column(
        UTCDateTime, default=None, index=True, sort_order=1002
    )
    """The time at which it was deleted; ``None`` for a row that is not."""

    def __init_subclass__(cls, **options: t.Any) -> None:
        super().__init_subclass__(**options)
        # Apps without such a model have no listener. A session of any kind has it.
        if not event.contains(orm.Session, "do_orm_execute", _leave_out):
            event.listen(orm.Session, "do_orm_execute", _leave_out)

    @property
    def is_soft_deleted(self) -> bool:
        """True if it is marked as deleted."""
        return self.deleted_at is not None

    def soft_delete(self) -> None:
        """Mark it as deleted; the next flush stores that. Others are not touched."""
        if self.deleted_at is None:
            self.deleted_at = dt.datetime.now(dt.UTC)

    def restore(self) -> None:
        """Take the mark away."""
        self.deleted_at = None


def _is_there(model: type[SoftDelete]) -> sa.ColumnElement[bool]:
    return model.deleted_at.is_(None)


_CRITERIA = orm.with_loader_criteria(
    SoftDelete, t.cast("t.Any", _is_there), include_aliases=True
)


def _leave_out(state: orm.ORMExecuteState) -> None:
    if (
        not state.is_select
        # Columns of an object that is there already; a relationship has the criteria
        # of the query that its object comes from.
        or state.is_column_load
        or state.is_relationship_load
        or state.execution_options.get(INCLUDE)
    ):
        return
    state.statement = state.statement.options(_CRITERIA)
