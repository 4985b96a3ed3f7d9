"""What is kept for an app, and where its revisions are."""

from __future__ import annotations

import collections.abc as cabc
import typing as t
from pathlib import Path

from .trees import TreeSpec

if t.TYPE_CHECKING:
    from flaskware_alembic._revisions.tree import Tree

Names: t.TypeAlias = cabc.Collection[str] | None
Binds: t.TypeAlias = cabc.Collection[str | None] | None


class Migrations:
    """What is kept for an app.

    :param directory: The folder of the app's own revisions.
    :param more: Further folders of them.
    """

    def __init__(self, directory: Path, more: cabc.Iterable[Path] = ()) -> None:
        self.directory = directory
        self.discovered: list[TreeSpec] | None = None
        self._more = tuple(more)
        self._trees: dict[tuple[str | None, str | None], Tree] = {}

    def tree(self, bind: str | None, spec: TreeSpec | None = None) -> Tree:
        """The revisions of a database, the app's own or those that a package brings."""
        # As in _moving.py.
        from flaskware_alembic._revisions.tree import Tree

        key = (bind, spec.name if spec else None)
        tree = self._trees.get(key)
        if tree is None or (spec is not None and tree.folder != spec.path):
            tree = (
                Tree.find(bind, self.directory, self._more)
                if spec is None
                else Tree(bind, spec.path, name=spec.name)
            )
            self._trees[key] = tree
        return tree

    def forget(self) -> None:
        """Read every file anew when it is next needed."""
        self._trees.clear()


def find_directory(root: Path, directory: Path) -> Path:
    """The folder of an app's revisions, where it is or will be."""
    found = root / directory
    # Flask-Migrate keeps it in the folder that `flask` is run in, which for an app
    # that is a package is the one above.
    above = root.parent / directory
    if not found.exists() and (above / "env.py").is_file():
        return above
    return found
