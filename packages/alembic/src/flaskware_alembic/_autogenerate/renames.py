"""Renames, which a comparison shows as a drop and an addition."""

from __future__ import annotations

import collections.abc as cabc
import itertools
import typing as t

import sqlalchemy as sa
from alembic import autogenerate
from alembic.operations import ops

from flaskware_alembic._transitions.declaration import replaced_by

OnRename: t.TypeAlias = cabc.Callable[[str, str, str], bool]
"""Asked with a place, an old and a new name, whether the one became the other.

The place of a column is its table; that of a value of an enum is the enum's name, or
``table.column`` where the database does not name it; that of a table is ``""``.
"""


def renamed_pairs(
    place: str,
    gone: cabc.Iterable[str],
    come: cabc.Iterable[str],
    renamed: OnRename | None,
    alike: cabc.Container[tuple[str, str]] | None = None,
) -> dict[str, str]:
    """Return the new name of each renamed thing by its old name.

    :param alike: True for two things that can be the same; all can if ``None``.
    """
    found: dict[str, str] = {}
    if renamed is None:
        return found
    for old, new in itertools.product(gone, come):
        if old in found or new in found.values():
            continue
        if (alike is None or (old, new) in alike) and renamed(place, old, new):
            found[old] = new
    return found


# Tables


class RenameTableOp(ops.RenameTableOp):
    """A renamed table, which Alembic can do but not write down."""

    def reverse(self) -> RenameTableOp:
        """Take it back."""
        return RenameTableOp(self.new_table_name, self.table_name, schema=self.schema)


@autogenerate.renderers.dispatch_for(ops.RenameTableOp)
def _render_table(_: t.Any, operation: ops.RenameTableOp) -> str:
    names = f"{operation.table_name!r}, {operation.new_table_name!r}"
    schema = f", schema={operation.schema!r}" if operation.schema else ""
    return f"op.rename_table({names}{schema})"


def renamed_tables(upgrade: ops.UpgradeOps, renamed: OnRename | None) -> dict[str, str]:
    """The keys of tables that go by those of tables that come, for what was renamed."""
    gone = {key_of(op): op for op in upgrade.ops if isinstance(op, ops.DropTableOp)}
    come = {key_of(op): op for op in upgrade.ops if isinstance(op, ops.CreateTableOp)}

    alike = {
        (old, new)
        for old, new in itertools.product(gone, come)
        if gone[old].schema == come[new].schema
        and _is_alike(gone[old].to_table(), come[new].to_table())
    }
    return renamed_pairs("", gone, come, renamed, alike)


def _is_alike(old: sa.Table, new: sa.Table) -> bool:
    theirs, ours = _columns(old), _columns(new)
    return 2 * len(theirs & ours) > max(len(theirs), len(ours))


def key_of(operation: ops.DropTableOp | ops.CreateTableOp) -> str:
    return ".".join(filter(None, (operation.schema, operation.table_name)))


def _columns(table: sa.Table) -> set[tuple[str, type]]:
    return {(column.name, _affinity(column)) for column in table.columns}


def under_old_names(
    metadata: sa.MetaData, tables: cabc.Mapping[str, str]
) -> sa.MetaData:
    """A copy of what is declared, with renamed tables also under their old names.

    :param tables: The new keys by the old.
    """
    copied = sa.MetaData(naming_convention=metadata.naming_convention)
    copied.info.update(metadata.info)
    for table in metadata.tables.values():
        table.to_metadata(copied)
    for old, new in tables.items():
        table = metadata.tables[new]
        copy = table.to_metadata(copied, name=old.rpartition(".")[2])
        # Names that contain the name of the table follow it.
        for theirs, ours in (
            (table.indexes, copy.indexes),
            (_uniques(table), _uniques(copy)),
        ):
            names = {tuple(x.name for x in item.columns): item.name for item in theirs}
            for item in ours:
                key = tuple(x.name for x in item.columns)
                t.cast("t.Any", item).name = names.get(key, item.name)
    return copied


def _uniques(table: sa.Table) -> list[sa.UniqueConstraint]:
    return [c for c in table.constraints if isinstance(c, sa.UniqueConstraint)]


def rename_tables(
    upgrade: ops.UpgradeOps, downgrade: ops.DowngradeOps, tables: cabc.Mapping[str, str]
) -> None:
    """Put the renaming before what else changes, and that under the new names.

    :param tables: The new keys by the old.
    """
    for part in (*upgrade.ops, *downgrade.ops):
        for operation in (part, *getattr(part, "ops", ())):
            _under_new_name(operation, tables)
    for old, new in tables.items():
        schema, _, name = old.rpartition(".")
        rename = RenameTableOp(name, new.rpartition(".")[2], schema=schema or None)
        upgrade.ops.insert(0, rename)
        downgrade.ops.append(rename.reverse())


def _under_new_name(operation: t.Any, tables: cabc.Mapping[str, str]) -> None:
    for schema, name in (
        ("schema", "table_name"),
        ("source_schema", "source_table"),
        ("referent_schema", "referent_table"),
    ):
        of = getattr(operation, schema, None) or getattr(operation, "kw", {}).get(
            schema
        )
        key = ".".join(filter(None, (of, getattr(operation, name, None))))
        if key in tables:
            setattr(operation, name, tables[key].rpartition(".")[2])


def leave_keys_that_follow(
    upgrade: ops.UpgradeOps, tables: cabc.Mapping[str, str]
) -> None:
    """Leave out foreign keys that the database itself moves to the new name."""
    for part in upgrade.ops:
        if not isinstance(part, ops.ModifyTableOps):
            continue
        come = [op for op in part.ops if isinstance(op, ops.CreateForeignKeyOp)]
        gone = [op for op in part.ops if isinstance(op, ops.DropConstraintOp)]
        for old, new in itertools.product(gone, come):
            there = old.to_constraint()
            declared = new.to_constraint()
            if (
                isinstance(there, sa.ForeignKeyConstraint)
                and _refers(there, tables) == _refers(declared, {})
                and declared.name in {None, there.name}
            ):
                part.ops.remove(old)
                part.ops.remove(new)
                break


def _refers(
    key: sa.ForeignKeyConstraint, tables: cabc.Mapping[str, str]
) -> list[tuple[str, str, str]]:
    found: list[tuple[str, str, str]] = []
    for element in key.elements:
        table, _, column = element.target_fullname.rpartition(".")
        found.append((element.parent.name, tables.get(table, table), column))
    return found


# Columns


class RenameColumnOp(ops.AlterColumnOp):
    """A renamed column, whose new name not every Alembic writes down itself.

    ``columns`` are the column of the database and the declared column.
    """

    columns: tuple[sa.Column[t.Any], sa.Column[t.Any]]

    def reverse(self) -> RenameColumnOp:
        """Take it back."""
        return RenameColumnOp(
            self.table_name,
            str(self.modify_name),
            schema=self.schema,
            modify_name=self.column_name,
            existing_type=self.existing_type,
            existing_nullable=self.existing_nullable,
        )


@autogenerate.renderers.dispatch_for(RenameColumnOp)
def _render_column(context: t.Any, operation: RenameColumnOp) -> str:
    return code_of_alteration(
        context, operation, f"new_column_name={operation.modify_name!r}"
    )


def code_of_alteration(context: t.Any, operation: ops.AlterColumnOp, more: str) -> str:
    """Return the code that Alembic writes, with an argument that it does not write."""
    alter = ops.AlterColumnOp(
        operation.table_name,
        operation.column_name,
        **parts_of(operation),
        modify_server_default=operation.modify_server_default,
    )
    code: str = autogenerate.renderers.dispatch(alter)(context, alter)
    return f"{code.rstrip()[:-1]}, {more})" if more else code


def parts_of(operation: ops.AlterColumnOp) -> dict[str, t.Any]:
    """Return the arguments of an alteration, without those of the default."""
    return {
        "schema": operation.schema,
        "existing_type": operation.existing_type,
        "existing_nullable": operation.existing_nullable,
        "existing_comment": operation.existing_comment,
        "modify_type": operation.modify_type,
        "modify_nullable": operation.modify_nullable,
        "modify_comment": operation.modify_comment,
    }


def rename_columns(
    upgrade: ops.UpgradeOps, renamed: OnRename | None, tables: cabc.Mapping[str, str]
) -> None:
    """Turn a dropped and an added column into a renamed column, if they are one.

    Everything with the old name is dropped before, and everything with the new name is
    made after, each in its own part: a batch of SQLite knows a column by one name.
    """
    before: list[ops.MigrateOperation] = []
    names: list[ops.MigrateOperation] = []
    after: list[ops.MigrateOperation] = []
    for part in upgrade.ops:
        if not isinstance(part, ops.ModifyTableOps):
            after.append(part)
            continue
        renames = _renamed_columns(part, renamed, tables)
        dropped = [
            op
            for op in part.ops
            if isinstance(op, (ops.DropIndexOp, ops.DropConstraintOp))
        ]
        others = [op for op in part.ops if op not in dropped]
        for group, found in ((before, dropped), (names, renames), (after, others)):
            if found:
                group.append(
                    ops.ModifyTableOps(part.table_name, found, schema=part.schema)
                )
    if names:
        upgrade.ops[:] = [*before, *names, *after]


def _always(_place: str, _old: str, _new: str) -> bool:
    return True


def _renamed_columns(
    part: ops.ModifyTableOps, renamed: OnRename | None, tables: cabc.Mapping[str, str]
) -> list[ops.MigrateOperation]:
    """Take the renamed columns of a table out of what comes and goes in it."""
    gone = {x.column_name: x for x in part.ops if isinstance(x, ops.DropColumnOp)}
    come = {x.column.name: x for x in part.ops if isinstance(x, ops.AddColumnOp)}
    alike = {
        (old, new)
        for old, new in itertools.product(gone, come)
        if _affinity(gone[old].to_column()) is _affinity(come[new].column)
    }
    place = tables.get(part.table_name, part.table_name)
    found: list[ops.MigrateOperation] = []
    said = {
        (old, new) for old, new in alike if old == replaced_by(come[new].column.info)
    }
    pairs = renamed_pairs(place, gone, come, _always, said)
    rest = [n for n in come if n not in pairs.values()]
    pairs |= renamed_pairs(
        place, [n for n in gone if n not in pairs], rest, renamed, alike
    )
    for old, new in pairs.items():
        column = gone[old].to_column()
        part.ops.remove(gone[old])
        part.ops.remove(come[new])
        rename = RenameColumnOp(
            part.table_name,
            old,
            schema=part.schema,
            modify_name=new,
            existing_type=column.type,
            existing_nullable=column.nullable,
        )
        rename.columns = (column, come[new].column)
        found.append(rename)
    return found


# Types that some databases return as another type.
_KEPT_AS: dict[type, type] = {
    sa.Boolean: sa.Integer,
    sa.JSON: sa.String,
    sa.Uuid: sa.String,
}


def _affinity(column: sa.Column[t.Any]) -> type:
    if isinstance(column.type, sa.Enum):
        return sa.String
    # SQLAlchemy has no public name for the basic type that a type stands for.
    found = column.type._type_affinity or type(column.type)  # noqa: SLF001
    return _KEPT_AS.get(found, found)
