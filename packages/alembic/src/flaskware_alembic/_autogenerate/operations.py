"""Differences between models and database, as phrases and as code."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import graphlib
import re
import sys
import textwrap
import typing as t
import warnings

import sqlalchemy as sa
from alembic import autogenerate
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext

from flaskware_alembic._transitions.replacement import Contract

from .checks import keep_types_plain
from .checks import unnamed_checks
from .checks import with_checks
from .columns import compared_by_the_database
from .columns import drop_identities
from .columns import FILL_IN
from .columns import with_values
from .compare import extras_of
from .compare import settle
from .comparison import Comparison
from .comparison import RenderItem
from .enums import code_of_type
from .enums import enum_type
from .enums import ExtraOperation
from .enums import rename_values
from .renames import key_of
from .renames import leave_keys_that_follow
from .renames import OnRename
from .renames import rename_columns
from .renames import rename_tables
from .renames import renamed_tables
from .renames import under_old_names
from .scratch import Scratch
from .transitions import take_transitions


def changes_of(comparison: Comparison) -> tuple[str, ...]:
    """A phrase for each thing that the models say differently."""
    metadata = comparison.database.metadata
    if metadata is None:
        return ()
    with comparison.context() as context:
        scratch = _scratch(context)
        upgrade = _upgrade_of(context, comparison, metadata, scratch)
        extras = _extras(comparison, context, upgrade, scratch)
    phrases = [_phrase(diff) for diff in _flat(upgrade.as_diffs())]
    return (*phrases, *(extra.phrase for extra in extras if extra.phrase))


@dc.dataclass(frozen=True)
class Changes:
    """The code of what changed.

    :param code: Arguments of :meth:`Tree.write`.
    :param contract: The revision of a later deploy that completes it.
    :param kept: A phrase for each change that code in use may not survive.
    """

    code: dict[str, str]
    contract: Contract | None = None
    kept: tuple[str, ...] = ()


def code_of_changes(
    comparison: Comparison,
    renamed: OnRename | None = None,
    heads: tuple[str, ...] = (),
    *,
    rolling: bool = False,
) -> Changes | None:
    """The body of a revision that brings the database to the models.

    :param renamed: Asked what was renamed; only what the models declare is, if it is
        ``None``.
    :param heads: The revision that it follows.
    :param rolling: Whether code that is older may run until the next deploy, so that
        some changes are spread over two revisions.
    :returns: ``None`` if nothing changed.
    """
    metadata = comparison.database.metadata
    if metadata is None:
        return None
    with comparison.context() as context:
        scratch = _scratch(context)
        upgrade = _upgrade_of(context, comparison, metadata, scratch)
        tables = renamed_tables(upgrade, renamed)
    if tables:
        # Their other changes show when the old table is compared.
        comparison = _before(comparison, tables)
    with comparison.context() as context:
        scratch = _scratch(context)
        if tables:
            old = _metadata(comparison)
            upgrade = _upgrade_of(context, comparison, old, scratch)
            leave_keys_that_follow(upgrade, tables)
        rename_columns(upgrade, renamed, tables)
        rename_values(upgrade, renamed, tables)
        keep_types_plain(upgrade)
        connection = t.cast("sa.Connection", context.connection)
        imports: set[str] = set()
        options: t.Any = {
            "as_batch": comparison.database.is_sqlite,
            "has_enums_apart": True,
            "hook": comparison.hooks.render_item,
        }

        def render(operation: ops.MigrateOperation) -> str:
            alone = ops.UpgradeOps([operation])
            return code_of_operations(alone, context, imports, **options)

        transitions = take_transitions(
            upgrade,
            connection if rolling else None,
            render,
            metadata,
            skipped={key.rpartition(".")[2] for key in tables},
        )
        values = with_values(connection, upgrade)
        extras = values + _extras(
            comparison, context, upgrade, scratch, metadata, renamed, tables
        )
        contract = transitions.contract
        if upgrade.is_empty() and not extras and not tables and contract is None:
            return None
        downgrade = upgrade.reverse_into(ops.DowngradeOps([]))
        rename_tables(upgrade, downgrade, tables)
        if comparison.hooks.process_revision_directives is not None:
            script = ops.MigrationScript(None, upgrade, downgrade, imports=imports)
            scripts: list[t.Any] = [script]
            comparison.hooks.process_revision_directives(context, heads, scripts)
            if not scripts:
                return None
            upgrade, downgrade = scripts[0].upgrade_ops, scripts[0].downgrade_ops
        for container in (upgrade, downgrade):
            drop_identities(container, context.dialect)
        back = extras[::-1]
        up = code_of_operations(upgrade, context, imports, **options)
        down = code_of_operations(downgrade, context, imports, **options)
        checks: dict[str, tuple[list[str], list[str]]] = {}
        if comparison.database.is_sqlite:
            checks = unnamed_checks(metadata.sorted_tables, scratch, tables)
        codes = {
            "upgrades": _joined(
                [
                    *(extra.upgrade for extra in extras if extra.first),
                    *transitions.upgrades,
                ],
                "" if upgrade.is_empty() else up,
                (extra.upgrade for extra in extras if not extra.first),
            ),
            "downgrades": _joined(
                (extra.downgrade for extra in back if extra.first_back),
                "" if upgrade.is_empty() else down,
                [
                    *transitions.downgrades,
                    *(extra.downgrade for extra in back if not extra.first_back),
                ],
            ),
        }
        written = {
            "upgrades": with_checks(codes["upgrades"], _at(checks, 0)),
            "downgrades": with_checks(codes["downgrades"], _at(checks, 1)),
            "imports": "\n".join(sorted(imports)),
        }
        return Changes(written, contract, tuple(transitions.kept))


def _at(
    checks: cabc.Mapping[str, tuple[list[str], list[str]]], side: t.Literal[0, 1]
) -> dict[str, list[str]]:
    return {table: sides[side] for table, sides in checks.items()}


def _scratch(context: MigrationContext) -> Scratch:
    return Scratch(t.cast("sa.Connection", context.connection))


def _upgrade_of(
    context: MigrationContext,
    comparison: Comparison,
    metadata: sa.MetaData,
    scratch: Scratch,
) -> ops.UpgradeOps:
    # An app that declares views, functions and triggers by it has imported it.
    if "sqlalchemy_declarative_extensions" in sys.modules:
        from sqlalchemy_declarative_extensions import register_alembic_events

        register_alembic_events()
    compared_by_the_database(context, metadata, scratch, comparison.hooks)
    with warnings.catch_warnings():
        # The things that Alembic and SQLAlchemy pass over are compared below.
        warnings.filterwarnings("ignore", "(?s).*Computed default.*cannot be modified")
        warnings.filterwarnings("ignore", "(?s).*operator clause")
        warnings.filterwarnings("ignore", "(?s).*expression-based index")
        script = autogenerate.produce_migrations(context, metadata)
    upgrade = script.upgrade_ops or ops.UpgradeOps([])
    tables = (x for x in metadata.sorted_tables if x.key not in comparison.claimed)
    settle(context, upgrade, tables, scratch)
    # Its operations are not Alembic's, and need the tables.
    found: list[t.Any] = list(upgrade.ops)
    own = [op for op in found if isinstance(op, ops.MigrateOperation)]
    others = [op for op in found if op not in own]
    gone = [op for op in others if type(op).__name__.startswith("Drop")]
    come = [op for op in others if op not in gone]
    upgrade.ops[:] = [*gone, *_with_drops_last(own), *come]
    return upgrade


def _with_drops_last(found: list[ops.MigrateOperation]) -> list[ops.MigrateOperation]:
    """Tables go after the keys that refer to them; Alembic has them in any order."""
    gone = {key_of(op): op for op in found if isinstance(op, ops.DropTableOp)}
    before: dict[str, set[str]] = {key: set() for key in sorted(gone)}
    for key in before:
        for foreign in gone[key].to_table().foreign_keys:
            target = foreign.target_fullname.rpartition(".")[0]
            if target in before and target != key:
                before[target].add(key)
    try:
        order = list(graphlib.TopologicalSorter(before).static_order())
    except graphlib.CycleError:
        order = list(before)
    kept = [op for op in found if not isinstance(op, ops.DropTableOp)]
    return [*kept, *(gone[key] for key in order)]


def _before(comparison: Comparison, tables: cabc.Mapping[str, str]) -> Comparison:
    """The same, but as if the models had the old names of renamed tables."""
    metadata = under_old_names(_metadata(comparison), tables)
    database = dc.replace(comparison.database, metadata=metadata)
    claimed = comparison.claimed | set(tables.values())
    return dc.replace(comparison, database=database, claimed=claimed)


def _metadata(comparison: Comparison) -> sa.MetaData:
    return comparison.database.metadata or sa.MetaData()


def _extras(
    comparison: Comparison,
    context: MigrationContext,
    upgrade: ops.UpgradeOps,
    scratch: Scratch,
    metadata: sa.MetaData | None = None,
    renamed: OnRename | None = None,
    renames: cabc.Mapping[str, str] | None = None,
) -> list[ExtraOperation]:
    if context.connection is None:
        return []
    metadata = metadata or _metadata(comparison)
    claimed = comparison.claimed - set((renames or {}).values())
    tables = (x for x in metadata.sorted_tables if x.key not in claimed)
    return extras_of(
        context.connection,
        tables,
        upgrade,
        scratch,
        as_batch=comparison.database.is_sqlite,
        renamed=renamed,
        renames=renames,
    )


def _joined(first: cabc.Iterable[str], own: str, last: cabc.Iterable[str]) -> str:
    """Code for the body of a function, all but the first line indented.

    :param own: The code that Alembic wrote, indented already.
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
    has_enums_apart: bool = False,
    hook: RenderItem | None = None,
) -> str:
    """Operations as the body of a function, all but the first line indented.

    :param imports: Receives the imports that the code needs.
    :param has_enums_apart: Whether statements of their own make and drop the enums of
        PostgreSQL, so that a table only names them.
    :param hook: The user's function that renders an item, asked first.
    """
    seen: list[t.Any] = []

    def render_item(
        kind: str, item: t.Any, autogen_context: t.Any
    ) -> str | t.Literal[False]:
        # Alembic collects its imports in the context, which only this hook receives.
        seen.append(autogen_context)
        if (
            hook is not None
            and (code := hook(kind, item, autogen_context)) is not False
        ):
            return code
        enum = None
        # The elements of a list are rendered by themselves.
        if kind == "type" and not hasattr(item, "item_type"):
            enum = enum_type(item, context.dialect)
        if enum is not None and (
            has_enums_apart or not getattr(item, "create_type", True)
        ):
            imports.add("from sqlalchemy.dialects import postgresql")
            return code_of_type(enum)
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
    fill_in = re.compile(rf"\w+\.text\(['\"]\(?{FILL_IN}\)?['\"]\)")
    code = fill_in.sub("...", code)
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
    if diff[0] == "execute":
        return " ".join("; ".join(diff[1:]).split())
    verb, _, noun = str(diff[0]).partition("_")
    word = _WORDS.get(verb, verb)
    noun = {"fk": "foreign key"}.get(noun, noun.replace("_", " "))
    if diff[0] == "modify_type" and all(isinstance(x, sa.Enum) for x in diff[5:]):
        was, becomes = (", ".join(enum.enums) for enum in diff[5:])
        return f"change values of {diff[2]}.{diff[3]}: {was} -> {becomes}"
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
