"""Statements on the table of sessions."""

from __future__ import annotations

import typing as t

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPICursor

_old_key = sa.bindparam("old_key", type_=sa.String)
_end = sa.bindparam("end", type_=sa.String)
_namespace = sa.bindparam("own", type_=sa.String)
_expected = sa.bindparam("expected", type_=sa.Integer)
_now = sa.bindparam("now", type_=sa.BigInteger)
_user = sa.bindparam("user", type_=sa.LargeBinary)
_users = sa.bindparam("users", type_=sa.LargeBinary, expanding=True)
_keep = sa.bindparam("keep", type_=sa.String)
_keys = sa.bindparam("keys", type_=sa.String, expanding=True)
_count = sa.bindparam("count", type_=sa.Integer)

CHANGED = (
    *("data", "version", "last_seen", "expires", "issued"),
    *("idle", "until", "kind", "proofs"),
)
"""The columns that an update changes."""


class Statement:
    """A statement in the words of a database, to be given to its driver.

    :param element: As SQLAlchemy builds it.
    """

    def __init__(self, element: sa.ClauseElement, dialect: sa.Dialect) -> None:
        compiled = t.cast("t.Any", element.compile(dialect=dialect))
        self._text = str(compiled)
        self._names: list[str] | None = compiled.positiontup
        # Numbers that stand in the statement.
        self._fixed = {k: v for k, v in compiled.params.items() if v is not None}

    def __str__(self) -> str:
        return self._text

    def run(self, cursor: DBAPICursor, values: dict[str, t.Any]) -> DBAPICursor:
        """Execute it, and return the cursor with what it found."""
        if self._fixed:
            values = values | self._fixed
        if self._names is None:
            cursor.execute(self._text, values)
        else:
            cursor.execute(self._text, [values[name] for name in self._names])
        return cursor


class Statements:
    """The statements on one table; the attributes in capitals are for Connections.

    :param lazily: Whether PostgreSQL may answer a change of content before it is on
        disk.
    """

    def __init__(self, table: sa.Table, dialect: sa.Dialect, *, lazily: bool) -> None:
        c = table.c
        columns = [column for column in c if column is not c.namespace]
        mine = c.namespace == _namespace
        live = c.expires > _now
        this = c.key == _old_key
        changed = sa.and_(this, c.version == _expected, live)
        of_user = sa.and_(c.user_id == _user, mine)
        of_users = sa.and_(c.user_id.in_(_users), mine)
        plain: list[sa.ColumnElement[bool]] = []
        if dialect.name == "postgresql":
            # For this one transaction: it is over before the next can follow on the
            # connection, also behind a pooler.
            never_wait = sa.func.set_config("synchronous_commit", "off", sa.true())
            plain = [never_wait == "off"]

        def compiled(element: sa.ClauseElement) -> Statement:
            return Statement(element, dialect)

        def values(*names: str) -> dict[str, t.Any]:
            return {name: sa.bindparam(name) for name in names}

        self.FIND = sa.select(*columns).where(this, live)
        self.LOCK = self.FIND.with_for_update()
        self.UPDATE = table.update().where(changed).values(values(*CHANGED))
        # Another request may have noted a later use, or changed and so extended the
        # session.
        touch = (
            table.update()
            .where(this, c.last_seen < sa.bindparam("last_seen"), *plain)
            .values(values("last_seen", "expires"))
        )
        self.find = compiled(self.FIND)
        self.insert = compiled(table.insert())
        self.update = compiled(self.UPDATE)
        self.update_plain = compiled(
            self.UPDATE.where(*plain) if lazily else self.UPDATE
        )
        self.touch = compiled(touch)
        self.move = compiled(table.update().where(changed).values(values(*c.keys())))
        self.delete_version = compiled(
            table.delete().where(this, c.version == _expected)
        )
        self.delete = compiled(table.delete().where(this))
        self.FOR_USER = (
            sa.select(*columns).where(of_user, live).order_by(c.last_seen.desc())
        )
        self.SCAN = (
            sa.select(*columns)
            .where(c.key > _old_key, c.key < _end, mine, live, c.user_id.is_not(None))
            .order_by(c.key)
            .limit(_count)
        )
        # Everyone locks in the same order, so that there is no deadlock.
        self.LOCK_USER = (
            sa.select(*columns).where(of_user).order_by(c.key).with_for_update()
        )
        self.LOCK_USERS = (
            sa.select(*columns).where(of_users).order_by(c.key).with_for_update()
        )
        self.DELETE_USERS = table.delete().where(of_users, c.key != _keep)
        self.DELETE_KEYS = table.delete().where(c.key.in_(_keys))
        self.DELETE_EXPIRED = table.delete().where(c.key.in_(_keys), c.expires <= _now)
        # The expired among the next rows along the primary key, and the last of them.
        part = (
            sa.select(c.key, c.expires, c.namespace)
            .where(c.key > _old_key)
            .order_by(c.key)
            .limit(_count)
            .cte("part")
        )
        last = sa.select(sa.func.max(part.c.key)).scalar_subquery()
        gone = sa.and_(part.c.expires <= _now, part.c.namespace == _namespace)
        self.PART = (
            sa.select(part.c.key, sa.case((gone, 1), else_=0))
            .where(sa.or_(gone, part.c.key == last))
            .order_by(part.c.key)
        )
        self.STATS = sa.select(
            sa.func.coalesce(sa.func.sum(sa.case((live & (c.proofs != ""), 1))), 0),
            sa.func.count(sa.distinct(sa.case((live, c.user_id)))),
            sa.func.coalesce(sa.func.sum(sa.case((live, 0), else_=1)), 0),
        ).where(mine)
        self._lock_all = table.delete().where(sa.false())
        self._locks_rows = dialect.name != "sqlite"
        self.PING = sa.select(sa.literal(1)).select_from(table).limit(1)

    def lock_all(self, connection: sa.Connection) -> None:
        """Wait for other writers, in a database that cannot lock rows."""
        if not self._locks_rows:
            connection.execute(self._lock_all)
