"""Pages of a statement's rows, each from a row on."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import hashlib
import typing as t

import itsdangerous
import sqlalchemy as sa
from sqlalchemy import exc as sa_exc
from sqlalchemy import orm
from sqlalchemy.dialects import mysql
from sqlalchemy.sql import operators
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import Grouping

from .cursor import CursorFormat
from .cursor import CursorPosition
from .page import Items

T_co = t.TypeVar("T_co", covariant=True)
_Condition: t.TypeAlias = sa.ColumnElement[bool]
# NULL is more than every value, and so last in ascending order.
_NULL_IS_LARGEST = {"oracle", "postgresql"}
_MYSQL = {"mariadb", "mysql"}
_WITHOUT_NULLS_FIRST = {*_MYSQL, "mssql"}
# Stand-ins for an expression in an order: a label, and a reference to a label.
_NAMES = {"label", "label_reference", "textual_label_reference"}
_COMPARES_TUPLES = {"mariadb", "mysql", "postgresql", "sqlite"}
_SIMPLE = (
    sa.Boolean,
    sa.Date,
    sa.DateTime,
    sa.Float,
    sa.Integer,
    sa.LargeBinary,
    sa.Numeric,
    sa.String,
    sa.Time,
    sa.Uuid,
    sa.types.NullType,
)
_ZERO: sa.ColumnElement[float] = sa.literal_column("0e0", sa.Float())
# They give each row a value that differs at each reading.
_RANDOM = {"gen_random_uuid", "newid", "rand", "random", "uuid"}


@dc.dataclass(frozen=True)
class KeysetPage(Items[T_co]):
    """One page of rows, and the cursors of its neighbours.

    :param items: Entities or values of a select of one column, rows of several.
    :param per_page: The number of items on a full page.
    :param next_cursor: Pass it as ``after`` for the next page.
    :param prev_cursor: Pass it as ``before`` for the previous page.
    """

    items: cabc.Sequence[T_co]
    per_page: int
    next_cursor: str | None
    prev_cursor: str | None

    @property
    def has_next(self) -> bool:
        """True if there is a next page."""
        return self.next_cursor is not None

    @property
    def has_prev(self) -> bool:
        """True if there may be a previous page."""
        return self.prev_cursor is not None


@dc.dataclass(frozen=True)
class _Key:
    """One column of an order.

    :param nulls: The place of ``NULL``, if the statement names it.
    :param is_float: True if the value is a floating-point number.
    """

    expression: sa.ColumnElement[t.Any]
    is_descending: bool
    nulls: t.Literal["first", "last"] | None
    is_nullable: bool
    is_float: bool = False
    text_type: sa.types.TypeEngine[t.Any] | None = None
    """The type that reads the text of a cursor, where the driver does not."""

    def comparable(self, database: sa.Dialect) -> _Key:
        """Return the same order by a value that is compared as it is sorted."""
        dialect = database.name
        kind = _database_type(self.expression.type)
        expression = _plain(self.expression)
        is_enum = isinstance(kind, sa.Enum) and kind.native_enum
        is_number = is_enum or isinstance(kind, mysql.SET | mysql.BIT)
        if dialect in _MYSQL and is_number and _is_stored(self.expression):
            # These databases sort such a value by its number, and compare it as text.
            expression = _plain(sa.type_coerce(expression, sa.Integer) + 0)
        # asyncpg sends values in the type that they are compared with. It has no such
        # texts, and objects of its own for some types.
        needs_type = database.driver == "asyncpg" and not isinstance(kind, _SIMPLE)
        return dc.replace(
            self,
            expression=expression,
            is_float=isinstance(kind, sa.Float),
            text_type=kind if needs_type else None,
        )

    def readable(self, dialect: sa.Dialect) -> sa.ColumnElement[t.Any]:
        """Return an expression whose value compares as the database's own does.

        The type of a column may change values, and drivers round: the value of a
        cursor is neither read nor sent through either.
        """
        if dialect.name == "postgresql" and (
            dialect.driver != "asyncpg" or self.text_type is not None
        ):
            # Its texts are exact, and it reads one in the type it is compared with.
            return sa.cast(self.expression, sa.Text())
        if dialect.name in _MYSQL and self.is_float:
            # A float of 4 bytes is sent with 6 digits, a double with all.
            return _plain(sa.type_coerce(self.expression, sa.Float()) + _ZERO)
        return self.expression

    def nulls_first(self, dialect: str) -> bool:
        """Return True if ``NULL`` comes before every value."""
        if self.nulls is not None:
            return self.nulls == "first"
        return self.is_descending == (dialect in _NULL_IS_LARGEST)

    def reversed(self) -> _Key:
        nulls = {"first": "last", "last": "first", None: None}[self.nulls]
        return dc.replace(
            self, is_descending=not self.is_descending, nulls=t.cast("t.Any", nulls)
        )

    def order(self, dialect: str) -> cabc.Iterator[sa.ColumnElement[t.Any]]:
        """Yield the clauses of ``ORDER BY``."""
        expression = self.expression
        clause = expression.desc() if self.is_descending else expression.asc()
        if self.nulls is None:
            yield clause
        elif dialect in _WITHOUT_NULLS_FIRST:
            is_null = sa.case((expression.is_(None), 1), else_=0)
            yield is_null.desc() if self.nulls == "first" else is_null.asc()
            yield clause
        else:
            first = self.nulls == "first"
            yield clause.nulls_first() if first else clause.nulls_last()

    def beyond(self, value: t.Any, dialect: str) -> _Condition:
        """Return the condition of the rows that come after a value."""
        expression = self.expression
        if value is None:
            nulls_first = self.nulls_first(dialect)
            return expression.is_not(None) if nulls_first else sa.false()
        bound = self.bound(value)
        condition: _Condition = expression > bound
        if self.is_descending:
            condition = expression < bound
        if self.is_nullable and not self.nulls_first(dialect):
            condition = sa.or_(condition, expression.is_(None))
        return condition

    def same(self, value: t.Any) -> _Condition:
        if value is None:
            return self.expression.is_(None)
        return self.expression == self.bound(value)

    def bound(self, value: object) -> sa.ColumnElement[t.Any]:
        """Return a parameter to compare with."""
        found = sa.bindparam(None, value, type_=sa.types.NullType(), unique=True)
        if self.text_type is None:
            return found
        return _plain(sa.cast(sa.cast(found, sa.Text()), self.text_type))


def fetch_keyset(
    session: orm.Session,
    statement: sa.Select[t.Any],
    *,
    limit: int,
    signer: itsdangerous.URLSafeSerializer,
    after: str | None = None,
    before: str | None = None,
) -> KeysetPage[t.Any]:
    """Run a statement for the rows after a cursor, or before a cursor.

    :raises CursorInvalid: if the cursor is not for this statement.
    :raises ValueError: if the statement cannot be continued from a row.
    """
    database = session.get_bind(clause=statement).dialect
    dialect = database.name
    keys = [key.comparable(database) for key in _keys(statement)]
    name = _name(statement, keys, f"{dialect}+{database.driver}")
    cursors = CursorFormat(name, len(keys), signer)
    cursor = after if after is not None else before
    position = None if cursor is None else cursors.read(cursor)
    is_backward = after is None and before is not None
    ordered = [key.reversed() for key in keys] if is_backward else keys
    query = statement.order_by(None).order_by(
        *(clause for key in ordered for clause in key.order(dialect))
    )
    if position is not None:
        query = query.where(_beyond(ordered, position, dialect))
    labels = [
        key.readable(database).label(f"flaskware_key_{n}") for n, key in enumerate(keys)
    ]
    width = len(statement.column_descriptions)
    rows, found = _run(session, query.add_columns(*labels).limit(limit + 1), width)
    has_more = len(rows) > limit
    if has_more and tuple(rows[limit - 1][width:]) == tuple(rows[limit][width:]):
        raise ValueError(
            "Rows of the statement are equal in its whole order, so some would be on no"
            " page. Add columns to the order that differ for each row."
        )
    rows, items = rows[:limit], found[:limit]
    if is_backward:
        rows, items = rows[::-1], items[::-1]

    def write(row: sa.Row[t.Any]) -> str:
        return cursors.write(CursorPosition(tuple(row[width:])))

    if rows:
        following = write(rows[-1]) if is_backward or has_more else None
        has_before = has_more if is_backward else position is not None
        preceding = write(rows[0]) if has_before else None
    else:
        # All these rows are gone: back to the row of the cursor, if it still exists.
        back = None
        if position is not None:
            back = cursors.write(dc.replace(position, is_included=True))
        following, preceding = (back, None) if is_backward else (None, back)
    return KeysetPage(items, limit, following, preceding)


def _keys(statement: sa.Select[t.Any]) -> list[_Key]:
    # SQLAlchemy has no public names for these parts of a select.
    parts: t.Any = statement
    if parts._limit_clause is not None or parts._offset_clause is not None:  # noqa: SLF001
        raise ValueError("The statement has a limit or an offset; use limit= instead.")
    if parts._group_by_clauses or parts._distinct:  # noqa: SLF001
        raise ValueError(
            "A grouped or distinct statement has no rows to continue from: select from"
            " it as a subquery, `select(…).select_from(statement.subquery())`."
        )
    is_outer = any(_has_outer_join(part) for part in statement.get_final_froms())
    keys = [_key(clause, is_outer) for clause in parts._order_by_clauses]  # noqa: SLF001
    known = [key.expression for key in keys]
    # Rows that are equal in the whole order would be skipped.
    for column in _primary_key(statement):
        if not any(column.compare(other) for other in known):
            known.append(column)
            keys.append(_Key(column, False, None, is_outer))
    if not keys:
        raise ValueError("The statement has no order and no table with a primary key.")
    return keys


def _has_outer_join(part: sa.FromClause) -> bool:
    nodes: cabc.Iterable[object] = visitors.iterate(part)
    return any(
        isinstance(node, sa.Join) and (node.isouter or node.full) for node in nodes
    )


def _key(clause: t.Any, is_outer: bool) -> _Key:
    is_descending = False
    nulls: t.Any = None
    given = clause
    while True:
        modifier = getattr(clause, "modifier", None)
        if modifier is operators.desc_op:
            is_descending = True
        elif modifier is operators.nulls_first_op:
            nulls = "first"
        elif modifier is operators.nulls_last_op:
            nulls = "last"
        elif modifier is None and getattr(clause, "__visit_name__", None) not in _NAMES:
            break
        clause = clause.element
    if not isinstance(clause, sa.ColumnElement):
        raise ValueError(
            f"The statement is ordered by the name {str(given)!r}. Order by the column"
            " itself, or by an expression of columns."
        )
    column = t.cast("sa.ColumnElement[t.Any]", clause)
    for node in t.cast("cabc.Iterable[t.Any]", visitors.iterate(column)):
        if isinstance(node, sa.Over | sa.FunctionFilter):
            raise ValueError(
                f"The statement is ordered by {column}, which no condition on rows can"
                " name. Give it a label in a subquery, join that, and order by its"
                " column."
            )
        if isinstance(node, sa.Function) and node.name.lower() in _RANDOM:
            raise ValueError(
                f"The statement is ordered by {column}, which differs at each reading."
                " Order by a column."
            )
    # A column of a subquery has the flag of the table's column, and may still be NULL.
    is_nullable = is_outer or not _is_stored(column) or bool(column.nullable)
    return _Key(column, is_descending, nulls, is_nullable)


def _is_stored(expression: sa.ColumnElement[t.Any]) -> t.TypeGuard[sa.Column[t.Any]]:
    """Return True for a column of a table, or of an alias of a table."""
    table: object = getattr(expression, "table", None)
    while isinstance(table, sa.Alias):
        table = t.cast("object", table.element)
    return isinstance(expression, sa.Column) and isinstance(table, sa.Table)


def _database_type(
    type_: sa.types.TypeEngine[t.Any],
) -> sa.types.TypeEngine[t.Any]:
    while isinstance(type_, sa.TypeDecorator):
        type_ = type_.impl_instance
    return type_


def _plain(expression: sa.ColumnElement[t.Any]) -> sa.ColumnElement[t.Any]:
    """Return an expression whose values pass through no type of SQLAlchemy."""
    if not isinstance(expression, sa.ColumnClause):
        # Some dialects write an operator where SQLAlchemy sees a name or a function.
        expression = Grouping(expression)
    return sa.type_coerce(expression, sa.types.NullType())


def _primary_key(statement: sa.Select[t.Any]) -> cabc.Sequence[sa.ColumnElement[t.Any]]:
    entity: t.Any = statement.column_descriptions[0].get("entity")
    parts = statement.get_final_froms()
    if entity is not None:
        inspected: t.Any = sa.inspect(entity)
        mapper: orm.Mapper[t.Any] = inspected.mapper
        names = [mapper.get_property_by_column(one).key for one in mapper.primary_key]
        found = [getattr(entity, name).__clause_element__() for name in names]
        # Without what is loaded by joins: it makes no rows.
        bare: t.Any = statement.with_only_columns(*found, maintain_column_froms=True)
        bare._with_options = ()  # noqa: SLF001 there is no public way to drop options
        parts = bare.get_final_froms()
    else:
        found = list(parts[0].primary_key) if parts else []
    return [*found, *(column for part in parts for column in _keys_of_joins(part))]


def _keys_of_joins(part: sa.FromClause) -> cabc.Iterator[sa.ColumnElement[t.Any]]:
    """Yield the primary keys without which rows of a join may be equal."""
    if not isinstance(part, sa.Join):
        yield from part.primary_key
        return
    yield from _keys_of_joins(part.left)
    fixed = [
        side
        for clause in _conditions(part.onclause)
        if clause.operator is operators.eq
        for side in (clause.left, clause.right)
    ]
    key = list(part.right.primary_key)
    # One row at most is joined where the condition names its whole key.
    if not key or not all(any(column.compare(one) for one in fixed) for column in key):
        yield from _keys_of_joins(part.right)


def _conditions(clause: t.Any) -> cabc.Iterator[sa.BinaryExpression[t.Any]]:
    if isinstance(clause, sa.BinaryExpression):
        yield clause
    elif getattr(clause, "operator", None) is operators.and_:
        for one in clause.clauses:
            yield from _conditions(one)


def _name(statement: sa.Select[t.Any], keys: cabc.Sequence[_Key], driver: str) -> str:
    """Return a hash of a statement without the values that it compares with."""
    order = "".join(
        f"{key.expression}{'<' if key.is_descending else '>'}{key.nulls};"
        for key in keys
    )
    text = f"{statement.order_by(None)}{order}{driver}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _beyond(
    keys: cabc.Sequence[_Key], position: CursorPosition, dialect: str
) -> _Condition:
    """Return the condition of the rows after a position, which can use an index."""
    pairs = list(zip(keys, position.values, strict=True))
    is_uniform = len({key.is_descending for key in keys}) == 1
    if (
        is_uniform
        and dialect in _COMPARES_TUPLES
        and not any(key.is_nullable or value is None for key, value in pairs)
    ):
        row = sa.tuple_(*(key.expression for key in keys))
        values = sa.tuple_(*(key.bound(value) for key, value in pairs))
        condition = row < values if keys[0].is_descending else row > values
    else:
        condition = sa.false()
        for key, value in reversed(pairs):
            condition = sa.or_(
                key.beyond(value, dialect), sa.and_(key.same(value), condition)
            )
    if position.is_included:
        same = sa.and_(*(key.same(value) for key, value in pairs))
        condition = sa.or_(condition, same)
    return condition


def _run(
    session: orm.Session, statement: sa.Select[t.Any], width: int
) -> tuple[cabc.Sequence[sa.Row[t.Any]], cabc.Sequence[t.Any]]:
    """Return the rows with the values for cursors, and the rows without."""
    try:
        frozen = session.execute(statement).freeze()
    except sa_exc.InvalidRequestError:
        # A join loads a collection and so repeats the rows.
        frozen = session.execute(statement).unique().freeze()
    rows = frozen().all()
    if width == 1:
        return rows, [row[0] for row in rows]
    return rows, frozen().columns(*range(width)).all()
