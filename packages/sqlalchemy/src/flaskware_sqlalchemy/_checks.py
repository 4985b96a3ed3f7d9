"""Checks of the databases for ``flask doctor``."""

from __future__ import annotations

import collections.abc as cabc
import os
import typing as t

import sqlalchemy as sa
from sqlalchemy import exc as sa_exc

from flaskware_core import Finding
from flaskware_core import Level

from ._models.encrypted import EncryptedText
from ._models.model import Metadatas
from ._models.row_security import forgotten_tables
from ._models.row_security import passes_by
from ._models.row_security import secured_tables
from ._models.row_security import state_of_tables
from ._settings import SQLAlchemySettings

Options: t.TypeAlias = cabc.Mapping[str | None, cabc.Mapping[str, t.Any]]
_LIMIT = {
    "mariadb": "SELECT @@max_connections",
    "mysql": "SELECT @@max_connections",
    "postgresql": "SHOW max_connections",
}


def check(
    settings: SQLAlchemySettings,
    engines: cabc.Mapping[str | None, sa.Engine],
    metadatas: Metadatas,
    options_of: Options,
    *,
    deploy: bool,
) -> cabc.Iterator[Finding]:
    """Yield the findings about the databases of an app.

    :param options_of: The options of each engine.
    """
    yield from _models(engines, metadatas)
    yield from _keys(settings, metadatas)
    if deploy:
        yield from _tenants(engines, metadatas)
        yield from _sqlite(engines)
        yield from _pre_ping(options_of, engines)
        yield from _pools(options_of, engines)
        yield from _echo(settings)


def _models(
    engines: cabc.Mapping[str | None, sa.Engine], metadatas: Metadatas
) -> cabc.Iterator[Finding]:
    for key in metadatas:
        if key not in engines and metadatas[key].tables:
            tables = ", ".join(sorted(metadatas[key].tables))
            yield Finding(
                "sqlalchemy.bind-unknown",
                Level.ERROR,
                f"Models name the database {key!r}, which is not configured. Using"
                f" them fails ({tables}).",
                f'SQLALCHEMY_BINDS = {{"{key}": "<URL>"}}, or correct `__bind_key__`.',
            )
    if not any(metadata.tables for metadata in metadatas.values()):
        yield Finding(
            "sqlalchemy.no-models",
            Level.WARNING,
            "No models are known: the modules that declare them were not imported.",
            "Import these modules in the app factory, before or after `init_app`.",
        )
        return
    for key in engines:
        if key not in metadatas or not metadatas[key].tables:
            name = SQLAlchemySettings.key_of(key)
            yield Finding(
                "sqlalchemy.bind-without-models",
                Level.INFO,
                f"No models are known for the database of {name}.",
                "Import the module of its models in the app factory, or remove the"
                " key.",
            )


def _keys(settings: SQLAlchemySettings, metadatas: Metadatas) -> cabc.Iterator[Finding]:
    if settings.encryption_keys:
        return
    columns = [
        f"{table.fullname}.{column.name}"
        for metadata in metadatas.values()
        for table in metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, EncryptedText)
    ]
    if columns:
        yield Finding(
            "sqlalchemy.encryption-keys",
            Level.ERROR,
            f"Columns are encrypted, and there are no keys ({', '.join(columns)}).",
            "SQLALCHEMY_ENCRYPTION_KEYS = [the output of `python -c 'from"
            " cryptography.fernet import Fernet;"
            " print(Fernet.generate_key().decode())'`]",
        )


def _tenants(
    engines: cabc.Mapping[str | None, sa.Engine], metadatas: Metadatas
) -> cabc.Iterator[Finding]:
    for key, engine in engines.items():
        tables = secured_tables(metadatas[key]) if key in metadatas else []
        if not tables or engine.dialect.name != "postgresql":
            continue
        for name in forgotten_tables(metadatas[key]):
            yield Finding(
                "sqlalchemy.tenant-forgotten",
                Level.WARNING,
                f"The table {name} has the column of a tenant and no row-level"
                " security: each tenant sees the rows of all.",
                "Call row_security() for its model, and add its statements to a"
                " migration.",
            )
        try:
            with engine.connect() as connection:
                yield from _policies(connection, tables)
        except (sa_exc.DBAPIError, OSError):
            continue  # another check reports that it does not answer


def _policies(
    connection: sa.Connection, tables: list[sa.Table]
) -> cabc.Iterator[Finding]:
    if passes_by(connection):
        yield Finding(
            "sqlalchemy.tenant-user",
            Level.ERROR,
            "The user of the database is a superuser or has BYPASSRLS: row-level"
            " security does not hold for it.",
            "Connect as a user without both, who need not own the tables.",
        )
    for state in state_of_tables(connection, tables):
        if state.exists and not (state.is_forced and state.has_policy):
            yield Finding(
                "sqlalchemy.tenant-policy",
                Level.ERROR,
                f"The table {state.table} has no policy in the database: each tenant"
                " sees the rows of all.",
                "Run the statements that row_security() returns, in a migration.",
            )


def _sqlite(engines: cabc.Mapping[str | None, sa.Engine]) -> cabc.Iterator[Finding]:
    for key, engine in engines.items():
        if engine.dialect.name == "sqlite":
            yield Finding(
                "sqlalchemy.sqlite",
                Level.WARNING,
                f"{SQLAlchemySettings.key_of(key)} is SQLite: one process writes at a"
                " time, and the file is on the disk of one machine.",
                "Use a database server. If the app runs on one machine and the file is"
                " backed up, silence this check.",
            )


def _pre_ping(
    options_of: Options, engines: cabc.Mapping[str | None, sa.Engine]
) -> cabc.Iterator[Finding]:
    for key, options in options_of.items():
        if engines[key].dialect.name == "sqlite":
            continue
        if options.get("pool_pre_ping", True) is False:
            yield Finding(
                "sqlalchemy.pre-ping",
                Level.WARNING,
                f"pool_pre_ping is off for {SQLAlchemySettings.key_of(key)}: the first"
                " request after the server dropped a connection fails.",
                "Remove pool_pre_ping from the options of this database.",
            )


def _pools(
    options_of: Options, engines: cabc.Mapping[str | None, sa.Engine]
) -> cabc.Iterator[Finding]:
    workers = os.environ.get("WEB_CONCURRENCY", "")
    if not workers.isdecimal():
        return  # the number of processes is not known
    for key, options in options_of.items():
        limit = _connection_limit(engines[key])
        size = options.get("pool_size", 5) + options.get("max_overflow", 10)
        if limit is not None and int(workers) * size > limit:
            yield Finding(
                "sqlalchemy.pool-size",
                Level.WARNING,
                f"WEB_CONCURRENCY = {workers} processes of {size} connections each"
                f" exceed the limit of the server of {SQLAlchemySettings.key_of(key)},"
                f" {limit}.",
                f"Set pool_size and max_overflow to {limit // int(workers)} together,"
                " or put a connection pooler before the server.",
            )


def _connection_limit(engine: sa.Engine) -> int | None:
    """Return the number of connections a server accepts; ``None`` if unknown."""
    statement = _LIMIT.get(engine.dialect.name)
    if statement is None:
        return None
    try:
        with engine.connect() as connection:
            return int(connection.exec_driver_sql(statement).scalar_one())
    except (sa_exc.DBAPIError, OSError):
        return None  # another check reports that it does not answer


def _echo(settings: SQLAlchemySettings) -> cabc.Iterator[Finding]:
    if settings.echo:
        yield Finding(
            "sqlalchemy.echo",
            Level.WARNING,
            "SQLALCHEMY_ECHO logs every statement with its values, which may be"
            " personal data.",
            "SQLALCHEMY_ECHO = False",
        )
