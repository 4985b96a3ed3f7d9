"""The table of sessions, for any SQLAlchemy engine."""

from __future__ import annotations

import typing as t

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

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
    sa.Column("key", sa.String(76), primary_key=True),
    sa.Column("data", _Utf8, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("last_seen", sa.BigInteger, nullable=False),
    sa.Column("expires", sa.BigInteger, nullable=False),
    sa.Column("user_id", _ShortUtf8, nullable=True),
    sa.Column("address", sa.String(255), nullable=False),
    sa.Column("agent", sa.String(512), nullable=False),
    sa.Column("issued", sa.BigInteger, nullable=False),
    sa.Column("idle", sa.BigInteger, nullable=False),
    sa.Column("until", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("proofs", sa.Text, nullable=False),
    sa.Index("flaskware_session_user", "user_id"),
    sa.Index("flaskware_session_expires", "expires"),
)
