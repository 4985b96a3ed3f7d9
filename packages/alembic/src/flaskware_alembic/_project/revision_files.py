"""New revision files: one for each database that changed, or one for all of them."""

from __future__ import annotations

import collections.abc as cabc

from alembic.config import Config

from flaskware_alembic._autogenerate.enums import execute
from flaskware_alembic._autogenerate.operations import code_of_changes
from flaskware_alembic._autogenerate.renames import OnRename
from flaskware_alembic._errors import MigrationError
from flaskware_alembic._errors import UnknownRevision
from flaskware_alembic._lint.fixes.fix import with_backfill
from flaskware_alembic._lint.fixes.fix import write_contract
from flaskware_alembic._results import OnNote
from flaskware_alembic._results import RevisionInfo
from flaskware_alembic._results import SchemaChange
from flaskware_alembic._revisions.header import read_source
from flaskware_alembic._revisions.revision import rewrite_file
from flaskware_alembic._revisions.tree import Tree
from flaskware_alembic._runtime.migrator import Migrator
from flaskware_alembic._runtime.record import Texts
from flaskware_alembic._schemas.ddl import NotWritable
from flaskware_alembic._schemas.ddl import Writer
from flaskware_alembic._schemas.schema import Item
from flaskware_alembic._transitions.replacement import Contract

from .drift import accept
from .drift import drift_of
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
    in_place: bool = False,
    on_note: OnNote | None = None,
) -> list[RevisionInfo]:
    """Write a revision with what changed in each folder where something did.

    A change that takes two deploys is two revisions, the second held back.

    :param in_place: Write each change as one revision, whatever the settings say.
    :param on_note: Called with a sentence for each change that is not safe in one.
    :raises PendingRevisions: if a database is behind.
    """
    migrators = list(migrators)
    refuse_behind(migrators)
    groups = _by_folder(migrators)
    # All are compared before the first file is written.
    bodies = {
        id(m): code_of_changes(
            m.comparison,
            renamed,
            m.tree.heads,
            rolling=m.settings.rolling and not (in_place or m.tree.is_shared),
        )
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
            content[f"{prefix}upgrades"] = body.code["upgrades"]
            content[f"{prefix}downgrades"] = body.code["downgrades"]
            for phrase in body.kept:
                if on_note is not None:
                    on_note(
                        f"{phrase}, so it is changed in place: code that is older fails"
                        " from the upgrade on."
                    )
        lines = {
            line for _, body in changed for line in body.code["imports"].split("\n")
        }
        imports = content["imports"] = "\n".join(sorted(lines)).strip()
        tree = group[0].tree
        first = tree.write(
            message, rev_id=rev_id, manual=False, config=_config(group), **content
        )
        written.append(first)
        contract = changed[0][1].contract
        if contract is not None:
            written[-1:] = _completed(tree, first, contract, imports, rev_id)
    return written


def _completed(
    tree: Tree,
    first: RevisionInfo,
    contract: Contract,
    imports: str,
    rev_id: str | None,
) -> list[RevisionInfo]:
    """Add the backfill of a revision, and write the revision that completes it."""
    text = with_backfill(read_source(first.path), contract.backfill)
    if text is None:
        first.path.unlink()
        raise MigrationError(
            "The template script.py.mako has no function `upgrade` to put a backfill"
            " before. Write one, or add --in-place."
        )
    rewrite_file(first.path, text)
    second = tree.write(
        contract.message,
        rev_id=None if rev_id is None else f"{rev_id}_contract",
        manual=True,
        upgrades=contract.body,
        downgrades=contract.downgrade,
        imports=imports,
    )
    write_contract(second.path, contract, first.id)
    return [tree.info(first.id), tree.info(second.id)]


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


def write_drift(migrators: cabc.Iterable[Migrator], message: str) -> list[RevisionInfo]:
    """Write what was changed by hand as revisions, which the databases then have.

    :raises MigrationError: if a change cannot be written as SQL.
    :raises PendingRevisions: if a database is behind.
    """
    migrators = list(migrators)
    refuse_behind(migrators)
    written: list[RevisionInfo] = []
    for m in migrators:
        changes = drift_of(m).changes
        if not changes:
            continue
        with m.database.connect() as connection:
            present = m.record.present(connection, in_order=True)
            recorded, _ = m.record.read(connection)
        after = dict(present.texts) if present is not None else {}
        before = _undone(after, recorded, changes)
        writer = Writer(m.database.engine.dialect)
        try:
            code = {
                "upgrades": _code(writer.changes(before, after)),
                "downgrades": _code(writer.changes(after, before)),
            }
        except NotWritable as error:
            raise MigrationError(
                f"This cannot be written as a revision: {error}. Write it by hand, or"
                " undo it in the database."
            ) from error
        info = m.tree.write(message, **code)
        # It is there already.
        m.move(info.id, "stamp")
        accept(m)
        written.append(info)
    return written


def _undone(
    present: cabc.Mapping[Item, str], recorded: Texts, changes: tuple[SchemaChange, ...]
) -> dict[Item, str]:
    """Return a schema as it was before some changes."""
    found = dict(present)
    for change in changes:
        item = Item(change.kind, change.table, change.name)
        found.pop(item, None)
        if change.recorded is not None:
            found[item] = change.recorded
            if item.kind == "table" and change.present is None:
                parts = (i for i in recorded.items() if i[0].table == item.table)
                found.update((i, text) for i, text in parts if text is not None)
    return found


def _code(statements: cabc.Iterable[str]) -> str:
    return "\n    ".join(execute(statement) for statement in statements)


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
