"""Tenants: other schemas for the models and for SQL as text, or rows of their own."""

from __future__ import annotations

import dataclasses as dc
import re
import typing as t

import sqlalchemy as sa
from sqlalchemy import event

from flaskware_sqlalchemy._errors import SchemaUnusable

_BEFORE = "flaskware_sqlalchemy_schema_before"
ROW_SETTING = "flaskware.tenant"
"""The setting of PostgreSQL that has the tenant of a transaction."""

_ROW = re.compile(r"[\w.:@/+-]{1,200}").fullmatch
_MYSQL = {"mariadb", "mysql"}
_NAMES_TABLES = re.compile(
    r"\s*\(*\s*(?:SELECT|INSERT|UPDATE|DELETE|REPLACE|WITH|MERGE)\b", re.IGNORECASE
).match


@dc.dataclass(frozen=True)
class Tenant:
    """The schemas that a block uses, and the tenant whose rows it sees.

    :param schemas: Pairs of a schema of the models and the schema to use instead.
    :param shared: Schemas in which SQL as text finds what the first does not have.
    :param row: The tenant of the rows; ``None`` for none.
    """

    schemas: tuple[tuple[str | None, str | None], ...]
    shared: tuple[str, ...] = ()
    row: str | None = None

    def apply(self, engine: sa.Engine, **options: t.Any) -> sa.Engine:
        """Return an engine with the same connections, which uses these schemas.

        SQLAlchemy translates the tables that it knows. For all other names, as in SQL
        as text and in functions, the schema is set for each transaction.

        :param options: Further execution options.
        """
        schemas = dict(self.schemas)
        if schemas:
            options["schema_translate_map"] = schemas
        made = engine.execution_options(**options)
        name = engine.dialect.name
        if self.row is not None:
            if name != "postgresql":
                raise SchemaUnusable(
                    f"db.tenant(…) needs the row-level security of PostgreSQL, which"
                    f" {name} does not have. Use `db.schemas()`, or a database for"
                    " each tenant."
                )
            event.listen(made, "begin", self._set_row)
        default = schemas.get(None)
        if default is None:
            return made
        if name == "postgresql":
            event.listen(made, "begin", self._set_path)
        elif name in _MYSQL:
            event.listen(made, "begin", self._use)
        else:
            event.listen(made, "before_cursor_execute", _refuse_text)
        if name in {"postgresql", *_MYSQL} and not event.contains(
            engine, "checkin", _restore
        ):
            event.listen(engine, "checkin", _restore)
        return made

    def _quoted(self, connection: sa.Connection) -> list[str]:
        quote = connection.dialect.identifier_preparer.quote_identifier
        default = t.cast("str", dict(self.schemas)[None])
        return [quote(name) for name in (default, *self.shared)]

    def _set_row(self, connection: sa.Connection) -> None:
        if _is_autocommit(connection):
            raise SchemaUnusable(
                "A connection in AUTOCOMMIT has no transaction that a tenant could be"
                " set for. Use another isolation level in a block of db.tenant(…)."
            )
        # The name has no quotes in it. It ends with the transaction, so that a pooler
        # cannot hand it on.
        connection.exec_driver_sql(f"SET LOCAL {ROW_SETTING} TO '{self.row}'")

    def _set_path(self, connection: sa.Connection) -> None:
        path = ", ".join(self._quoted(connection))
        scope = "LOCAL"
        if _is_autocommit(connection):
            # There is no transaction to set it for: the pool sets it back.
            scope = "SESSION"
            before = connection.exec_driver_sql("SHOW search_path").scalar_one()
            connection.info.setdefault(_BEFORE, f"SET SESSION search_path TO {before}")
        connection.exec_driver_sql(f"SET {scope} search_path TO {path}")

    def _use(self, connection: sa.Connection) -> None:
        before = connection.exec_driver_sql("SELECT DATABASE()").scalar_one()
        quote = connection.dialect.identifier_preparer.quote_identifier
        connection.info.setdefault(_BEFORE, f"USE {quote(before)}")
        connection.exec_driver_sql(f"USE {self._quoted(connection)[0]}")


def _is_autocommit(connection: sa.Connection) -> bool:
    dbapi = connection.connection.dbapi_connection
    return getattr(dbapi, "autocommit", False) is True


def row_name(tenant: object) -> str:
    """Return a tenant as PostgreSQL gets it.

    :raises ValueError: if it has characters other than those of ids and of names.
    """
    text = str(tenant)
    if not _ROW(text):
        raise ValueError(
            f"{text!r} is no id of a tenant: letters, digits and . : @ / + - _, at"
            " most 200."
        )
    return text


def _restore(dbapi: t.Any, record: t.Any) -> None:
    statement = record.info.pop(_BEFORE, None)
    if dbapi is not None and statement is not None:
        cursor = dbapi.cursor()
        cursor.execute(statement)
        cursor.close()
        dbapi.commit()  # PostgreSQL undoes a SET with its transaction


def _refuse_text(
    connection: sa.Connection,
    _cursor: object,
    statement: str,
    _parameters: object,
    context: t.Any,
    _many: bool,
) -> None:
    if getattr(context, "is_text", True) and _NAMES_TABLES(statement):
        raise SchemaUnusable(
            f"SQL as text in a block of db.schemas(…) would use the default schema of"
            f" {connection.dialect.name}. Write the statement with the models or their"
            " tables."
        )
