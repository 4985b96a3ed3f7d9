"""Trees of revisions that extensions and blueprints bring, and their order."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import importlib.metadata
import re
import typing as t
from pathlib import Path

import sqlalchemy as sa

from flaskware_alembic._databases.database import as_sync
from flaskware_alembic._errors import MigrationError

ENTRY_POINTS = "flaskware_alembic.trees"
APP = "app"
"""The name of the app's own tree."""

_FIELDS = {"path", "metadata", "engine", "bind", "depends_on"}


@dc.dataclass(frozen=True)
class TreeSpec:
    """The revisions that an extension or blueprint brings.

    :param name: Letters, digits, ``-`` and ``_``; ends the name of its version table.
    :param path: The folder of its revisions.
    :param metadata: Its tables; ``None`` where nothing is to be compared.
    :param depends_on: The trees that are applied before it; ``"app"`` is the app's own.
    :param bind: Which of the app's databases its tables are in.
    :param engine: The database of its tables, where it is none of the app's.
    """

    name: str
    path: Path
    metadata: sa.MetaData | None = None
    depends_on: tuple[str, ...] = ()
    bind: str | None = None
    engine: sa.Engine | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_-]*", self.name) or self.name == APP:
            raise MigrationError(
                f"{self.name!r} is no name for a tree of revisions: it is lower case"
                f" letters, digits, '-' and '_', and {APP!r} is the app's own."
            )
        if self.engine is not None and self.bind is not None:
            raise MigrationError(
                f"The tree {self.name!r} names both an engine and the database"
                f" {self.bind!r}. Leave one of them out."
            )

    @classmethod
    def of(cls, name: str, fields: cabc.Mapping[str, t.Any]) -> TreeSpec:
        """Make a tree of the answer of an entry point.

        :raises MigrationError: naming what is missing or unknown.
        """
        if unknown := sorted(set(fields) - _FIELDS):
            raise MigrationError(
                f"The tree {name!r} has unknown fields: {', '.join(unknown)}."
                f" A tree has {', '.join(sorted(_FIELDS))}."
            )
        if "path" not in fields:
            raise MigrationError(
                f"The tree {name!r} has no 'path': the folder of its revisions."
            )
        depends_on = fields.get("depends_on") or ()
        if isinstance(depends_on, str):
            depends_on = (depends_on,)
        return cls(
            name,
            Path(fields["path"]),
            fields.get("metadata"),
            tuple(depends_on),
            fields.get("bind"),
            None if (engine := fields.get("engine")) is None else as_sync(engine),
        )

    @property
    def is_async(self) -> bool:
        """True if its database is reached by an async driver."""
        return self.engine is not None and self.engine.dialect.is_async


def discover(app: object) -> list[TreeSpec]:
    """Return the trees of installed packages that an app uses.

    An entry point of the group ``flaskware_alembic.trees`` is a callable that takes
    the app and returns the fields of a :class:`TreeSpec` by name, or ``None`` where
    the app does not use the package.

    :raises MigrationError: naming the entry point that cannot be used.
    """
    found: list[TreeSpec] = []
    for point in importlib.metadata.entry_points(group=ENTRY_POINTS):
        try:
            fields: cabc.Mapping[str, t.Any] | None = point.load()(app)
        except Exception as error:
            raise MigrationError(
                f"The tree {point.name!r} of {point.value} cannot be loaded:"
                f" {type(error).__name__}: {error}. Fix or remove the package, or set"
                " ALEMBIC_DISCOVER = False."
            ) from error
        if fields is not None:
            found.append(TreeSpec.of(point.name, fields))
    return found


def in_order(specs: cabc.Iterable[TreeSpec]) -> list[str]:
    """Return the names of the trees, each after those it depends on.

    The app's own, called ``"app"``, comes after every tree that does not depend on it.

    :raises MigrationError: if one depends on itself or on a missing tree.
    """
    from graphlib import CycleError
    from graphlib import TopologicalSorter

    by_name = {spec.name: spec for spec in specs}
    for spec in by_name.values():
        for name in spec.depends_on:
            if name != APP and name not in by_name:
                raise MigrationError(
                    f"The tree {spec.name!r} depends on {name!r}, which is not there;"
                    f" known are {', '.join(sorted({APP, *by_name}))}."
                )
    graph = {spec.name: set(spec.depends_on) for spec in by_name.values()}
    after_app = {APP}
    while more := {n for n, needs in graph.items() if needs & after_app} - after_app:
        after_app |= more
    graph[APP] = set(by_name) - after_app
    sorter = TopologicalSorter(graph)
    try:
        sorter.prepare()
    except CycleError as error:
        circle: list[str] = error.args[1]
        raise MigrationError(
            f"Trees depend on each other in a circle: {' on '.join(circle[::-1])}."
        ) from error
    order: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        order.extend(ready)
        sorter.done(*ready)
    return order
