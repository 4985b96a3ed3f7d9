"""Points in time that are the same on every database, and columns that note them."""

from __future__ import annotations

import datetime as dt
import typing as t

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.dialects import mysql

_TIME = "_flaskware_sqlalchemy_time"


class UTCDateTime(sa.types.TypeDecorator[dt.datetime]):
    """A point in time, to the microsecond.

    Values are aware, and in UTC when they are read. A naive ``datetime`` is refused:
    nobody knows what time it means. PostgreSQL has a type for this. SQLite, MySQL and
    MariaDB store UTC without saying so.

    :raises sqlalchemy.exc.StatementError: if a value is naive or is no ``datetime``.
    """

    # Migrations name the class by this module.
    __module__ = "flaskware_sqlalchemy"

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[t.Any]:
        """Return the type of a database that stores points in time."""
        if dialect.name in {"mysql", "mariadb"}:
            # Without `fsp` there are no fractions of a second.
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(sa.DateTime(timezone=True))

    def process_bind_param(
        self, value: dt.datetime | None, dialect: sa.Dialect
    ) -> dt.datetime | None:
        """Return the value in UTC, as the driver takes it."""
        if value is None:
            return None
        if not isinstance(value, dt.datetime):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"{value!r} is not a datetime.datetime.")
        if value.utcoffset() is None:
            raise ValueError(
                f"{value!r} has no time zone. Write"
                " `datetime.now(datetime.timezone.utc)`, or `.replace(tzinfo=…)`."
            )
        value = value.astimezone(dt.UTC)
        return value if dialect.name == "postgresql" else value.replace(tzinfo=None)

    def process_result_value(
        self,
        value: dt.datetime | None,
        dialect: sa.Dialect,  # noqa: ARG002
    ) -> dt.datetime | None:
        """Return the value with its time zone, UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            return value.replace(tzinfo=dt.UTC)
        return value.astimezone(dt.UTC)


def _now(context: t.Any) -> dt.datetime:
    """Return the time of a statement, the same for all of its rows."""
    found: dt.datetime | None = getattr(context, _TIME, None)
    if found is None:
        found = dt.datetime.now(dt.UTC)
        if context is not None:
            setattr(context, _TIME, found)
    return found


class Timestamps:
    """Mixin with the times at which a row was made and last changed.

    A statement such as ``update(User)`` sets ``updated_at`` too. Raw SQL does not. For
    ``MappedAsDataclass``, write the two columns in your own mixin.
    """

    created_at: orm.Mapped[dt.datetime] = orm.mapped_column(
        UTCDateTime, default=_now, sort_order=1000
    )
    """The time of the ``INSERT``, unless you set it."""

    updated_at: orm.Mapped[dt.datetime] = orm.mapped_column(
        UTCDateTime, default=_now, onupdate=_now, sort_order=1001
    )
    """The time of the last ``UPDATE``; at first, that of the ``INSERT``."""
