"""State of an app: its trees of revisions, and the databases that they move."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import typing as t
from pathlib import Path

from flaskware_alembic._databases.database import Source
from flaskware_alembic._settings import AlembicSettings
from flaskware_core import current_app_object

from .trees import discover
from .trees import TreeSpec

if t.TYPE_CHECKING:
    from flaskware_alembic._revisions.tree import Tree

    from .selection import Selection


@dc.dataclass(eq=False)
class Migrations:
    """Everything that is kept for an app.

    :param directory: The folder of the app's own revisions.
    :param more: Further folders of them.
    :param source: The origin of engines and metadata.
    :param registered: Trees that the app registered, by name.
    """

    directory: Path
    more: tuple[Path, ...]
    settings: AlembicSettings
    source: Source
    registered: cabc.Mapping[str, TreeSpec]

    def __post_init__(self) -> None:
        self._discovered: list[TreeSpec] | None = None
        self._trees: dict[tuple[str | None, str | None], Tree] = {}

    def selection(self) -> Selection:
        """Return every tree with its database; needs an app context.

        :raises MigrationError: if engines or metadata are missing.
        """
        # A worker that only makes the app loads no Alembic.
        from .selection import Selection

        source = self.source.found_in(current_app_object().extensions)
        return Selection.of(self, self.settings, source.databases(), self._specs())

    @property
    def is_async(self) -> bool:
        """True if a database is reached by an async driver."""
        if self.source.found_in(current_app_object().extensions).is_async:
            return True
        return any(spec.is_async for spec in self._specs())

    def tree(self, bind: str | None, spec: TreeSpec | None = None) -> Tree:
        """Return the revisions of a database: the app's own, or those of a package."""
        from flaskware_alembic._revisions.tree import Tree

        key = (bind, spec.name if spec else None)
        tree = self._trees.get(key)
        if tree is None or (spec is not None and tree.folder != spec.path):
            tree = (
                Tree.find(bind, self.directory, self.more)
                if spec is None
                else Tree(bind, spec.path, name=spec.name)
            )
            self._trees[key] = tree
        return tree

    def forget(self) -> None:
        """Forget every file, so that it is read again when it is next needed."""
        self._trees.clear()

    def _specs(self) -> list[TreeSpec]:
        if self._discovered is None:
            app = current_app_object()
            self._discovered = discover(app) if self.settings.discover else []
        by_name = {spec.name: spec for spec in self._discovered} | {**self.registered}
        return list(by_name.values())


def find_directory(root: Path, directory: Path) -> Path:
    """Return the folder of an app's revisions, where it is or will be."""
    found = root / directory
    # Flask-Migrate keeps it in the folder that `flask` is run in, which for an app
    # that is a package is the one above.
    above = root.parent / directory
    if not found.exists() and (above / "env.py").is_file():
        return above
    return found
