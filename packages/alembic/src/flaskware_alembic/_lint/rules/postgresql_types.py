"""Types of columns on PostgreSQL that are hard to live with, or to leave."""

from __future__ import annotations

import collections.abc as cabc
import re

from flaskware_alembic._lint.predicates import parts_of
from flaskware_alembic._lint.rule import advice
from flaskware_alembic._lint.rule import column
from flaskware_alembic._lint.rule import Dialect
from flaskware_alembic._lint.rule import of_type
from flaskware_alembic._lint.rule import Rule
from flaskware_alembic._sql.change import Change
from flaskware_alembic._sql.change import ColumnInfo
from flaskware_core import Level

_PG: tuple[Dialect, ...] = ("postgresql",)
_NO_ZONE = re.compile(r"timestamp\s*(\(\s*\d+\s*\))?(\s*without time zone)?")


def _has_limit(info: ColumnInfo) -> bool:
    name, size = parts_of(info.type)
    return name in {"varchar", "character varying"} and bool(size)


def _is_int_key(info: ColumnInfo) -> bool:
    return info.is_key and info.type in {"integer", "int", "int4", "serial", "serial4"}


def _is_small(info: ColumnInfo) -> bool:
    return info.type in {"smallint", "int2", "smallserial", "serial2"}


def _has_no_zone(info: ColumnInfo) -> bool:
    return _NO_ZONE.fullmatch(info.type) is not None


def _identity(
    matches: cabc.Callable[[ColumnInfo], bool],
) -> cabc.Callable[[Change], str]:
    """Return the safe form for the columns that match."""

    def safe(change: Change) -> str:
        lines = ["# In the model too: mapped_column(BigInteger, Identity())"]
        lines += [
            f'sa.Column("{info.name}", sa.BigInteger, sa.Identity()'
            f"{', primary_key=True' if info.is_key else ''})"
            for info in change.columns
            if matches(info)
        ]
        return "\n".join(lines)

    return safe


TYPES = (
    Rule(
        "char-type",
        _PG,
        Level.INFO,
        "char(n) pads shorter values with spaces, and saves no room.",
        of_type(lambda i: parts_of(i.type)[0] in {"char", "character", "bpchar"}),
        advice('sa.Column("{name}", sa.Text)'),
        on_new=True,
    ),
    Rule(
        "int-key",
        _PG,
        Level.INFO,
        "A 32-bit key runs out at two billion rows, and is hard to widen.",
        of_type(_is_int_key),
        _identity(_is_int_key),
        on_new=True,
    ),
    Rule(
        "small-int",
        _PG,
        Level.INFO,
        "16 bits end at 32767, and widening the type rewrites the whole table.",
        of_type(_is_small),
        advice('sa.Column("{name}", sa.BigInteger)'),
        on_new=True,
    ),
    Rule(
        "serial-type",
        _PG,
        Level.INFO,
        "The sequence of a serial column has its own owner and permissions; an identity"
        " column belongs to the table.",
        lambda change, _: (
            change.kind in {"create_table", "add_column"}
            and any(info.is_serial for info in change.columns)
        ),
        _identity(lambda info: info.is_serial),
        on_new=True,
    ),
    Rule(
        "varchar-limit",
        _PG,
        Level.INFO,
        "A shorter limit later checks every row while nobody can read the table.",
        of_type(_has_limit),
        advice("# sa.Text, with a CHECK on the length where one is needed."),
        on_new=True,
    ),
    Rule(
        "timestamp-without-zone",
        _PG,
        Level.INFO,
        "Clients in different time zones read a timestamp without a zone as different"
        " instants.",
        of_type(_has_no_zone),
        advice('sa.Column("{name}", sa.DateTime(timezone=True))'),
        on_new=True,
    ),
    Rule(
        "json-type",
        _PG,
        Level.INFO,
        "json has no equality, so a SELECT DISTINCT that worked before fails.",
        # A new table has no query that worked before.
        column("add_column", "alter_type", type="json"),
        advice('sa.Column("{name}", postgresql.JSONB)'),
    ),
)
