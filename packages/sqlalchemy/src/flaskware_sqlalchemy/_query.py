"""Queries whose failure is a page not found."""

from __future__ import annotations

import typing as t

import flask
import sqlalchemy as sa
from sqlalchemy import exc as sa_exc
from sqlalchemy import orm

from ._errors import PageMalformed
from ._errors import PageNotFound
from ._page import Count
from ._page import fetch_page
from ._page import Page
from ._page import page_number
from ._page import page_size

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
        found = None
        if not _is_out_of_range(self.session, entity, ident):
            found = self.session.get(entity, ident)
        if found is None:
            flask.abort(404, description)
        return found

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
        try:
            return self.session.execute(statement).scalar_one()
        except (sa_exc.NoResultFound, sa_exc.MultipleResultsFound):
            flask.abort(404, description)

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
        row = self.session.execute(statement.limit(1)).first()
        if row is None:
            flask.abort(404, description)
        return row[0]

    @t.overload
    def paginate(
        self,
        statement: sa.Select[tuple[_T]],
        *,
        page: int | None = None,
        per_page: int | None = None,
        max_per_page: int = 100,
        count: Count = "exact",
    ) -> Page[_T]: ...

    @t.overload
    def paginate(
        self,
        statement: sa.Select[tuple[_T1, _T2, *_Ts]],
        *,
        page: int | None = None,
        per_page: int | None = None,
        max_per_page: int = 100,
        count: Count = "exact",
    ) -> Page[sa.Row[tuple[_T1, _T2, *_Ts]]]: ...

    @t.overload
    def paginate(
        self,
        statement: sa.Select[_T],
        *,
        page: int | None = None,
        per_page: int | None = None,
        max_per_page: int = 100,
        count: Count = "exact",
    ) -> Page[_T]: ...

    @t.overload
    def paginate(
        self,
        statement: sa.Select[_T1, _T2, *_Ts],
        *,
        page: int | None = None,
        per_page: int | None = None,
        max_per_page: int = 100,
        count: Count = "exact",
    ) -> Page[sa.Row[_T1, _T2, *_Ts]]: ...

    def paginate(
        self,
        statement: sa.Select[*tuple[t.Any, ...]],
        *,
        page: int | None = None,
        per_page: int | None = None,
        max_per_page: int = 100,
        count: Count = "exact",
    ) -> Page[t.Any]:
        """Run a statement for one page of its rows.

        A number of which there is no page is a 404; what is no number is a 400.

        :param statement: A select with an ``ORDER BY`` that leaves nothing open.
        :param page: From 1. Taken from the query string if left out, else 1.
        :param per_page: Taken from the query string if left out, else 20.
        :param max_per_page: More than this is never read, whatever is asked for.
        :param count: ``"exact"`` counts all rows, ``"capped"`` no more than 1,000,
            ``"none"`` not at all; whether there is a next page is always known.
        """
        try:
            return fetch_page(
                self.session,
                statement,
                page=page_number(_argument("page", page)),
                per_page=page_size(
                    _argument("per_page", per_page), min(20, max_per_page), max_per_page
                ),
                count=count,
            )
        except PageNotFound as error:
            flask.abort(404, str(error))
        except PageMalformed as error:
            flask.abort(400, str(error))


def _argument(name: str, value: int | None) -> int | str | None:
    if value is not None or not flask.has_request_context():
        return value
    return flask.request.args.get(name)


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
