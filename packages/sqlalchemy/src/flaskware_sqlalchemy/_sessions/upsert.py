"""Upsert: rows that are inserted, or update the rows that exist."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.dialects import mysql
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects import sqlite

from .session import RoutedSession

Rows: t.TypeAlias = cabc.Iterable[cabc.Mapping[str, t.Any]]
Attributes: t.TypeAlias = cabc.Iterable["orm.InstrumentedAttribute[t.Any] | str"]
_MYSQL = {"mariadb", "mysql"}
_PART = 500


def upsert(
    session: RoutedSession,
    entity: type[t.Any],
    rows: Rows,
    by: Attributes | None,
    update: Attributes | None,
) -> None:
    """Insert rows, or update those that exist; see :meth:`SQLAlchemy.upsert`."""
    mapper: orm.Mapper[t.Any] = sa.inspect(entity)
    table = mapper.local_table
    if mapper.inherits is not None and mapper.inherits.local_table is not table:
        raise ValueError(
            f"{entity.__name__} has rows in several tables. Write db.upsert() for a"
            " model with one table."
        )
    listed = [dict(row) for row in rows]
    if not listed:
        return
    given = _names_of(mapper, listed)
    keys = _keys(mapper, by, given)
    changed = [name for name in given if name not in keys]
    if update is not None:
        changed = [_name(mapper, attribute) for attribute in update]
        if unknown := sorted(set(changed) - set(given)):
            raise ValueError(f"update has {', '.join(unknown)}, which no row has.")
    # One statement changes a row once; of rows with the same key, the last counts.
    unique = {tuple(row[name] for name in keys): row for row in listed}
    dialect = session.get_bind(mapper).dialect.name
    statement = _statement(dialect, mapper, table, keys, changed, given)
    session.flush()
    if dialect in _MYSQL:
        _send_in_parts(session, statement, mapper, list(unique.values()))
    else:
        # Without the option, SQLAlchemy leaves None out.
        options = {"render_nulls": True}
        session.execute(statement, list(unique.values()), execution_options=options)
    for instance in session:
        if isinstance(instance, entity):
            session.expire(instance)


def _send_in_parts(
    session: RoutedSession,
    statement: t.Any,
    mapper: orm.Mapper[t.Any],
    rows: list[dict[str, t.Any]],
) -> None:
    """Send rows as statements of many rows each.

    PyMySQL makes such a statement itself, and takes no parameter after the rows.
    """
    fixed: dict[str, t.Any] = {}
    if mapper.polymorphic_on is not None:
        fixed = {str(mapper.polymorphic_on.key): mapper.polymorphic_identity}
    for start in range(0, len(rows), _PART):
        values = [
            {**fixed, **{_column(mapper, name).key: row[name] for name in row}}
            for row in rows[start : start + _PART]
        ]
        session.execute(statement.values(values), bind_arguments={"mapper": mapper})


def _names_of(mapper: orm.Mapper[t.Any], rows: list[dict[str, t.Any]]) -> list[str]:
    names = list(rows[0])
    for row in rows:
        if row.keys() != rows[0].keys():
            different = ", ".join(sorted(row.keys() ^ rows[0].keys()))
            raise ValueError(
                f"The rows have different columns ({different}), so what to update is"
                " not clear. Give each row all of them."
            )
    for name in names:
        _column(mapper, name)
    return names


def _name(mapper: orm.Mapper[t.Any], attribute: t.Any) -> str:
    name: str = attribute if isinstance(attribute, str) else attribute.key
    _column(mapper, name)
    return name


def _column(mapper: orm.Mapper[t.Any], name: str) -> sa.Column[t.Any]:
    found = mapper.columns.get(name)
    if not isinstance(found, sa.Column):
        known = ", ".join(mapper.columns.keys())
        raise ValueError(
            f"{mapper.class_.__name__} has no column {name!r}; it has {known}."
        )
    return found


def _keys(
    mapper: orm.Mapper[t.Any], by: Attributes | None, given: list[str]
) -> list[str]:
    if by is None:
        keys = [mapper.get_property_by_column(one).key for one in mapper.primary_key]
    else:
        keys = [_name(mapper, attribute) for attribute in by]
    if missing := [name for name in keys if name not in given]:
        raise ValueError(
            f"The rows have no {', '.join(missing)}, by which to find the row that"
            " exists. Add it to the rows, or name columns with a unique constraint:"
            " `by=[User.email]`."
        )
    columns = frozenset(_column(mapper, name) for name in keys)
    if columns not in _unique_sets(mapper):
        raise ValueError(
            f"{', '.join(keys)} of {mapper.class_.__name__} has no unique constraint,"
            " so that one row could stand for several. Add a UniqueConstraint."
        )
    return keys


def _unique_sets(mapper: orm.Mapper[t.Any]) -> set[frozenset[sa.Column[t.Any]]]:
    """Return the sets of columns that only one row has the values of."""
    table = t.cast("sa.Table", mapper.local_table)
    found = {frozenset(table.primary_key)}
    found |= {
        frozenset(constraint.columns)
        for constraint in table.constraints
        if isinstance(constraint, sa.UniqueConstraint)
    }
    found |= {
        frozenset(t.cast("cabc.Iterable[sa.Column[t.Any]]", index.columns))
        for index in table.indexes
        if index.unique and not _is_partial(index)
    }
    return found


def _is_partial(index: sa.Index) -> bool:
    return any(
        index.dialect_options[name].get("where") is not None
        for name in ("postgresql", "sqlite")
    )


def _statement(
    dialect: str,
    mapper: orm.Mapper[t.Any],
    table: t.Any,
    keys: list[str],
    changed: list[str],
    given: list[str],
) -> t.Any:
    columns = [_column(mapper, name) for name in changed]
    always = [
        column
        for column in table.columns
        if column.onupdate is not None and column not in columns
    ]
    if dialect in _MYSQL:
        _refuse_other_keys(mapper, keys, given)
        insert = mysql.insert(table)
        values = {column.name: insert.inserted[column.name] for column in columns}
        if not values:
            first = _column(mapper, keys[0])
            return insert.on_duplicate_key_update({first.name: first})
        return insert.on_duplicate_key_update({**values, **_on_update(always)})
    if dialect not in {"postgresql", "sqlite"}:
        raise NotImplementedError(f"db.upsert() does not know {dialect}.")
    make = postgresql.insert if dialect == "postgresql" else sqlite.insert
    other: t.Any = make(mapper.class_)
    target = [_column(mapper, name) for name in keys]
    if not columns:
        return other.on_conflict_do_nothing(index_elements=target)
    values = {column.name: other.excluded[column.name] for column in columns}
    return other.on_conflict_do_update(
        index_elements=target, set_={**values, **_on_update(always)}
    )


def _on_update(columns: list[sa.Column[t.Any]]) -> dict[str, t.Any]:
    """Return what an UPDATE sets by itself, and an upsert of SQLAlchemy does not."""
    found: dict[str, t.Any] = {}
    for column in columns:
        default: t.Any = column.onupdate
        if default.is_clause_element:
            found[column.name] = default.arg
        elif default.is_callable or default.is_scalar:
            value = default.arg(None) if default.is_callable else default.arg
            found[column.name] = sa.literal(value, column.type)
    return found


def _refuse_other_keys(
    mapper: orm.Mapper[t.Any], keys: list[str], given: list[str]
) -> None:
    """Refuse where MySQL and MariaDB would find a row by another key.

    They look at every unique key of the table, and update whichever row they find.
    """
    columns = frozenset(_column(mapper, name) for name in keys)
    known = {_column(mapper, name) for name in given}
    others = [key for key in _unique_sets(mapper) if key != columns and key <= known]
    if others:
        names = ", ".join(sorted(column.name for column in others[0]))
        raise ValueError(
            f"MySQL and MariaDB would also update a row with the same {names}, whatever"
            f" its {', '.join(keys)} is. Leave it out of the rows, or write"
            " the SELECT and the UPDATE yourself in `db.transaction()`."
        )
