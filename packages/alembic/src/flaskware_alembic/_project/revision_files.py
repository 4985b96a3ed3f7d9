"""New revision files: one for each database that changed, or one for all of them."""

from __future__ import annotations

import collections.abc as cabc

from alembic.config import Config

from flaskware_alembic._autogenerate.operations import code_of_changes
from flaskware_alembic._autogenerate.renames import OnRename
from flaskware_alembic._errors import UnknownRevision
from flaskware_alembic._results import RevisionInfo
from flaskware_alembic._runtime.migrator import Migrator

from .status import refuse_behind


def write_empty(
    migrators: cabc.Iterable[Migrator], message: str, *, head: str, rev_id: str | None
) -> list[RevisionInfo]:
    """Write a revision to be filled by hand in each folder."""
    return [
        group[0].tree.write(
            message, head=head, rev_id=rev_id, manual=True, config=_config(group)
        )
        for group in _by_folder(migrators)
    ]


def write_changes(
    migrators: cabc.Iterable[Migrator],
    message: str,
    *,
    rev_id: str | None,
    renamed: OnRename | None = None,
) -> list[RevisionInfo]:
    """Write a revision with what changed in each folder where something did.

    :raises PendingRevisions: if a database is behind.
    """
    migrators = list(migrators)
    refuse_behind(migrators)
    groups = _by_folder(migrators)
    # All are compared before the first file is written.
    bodies = {
        id(m): code_of_changes(m.comparison, renamed, m.tree.heads)
        for group in groups
        for m in group
    }
    written: list[RevisionInfo] = []
    for group in groups:
        changed = [(m, body) for m in group if (body := bodies[id(m)]) is not None]
        if not changed:
            continue
        content: dict[str, str] = {}
        for m, body in changed:
            name = m.tree.arguments().get("engine_name")
            prefix = "" if name is None else f"{name}_"
            content[f"{prefix}upgrades"] = body["upgrades"]
            content[f"{prefix}downgrades"] = body["downgrades"]
        content["imports"] = "\n".join(
            sorted(
                {line for _, body in changed for line in body["imports"].split("\n")}
            )
        ).strip()
        written.append(
            group[0].tree.write(
                message, rev_id=rev_id, manual=False, config=_config(group), **content
            )
        )
    return written


def write_merges(
    migrators: cabc.Iterable[Migrator], message: str, revisions: tuple[str, ...]
) -> list[RevisionInfo]:
    """Write a revision that joins heads in each tree that has several.

    :param revisions: The heads to join; all if none are named.
    :raises UnknownRevision: if no tree has all that are named.
    """
    merged: list[RevisionInfo] = []
    for m in migrators:
        heads = revisions or m.tree.heads
        if len(heads) > 1 and all(m.tree.resolves(head) for head in heads):
            merged.append(m.tree.write(message, head=heads, manual=False))
    if revisions and not merged:
        raise UnknownRevision(
            f"No database has all of {', '.join(revisions)} as two or more"
            " revisions. `flask db heads` lists what can be joined."
        )
    return merged


def _by_folder(migrators: cabc.Iterable[Migrator]) -> list[list[Migrator]]:
    groups: dict[object, list[Migrator]] = {}
    for m in migrators:
        groups.setdefault(m.tree.folder if m.tree.is_shared else id(m), []).append(m)
    return list(groups.values())


def _config(group: cabc.Iterable[Migrator]) -> Config:
    """Return the configuration that Alembic's template for several databases reads."""
    names = [m.tree.arguments().get("engine_name", "") for m in group]
    config = Config()
    config.set_main_option("databases", ", ".join(names))
    return config
