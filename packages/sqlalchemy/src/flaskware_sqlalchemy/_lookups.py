"""Queries whose failure is a page not found."""

from __future__ import annotations

import typing as t

import flask
import sqlalchemy as sa
from sqlalchemy import exc as sa_exc
from sqlalchemy import orm

if t.TYPE_CHECKING:
    from ._pagination.keyset import KeysetPage
    from ._pagination.page import Count
    from ._pagination.page import Page

_O = t.TypeVar("_O")
_T = t.TypeVar("_T")
_T1 = t.TypeVar("_T1")
_T2 = t.TypeVar("_T2")
_Ts = t.TypeVarTuple("_Ts")


class Queries:
    """What an extension offers to views that look things up."""

    @property
    def session(self) -> orm.Session:
        """The session of the current app context."""
        raise NotImplementedError

    def get_or_404(
        self, entity: type[_O], ident: t.Any, *, description: str | None = None
    ) -> _O:
        """Get one object by its primary key, or abort with 404.

        :param ident: The key; a tuple where it has several columns. A number that no
            integer column can hold is not found, whatever the database says of it.
        :param description: What the error page says.
        """
        return get_with(self.session, entity, ident, description)

    # A select is typed `Select[tuple[T]]` by SQLAlchemy 2.0 and `Select[T]` by 2.1.
    # The first overloads are for 2.0, the others for 2.1; each is right by itself.
    @t.overload
    def one_or_404(
        self, statement: sa.Select[tuple[_T]], *, description: str | None = None
    ) -> _T: ...

    @t.overload
    def one_or_404(
        self, statement: sa.Select[_T], *, description: str | None = None
    ) -> _T: ...

    def one_or_404(
        self, statement: sa.Select[t.Any], *, description: str | None = None
    ) -> t.Any:
        """Run a statement that has exactly one row, or abort with 404.

        :param statement: A select of one entity or column.
        :param description: What the error page says.
        """
        return one_with(self.session, statement, description)

    @t.overload
    def first_or_404(
        self, statement: sa.Select[tuple[_T]], *, description: str | None = None
    ) -> _T: ...

    @t.overload
    def first_or_404(
        self, statement: sa.Select[_T], *, description: str | None = None
    ) -> _T: ...

    def first_or_404(
        self, statement: sa.Select[t.Any], *, description: str | None = None
    ) -> t.Any:
        """Run a statement and return its first row, or abort with 404.

        :param statement: A select of one entity or column.
        :param description: What the error page says.
        """
        return first_with(self.session, statement, description)

    @t.overload
    def paginate(
        self,
        statement: sa.Select[tuple[_T]],
        *,
        page: int | None = None,
        per_page: int | None = None,
        max_per_page: int = 100,
        error_out: bool = True,
        count: Count | bool = "exact",
    ) -> Page[_T]: ...

    @t.overload
    def paginate(
        self,
        statement: sa.Select[tuple[_T1, _T2, *_Ts]],
        *,
        page: int | None = None,
        per_page: int | None = None,
        max_per_page: int = 100,
        error_out: bool = True,
        count: Count | bool = "exact",
    ) -> Page[sa.Row[tuple[_T1, _T2, *_Ts]]]: ...

    @t.overload
    def paginate(
        self,
        statement: sa.Select[_T],
        *,
        page: int | None = None,
        per_page: int | None = None,
        max_per_page: int = 100,
        error_out: bool = True,
        count: Count | bool = "exact",
    ) -> Page[_T]: ...

    @t.overload
    def paginate(
        self,
        statement: sa.Select[_T1, _T2, *_Ts],
        *,
        page: int | None = None,
        per_page: int | None = None,
        max_per_page: int = 100,
        error_out: bool = True,
        count: Count | bool = "exact",
    ) -> Page[sa.Row[_T1, _T2, *_Ts]]: ...

    def paginate(
        self,
        statement: sa.Select[*tuple[t.Any, ...]],
        *,
        page: int | None = None,
        per_page: int | None = None,
        max_per_page: int = 100,
        error_out: bool = True,
        count: Count | bool = "exact",
    ) -> Page[t.Any]:
        """Run a statement for one page of its rows.

        A number of which there is no page is a 404; what is no number is a 400.

        :param statement: A select with an ``ORDER BY`` that leaves nothing open.
        :param page: From 1. Taken from the query string if left out, else 1.
        :param per_page: Taken from the query string if left out, else 20.
        :param max_per_page: More than this is never read, whatever is asked for.
        :param error_out: Whether there are errors; without, what is no page number is
            page 1, and a page that there is not is empty.
        :param count: ``"exact"`` counts all rows, ``"capped"`` no more than 1,000,
            ``"none"`` not at all; whether there is a next page is always known.
            ``True`` is ``"exact"``, ``False`` is ``"none"``.
        """
        from ._pagination.request import paginate_with

        return paginate_with(
            self.session, statement, page, per_page, max_per_page, error_out, count
        )

    @t.overload
    def keyset(
        self,
        statement: sa.Select[tuple[_T]],
        *,
        after: str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> KeysetPage[_T]: ...

    @t.overload
    def keyset(
        self,
        statement: sa.Select[tuple[_T1, _T2, *_Ts]],
        *,
        after: str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> KeysetPage[sa.Row[tuple[_T1, _T2, *_Ts]]]: ...

    @t.overload
    def keyset(
        self,
        statement: sa.Select[_T],
        *,
        after: str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> KeysetPage[_T]: ...

    @t.overload
    def keyset(
        self,
        statement: sa.Select[_T1, _T2, *_Ts],
        *,
        after: str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> KeysetPage[sa.Row[_T1, _T2, *_Ts]]: ...

    def keyset(
        self,
        statement: sa.Select[*tuple[t.Any, ...]],
        *,
        after: str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> KeysetPage[t.Any]:
        """Run a statement for the rows that follow a cursor, in one query.

        Rows that are added or removed meanwhile neither repeat nor hide others. A
        cursor that was not made by this app for this statement is a 400.

        :param statement: A select with an ``ORDER BY`` of columns, ascending or
            descending, nullable or not. The primary key is added to it where it
            leaves something open.
        :param after: The ``next_cursor`` of a page; taken from the query string if
            both are left out.
        :param before: The ``prev_cursor`` of a page; so is this.
        :param limit: How many rows a page has.
        :raises ValueError: if the statement is grouped, distinct or limited.
        """
        from ._pagination.request import keyset_with

        return keyset_with(self.session, statement, after, before, limit)


def get_with(
    session: orm.Session, entity: type[_O], ident: t.Any, description: str | None
) -> _O:
    """Get one object by its primary key, or abort."""
    found = None
    if not _is_out_of_range(session, entity, ident):
        found = session.get(entity, ident)
    if found is None:
        flask.abort(404, description)
    return found


def one_with(
    session: orm.Session, statement: sa.Select[t.Any], description: str | None
) -> t.Any:
    """Run a statement that has exactly one row, or abort."""
    try:
        return session.execute(statement).scalar_one()
    except (sa_exc.NoResultFound, sa_exc.MultipleResultsFound):
        flask.abort(404, description)


def first_with(
    session: orm.Session, statement: sa.Select[t.Any], description: str | None
) -> t.Any:
    """Run a statement and return its first row, or abort."""
    row = session.execute(statement.limit(1)).first()
    if row is None:
        flask.abort(404, description)
    return row[0]


def _is_out_of_range(session: orm.Session, entity: type[t.Any], ident: t.Any) -> bool:
    """Whether a key has a number that its integer column cannot hold.

    Asked with one, SQLite's driver raises, and PostgreSQL ends the transaction.
    """
    values = t.cast(
        "tuple[t.Any, ...]", ident if isinstance(ident, tuple) else (ident,)
    )
    if not any(isinstance(value, int) and abs(value) >> 15 for value in values):
        return False
    mapper: orm.Mapper[t.Any] = orm.class_mapper(entity)
    is_sqlite = session.get_bind(mapper).dialect.name == "sqlite"
    return any(
        isinstance(value, int) and abs(value) >> _bits(column.type, is_sqlite)
        for column, value in zip(mapper.primary_key, values, strict=False)
    )


def _bits(type_: sa.types.TypeEngine[t.Any], is_sqlite: bool) -> int:
    if is_sqlite or isinstance(type_, sa.BigInteger):
        return 63
    return 15 if isinstance(type_, sa.SmallInteger) else 31
