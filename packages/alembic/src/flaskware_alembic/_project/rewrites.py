"""Rewrites of history: a branch put after another, or many revisions squashed."""

from __future__ import annotations

import collections.abc as cabc
import json
import re
import textwrap
import typing as t
from pathlib import Path

import sqlalchemy as sa
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext

from flaskware_alembic._autogenerate.operations import code_of_operations
from flaskware_alembic._errors import MigrationError
from flaskware_alembic._errors import SeveralHeads
from flaskware_alembic._lint.recording import record
from flaskware_alembic._lint.recording import Recorded
from flaskware_alembic._results import RevisionInfo
from flaskware_alembic._revisions.checksum import checksums_of
from flaskware_alembic._revisions.header import read_source
from flaskware_alembic._revisions.revision import rewrite_file
from flaskware_alembic._runtime.migrator import Migrator


def rebase(migrator: Migrator, head: str, onto: str | None) -> RevisionInfo | None:
    """Make the line that ends in a head follow another head.

    :returns: The first revision of the line, whose file was changed; ``None`` where
        there is one line already.
    :raises MigrationError: if the database has a part of the line.
    """
    tree = migrator.tree
    heads = tree.heads
    if len(heads) < 2:
        return None
    id = tree.resolve(head)
    others = [other for other in heads if other != id]
    if id not in heads or (onto is None and len(others) > 1):
        raise SeveralHeads(
            f"Which line goes after which? The heads are {', '.join(heads)}: name the"
            " head of the line to move, and with --onto the head that it follows."
        )
    target = tree.resolve(onto) if onto is not None else others[0]
    line = _line(migrator, id, target)
    before = line[-1].down[0] if line[-1].down else "base"
    applied = migrator.position.applied(migrator.position.current())
    if here := [info for info in line if info.id in applied]:
        raise MigrationError(
            f"The database {migrator.database.name!r} has revision {here[0]}, which"
            f" would then follow {target}, and the database would never get {target}."
            f" Take it back first: flask db downgrade {before}"
        )
    first = line[-1]
    _replace_parent(first.path, target)
    return tree.info(first.id)


def squash(migrator: Migrator, target: str, message: str) -> RevisionInfo:
    """Replace all revisions up to a target by a single one, with the id of the last.

    The old files go into the folder ``squashed`` beside it. A database that is half
    way through them is taken along them first.

    :raises MigrationError: if a revision does what cannot be written down again.
    """
    tree = migrator.tree
    id = tree.resolve(target)
    replaced = _ancestors(migrator, id)
    infos = [info for info in reversed(tree.infos()) if info.id in replaced]
    if len(infos) < 2:
        raise MigrationError(f"There is nothing before {id} to squash.")
    inner = replaced - {id}
    later = (info for info in tree.infos() if info.id not in replaced)
    stray = [info for info in later if inner & set(info.down)]
    if stray:
        raise MigrationError(
            f"Revision {stray[0]} follows {stray[0].down[0]}, which is before {id}."
            " Squash up to where the lines part, or join them first."
        )
    imports: set[str] = set()
    up = _codes(migrator, infos, "upgrade", imports)
    down = _codes(migrator, infos[::-1], "downgrade", imports)
    replaces = checksums_of(infos[-1].path)
    archive = tree.archive_folder
    archive.mkdir(exist_ok=True)
    for info in infos:
        info.path.rename(archive / info.path.name)
    made = tree.write_first(
        message, id, upgrades=up, downgrades=down, imports="\n".join(sorted(imports))
    )
    # A database that has the old file has not got another revision.
    text = read_source(made.path)
    line = f"replaces = {json.dumps(replaces)}"
    text = re.sub(r"(?m)^(depends_on = .*)$", rf"\1\n{line}", text, count=1)
    rewrite_file(made.path, text)
    return tree.info(id)


def _line(migrator: Migrator, head: str, target: str) -> list[RevisionInfo]:
    """Return the revisions of one head and not of another, the newest first."""
    kept = _ancestors(migrator, target)
    line: list[RevisionInfo] = []
    info: RevisionInfo | None = migrator.tree.info(head)
    while info is not None and info.id not in kept:
        line.append(info)
        if len(info.down) > 1:
            raise MigrationError(
                f"Revision {info} joins several lines, and cannot be moved. Use"
                " `flask db merge`."
            )
        info = migrator.tree.info(info.down[0]) if info.down else None
    return line


def _ancestors(migrator: Migrator, id: str) -> set[str]:
    scripts = migrator.tree.scripts
    return {script.revision for script in scripts.iterate_revisions(id, "base")}


def _replace_parent(path: Path, parent: str) -> None:
    text = read_source(path)
    text, count = re.subn(
        r"(?m)^(down_revision\s*(?::[^=\n]+)?=\s*)[^\n#]+?(\s*(?:#.*)?)$",
        lambda match: f'{match[1]}"{parent}"{match[2]}',
        text,
        count=1,
    )
    if not count:
        raise MigrationError(f"{path} has no line `down_revision = ...` to change.")
    text = re.sub(
        r"(?m)^(Follows|Revises): .*$", lambda m: f"{m[1]}: {parent}", text, count=1
    )
    rewrite_file(path, text)


def _codes(
    migrator: Migrator, infos: cabc.Iterable[RevisionInfo], name: str, imports: set[str]
) -> str:
    codes = (_code(migrator, info, name, imports) for info in infos)
    # The template indents the first line.
    return textwrap.indent("\n".join(filter(None, codes)), "    ").lstrip()


def _code(migrator: Migrator, info: RevisionInfo, name: str, imports: set[str]) -> str:
    """Return the code of the operations of a function."""
    function = migrator.tree.function(info.id, name)
    dialect = migrator.database.engine.dialect
    if migrator.tree.script(info.id).backfills or info.contracts:
        raise _refused(info, "it has a backfill, or completes another revision")
    if function is None:
        raise _refused(info, f"it has no function `{name}`")
    recording = record(function, info.path, dialect)
    if recording.broken_off is not None:
        raise _refused(info, recording.broken_off)
    if recording.was_asked:
        raise _refused(info, "it uses the database beside its operations")
    parts = recording.operations
    return "\n".join(_render(part, info, dialect, imports) for part in parts)


def _render(
    part: Recorded, info: RevisionInfo, dialect: sa.Dialect, imports: set[str]
) -> str:
    operation: ops.MigrateOperation = part.operation
    if isinstance(operation, ops.BulkInsertOp):
        raise _refused(info, "it inserts rows by bulk_insert")
    if isinstance(operation, ops.ExecuteSQLOp):
        statement = t.cast("t.Any", operation.sqltext)
        if not isinstance(statement, str):
            options = {"literal_binds": True}
            statement = str(statement.compile(dialect=dialect, compile_kwargs=options))
        code = f"op.execute({statement!r})"
    else:
        if part.table is not None:
            name, schema = part.table
            operation = ops.ModifyTableOps(name, [operation], schema=schema)
        code = code_of_operations(
            ops.UpgradeOps(_whole(operation)),
            MigrationContext.configure(dialect=dialect),
            imports,
            as_batch=part.table is not None,
        )
        code = "\n".join(_dedented(code.splitlines()))
    if part.in_transaction:
        return code
    inner = "\n".join(f"    {line}" for line in code.splitlines())
    return f"with op.get_context().autocommit_block():\n{inner}"


def _whole(operation: ops.MigrateOperation) -> list[ops.MigrateOperation]:
    """Return an operation with the keys and indexes that columns of a table declare.

    They were given to a table when the operation was recorded, and a copy of the
    columns has them no more.
    """
    if not isinstance(operation, ops.CreateTableOp):
        return [operation]
    parts = t.cast("list[t.Any]", list(operation.columns))
    table = next((x.table for x in parts if isinstance(x, sa.Column)), None)
    if not isinstance(table, sa.Table):
        return [operation]
    indexes = sorted(table.indexes, key=lambda index: str(index.name))
    made = [ops.CreateIndexOp.from_index(index) for index in indexes]
    return [ops.CreateTableOp.from_table(table), *made]


def _dedented(lines: cabc.Iterable[str]) -> cabc.Iterator[str]:
    # Alembic indents all but the first line for the body of a function.
    for line in lines:
        yield line.removeprefix("    ")


def _refused(info: RevisionInfo, why: str) -> MigrationError:
    return MigrationError(
        f"{info.path} cannot be squashed: {why}. Squash up to the revision before it."
    )
