"""Statements on the table of sessions."""

from __future__ import annotations

import sqlalchemy as sa

from .table import table

_c = table.c
_old_key = sa.bindparam("old_key", type_=sa.String)
_expected = sa.bindparam("expected", type_=sa.Integer)
_now = sa.bindparam("now", type_=sa.BigInteger)
_live = _c.expires > _now

FIND = sa.select(*_c).where(_c.key == _old_key, _live)
INSERT = table.insert()
UPDATE = (
    table.update()
    .where(_c.key == _old_key, _c.version == _expected, _live)
    .values({name: sa.bindparam(name) for name in (
        "data", "version", "last_seen", "expires", "issued", "idle", "until", "kind",
        "proofs",
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
FOR_USER = (
    sa.select(*_c)
    .where(_c.user_id == sa.bindparam("user"), _live)
    .order_by(_c.last_seen.desc())
)
# Everyone locks in the same order, so that there is no deadlock.
LOCK_USER = (
    sa.select(*_c)
    .where(_c.user_id == sa.bindparam("user"))
    .order_by(_c.key)
    .with_for_update()
)
DELETE_USER = table.delete().where(
    _c.user_id == sa.bindparam("user"), _c.key != sa.bindparam("keep")
)
# The same for SQLite, which runs one writing statement at a time and locks no rows.
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
    sa.func.coalesce(sa.func.sum(sa.case((_live & (_c.proofs != ""), 1), else_=0)), 0),
    sa.func.count(sa.distinct(sa.case((_live, _c.user_id)))),
    sa.func.coalesce(sa.func.sum(sa.case((_live, 0), else_=1)), 0),
)
PING = sa.select(sa.literal(1)).select_from(table).limit(1)

# One trip, with a due touch, where the database can return what it updates.
READ_AND_TOUCH = sa.text(
    """WITH touched AS (
        UPDATE flaskware_session
        SET last_seen = :now,
            expires = LEAST(CAST(:now AS bigint) + idle, until)
        WHERE key = :old_key AND expires > :now
            AND last_seen <= CAST(:now AS bigint) - LEAST(:interval, idle / 4)
        RETURNING *
    )
    SELECT * FROM touched UNION ALL
    SELECT * FROM flaskware_session WHERE key = :old_key AND expires > :now
        AND NOT EXISTS (SELECT 1 FROM touched)"""
).columns(*_c)

# Pass over what another process removes at this moment.
PRUNE = table.delete().where(
    _c.key.in_(
        sa.select(_c.key)
        .where(_c.expires <= _now)
        .limit(sa.bindparam("count"))
        .with_for_update(skip_locked=True)
    )
)
PRUNE_MYSQL = sa.text(
    "DELETE FROM flaskware_session WHERE expires <= :now ORDER BY expires LIMIT :count"
)
