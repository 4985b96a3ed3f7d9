"""Texts that the database never sees, and the change to a new key."""

from __future__ import annotations

import operator
import typing as t

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.sql import operators

from flaskware_sqlalchemy._engines.cipher import cipher_of
from flaskware_sqlalchemy._errors import SecretRefused

_PART = 500
_COMPARES = {operators.is_, operators.is_not}


class _Comparator(sa.types.TypeDecorator.Comparator[str]):
    def operate(self, op: t.Any, *other: t.Any, **kwargs: t.Any) -> t.Any:
        if op not in _COMPARES:
            name = getattr(op, "__name__", str(op))
            raise TypeError(
                f"An encrypted column cannot be compared or sorted ({name}): the same"
                " text is stored differently each time. Compare in Python; to find a"
                " row, store a keyed hash (`hmac`) of the text in another column."
            )
        return super().operate(op, *other, **kwargs)


class EncryptedText(sa.types.TypeDecorator[str]):
    """A text that is encrypted before the database gets it.

    It is encrypted with the first key of ``SQLALCHEMY_ENCRYPTION_KEYS`` and read with
    any of them. The text is stored as a token of Fernet, a third longer: AES-128-CBC
    and HMAC-SHA256, https://github.com/fernet/spec. A token that is copied to another
    row is read there too. The column can be compared with ``None`` alone.

    :raises SecretRefused: if a value is no text.
    """

    # Migrations name the class by this module.
    __module__ = "flaskware_sqlalchemy"

    impl = sa.Text
    cache_ok = True
    comparator_factory = _Comparator  # pyright: ignore[reportAssignmentType]

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        """Return the encrypted text."""
        if value is None:
            return None
        if not isinstance(value, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise SecretRefused(
                f"An encrypted text is str, not {type(value).__name__}."
            )
        return cipher_of(dialect).seal(value)

    def process_result_value(
        self, value: str | None, dialect: sa.Dialect
    ) -> str | None:
        """Return the text.

        :raises ValueError: if none of the keys has encrypted it.
        """
        return None if value is None else cipher_of(dialect).open(value)


def reencrypt(session: orm.Session, entity: type[t.Any]) -> int:
    """Encrypt the values of a model with the first key, and commit.

    :return: The number of values that another key had encrypted.
    """
    mapper: orm.Mapper[t.Any] = sa.inspect(entity)
    columns = [one for one in mapper.columns if isinstance(one.type, EncryptedText)]
    return sum(_reencrypt_column(session, mapper, column) for column in columns)


def _reencrypt_column(
    session: orm.Session, mapper: orm.Mapper[t.Any], column: sa.Column[t.Any]
) -> int:
    cipher = cipher_of(session.get_bind(mapper).dialect)
    table = column.table
    key = list(table.primary_key)
    token = sa.type_coerce(column, sa.Text())
    bind = {"mapper": mapper}
    last: t.Any = None
    count = 0
    while True:
        statement = sa.select(token, *key).where(column.is_not(None))
        statement = statement.order_by(*key).limit(_PART)
        if last is not None:
            statement = statement.where(_after(key, last))
        rows = session.execute(statement, bind_arguments=bind).all()
        for row in rows:
            renewed = cipher.renew(row[0])
            if renewed is not None:
                change = sa.update(table).values(
                    {column: sa.type_coerce(renewed, sa.Text())}
                )
                # A value that somebody has changed meanwhile stays as it is.
                same = sa.and_(
                    token == row[0],
                    *(one == value for one, value in zip(key, row[1:], strict=True)),
                )
                done = session.execute(change.where(same), bind_arguments=bind)
                count += int(operator.attrgetter("rowcount")(done))
        session.commit()
        if len(rows) < _PART:
            return count
        last = rows[-1][1:]


def _after(key: list[sa.Column[t.Any]], last: t.Any) -> sa.ColumnElement[bool]:
    condition: sa.ColumnElement[bool] = sa.false()
    for column, value in reversed(list(zip(key, last, strict=True))):
        condition = sa.or_(column > value, sa.and_(column == value, condition))
    return condition
