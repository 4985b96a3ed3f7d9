"""Changes of a column that code in use would not survive, spread over two deploys."""

from __future__ import annotations

import ast
import collections.abc as cabc
import dataclasses as dc
import functools
import operator
import re
import typing as t

import sqlalchemy as sa
from alembic.operations import ops

from flaskware_alembic._transitions.constraint import Dialect
from flaskware_alembic._transitions.replacement import Column
from flaskware_alembic._transitions.replacement import Contract
from flaskware_alembic._transitions.replacement import Replacement
from flaskware_alembic._transitions.requirement import Requirement

from .enums import default_sql
from .renames import RenameColumnOp

Render: t.TypeAlias = cabc.Callable[[ops.MigrateOperation], str]

# Each holds the values of those before it, so that code of either type works.
_WIDER: tuple[type[sa.types.TypeEngine[t.Any]], ...] = (
    sa.SmallInteger,
    sa.Integer,
    sa.BigInteger,
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LONGEST = 63


@dc.dataclass
class Transitions:
    """Changes that take two deploys, and reasons why others take one.

    :param kept: A phrase for each change that is made in place.
    """

    found: list[Replacement | Requirement] = dc.field(default_factory=list[t.Any])
    kept: list[str] = dc.field(default_factory=list[str])

    @property
    def upgrades(self) -> list[str]:
        """The code of the first revision."""
        return [item.upgrade for item in self.found]

    @property
    def downgrades(self) -> list[str]:
        """The code that undoes it."""
        return [item.downgrade for item in reversed(self.found)]

    @property
    def contract(self) -> Contract | None:
        """The second revision of all of them."""
        contracts = [item.contract for item in self.found]
        return functools.reduce(operator.add, contracts) if contracts else None


def dialect_of(connection: sa.Connection) -> Dialect | None:
    """Return the database, if changes are spread over deploys there."""
    dialect = connection.dialect
    if dialect.name == "postgresql":
        return "postgresql"
    # MySQL cannot make a trigger again, and was not tried.
    return "mariadb" if getattr(dialect, "is_mariadb", False) else None


def take_transitions(
    upgrade: ops.UpgradeOps,
    connection: sa.Connection | None,
    render: Render,
    metadata: sa.MetaData,
    *,
    skipped: cabc.Container[str],
) -> Transitions:
    """Take what needs two deploys out of the operations of a revision.

    :param connection: ``None`` if everything is done in place.
    :param render: Returns the code of an operation.
    :param metadata: The declared tables.
    :param skipped: Tables that the same revision renames.
    """
    transitions = Transitions()
    dialect = None if connection is None else dialect_of(connection)
    if connection is None or dialect is None:
        return transitions
    inspector = sa.inspect(connection)
    for part in list(upgrade.ops):
        if not isinstance(part, ops.ModifyTableOps):
            continue
        for op in list(part.ops):
            if not isinstance(op, ops.AlterColumnOp):
                continue
            read = _Reader(dialect, inspector, part, render, metadata)
            try:
                found = read.transition(op)
                if found is not None and part.table_name in skipped:
                    raise _ObstacleError("is in a table that is renamed, too")
            except _ObstacleError as obstacle:
                what = f"{part.table_name}.{op.column_name}"
                transitions.kept.append(f"{what} {obstacle}")
                continue
            if found is not None:
                transitions.found.append(found)
                part.ops.remove(op)
        if not part.ops:
            upgrade.ops.remove(part)
    return transitions


class _ObstacleError(Exception):
    """Why a change is made in place."""


@dc.dataclass
class _Reader:
    """The columns of one table, as the database and the models have them."""

    dialect: Dialect
    inspector: sa.Inspector
    part: ops.ModifyTableOps
    render: Render
    metadata: sa.MetaData

    def transition(self, op: ops.AlterColumnOp) -> Replacement | Requirement | None:
        """Return what takes two deploys, or ``None`` where one will do.

        :raises _ObstacleError: if old and new code cannot both work.
        """
        if _is_required(op):
            return self._requirement(op)
        if isinstance(op, RenameColumnOp):
            return self._replacement(op, *op.columns)
        if _is_wider(op):
            old = self._there(op)
            new = sa.Column(f"{op.column_name}_new", op.modify_type)
            if op.modify_server_default:
                # PostgreSQL says a default with its type, so that it changes, too.
                new.server_default = op.modify_server_default
            return self._replacement(op, old, new)
        return None

    def _requirement(self, op: ops.AlterColumnOp) -> Requirement:
        old = self._there(op)
        self._refuse_names(old.name)
        was = becomes = self._column(old)
        if op.modify_server_default is not False:
            old.server_default = op.modify_server_default
            becomes = self._column(old)
        value = self._value(old)
        if value is None:
            raise _ObstacleError("becomes NOT NULL without a default for what is NULL")
        return Requirement(self.dialect, self.part.table_name, was, becomes, value)

    def _value(self, column: sa.Column[t.Any]) -> str | None:
        """Return the default of a column as SQL, be it only the model's."""
        dialect = self.inspector.dialect
        value = None
        if isinstance(column.server_default, sa.DefaultClause):
            # A default of MariaDB may say what an update does.
            text = default_sql(column.server_default, dialect)
            value = re.split(r"(?i)\s+on update\s", text)[0]
        else:
            table = self.metadata.tables[self.part.table_name]
            kind, default = table.c[column.name].type, table.c[column.name].default
            if isinstance(default, sa.ColumnDefault) and default.is_scalar:
                options = {"literal_binds": True}
                literal = sa.literal(default.arg, kind)
                value = str(literal.compile(dialect=dialect, compile_kwargs=options))
        # A colon would begin the name of a parameter.
        return None if value is None else re.sub(r"(?<![:\w]):(?=\w)", r"\:", value)

    def _there(self, op: ops.AlterColumnOp) -> sa.Column[t.Any]:
        """Return a column as it is."""
        there = self._info(op.column_name)
        default = there["default"]
        column = sa.Column(
            op.column_name,
            op.existing_type,
            server_default=None if default is None else sa.text(default),
            comment=there.get("comment"),
        )
        column.nullable = bool(there["nullable"])
        return column

    def _refuse_names(self, *names: str) -> None:
        if self.part.schema is not None:
            raise _ObstacleError("is in a schema")
        for name in (self.part.table_name, *names):
            if not _NAME.fullmatch(name) or len(name) > _LONGEST:
                raise _ObstacleError(f"needs the name {name}, which cannot be used")
        if not self.inspector.get_pk_constraint(self.part.table_name)[
            "constrained_columns"
        ]:
            raise _ObstacleError("is in a table without a primary key")

    def _replacement(
        self, op: ops.AlterColumnOp, old: sa.Column[t.Any], new: sa.Column[t.Any]
    ) -> Replacement:
        self._refuse_names(old.name, new.name)
        self._refuse_obstacles(old)
        was = becomes = self._column(old)
        keeps_name = not isinstance(op, RenameColumnOp)
        # A rename only renames; the next comparison finds what else is different.
        if keeps_name or isinstance(new.type, sa.JSON):
            declared = self._column(new)
            default = declared.default or was.default
            becomes = dc.replace(was, type=declared.type, default=default)
        becomes = dc.replace(becomes, name=new.name)
        table = self.part.table_name
        return Replacement(self.dialect, table, was, becomes, keeps_name)

    def _info(self, name: str) -> t.Any:
        columns = self.inspector.get_columns(self.part.table_name)
        return next(info for info in columns if info["name"] == name)

    def _column(self, column: sa.Column[t.Any]) -> Column:
        """Return a column as code, read from what Alembic writes of it."""
        alone = sa.Column(
            column.name,
            column.type,
            server_default=column.server_default,
            comment=column.comment,
        )
        code = self.render(ops.AddColumnOp(self.part.table_name, alone))
        calls = (n for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Call))
        call = next(c for c in calls if ast.unparse(c.func).endswith(".Column"))
        given = {k.arg: ast.unparse(k.value) for k in call.keywords}
        return Column(
            column.name,
            ast.unparse(call.args[1]),
            bool(column.nullable),
            given.get("server_default"),
            f", comment={given['comment']}" if "comment" in given else "",
        )

    def _refuse_obstacles(self, old: sa.Column[t.Any]) -> None:
        table, name = self.part.table_name, old.name
        if name in self.inspector.get_pk_constraint(table)["constrained_columns"]:
            raise _ObstacleError("is part of the primary key")
        info = self._info(name)
        default = str(info["default"] or "")
        if (
            info.get("identity")
            or info.get("computed")
            or re.search(r"(?i)nextval|on update", default)
        ):
            raise _ObstacleError("has values that the database makes")
        if default and info["nullable"]:
            raise _ObstacleError("is nullable and has a default")
        for what, words in self._parts():
            if _mentions(words, name):
                raise _ObstacleError(f"is part of {what}")

    def _parts(self) -> cabc.Iterator[tuple[str, list[str | None]]]:
        """Yield what a table has, with the names and expressions that it is made of."""
        table, inspector = self.part.table_name, self.inspector
        for index in inspector.get_indexes(table):
            where = str(index.get("dialect_options", {}).get("postgresql_where", ""))
            expressions = index.get("expressions", [])
            words = [*index["column_names"], *expressions, where]
            yield f"the index {index['name']}", words
        for unique in inspector.get_unique_constraints(table):
            yield f"the constraint {unique['name']}", [*unique["column_names"]]
        for foreign in inspector.get_foreign_keys(table):
            yield f"the key {foreign['name']}", [*foreign["constrained_columns"]]
        for check in inspector.get_check_constraints(table):
            # MariaDB has such a constraint for each column of its type JSON.
            if not re.fullmatch(r"json_valid\(`[^`]+`\)", check["sqltext"]):
                yield f"the constraint {check['name']}", [check["sqltext"]]
        for other in inspector.get_columns(table):
            computed = t.cast("t.Any", other).get("computed")
            yield f"the column {other['name']}", [str(computed or "")]


def _is_required(op: ops.AlterColumnOp) -> bool:
    """True for a column that becomes NOT NULL, and perhaps gets a default."""
    return (
        op.modify_nullable is False
        and op.modify_type is None
        and op.modify_comment is False
        and op.modify_name is None
    )


def _is_wider(op: ops.AlterColumnOp) -> bool:
    """True for a whole number that becomes wider, and nothing else of the column."""
    if op.modify_type is None or op.modify_nullable is not None:
        return False
    if op.modify_comment is not False or op.modify_server_default is None:
        return False
    kinds: list[t.Any] = [op.existing_type, op.modify_type]
    signs = {bool(getattr(kind, "unsigned", False)) for kind in kinds}
    ranks = [_rank(kind) for kind in kinds]
    return len(signs) == 1 and -1 < ranks[0] < ranks[1]


def _rank(kind: t.Any) -> int:
    # The narrower types are subclasses of Integer.
    found = [n for n, base in enumerate(_WIDER) if isinstance(kind, base)]
    if isinstance(kind, sa.SmallInteger):
        return 0
    return max(found, default=-1)


def _mentions(texts: cabc.Iterable[str | None], name: str) -> bool:
    pattern = re.compile(rf"(?i)(?<!\w){re.escape(name)}(?!\w)")
    return any(pattern.search(text) for text in texts if text)
