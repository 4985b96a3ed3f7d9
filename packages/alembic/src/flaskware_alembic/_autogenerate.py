"""What the models say that the database does not, as phrases and as code."""

from __future__ import annotations

import collections.abc as cabc
import textwrap
import typing as t

import sqlalchemy as sa
from alembic import autogenerate
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext

from ._compare import apply_renames
from ._compare import Extra
from ._compare import extras_of
from ._compare import OnRename
from ._migrator import Migrator


def changes_of(migrator: Migrator) -> tuple[str, ...]:
    """A phrase for each thing that the models say differently."""
    metadata = migrator.database.metadata
    if metadata is None:
        return ()
    with migrator.comparing() as context:
        diffs = autogenerate.compare_metadata(context, metadata)
        extras = _extras(migrator, context)
    phrases = [_phrase(diff) for diff in _flat(diffs)]
    return (*phrases, *(extra.phrase for extra in extras))


def code_of_changes(
    migrator: Migrator, renamed: OnRename | None = None
) -> dict[str, str] | None:
    """The body of a revision that brings the database to the models.

    :param renamed: Asked what was renamed; nothing was if it is ``None``.
    :returns: What :meth:`Tree.write` takes, or ``None`` where nothing changed.
    """
    metadata = migrator.database.metadata
    if metadata is None:
        return None
    with migrator.comparing() as context:
        script = autogenerate.produce_migrations(context, metadata)
        upgrade, downgrade = script.upgrade_ops, script.downgrade_ops
        extras = _extras(migrator, context)
        if upgrade is None or downgrade is None:
            return None
        if upgrade.is_empty() and not extras:
            return None
        if renamed is not None:
            apply_renames(script, renamed)
        imports: set[str] = set()
        as_batch = migrator.database.is_sqlite
        up = code_of_operations(upgrade, context, imports, as_batch=as_batch)
        down = code_of_operations(downgrade, context, imports, as_batch=as_batch)
        return {
            "upgrades": _joined(
                (extra.upgrade for extra in extras if extra.first),
                "" if upgrade.is_empty() else up,
                (extra.upgrade for extra in extras if not extra.first),
            ),
            "downgrades": _joined(
                (extra.downgrade for extra in extras if not extra.first),
                "" if upgrade.is_empty() else down,
                (extra.downgrade for extra in extras if extra.first),
            ),
            "imports": "\n".join(sorted(imports)),
        }


def _extras(migrator: Migrator, context: MigrationContext) -> list[Extra]:
    metadata, connection = migrator.database.metadata, context.connection
    if metadata is None or connection is None:
        return []
    tables = (x for x in metadata.sorted_tables if x.key not in migrator.claimed)
    return extras_of(connection, tables, as_batch=migrator.database.is_sqlite)


def _joined(first: cabc.Iterable[str], own: str, last: cabc.Iterable[str]) -> str:
    """Code for the body of a function, all but the first line indented.

    :param own: What Alembic wrote, which is so already.
    """
    before = [textwrap.indent(code, "    ").lstrip() for code in first]
    after = [textwrap.indent(code, "    ").lstrip() for code in last]
    codes = [code for code in (*before, own, *after) if code]
    if all(code.startswith("#") for code in codes):
        codes.append("pass")
    return "\n    ".join(codes)


def code_of_operations(
    operations: ops.UpgradeOps | ops.DowngradeOps,
    context: t.Any,
    imports: set[str],
    *,
    as_batch: bool,
) -> str:
    """Operations as the body of a function, all but the first line indented.

    :param imports: What the code needs is added to it.
    """
    seen: list[t.Any] = []

    def render_item(
        kind: str, item: object, autogen_context: t.Any
    ) -> t.Literal[False]:
        # Alembic collects what it must import, and tells only here.
        seen.append(autogen_context)
        if kind == "type" and not type(item).__module__.startswith("sqlalchemy."):
            imports.add(f"import {type(item).__module__}")
        return False

    code = autogenerate.render_python_code(
        operations,
        render_as_batch=as_batch,
        render_item=render_item,
        migration_context=context,
    )
    for autogen_context in seen:
        imports.update(autogen_context.imports)
    lines = [line for line in code.splitlines() if not line.strip().startswith("# ###")]
    return "\n".join(line.rstrip() for line in lines).strip()


def _flat(diffs: cabc.Iterable[t.Any]) -> cabc.Iterator[tuple[t.Any, ...]]:
    # Alembic puts the changes of one column into a list of their own.
    for diff in diffs:
        if isinstance(diff, list):
            yield from t.cast("list[tuple[t.Any, ...]]", diff)
        else:
            yield diff


_WORDS = {"add": "add", "remove": "remove", "modify": "change"}


def _phrase(diff: tuple[t.Any, ...]) -> str:
    verb, _, noun = str(diff[0]).partition("_")
    word = _WORDS.get(verb, verb)
    noun = {"fk": "foreign key"}.get(noun, noun.replace("_", " "))
    if verb == "modify" and len(diff) == 7:
        place, old, new = f"{diff[2]}.{diff[3]}", _show(diff[5]), _show(diff[6])
        return f"{word} {noun} of {place}: {old} -> {new}"
    item = diff[-1]
    if isinstance(item, sa.Column):
        return f"{word} {noun} {diff[2]}.{item.name}"
    if isinstance(item, sa.Table):
        return f"{word} {noun} {item.name}"
    table = getattr(getattr(item, "table", None), "name", None)
    name = getattr(item, "name", None) or "without a name"
    return f"{word} {noun} {name}" + (f" of {table}" if table else "")


def _show(value: object) -> str:
    argument = getattr(value, "arg", value)
    return str(argument)
