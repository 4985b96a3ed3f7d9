"""Writing the safe form of what the rules found into the revision's file."""

from __future__ import annotations

import ast
import collections.abc as cabc
import dataclasses as dc
import re
import textwrap
from pathlib import Path

from ._finding import Finding
from ._lint import statement_at

_AUTOCOMMIT = "with op.get_context().autocommit_block():"


@dc.dataclass(frozen=True)
class Contract:
    """The second of two revisions, which is applied by a later deploy.

    :param backfill: A function with ``@backfill`` for the first of the two or for
        this one, which says so.
    """

    message: str
    upgrade: str
    downgrade: str
    backfill: str = ""
    backfill_first: bool = True


@dc.dataclass(frozen=True)
class Edit:
    """A file with a safe form in it.

    :param contract: What a revision of its own must do later, where one must.
    """

    text: str
    contract: Contract | None = None


def fix(finding: Finding) -> Edit | None:
    """The file of a finding with the safe form written, ``None`` where it cannot be."""
    path = finding.revision.path
    source = path.read_text("utf-8")
    call = _call_at(source, finding.line)
    writer = _WRITERS.get(finding.rule)
    if call is None or writer is None:
        return None
    written = writer(call)
    if written is None:
        return None
    code, contract = written
    lines = source.splitlines(keepends=True)
    first, last = call.statement.lineno, call.statement.end_lineno or 0
    indent = " " * call.statement.col_offset
    lines[first - 1 : last] = [textwrap.indent(code.rstrip() + "\n", indent)]
    text = "".join(lines)
    if contract is not None and contract.backfill and contract.backfill_first:
        text = with_backfill(text, contract.backfill)
    return Edit(text, contract)


def with_backfill(text: str, backfill: str) -> str:
    """The text of a revision with a backfill above its ``upgrade``."""
    text = re.sub(
        r"(?m)^def upgrade\(",
        lambda _: f"{backfill.rstrip()}\n\n\ndef upgrade(",
        text,
        count=1,
    )
    for line, before in (
        ("import sqlalchemy as sa", "from alembic import op"),
        ("from flaskware_alembic import Batch", "revision = "),
        ("from flaskware_alembic import backfill", "revision = "),
    ):
        if line not in text.splitlines():
            text = text.replace(before, f"{line}\n{before}", 1)
    return text


@dc.dataclass(frozen=True)
class _Call:
    """A call of an operation that is a statement of its own."""

    statement: ast.Expr
    call: ast.Call
    source: str

    def argument(self, position: int, *names: str) -> ast.expr | None:
        for keyword in self.call.keywords:
            if keyword.arg in names:
                return keyword.value
        return self.call.args[position] if position < len(self.call.args) else None

    def text(self, position: int, *names: str) -> str | None:
        """An argument that is a plain string."""
        node = self.argument(position, *names)
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return node.value
        # op.f("name") is a name, too.
        if isinstance(node, ast.Call) and node.args:
            inner = node.args[0]
            if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
                return inner.value
        return None

    def with_keywords(self, **values: bool) -> str:
        kept = [k for k in self.call.keywords if k.arg not in values]
        added = [ast.keyword(k, ast.Constant(v)) for k, v in values.items()]
        return ast.unparse(ast.Call(self.call.func, self.call.args, [*kept, *added]))


_Written = tuple[str, Contract | None] | None


def _call_at(source: str, line: int | None) -> _Call | None:
    if line is None:
        return None
    statement = statement_at(ast.parse(source), line)
    if not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Call):
        return None
    function = statement.value.func
    is_operation = (
        isinstance(function, ast.Attribute)
        and isinstance(function.value, ast.Name)
        and function.value.id == "op"
    )
    return _Call(statement, statement.value, source) if is_operation else None


def _online(*lines: str) -> str:
    return "\n".join([_AUTOCOMMIT, *(f"    {line}" for line in lines)])


def _create_index(call: _Call) -> _Written:
    return _online(
        call.with_keywords(postgresql_concurrently=True, if_not_exists=True)
    ), None


def _drop_index(call: _Call) -> _Written:
    return _online(
        call.with_keywords(postgresql_concurrently=True, if_exists=True)
    ), None


def _wrap(call: _Call) -> _Written:
    name = call.call.func.attr if isinstance(call.call.func, ast.Attribute) else ""
    writer = {"create_index": _create_index, "drop_index": _drop_index}.get(name)
    return writer(call) if writer else (_online(ast.unparse(call.call)), None)


def _not_valid(call: _Call) -> _Written:
    name = call.text(0, "constraint_name")
    table = call.text(1, "source_table", "table_name")
    schema = call.text(99, "source_schema", "schema")
    if name is None or table is None:
        return None
    place = f"{_quoted(schema)}.{_quoted(table)}" if schema else _quoted(table)
    return _online(
        call.with_keywords(postgresql_not_valid=True),
        _execute(f"ALTER TABLE {place} VALIDATE CONSTRAINT {_quoted(name)}"),
    ), None


def _unique(call: _Call) -> _Written:
    name, table = call.text(0, "constraint_name"), call.text(1, "table_name")
    columns = call.argument(2, "columns")
    schema = call.text(99, "schema")
    if name is None or table is None or columns is None:
        return None
    place = f"{_quoted(schema)}.{_quoted(table)}" if schema else _quoted(table)
    in_schema = f", schema={schema!r}" if schema else ""
    return _online(
        f"op.create_index({name!r}, {table!r}, {ast.unparse(columns)}, unique=True,"
        f"{in_schema and in_schema[1:] + ','} postgresql_concurrently=True,"
        " if_not_exists=True)",
        _execute(
            f"ALTER TABLE {place} ADD CONSTRAINT {_quoted(name)} UNIQUE USING INDEX"
            f" {_quoted(name)}"
        ),
    ), None


def _set_not_null(call: _Call) -> _Written:
    table, name = call.text(0, "table_name"), call.text(1, "column_name")
    if table is None or name is None or call.argument(99, "schema") is not None:
        return None
    return _require(table, name, ast.unparse(call.call)), None


def _require(table: str, name: str, statement: str) -> str:
    check = f"{table}_{name}_is_set"[:63]
    code = _online(
        _execute(
            f"ALTER TABLE {_quoted(table)} ADD CONSTRAINT {_quoted(check)}"
            f" CHECK ({_quoted(name)} IS NOT NULL) NOT VALID"
        ),
        _execute(f"ALTER TABLE {_quoted(table)} VALIDATE CONSTRAINT {_quoted(check)}"),
    )
    return f"{code}\n{statement}\nop.drop_constraint({check!r}, {table!r})"


def _rename(call: _Call) -> _Written:
    table, name = call.text(0, "table_name"), call.text(1, "column_name")
    new, type_ = call.text(99, "new_column_name"), call.argument(99, "existing_type")
    others = {k.arg for k in call.call.keywords} - {
        "new_column_name",
        "existing_type",
        "existing_nullable",
        "existing_server_default",
    }
    if table is None or name is None or new is None or type_ is None or others:
        return None
    return _replace_column(table, name, new, ast.unparse(type_), _sql_name(name))


def _change_type(call: _Call) -> _Written:
    table, name = call.text(0, "table_name"), call.text(1, "column_name")
    type_ = call.argument(99, "type_")
    allowed = {
        "type_",
        "existing_type",
        "existing_nullable",
        "existing_server_default",
        "postgresql_using",
    }
    others = {k.arg for k in call.call.keywords} - allowed
    if table is None or name is None or type_ is None or others:
        return None
    using = call.text(99, "postgresql_using")
    value = f"sa.text({using!r})" if using else None
    code = ast.unparse(type_)
    if value is None:
        value = f"sa.cast({_sql_name(name)}, {code})"
    return _replace_column(table, name, f"{name}_new", code, value)


def _replace_column(
    table: str, name: str, new: str, type_: str, value: str
) -> _Written:
    code = f"op.add_column({table!r}, sa.Column({new!r}, {type_}, nullable=True))"
    slug = re.sub(r"\W", "_", new)
    backfill = "\n".join(
        [
            f"@backfill({table!r}, batch=1000)",
            f"def fill_{slug}(connection: sa.Connection, batch: Batch) -> None:",
            f"    statement = sa.update(batch.table).values({{{new!r}: {value}}})",
            "    connection.execute(statement.where(batch.where))",
        ]
    )
    return code, Contract(
        f"drop {table}.{name}, which {new} took the place of",
        f"op.drop_column({table!r}, {name!r})",
        f"op.add_column({table!r}, sa.Column({name!r}, {type_}, nullable=True))",
        backfill,
    )


def _add_required(call: _Call) -> _Written:
    table = call.text(0, "table_name")
    node = call.argument(1, "column")
    if table is None or not isinstance(node, ast.Call) or not node.args:
        return None
    name = node.args[0].value if isinstance(node.args[0], ast.Constant) else None
    if not isinstance(name, str):
        return None
    kept = [k for k in node.keywords if k.arg != "nullable"]
    column = ast.Call(
        node.func, node.args, [*kept, ast.keyword("nullable", ast.Constant(True))]
    )
    rest = [ast.unparse(a) for a in call.call.args[2:]]
    rest += [
        ast.unparse(k)
        for k in call.call.keywords
        if k.arg not in {"table_name", "column"}
    ]
    arguments = ", ".join([repr(table), ast.unparse(column), *rest])
    type_ = ast.unparse(node.args[1]) if len(node.args) > 1 else "..."
    alter = (
        f"op.alter_column({table!r}, {name!r}, existing_type={type_}, nullable=False)"
    )
    backfill = "\n".join(
        [
            f"@backfill({table!r}, batch=1000, before=True)",
            f"def fill_{name}(connection: sa.Connection, batch: Batch) -> None:",
            f"    # What is {name} for the rows that are there?",
            f"    empty = batch.table.c[{name!r}].is_(None)",
            f"    statement = sa.update(batch.table).values({{{name!r}: ...}})",
            "    connection.execute(statement.where(batch.where, empty))",
        ]
    )
    return f"op.add_column({arguments})", Contract(
        f"require {table}.{name}",
        alter,
        alter.replace("nullable=False", "nullable=True"),
        backfill,
        backfill_first=False,
    )


_WRITERS: dict[str, cabc.Callable[[_Call], _Written]] = {
    "add-required-column": _add_required,
    "change-type": _change_type,
    "change-type-copies-table": _change_type,
    "check-validates": _not_valid,
    "concurrent-in-transaction": _wrap,
    "drop-index-not-concurrent": _drop_index,
    "foreign-key-validates": _not_valid,
    "index-not-concurrent": _create_index,
    "rename-column": _rename,
    "set-not-null": _set_not_null,
    "unique-builds-index": _unique,
}


def write_contract(path: Path, contract: Contract, expand: str) -> None:
    """Finish the file of a contract: which revision it completes, and its backfill."""
    text = path.read_text("utf-8")
    text = re.sub(
        r"(?m)^(depends_on = .*)$", rf'\1\ncontracts = "{expand}"', text, count=1
    )
    if contract.backfill and not contract.backfill_first:
        text = with_backfill(text, contract.backfill)
    path.write_text(text, "utf-8")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _sql_name(name: str) -> str:
    return f"batch.table.c[{name!r}]"


def _execute(sql: str) -> str:
    return f"op.execute({sql!r})"
