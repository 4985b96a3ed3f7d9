"""Pages of a statement's rows, by number."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import functools
import re
import typing as t

import sqlalchemy as sa
from sqlalchemy import exc as sa_exc
from sqlalchemy import orm

from flaskware_sqlalchemy._errors import PageMalformed
from flaskware_sqlalchemy._errors import PageNotFound

T_co = t.TypeVar("T_co", covariant=True)
Count: t.TypeAlias = t.Literal["exact", "capped", "none"]

CAP = 1000
"""The limit of ``count="capped"``."""

_NUMBER = re.compile(r"-?[0-9]+", re.ASCII)
# OFFSET is a signed 64-bit integer in every database here.
_LARGEST_OFFSET = 2**63 - 1
# More digits than any offset has; Python itself refuses to read very long numbers.
_LONGEST = 20


class Items(t.Generic[T_co]):
    """Behaviour of a page in a loop and in a condition."""

    items: cabc.Sequence[T_co]

    def __iter__(self) -> cabc.Iterator[T_co]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __bool__(self) -> bool:
        # Without this method, `if page:` would ask len() and mean `if page.items:`.
        return True


@dc.dataclass
class Page(Items[T_co]):
    """One page of rows, with the numbers of the other pages for links.

    :param items: Entities or values of a select of one column, rows of several.
    :param page: The number of this page, from 1.
    :param per_page: The number of items on a full page.
    :param total: The number of items on all pages; ``None`` if not counted.
    :param has_next: True if there is a next page.
    :param is_capped: True if there are more than ``total``: counting stopped there.
    """

    items: cabc.Sequence[T_co]
    page: int
    per_page: int
    total: int | None
    has_next: bool
    is_capped: bool = False
    _fetch: cabc.Callable[[int], Page[T_co]] | None = dc.field(
        default=None, repr=False, compare=False
    )

    @classmethod
    def of(
        cls,
        statement: sa.Select[t.Any],
        session: orm.Session,
        *,
        page: int = 1,
        per_page: int = 20,
        count: Count = "exact",
    ) -> Page[t.Any]:
        """Run a statement for one page of its rows, outside a request too.

        :param count: See :meth:`SQLAlchemy.paginate`.
        :raises LookupError: if there is no such page.
        :raises ValueError: if ``per_page`` is below 1.
        """
        return fetch_page(
            session,
            statement,
            page_number(page),
            per_page=page_size(per_page, per_page, None),
            count=count,
            may_be_empty=False,
        )

    def __getstate__(self) -> dict[str, t.Any]:
        # A page in a cache has its items and numbers; the session stays behind.
        return {**self.__dict__, "_fetch": None}

    @property
    def pages(self) -> int | None:
        """The number of pages; ``None`` if not counted."""
        return None if self.total is None else -(-self.total // self.per_page)

    @property
    def has_prev(self) -> bool:
        """True if there is a previous page."""
        return self.page > 1

    @property
    def next_num(self) -> int | None:
        """The number of the next page."""
        return self.page + 1 if self.has_next else None

    @property
    def prev_num(self) -> int | None:
        """The number of the previous page."""
        return self.page - 1 if self.has_prev else None

    def next(self) -> Page[T_co]:
        """Return the next page of the same statement."""
        return self._other(self.page + 1)

    def prev(self) -> Page[T_co]:
        """Return the previous page of the same statement.

        :raises ValueError: on the first page.
        """
        if not self.has_prev:
            raise ValueError("There is no page before the first page.")
        return self._other(self.page - 1)

    def _other(self, number: int) -> Page[T_co]:
        if self._fetch is None:
            raise ValueError("This page has no statement, so it has no neighbours.")
        return self._fetch(number)

    @property
    def first(self) -> int:
        """The number of the first item on this page, from 1; 0 without items."""
        return (self.page - 1) * self.per_page + 1 if self.items else 0

    @property
    def last(self) -> int:
        """The number of the last item on this page; 0 without items."""
        return self.first + len(self.items) - 1 if self.items else 0

    def iter_pages(
        self,
        *,
        left_edge: int = 2,
        left_current: int = 2,
        right_current: int = 4,
        right_edge: int = 2,
    ) -> cabc.Iterator[int | None]:
        """Yield the numbers of pages to link to, and ``None`` for each gap.

        :param left_edge: The number of links from the first page on.
        :param left_current: The number of links before this page.
        :param right_current: The number of links after this page.
        :param right_edge: The number of links up to the last page.
        """
        end = self.pages
        if end is None or self.is_capped:
            end = max(end or 0, self.page + self.has_next)
        if end == 1 and not self.items:
            return
        shown = {
            *range(1, left_edge + 1),
            *range(self.page - left_current, self.page + right_current + 1),
            *range(end - right_edge + 1, end + 1),
        }
        previous = 0
        for number in sorted(shown):
            if 1 <= number <= end:
                if number > previous + 1:
                    yield None
                yield number
                previous = number


def page_number(value: int | str | None) -> int:
    """Return the number of a page.

    :param value: An argument of a call or of a query string; ``None`` is page 1.
    :raises PageMalformed: if it is not a number.
    :raises PageNotFound: if no page can have that number.
    """
    number = 1 if value is None else _number("page", value)
    if number < 1:
        raise PageNotFound(f"There is no page {number}: the first page is 1.")
    return number


def page_size(value: int | str | None, default: int, largest: int | None) -> int:
    """Return the size of a page, limited to the largest.

    :raises PageMalformed: if it is not a positive number.
    """
    size = default if value is None else _number("per_page", value)
    if size < 1:
        raise PageMalformed(f"per_page is {size}; it must be at least 1.")
    return size if largest is None else min(size, largest)


def lenient(value: int | str | None, default: int) -> int:
    """Return the number or the size of a page; the default if it is malformed."""
    try:
        number = default if value is None else _number("page", value)
    except (PageMalformed, PageNotFound):
        return default
    return number if number >= 1 else default


def fetch_page(
    session: orm.Session,
    statement: sa.Select[t.Any],
    page: int,
    *,
    per_page: int,
    count: Count,
    may_be_empty: bool,
) -> Page[t.Any]:
    """Run a statement for one page of its rows.

    :param may_be_empty: True if a page beyond the last page is empty.
    :raises PageNotFound: if the page is beyond the last page.
    """
    offset = (page - 1) * per_page
    if offset + per_page > _LARGEST_OFFSET:
        raise PageNotFound(f"There is no page {page}.")
    # One more row than the page shows if there is a next page.
    found = _rows(session, statement.limit(per_page + 1).offset(offset))
    items, has_next = found[:per_page], len(found) > per_page
    if not items and page > 1 and not may_be_empty:
        raise PageNotFound(f"There is no page {page}.")
    total, is_capped = None, False
    if count != "none":
        if has_next or (not items and page > 1):
            cap = None if count == "exact" else CAP
            total = _count(session, statement, cap)
            is_capped = cap is not None and total > cap
            total = total if cap is None else min(total, cap)
        else:
            total = offset + len(items)
    other = functools.partial(
        fetch_page,
        session,
        statement,
        per_page=per_page,
        count=count,
        may_be_empty=may_be_empty,
    )
    return Page(items, page, per_page, total, has_next, is_capped, other)


def _number(name: str, value: int | str) -> int:
    if isinstance(value, int):
        return value
    if not _NUMBER.fullmatch(value):
        raise PageMalformed(f"{name} is not a number.")
    if len(value) > _LONGEST:
        raise PageNotFound(f"There is no such {name}.")
    return int(value)


def _rows(session: orm.Session, statement: sa.Select[t.Any]) -> cabc.Sequence[t.Any]:
    # A select of one column gives its values; of several, rows.
    single = len(statement.column_descriptions) == 1
    result: sa.Result[t.Any] = session.execute(statement)
    try:
        return result.scalars().all() if single else result.all()
    except sa_exc.InvalidRequestError:
        # A join loads a collection and so repeats the rows. Not always unique():
        # it would also drop equal values of a plain column.
        result = session.execute(statement).unique()
        return result.scalars().all() if single else result.all()


def _count(session: orm.Session, statement: sa.Select[t.Any], cap: int | None) -> int:
    counted = statement.order_by(None)
    if cap is not None:
        counted = counted.limit(cap + 1)
    query = sa.select(sa.func.count()).select_from(counted.subquery())
    total: int = session.execute(query).scalar_one()
    return total
