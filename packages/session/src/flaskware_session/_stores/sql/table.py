"""The table of sessions, for any SQLAlchemy engine."""

from __future__ import annotations

import abc
import collections.abc as cabc
import typing as t

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.dialects import postgresql

from flaskware_session._records.record import checked
from flaskware_session._records.record import Record

if t.TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

TABLE = "flaskware_session"
"""The name of the table where nothing else is set."""

_LONGEST_USER_ID = 512


class InTable(abc.ABC):
    """A store whose records are rows of our table; migrations know it by this.

    Migrations never import the store for asyncio, which needs greenlet.
    """

    @property
    @abc.abstractmethod
    def engine(self) -> sa.Engine | AsyncEngine:
        """Engine that it connects by; for migrations."""

    @property
    @abc.abstractmethod
    def table(self) -> sa.Table:
        """The table, with metadata of its own; what migrations are compared with."""


def _ascii(length: int) -> sa.types.TypeEngine[str]:
    # Other collations are slower to compare, and some take "a" and "A" for one.
    return (
        sa.String(length)
        .with_variant(postgresql.VARCHAR(length, collation="C"), "postgresql")
        .with_variant(
            mysql.VARCHAR(length, charset="ascii", collation="ascii_bin"),
            *("mysql", "mariadb"),
        )
    )


# Text as bytes, so that any character can be kept and no collation compares: some take
# "Ann" and "ann" for one user, or "ann" and "ann ".
_LONG = sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb")
_SHORT = sa.LargeBinary().with_variant(
    mysql.VARBINARY(_LONGEST_USER_ID), "mysql", "mariadb"
)


def make_table(name: str = TABLE, schema: str | None = None) -> sa.Table:
    """Make the description of the table, with metadata of its own.

    No index has a column that changes as a session is used: PostgreSQL then puts the
    new row beside the old row and leaves the indexes alone (HOT), for which it needs
    room in the page. Expired rows are found by walking along the primary key.
    """
    has_user = sa.column("user_id").is_not(None)
    return sa.Table(
        name,
        sa.MetaData(),
        sa.Column("key", _ascii(96), primary_key=True),
        sa.Column("data", _LONG, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("last_seen", sa.BigInteger, nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False),
        sa.Column("user_id", _SHORT, nullable=True),
        sa.Column("address", sa.String(255), nullable=False),
        sa.Column("agent", sa.String(512), nullable=False),
        sa.Column("issued", sa.BigInteger, nullable=False),
        sa.Column("idle", sa.BigInteger, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.Column("kind", _ascii(32), nullable=False),
        sa.Column("proofs", sa.Text, nullable=False),
        sa.Column("namespace", _ascii(64), nullable=False),
        sa.Index(
            f"{name}_user", "user_id", postgresql_where=has_user, sqlite_where=has_user
        ),
        schema=schema,
        postgresql_with={"fillfactor": 70},
    )


def row_of(record: Record, namespace: str) -> dict[str, object]:
    """Return the values of a record by the names of the columns."""
    return {
        "key": record.key,
        "data": record.data.encode(),
        "version": record.version,
        "created": record.created,
        "last_seen": record.last_seen,
        "expires": record.expires,
        "user_id": None if record.user_id is None else record.user_id.encode(),
        # PostgreSQL stores no NUL, and no honest client sends one.
        "address": record.address.replace("\x00", " ")[:255],
        "agent": record.agent.replace("\x00", " ")[:512],
        "issued": record.issued,
        "idle": record.idle,
        "until": record.until,
        "kind": record.kind,
        "proofs": record.proofs,
        "namespace": namespace,
    }


def record_of(row: cabc.Iterable[t.Any]) -> Record | None:
    """Return the record of a row, whose columns are in the order of the fields."""
    key, data, version, created, last_seen, expires, user_id, *rest = row
    user = None if user_id is None else _text(user_id)
    return checked(
        key, (_text(data), version, created, last_seen, expires, user, *rest)
    )


def records_of(rows: cabc.Iterable[cabc.Iterable[t.Any]]) -> list[Record]:
    """Return the records of rows, without those that cannot be one."""
    return [record for row in rows if (record := record_of(row)) is not None]


def _text(value: bytes | memoryview) -> str:
    return bytes(value).decode(errors="replace")
