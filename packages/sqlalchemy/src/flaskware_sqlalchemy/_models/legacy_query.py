"""Queries in the style of SQLAlchemy 1, for apps that still have some."""

from __future__ import annotations

import typing as t
import warnings

import flask
import sqlalchemy as sa
import typing_extensions as te
from sqlalchemy import orm

from flaskware_core import current_app_object

if t.TYPE_CHECKING:
    from flaskware_sqlalchemy._pagination.page import Page

_T = t.TypeVar("_T")


class LegacyQuery(orm.Query[_T]):
    """A query with the methods that Flask-SQLAlchemy gave it."""

    def get_or_404(self, ident: t.Any, description: str | None = None) -> _T:
        """Get one object by its primary key, or abort with 404."""
        entity = self._entity()
        _warn("get_or_404", "db.get_or_404({0}, ident)", entity)
        found = self.session.get(entity, ident)
        if found is None:
            flask.abort(404, description)
        return t.cast("_T", found)

    def first_or_404(self, description: str | None = None) -> _T:
        """Return the first row, or abort with 404."""
        _warn("first_or_404", "db.first_or_404(db.select({0}))", self._entity())
        found = self.first()
        if found is None:
            flask.abort(404, description)
        return found

    def one_or_404(self, description: str | None = None) -> _T:
        """Return the only row, or abort with 404."""
        _warn("one_or_404", "db.one_or_404(db.select({0}))", self._entity())
        found = self.limit(2).all()
        if len(found) != 1:
            flask.abort(404, description)
        return found[0]

    def paginate(
        self,
        *,
        page: int | None = None,
        per_page: int | None = None,
        max_per_page: int | None = 100,
        error_out: bool = True,
        count: bool = True,
    ) -> Page[_T]:
        """Run the query for one page of its rows."""
        from flaskware_sqlalchemy._pagination.request import paginate

        _warn("paginate", "db.paginate(db.select({0}))", self._entity())
        statement: sa.Select[t.Any] = t.cast("t.Any", self.statement)
        return paginate(
            self.session, statement, page, per_page, max_per_page, error_out, count
        )

    def _entity(self) -> t.Any:
        return self.column_descriptions[0]["entity"]


class QueryProperty:
    """Descriptor of ``Model.query``: a query of that model in the current context."""

    @te.deprecated("write db.session.scalars(db.select(Model))", category=None)
    def __get__(self, instance: object, owner: type[_T]) -> LegacyQuery[_T]:
        name = owner.__name__
        warnings.warn(
            f"{name}.query is deprecated: write"
            f" `db.session.scalars(db.select({name}))`, with `.where(…)` and"
            " `.order_by(…)` on the select, and `.all()` or `.first()` on the result.",
            DeprecationWarning,
            stacklevel=2,
        )
        session: t.Any = current_app_object().extensions["sqlalchemy"].session
        own: t.Any = getattr(owner, "query_class", None)
        if own is None:
            return t.cast("LegacyQuery[_T]", session.query(owner))
        return t.cast("LegacyQuery[_T]", own(owner, session=session()))


def _warn(old: str, new: str, entity: t.Any) -> None:
    name = "Model" if entity is None else entity.__name__
    warnings.warn(
        f"Query.{old}() is deprecated: write `{new.format(name)}`.",
        DeprecationWarning,
        stacklevel=3,
    )
