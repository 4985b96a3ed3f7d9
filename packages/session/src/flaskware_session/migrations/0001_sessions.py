"""Make the table of sessions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "flaskware_session_0001"
down_revision = None

_LONG = sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb")
_SHORT = sa.LargeBinary().with_variant(mysql.VARBINARY(512), "mysql", "mariadb")


def upgrade() -> None:
    """Make the table, unless `flask session create-table` has done so."""
    if not op.get_context().as_sql and sa.inspect(op.get_bind()).has_table(
        "flaskware_session"
    ):
        return
    op.create_table(
        "flaskware_session",
        sa.Column("key", sa.String(76), primary_key=True),
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
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("proofs", sa.Text, nullable=False),
    )
    op.create_index("flaskware_session_user", "flaskware_session", ["user_id"])
    op.create_index("flaskware_session_expires", "flaskware_session", ["expires"])


def downgrade() -> None:
    """Drop the table, with every session in it."""
    op.drop_table("flaskware_session")
