"""Look-ups that abort with 404 if nothing is found."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import flask
import sqlalchemy as sa
from sqlalchemy import exc as sa_exc
from sqlalchemy import orm

if t.TYPE_CHECKING:
    from sqlalchemy.orm.interfaces import ORMOption

_O = t.TypeVar("_O")


class GetArgs(t.TypedDict, total=False):
    """Keyword arguments of :meth:`sqlalchemy.orm.Session.get`."""

    options: cabc.Sequence[ORMOption] | None
    populate_existing: bool
    with_for_update: t.Any
    identity_token: t.Any
    execution_options: cabc.Mapping[str, t.Any]
    bind_arguments: dict[str, t.Any] | None


def get_or_404(
    session: orm.Session,
    entity: type[_O],
    ident: t.Any,
    description: str | None,
    **options: t.Unpack[GetArgs],
) -> _O:
    """Get one object by its primary key, or abort."""
    found = None
    if not _is_out_of_range(session, entity, ident):
        found = session.get(entity, ident, **options)
    if found is None:
        flask.abort(404, description)
    return found


def one_or_404(
    session: orm.Session, statement: sa.Select[t.Any], description: str | None
) -> t.Any:
    """Run a statement that has exactly one row, or abort."""
    try:
        return session.execute(statement).scalar_one()
    except (sa_exc.NoResultFound, sa_exc.MultipleResultsFound):
        flask.abort(404, description)


def first_or_404(
    session: orm.Session, statement: sa.Select[t.Any], description: str | None
) -> t.Any:
    """Run a statement and return its first row, or abort."""
    row = session.execute(statement.limit(1)).first()
    if row is None:
        flask.abort(404, description)
    return row[0]


def _is_out_of_range(session: orm.Session, entity: type[t.Any], ident: t.Any) -> bool:
    """Return True if a number in a key is too large for its integer column.

    In a query, SQLite's driver would raise, and PostgreSQL end the transaction.
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
