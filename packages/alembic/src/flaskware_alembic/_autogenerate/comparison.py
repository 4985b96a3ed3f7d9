"""A database beside the models that are declared for it."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses as dc
import typing as t

from alembic.runtime.migration import MigrationContext

from flaskware_alembic._databases.database import Database
from flaskware_alembic._databases.database import VersionTable
from flaskware_alembic._settings import AlembicSettings

from .enums import is_default_changed
from .enums import is_type_changed


@dc.dataclass(frozen=True)
class Comparison:
    """A database and the tables that are compared in it.

    :param versions: Its version table, which no model declares.
    :param claimed: Tables in the database that other trees bring.
    """

    database: Database
    versions: VersionTable
    settings: AlembicSettings
    claimed: frozenset[str] = frozenset()

    @contextlib.contextmanager
    def context(self) -> cabc.Generator[MigrationContext]:
        """Open a context of Alembic that reads the schema of the database.

        :raises DatabaseUnreachable: if the database does not answer.
        """
        with self.database.connect() as connection:
            yield MigrationContext.configure(
                connection,
                opts={
                    "target_metadata": self.database.metadata,
                    "compare_type": self.settings.compare_type and is_type_changed,
                    "compare_server_default": self.settings.compare_server_default
                    and is_default_changed,
                    "render_as_batch": self.database.is_sqlite,
                    "include_object": self._is_compared,
                    **self.versions.options,
                },
            )

    def _is_compared(
        self, item: t.Any, name: str | None, kind: str, reflected: bool, *_: object
    ) -> bool:
        if kind != "table":
            return True
        key: str = item.key
        if key in self.claimed:
            return False
        if not reflected:
            return True
        # Version tables of all trees, and the tables beside them.
        if str(name).startswith(self.versions.prefix):
            return False
        declared = self.database.metadata
        is_own = self.versions.tree is None
        return is_own or (declared is not None and key in declared.tables)
