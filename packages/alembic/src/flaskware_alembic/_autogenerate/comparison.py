"""A database beside the models that are declared for it."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses as dc
import typing as t

import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext

from flaskware_alembic._databases.database import Database
from flaskware_alembic._databases.database import VersionTable
from flaskware_alembic._settings import AlembicSettings

from .scratch import generated_read

IncludeObject: t.TypeAlias = cabc.Callable[[t.Any, str | None, str, bool, t.Any], bool]
"""Called with an object, its name, its kind, whether the database has it, and the
object that it is compared with."""

IncludeName: t.TypeAlias = cabc.Callable[
    [str | None, str, cabc.Mapping[str, str | None]], bool
]
"""Called with a name in the database, its kind, and the names of what it is part of."""

CompareColumns: t.TypeAlias = cabc.Callable[..., bool | None]
RenderItem: t.TypeAlias = cabc.Callable[[str, t.Any, t.Any], str | t.Literal[False]]
"""Called with a kind, an object and Alembic's context; returns its code, or False."""

ProcessDirectives: t.TypeAlias = cabc.Callable[[t.Any, t.Any, list[t.Any]], None]
"""Called with Alembic's context, the revision that is followed, and the directives."""


@dc.dataclass(frozen=True)
class Hooks:
    """Hooks of Alembic's, each by the name that Alembic gives it.

    Alembic's documentation of ``EnvironmentContext.configure`` says what each gets.
    """

    include_object: IncludeObject | None = None
    include_name: IncludeName | None = None
    compare_type: CompareColumns | None = None
    compare_server_default: CompareColumns | None = None
    render_item: RenderItem | None = None
    process_revision_directives: ProcessDirectives | None = None


@dc.dataclass(frozen=True)
class Comparison:
    """A database and the tables that are compared in it.

    :param versions: Its version table, which no model declares.
    :param claimed: Tables in the database that other trees bring.
    :param made: Returns the tables that the revisions of its tree make.
    :param hooks: Functions of the user.
    """

    database: Database
    versions: VersionTable
    settings: AlembicSettings
    claimed: frozenset[str] = frozenset()
    made: cabc.Callable[[], frozenset[str]] = frozenset
    hooks: Hooks = Hooks()

    @contextlib.contextmanager
    def context(self) -> cabc.Generator[MigrationContext]:
        """Open a context of Alembic that reads the schema of the database.

        :raises DatabaseUnreachable: if the database does not answer.
        """
        with self.database.connect() as connection, contextlib.ExitStack() as stack:
            if connection.dialect.name == "postgresql":
                # Temporary tables are taken back with their transaction.
                connection = connection.execution_options(
                    isolation_level="READ COMMITTED"
                )
            stack.enter_context(generated_read())
            schemas = self._schemas(connection)
            yield MigrationContext.configure(
                connection,
                opts={
                    "target_metadata": self.database.metadata,
                    "compare_type": self.settings.compare_type,
                    "compare_server_default": self.settings.compare_server_default,
                    "render_as_batch": self.database.is_sqlite,
                    "include_schemas": bool(schemas),
                    "include_name": self._name_test(schemas, _partitions(connection)),
                    "include_object": self.includes,
                    **self.versions.options,
                },
            )

    def _schemas(self, connection: sa.Connection) -> frozenset[str]:
        """Return the schemas to compare, besides the default schema."""
        metadata = self.database.metadata
        declared = {
            table.schema
            for table in (metadata.tables.values() if metadata is not None else ())
            if table.key not in self.claimed
        }
        found = {*self.settings.schemas, *filter(None, declared)}
        return frozenset(found - {connection.dialect.default_schema_name})

    def _name_test(
        self, schemas: frozenset[str], partitions: frozenset[str]
    ) -> cabc.Callable[..., bool]:
        """Return the test of names that Alembic asks before it reads a table."""
        metadata = self.database.metadata
        # Partitions that come and go with time are data, unless a model names them.
        data = partitions - set(metadata.tables if metadata is not None else ())

        def is_read(name: str | None, kind: str, parents: t.Any) -> bool:
            if kind == "schema" and name is not None and name not in schemas:
                return False
            if kind == "table" and parents["schema_qualified_table_name"] in data:
                return False
            theirs = self.hooks.include_name
            return theirs is None or theirs(name, kind, parents)

        return is_read

    def includes(
        self,
        item: t.Any,
        name: str | None,
        kind: str,
        reflected: bool,
        other: t.Any = None,
    ) -> bool:
        """True if an object of the models or the database is compared."""
        if kind == "table" and not self._is_ours(item, name, reflected=reflected):
            return False
        theirs = self.hooks.include_object
        return theirs is None or theirs(item, name, kind, reflected, other)

    def _is_ours(self, item: t.Any, name: str | None, *, reflected: bool) -> bool:
        key: str = item.key
        if key in self.claimed:
            return False
        if not reflected:
            return True
        # Version tables of all trees, and the tables beside them.
        if str(name).startswith(self.versions.prefix):
            return False
        declared = self.database.metadata
        if declared is not None and key in declared.tables:
            return True
        # A table that is not in the models may be another program's.
        return key in self.made()


def _partitions(connection: sa.Connection) -> frozenset[str]:
    """Return the keys of tables that are a part of another, on PostgreSQL."""
    if connection.dialect.name != "postgresql":
        return frozenset()
    rows = connection.exec_driver_sql(
        "SELECT n.nspname, c.relname FROM pg_class c"
        " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relispartition"
    )
    default = connection.dialect.default_schema_name
    return frozenset(
        name if schema == default else f"{schema}.{name}" for schema, name in rows
    )
