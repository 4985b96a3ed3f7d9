"""Declared tables as the database would have them: temporary copies, read back.

A database writes a default, a condition or a type in its own words. Alembic compares
those with what SQLAlchemy would send, and corrects the differences that it knows. Here
the database writes both sides. Atlas and migra do the same, with a whole database that
they need rights to make; neither is a library for Python with SQLAlchemy's models.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses as dc
import typing as t
import warnings

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy import exc as sa_exc

from flaskware_alembic._sql.tokens import Reader
from flaskware_alembic._sql.tokens import statements

SCRATCH_NAME = "flaskware_alembic_scratch"
CHECK_PREFIX = "flaskware_check_"


@dc.dataclass(frozen=True)
class ColumnText:
    """A column in the words of the database.

    :param default: The default, or ``None``.
    :param computed: The expression of a generated column, and whether it is stored.
    """

    type: str
    default: str | None = None
    computed: tuple[str, bool] | None = None


@dc.dataclass(frozen=True)
class TableText:
    """A table in the words of the database.

    :param columns: By name.
    :param checks: Conditions by the name of the constraint; ``None`` is no name.
    :param indexes: Definitions by name, without the names of index and table.
    :param exclusions: Definitions of exclusion constraints by name.
    """

    columns: cabc.Mapping[str, ColumnText]
    checks: tuple[tuple[str | None, str], ...] = ()
    indexes: cabc.Mapping[str, str] = dc.field(default_factory=dict[str, str])
    exclusions: cabc.Mapping[str, str] = dc.field(default_factory=dict[str, str])


class Scratch:
    """Reader of tables, present and declared.

    :param connection: Of the database. PostgreSQL, MySQL and MariaDB make temporary
        tables on it, which are dropped again; SQLite makes them in memory.
    """

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._dialect = connection.dialect
        self._present: dict[tuple[str | None, str], TableText | None] = {}
        self._declared: dict[sa.Table, TableText | None] = {}
        self._alone: dict[sa.Column[t.Any], ColumnText | None] = {}
        self._copied: dict[sa.Table, set[sa.Column[t.Any]]] = {}
        self._refused = False

    def present(self, name: str, schema: str | None) -> TableText | None:
        """Return a table of the database, ``None`` if it is not there."""
        key = (schema, name)
        if key not in self._present:
            try:
                self._present[key] = self._read(self._connection, name, schema)
            except sa_exc.NoSuchTableError:
                self._present[key] = None
        return self._present[key]

    def declared(self, table: sa.Table) -> TableText | None:
        """Return a declared table as the database would have it.

        ``None`` means that the database does not make it now, such as where a type is
        missing that the same revision makes.
        """
        if table not in self._declared:
            made = self._made(table, [*table.columns])
            if made is None and not self._refused:
                # A type or a sequence may come with the same revision.
                made = self._made(table, self._makeable(table))
            self._declared[table] = made
        return self._declared[table]

    def _whole(self, table: sa.Table) -> cabc.Collection[sa.Column[t.Any]]:
        """Return the columns of a table that its copy has as they are declared."""
        return self._copied.get(table, ())

    def _makeable(self, table: sa.Table) -> list[sa.Column[t.Any]]:
        """Return the columns of a table that can be made now, some without default."""
        found: list[sa.Column[t.Any]] = []
        for column in table.columns:
            if self._made(table, [column], alone=True) is not None:
                found.append(column)
            elif isinstance(column.server_default, sa.Computed):
                # It can be made beside the columns that it is made of.
                found.append(column)
            else:
                bare = sa.Column(column.name, column.type)
                if self._made(table, [bare], alone=True) is not None:
                    found.append(bare)
        return found

    def column(self, column: sa.Column[t.Any]) -> ColumnText | None:
        """Return a declared column as the database would have it, if it can."""
        table = self.declared(column.table)
        if table is not None and column in self._whole(column.table):
            return table.columns.get(column.name)
        if column not in self._alone:
            made = self._made(column.table, [column], alone=True)
            self._alone[column] = made.columns.get(column.name) if made else None
        return self._alone[column]

    def casts(self, was: str, becomes: str) -> bool:
        """True if PostgreSQL changes the type of a column by itself.

        :param was: The old type, as SQL.
        """
        try:
            with self._place() as connection:
                for statement in (
                    f"CREATE TEMPORARY TABLE {SCRATCH_NAME} (c {was})",
                    f"ALTER TABLE {SCRATCH_NAME} ALTER COLUMN c TYPE {becomes}",
                ):
                    connection.exec_driver_sql(statement)
        except sa_exc.SQLAlchemyError:
            return False
        return True

    def _made(
        self,
        table: sa.Table,
        columns: list[sa.Column[t.Any]],
        *,
        alone: bool = False,
    ) -> TableText | None:
        if self._refused:
            return None
        copy, more = _copy_of(table, columns, self._dialect, alone=alone)
        try:
            with self._place() as connection:
                connection.execute(sa.schema.CreateTable(copy))
                for statement in more:
                    connection.execute(statement)
                schema = "pg_temp" if self._dialect.name == "postgresql" else None
                found = self._read(connection, SCRATCH_NAME, schema)
                if not alone:
                    self._copied[table] = set(columns)
                return found
        except sa_exc.SQLAlchemyError as error:
            # Without the right to make temporary tables, each would fail like this.
            self._refused = _is_refusal(error)
            return None

    @contextlib.contextmanager
    def _place(self) -> cabc.Generator[sa.Connection]:
        """Open where temporary tables are made, and leave nothing there."""
        if self._dialect.name == "sqlite":
            # Its own functions and collations are not needed to make a table.
            engine = sa.create_engine("sqlite://")
            try:
                with engine.connect() as connection:
                    yield connection
            finally:
                engine.dispose()
            return
        if self._dialect.name == "postgresql":
            with self._connection.begin_nested() as savepoint:
                yield self._connection
                savepoint.rollback()
            return
        try:
            yield self._connection
        finally:
            drop = f"DROP TEMPORARY TABLE IF EXISTS {SCRATCH_NAME}"
            with contextlib.suppress(sa_exc.SQLAlchemyError):
                self._connection.exec_driver_sql(drop)

    def _read(
        self, connection: sa.Connection, name: str, schema: str | None
    ) -> TableText:
        if self._dialect.name == "postgresql":
            return _read_postgresql(connection, name, schema)
        return _read_inspected(connection, name, schema)


def same_words(one: str, other: str, dialect: sa.Dialect) -> bool:
    """True if two pieces of SQL differ only in spaces, quotes and outer brackets."""
    name = dialect.name
    return one == other or words_of(one, name) == words_of(other, name)


def words_of(text: str, dialect: str) -> list[str]:
    """Return the words of a piece of SQL, the same for other layout and quotes.

    :param dialect: The name of SQLAlchemy's dialect.
    """
    name = {"mariadb": "mysql"}.get(dialect, dialect)
    if name not in {"postgresql", "mysql", "sqlite"}:
        return text.split()
    words = [
        # A name is the same quoted or not; a text is not.
        token.text if token.kind == "string" else token.identifier.lower()
        for statement in statements(text, name)
        for token in statement
    ]
    while _is_bracketed(words):
        words = words[1:-1]
    return words


def _is_bracketed(words: list[str]) -> bool:
    if len(words) < 2 or words[0] != "(" or words[-1] != ")":
        return False
    depth = 0
    for at, word in enumerate(words):
        depth += (word == "(") - (word == ")")
        if depth == 0:
            return at == len(words) - 1
    return False


def _copy_of(
    table: sa.Table,
    columns: list[sa.Column[t.Any]],
    dialect: sa.Dialect,
    *,
    alone: bool,
) -> tuple[sa.Table, list[t.Any]]:
    """Return a temporary table of the same columns, and what is made after it."""
    is_sqlite, is_postgresql = (
        dialect.name == name for name in ("sqlite", "postgresql")
    )
    # In one namespace, the name of an index or a check of MySQL may be taken.
    prefixes = [] if is_sqlite else ["TEMPORARY"]
    copied = sa.MetaData()
    items: list[t.Any] = [_plain(column, dialect) for column in columns]
    copy = sa.Table(SCRATCH_NAME, copied, *items, prefixes=prefixes)
    more: list[t.Any] = []
    if alone:
        return copy, more
    for at, check in enumerate(checks_of(table)):
        copy.append_constraint(
            sa.CheckConstraint(text_of(check.sqltext, dialect), name=check_name(at))
        )
    if is_sqlite or is_postgresql:
        for at, index in enumerate(indexes_of(table, dialect)):
            more.append(_index_on(index, copy, index_name(at)))
    if is_postgresql:
        for constraint in exclusions_of(table):
            made = constraint._copy(target_table=copy)  # noqa: SLF001
            copy.append_constraint(made)
    return copy, more


def check_name(at: int) -> str:
    """Return the name of a check of the copy, by its place in :func:`checks_of`."""
    return f"{CHECK_PREFIX}{at}"


def index_name(at: int) -> str:
    """Return the name of an index of the copy, by its place in :func:`indexes_of`."""
    return f"flaskware_index_{at}"


def checks_of(table: sa.Table) -> list[sa.CheckConstraint]:
    """Return the declared checks of a table that belong to no type, in an order."""
    found = [
        constraint
        for constraint in table.constraints
        if isinstance(constraint, sa.CheckConstraint)
        and not getattr(constraint, "_type_bound", False)
    ]
    return sorted(found, key=lambda check: (str(check.name or ""), str(check.sqltext)))


def indexes_of(table: sa.Table, dialect: sa.Dialect) -> list[sa.Index]:
    """Return the declared indexes of a table that a database has, in an order."""
    return sorted(
        (index for index in table.indexes if not _is_for_others(index, dialect)),
        key=lambda index: str(index.name),
    )


def _is_for_others(index: sa.Index, dialect: sa.Dialect) -> bool:
    ddl_if = getattr(index, "_ddl_if", None)
    # Only its own visitor asks whether an index is for a database.
    return ddl_if is not None and not ddl_if._should_execute(  # noqa: SLF001
        sa.schema.CreateIndex(index), index, None, dialect=dialect
    )


def exclusions_of(table: sa.Table) -> list[t.Any]:
    """Return the declared exclusion constraints of PostgreSQL."""
    from sqlalchemy.dialects.postgresql import ExcludeConstraint

    return [c for c in table.constraints if isinstance(c, ExcludeConstraint)]


def text_of(clause: t.Any, dialect: sa.Dialect) -> str:
    """Return an expression as SQL, with its values in it."""
    options = {"literal_binds": True, "include_table": False}
    return str(clause.compile(dialect=dialect, compile_kwargs=options))


def _plain(column: sa.Column[t.Any], dialect: sa.Dialect) -> sa.Column[t.Any]:
    """Return a column without its keys, references and uniqueness."""
    default: t.Any = column.server_default
    if isinstance(default, sa.Computed):
        kept: t.Any = sa.Computed(
            text_of(default.sqltext, dialect), persisted=default.persisted
        )
    elif isinstance(default, sa.DefaultClause):
        kept = sa.DefaultClause(t.cast("t.Any", default.arg))
    else:
        kept = None
    # The copy makes no number for it.
    arguments: list[t.Any] = [] if kept is None else [kept]
    return sa.Column(
        column.name,
        column.type,
        *arguments,
        nullable=column.nullable,
        autoincrement=False,
        key=column.name,
    )


def _index_on(index: sa.Index, table: sa.Table, name: str) -> sa.schema.CreateIndex:
    copied = sa.Index(
        name,
        *(_on(expression, table) for expression in index.expressions),
        unique=index.unique,
        **{
            key: _on(value, table) if isinstance(value, sa.ClauseElement) else value
            for key, value in index.dialect_kwargs.items()
        },
        _table=table,
    )
    return sa.schema.CreateIndex(copied)


def _on(expression: t.Any, table: sa.Table) -> t.Any:
    """Return an expression with the columns of another table of the same columns."""
    if isinstance(expression, str):
        return expression
    from sqlalchemy.sql import visitors

    def replaced(element: t.Any, **_: t.Any) -> t.Any:
        if isinstance(element, sa.Column):
            return table.columns[element.name]
        return None

    traverse: t.Any = t.cast("t.Any", visitors).replacement_traverse
    return traverse(expression, {}, replaced)


def _is_refusal(error: sa_exc.SQLAlchemyError) -> bool:
    original: t.Any = getattr(error, "orig", None)
    # PostgreSQL: insufficient_privilege, read_only_sql_transaction. MySQL, MariaDB:
    # ER_DBACCESS_DENIED_ERROR, ER_OPTION_PREVENTS_STATEMENT.
    codes = {getattr(original, name, None) for name in ("sqlstate", "pgcode")}
    codes.update(getattr(original, "args", ())[:1])
    return bool(codes & {"42501", "25006", 1044, 1290})


_COLUMNS = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod), quote_ident(c.collname),
       pg_get_expr(d.adbin, d.adrelid), a.attgenerated::text
FROM pg_attribute a
JOIN pg_type y ON y.oid = a.atttypid
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
LEFT JOIN pg_collation c ON c.oid = a.attcollation AND a.attcollation <> y.typcollation
WHERE a.attrelid = CAST(:name AS regclass) AND a.attnum > 0 AND NOT a.attisdropped
"""
_CONSTRAINTS = """
SELECT contype::text, conname, pg_get_expr(conbin, conrelid),
       pg_get_constraintdef(oid)
FROM pg_constraint WHERE conrelid = CAST(:name AS regclass) AND contype IN ('c', 'x')
"""
_INDEXES = """
SELECT c.relname, pg_get_indexdef(i.indexrelid), i.indisunique
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = CAST(:name AS regclass)
"""


def _read_postgresql(
    connection: sa.Connection, name: str, schema: str | None
) -> TableText:
    quote = connection.dialect.identifier_preparer.quote_identifier
    full = ".".join(quote(part) for part in (schema, name) if part)

    def rows(query: str) -> cabc.Sequence[t.Any]:
        return connection.execute(sa.text(query), {"name": full}).all()

    exists = sa.text("SELECT to_regclass(:name) IS NOT NULL")
    if not connection.scalar(exists, {"name": full}):
        raise sa_exc.NoSuchTableError(full)
    columns: dict[str, ColumnText] = {}
    for column, kind, collation, expression, generated in rows(_COLUMNS):
        kind = f"{kind} COLLATE {collation}" if collation else kind
        if generated:
            computed = (expression, generated == "s")
            columns[column] = ColumnText(kind, None, computed)
        else:
            columns[column] = ColumnText(kind, expression)
    constraints = rows(_CONSTRAINTS)
    return TableText(
        columns,
        tuple(sorted((r[1], r[2]) for r in constraints if r[0] == "c")),
        {
            row[0]: f"{'UNIQUE ' if row[2] else ''}{row[1].partition(' USING ')[2]}"
            for row in rows(_INDEXES)
        },
        {row[1]: row[3] for row in constraints if row[0] == "x"},
    )


def _read_inspected(
    connection: sa.Connection, name: str, schema: str | None
) -> TableText:
    inspector = sa.inspect(connection)
    dialect = connection.dialect
    columns: dict[str, ColumnText] = {}
    expressions = _generated_in(connection, name, schema)
    with warnings.catch_warnings():
        # A type that SQLAlchemy does not know is compared as its name.
        warnings.simplefilter("ignore", sa_exc.SAWarning)
        for column in inspector.get_columns(name, schema):
            kind = str(column["type"].compile(dialect=dialect))
            computed = column.get("computed")
            columns[column["name"]] = ColumnText(
                kind,
                None if computed else column["default"],
                (
                    expressions.get(column["name"], computed["sqltext"]),
                    bool(computed.get("persisted")),
                )
                if computed
                else None,
            )
        checks = inspector.get_check_constraints(name, schema)
    return TableText(
        columns,
        tuple((check["name"], check["sqltext"]) for check in checks),
        _sqlite_indexes(connection, name, schema) if dialect.name == "sqlite" else {},
    )


@contextlib.contextmanager
def generated_read() -> cabc.Generator[None]:
    """Let reflection find the expression of each generated column of SQLite.

    SQLAlchemy takes all to the last bracket of the table for it. It counts for the
    whole process; the environment of Alembic does so, too.
    """

    def reflected(inspector: sa.Inspector, table: sa.Table, column: t.Any) -> None:
        with contextlib.ExitStack() as stack:
            bind = inspector.bind
            if not column.get("computed") or bind.dialect.name != "sqlite":
                return
            if isinstance(bind, sa.Engine):
                bind = stack.enter_context(bind.connect())
            found = _generated_in(bind, table.name, table.schema)
            if column["name"] in found:
                column["computed"]["sqltext"] = found[column["name"]]

    event.listen(sa.Table, "column_reflect", reflected)
    try:
        yield
    finally:
        event.remove(sa.Table, "column_reflect", reflected)


def _generated_in(
    connection: sa.Connection, name: str, schema: str | None
) -> dict[str, str]:
    """Return the expressions of the generated columns of a table of SQLite."""
    if connection.dialect.name != "sqlite":
        return {}
    quote = connection.dialect.identifier_preparer.quote_identifier
    place = f"{quote(schema)}." if schema else ""
    query = sa.text(
        f"SELECT sql FROM {place}sqlite_master"  # noqa: S608
        " WHERE type = 'table' AND lower(name) = lower(:name)"
    )
    text = str(connection.scalar(query, {"name": name}) or "")
    if not text:
        return {}
    reader = Reader(next(statements(text, "sqlite")), "sqlite")
    reader.seek("TABLE")
    reader.name()
    found: dict[str, str] = {}
    for part in reader.brackets():
        column = reader.part(part)
        known = column.next().identifier
        if column.seek("AS") and (inside := column.bracketed()):
            found[known] = text[inside[0].start : inside[-1].end]
    return found


def _sqlite_indexes(
    connection: sa.Connection, name: str, schema: str | None
) -> dict[str, str]:
    quote = connection.dialect.identifier_preparer.quote_identifier
    place = f"{quote(schema)}." if schema else ""
    query = sa.text(
        f"SELECT name, sql FROM {place}sqlite_master"  # noqa: S608
        " WHERE type = 'index' AND tbl_name = :name AND sql IS NOT NULL"
    )
    found: dict[str, str] = {}
    for index, sql in connection.execute(query, {"name": name}):
        head, _, rest = str(sql).partition("(")
        found[index] = f"{'UNIQUE ' if 'UNIQUE' in head.upper() else ''}({rest}"
    return found
