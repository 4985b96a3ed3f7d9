"""Make the table of sessions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql
from sqlalchemy.dialects import postgresql

from flaskware_core import current_app_object
from flaskware_session._migrations import table_of

revision = "flaskware_session_0001"
down_revision = None

_LONG = sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb")
_SHORT = sa.LargeBinary().with_variant(mysql.VARBINARY(512), "mysql", "mariadb")


def _ascii(length: int) -> sa.types.TypeEngine[str]:
    return (
        sa.String(length)
        .with_variant(postgresql.VARCHAR(length, collation="C"), "postgresql")
        .with_variant(
            mysql.VARCHAR(length, charset="ascii", collation="ascii_bin"),
            *("mysql", "mariadb"),
        )
    )


def upgrade() -> None:
    """Make the table, unless `flask session create-table` has done so."""
    table = table_of(current_app_object())
    name, schema = table.name, table.schema
    if not op.get_context().as_sql and sa.inspect(op.get_bind()).has_table(
        name, schema=schema
    ):
        return
    op.create_table(
        name,
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
        schema=schema,
        postgresql_with={"fillfactor": 70},
    )
    has_user = sa.text("user_id IS NOT NULL")
    op.create_index(
        f"{name}_user",
        *(name, ["user_id"]),
        schema=schema,
        postgresql_where=has_user,
        sqlite_where=has_user,
    )


def downgrade() -> None:
    """Drop the table, with every session in it."""
    table = table_of(current_app_object())
    op.drop_table(table.name, schema=table.schema)
