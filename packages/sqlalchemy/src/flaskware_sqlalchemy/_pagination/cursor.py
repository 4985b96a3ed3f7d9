"""Cursors: the position of a row in an order, as a signed text."""

from __future__ import annotations

import base64
import collections.abc as cabc
import dataclasses as dc
import datetime as dt
import decimal
import typing as t
import uuid

import itsdangerous

from flaskware_sqlalchemy._errors import CursorInvalid

LONGEST = 4096
"""Characters that a cursor may have; it is part of an address."""


@dc.dataclass(frozen=True)
class CursorPosition:
    """The start of a page.

    :param values: The values of a row in the columns of the order.
    :param is_included: True if the row itself belongs to the page.
    """

    values: tuple[t.Any, ...]
    is_included: bool = False


@dc.dataclass(frozen=True)
class CursorFormat:
    """Reader and writer of the cursors of one statement.

    :param statement: A text that differs for other statements.
    :param length: The number of columns of the order.
    """

    statement: str
    length: int
    signer: itsdangerous.URLSafeSerializer

    def write(self, position: CursorPosition) -> str:
        """Return a cursor."""
        values = [_pack(value) for value in position.values]
        return str(
            self.signer.dumps([self.statement, values, int(position.is_included)])
        )

    def read(self, text: str) -> CursorPosition:
        """Read a cursor.

        :raises CursorInvalid: if it was not made here with the app's key, or was made
            for another statement.
        """
        if len(text) > LONGEST:
            raise CursorInvalid("The cursor is too long.")
        try:
            made_for, values, is_included = self.signer.loads(text)
        except (itsdangerous.BadData, TypeError, ValueError) as error:
            raise CursorInvalid("The cursor was not made here.") from error
        if made_for != self.statement or len(values) != self.length:
            raise CursorInvalid("The cursor belongs to another list, or is outdated.")
        return CursorPosition(tuple(map(_unpack, values)), bool(is_included))


def _pack(value: t.Any) -> t.Any:
    for kind, (name, pack, _) in _KINDS.items():
        if isinstance(value, kind):
            return [name, pack(value)]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(
        f"A cursor cannot hold a value of {type(value).__name__}. Order by a number, a"
        " text, a time or the primary key."
    )


def _unpack(value: t.Any) -> t.Any:
    if not isinstance(value, list):
        return value
    name, packed = t.cast("list[t.Any]", value)
    return next(read for other, _, read in _KINDS.values() if other == name)(packed)


_Kind: t.TypeAlias = tuple[
    str, cabc.Callable[[t.Any], t.Any], cabc.Callable[[t.Any], t.Any]
]
# A datetime is a date: the narrower kind first.
_KINDS: t.Final[dict[type, _Kind]] = {
    list: (
        "list",
        lambda values: [*map(_pack, values)],
        lambda packed: [*map(_unpack, packed)],
    ),
    dt.datetime: ("datetime", dt.datetime.isoformat, dt.datetime.fromisoformat),
    dt.date: ("date", dt.date.isoformat, dt.date.fromisoformat),
    dt.time: ("time", dt.time.isoformat, dt.time.fromisoformat),
    dt.timedelta: (
        "timedelta",
        lambda value: [value.days, value.seconds, value.microseconds],
        lambda packed: dt.timedelta(*packed),
    ),
    decimal.Decimal: ("decimal", str, decimal.Decimal),
    uuid.UUID: ("uuid", str, uuid.UUID),
    bytes: ("bytes", lambda value: base64.b64encode(value).decode(), base64.b64decode),
}
