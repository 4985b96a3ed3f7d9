"""Pages as a request asks for them: arguments of its query string, HTTP errors."""

from __future__ import annotations

import typing as t
from urllib.parse import urlencode

import flask
import sqlalchemy as sa
from sqlalchemy import orm

from flaskware_core import active_request
from flaskware_core import current_request
from flaskware_core import signer
from flaskware_sqlalchemy._errors import CursorInvalid
from flaskware_sqlalchemy._errors import PageMalformed
from flaskware_sqlalchemy._errors import PageNotFound

from .keyset import fetch_keyset
from .keyset import KeysetPage
from .page import Count
from .page import fetch_page
from .page import lenient
from .page import Page
from .page import page_number
from .page import page_size


class PageArgs(t.TypedDict, total=False):
    """Keyword arguments of :meth:`SQLAlchemy.paginate`."""

    page: int | None
    per_page: int | None
    max_per_page: int | None
    error_out: bool
    count: Count | bool


class KeysetArgs(t.TypedDict, total=False):
    """Keyword arguments of :meth:`SQLAlchemy.keyset`."""

    after: str | None
    before: str | None
    limit: int


def paginate(
    session: orm.Session,
    statement: sa.Select[t.Any],
    page: int | None,
    per_page: int | None,
    largest: int | None,
    error_out: bool,
    count: Count | bool,
) -> Page[t.Any]:
    """Run a statement for a page, or abort."""
    if isinstance(count, bool):
        count = "exact" if count else "none"
    default = 20 if largest is None else min(20, largest)
    number, size = _argument("page", page), _argument("per_page", per_page)
    try:
        return fetch_page(
            session,
            statement,
            page_number(number) if error_out else lenient(number, 1),
            per_page=page_size(
                size if error_out else lenient(size, default), default, largest
            ),
            count=count,
            may_be_empty=not error_out,
        )
    except PageNotFound as error:
        flask.abort(404, str(error))
    except PageMalformed as error:
        flask.abort(400, str(error))


def keyset(
    session: orm.Session,
    statement: sa.Select[t.Any],
    after: str | None,
    before: str | None,
    limit: int,
) -> KeysetPage[t.Any]:
    """Run a statement for the rows that follow a cursor, or abort."""
    if limit < 1:
        raise ValueError(f"limit is {limit}; it must be at least 1.")
    if after is None and before is None:
        after, before = _argument("after"), _argument("before")
    if after is not None and before is not None:
        flask.abort(400, "A page is after a cursor or before one, not both.")
    try:
        return fetch_keyset(
            session,
            statement,
            limit=limit,
            signer=signer("flaskware-sqlalchemy.keyset"),
            after=after,
            before=before,
        )
    except CursorInvalid as error:
        flask.abort(400, str(error))


def page_query(**changes: t.Any) -> str:
    """Return the query string of the current request with other arguments.

    It is a relative address of its own, ``?page=2&q=tea``: nothing that a request
    brings along can lead to another site.

    :param changes: ``None`` leaves an argument out.
    """
    arguments: dict[str, t.Any] = current_request().args.to_dict(flat=False)
    arguments.update(changes)
    kept = {name: value for name, value in arguments.items() if value is not None}
    return f"?{urlencode(kept, doseq=True)}"


def _argument(name: str, value: int | None = None) -> t.Any:
    """Return the argument of a call, else that of the query string."""
    request = active_request() if value is None else None
    return value if request is None else request.args.get(name)
