"""The table of sessions, and the statements on it, for any SQLAlchemy engine."""

from __future__ import annotations

import typing as t

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from flaskware_session._records.record import Lifetime
from flaskware_session._records.record import Record

_LONGEST_USER_ID = 512


class _Utf8(sa.types.TypeDecorator[str]):
    """Text as bytes, so that any character can be kept and no collation compares.

    Some collations take "Ann" and "ann" for one user, or "ann" and "ann ".
    """

    impl = sa.LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> t.Any:
        if dialect.name in {"mysql", "mariadb"}:
            return dialect.type_descriptor(mysql.MEDIUMBLOB())
        return dialect.type_descriptor(sa.LargeBinary())

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> t.Any:  # noqa: ARG002
        return None if value is None else value.encode()

    def process_result_value(self, value: t.Any, dialect: sa.Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else bytes(value).decode(errors="replace")


class _ShortUtf8(_Utf8):
    """The same, short enough for an index."""

    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> t.Any:
        if dialect.name in {"mysql", "mariadb"}:
            return dialect.type_descriptor(mysql.VARBINARY(_LONGEST_USER_ID))
        return dialect.type_descriptor(sa.LargeBinary())


metadata = sa.MetaData()
"""Holds the one table; what the migrations are compared with."""

table = sa.Table(
    "flaskware_session",
    metadata,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("data", _Utf8, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("last_seen", sa.BigInteger, nullable=False),
    sa.Column("expires", sa.BigInteger, nullable=False),
    sa.Column("user_id", _ShortUtf8, nullable=True),
    sa.Column("address", sa.String(255), nullable=False),
    sa.Column("agent", sa.String(512), nullable=False),
    sa.Column("issued", sa.BigInteger, nullable=False),
    sa.Index("flaskware_session_user", "user_id"),
    sa.Index("flaskware_session_expires", "expires"),
)

_c = table.c
_old_key = sa.bindparam("old_key", type_=sa.String)
_expected = sa.bindparam("expected", type_=sa.Integer)
_now = sa.bindparam("now", type_=sa.BigInteger)
_live = _c.expires > _now

# In the order of Record's fields.
FIND = sa.select(*_c).where(_c.key == _old_key, _live)
INSERT = table.insert()
UPDATE = (
    table.update()
    .where(_c.key == _old_key, _c.version == _expected, _live)
    .values({name: sa.bindparam(name) for name in (
        "data", "version", "last_seen", "expires"
    )})
)  # fmt: skip
MOVE = (
    table.update()
    .where(_c.key == _old_key, _c.version == _expected, _live)
    .values({column.name: sa.bindparam(column.name) for column in _c})
)
# Another request may have noted a later use, or changed and so extended the session.
TOUCH = (
    table.update()
    .where(_c.key == _old_key, _c.last_seen < sa.bindparam("last_seen"))
    .values(last_seen=sa.bindparam("last_seen"), expires=sa.bindparam("expires"))
)
DELETE = table.delete().where(_c.key == _old_key)
DELETE_VERSION = DELETE.where(_c.version == _expected)
DELETE_SESSION = DELETE.where(_c.version > 0)
SUCCESSOR = sa.select(_c.address).where(_c.key == _old_key, _c.version == 0)
FOR_USER = (
    sa.select(*_c)
    .where(_c.user_id == sa.bindparam("user"), _live)
    .order_by(_c.last_seen.desc())
)
# One after the other, and without a deadlock: all lock in one order.
LOCK_USER = (
    sa.select(*_c)
    .where(_c.user_id == sa.bindparam("user"))
    .order_by(_c.key)
    .with_for_update()
)
DELETE_USER = table.delete().where(
    _c.user_id == sa.bindparam("user"), _c.key != sa.bindparam("keep")
)
# The same for SQLite, where a statement is alone in any case, and a lock of rows
# unknown.
_kept = sa.select(sa.bindparam("keep", type_=sa.String).label("key")).cte(
    "kept", recursive=True, nesting=True
)
_kept = _kept.union(
    sa.select(_c.address).join(_kept, _c.key == _kept.c.key).where(_c.version == 0)
)
DELETE_USER_AT_ONCE = table.delete().where(
    _c.user_id == sa.bindparam("user"), _c.key.not_in(sa.select(_kept.c.key))
)
LIMIT_USER_AT_ONCE = table.delete().where(
    _c.key.in_(
        sa.select(_c.key)
        .where(_c.user_id == sa.bindparam("user"), _live)
        .order_by(
            sa.case((_c.key == sa.bindparam("keep"), 0), else_=1),
            _c.last_seen.desc(),
            _c.key.desc(),
        )
        .offset(sa.bindparam("count", type_=sa.Integer))
    )
)
DELETE_KEYS = table.delete().where(_c.key.in_(sa.bindparam("keys", expanding=True)))
STATS = sa.select(
    sa.func.coalesce(sa.func.sum(sa.case((_live & (_c.version > 0), 1), else_=0)), 0),
    sa.func.count(sa.distinct(sa.case((_live, _c.user_id)))),
    sa.func.coalesce(sa.func.sum(sa.case((_live, 0), else_=1)), 0),
)
PING = sa.select(sa.literal(1)).select_from(table).limit(1)

# One trip, a due touch included, where the database can return what it updates.
READ_AND_TOUCH = sa.text(
    """WITH touched AS (
        UPDATE flaskware_session
        SET last_seen = :now,
            expires = LEAST(CAST(:now AS bigint) + :idle, created + :absolute)
        WHERE key = :old_key AND expires > :now AND last_seen <= :due AND version > 0
        RETURNING *
    )
    SELECT * FROM touched UNION ALL
    SELECT * FROM flaskware_session WHERE key = :old_key AND expires > :now
        AND NOT EXISTS (SELECT 1 FROM touched)"""
).columns(*_c)

_PRUNE = table.delete().where(
    _c.key.in_(
        sa.select(_c.key)
        .where(_c.expires <= _now)
        .limit(sa.bindparam("count"))
        .with_for_update(skip_locked=True)
    )
)
_PRUNE_MYSQL = sa.text(
    "DELETE FROM flaskware_session WHERE expires <= :now ORDER BY expires LIMIT :count"
)


def prune_statement(dialect: str) -> sa.Executable:
    """Delete a batch of expired records, passing over those that another deletes."""
    return _PRUNE_MYSQL if dialect in {"mysql", "mariadb"} else _PRUNE


def read_values(key: str, now: int, lifetime: Lifetime) -> dict[str, t.Any]:
    """What :data:`READ_AND_TOUCH` takes."""
    return {
        "old_key": key,
        "now": now,
        "idle": lifetime.idle,
        "absolute": lifetime.absolute,
        "due": now - lifetime.touch_interval,
    }


def pool_arguments(url: sa.URL, size: int, timeout: float) -> dict[str, t.Any]:
    """How many connections an engine keeps; SQLite's own pools take no number."""
    if url.get_backend_name() == "sqlite":
        return {}
    return {"pool_size": size, "max_overflow": 4 * size, "pool_timeout": timeout}


def row_of(record: Record) -> dict[str, t.Any]:
    """The columns of a record."""
    return {
        "key": record.key,
        "data": record.data,
        "version": record.version,
        "created": record.created,
        "last_seen": record.last_seen,
        "expires": record.expires,
        "user_id": record.user_id,
        # PostgreSQL keeps no NUL; a client that sends one has no claim to it.
        "address": record.address.replace("\x00", " "),
        "agent": record.agent.replace("\x00", " "),
        "issued": record.issued,
    }


def update_of(record: Record) -> dict[str, t.Any]:
    """What a change of the content writes."""
    return {
        "data": record.data,
        "version": record.version,
        "last_seen": record.last_seen,
        "expires": record.expires,
    }


def driver_arguments(driver: str, timeout: float) -> dict[str, t.Any]:
    """What a driver is given so that nothing waits without end, where it can."""
    if driver in {"psycopg", "psycopg2"}:
        milliseconds = int(timeout * 1000)
        return {
            "connect_timeout": max(2, round(timeout)),  # the least that libpq takes
            "tcp_user_timeout": milliseconds,
            "options": f"-c statement_timeout={milliseconds}",
        }
    if driver == "asyncpg":
        return {"timeout": timeout, "command_timeout": timeout}
    if driver == "aiosqlite":
        return {"timeout": timeout}
    if driver in {"asyncmy", "aiomysql"}:
        return {"connect_timeout": max(1, round(timeout))}
    if driver == "pymysql":
        return {
            "connect_timeout": timeout,
            "read_timeout": timeout,
            "write_timeout": timeout,
        }
    if driver == "mysqldb":
        seconds = max(1, round(timeout))
        return {
            "connect_timeout": seconds,
            "read_timeout": seconds,
            "write_timeout": seconds,
        }
    return {}
