"""The declaration in a model that a column takes the place of another."""

from __future__ import annotations

import typing as t

_KEY = "flaskware_alembic.replaces"


def replaces(old: str) -> dict[str, t.Any]:
    """Return the ``info`` of a column that takes the place of another column.

    ``mapped_column(info=replaces("body"))`` makes ``flask db migrate`` write a rename
    without asking. It has no effect once the old column is gone, and may stay.

    :param old: The name of the other column in the database.
    """
    return {_KEY: old}


def replaced_by(info: t.Any) -> str | None:
    """Return the name of the column that one with this ``info`` replaces."""
    return t.cast("str | None", info.get(_KEY))
